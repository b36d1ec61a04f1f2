// Package cachekey answers: when are two requests the same?
//
// A key is made of the distribution's domain name, the path and whatever the cache
// policy adds: header fields, cookies, query strings and the content codings that the
// viewer takes (CloudFront: Understand the cache key). The package is pure; it does not
// decide whether a request may be answered from a cache at all, and it does not build
// the request to the origin.
package cachekey

import (
	"encoding/binary"
	"slices"
	"strings"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

// Input is everything that a key can be made of.
type Input struct {
	Domain   string // the distribution's own domain name
	Path     string // raw, as the viewer sent it
	Query    string // raw, without "?"
	HasQuery bool
	// Options tells that this is an OPTIONS request of a behavior that caches OPTIONS;
	// its answers are kept apart from those to GET and HEAD.
	Options bool
	// OldViewer tells that the viewer speaks HTTP/1.0: its Accept-Encoding is ignored
	// (CloudFront: Serve compressed files).
	OldViewer bool
	Host      string           // for policies that name the Host header
	Header    httpfield.Fields // the viewer's
	Added     httpfield.Fields // CloudFront-... fields of our own; they win over the viewer's
}

// A key is a sequence of items, each a tag byte and strings with their lengths before
// them, so that no two different inputs can make the same bytes.
const (
	tagOptions  = 'o' // no string
	tagQuery    = 'Q' // the whole query
	tagParam    = 'q' // one name=value piece of the query
	tagHeader   = 'h' // name, value
	tagCookie   = 'c' // one name=value pair
	tagEncoding = 'e' // the normalized Accept-Encoding
)

// Append appends the key of in under policy p to dst and returns the longer slice.
// It begins with the domain and the path, see Split.
func Append(dst []byte, in *Input, p *cdn.CachePolicy) []byte {
	dst = appendString(dst, in.Domain)
	dst = appendString(dst, in.Path)
	if in.Options {
		dst = append(dst, tagOptions)
	}
	dst = appendQuery(dst, in, &p.QueryStrings)
	dst = appendHeaders(dst, in, p)
	dst = appendCookies(dst, in.Header, &p.Cookies)
	if !in.OldViewer {
		if e := Encoding(in.Header, p.Gzip, p.Brotli); e != "" {
			dst = appendString(append(dst, tagEncoding), e)
		}
	}
	return dst
}

// Split returns the domain and the path at the head of a key made by Append; ok is
// false for other bytes.
func Split(key []byte) (domain, path string, ok bool) {
	d, rest, ok := cutString(key)
	if !ok {
		return "", "", false
	}
	p, _, ok := cutString(rest)
	return string(d), string(p), ok
}

func cutString(b []byte) (s, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	end := w + int(n)
	return b[w:end], b[end:], true
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendQuery keeps the viewer's order and spelling: /a?x=1&y=2 and /a?y=2&x=1 are two
// objects (CloudFront: Cache content based on query string parameters).
func appendQuery(dst []byte, in *Input, sel *cdn.Selection) []byte {
	if !in.HasQuery {
		return dst
	}
	if sel.Behavior == "all" {
		return appendString(append(dst, tagQuery), in.Query)
	}
	if takesNothing(sel) {
		return dst
	}
	for piece := range strings.SplitSeq(in.Query, "&") {
		name, _, _ := strings.Cut(piece, "=")
		if piece != "" && takes(sel, name) {
			dst = appendString(append(dst, tagParam), piece)
		}
	}
	return dst
}

// appendHeaders takes the policy's order of names. Names are case-insensitive and a "*"
// inside of them is an ordinary letter (CloudFront: Understand the cache key).
func appendHeaders(dst []byte, in *Input, p *cdn.CachePolicy) []byte {
	if p.Headers.Behavior != "whitelist" {
		return dst
	}
	for _, name := range p.Headers.Names {
		switch {
		case strings.EqualFold(name, "host"):
			dst = appendHeader(dst, "host", in.Host)
			continue
		case strings.EqualFold(name, "accept-encoding") && (p.Gzip || p.Brotli):
			continue // the normalized form stands for it
		}
		from := in.Header
		if hasFold(in.Added, name) || len(name) > 11 && strings.EqualFold(name[:11], "cloudfront-") {
			from = in.Added // what a viewer claims under our own names counts for nothing
		}
		for i := range from {
			if strings.EqualFold(from[i].Name, name) {
				dst = appendHeader(dst, from[i].Name, from[i].Value)
			}
		}
	}
	return dst
}

func appendHeader(dst []byte, name, value string) []byte {
	dst = appendString(append(dst, tagHeader), name)
	return appendString(dst, value)
}

func hasFold(f httpfield.Fields, name string) bool {
	return slices.ContainsFunc(f, func(x httpfield.Field) bool { return strings.EqualFold(x.Name, name) })
}

// appendCookies takes name=value pairs without attributes, sorted by name
// (CloudFront: Cache content based on cookies).
func appendCookies(dst []byte, h httpfield.Fields, sel *cdn.Selection) []byte {
	if takesNothing(sel) {
		return dst
	}
	var space [16]string
	pairs := space[:0]
	for i := range h {
		if h[i].Name != "cookie" {
			continue
		}
		for pair := range strings.SplitSeq(h[i].Value, ";") {
			pair = strings.Trim(pair, " \t")
			if pair == "" || pair[0] == '$' || !takes(sel, cookieName(pair)) {
				continue
			}
			pairs = append(pairs, pair)
		}
	}
	slices.SortStableFunc(pairs, func(a, b string) int { return strings.Compare(cookieName(a), cookieName(b)) })
	for _, pair := range pairs {
		dst = appendString(append(dst, tagCookie), pair)
	}
	return dst
}

func cookieName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimRight(name, " \t")
}

func takesNothing(sel *cdn.Selection) bool {
	return sel.Behavior != "all" && sel.Behavior != "whitelist" && sel.Behavior != "allExcept"
}

// takes reports whether sel takes the cookie or query string of this name; both are
// case-sensitive.
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

// Encoding returns the normalized form of the viewer's Accept-Encoding under a policy
// that enables gzip, brotli or both: "br,gzip", "br", "gzip", or "" when the viewer takes
// neither (CloudFront: Serve compressed files). Codings with weight 0 are not taken
// (RFC 9110, Section 12.5.3).
func Encoding(h httpfield.Fields, gzip, brotli bool) string {
	if !gzip && !brotli {
		return ""
	}
	var br, gz bool
	for i := range h {
		if h[i].Name != "accept-encoding" {
			continue
		}
		for item := range strings.SplitSeq(h[i].Value, ",") {
			coding, params, _ := strings.Cut(item, ";")
			coding = strings.Trim(coding, " \t")
			if zeroWeight(params) {
				continue
			}
			br = br || brotli && strings.EqualFold(coding, "br")
			gz = gz || gzip && (strings.EqualFold(coding, "gzip") || strings.EqualFold(coding, "x-gzip"))
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

// zeroWeight reports whether params holds q=0 in any of its spellings (RFC 9110,
// Section 12.4.2).
func zeroWeight(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, v, ok := strings.Cut(strings.Trim(p, " \t"), "=")
		if !ok || !strings.EqualFold(name, "q") {
			continue
		}
		return v != "" && strings.Trim(v, "0.") == "" && strings.Count(v, ".") <= 1
	}
	return false
}
