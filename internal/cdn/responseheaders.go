package cdn

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// NewResponseHeadersPolicy checks spec and returns it as a response headers policy,
// with ALL in the allowed methods expanded and header names in lower case. It reports
// everything that is wrong at once, with fields as in CloudFront's
// ResponseHeadersPolicyConfig.
func NewResponseHeadersPolicy(spec ResponseHeadersPolicy, rules Rules) (*ResponseHeadersPolicy, []Problem) {
	p, q := &spec, rules.Quotas.withDefaults()
	var ps problems
	ps.checkPolicyIdentity(p.ID, p.Name, p.Comment)
	if p.CORS != nil {
		ps.checkCORS(p.CORS)
	}
	ps.checkSecurityHeaders(&p.Security)
	ps.checkCustomHeaders(p, q.CustomHeaders)
	ps.checkRemoveHeaders(p, q.RemoveHeaders)
	if p.ServerTimingSampling > 100 {
		ps.add(CodeInvalidArgument, "ServerTimingHeadersConfig.SamplingRate", "is %v: use 0 to 100 percent", p.ServerTimingSampling)
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return p, nil
}

// XSSProtection makes the value of X-XSS-Protection.
func XSSProtection(protect, block bool, report string) string {
	switch {
	case !protect:
		return "0"
	case block:
		return "1; mode=block"
	case report != "":
		return "1; report=" + report
	}
	return "1"
}

// StrictTransportSecurity makes the value of Strict-Transport-Security
// (RFC 6797, Section 6.1).
func StrictTransportSecurity(maxAge int64, subdomains, preload bool) string {
	v := "max-age=" + strconv.FormatInt(maxAge, 10)
	if subdomains {
		v += "; includeSubDomains"
	}
	if preload {
		v += "; preload"
	}
	return v
}

// corsMethods are what ALL stands for.
func corsMethods() []string {
	return []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"}
}

// checkCORS: CloudFront: Understand response headers policies, CORS headers.
func (ps *problems) checkCORS(c *CORS) {
	const at = "CorsConfig"
	if len(c.AllowOrigins) == 0 {
		ps.add(CodeInvalidArgument, at+".AccessControlAllowOrigins", "is empty: name an origin, or * for all")
	}
	for i, origin := range c.AllowOrigins {
		if why := corsOriginError(origin); why != "" {
			ps.add(CodeInvalidArgument, item(at+".AccessControlAllowOrigins", i), "%q %s", origin, why)
		}
	}
	ps.checkHeaderNames(at+".AccessControlAllowHeaders", c.AllowHeaders, true)
	ps.checkHeaderNames(at+".AccessControlExposeHeaders", c.ExposeHeaders, false)
	for i, m := range c.AllowMethods {
		ps.oneOf(CodeInvalidArgument, item(at+".AccessControlAllowMethods", i), m, append([]string{"ALL"}, corsMethods()...)...)
	}
	switch {
	case len(c.AllowMethods) == 0:
		ps.add(CodeInvalidArgument, at+".AccessControlAllowMethods", "is empty: name a method, or ALL")
	case slices.Contains(c.AllowMethods, "ALL"):
		if len(c.AllowMethods) > 1 {
			ps.add(CodeInvalidArgument, at+".AccessControlAllowMethods", "has ALL and methods: ALL alone stands for all")
		}
		c.AllowMethods = corsMethods()
	}
	if c.MaxAge > maxTTL {
		ps.add(CodeInvalidArgument, at+".AccessControlMaxAgeSec", "is longer than 100 years: correct it")
	}
}

// checkHeaderNames checks a list of names in which * stands for all.
func (ps *problems) checkHeaderNames(field string, names []string, required bool) {
	if required && len(names) == 0 {
		ps.add(CodeInvalidArgument, field, "is empty: name a header, or * for all")
	}
	for i, name := range names {
		if !isToken(name) {
			ps.add(CodeInvalidArgument, item(field, i), "%q is not a header's name: use letters, digits and hyphens", name)
		}
	}
}

// corsOriginError checks a pattern of origins: *, or scheme, host and port with a
// wildcard for the leftmost label and for the port
// (CloudFront: Understand response headers policies, CORS headers).
func corsOriginError(s string) string {
	if s == "*" {
		return ""
	}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return "has another scheme than http and https: correct it"
		}
		rest = after
	}
	host, port, hasPort := strings.Cut(rest, ":")
	if hasPort && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789*") != "") {
		return "has a port that is neither a number nor a wildcard: correct it"
	}
	if strings.Contains(strings.TrimPrefix(host, "*."), "*") {
		return "has a wildcard that is not the leftmost label: write it as *.example.org"
	}
	if strings.Contains(host, "/") {
		return "has a path: give scheme, host and port only"
	}
	if why := hostNameError(strings.ToLower(strings.TrimPrefix(host, "*."))); why != "" && !strings.Contains(why, "IP address") {
		return why
	}
	return ""
}

