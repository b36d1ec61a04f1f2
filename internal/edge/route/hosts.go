// Package route answers: which distribution, and which cache behavior?
//
// It is pure: names and patterns are compiled once, then a host finds a number in
// constant time and a path finds the first pattern that matches it, in time linear in
// its length and without allocating. What the numbers stand for is the caller's
// affair.
package route

import (
	"fmt"
	"strings"
)

// maxName is the longest domain name (RFC 1035, Section 2.3.4, without the root's dot).
const maxName = 253

// Hosts finds the site of a host name. It is made by Add and not changed after that;
// the zero value has no names.
type Hosts struct {
	exact map[string]int32
	wild  map[string]int32 // parent of a wildcard: example.com for *.example.com
	// deepest is the largest number of labels in wild: no longer parent need be looked for.
	deepest int
}

// TakenError is Add's error for a name that another site has.
type TakenError struct {
	Name string
	Site int // the one that has it
}

// Error says which name is taken.
func (e *TakenError) Error() string {
	return fmt.Sprintf("the name %s belongs to another site already", e.Name)
}

// Add gives name, an exact one or a wildcard such as *.example.com, to site. It
// returns *TakenError when another site has the same one; a site may add a name twice.
func (h *Hosts) Add(name string, site int) error {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > maxName {
		return fmt.Errorf("the name %q has %d letters: use 1 to %d", name, len(name), maxName)
	}
	if h.exact == nil {
		h.exact, h.wild = map[string]int32{}, map[string]int32{}
	}
	names, key := h.exact, name
	if parent, ok := strings.CutPrefix(name, "*."); ok {
		names, key = h.wild, parent
		h.deepest = max(h.deepest, 1+strings.Count(parent, "."))
	}
	if taken, ok := names[key]; ok && int(taken) != site {
		return &TakenError{Name: name, Site: int(taken)}
	}
	names[key] = int32(site)
	return nil
}

// Lookup returns the site of a host name, -1 when it has none. Case and one trailing
// dot do not count. An exact name wins over every wildcard and a wildcard over those
// above it. A wildcard stands for one label or more
// (CloudFront: Use wildcards in alternate domain names).
func (h *Hosts) Lookup(name string) int {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if name == "" || len(name) > maxName {
		return -1
	}
	var buf [maxName]byte
	lower := buf[:len(name)]
	dots := 0
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == '.' {
			dots++
		}
		lower[i] = c
	}
	if site, ok := h.exact[string(lower)]; ok {
		return int(site)
	}
	// The parent has as many labels as lower has dots.
	for start := 0; dots > 0; dots-- {
		for lower[start] != '.' {
			start++
		}
		start++
		if dots > h.deepest {
			continue
		}
		if site, ok := h.wild[string(lower[start:])]; ok && start > 1 {
			return int(site)
		}
	}
	return -1
}

// Hostname returns the host of an authority, without its port and one trailing dot;
// the brackets of an IPv6 address are taken off. "" when there is none.
func Hostname(authority string) string {
	host := authority
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return ""
		}
		if rest := host[end+1:]; rest != "" && !isPort(rest) {
			return ""
		}
		return host[1:end]
	}
	if colon := strings.IndexByte(host, ':'); colon >= 0 {
		if !isPort(host[colon:]) {
			return ""
		}
		host = host[:colon]
	}
	return strings.TrimSuffix(host, ".")
}

// isPort reports whether s is a colon and digits; none are allowed, too
// (RFC 3986, Section 3.2.3).
func isPort(s string) bool {
	if s[0] != ':' || len(s) > len(":65535") {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
