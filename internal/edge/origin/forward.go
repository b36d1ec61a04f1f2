package origin

import (
	"slices"
	"strings"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

// Rules are what decides which parts of a viewer's request an origin gets to see.
type Rules struct {
	Cache         *cdn.CachePolicy         // nil = nothing is in the key
	OriginRequest *cdn.OriginRequestPolicy // nil = none
	// Legacy tells that Cache was made of ForwardedValues: optional fields then pass
	// unless they are in the list of those removed.
	Legacy        bool
	Method        string
	OptionsCached bool // OPTIONS is among the behavior's cached methods
	Viewer        Viewer

	RequestID string // x-amz-cf-id
	Via       string // how we call ourselves in Via, without the version: "<id>.cloudfront.net (CloudFront)"
	UserAgent string // "" = "Amazon CloudFront"
}

// DefaultUserAgent is what origins see unless the viewer's own is forwarded.
const DefaultUserAgent = "Amazon CloudFront"

// fate is what becomes of a viewer's field on the way to the origin.
type fate uint8

const (
	optional  fate = iota // passes with legacy settings, or when a policy names it
	forwarded             // passes
	removed               // passes only when a policy names it
	never                 // does not pass, whatever a policy says
	special               // ForwardedHeader has a rule of its own
)

// fates is the table of CloudFront: Request and response behavior for custom origins,
// HTTP request headers and CloudFront behavior. Names absent from it are optional.
var fates = map[string]fate{
	"accept":                 removed,
	"accept-charset":         removed,
	"accept-encoding":        special,
	"accept-language":        removed,
	"authorization":          special,
	"cache-control":          forwarded,
	"connection":             never,
	"content-disposition":    forwarded,
	"content-encoding":       forwarded,
	"content-language":       forwarded,
	"content-length":         never, // the transport writes it
	"content-location":       forwarded,
	"content-md5":            forwarded,
	"content-range":          forwarded,
	"content-type":           forwarded,
	"cookie":                 special,
	"date":                   forwarded,
	"expect":                 removed,
	"from":                   forwarded,
	"host":                   never, // Request.Host
	"if-match":               forwarded,
	"if-modified-since":      special,
	"if-none-match":          special,
	"if-range":               forwarded,
	"if-unmodified-since":    forwarded,
	"keep-alive":             never,
	"max-forwards":           forwarded,
	"origin":                 optional,
	"pragma":                 forwarded,
	"proxy-authenticate":     never,
	"proxy-authorization":    never,
	"proxy-connection":       never,
	"range":                  forwarded,
	"referer":                removed,
	"request-range":          forwarded,
	"te":                     never,
	"trailer":                never,
	"transfer-encoding":      never,
	"upgrade":                never,
	"user-agent":             special,
	"via":                    special,
	"warning":                forwarded,
	"x-forwarded-for":        special,
	"x-forwarded-proto":      never,
	"x-http-method-override": removed,
	"x-real-ip":              never,
}

// fateOf also knows the prefixes. What a viewer claims under our own names counts for
// nothing.
func fateOf(name string) fate {
	switch {
	case strings.HasPrefix(name, "x-edge-"), strings.HasPrefix(name, "x-amz-cf-"), strings.HasPrefix(name, "cloudfront-"):
		return never
	}
	return fates[name]
}

// ForwardedHeader makes the header of a request to an origin from a viewer's: what the
// policies name and what always passes, in the viewer's order, then our own fields. It
// does not change viewer.
func ForwardedHeader(viewer httpfield.Fields, rules Rules) httpfield.Fields {
	out := make(httpfield.Fields, 0, len(viewer)+8)
	for _, f := range viewer {
		if rules.passes(f.Name) {
			out.Add(f.Name, f.Value)
		}
	}
	if v := ForwardedCookie(viewer, rules); v != "" {
		out.Add("cookie", v)
	}
	if v := rules.acceptEncoding(viewer); v != "" {
		out.Add("accept-encoding", v)
	}
	out.Add("user-agent", rules.userAgent(viewer))
	if rules.Viewer.Address.IsValid() {
		out.Add("x-forwarded-for", appended(viewer.Joined("x-forwarded-for"), rules.Viewer.Address.Addr().Unmap().WithZone("").String()))
	}
	if rules.Via != "" {
		// CloudFront: Request and response behavior for custom origins, Via: the
		// viewer's HTTP version and our name.
		out.Add("via", appended(viewer.Joined("via"), rules.Viewer.httpVersion()+" "+rules.Via))
	}
	if rules.RequestID != "" {
		out.Add("x-amz-cf-id", rules.RequestID)
	}
	return append(out, rules.Added(viewer)...)
}

// passes applies the table to one field that has no rule of its own.
func (r *Rules) passes(name string) bool {
	switch fateOf(name) {
	case forwarded:
		return true
	case removed:
		return r.names(name)
	case optional:
		return r.Legacy || r.names(name)
	case never:
		return false
	}
	switch name { // special
	case "authorization":
		return r.authorization()
	case "if-modified-since", "if-none-match":
		// CloudFront: Request and response behavior for custom origins, Conditional
		// requests and legacy cookie forwarding: not together.
		return !r.Legacy || r.Cache == nil || takesNothing(&r.Cache.Cookies)
	}
	return false
}

// names reports whether a policy asks for the viewer's field called name.
func (r *Rules) names(name string) bool {
	if r.Cache != nil && selects(&r.Cache.Headers, name) {
		return true
	}
	return r.OriginRequest != nil && selects(&r.OriginRequest.Headers, name)
}

// selects applies one policy's header section.
func selects(sel *cdn.Selection, name string) bool {
	switch sel.Behavior {
	case "all", "allViewer", "allViewerAndWhitelistCloudFront":
		return true
	case "whitelist":
		return containsFold(sel.Names, name) || len(sel.Names) == 1 && sel.Names[0] == "*"
	case "allExcept":
		return !containsFold(sel.Names, name)
	}
	return false
}

// ForwardsHost reports whether the origin gets the viewer's Host.
func (r *Rules) ForwardsHost() bool { return r.names("host") }

// authorization: without a policy GET and HEAD lose it, and OPTIONS when it is cached;
// an origin request policy cannot name it, only take all (CloudFront: Configure
// CloudFront to forward the Authorization header).
func (r *Rules) authorization() bool {
	if r.Cache != nil && selects(&r.Cache.Headers, "authorization") {
		return true
	}
	if r.OriginRequest != nil && r.OriginRequest.Headers.Behavior != "whitelist" &&
		selects(&r.OriginRequest.Headers, "authorization") {
		return true
	}
	switch r.Method {
	case "GET", "HEAD":
		return false
	case "OPTIONS":
		return !r.OptionsCached
	}
	return true
}

func (r *Rules) userAgent(viewer httpfield.Fields) string {
	if r.names("user-agent") && viewer.Has("user-agent") {
		return viewer.Get("user-agent")
	}
	if r.UserAgent != "" {
		return r.UserAgent
	}
	return DefaultUserAgent
}

// acceptEncoding: normalized where the cache policy has it in the key, the viewer's own
// where a policy names it, gzip with legacy settings, else nothing (CloudFront: Serve
// compressed files; Request and response behavior for custom origins, Compression).
func (r *Rules) acceptEncoding(viewer httpfield.Fields) string {
	if r.Viewer.HTTPVersion == "1.0" {
		return ""
	}
	gzip, br := r.Cache != nil && r.Cache.Gzip, r.Cache != nil && r.Cache.Brotli
	switch {
	case gzip || br:
		return encoding(viewer, gzip, br)
	case r.names("accept-encoding"):
		return viewer.Joined("accept-encoding")
	case r.Legacy:
		return encoding(viewer, true, false)
	}
	return ""
}

// encoding is the form that the cache key has: "br,gzip", "br", "gzip" or "". A weight
// of 0 refuses a coding (RFC 9110, Section 12.5.3).
func encoding(h httpfield.Fields, gzip, brotli bool) string {
	var br, gz bool
	for item := range strings.SplitSeq(h.Joined("accept-encoding"), ",") {
		coding, params, _ := strings.Cut(item, ";")
		if zeroWeight(params) {
			continue
		}
		switch strings.ToLower(strings.Trim(coding, " \t")) {
		case "br":
			br = brotli
		case "gzip", "x-gzip":
			gz = gzip
		}
	}
	switch {
	case br && gz:
		return "br,gzip"
	case br:
		return "br"
	case gz:
		return "gzip"
	}
	return ""
}

// zeroWeight reports whether params holds q=0 in any spelling (RFC 9110, Section 12.4.2).
func zeroWeight(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, v, ok := strings.Cut(strings.Trim(p, " \t"), "=")
		if ok && strings.EqualFold(name, "q") {
			return v != "" && strings.Trim(v, "0.") == "" && strings.Count(v, ".") <= 1
		}
	}
	return false
}

