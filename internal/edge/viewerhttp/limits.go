package viewerhttp

import "time"

// Limits bounds what one viewer may cost, in any HTTP version. A zero field means
// its default, so that the zero value is ready for use.
type Limits struct {
	// HeadBytes bounds the request line and the header section, line ends included:
	// 32,768, answered with 494 (CloudFront: Quotas). Over HTTP/2 and HTTP/3 it
	// bounds the sum of name and value lengths plus 32 for each field line.
	HeadBytes int
	// URLBytes bounds the request target: 8,192, answered with 414 (CloudFront: Quotas).
	URLBytes int
	// HeaderCount bounds the field lines of one head: 256, answered with 494. Ours:
	// no browser sends more than about 40, and each one costs work in every step.
	HeaderCount int
	// BodyBytes bounds a request body: 64 GB, answered with 413 (CloudFront: Quotas).
	BodyBytes int64

	// IdleTimeout ends a connection on which no request is in flight: 60 s. Ours;
	// browsers keep theirs for 60 to 120 s, an idle one costs us memory only.
	IdleTimeout time.Duration
	// HeaderTimeout is how long a head may take from its first byte to its last: 15 s,
	// in total, so that one byte now and then buys nothing. Answered with 408.
	HeaderTimeout time.Duration
	// BodyIdleTimeout ends a request whose body makes no progress: 30 s.
	BodyIdleTimeout time.Duration
	// WriteStallTimeout ends a connection whose viewer takes nothing of what is ready
	// for it: 30 s without progress on the current piece (64 KiB over HTTP/1.1).
	WriteStallTimeout time.Duration
	// LingerTimeout is how long a refused or closing connection is still read, so
	// that the viewer sees the answer instead of a reset (RFC 9112, Section 9.6): 2 s.
	LingerTimeout time.Duration

	// RequestsPerConn ends a connection after so many requests: 10,000. It evens out
	// the load between processes and edges over time.
	RequestsPerConn int
	// DrainBytes is how much of a body that the Handler left unread is thrown away
	// to keep the connection: 256 KiB. With more left, closing is cheaper.
	DrainBytes int64
}

// DefaultLimits returns the limits that the zero value stands for.
func DefaultLimits() Limits {
	return Limits{
		HeadBytes:         32768,
		URLBytes:          8192,
		HeaderCount:       256,
		BodyBytes:         64 << 30,
		IdleTimeout:       60 * time.Second,
		HeaderTimeout:     15 * time.Second,
		BodyIdleTimeout:   30 * time.Second,
		WriteStallTimeout: 30 * time.Second,
		LingerTimeout:     2 * time.Second,
		RequestsPerConn:   10000,
		DrainBytes:        256 << 10,
	}
}

// withDefaults replaces every zero field.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	orDefault(&l.HeadBytes, d.HeadBytes)
	orDefault(&l.URLBytes, d.URLBytes)
	orDefault(&l.HeaderCount, d.HeaderCount)
	orDefault(&l.BodyBytes, d.BodyBytes)
	orDefault(&l.IdleTimeout, d.IdleTimeout)
	orDefault(&l.HeaderTimeout, d.HeaderTimeout)
	orDefault(&l.BodyIdleTimeout, d.BodyIdleTimeout)
	orDefault(&l.WriteStallTimeout, d.WriteStallTimeout)
	orDefault(&l.LingerTimeout, d.LingerTimeout)
	orDefault(&l.RequestsPerConn, d.RequestsPerConn)
	orDefault(&l.DrainBytes, d.DrainBytes)
	return l
}

func orDefault[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}
