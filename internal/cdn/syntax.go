package cdn

import (
	"net/netip"
	"strings"
)

// maxHostName is the longest domain name (RFC 1035, Section 2.3.4, without the
// root's dot).
const maxHostName = 253

// hostNameError says what is wrong with a host name, "" when nothing is. Underscores
// are taken, since names with them exist and CloudFront takes them.
func hostNameError(name string) string {
	switch {
	case name == "":
		return "is missing: give a domain name"
	case len(name) > maxHostName:
		return "is longer than a domain name can be: use at most 253 characters"
	case name != strings.ToLower(name):
		return "has upper-case letters: write it in lower case"
	case strings.HasSuffix(name, "."):
		return "ends with a dot: leave it out"
	case strings.Contains(name, "://"), strings.Contains(name, "/"):
		return "is a URL or a path: give the domain name only"
	case strings.Contains(name, ":"):
		return "has a port or is an IPv6 address: give the domain name only"
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "is an IP address: give a domain name"
	}
	for label := range strings.SplitSeq(name, ".") {
		if why := labelError(label); why != "" {
			return why
		}
	}
	return ""
}

// labelError checks one label (RFC 1123, Section 2.1).
func labelError(label string) string {
	switch {
	case label == "":
		return "has an empty label: remove the extra dot"
	case len(label) > 63:
		return "has a label of more than 63 characters: shorten it"
	case label[0] == '-' || label[len(label)-1] == '-':
		return "has a label that begins or ends with a hyphen: correct it"
	}
	for i := range len(label) {
		if c := label[i]; !isAlnum(c) && c != '-' && c != '_' {
			return "has characters that a domain name cannot have: use letters, digits, hyphens and dots (international names in their xn-- form)"
		}
	}
	return ""
}

// aliasError checks an alternate domain name
// (CloudFront: Use custom URLs by adding alternate domain names, Requirements;
// Use wildcards in alternate domain names).
func aliasError(name string) string {
	parent, wildcard := strings.CutPrefix(name, "*.")
	if strings.Contains(parent, "*") {
		return "has a wildcard that is not the whole first label: write it as *.example.com"
	}
	if wildcard && parent == "" {
		return "is a wildcard for everything: name a domain below which it holds"
	}
	return hostNameError(parent)
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isToken reports whether s can be a header's or cookie's name (RFC 9110, Section 5.6.2).
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// isFieldValue reports whether s can be a header's value: no control characters, no
// white space around it (RFC 9110, Section 5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}

// isPathText reports whether s has only characters that a path may have, escapes
// included (RFC 3986, Section 3.3).
func isPathText(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && strings.IndexByte("-._~!$&'()*+,;=:@/%", c) < 0 {
			return false
		}
	}
	return true
}

// isPatternText reports whether s has only characters that a path pattern may have
// (CloudFront: All distribution settings reference, Path pattern). Those that only
// their escapes stand for in URLs, such as quotes, are among them.
func isPatternText(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && strings.IndexByte("_-.*$/~\"'@:+&?%!(),;=[]", c) < 0 {
			return false
		}
	}
	return true
}

// isID reports whether s is letters, digits and some marks, as ids are.
func isID(s, marks string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}
