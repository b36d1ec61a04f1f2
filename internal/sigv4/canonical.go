package sigv4

import (
	"slices"
	"strings"
)

// CanonicalPath returns path percent-encoded the way S3 encodes it before it checks a
// signature: every byte but unreserved characters and "/". A client that also sends
// this form cannot be misunderstood by servers that skip the decoding.
func CanonicalPath(path string) string { return canonicalPath(path, "s3", false) }

// CanonicalQuery returns the raw query with its parameters encoded and sorted. "+"
// stands for a space, as in HTML forms.
func CanonicalQuery(query string) string { return canonicalQuery(query, "") }

// singleEncoded tells services whose canonical path is the path encoded once and not
// normalized; all others encode the path as sent once more.
func singleEncoded(service string) bool {
	switch service {
	case "s3", "s3express", "s3-object-lambda", "s3-outposts":
		return true
	}
	return false
}

func canonicalPath(path, service string, normalized bool) string {
	if path == "" {
		return "/"
	}
	if singleEncoded(service) {
		return escape(unescape(path, false), true)
	}
	if normalized {
		path = normalize(path)
	}
	return escape(path, true)
}

// normalize removes dot segments and empty segments but keeps a trailing slash.
func normalize(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(path, "/")
	for _, s := range segments {
		switch s {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, s)
		}
	}
	p := "/" + strings.Join(out, "/")
	last := segments[len(segments)-1]
	if (last == "" || last == "." || last == "..") && len(out) > 0 {
		p += "/"
	}
	return p
}

// canonicalQuery encodes and sorts parameters; the one called without is left out.
func canonicalQuery(query, without string) string {
	if query == "" {
		return ""
	}
	var pairs []Field
	for p := range strings.SplitSeq(query, "&") {
		if p == "" {
			continue
		}
		name, value, _ := strings.Cut(p, "=")
		name = unescape(name, true)
		if without != "" && name == without {
			continue
		}
		pairs = append(pairs, Field{escape(name, false), escape(unescape(value, true), false)})
	}
	slices.SortStableFunc(pairs, func(a, b Field) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.Name)
		b.WriteByte('=')
		b.WriteString(p.Value)
	}
	return b.String()
}

const upperHex = "0123456789ABCDEF"

// escape percent-encodes every byte but the unreserved ones of RFC 3986, Section 2.3,
// and "/" where it is kept.
func escape(s string, keepSlash bool) string {
	n := 0
	for i := range len(s) {
		if !unreserved(s[i]) && !(keepSlash && s[i] == '/') {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || keepSlash && c == '/' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// unescape decodes percent-encoding; a "%" that starts none stands for itself.
func unescape(s string, plusIsSpace bool) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, fromHex(s[i+1])<<4|fromHex(s[i+2]))
			i += 2
		case s[i] == '+' && plusIsSpace:
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func fromHex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
