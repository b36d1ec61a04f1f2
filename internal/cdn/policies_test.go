package cdn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// CloudFront: Understand cache policies; Quotas, Quotas on policies.
func TestCachePolicy(t *testing.T) {
	const at = "ParametersInCacheKeyAndForwardedToOrigin."
	f := func(edit func(*CachePolicy), want ...string) {
		t.Helper()
		none := Selection{Behavior: "none"}
		p := CachePolicy{ID: "a2f5e6d4-0b1c", Name: "n", Headers: none, Cookies: none, QueryStrings: none, DefaultTTL: time.Hour, MaxTTL: time.Hour}
		edit(&p)
		got, found := NewCachePolicy(p, Rules{})
		if (got == nil) != (len(found) > 0) {
			t.Fatalf("policy %v with problems %v", got, found)
		}
		compare(t, found, want)
	}
	f(func(*CachePolicy) {})
	f(func(p *CachePolicy) { p.ID, p.Name = "", "" }, "Id InvalidArgument", "Name InvalidArgument")
	f(func(p *CachePolicy) { p.Comment = strings.Repeat("x", 129) }, "Comment InvalidArgument")
	f(func(p *CachePolicy) { p.MinTTL = 2 * time.Hour }, "MinTTL InvalidTTLOrder")
	f(func(p *CachePolicy) { p.Headers = Selection{"whitelist", []string{"A", "B"}} })
	f(func(p *CachePolicy) { p.Headers = Selection{"all", nil} }, at+"HeadersConfig.HeaderBehavior InvalidArgument")
	f(func(p *CachePolicy) { p.Headers = Selection{"whitelist", nil} }, at+"HeadersConfig.Headers InvalidArgument")
	f(func(p *CachePolicy) { p.Headers = Selection{"none", []string{"A"}} }, at+"HeadersConfig.Headers InvalidArgument")
	f(func(p *CachePolicy) { p.Headers = Selection{"whitelist", []string{"A", "a"}} }, at+"HeadersConfig.Headers.Items[1] InvalidArgument")
	f(func(p *CachePolicy) { p.Headers = Selection{"whitelist", []string{"a b"}} }, at+"HeadersConfig.Headers.Items[0] InvalidArgument")
	f(func(p *CachePolicy) { p.Headers = Selection{"whitelist", []string{"CloudFront-Viewer-TLS"}} }, at+"HeadersConfig.Headers.Items[0] InvalidArgument")
	f(func(p *CachePolicy) { p.Cookies = Selection{"whitelist", []string{"A", "a"}} })
	f(func(p *CachePolicy) { p.Cookies = Selection{"allExcept", nil} }, at+"CookiesConfig.Cookies InvalidArgument")
	f(func(p *CachePolicy) { p.QueryStrings = Selection{"allExcept", []string{"utm[x]", "ü"}} })
	f(func(p *CachePolicy) { p.QueryStrings = Selection{"whitelist", []string{"a=b"}} }, at+"QueryStringsConfig.QueryStrings.Items[0] InvalidArgument")
	f(func(p *CachePolicy) { p.QueryStrings = Selection{"whitelist", []string{strings.Repeat("x", 1025)}} }, at+"QueryStringsConfig.QueryStrings InvalidArgument")
	eleven := many(11, func(i int) string { return fmt.Sprintf("n%d", i) })
	f(func(p *CachePolicy) {
		p.Headers, p.Cookies, p.QueryStrings = Selection{"whitelist", eleven}, Selection{"whitelist", eleven}, Selection{"whitelist", eleven}
	}, at+"HeadersConfig.Headers TooManyHeadersInCachePolicy", at+"CookiesConfig.Cookies TooManyCookiesInCachePolicy",
		at+"QueryStringsConfig.QueryStrings TooManyQueryStringsInCachePolicy")
}

