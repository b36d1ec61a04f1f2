// Package respheaders answers: what do we add to, remove from and override in a
// response on its way to the viewer?
//
// It is pure: CloudFront's own fields (x-cache, via, x-amz-cf-...), response headers
// policies and our error pages are computed from values. It sends nothing, reads no
// clock and knows no connection; the spelling of field names and the connection
// field are the business of the HTTP engines.
package respheaders

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

// Viewer is what the rules look at in a viewer's request.
type Viewer struct {
	Method string
	HTTPS  bool
	// Origin is the Origin field, "" when absent. RequestMethod is
	// Access-Control-Request-Method: a preflight is an OPTIONS request with both.
	Origin, RequestMethod string
	Pragma                string
}

// ViewerOf picks what the rules need out of a request.
func ViewerOf(method string, https bool, h httpfield.Fields) Viewer {
	return Viewer{Method: method, HTTPS: https, Origin: h.Get("origin"),
		RequestMethod: h.Get("access-control-request-method"), Pragma: h.Joined("pragma")}
}

// Input is everything that decides the header of a response that came from an origin
// or from the cache.
type Input struct {
	Identity *Identity
	Viewer   Viewer
	Policy   *cdn.ResponseHeadersPolicy // nil = none

	Status int
	// Result is the first word of x-cache.
	Result Result
	// Origin holds the origin's fields, names lower-case. It is not changed.
	Origin httpfield.Fields
	// S3 tells that the origin is S3: two fields of its own are then stripped.
	S3 bool
	// Forwarding tells which request fields the behavior sends to the origin: Vary and
	// Set-Cookie depend on it.
	Forwarding Forwarding

	// Length of the body as announced, -1 = not announced. The origin's content-length
	// never passes by itself: a range or a coding may have changed it.
	Length int64
	// Age in seconds; -1 = the object was not served from the cache.
	Age       int64
	AltSvc    string // "" = none
	RequestID string
	Now       time.Time
	Timing    Timing
}

// Compose returns the header of a response, in the order in which CloudFront's are
// seen (CloudFront: captures in the developer guide and by its users):
//
//	content-type, content-length, (connection), date, last-modified, etag,
//	x-amz-server-side-encryption, the origin's other fields in the origin's order,
//	accept-ranges, server, x-cache, via, x-amz-cf-pop, alt-svc, x-amz-cf-id, age,
//	then what the response headers policy adds.
//
// The origin's other fields stand where S3 itself puts cache-control and
// x-amz-version-id, so that an answer of S3 keeps its own order.
func Compose(in Input) httpfield.Fields {
	out := make(httpfield.Fields, 0, len(in.Origin)+20)
	out = appendOrigin(out, &in)
	if !out.Has("date") {
		// RFC 9110, Section 6.6.1: a recipient with a clock supplies a missing Date.
		out = insertByRank(out, httpfield.Field{Name: "date", Value: httpDate(in.Now)})
	}
	out = in.Identity.appendOwn(out, in.Result, in.Origin, in.AltSvc, in.RequestID)
	switch {
	case in.Age >= 0:
		out.Add("age", strconv.FormatInt(in.Age, 10))
	case in.Origin.Has("age"):
		// RFC 9111, Section 5.1: a fresh copy from another cache keeps its age.
		out.Add("age", in.Origin.Get("age"))
	}
	return applyPolicy(out, policyInput{Policy: in.Policy, Viewer: in.Viewer, Identity: in.Identity,
		Result: in.Result, RequestID: in.RequestID, Now: in.Now, Timing: in.Timing})
}

// appendOrigin appends the origin's fields that pass, in canonical order.
func appendOrigin(out httpfield.Fields, in *Input) httpfield.Fields {
	named := in.Origin.Joined("connection")
	for _, f := range in.Origin {
		if !in.passes(f.Name) || named != "" && hasToken(named, f.Name) {
			continue
		}
		if f.Name == "vary" {
			if out.Has("vary") {
				continue
			}
			// One line, so that what is left of several reads as one list.
			if f.Value = in.Forwarding.filterVary(in.Origin.Joined("vary")); f.Value == "" {
				continue
			}
		}
		out = insertByRank(out, f)
	}
	if in.Length >= 0 && mayAnnounceLength(in.Status) {
		out = insertByRank(out, httpfield.Field{Name: "content-length", Value: strconv.FormatInt(in.Length, 10)})
	}
	return out
}

// mayAnnounceLength: RFC 9110, Section 8.6 forbids Content-Length in 1xx and 204. In a
// 304 it would have to be that of the 200, which says nothing to the viewer.
func mayAnnounceLength(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// passes reports whether a field of the origin goes on to the viewer.
func (in *Input) passes(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "transfer-encoding":
		return false // RFC 9110, Section 7.6.1
	case "trailer", "upgrade":
		return false // CloudFront: Request and response behavior for custom origins, Response headers
	case "content-length", "age", "via", "x-cache", "x-amz-cf-id", "x-amz-cf-pop":
		return false // replaced by our own
	case "alt-svc":
		// RFC 7838, Section 3: it would offer the origin's own alternative to viewers of
		// this authority.
		return false
	case "x-amz-id-2", "x-amz-request-id":
		return !in.S3 // CloudFront: Request and response behavior for Amazon S3 origins
	case "set-cookie", "set-cookie2":
		return in.Forwarding.Cookies() // CloudFront: Cookies, ... response headers
	case "content-type", "content-encoding", "content-language", "content-range", "content-md5":
		return in.Status != http.StatusNotModified // RFC 9110, Section 15.4.5
	}
	return !in.Identity.owns(name)
}

// rank places a field of the origin; the smaller goes first.
func rank(name string) int {
	switch name {
	case "content-type":
		return 0
	case "content-length":
		return 1
	case "date":
		return 2
	case "last-modified":
		return 3
	case "etag":
		return 4
	case "x-amz-server-side-encryption":
		return 5
	case "accept-ranges":
		return 7
	case "server":
		return 8
	}
	return 6
}

// insertByRank puts f behind every field of its own or a lower rank. Lists are short,
// so this beats sorting.
func insertByRank(l httpfield.Fields, f httpfield.Field) httpfield.Fields {
	r := rank(f.Name)
	l = append(l, f)
	i := len(l) - 1
	for i > 0 && rank(l[i-1].Name) > r {
		l[i] = l[i-1]
		i--
	}
	l[i] = f
	return l
}

// httpDate formats t as an IMF-fixdate (RFC 9110, Section 5.6.7).
func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// hasToken reports whether a comma-separated list holds token, whatever its case.
func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(t, " \t"), token) {
			return true
		}
	}
	return false
}
