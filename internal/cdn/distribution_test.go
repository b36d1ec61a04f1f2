package cdn

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// valid is a distribution with something of everything.
func valid() Distribution {
	return Distribution{
		ID: "E1A2B3C4D5E6F7", DomainName: "d111111abcdef8.cloudfront.net", CallerReference: "r", Enabled: true,
		Aliases: []string{"www.example.org", "*.example.org"}, DefaultRootObject: "index.html",
		Origins: []Origin{
			{ID: "bucket", DomainName: "b.s3.amazonaws.com", S3: &S3Origin{ReadTimeout: 30 * time.Second},
				ConnectionAttempts: 3, ConnectionTimeout: 10 * time.Second},
			{ID: "api", DomainName: "api.example.org", Path: "/v1", ConnectionAttempts: 1, ConnectionTimeout: time.Second,
				Headers: []CustomHeader{{"X-A", "1"}},
				Custom: &CustomOrigin{HTTPPort: 80, HTTPSPort: 443, ProtocolPolicy: OriginHTTPSOnly, SSLProtocols: []string{"TLSv1.2"},
					ReadTimeout: 30 * time.Second, KeepaliveTimeout: 5 * time.Second}},
		},
		OriginGroups:    []OriginGroup{{ID: "group", StatusCodes: []int{503}, Members: []string{"bucket", "api"}}},
		DefaultBehavior: validBehavior("group"),
		Behaviors:       []Behavior{withPattern("api/*", validBehavior("api")), withPattern("old/*", legacyBehavior("api"))},
		ErrorResponses:  []ErrorResponse{{ErrorCode: 404, PagePath: "/404.html", ResponseCode: 200, CachingMin: 10 * time.Second}},
		Geo:             GeoRestriction{Type: "none"},
		Viewer: ViewerCertificate{ACMARN: "arn:aws:acm:us-east-1:123456789012:certificate/5b8b7ff7-8a55",
			SupportMethod: "sni-only", SecurityPolicy: "TLSv1.2_2021"},
		PriceClass: "PriceClass_All",
		Tags:       map[string]string{"pqfront:x": "1"},
	}
}

func validBehavior(target string) Behavior {
	return Behavior{TargetOriginID: target, ViewerProtocol: RedirectToHTTPS, AllowedMethods: []string{"HEAD", "GET"},
		CachedMethods: []string{"GET", "HEAD"}, CachePolicyID: "658327ea-f89d-4fab-a63d-7e88639e58f6"}
}

func legacyBehavior(target string) Behavior {
	b := validBehavior(target)
	b.CachePolicyID = ""
	b.Legacy = &LegacyCaching{Cookies: Selection{Behavior: "none"}, DefaultTTL: time.Hour, MaxTTL: 2 * time.Hour}
	return b
}

func withPattern(pattern string, b Behavior) Behavior {
	b.PathPattern = pattern
	return b
}

func testRules() Rules {
	return Rules{SecurityPolicy: func(name string) error {
		if slices.Contains([]string{"SSLv3", "TLSv1", "TLSv1.2_2021", "PQFront_TLSv1.3_PQ_2026"}, name) {
			return nil
		}
		return errors.New("unknown security policy")
	}}
}

// check runs NewDistribution on valid() after edit and compares "Field Code" of each
// problem; none wanted = it is valid.
func check(t *testing.T, edit func(*Distribution), want ...string) *Distribution {
	t.Helper()
	spec := valid()
	edit(&spec)
	d, found := NewDistribution(spec, testRules())
	if (d == nil) != (len(found) > 0) {
		t.Fatalf("distribution %v with problems %v", d, found)
	}
	compare(t, found, want)
	return d
}

