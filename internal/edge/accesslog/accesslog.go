// Package accesslog answers: what do we say about this request?
//
// A Record is filled once per request; one table of fields (name, doc, getter) makes
// CloudFront's standard log lines, JSON lines and the reference page.
package accesslog

import (
	"time"

	"pqfront/internal/tlspolicy"
)

// Record is everything that is known of one finished request.
type Record struct {
	Time      time.Time // when the response was finished
	Location  string    // x-edge-location
	RequestID string    // x-edge-request-id = x-amz-cf-id
	Distribution,
	DistributionDomain string // id; d....cloudfront.net
	Behavior string // path pattern of the cache behavior

	ViewerIP   string
	ViewerPort uint16
	Scheme     string // http, https
	Proto      string // HTTP/2.0
	Method     string
	Host       string // as the viewer asked
	Path       string
	Query      string
	Referer, UserAgent, Cookie,
	ForwardedFor string
	RequestBytes int64

	Status        int // 0 = the viewer closed before the answer
	ResponseBytes int64
	ContentType   string
	ContentLength int64 // -1 = none
	RangeStart,
	RangeEnd int64 // -1 = none
	ResultType     string // x-edge-result-type
	ResponseResult string // x-edge-response-result-type
	Detailed       string // x-edge-detailed-result-type
	Taken          time.Duration
	FirstByte      time.Duration

	TLS   *tlspolicy.Handshake // nil over plain HTTP
	First bool                 // first request of its connection

	// Origin side; empty on hits.
	OriginAddress, OriginTLS, OriginGroup string
	OriginFirstByte                       time.Duration
	Reason                                string // why it was a miss, an error, not stored ...
}
