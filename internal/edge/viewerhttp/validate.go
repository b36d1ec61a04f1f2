package viewerhttp

import (
	"net/netip"
	"strings"
)

// Character classes, one bit each, so that one table serves all checks.
const (
	isToken  = 1 << iota // tchar (RFC 9110, Section 5.6.2)
	isUpper              // A-Z
	isValue              // field-vchar, SP and HTAB (RFC 9110, Section 5.5)
	isTarget             // what we take in a request target
	isHex                // HEXDIG in either case
	isHost               // letters, digits, "-", ".", "_"
)

var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	for c := range 256 {
		b := byte(c)
		letter := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
		digit := '0' <= b && b <= '9'
		if letter || digit || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0 {
			t[c] |= isToken
		}
		if 'A' <= b && b <= 'Z' {
			t[c] |= isUpper
		}
		if b == '\t' || b >= ' ' && b != 0x7f {
			t[c] |= isValue
		}
		// Browsers leave |, {, }, ^ and the like unencoded in queries, so we take all of
		// printable ASCII but the fragment sign (RFC 9112, Section 3.2).
		if '!' <= b && b <= '~' && b != '#' {
			t[c] |= isTarget
		}
		if digit || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F' {
			t[c] |= isHex
		}
		if letter || digit || b == '-' || b == '.' || b == '_' {
			t[c] |= isHost
		}
	}
	return t
}

// all reports whether every byte of s has one of the wanted classes and none of
// the unwanted ones.
func all[T ~string | ~[]byte](s T, want, not uint8) bool {
	for i := range len(s) {
		if c := classes[s[i]]; c&want == 0 || c&not != 0 {
			return false
		}
	}
	return true
}

// validMethod reports whether s is a method that we look at: a token of at most 32
// bytes (the longest registered one has 17).
func validMethod[T ~string | ~[]byte](s T) bool {
	return 0 < len(s) && len(s) <= 32 && all(s, isToken, 0)
}

// validFieldName reports whether s is a field name in any case.
func validFieldName[T ~string | ~[]byte](s T) bool {
	return len(s) > 0 && all(s, isToken, 0)
}

// validLowerFieldName is validFieldName without capitals, as HTTP/2 and HTTP/3
// demand (RFC 9113, Section 8.2.1; RFC 9114, Section 4.2).
func validLowerFieldName[T ~string | ~[]byte](s T) bool {
	return len(s) > 0 && all(s, isToken, isUpper)
}

// validFieldValue reports whether s holds no control characters but HTAB.
func validFieldValue[T ~string | ~[]byte](s T) bool { return all(s, isValue, 0) }

// trimmed reports whether s neither starts nor ends with white space, as a field
// value must after parsing (RFC 9110, Section 5.5).
func trimmed(s string) bool {
	return s == "" || !isSpace(s[0]) && !isSpace(s[len(s)-1])
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' }

// splitTarget checks a request target in origin-form or "*" (:path, or what follows
// the authority in absolute-form) and takes it apart. method decides whether "*"
// is allowed (RFC 9112, Section 3.2.4).
func splitTarget(target, method string) (path, query string, hasQuery, ok bool) {
	if target == "*" {
		return target, "", false, method == "OPTIONS"
	}
	if target == "" || target[0] != '/' || !all(target, isTarget, 0) {
		return "", "", false, false
	}
	path, query, hasQuery = strings.Cut(target, "?")
	return path, query, hasQuery, validPercents(path)
}

// validPercents reports whether every "%" in a path starts two hex digits (RFC
// 3986, Section 2.1). Queries are not checked: half of the web writes "100%" there,
// and nobody decodes them on the way.
func validPercents(path string) bool {
	for {
		i := strings.IndexByte(path, '%')
		if i < 0 {
			return true
		}
		if len(path) < i+3 || !all(path[i+1:i+3], isHex, 0) {
			return false
		}
		path = path[i+3:]
	}
}

// normalAuthority checks a host with optional port and returns it in lower case.
// It takes names of letters, digits, "-", ".", "_", IPv4 addresses and IPv6
// addresses in brackets; no user information (RFC 9110, Section 4.2.4), no
// percent-encoding, no empty port.
func normalAuthority(s string) (string, bool) {
	host, port, hasPort := s, "", false
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", false
		}
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		rest := s[end+1:]
		if rest != "" && rest[0] != ':' {
			return "", false
		}
		hasPort, port = rest != "", strings.TrimPrefix(rest, ":")
	} else {
		host, port, hasPort = strings.Cut(s, ":")
		// 253 is what the DNS can hold, one more for a closing dot.
		if host == "" || len(host) > 254 || !all(host, isHost, 0) || host[0] == '.' || strings.Contains(host, "..") {
			return "", false
		}
	}
	if hasPort && !validPort(port) {
		return "", false
	}
	return strings.ToLower(s), true
}

func validPort(s string) bool {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || i == 5 {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return 1 <= n && n <= 65535
}

// parseContentLength takes one or more decimal digits and nothing else (RFC 9110,
// Section 8.6): no sign, no list, no white space inside, no overflow.
func parseContentLength(s string) (int64, bool) {
	if s == "" || len(s) > 18 { // 18 digits always fit an int64
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}
