package respheaders

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

// policyInput is what a response headers policy works on.
type policyInput struct {
	Policy    *cdn.ResponseHeadersPolicy
	Viewer    Viewer
	Identity  *Identity
	Result    Result
	RequestID string
	Now       time.Time
	Timing    Timing
}

// applyPolicy removes, then adds: the security fields in CloudFront's order, CORS,
// custom ones, Vary, Server-Timing (CloudFront: Understand response headers policies).
func applyPolicy(h httpfield.Fields, in policyInput) httpfield.Fields {
	p := in.Policy
	if p == nil {
		return h
	}
	// Which CORS fields the origin sent is judged before anything is removed.
	originHasCORS := slices.ContainsFunc(h, func(f httpfield.Field) bool { return isCORS(f.Name) })
	h = remove(h, in)
	s := &p.Security
	for _, f := range [...]*cdn.OverridableHeader{s.XSSProtection, s.FrameOptions, s.ReferrerPolicy,
		s.ContentSecurityPolicy, s.ContentTypeOptions} {
		if f != nil {
			h = addOverridable(h, *f)
		}
	}
	// RFC 6797, Section 7.2: no Strict-Transport-Security over plain HTTP.
	if s.StrictTransport != nil && in.Viewer.HTTPS {
		h = addOverridable(h, *s.StrictTransport)
	}
	varyOrigin := false
	if p.CORS != nil && (p.CORS.OriginOverride || !originHasCORS) {
		h = addCORS(h, p.CORS, in.Viewer)
		varyOrigin = !slices.Contains(p.CORS.AllowOrigins, "*")
	}
	for _, f := range p.Custom {
		if !fixed(f.Name) && !in.Identity.owns(f.Name) {
			h = addOverridable(h, f)
		}
	}
	if varyOrigin {
		h = addVaryOrigin(h)
	}
	return addServerTiming(h, in)
}

// remove takes the policy's names out. Server and Date are replaced by our own
// (CloudFront: Understand response headers policies, Remove headers).
func remove(h httpfield.Fields, in policyInput) httpfield.Fields {
	for _, name := range in.Policy.Remove {
		switch {
		case fixed(name) || in.Identity.owns(name):
		case name == "server":
			h.Set(name, in.Identity.server)
		case name == "date":
			h.Set(name, httpDate(in.Now))
		default:
			h.Del(name)
		}
	}
	return h
}

// addOverridable adds a field, or lets the origin's win.
func addOverridable(h httpfield.Fields, f cdn.OverridableHeader) httpfield.Fields {
	if h.Has(f.Name) {
		if !f.Override {
			return h
		}
		h.Del(f.Name)
	}
	h.Add(f.Name, f.Value)
	return h
}

// addVaryOrigin: an answer whose Access-Control-Allow-Origin depends on the request's
// Origin says so, also when there was none (Fetch Standard, CORS protocol and HTTP
// caches; CloudFront: seen in captures, after the custom fields).
func addVaryOrigin(h httpfield.Fields) httpfield.Fields {
	if v := h.Joined("vary"); v != "" {
		if !hasToken(v, "origin") && !hasToken(v, "*") {
			h.Set("vary", v+", Origin")
		}
		return h
	}
	h.Add("vary", "Origin")
	return h
}

// fixed reports whether no policy may remove or set the field (CloudFront: Understand
// response headers policies, Headers that you can't remove).
func fixed(name string) bool {
	switch name {
	case "connection", "content-encoding", "content-length", "expect", "host", "keep-alive",
		"proxy-authenticate", "proxy-authorization", "proxy-connection", "trailer", "transfer-encoding",
		"upgrade", "via", "warning",
		"x-accel-buffering", "x-accel-charset", "x-accel-limit-rate", "x-accel-redirect",
		"x-amzn-auth", "x-amzn-cf-billing", "x-amzn-cf-id", "x-amzn-cf-xff", "x-amzn-errortype",
		"x-amzn-fle-profile", "x-amzn-header-count", "x-amzn-header-order",
		"x-amzn-lambda-integration-tag", "x-amzn-requestid",
		"x-cache", "x-forwarded-proto", "x-real-ip":
		return true
	}
	return strings.HasPrefix(name, "x-amz-cf-") || strings.HasPrefix(name, "x-edge-")
}

// Timing is what Server-Timing tells of one request (CloudFront: Understand response
// headers policies, Server-Timing header). Times below zero are unknown and left out.
type Timing struct {
	// Sample is a number drawn evenly from 0 (included) to 100 (excluded), so that
	// this package needs no randomness of its own.
	Sample float64
	// HitLayer is where a hit was found, UpstreamLayer who asked the origin: "EDGE"
	// when empty.
	HitLayer, UpstreamLayer string
	DNS, Connect            time.Duration // until the origin's address; its connection
	UpstreamFirstByte       time.Duration
	DownstreamFirstByte     time.Duration
}

// addServerTiming adds the metrics when the sample says so or the viewer asks with
// "Pragma: server-timing". On a miss the origin's own metrics stay in front, on a hit
// they are stale and go.
func addServerTiming(h httpfield.Fields, in policyInput) httpfield.Fields {
	rate := in.Policy.ServerTimingSampling
	if rate < 0 {
		return h
	}
	if in.Timing.Sample >= rate && !hasToken(in.Viewer.Pragma, "server-timing") {
		return h
	}
	before := h.Joined("server-timing")
	h.Del("server-timing")
	if in.Result == Hit {
		before = ""
	}
	h.Add("server-timing", in.Timing.format(before, in))
	return h
}

func (t *Timing) format(before string, in policyInput) string {
	var b strings.Builder
	metric := func(name string) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
	}
	desc := func(name, text string) {
		metric(name)
		b.WriteString(`;desc="` + text + `"`)
	}
	dur := func(name string, d time.Duration) {
		if d >= 0 {
			metric(name)
			b.WriteString(";dur=" + strconv.FormatInt(d.Milliseconds(), 10))
		}
	}
	if before != "" {
		metric(before)
	}
	switch in.Result {
	case Hit:
		metric("cdn-cache-hit")
	default: // the origin took part
		desc("cdn-upstream-layer", orEdge(t.UpstreamLayer))
		dur("cdn-upstream-dns", t.DNS)
		dur("cdn-upstream-connect", t.Connect)
		dur("cdn-upstream-fbl", t.UpstreamFirstByte)
		if in.Result == RefreshHit {
			metric("cdn-cache-refresh")
		} else {
			metric("cdn-cache-miss")
		}
	}
	desc("cdn-pop", in.Identity.pop)
	desc("cdn-rid", in.RequestID)
	if in.Result == Hit {
		desc("cdn-hit-layer", orEdge(t.HitLayer))
	}
	dur("cdn-downstream-fbl", t.DownstreamFirstByte)
	return b.String()
}

func orEdge(layer string) string {
	if layer == "" {
		return "EDGE"
	}
	return layer
}
