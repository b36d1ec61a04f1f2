// Package origin answers: how is this object got from where it lives?
//
// It speaks HTTP/1.1 to custom origins and S3 (CloudFront: Request and response
// behavior for custom origins), signs with origin access control, retries and times out
// as an origin's settings say, and offers post-quantum key exchange on TLS. It caches
// nothing and knows no viewer.
package origin

import (
	"io"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

// Target is the origin to ask.
type Target struct {
	Origin        *cdn.Origin
	AccessControl *cdn.OriginAccessControl // nil = unsigned
}

// Request is what to ask for. Header is complete but for what the transport adds
// (host, content-length, authorization of a signature, custom headers of the origin);
// see ForwardedHeader, which makes it from a viewer's fields.
type Request struct {
	Method string
	Path   string // raw, begins with "/"; the origin's own path is prefixed to it
	Query  string // raw
	Header httpfield.Fields
	Host   string // the viewer's Host where a policy forwards it; "" = the origin's domain name
	// Body is read while the request is sent. An origin may answer early: Body is then
	// read until the Response's Body ends or is closed; a Read under way at that moment
	// still returns, no further one follows.
	Body          io.Reader
	ContentLength int64  // -1 unknown, 0 none
	ViewerScheme  string // "https" or "http"
}

// Response is what came back. Body is never nil and must be closed; a Read that fails
// because of the origin returns an *Error, io.ErrUnexpectedEOF inside when the body
// was shorter than announced.
type Response struct {
	Status int
	Header httpfield.Fields // names lower-case, hop-by-hop fields removed
	Body   io.ReadCloser
	// Length of the body; -1 unknown. After HEAD it is what GET would have had.
	Length int64
	Facts  Facts
}

// Facts is what is known of the exchange, for logs.
type Facts struct {
	Address    string // ip:port spoken to
	TLSVersion string // "" over plain HTTP
	Group      string // key exchange group name; "" over plain HTTP
	Reused     bool
	Attempts   int           // tries, the successful one included
	FirstByte  time.Duration // from the call of Fetch to the first byte of the answer
}

// Error is a failed exchange with an origin, after all attempts. A viewer who went
// away, or whose own body could not be read, is not an Error: Fetch then returns that
// cause itself.
type Error struct {
	Kind   Kind
	Status int // what the viewer is answered: 400, 502 or 504
	Origin string
	Err    error
	// Connecting tells that no connection came about. An origin group then fails over
	// when its list has 503, and for a timeout afterwards when it has 504 (CloudFront:
	// Optimize high availability with CloudFront origin failover).
	Connecting bool
}

// Error implements error.
func (e *Error) Error() string {
	return "origin " + e.Origin + ": " + string(e.Kind) + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