func compare(t *testing.T, found []Problem, want []string) {
	t.Helper()
	var got []string
	for _, p := range found {
		got = append(got, p.Field+" "+p.Code)
		if !strings.Contains(p.Message, ":") && !strings.Contains(p.Message, "unknown security policy") {
			t.Errorf("%s: the message names no fix: %s", p.Field, p.Message)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems %q, want %q", got, want)
		for _, p := range found {
			t.Log(p)
		}
	}
}

func many[T any](n int, make func(int) T) []T {
	var out []T
	for i := range n {
		out = append(out, make(i))
	}
	return out
}

// CloudFront: All distribution settings reference; Quotas.
func TestDistribution(t *testing.T) {
	f := func(edit func(*Distribution), want ...string) { t.Helper(); check(t, edit, want...) }
	f(func(*Distribution) {})
	f(func(d *Distribution) { d.ID = "e1" }, "Id InvalidArgument")
	f(func(d *Distribution) { d.ID = "E1-2" }, "Id InvalidArgument")
	f(func(d *Distribution) { d.DomainName = "" }, "DomainName InvalidArgument")
	f(func(d *Distribution) { d.CallerReference = "" }, "CallerReference InvalidArgument")
	f(func(d *Distribution) { d.Comment = strings.Repeat("é", 128) })
	f(func(d *Distribution) { d.Comment = strings.Repeat("é", 129) }, "Comment InvalidArgument")
	f(func(d *Distribution) { d.PriceClass = "" }, "PriceClass InvalidArgument")
	f(func(d *Distribution) { d.PriceClass = "PriceClass_100" })

	// aliases
	f(func(d *Distribution) {
		d.Aliases = many(100, func(i int) string { return fmt.Sprintf("a%d.example", i) })
	})
	f(func(d *Distribution) {
		d.Aliases = many(101, func(i int) string { return fmt.Sprintf("a%d.example", i) })
	}, "Aliases TooManyDistributionCNAMEs")
	f(func(d *Distribution) { d.Aliases[1] = "www.example.org" }, "Aliases.Items[1] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[1] = d.DomainName }, "Aliases.Items[1] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = "WWW.example.org" }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = "*" }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = "a.*.org" }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = "localhost" })
	f(func(d *Distribution) { d.Aliases[0] = "_x.example.org" })
	f(func(d *Distribution) { d.Aliases[0] = "-x.example.org" }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = strings.Repeat("a", 64) + ".org" }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = strings.Repeat("a.", 126) + "o" })
	f(func(d *Distribution) { d.Aliases[0] = strings.Repeat("a.", 126) + "or" }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = "bücher.example" }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = "example.org." }, "Aliases.Items[0] InvalidArgument")
	f(func(d *Distribution) { d.Aliases[0] = "" }, "Aliases.Items[0] InvalidArgument")

	// CloudFront: Specify a default root object
	f(func(d *Distribution) { d.DefaultRootObject = "" })
	f(func(d *Distribution) { d.DefaultRootObject = "a/b.html" })
	f(func(d *Distribution) { d.DefaultRootObject = "/a" }, "DefaultRootObject InvalidDefaultRootObject")
	f(func(d *Distribution) { d.DefaultRootObject = strings.Repeat("a", 255) })
	f(func(d *Distribution) { d.DefaultRootObject = strings.Repeat("a", 256) }, "DefaultRootObject InvalidDefaultRootObject")
	f(func(d *Distribution) { d.DefaultRootObject = "a?b" }, "DefaultRootObject InvalidDefaultRootObject")

	// CloudFront: Restrict the geographic distribution of your content
	f(func(d *Distribution) { d.Geo = GeoRestriction{Type: "whitelist", Countries: []string{"JP", "DE"}} })
	f(func(d *Distribution) { d.Geo = GeoRestriction{Type: "blacklist"} }, "Restrictions.GeoRestriction InvalidGeoRestrictionParameter")
	f(func(d *Distribution) { d.Geo.Countries = []string{"JP"} }, "Restrictions.GeoRestriction InvalidGeoRestrictionParameter")
	f(func(d *Distribution) { d.Geo = GeoRestriction{Type: "only"} }, "Restrictions.GeoRestriction.RestrictionType InvalidGeoRestrictionParameter")
	f(func(d *Distribution) {
		d.Geo = GeoRestriction{Type: "whitelist", Countries: []string{"jp", "JPN", "DE", "DE"}}
	},
		"Restrictions.GeoRestriction.Items[0] InvalidLocationCode", "Restrictions.GeoRestriction.Items[1] InvalidLocationCode",
		"Restrictions.GeoRestriction.Items[3] InvalidGeoRestrictionParameter")

	// logging and tags
	f(func(d *Distribution) { d.Logging = Logging{Enabled: true, Bucket: "l.s3.amazonaws.com", Prefix: "p/"} })
	f(func(d *Distribution) { d.Logging = Logging{Enabled: true} }, "Logging.Bucket InvalidArgument")
	f(func(d *Distribution) { d.Logging = Logging{Bucket: "l", Prefix: "/p"} }, "Logging.Bucket InvalidArgument", "Logging.Prefix InvalidArgument")
	f(func(d *Distribution) {
		d.Tags = maps.Collect(func(yield func(string, string) bool) {
			for i := range 51 {
				yield(fmt.Sprint(i), "")
			}
		})
	}, "Tags InvalidTagging")
	f(func(d *Distribution) { d.Tags = map[string]string{"AWS:x": "1"} }, "Tags InvalidTagging")
	f(func(d *Distribution) { d.Tags = map[string]string{"k": strings.Repeat("v", 257)} }, "Tags InvalidTagging")

	// all at once
	f(func(d *Distribution) { d.ID, d.CallerReference, d.PriceClass, d.Geo.Type = "", "", "x", "" },
		"Id InvalidArgument", "CallerReference InvalidArgument", "Restrictions.GeoRestriction.RestrictionType InvalidGeoRestrictionParameter", "PriceClass InvalidArgument")
}

