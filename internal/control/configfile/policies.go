package configfile

import (
	"pqfront/internal/cdn"
)

// take keeps a policy that its constructor accepted, under its id.
func take[T any](f *file, kind string, o *object, id string, checked *T, found []cdn.Problem, into map[string]*T) {
	f.checkedPolicy(o, found)
	if checked == nil || len(f.problems) > 0 {
		return
	}
	key := kind + " " + id
	if other, twice := f.p.sources[key]; twice {
		f.problem(o.at("Id"), o.offset("Id"), cdn.CodeInvalidArgument, "%s is in %s already: remove one of the two", id, other)
		return
	}
	f.p.sources[key] = f.name
	into[id] = checked
}

// checkedPolicy puts what was found in a policy at its place: all but the id is in
// the ...Config member.
func (f *file) checkedPolicy(o *object, found []cdn.Problem) {
	had := len(f.problems)
	for _, p := range found {
		base := o.path
		if p.Field != "Id" {
			base = joinPath(o.path, o.path+"Config")
		}
		if !overlaps(f.problems[:had], joinPath(base, p.Field)) {
			f.checked(base, []cdn.Problem{p})
		}
	}
}

func (f *file) cachePolicy(o *object) {
	if o == nil {
		return
	}
	o.need("Id", "CachePolicyConfig")
	o.skip("LastModifiedTime")
	p := cdn.CachePolicy{ID: o.str("Id")}
	c := o.child("CachePolicyConfig")
	c.need("Name", "MinTTL")
	p.Name, p.Comment = c.str("Name"), c.str("Comment")
	p.MinTTL, p.DefaultTTL, p.MaxTTL = ttls(c)
	none := cdn.Selection{Behavior: "none"}
	p.Headers, p.Cookies, p.QueryStrings = none, none, none
	if k := c.child("ParametersInCacheKeyAndForwardedToOrigin"); k != nil {
		k.need("EnableAcceptEncodingGzip", "HeadersConfig", "CookiesConfig", "QueryStringsConfig")
		p.Gzip, p.Brotli = k.boolean("EnableAcceptEncodingGzip"), k.boolean("EnableAcceptEncodingBrotli")
		p.Headers, p.Cookies, p.QueryStrings = selections(k)
		k.end()
	}
	c.end()
	o.end()
	checked, found := cdn.NewCachePolicy(p, f.p.rules())
	take(f, "cache policy", o, p.ID, checked, found, f.p.state.CachePolicies)
}

func (f *file) originRequestPolicy(o *object) {
	if o == nil {
		return
	}
	o.need("Id", "OriginRequestPolicyConfig")
	o.skip("LastModifiedTime")
	p := cdn.OriginRequestPolicy{ID: o.str("Id")}
	c := o.child("OriginRequestPolicyConfig")
	c.need("Name", "HeadersConfig", "CookiesConfig", "QueryStringsConfig")
	p.Name, p.Comment = c.str("Name"), c.str("Comment")
	p.Headers, p.Cookies, p.QueryStrings = selections(c)
	c.end()
	o.end()
	checked, found := cdn.NewOriginRequestPolicy(p, f.p.rules())
	take(f, "origin request policy", o, p.ID, checked, found, f.p.state.OriginRequestPolicies)
}

// selections reads which headers, cookies and query strings take part.
func selections(o *object) (headers, cookies, queries cdn.Selection) {
	for _, s := range [...]struct {
		config, behavior, list string
		into                   *cdn.Selection
	}{
		{"HeadersConfig", "HeaderBehavior", "Headers", &headers},
		{"CookiesConfig", "CookieBehavior", "Cookies", &cookies},
		{"QueryStringsConfig", "QueryStringBehavior", "QueryStrings", &queries},
	} {
		c := o.child(s.config)
		c.need(s.behavior)
		*s.into = cdn.Selection{Behavior: c.str(s.behavior), Names: c.strings(s.list)}
		c.end()
	}
	return headers, cookies, queries
}

func (f *file) originAccessControl(o *object) {
	if o == nil {
		return
	}
	o.need("Id", "OriginAccessControlConfig")
	c := o.child("OriginAccessControlConfig")
	c.need("Name", "SigningProtocol", "SigningBehavior", "OriginAccessControlOriginType")
	a := cdn.OriginAccessControl{
		ID: o.str("Id"), Name: c.str("Name"), Description: c.str("Description"),
		OriginType:      c.str("OriginAccessControlOriginType"),
		SigningBehavior: c.str("SigningBehavior"), SigningProtocol: c.str("SigningProtocol"),
	}
	switch a.OriginType {
	case "mediastore", "mediapackagev2", "lambda":
		f.unsupported(c.at("OriginAccessControlOriginType"), c.offset("OriginAccessControlOriginType"), "requests to %s origins cannot be signed yet: use s3", a.OriginType)
	}
	c.end()
	o.end()
	checked, found := cdn.NewOriginAccessControl(a)
	take(f, "origin access control", o, a.ID, checked, found, f.p.state.OriginAccessControls)
}

