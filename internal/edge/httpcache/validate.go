package httpcache

import (
	"strconv"
	"strings"
	"time"

	"pqfront/internal/httpfield"
)

// Validators returns the fields of a request that asks whether o is still the same
// (RFC 9111, Section 4.3.1); none when o has no validator.
func (o *Object) Validators() httpfield.Fields {
	var f httpfield.Fields
	if o.ETag != "" {
		f.Add("if-none-match", o.ETag)
	}
	if o.LastModified != "" {
		f.Add("if-modified-since", o.LastModified)
	}
	return f
}

// Merge returns o renewed by a 304 (RFC 9111, Section 4.3.4). It is false when the 304
// speaks of another representation than o, or forbids the reuse: then it must be fetched anew.
func (o *Object) Merge(h httpfield.Fields, r *Rules, authorization bool, now time.Time) (Object, bool) {
	if tag := h.Get("etag"); tag != "" && o.ETag != "" && !weakMatch(tag, o.ETag) {
		return Object{}, false
	}
	merged := make(httpfield.Fields, 0, len(o.Header)+len(h))
	for _, f := range o.Header {
		if !updates(f.Name) || !h.Has(f.Name) {
			merged = append(merged, f)
			continue
		}
		if !merged.Has(f.Name) { // the new lines take the place of the first old one
			for _, n := range h {
				if n.Name == f.Name {
					merged = append(merged, n)
				}
			}
		}
	}
	for _, f := range h {
		if updates(f.Name) && !o.Header.Has(f.Name) {
			merged = append(merged, f)
		}
	}
	method := "GET"
	if o.HeadOnly {
		method = "HEAD"
	}
	n, why := Judge(&Response{Status: o.Status, Header: merged, Length: o.Length, Method: method,
		Authorization: authorization}, r, now)
	return n, why == Stored
}

// updates tells whether a 304 may change the field (RFC 9111, Section 3.2): not what
// describes the stored bytes.
func updates(name string) bool {
	switch name {
	case "content-length", "content-encoding", "content-type", "content-range":
		return false
	}
	return true
}

// NotModified reports whether the viewer's condition makes a 304 of a stored 200
// (RFC 9110, Section 13.2.2). If-Match and If-Unmodified-Since are not a cache's to
// evaluate (RFC 9111, Section 4.3.2).
func NotModified(req httpfield.Fields, o *Object) bool {
	if o.Status != 200 {
		return false
	}
	if req.Has("if-none-match") {
		return etagListed(req.Joined("if-none-match"), o.ETag)
	}
	v := req.Get("if-modified-since")
	if v == "" || o.LastModified == "" {
		return false
	}
	since, ok := parseDate(v)
	if !ok {
		return false
	}
	modified, ok := parseDate(o.LastModified)
	return ok && !modified.After(since)
}

// etagListed reports whether tag is in the list, compared weakly (RFC 9110, Section 13.1.2).
func etagListed(list, tag string) bool {
	if trim(list) == "*" {
		return true
	}
	for tag != "" {
		list = strings.TrimLeft(list, " \t,")
		one, rest, ok := cutETag(list)
		if !ok {
			return false
		}
		if weakMatch(one, tag) {
			return true
		}
		list = rest
	}
	return false
}

// cutETag takes one entity tag off s (RFC 9110, Section 8.8.3).
func cutETag(s string) (tag, rest string, ok bool) {
	start := 0
	if strings.HasPrefix(s, "W/") {
		start = 2
	}
	if len(s) <= start || s[start] != '"' {
		return "", "", false
	}
	end := strings.IndexByte(s[start+1:], '"')
	if end < 0 {
		return "", "", false
	}
	end += start + 2
	return s[:end], s[end:], true
}

func weakMatch(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

// Part is what a Range field selects of a stored object.
type Part uint8

// The parts.
const (
	Whole         Part = iota
	Range              // one range: 206
	Unsatisfiable      // begins after the end: 416
)

// Select returns what the viewer's Range selects of a complete 200 of known length. More
// than one range, other units and malformed ranges get the whole object
// (CloudFront: How CloudFront processes partial requests for an object).
func Select(req httpfield.Fields, o *Object) (p Part, off, n int64) {
	v := req.Get("range")
	if v == "" || req.Count("range") > 1 || o.Status != 200 || o.Length < 0 || !ifRange(req, o) {
		return Whole, 0, o.Length
	}
	return parseRange(v, o.Length)
}

// parseRange reads one bytes range (RFC 9110, Section 14.1.2).
func parseRange(v string, length int64) (Part, int64, int64) {
	unit, spec, ok := strings.Cut(v, "=")
	first, last, ok2 := strings.Cut(trim(spec), "-")
	if !ok || !ok2 || !strings.EqualFold(trim(unit), "bytes") || strings.Contains(spec, ",") {
		return Whole, 0, length
	}
	if first == "" { // the last n bytes
		n, ok := position(last)
		switch {
		case !ok:
			return Whole, 0, length
		case n == 0 || length == 0:
			return Unsatisfiable, 0, 0
		}
		n = min(n, length)
		return Range, length - n, n
	}
	from, ok := position(first)
	to := int64(maxPosition)
	if last != "" && ok {
		to, ok = position(last)
	}
	switch {
	case !ok || to < from:
		return Whole, 0, length
	case from >= length:
		return Unsatisfiable, 0, 0
	}
	return Range, from, min(to, length-1) - from + 1
}

const maxPosition = 1<<63 - 2

// position reads a byte position; one too large to hold is beyond every object.
func position(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = maxPosition
	}
	return min(n, maxPosition), true
}

// ifRange reports whether Range counts (RFC 9110, Section 13.1.5): the validator must
// match strongly.
func ifRange(req httpfield.Fields, o *Object) bool {
	v := req.Get("if-range")
	switch {
	case v == "":
		return true
	case strings.HasPrefix(v, `"`):
		return v == o.ETag
	case strings.HasPrefix(v, "W/"):
		return false
	}
	at, ok := parseDate(v)
	modified, ok2 := parseDate(o.LastModified)
	date, ok3 := parseDate(o.Header.Get("date"))
	// A date is strong when the object had been older than a second (RFC 9110, Section 8.8.2.2).
	return ok && ok2 && at.Equal(modified) && (!ok3 || date.Sub(modified) >= time.Second)
}