// CloudFront: All distribution settings reference, Security policy; CloudFront API
// Reference: ViewerCertificate.
func TestViewer(t *testing.T) {
	const policy = "ViewerCertificate.MinimumProtocolVersion "
	f := func(edit func(*ViewerCertificate), want ...string) {
		t.Helper()
		check(t, func(d *Distribution) { edit(&d.Viewer) }, want...)
	}
	f(func(v *ViewerCertificate) { v.SecurityPolicy = "PQFront_TLSv1.3_PQ_2026" })
	f(func(v *ViewerCertificate) { v.SecurityPolicy = "TLSv1.2_2020" }, policy+"InvalidMinimumProtocolVersion")
	f(func(v *ViewerCertificate) { v.SecurityPolicy = "" }, policy+"InvalidMinimumProtocolVersion")
	f(func(v *ViewerCertificate) { v.SecurityPolicy = "SSLv3" }, policy+"InvalidProtocolSettings")
	f(func(v *ViewerCertificate) { v.SecurityPolicy, v.SupportMethod = "SSLv3", "static-ip" }, policy+"InvalidProtocolSettings")
	f(func(v *ViewerCertificate) { v.SecurityPolicy, v.SupportMethod = "SSLv3", "vip" })
	f(func(v *ViewerCertificate) { v.SupportMethod = "vip" })
	f(func(v *ViewerCertificate) { v.SupportMethod = "sni" }, "ViewerCertificate.SSLSupportMethod InvalidArgument")
	f(func(v *ViewerCertificate) { v.ACMARN, v.IAMID = "", "ASCAEXAMPLE1" })
	f(func(v *ViewerCertificate) { v.ACMARN, v.IAMID = "", "not/an/id" }, "ViewerCertificate.IAMCertificateId InvalidViewerCertificate")
	f(func(v *ViewerCertificate) { v.IAMID = "ASCAEXAMPLE1" }, "ViewerCertificate InvalidViewerCertificate")
	f(func(v *ViewerCertificate) { v.ACMARN = "" }, "ViewerCertificate InvalidViewerCertificate")
	f(func(v *ViewerCertificate) { v.Default = true }, "ViewerCertificate InvalidViewerCertificate")
	for _, arn := range []string{"x", "arn:aws:acm:us-east-1:1:certificate/a", "arn:aws:iam:us-east-1:123456789012:certificate/a",
		"arn:aws:acm:us-east-1:123456789012:certificate/", "arn:aws:acm:us-east-1:123456789012:other/a", "arn:aws:acm:eu-central-1:123456789012:certificate/a"} {
		f(func(v *ViewerCertificate) { v.ACMARN = arn }, "ViewerCertificate.ACMCertificateArn InvalidViewerCertificate")
	}

	check(t, func(d *Distribution) { d.Viewer = ViewerCertificate{Default: true} }, "Aliases InvalidViewerCertificate")
	d := check(t, func(d *Distribution) {
		d.Aliases = nil
		d.Viewer = ViewerCertificate{Default: true, SupportMethod: "sni-only", SecurityPolicy: "TLSv1.2_2021"}
	})
	if d.Viewer.SecurityPolicy != "TLSv1" || d.Viewer.SupportMethod != "vip" {
		t.Errorf("the default certificate has %+v, not TLSv1", d.Viewer)
	}
}