// checkSecurityHeaders: CloudFront: Understand response headers policies, Security
// headers.
func (ps *problems) checkSecurityHeaders(s *SecurityHeaders) {
	const at = "SecurityHeadersConfig"
	if h := s.FrameOptions; h != nil {
		ps.oneOf(CodeInvalidArgument, at+".FrameOptions.FrameOption", h.Value, "DENY", "SAMEORIGIN")
	}
	if h := s.ReferrerPolicy; h != nil {
		ps.oneOf(CodeInvalidArgument, at+".ReferrerPolicy.ReferrerPolicy", h.Value,
			"no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin",
			"same-origin", "strict-origin", "strict-origin-when-cross-origin", "unsafe-url")
	}
	if h := s.ContentSecurityPolicy; h != nil {
		switch {
		case h.Value == "" || !isFieldValue(h.Value):
			ps.add(CodeInvalidArgument, at+".ContentSecurityPolicy.ContentSecurityPolicy", "is empty, or has control characters or spaces around it: correct it")
		case len(h.Value) > maxHeaderValue:
			ps.add(CodeTooLongCSP, at+".ContentSecurityPolicy.ContentSecurityPolicy", "has %d characters: use at most %d", len(h.Value), maxHeaderValue)
		}
	}
	if h := s.XSSProtection; h != nil && (!isFieldValue(h.Value) || len(h.Value) > maxHeaderValue) {
		ps.add(CodeInvalidArgument, at+".XSSProtection.ReportUri", "has control characters, or is too long: correct it")
	}
}

// checkCustomHeaders: CloudFront: Quotas, Quotas on policies.
func (ps *problems) checkCustomHeaders(p *ResponseHeadersPolicy, most int) {
	const at = "CustomHeadersConfig"
	if n := len(p.Custom); n > most {
		ps.add(CodeTooManyCustomHeadersInPolicy, at, "%d headers: use at most %d", n, most)
	}
	seen := map[string]int{}
	for i := range p.Custom {
		h, field := &p.Custom[i], item(at, i)
		h.Name = strings.ToLower(h.Name)
		switch first, twice := seen[h.Name]; {
		case !isToken(h.Name):
			ps.add(CodeInvalidArgument, field+".Header", "%q is not a header's name: use letters, digits and hyphens", h.Name)
		case isFraming(h.Name):
			ps.add(CodeInvalidArgument, field+".Header", "%q cannot be set by a policy: remove it", h.Name)
		case twice:
			ps.add(CodeInvalidArgument, field+".Header", "%q is there twice, first at %s: remove one", h.Name, item(at, first))
		default:
			seen[h.Name] = i
		}
		ps.longest(field+".Header", h.Name, maxHeaderName)
		if !isFieldValue(h.Value) {
			ps.add(CodeInvalidArgument, field+".Value", "has control characters or spaces around it: remove them")
		}
		ps.longest(field+".Value", h.Value, maxHeaderValue)
	}
}

// isFraming reports whether a header would break the message when a policy set it
// (RFC 9110, Section 7.6.1; RFC 9112, Section 6).
func isFraming(lower string) bool {
	switch lower {
	case "connection", "content-encoding", "content-length", "keep-alive", "proxy-connection", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

func (ps *problems) checkRemoveHeaders(p *ResponseHeadersPolicy, most int) {
	const at = "RemoveHeadersConfig"
	if n := len(p.Remove); n > most {
		ps.add(CodeTooManyRemoveHeadersInPolicy, at, "%d headers: use at most %d", n, most)
	}
	for i, name := range p.Remove {
		lower := strings.ToLower(name)
		switch {
		case !isToken(name):
			ps.add(CodeInvalidArgument, item(at, i)+".Header", "%q is not a header's name: use letters, digits and hyphens", name)
		case isUnremovable(lower):
			ps.add(CodeInvalidArgument, item(at, i)+".Header", "%q cannot be removed: leave it out", name)
		case slices.Contains(p.Remove[:i], lower):
			ps.add(CodeInvalidArgument, item(at, i)+".Header", "%q is there twice: remove one", name)
		}
		p.Remove[i] = lower
	}
}

// isUnremovable: CloudFront: Understand response headers policies, Headers that you
// can't remove.
func isUnremovable(lower string) bool {
	switch lower {
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
	return strings.HasPrefix(lower, "x-amz-cf-") || strings.HasPrefix(lower, "x-edge-")
}

// NoMaxAge is CORS.MaxAge when the header is not sent.
const NoMaxAge = -1 * time.Second
