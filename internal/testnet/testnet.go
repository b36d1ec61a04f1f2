// Package testnet answers: how do two ends talk in a test without the kernel?
//
// Its connections live in memory, have bounded buffers, deadlines and half-close,
// and block only on channels and timers, so that they work inside a
// testing/synctest bubble, where real sockets do not. Only tests import it.
package testnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// bufferBytes is what one direction holds before a writer waits, as a small kernel
// socket buffer does.
const bufferBytes = 64 << 10

// Pipe returns the two ends of one connection.
func Pipe() (client, server *Conn) {
	up, down := newHalf(), newHalf()
	c := netip.MustParseAddrPort("192.0.2.1:40000")
	s := netip.MustParseAddrPort("192.0.2.80:443")
	client = &Conn{in: down, out: up, local: net.TCPAddrFromAddrPort(c), remote: net.TCPAddrFromAddrPort(s)}
	server = &Conn{in: up, out: down, local: client.remote, remote: client.local}
	return client, server
}

// Conn is one end. It implements net.Conn and CloseWrite.
type Conn struct {
	in, out       *half
	local, remote *net.TCPAddr
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite lets the other end read io.EOF after what was written.
func (c *Conn) CloseWrite() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.eof = true
	c.out.changed()
	return nil
}

// Close implements net.Conn. What was written can still be read by the other end.
func (c *Conn) Close() error {
	c.CloseWrite()
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		if h == c.in {
			h.noReader = true
		} else {
			h.noWriter = true
		}
		h.changed()
		h.mu.Unlock()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.setDeadline(&c.in.readBy, t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(&c.out.writeBy, t) }

// half is one direction.
type half struct {
	mu       sync.Mutex
	change   chan struct{} // closed and replaced at every change
	buf      []byte
	eof      bool // no more will be written
	noReader bool
	noWriter bool // the writing end was closed by its owner
	readBy   time.Time
	writeBy  time.Time
}

func newHalf() *half { return &half{change: make(chan struct{})} }

func (h *half) changed() {
	close(h.change)
	h.change = make(chan struct{})
}

func (h *half) setDeadline(field *time.Time, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	*field = t
	h.changed()
	return nil
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.noReader:
			return 0, net.ErrClosed
		case passed(h.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			h.changed()
			return n, nil
		case h.eof:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		h.wait(h.readBy)
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.noWriter || h.eof:
			return n, net.ErrClosed
		case h.noReader:
			return n, io.ErrClosedPipe
		case passed(h.writeBy):
			return n, os.ErrDeadlineExceeded
		}
		if k := min(len(p), bufferBytes-len(h.buf)); k > 0 {
			h.buf = append(h.buf, p[:k]...)
			p, n = p[k:], n+k
			h.changed()
		}
		if len(p) == 0 {
			return n, nil
		}
		h.wait(h.writeBy)
	}
}

// wait returns at the next change or at the deadline. It gives up the lock meanwhile.
func (h *half) wait(by time.Time) {
	change := h.change
	h.mu.Unlock()
	defer h.mu.Lock()
	if by.IsZero() {
		<-change
		return
	}
	timer := time.NewTimer(time.Until(by))
	defer timer.Stop()
	select {
	case <-change:
	case <-timer.C:
	}
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// Listener accepts what Dial connects. It implements net.Listener.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener in memory.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn, 16), closed: make(chan struct{})}
}

// Dial connects to l.
func (l *Listener) Dial() (*Conn, error) {
	client, server := Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 80), Port: 443}
}