// CloudFront: All distribution settings reference, Origin settings; Add custom headers
// to origin requests.
func TestOrigins(t *testing.T) {
	const at = "Origins.Items[1]"
	f := func(edit func(*Origin), want ...string) {
		t.Helper()
		check(t, func(d *Distribution) { edit(&d.Origins[1]) }, want...)
	}
	f(func(o *Origin) { o.DomainName = "192.0.2.1" }, at+".DomainName InvalidArgument")
	f(func(o *Origin) { o.DomainName = "a.example:8080" }, at+".DomainName InvalidArgument")
	f(func(o *Origin) { o.DomainName = "A.example" }, at+".DomainName InvalidArgument")
	f(func(o *Origin) { o.Path = "v1" }, at+".OriginPath InvalidArgument")
	f(func(o *Origin) { o.Path = "/v1/" }, at+".OriginPath InvalidArgument")
	f(func(o *Origin) { o.Path = "/" }, at+".OriginPath InvalidArgument")
	f(func(o *Origin) { o.Path = "/a b" }, at+".OriginPath InvalidArgument")
	f(func(o *Origin) { o.Path = "/" + strings.Repeat("a", 255) }, at+".OriginPath InvalidArgument")
	f(func(o *Origin) { o.ConnectionAttempts = 0 }, at+".ConnectionAttempts InvalidArgument")
	f(func(o *Origin) { o.ConnectionAttempts = 4 }, at+".ConnectionAttempts InvalidArgument")
	f(func(o *Origin) { o.ConnectionTimeout = 0 }, at+".ConnectionTimeout InvalidArgument")
	f(func(o *Origin) { o.ConnectionTimeout = 11 * time.Second }, at+".ConnectionTimeout InvalidArgument")
	f(func(o *Origin) { o.ResponseCompletionTimeout = 30 * time.Second })
	f(func(o *Origin) { o.ResponseCompletionTimeout = 29 * time.Second }, at+".ResponseCompletionTimeout InvalidArgument")
	f(func(o *Origin) { o.ResponseCompletionTimeout = -1 }, at+".ResponseCompletionTimeout InvalidArgument")
	f(func(o *Origin) { o.Custom = nil }, at+" InvalidArgument")
	f(func(o *Origin) { o.S3 = &S3Origin{} }, at+" InvalidArgument")
	f(func(o *Origin) { o.ShieldEnabled = true }, at+".OriginShield.OriginShieldRegion InvalidArgument")
	f(func(o *Origin) { o.ShieldEnabled, o.ShieldRegion = true, "ap-northeast-1" })
	for port, ok := range map[int]bool{80: true, 443: true, 1024: true, 65535: true, 0: false, 81: false, 1023: false, 65536: false, -1: false} {
		want := []string{at + ".CustomOriginConfig.HTTPPort InvalidArgument"}
		if ok {
			want = nil
		}
		f(func(o *Origin) { o.Custom.HTTPPort = port }, want...)
	}
	f(func(o *Origin) { o.Custom.ProtocolPolicy = "http" }, at+".CustomOriginConfig.OriginProtocolPolicy InvalidArgument")
	f(func(o *Origin) { o.Custom.SSLProtocols = nil }, at+".CustomOriginConfig.OriginSslProtocols InvalidArgument")
	f(func(o *Origin) { o.Custom.SSLProtocols = []string{"TLSv1.2", "TLSv1.2"} }, at+".CustomOriginConfig.OriginSslProtocols.Items[1] InvalidArgument")
	f(func(o *Origin) { o.Custom.ReadTimeout = 0 }, at+".CustomOriginConfig.OriginReadTimeout InvalidOriginReadTimeout")
	f(func(o *Origin) { o.Custom.ReadTimeout = 301 * time.Second }, at+".CustomOriginConfig.OriginReadTimeout InvalidOriginReadTimeout")
	f(func(o *Origin) { o.Custom.KeepaliveTimeout = 301 * time.Second }, at+".CustomOriginConfig.OriginKeepaliveTimeout InvalidOriginKeepaliveTimeout")

	header := func(h ...CustomHeader) func(*Origin) { return func(o *Origin) { o.Headers = h } }
	f(header(CustomHeader{"X-A", ""}))
	f(header(CustomHeader{"X-A", "1"}, CustomHeader{"x-a", "2"}), at+".CustomHeaders.Items[1].HeaderName InvalidArgument")
	f(header(CustomHeader{"X A", "1"}), at+".CustomHeaders.Items[0].HeaderName InvalidArgument")
	f(header(CustomHeader{"X-A", "1\r\nX-B: 2"}), at+".CustomHeaders.Items[0].HeaderValue InvalidArgument")
	f(header(CustomHeader{"X-A", " 1"}), at+".CustomHeaders.Items[0].HeaderValue InvalidArgument")
	f(header(CustomHeader{strings.Repeat("x", 257), "1"}), at+".CustomHeaders.Items[0].HeaderName InvalidArgument")
	f(header(CustomHeader{"X-A", strings.Repeat("v", 1783)}))
	f(header(CustomHeader{"X-A", strings.Repeat("v", 1784)}), at+".CustomHeaders.Items[0].HeaderValue InvalidArgument")
	f(header(many(30, func(i int) CustomHeader { return CustomHeader{fmt.Sprintf("x-%d", i), "1"} })...))
	f(header(many(31, func(i int) CustomHeader { return CustomHeader{fmt.Sprintf("x-%d", i), "1"} })...), at+".CustomHeaders TooManyOriginCustomHeaders")
	f(header(many(6, func(i int) CustomHeader { return CustomHeader{fmt.Sprintf("x-%d", i), strings.Repeat("v", 1750)} })...), at+".CustomHeaders InvalidArgument")
	for _, name := range []string{"Host", "cookie", "Via", "If-None-Match", "X-Amz-Security-Token", "X-Edge-Foo", "Proxy-Authorization", "TE", "Range"} {
		f(header(CustomHeader{name, "1"}), at+".CustomHeaders.Items[0].HeaderName InvalidArgument")
	}

	check(t, func(d *Distribution) { d.Origins = nil }, "Origins InvalidArgument",
		"OriginGroups.Items[0].Members.Items[0].OriginId NoSuchOrigin", "OriginGroups.Items[0].Members.Items[1].OriginId NoSuchOrigin",
		"CacheBehaviors.Items[0].TargetOriginId NoSuchOrigin", "CacheBehaviors.Items[1].TargetOriginId NoSuchOrigin")
	check(t, func(d *Distribution) { d.Origins[0].S3.ReadTimeout = 0 }, "Origins.Items[0].S3OriginConfig.OriginReadTimeout InvalidOriginReadTimeout")
	check(t, func(d *Distribution) { d.Origins[0].S3.OriginAccessIdentity = "E1" }, "Origins.Items[0].S3OriginConfig.OriginAccessIdentity InvalidOriginAccessIdentity")
	check(t, func(d *Distribution) {
		d.Origins[0].S3.OriginAccessIdentity, d.Origins[0].AccessControlID = "origin-access-identity/cloudfront/E1", "E2"
	}, "Origins.Items[0] IllegalOriginAccessConfiguration")
	check(t, func(d *Distribution) {
		for i := range 99 {
			o := d.Origins[1]
			o.ID = fmt.Sprint(i)
			d.Origins = append(d.Origins, o)
		}
	}, "Origins TooManyOrigins")
}