// CloudFront: Understand origin request policies.
func TestOriginRequestPolicy(t *testing.T) {
	f := func(edit func(*OriginRequestPolicy), want ...string) {
		t.Helper()
		none := Selection{Behavior: "none"}
		p := OriginRequestPolicy{ID: "a2f5e6d4-0b1c", Name: "n", Headers: none, Cookies: none, QueryStrings: none}
		edit(&p)
		got, found := NewOriginRequestPolicy(p, Rules{})
		if (got == nil) != (len(found) > 0) {
			t.Fatalf("policy %v with problems %v", got, found)
		}
		compare(t, found, want)
	}
	f(func(*OriginRequestPolicy) {})
	f(func(p *OriginRequestPolicy) { p.Headers = Selection{"allViewer", nil} })
	f(func(p *OriginRequestPolicy) { p.Headers = Selection{"allExcept", []string{"Host"}} })
	f(func(p *OriginRequestPolicy) {
		p.Headers = Selection{"allViewerAndWhitelistCloudFront", []string{"CloudFront-Viewer-TLS"}}
	})
	f(func(p *OriginRequestPolicy) {
		p.Headers = Selection{"allViewerAndWhitelistCloudFront", []string{"Host"}}
	}, "HeadersConfig.Headers.Items[0] InvalidArgument")
	f(func(p *OriginRequestPolicy) { p.Headers = Selection{"allViewer", []string{"Host"}} }, "HeadersConfig.Headers InvalidArgument")
	f(func(p *OriginRequestPolicy) { p.Cookies.Behavior, p.QueryStrings.Behavior = "some", "" }, "CookiesConfig.CookieBehavior InvalidArgument", "QueryStringsConfig.QueryStringBehavior InvalidArgument")
}

// CloudFront: Restrict access to an Amazon S3 origin.
func TestOriginAccessControl(t *testing.T) {
	f := func(edit func(*OriginAccessControl), want ...string) {
		t.Helper()
		c := OriginAccessControl{ID: "E1", Name: "n", OriginType: "s3", SigningBehavior: "always", SigningProtocol: "sigv4"}
		edit(&c)
		_, found := NewOriginAccessControl(c)
		compare(t, found, want)
	}
	f(func(*OriginAccessControl) {})
	f(func(c *OriginAccessControl) { c.SigningBehavior = "no-override" })
	f(func(c *OriginAccessControl) { *c = OriginAccessControl{} }, "Id InvalidArgument", "Name InvalidArgument", "SigningProtocol InvalidArgument",
		"SigningBehavior InvalidArgument", "OriginAccessControlOriginType InvalidArgument")
	f(func(c *OriginAccessControl) {
		c.Name, c.Description = strings.Repeat("x", 65), strings.Repeat("x", 257)
	}, "Name InvalidArgument", "Description InvalidArgument")
}

