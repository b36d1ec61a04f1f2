package viewerhttp

import (
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// What a QUIC connection may cost. All of these are ours: what CloudFront uses is
// not known.
const (
	// h3MaxConcurrent is HTTP/2's; RFC 9114, Section 6.1 asks for no less than 100.
	h3MaxConcurrent = h2MaxConcurrent
	// h3MaxUni: a viewer needs three (control and two for QPACK); the rest is for
	// greased types (RFC 9114, Section 6.2).
	h3MaxUni = 8
	// h3StreamWindow and h3ConnWindow bound what waits of request bodies that the
	// Handler has not read. They do not grow: 1 MiB carries 20 MB/s at 50 ms.
	h3StreamWindow = 256 << 10
	h3ConnWindow   = 1 << 20
	// h3IdleTimeout ends a connection that is silent altogether: 30 s, the usual value
	// of servers. One that only keeps itself alive ends with Limits.IdleTimeout.
	h3IdleTimeout = 30 * time.Second
	// h3HandshakeTimeout is without progress; quic-go allows twice this in total.
	h3HandshakeTimeout = 5 * time.Second
)

// QUICConfig returns the transport's configuration for connections that are given to
// ServeQUICConn. The stream limits hold only with it: credit for a new request is
// given back when the Handler of an old one has returned, so that a viewer who
// cancels its requests cannot start more than the limit (CVE-2023-44487).
func QUICConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           h3HandshakeTimeout,
		MaxIdleTimeout:                 h3IdleTimeout,
		InitialStreamReceiveWindow:     h3StreamWindow,
		MaxStreamReceiveWindow:         h3StreamWindow,
		InitialConnectionReceiveWindow: h3ConnWindow,
		MaxConnectionReceiveWindow:     h3ConnWindow,
		MaxIncomingStreams:             h3MaxConcurrent,
		MaxIncomingUniStreams:          h3MaxUni,
		RequireStreamCreditRelease:     true,
		Allow0RTT:                      false, // a request in 0-RTT can be replayed
	}
}

// RetryUnderLoad returns a quic.Transport's VerifySourceAddress: up to perSecond new
// connections per second, and as many at once, go without a Retry; beyond that every
// viewer must first show that it receives at its address (RFC 9000, Section 8.1.2),
// so that a flood with forged addresses costs neither handshakes nor memory.
func RetryUnderLoad(perSecond int, now func() time.Time) func(net.Addr) bool {
	if now == nil {
		now = time.Now
	}
	var mu sync.Mutex
	tokens, last := float64(perSecond), now()
	return func(net.Addr) bool {
		mu.Lock()
		defer mu.Unlock()
		t := now()
		tokens = min(float64(perSecond), tokens+t.Sub(last).Seconds()*float64(perSecond))
		last = t
		if tokens < 1 {
			return true
		}
		tokens--
		return false
	}
}