// CloudFront: Optimize high availability with CloudFront origin failover.
func TestOriginGroups(t *testing.T) {
	const at = "OriginGroups.Items[0]"
	f := func(edit func(*OriginGroup), want ...string) {
		t.Helper()
		check(t, func(d *Distribution) { edit(&d.OriginGroups[0]) }, want...)
	}
	f(func(g *OriginGroup) { g.StatusCodes = failoverCodes() })
	f(func(g *OriginGroup) { g.StatusCodes = nil }, at+".FailoverCriteria.StatusCodes InvalidArgument")
	f(func(g *OriginGroup) { g.StatusCodes = []int{401, 503, 503} }, at+".FailoverCriteria.StatusCodes.Items[0] InvalidArgument", at+".FailoverCriteria.StatusCodes.Items[2] InvalidArgument")
	f(func(g *OriginGroup) { g.Members = g.Members[:1] }, at+".Members InvalidArgument")
	f(func(g *OriginGroup) { g.Members = append(g.Members, "api") }, at+".Members InvalidArgument", at+".Members.Items[2].OriginId InvalidArgument")
	f(func(g *OriginGroup) { g.Members[1] = "group" }, at+".Members.Items[1].OriginId NoSuchOrigin")
	check(t, func(d *Distribution) { d.OriginGroups[0].ID, d.DefaultBehavior.TargetOriginID = "api", "api" }, at+".Id InvalidArgument")
	check(t, func(d *Distribution) {
		for i := range 10 {
			g := d.OriginGroups[0]
			g.ID = fmt.Sprint(i)
			d.OriginGroups = append(d.OriginGroups, g)
		}
	}, "OriginGroups TooManyOriginGroupsPerDistribution")
}