// CloudFront: Understand response headers policies.
func TestResponseHeadersPolicy(t *testing.T) {
	f := func(edit func(*ResponseHeadersPolicy), want ...string) *ResponseHeadersPolicy {
		t.Helper()
		p := ResponseHeadersPolicy{ID: "a2f5e6d4-0b1c", Name: "n", ServerTimingSampling: -1,
			CORS: &CORS{AllowOrigins: []string{"*"}, AllowHeaders: []string{"*"}, AllowMethods: []string{"GET"}, MaxAge: NoMaxAge}}
		edit(&p)
		got, found := NewResponseHeadersPolicy(p, Rules{})
		if (got == nil) != (len(found) > 0) {
			t.Fatalf("policy %v with problems %v", got, found)
		}
		compare(t, found, want)
		return got
	}
	f(func(*ResponseHeadersPolicy) {})
	f(func(p *ResponseHeadersPolicy) { p.CORS = nil })
	f(func(p *ResponseHeadersPolicy) { *p.CORS = CORS{} }, "CorsConfig.AccessControlAllowOrigins InvalidArgument",
		"CorsConfig.AccessControlAllowHeaders InvalidArgument", "CorsConfig.AccessControlAllowMethods InvalidArgument")
	for origin, ok := range map[string]bool{"http://example.org": true, "https://*.example.org": true, "*.example.org": true, "example.org:8080": true,
		"http://example.org:*": true, "http://example.org:80*": true, "http://192.0.2.1": true, "http://localhost": true,
		"ftp://example.org": false, "http://a.*.org": false, "http://example.org/": false, "http://example.org:x": false, "http://example.org:": false, "": false} {
		want := []string{"CorsConfig.AccessControlAllowOrigins.Items[0] InvalidArgument"}
		if ok {
			want = nil
		}
		f(func(p *ResponseHeadersPolicy) { p.CORS.AllowOrigins = []string{origin} }, want...)
	}
	f(func(p *ResponseHeadersPolicy) { p.CORS.AllowMethods = []string{"ALL", "GET"} }, "CorsConfig.AccessControlAllowMethods InvalidArgument")
	f(func(p *ResponseHeadersPolicy) { p.CORS.AllowMethods = []string{"TRACE"} }, "CorsConfig.AccessControlAllowMethods.Items[0] InvalidArgument")
	if p := f(func(p *ResponseHeadersPolicy) { p.CORS.AllowMethods = []string{"ALL"} }); !slices.Equal(p.CORS.AllowMethods, corsMethods()) {
		t.Errorf("ALL became %v", p.CORS.AllowMethods)
	}
	f(func(p *ResponseHeadersPolicy) { p.CORS.ExposeHeaders = []string{"a b"} }, "CorsConfig.AccessControlExposeHeaders.Items[0] InvalidArgument")

	f(func(p *ResponseHeadersPolicy) {
		p.Security = SecurityHeaders{FrameOptions: &OverridableHeader{Value: "x"}, ReferrerPolicy: &OverridableHeader{}, ContentSecurityPolicy: &OverridableHeader{}}
	}, "SecurityHeadersConfig.FrameOptions.FrameOption InvalidArgument", "SecurityHeadersConfig.ReferrerPolicy.ReferrerPolicy InvalidArgument",
		"SecurityHeadersConfig.ContentSecurityPolicy.ContentSecurityPolicy InvalidArgument")
	f(func(p *ResponseHeadersPolicy) {
		p.Security.ContentSecurityPolicy = &OverridableHeader{Value: strings.Repeat("x", 1784)}
	}, "SecurityHeadersConfig.ContentSecurityPolicy.ContentSecurityPolicy TooLongCSPInResponseHeadersPolicy")
	f(func(p *ResponseHeadersPolicy) { p.ServerTimingSampling = 100.1 }, "ServerTimingHeadersConfig.SamplingRate InvalidArgument")

	got := f(func(p *ResponseHeadersPolicy) {
		p.Custom, p.Remove = []OverridableHeader{{Name: "X-Custom", Value: "1"}}, []string{"Server", "X-Powered-By"}
	})
	if got.Custom[0].Name != "x-custom" || got.Remove[0] != "server" {
		t.Errorf("names are not in lower case: %+v", got)
	}
	f(func(p *ResponseHeadersPolicy) {
		p.Custom = []OverridableHeader{{Name: "a", Value: "1\n"}, {Name: "A"}, {Name: "Transfer-Encoding"}}
	},
		"CustomHeadersConfig.Items[0].Value InvalidArgument", "CustomHeadersConfig.Items[1].Header InvalidArgument", "CustomHeadersConfig.Items[2].Header InvalidArgument")
	f(func(p *ResponseHeadersPolicy) {
		p.Custom = many(11, func(i int) OverridableHeader { return OverridableHeader{Name: fmt.Sprintf("x%d", i)} })
		p.Remove = many(11, func(i int) string { return fmt.Sprintf("x%d", i) })
	}, "CustomHeadersConfig TooManyCustomHeadersInResponseHeadersPolicy", "RemoveHeadersConfig TooManyRemoveHeadersInResponseHeadersPolicy")
	for _, name := range []string{"Via", "X-Cache", "x-amz-cf-id", "X-Edge-Location", "Content-Length", "Warning"} {
		f(func(p *ResponseHeadersPolicy) { p.Remove = []string{name} }, "RemoveHeadersConfig.Items[0].Header InvalidArgument")
	}
	f(func(p *ResponseHeadersPolicy) { p.Remove = []string{"a", "A"} }, "RemoveHeadersConfig.Items[1].Header InvalidArgument")
}

func TestSecurityHeaderValues(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(XSSProtection(false, false, ""), "0")
	f(XSSProtection(true, false, ""), "1")
	f(XSSProtection(true, true, ""), "1; mode=block")
	f(XSSProtection(true, false, "https://r.example/"), "1; report=https://r.example/")
	f(StrictTransportSecurity(31536000, false, false), "max-age=31536000")
	f(StrictTransportSecurity(0, true, true), "max-age=0; includeSubDomains; preload")
}