func (f *file) responseHeadersPolicy(o *object) {
	if o == nil {
		return
	}
	o.need("Id", "ResponseHeadersPolicyConfig")
	o.skip("LastModifiedTime")
	p := cdn.ResponseHeadersPolicy{ID: o.str("Id"), ServerTimingSampling: -1}
	c := o.child("ResponseHeadersPolicyConfig")
	c.need("Name")
	p.Name, p.Comment = c.str("Name"), c.str("Comment")
	if k := c.child("CorsConfig"); k != nil {
		p.CORS = cors(k)
	}
	securityHeaders(c.child("SecurityHeadersConfig"), &p.Security)
	if k := c.child("ServerTimingHeadersConfig"); k != nil {
		k.need("Enabled")
		if rate := k.float("SamplingRate"); k.boolean("Enabled") {
			if p.ServerTimingSampling = rate; rate < 0 {
				f.problem(k.at("SamplingRate"), k.offset("SamplingRate"), cdn.CodeInvalidArgument, "is %v: use 0 to 100 percent", rate)
			}
		}
		k.end()
	}
	if c != nil {
		c.objects("CustomHeadersConfig", func(k *object) {
			k.need("Header", "Value", "Override")
			p.Custom = append(p.Custom, cdn.OverridableHeader{Name: k.str("Header"), Value: k.str("Value"), Override: k.boolean("Override")})
		})
		c.objects("RemoveHeadersConfig", func(k *object) {
			k.need("Header")
			p.Remove = append(p.Remove, k.str("Header"))
		})
	}
	c.end()
	o.end()
	checked, found := cdn.NewResponseHeadersPolicy(p, f.p.rules())
	take(f, "response headers policy", o, p.ID, checked, found, f.p.state.ResponseHeadersPolicies)
}

func cors(o *object) *cdn.CORS {
	o.need("AccessControlAllowOrigins", "AccessControlAllowHeaders", "AccessControlAllowMethods", "AccessControlAllowCredentials", "OriginOverride")
	c := &cdn.CORS{
		AllowCredentials: o.boolean("AccessControlAllowCredentials"), OriginOverride: o.boolean("OriginOverride"),
		AllowOrigins: o.strings("AccessControlAllowOrigins"), AllowHeaders: o.strings("AccessControlAllowHeaders"),
		AllowMethods: o.strings("AccessControlAllowMethods"), ExposeHeaders: o.strings("AccessControlExposeHeaders"),
		MaxAge: cdn.NoMaxAge,
	}
	if o.has("AccessControlMaxAgeSec") {
		seconds := o.integer("AccessControlMaxAgeSec", 0)
		if c.MaxAge = cdn.Seconds(seconds); seconds < 0 {
			o.f.problem(o.at("AccessControlMaxAgeSec"), o.offset("AccessControlMaxAgeSec"), cdn.CodeInvalidArgument, "is %d: use 0 or more seconds", seconds)
		}
	}
	o.end()
	return c
}

// securityHeaders turns CloudFront's settings into the headers' values.
func securityHeaders(o *object, s *cdn.SecurityHeaders) {
	if o == nil {
		return
	}
	for _, h := range [...]struct {
		key, name string
		value     func(*object) string
		into      **cdn.OverridableHeader
	}{
		{"XSSProtection", "x-xss-protection", xssProtection, &s.XSSProtection},
		{"FrameOptions", "x-frame-options", required("FrameOption"), &s.FrameOptions},
		{"ReferrerPolicy", "referrer-policy", required("ReferrerPolicy"), &s.ReferrerPolicy},
		{"ContentSecurityPolicy", "content-security-policy", required("ContentSecurityPolicy"), &s.ContentSecurityPolicy},
		{"ContentTypeOptions", "x-content-type-options", func(*object) string { return "nosniff" }, &s.ContentTypeOptions},
		{"StrictTransportSecurity", "strict-transport-security", strictTransport, &s.StrictTransport},
	} {
		c := o.child(h.key)
		if c == nil {
			continue
		}
		c.need("Override")
		*h.into = &cdn.OverridableHeader{Name: h.name, Value: h.value(c), Override: c.boolean("Override")}
		c.end()
	}
	o.end()
}

// required reads a value that CloudFront takes as it is.
func required(key string) func(*object) string {
	return func(o *object) string {
		o.need(key)
		return o.str(key)
	}
}

func xssProtection(o *object) string {
	o.need("Protection")
	protect, block, report := o.boolean("Protection"), o.boolean("ModeBlock"), o.str("ReportUri")
	switch {
	case block && report != "":
		o.f.problem(o.at("ReportUri"), o.offset("ReportUri"), cdn.CodeInvalidArgument, "cannot go with ModeBlock: use one of the two")
	case !protect && (block || report != ""):
		o.f.problem(o.at("Protection"), o.offset("Protection"), cdn.CodeInvalidArgument, "must be true for ModeBlock or ReportUri: set it, or remove them")
	}
	return cdn.XSSProtection(protect, block, report)
}

func strictTransport(o *object) string {
	o.need("AccessControlMaxAgeSec")
	seconds := o.integer("AccessControlMaxAgeSec", 0)
	if seconds < 0 || seconds > 1<<31-1 {
		o.f.problem(o.at("AccessControlMaxAgeSec"), o.offset("AccessControlMaxAgeSec"), cdn.CodeInvalidArgument, "is %d: use 0 to 2147483647 seconds", seconds)
	}
	return cdn.StrictTransportSecurity(seconds, o.boolean("IncludeSubdomains"), o.boolean("Preload"))
}