// CloudFront: All distribution settings reference, Cache behavior settings.
func TestBehaviors(t *testing.T) {
	const at = "CacheBehaviors.Items[0]"
	f := func(edit func(*Behavior), want ...string) {
		t.Helper()
		check(t, func(d *Distribution) { edit(&d.Behaviors[0]) }, want...)
	}
	f(func(b *Behavior) { b.PathPattern = "" }, at+".PathPattern InvalidArgument")
	f(func(b *Behavior) { b.PathPattern = "/*_-.$/~\"'@:+&?%20" })
	f(func(b *Behavior) { b.PathPattern = "/a\tb" }, at+".PathPattern InvalidArgument")
	f(func(b *Behavior) { b.PathPattern = strings.Repeat("a", 255) })
	f(func(b *Behavior) { b.PathPattern = strings.Repeat("a", 256) }, at+".PathPattern InvalidArgument")
	f(func(b *Behavior) { b.PathPattern = "old/*" }, "CacheBehaviors.Items[1].PathPattern InvalidArgument")
	f(func(b *Behavior) { b.TargetOriginID = "" }, at+".TargetOriginId InvalidArgument")
	f(func(b *Behavior) { b.TargetOriginID = "x" }, at+".TargetOriginId NoSuchOrigin")
	f(func(b *Behavior) { b.ViewerProtocol = "" }, at+".ViewerProtocolPolicy InvalidArgument")
	f(func(b *Behavior) { b.CachePolicyID = "" }, at+".CachePolicyId InvalidArgument")
	f(func(b *Behavior) { b.Legacy = legacyBehavior("").Legacy }, at+".ForwardedValues InvalidArgument")

	methods := func(allowed, cached string) func(*Behavior) {
		return func(b *Behavior) { b.AllowedMethods, b.CachedMethods = strings.Fields(allowed), strings.Fields(cached) }
	}
	const seven = "GET HEAD OPTIONS PUT PATCH POST DELETE"
	f(methods("GET HEAD OPTIONS", "GET HEAD"))
	f(methods("OPTIONS HEAD GET", "GET HEAD OPTIONS"))
	f(methods(seven, "HEAD GET"))
	f(methods(seven, "HEAD GET OPTIONS"))
	f(methods("", "GET HEAD"), at+".AllowedMethods InvalidArgument")
	f(methods("GET", "GET HEAD"), at+".AllowedMethods InvalidArgument")
	f(methods("GET GET", "GET HEAD"), at+".AllowedMethods InvalidArgument")
	f(methods("GET HEAD POST", "GET HEAD"), at+".AllowedMethods InvalidArgument")
	f(methods("get head", "GET HEAD"), at+".AllowedMethods InvalidArgument")
	f(methods("GET HEAD TRACE", "GET HEAD"), at+".AllowedMethods InvalidArgument")
	f(methods("GET HEAD", "GET HEAD OPTIONS"), at+".AllowedMethods.CachedMethods InvalidArgument")
	f(methods(seven, "GET HEAD POST"), at+".AllowedMethods.CachedMethods InvalidArgument")
	f(methods(seven, ""), at+".AllowedMethods.CachedMethods InvalidArgument")
	check(t, func(d *Distribution) {
		d.Behaviors = many(76, func(i int) Behavior { return withPattern(fmt.Sprint(i), validBehavior("api")) })
	}, "CacheBehaviors TooManyCacheBehaviors")
}

