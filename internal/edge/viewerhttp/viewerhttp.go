// Package viewerhttp answers: how do HTTP/1.1, HTTP/2 and HTTP/3 become one clean
// request, and how does one response travel back over each of them?
//
// It owns the viewer-side wire formats, their limits and their timeouts. It knows
// nothing of distributions, caches or origins: it takes connections and a Handler.
package viewerhttp

import (
	"context"
	"io"
	"net/netip"
	"time"

	"pqfront/internal/httpfield"
	"pqfront/internal/tlspolicy"
)

// Proto is the HTTP version that a request came in.
type Proto uint8

// The HTTP versions, in the order of their age.
const (
	HTTP10 Proto = iota + 1
	HTTP11
	HTTP2
	HTTP3
)

// String returns the spelling of CloudFront's log field cs-protocol-version
// (CloudFront: Standard log file fields).
func (p Proto) String() string {
	switch p {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP11:
		return "HTTP/1.1"
	case HTTP2:
		return "HTTP/2.0"
	case HTTP3:
		return "HTTP/3.0"
	}
	return "-"
}

// Conn is what is known of the connection that a request came on. It is made once
// per connection and never changed.
type Conn struct {
	ID     uint64
	Viewer netip.AddrPort // the viewer's address (from PROXY protocol where configured)
	Local  netip.AddrPort
	// TLS is nil on the plain HTTP port.
	TLS *tlspolicy.Handshake
}

// Request is one viewer request, the same whatever HTTP version carried it. The
// engine guarantees that it is well-formed: exactly one authority, a path that
// starts with "/" (or is "*" for OPTIONS), fields without control characters,
// at most one content length and no ambiguous framing.
type Request struct {
	Conn  *Conn
	Proto Proto

	Method string // case-sensitive, a token (RFC 9110, Section 9.1)
	Scheme string // "https" or "http": the connection's own, never what the viewer claims
	// Authority is the host and optional port that the viewer asked for, lower-case:
	// :authority, or Host (RFC 9110, Section 7.2).
	Authority string
	Path      string // raw, as sent, up to "?"
	Query     string // raw, without "?"
	HasQuery  bool   // tells "/a?" from "/a"

	// Header holds the fields in the viewer's order, names lower-case, without
	// pseudo-header fields, host, and the connection-specific fields of the version
	// (connection, keep-alive, proxy-connection, transfer-encoding, upgrade).
	Header httpfield.Fields

	// Body is nil when the request has none. ContentLength is -1 when the length
	// is not known in advance, 0 when Body is nil.
	Body          io.Reader
	ContentLength int64

	// Received is when the request's first byte was read; HeadBytes what its head
	// took on the wire.
	Received  time.Time
	HeadBytes int64
	// First tells that this is the first request on its connection.
	First bool
}

// Response is the answer to one request. Exactly one of Bytes and Stream carries
// the body; both nil means no body. A response to HEAD, 204 and 304 is sent
// without its body whatever these say, Length is then still announced.
type Response struct {
	Status int
	// Header holds all fields in the order in which they are to be seen, names
	// lower-case, content-length included where wanted. The engines add only what
	// their version's framing needs (transfer-encoding, connection).
	Header httpfield.Fields
	Bytes  []byte        // the whole body, when it is in memory; never modified
	Stream io.ReadCloser // otherwise; the engine closes it. May also be an io.WriterTo
	// Length of the body in bytes; -1 when unknown (only with Stream). A Stream that
	// ends early breaks the message visibly: connection closed or stream reset.
	Length int64
	// Close asks that an HTTP/1 connection end after this response.
	Close bool
}

// Sent tells what a Respond call put on the wire.
type Sent struct {
	HeadBytes, BodyBytes int64
	FirstByte            time.Time // when the head was handed to the connection
	// ViewerGone tells that the viewer went away or stopped reading before the end.
	ViewerGone bool
}

// Responder sends the answer of one request.
type Responder interface {
	// Respond sends r and returns when it is fully handed to the connection or has
	// failed. It must be called exactly once. A body error on our side (Stream)
	// comes back as err; Sent is valid in either case.
	Respond(r *Response) (Sent, error)
}

// Handler answers viewers' requests. ctx ends when the viewer goes away or
// the server stops. ServeViewer must call w.Respond exactly once.
type Handler interface {
	ServeViewer(ctx context.Context, r *Request, w Responder)
}

// Rejection is a request (or connection) that the engine refused before the
// Handler saw it, for the access log and metrics.
type Rejection struct {
	Conn   *Conn
	Proto  Proto
	Status int    // what was answered; 0 when the connection was just closed or the stream reset
	Reason Reason // the first rule that it broke
	// Method and Path as far as they were read, cut at 1 KiB; may be empty.
	Method, Authority, Path string
	At                      time.Time
}

// Reason names why an engine refused a request or ended a connection. The
// values are one enum for log, metric and tests.
type Reason string

// Observer is told what the engines refuse. It must not block.
type Observer func(Rejection)
