package listen

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// Conn is one accepted connection. It counts bytes and knows who is at the other
// end. It implements net.Conn, CloseWrite and SetLinger.
type Conn struct {
	net.Conn
	id                  uint64
	peer, viewer, local netip.AddrPort
	pending             []byte // read with the PROXY header, but not part of it
	in, out             atomic.Int64
}

// ID numbers the connections of one listener, from 1.
func (c *Conn) ID() uint64 { return c.id }

// Viewer is the address of the viewer: the peer's, or what its PROXY header says.
func (c *Conn) Viewer() netip.AddrPort { return c.viewer }

// Local is the address that the viewer connected to.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Peer is who connected: the viewer, or the load balancer for it.
func (c *Conn) Peer() netip.AddrPort { return c.peer }

// RemoteAddr implements net.Conn with the viewer's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.viewer) }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// BytesIn returns how many bytes were read so far, without a PROXY header.
func (c *Conn) BytesIn() int64 { return c.in.Load() }

// BytesOut returns how many bytes were written so far.
func (c *Conn) BytesOut() int64 { return c.out.Load() }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(c.pending) > 0 {
		n = copy(p, c.pending)
		if c.pending = c.pending[n:]; len(c.pending) == 0 {
			c.pending = nil
		}
	} else {
		n, err = c.Conn.Read(p)
	}
	c.in.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// CloseWrite ends our half of the connection.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetLinger decides what Close does with unsent bytes, see net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetLinger(sec)
	}
	return nil
}