// CloudFront API Reference: ForwardedValues; CloudFront: Manage how long content stays in
// the cache.
func TestLegacy(t *testing.T) {
	const at = "CacheBehaviors.Items[1]"
	f := func(edit func(*LegacyCaching), want ...string) {
		t.Helper()
		check(t, func(d *Distribution) { edit(d.Behaviors[1].Legacy) }, want...)
	}
	f(func(l *LegacyCaching) { l.MinTTL, l.DefaultTTL, l.MaxTTL = 0, 0, 0 })
	f(func(l *LegacyCaching) { l.MinTTL = 90 * time.Minute }, at+".MinTTL InvalidTTLOrder")
	f(func(l *LegacyCaching) { l.MaxTTL = time.Minute }, at+".MinTTL InvalidTTLOrder")
	f(func(l *LegacyCaching) { l.MinTTL = -1 }, at+".MinTTL InvalidArgument")
	f(func(l *LegacyCaching) { l.MaxTTL = maxTTL })
	f(func(l *LegacyCaching) { l.MaxTTL = maxTTL + time.Second }, at+".MaxTTL InvalidArgument")
	f(func(l *LegacyCaching) { l.QueryStringKeys = []string{"a"} }, at+".ForwardedValues.QueryStringCacheKeys InvalidQueryStringParameters")
	f(func(l *LegacyCaching) {
		l.QueryString, l.QueryStringKeys = true, many(11, func(i int) string { return fmt.Sprint(i) })
	}, at+".ForwardedValues.QueryStringCacheKeys TooManyQueryStringParameters")
	f(func(l *LegacyCaching) { l.Cookies.Behavior = "" }, at+".ForwardedValues.Cookies.Forward InvalidForwardCookies")
	f(func(l *LegacyCaching) { l.Cookies.Behavior = "whitelist" }, at+".ForwardedValues.Cookies.WhitelistedNames InvalidForwardCookies")
	f(func(l *LegacyCaching) { l.Cookies.Names = []string{"a"} }, at+".ForwardedValues.Cookies.WhitelistedNames InvalidForwardCookies")
	f(func(l *LegacyCaching) {
		l.Cookies = Selection{Behavior: "whitelist", Names: many(11, func(i int) string { return fmt.Sprint(i) })}
	}, at+".ForwardedValues.Cookies.WhitelistedNames TooManyCookieNamesInWhiteList")
	f(func(l *LegacyCaching) { l.Headers = []string{"*"} })
	f(func(l *LegacyCaching) { l.Headers, l.MinTTL = []string{"*"}, time.Second }, at+".MinTTL InvalidArgument")
	f(func(l *LegacyCaching) { l.Headers = []string{"*", "Host"} }, at+".ForwardedValues.Headers InvalidArgument")
	f(func(l *LegacyCaching) { l.Headers = []string{"a b"} }, at+".ForwardedValues.Headers.Items[0] InvalidArgument")
	f(func(l *LegacyCaching) { l.Headers = many(11, func(i int) string { return fmt.Sprintf("x-%d", i) }) }, at+".ForwardedValues.Headers TooManyHeadersInForwardedValues")
	check(t, func(d *Distribution) { d.Behaviors[1].OriginRequestPolicyID = "x" }, at+".OriginRequestPolicyId InvalidArgument")
	check(t, func(d *Distribution) {
		d.Behaviors[1].TargetOriginID, d.Behaviors[1].Legacy.Headers = "bucket", []string{"Origin", "host"}
	}, at+".ForwardedValues.Headers.Items[1] InvalidHeadersForS3Origin")
}

