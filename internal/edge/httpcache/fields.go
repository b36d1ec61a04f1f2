package httpcache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pqfront/internal/httpfield"
)

// directive is a bit per Cache-Control directive that takes part.
type directive uint16

const (
	noStore directive = 1 << iota
	noCache
	private
	public
	mustRevalidate // or proxy-revalidate
	maxAge
	sMaxAge
	staleWhileRevalidate
	staleIfError
)

// cacheControl is a response's Cache-Control.
type cacheControl struct {
	set                                                 directive
	maxAge, sMaxAge, staleWhileRevalidate, staleIfError time.Duration
	// withheld are the names of fields that must not be reused: no-cache="a, b" and
	// private="a, b".
	withheld []string
}

func (c *cacheControl) withholds(name string) bool {
	return slices.ContainsFunc(c.withheld, func(w string) bool { return strings.EqualFold(w, name) })
}

func (c *cacheControl) has(d directive) bool { return c.set&d != 0 }

// refusal is why the origin does not want the response reused; Stored when it does.
func (c *cacheControl) refusal() Reason {
	switch {
	case c.has(noStore):
		return NotNoStore
	case c.has(private):
		return NotPrivate
	case c.has(noCache):
		return NotNoCache
	}
	return Stored
}

// maxSeconds is the longest time that counts: CloudFront takes max-age up to 100 years.
const maxSeconds = 100 * 365 * 24 * 3600

// parseCacheControl reads every Cache-Control line (RFC 9111, Section 5.2). Of a directive
// that occurs twice the first counts (RFC 9111, Section 4.2.1); a malformed time is 0.
func parseCacheControl(h httpfield.Fields) cacheControl {
	var c cacheControl
	for i := range h {
		if h[i].Name != "cache-control" {
			continue
		}
		for rest := h[i].Value; rest != ""; {
			var name, value string
			var quoted bool
			name, value, quoted, rest = cutDirective(rest)
			c.add(name, value, quoted)
		}
	}
	return c
}

func (c *cacheControl) add(name, value string, quoted bool) {
	flag := func(d directive) { c.set |= d }
	seconds := func(d directive, to *time.Duration) {
		if !c.has(d) {
			*to = parseSeconds(value)
			c.set |= d
		}
	}
	switch strings.ToLower(name) {
	case "no-store":
		flag(noStore)
	case "no-cache":
		// With names it is about these fields only (RFC 9111, Section 5.2.2.4;
		// CloudFront: Cache content based on cookies: no-cache="Set-Cookie"). They must be
		// quoted: no-cache=1 is somebody's mistake, and means the whole.
		if !c.withhold(value) || !quoted {
			flag(noCache)
		}
	case "private":
		c.withhold(value)
		flag(private)
	case "public":
		flag(public)
	case "must-revalidate", "proxy-revalidate":
		flag(mustRevalidate)
	case "max-age":
		seconds(maxAge, &c.maxAge)
	case "s-maxage":
		seconds(sMaxAge, &c.sMaxAge)
	case "stale-while-revalidate":
		seconds(staleWhileRevalidate, &c.staleWhileRevalidate)
	case "stale-if-error":
		seconds(staleIfError, &c.staleIfError)
	}
}

// withhold notes the names in a directive's value; false when there are none.
func (c *cacheControl) withhold(names string) (any bool) {
	for name := range strings.SplitSeq(names, ",") {
		if name = trim(name); name != "" {
			c.withheld = append(c.withheld, name)
			any = true
		}
	}
	return any
}

// cutDirective takes one directive off s. A quoted value may hold commas
// (RFC 9111, Section 5.2: private="a, b").
func cutDirective(s string) (name, value string, quoted bool, rest string) {
	end := strings.IndexAny(s, ",=")
	switch {
	case end < 0:
		return trim(s), "", false, ""
	case s[end] == ',':
		return trim(s[:end]), "", false, s[end+1:]
	}
	name, s = trim(s[:end]), strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return name, trim(value), false, rest
	}
	var b strings.Builder
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	_, rest, _ = strings.Cut(s[min(i+1, len(s)):], ",")
	return name, b.String(), true, rest
}

func trim(s string) string { return strings.Trim(s, " \t") }

// parseSeconds reads delta-seconds (RFC 9111, Section 1.2.2); too large values are capped,
// malformed ones are 0: stale (RFC 9111, Section 4.2.1).
func parseSeconds(s string) time.Duration {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > maxSeconds {
		n = maxSeconds
	}
	return time.Duration(n) * time.Second
}

// ageField is the Age that the response came with; malformed ones are 0
// (RFC 9111, Section 5.1).
func ageField(h httpfield.Fields) time.Duration {
	v, _, _ := strings.Cut(h.Get("age"), ",")
	return parseSeconds(trim(v))
}

func parseDate(s string) (time.Time, bool) {
	t, err := http.ParseTime(s)
	return t, err == nil
}

func varyStar(h httpfield.Fields) bool {
	for i := range h {
		if h[i].Name != "vary" {
			continue
		}
		for tok := range strings.SplitSeq(h[i].Value, ",") {
			if trim(tok) == "*" {
				return true
			}
		}
	}
	return false
}
