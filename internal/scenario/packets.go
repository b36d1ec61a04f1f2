package scenario

import (
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// packetPipe returns two ends that send datagrams to each other in memory, for QUIC
// inside a synctest bubble.
func packetPipe() (a, b *packetEnd) {
	a = newPacketEnd(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 51234})
	b = newPacketEnd(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 80), Port: 443})
	a.peer, b.peer = b, a
	return a, b
}

// packetEnd is one end; a net.PacketConn.
type packetEnd struct {
	addr *net.UDPAddr
	peer *packetEnd
	in   chan []byte
	done chan struct{}
	once sync.Once

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed when the deadline changes
}

func newPacketEnd(addr *net.UDPAddr) *packetEnd {
	return &packetEnd{addr: addr, in: make(chan []byte, 1024), done: make(chan struct{}), moved: make(chan struct{})}
}

// ReadFrom implements net.PacketConn.
func (p *packetEnd) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p.mu.Lock()
		deadline, moved := p.deadline, p.moved
		p.mu.Unlock()
		var expired <-chan time.Time
		if !deadline.IsZero() {
			t := time.NewTimer(time.Until(deadline))
			defer t.Stop()
			expired = t.C
		}
		select {
		case d := <-p.in:
			return copy(b, d), p.peer.addr, nil
		case <-p.done:
			return 0, nil, net.ErrClosed
		case <-expired:
			return 0, nil, os.ErrDeadlineExceeded
		case <-moved:
		}
	}
}

// WriteTo implements net.PacketConn. A full queue loses datagrams, as networks do.
func (p *packetEnd) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case <-p.done:
		return 0, net.ErrClosed
	default:
	}
	select {
	case p.peer.in <- slices.Clone(b):
	default:
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (p *packetEnd) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// LocalAddr implements net.PacketConn.
func (p *packetEnd) LocalAddr() net.Addr { return p.addr }

// SetDeadline implements net.PacketConn; writing never waits.
func (p *packetEnd) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (p *packetEnd) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	close(p.moved)
	p.moved = make(chan struct{})
	return nil
}

// SetWriteDeadline implements net.PacketConn.
func (p *packetEnd) SetWriteDeadline(time.Time) error { return nil }