// CloudFront: Create a custom error page for specific HTTP status codes.
func TestErrorResponses(t *testing.T) {
	const at = "CustomErrorResponses.Items[0]"
	f := func(r ErrorResponse, want ...string) {
		t.Helper()
		check(t, func(d *Distribution) { d.ErrorResponses[0] = r }, want...)
	}
	f(ErrorResponse{ErrorCode: 503})
	f(ErrorResponse{ErrorCode: 412}, at+".ErrorCode InvalidErrorCode")
	f(ErrorResponse{ErrorCode: 200}, at+".ErrorCode InvalidErrorCode")
	f(ErrorResponse{ErrorCode: 404, PagePath: "/x", ResponseCode: 404})
	f(ErrorResponse{ErrorCode: 404, PagePath: "/x", ResponseCode: 201}, at+".ResponseCode InvalidResponseCode")
	f(ErrorResponse{ErrorCode: 404, PagePath: "/x"}, at+".ResponseCode InvalidArgument")
	f(ErrorResponse{ErrorCode: 404, ResponseCode: 200}, at+".ResponsePagePath InvalidArgument")
	f(ErrorResponse{ErrorCode: 404, PagePath: "x", ResponseCode: 200}, at+".ResponsePagePath InvalidArgument")
	f(ErrorResponse{ErrorCode: 404, PagePath: "/x y", ResponseCode: 200}, at+".ResponsePagePath InvalidArgument")
	f(ErrorResponse{ErrorCode: 404, CachingMin: -1}, at+".ErrorCachingMinTTL InvalidArgument")
	check(t, func(d *Distribution) { d.ErrorResponses = append(d.ErrorResponses, d.ErrorResponses[0]) },
		"CustomErrorResponses.Items[1].ErrorCode InvalidArgument")
}

func TestQuotas(t *testing.T) {
	spec := valid()
	_, found := NewDistribution(spec, Rules{Quotas: Quotas{Aliases: 1, Origins: 1, OriginGroups: 1, Behaviors: 1,
		OriginReadTimeout: 20 * time.Second, OriginKeepaliveTimeout: 4 * time.Second}})
	compare(t, found, []string{"Aliases TooManyDistributionCNAMEs", "Origins TooManyOrigins",
		"Origins.Items[0].S3OriginConfig.OriginReadTimeout InvalidOriginReadTimeout",
		"Origins.Items[1].CustomOriginConfig.OriginKeepaliveTimeout InvalidOriginKeepaliveTimeout",
		"Origins.Items[1].CustomOriginConfig.OriginReadTimeout InvalidOriginReadTimeout",
		"CacheBehaviors TooManyCacheBehaviors"})
}

func TestSeconds(t *testing.T) {
	f := func(n int64, want time.Duration) {
		t.Helper()
		if got := Seconds(n); got != want {
			t.Errorf("Seconds(%d) = %d, want %d", n, got, want)
		}
	}
	f(0, 0)
	f(30, 30*time.Second)
	f(1<<62, 9223372036*time.Second)
	f(-1<<63, -9223372036*time.Second)
}

func TestParseHTTPVersion(t *testing.T) {
	f := func(s string, http2, http3, ok bool) {
		t.Helper()
		if a, b, c := ParseHTTPVersion(s); a != http2 || b != http3 || c != ok {
			t.Errorf("ParseHTTPVersion(%q) = %t %t %t", s, a, b, c)
		}
	}
	f("http1.1", false, false, true)
	f("http2", true, false, true)
	f("http3", false, true, true)
	f("http2and3", true, true, true)
	f("HTTP2", false, false, false)
	for _, v := range HTTPVersions() {
		if _, _, ok := ParseHTTPVersion(v); !ok {
			t.Errorf("%q is listed and not read", v)
		}
	}
}