// TestManagedPoliciesAreValid: our own rules accept CloudFront's own policies.
func TestManagedPoliciesAreValid(t *testing.T) {
	// The managed policies are not bound to the quotas.
	rules := Rules{Quotas: Quotas{PolicyItems: 32}}
	for _, p := range ManagedCachePolicies() {
		if _, found := NewCachePolicy(*p, rules); len(found) > 0 {
			t.Errorf("%s: %v", p.Name, found)
		}
	}
	for _, p := range ManagedOriginRequestPolicies() {
		if _, found := NewOriginRequestPolicy(*p, rules); len(found) > 0 {
			t.Errorf("%s: %v", p.Name, found)
		}
	}
	for _, p := range ManagedResponseHeadersPolicies() {
		if _, found := NewResponseHeadersPolicy(*p, rules); len(found) > 0 {
			t.Errorf("%s: %v", p.Name, found)
		}
	}
}

func TestStateProblems(t *testing.T) {
	dist := func(id string, edit func(*Distribution)) *Distribution {
		t.Helper()
		spec := valid()
		spec.ID, spec.CallerReference, spec.DomainName, spec.Aliases = id, id, strings.ToLower(id)+".cloudfront.net", nil
		spec.Viewer = ViewerCertificate{Default: true}
		edit(&spec)
		d, found := NewDistribution(spec, testRules())
		if len(found) > 0 {
			t.Fatal(found)
		}
		return d
	}
	plain := func(*Distribution) {}
	f := func(s State, want ...string) {
		t.Helper()
		var got []string
		for _, p := range s.Problems() {
			got = append(got, p.Distribution.ID+" "+p.Field+" "+p.Code)
		}
		if !slices.Equal(got, want) {
			t.Errorf("problems %q, want %q", got, want)
		}
	}
	list := func(d ...*Distribution) State { return State{Distributions: d} }
	f(list(dist("E1", plain), dist("E2", plain)))
	f(list(dist("E1", plain), dist("E1", func(d *Distribution) { d.CallerReference, d.DomainName = "x", "x.cloudfront.net" })), "E1 Id DistributionAlreadyExists")
	f(list(dist("E1", plain), dist("E2", func(d *Distribution) { d.CallerReference = "E1" })), "E2 CallerReference DistributionAlreadyExists")
	alias := func(d *Distribution) { d.Aliases, d.Viewer = []string{"a.example", "*.example"}, valid().Viewer }
	f(list(dist("E1", alias), dist("E2", alias)), "E2 Aliases.Items[0] CNAMEAlreadyExists", "E2 Aliases.Items[1] CNAMEAlreadyExists")
	f(list(dist("E1", alias), dist("E2", func(d *Distribution) { d.Aliases, d.Viewer = []string{"b.example"}, valid().Viewer })))
	f(list(dist("E1", func(d *Distribution) {
		d.Origins[0].AccessControlID = "EX"
		d.DefaultBehavior.CachePolicyID = "x"
		d.Behaviors[0].OriginRequestPolicyID, d.Behaviors[0].ResponseHeadersPolicyID = "x", "x"
	})), "E1 Origins.Items[0].OriginAccessControlId NoSuchOriginAccessControl", "E1 DefaultCacheBehavior.CachePolicyId NoSuchCachePolicy",
		"E1 CacheBehaviors.Items[0].OriginRequestPolicyId NoSuchOriginRequestPolicy", "E1 CacheBehaviors.Items[0].ResponseHeadersPolicyId NoSuchResponseHeadersPolicy")

	withControl := func(kind string, origin int) State {
		s := list(dist("E1", func(d *Distribution) { d.Origins[origin].AccessControlID = "EX" }))
		s.OriginAccessControls = map[string]*OriginAccessControl{"EX": {ID: "EX", OriginType: kind}}
		return s
	}
	f(withControl("s3", 0))
	f(withControl("s3", 1), "E1 Origins.Items[1].OriginAccessControlId InvalidOriginAccessControl")
	f(withControl("lambda", 0), "E1 Origins.Items[0].OriginAccessControlId InvalidOriginAccessControl")
	f(withControl("lambda", 1))
}