// ForwardedCookie returns the Cookie field for the origin, "" for none: the pairs that
// the cache policy or the origin request policy takes, in the viewer's order
// (CloudFront: Cache content based on cookies).
func ForwardedCookie(viewer httpfield.Fields, rules Rules) string {
	cache, request := rules.sections(func(c *cdn.CachePolicy) *cdn.Selection { return &c.Cookies },
		func(o *cdn.OriginRequestPolicy) *cdn.Selection { return &o.Cookies })
	if takesNothing(cache) && takesNothing(request) {
		return ""
	}
	var b strings.Builder
	for i := range viewer {
		if viewer[i].Name != "cookie" {
			continue
		}
		for pair := range strings.SplitSeq(viewer[i].Value, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			name = strings.TrimRight(name, " \t")
			// Attributes such as $Path are not forwarded and not in the key.
			if pair == "" || pair[0] == '$' || !takes(cache, name) && !takes(request, name) {
				continue
			}
			if b.Len() > 0 {
				b.WriteString("; ")
			}
			b.WriteString(pair)
		}
	}
	return b.String()
}

// ForwardedQuery returns the raw query for the origin: the parameters that the cache
// policy or the origin request policy takes, in the viewer's order and spelling. Names
// are compared as they are spelled, as in the cache key.
func ForwardedQuery(query string, rules Rules) string {
	cache, request := rules.sections(func(c *cdn.CachePolicy) *cdn.Selection { return &c.QueryStrings },
		func(o *cdn.OriginRequestPolicy) *cdn.Selection { return &o.QueryStrings })
	if query == "" || takesNothing(cache) && takesNothing(request) {
		return ""
	}
	if cache.Behavior == "all" || request.Behavior == "all" {
		return query
	}
	var b strings.Builder
	for piece := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(piece, "=")
		if piece == "" || !takes(cache, name) && !takes(request, name) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(piece)
	}
	return b.String()
}

// sections picks a part of both policies; an absent policy takes nothing.
func (r *Rules) sections(c func(*cdn.CachePolicy) *cdn.Selection, o func(*cdn.OriginRequestPolicy) *cdn.Selection) (cache, request *cdn.Selection) {
	cache, request = &cdn.Selection{}, &cdn.Selection{}
	if r.Cache != nil {
		cache = c(r.Cache)
	}
	if r.OriginRequest != nil {
		request = o(r.OriginRequest)
	}
	return cache, request
}

func takesNothing(sel *cdn.Selection) bool {
	return sel.Behavior != "all" && sel.Behavior != "whitelist" && sel.Behavior != "allExcept"
}

// takes reports whether sel takes the cookie or query string of this name; both are
// case-sensitive and a "*" is an ordinary letter.
func takes(sel *cdn.Selection, name string) bool {
	switch sel.Behavior {
	case "all":
		return true
	case "whitelist":
		return slices.Contains(sel.Names, name)
	case "allExcept":
		return !slices.Contains(sel.Names, name)
	}
	return false
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

func appended(list, item string) string {
	if list == "" {
		return item
	}
	return list + ", " + item
}
