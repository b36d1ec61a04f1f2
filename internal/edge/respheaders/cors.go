package respheaders

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

// isCORS reports whether name is one of the response fields of the CORS protocol that
// a policy manages.
func isCORS(name string) bool {
	switch name {
	case "access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods",
		"access-control-allow-headers", "access-control-expose-headers", "access-control-max-age":
		return true
	}
	return false
}

// addCORS replaces the CORS fields by the policy's (CloudFront: Understand response
// headers policies, CORS headers). Methods, headers and max-age are for preflights;
// allow-origin, credentials and expose-headers for every CORS request. A request
// without Origin is none, and gets nothing. So does one whose Origin is not allowed:
// then the origin's fields go too, for the policy overrides them.
func addCORS(h httpfield.Fields, c *cdn.CORS, v Viewer) httpfield.Fields {
	if v.Origin == "" {
		return h
	}
	h = slices.DeleteFunc(h, func(f httpfield.Field) bool { return isCORS(f.Name) })
	allowed := allowOrigin(c.AllowOrigins, v.Origin)
	if allowed == "" {
		return h
	}
	h.Add("access-control-allow-origin", allowed)
	if c.AllowCredentials {
		h.Add("access-control-allow-credentials", "true")
	}
	if v.Method == "OPTIONS" && v.RequestMethod != "" {
		if len(c.AllowMethods) > 0 {
			h.Add("access-control-allow-methods", strings.Join(expandMethods(c.AllowMethods), ", "))
		}
		if len(c.AllowHeaders) > 0 {
			h.Add("access-control-allow-headers", strings.Join(c.AllowHeaders, ", "))
		}
		if c.MaxAge >= 0 {
			h.Add("access-control-max-age", strconv.FormatInt(int64(c.MaxAge/time.Second), 10))
		}
	}
	if len(c.ExposeHeaders) > 0 {
		h.Add("access-control-expose-headers", strings.Join(c.ExposeHeaders, ", "))
	}
	return h
}

// expandMethods writes out ALL (CloudFront: Understand response headers policies,
// Access-Control-Allow-Methods).
func expandMethods(methods []string) []string {
	if slices.Contains(methods, "ALL") {
		return []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
	}
	return methods
}

// allowOrigin returns the value of Access-Control-Allow-Origin: "*", the request's
// origin when a pattern allows it, or "".
func allowOrigin(patterns []string, origin string) string {
	if slices.Contains(patterns, "*") {
		return "*"
	}
	for _, p := range patterns {
		if originMatches(p, origin) {
			return origin
		}
	}
	return ""
}

// originMatches compares an origin (scheme://host[:port], RFC 6454, Section 6.2) with
// a pattern: the scheme may be missing, "*" may be the leftmost part of the host
// (then it stands for one or more labels), and the port may hold "*".
func originMatches(pattern, origin string) bool {
	if origin == pattern {
		return true // "null" can be listed literally
	}
	scheme, host, port, ok := splitOrigin(origin)
	if !ok {
		return false
	}
	pScheme, rest, has := strings.Cut(pattern, "://")
	if !has {
		pScheme, rest = "", pattern
	}
	if pScheme != "" && !strings.EqualFold(pScheme, scheme) {
		return false
	}
	if pScheme == "" && scheme != "http" && scheme != "https" {
		return false
	}
	pHost, pPort := splitPort(rest)
	return hostMatches(pHost, host) && portMatches(pPort, port, scheme)
}

func splitOrigin(origin string) (scheme, host, port string, ok bool) {
	scheme, rest, ok := strings.Cut(origin, "://")
	if !ok || rest == "" || strings.ContainsAny(rest, "/?#@ ,") {
		return "", "", "", false
	}
	host, port = splitPort(rest)
	// The length of the port bounds the work of a pattern with several "*".
	return strings.ToLower(scheme), strings.ToLower(host), port, host != "" && len(port) <= 5
}

// splitPort cuts at the last colon that is not inside an IPv6 literal.
func splitPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i < strings.LastIndexByte(s, ']') {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func hostMatches(pattern, host string) bool {
	pattern = strings.ToLower(pattern)
	if suffix, wild := strings.CutPrefix(pattern, "*."); wild {
		return len(host) > len(suffix)+1 && strings.HasSuffix(host, "."+suffix)
	}
	return pattern == host
}

// portMatches: no port in the pattern means the scheme's own, which browsers leave out.
func portMatches(pattern, port, scheme string) bool {
	own := ""
	switch scheme {
	case "http":
		own = "80"
	case "https":
		own = "443"
	}
	if port == "" {
		port = own
	}
	if pattern == "" {
		return port == own
	}
	return glob(pattern, port)
}

// glob matches s against a pattern in which "*" stands for any characters.
func glob(pattern, s string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for i := 0; i <= len(s); i++ {
		if glob(rest, s[i:]) {
			return true
		}
	}
	return false
}
