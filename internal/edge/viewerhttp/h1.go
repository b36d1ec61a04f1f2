package viewerhttp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// readBufBytes holds the head of nearly every request (a browser's is 0.5 to 2 KiB);
	// longer heads make it grow up to Limits.HeadBytes.
	readBufBytes = 4 << 10
	// parkAfter is how long a connection without a request keeps its read buffer. A
	// busy viewer never waits that long, an idle one then costs no buffer.
	parkAfter = time.Second
	// writeBufBytes holds the head and a small body, or a piece of a stream.
	writeBufBytes = 32 << 10
)

// aLongTimeAgo is a deadline that has passed: it wakes a blocked Read.
var aLongTimeAgo = time.Unix(1, 0)

var errStopping = errors.New("the server is stopping")

// ServeH1 serves HTTP/1.1 and HTTP/1.0 on conn until either side ends it, and closes
// conn. When ctx ends, an idle connection is closed at once; a request in flight is
// still answered, with "connection: close". Whoever owns conn ends that grace by
// closing it; only then does the context of that request end.
func (e *Engine) ServeH1(ctx context.Context, conn net.Conn, info *Conn) {
	c := &h1Conn{e: e, lim: e.limits(), conn: conn, info: info, base: context.WithoutCancel(ctx)}
	defer conn.Close()
	defer c.releaseBuf()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		c.stop()
	})
	defer func() {
		if !stop() {
			<-stopped
		}
	}()
	for c.serveOne() {
	}
}

// h1Conn is one HTTP/1 connection. Its fields belong to the goroutine in ServeH1
// but where a lock is named.
type h1Conn struct {
	e    *Engine
	lim  Limits
	conn net.Conn
	info *Conn
	base context.Context // the server's values without its end

	buf     []byte // nil while the connection is parked
	r, w    int    // buf[r:w] is read but not used
	one     [1]byte
	readErr error // met by the watcher of a request, see h1Context
	served  int

	readBy, writeBy time.Time // the deadlines that conn has now

	mu       sync.Mutex // guards the two below and, while idle, the read deadline
	idle     bool
	stopping bool
}

// serveOne waits for one request and answers it; false ends the connection.
func (c *h1Conn) serveOne() bool {
	if err := c.await(); err != nil {
		// A viewer that opened a connection and never used it is worth a line; one that
		// has been served and leaves is not.
		if c.served == 0 && !errors.Is(err, errStopping) {
			c.refuse(&Request{}, ReasonSilent)
		}
		return false
	}
	x := &exchange{c: c}
	x.req.Conn, x.req.Received, x.req.First = c.info, c.e.now(), c.served == 0
	c.served++
	if reason := c.readHead(x); reason != "" {
		c.refuse(&x.req, reason)
		return false
	}
	x.ctx.base, x.ctx.x, x.ctx.atEnd = c.base, x, x.req.Body == nil
	ok := c.e.callHandler(&x.ctx, &x.req, x)
	return x.finish(ok)
}

// await returns when at least one byte of the next request is in buf.
func (c *h1Conn) await() error {
	if c.r < c.w {
		return nil
	}
	if c.readErr != nil {
		return c.readErr
	}
	defer c.setBusy()
	c.r, c.w = 0, 0
	c.needBuf()
	warm := min(parkAfter, c.lim.IdleTimeout)
	if !c.setIdle(warm, true) {
		return errStopping
	}
	n, err := c.conn.Read(c.buf)
	if n > 0 {
		c.w = n
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || warm == c.lim.IdleTimeout {
		return noEmptyRead(err)
	}
	c.releaseBuf()
	if !c.setIdle(c.lim.IdleTimeout-warm, false) {
		return errStopping
	}
	n, err = c.conn.Read(c.one[:])
	if n == 0 {
		return noEmptyRead(err)
	}
	c.needBuf()
	c.buf[0], c.w = c.one[0], 1
	return nil
}

// noEmptyRead guards against a connection that returns 0, nil for ever.
func noEmptyRead(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// setIdle lets stop interrupt the next Read, which ends by itself after d. It
// reports false when the server is stopping already.
func (c *h1Conn) setIdle(d time.Duration, loose bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return false
	}
	c.idle = true
	if loose {
		c.readWithin(d)
		return true
	}
	c.setReadBy(c.e.now().Add(d))
	return true
}

func (c *h1Conn) setBusy() {
	c.mu.Lock()
	c.idle = false
	c.mu.Unlock()
}

// stop is called once, from another goroutine, when the server is to stop.
func (c *h1Conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	if c.idle {
		c.conn.SetReadDeadline(aLongTimeAgo)
	}
}

func (c *h1Conn) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// readWithin gives reads at least d and at most d and a quarter from now. The slack
// saves setting a timer for every read.
func (c *h1Conn) readWithin(d time.Duration) {
	now := c.e.now()
	if left := c.readBy.Sub(now); left < d || left > d+d/4 {
		c.setReadBy(now.Add(d + d/4))
	}
}

func (c *h1Conn) setReadBy(t time.Time) {
	c.readBy = t
	c.conn.SetReadDeadline(t) // fails only on a closed connection; Read will say so
}

// write hands p to the connection. It must make progress within the stall limit.
func (c *h1Conn) write(p []byte) (int, error) {
	now, d := c.e.now(), c.lim.WriteStallTimeout
	if left := c.writeBy.Sub(now); left < d || left > d+d/4 {
		c.writeBy = now.Add(d + d/4)
		c.conn.SetWriteDeadline(c.writeBy)
	}
	return c.conn.Write(p)
}

func (c *h1Conn) needBuf() {
	if c.buf == nil {
		c.buf = c.e.h1.getRead()
	}
}

func (c *h1Conn) releaseBuf() {
	c.e.h1.putRead(c.buf)
	c.buf, c.r, c.w = nil, 0, 0
}

// fill reads more into buf, which must have room.
func (c *h1Conn) fill() error {
	if c.readErr != nil {
		return c.readErr
	}
	n, err := c.conn.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil // the error will come again
	}
	return noEmptyRead(err)
}

// readHead reads and parses one head into x. A reason other than "" means that the
// request is refused.
func (c *h1Conn) readHead(x *exchange) Reason {
	var scan headScan
	deadline := false
	for {
		reason := scan.feed(c.buf[c.r:c.w], &c.lim, x)
		if reason != "" {
			return reason
		}
		if scan.end > 0 {
			break
		}
		c.makeRoom()
		if !deadline {
			// One deadline for the whole head: a byte now and then does not move it.
			c.setReadBy(x.req.Received.Add(c.lim.HeaderTimeout))
			deadline = true
		}
		if err := c.fill(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return ReasonHeaderTimeout
			}
			return ReasonTruncatedHead
		}
	}
	head := c.buf[c.r : c.r+scan.end]
	c.r += scan.end
	x.req.HeadBytes = int64(scan.end)
	return x.parseFields(head[scan.fields:], &c.lim)
}

// makeRoom makes sure that buf can take more bytes of a head that is not complete.
// headScan has refused heads that are too long before.
func (c *h1Conn) makeRoom() {
	if c.w < len(c.buf) {
		return
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
		return
	}
	bigger := make([]byte, min(2*len(c.buf), max(c.lim.HeadBytes, len(c.buf))+1))
	copy(bigger, c.buf)
	c.e.h1.putRead(c.buf)
	c.buf = bigger
}

// refuse answers a broken request, tells the Observer and ends the connection.
func (c *h1Conn) refuse(r *Request, reason Reason) {
	status := reason.status()
	proto := r.Proto
	if proto == 0 {
		proto = HTTP11 // what this engine speaks; the viewer did not come to say
	}
	c.e.reject(Rejection{Conn: c.info, Proto: proto, Status: status, Reason: reason,
		Method: r.Method, Authority: r.Authority, Path: r.Path})
	if status == 0 {
		return
	}
	x := &exchange{c: c}
	x.req.Proto, x.req.Method = HTTP11, r.Method
	if sent, _ := x.Respond(c.e.errorPage(status, reason)); !sent.ViewerGone {
		c.linger()
	}
}

// linger reads on for a moment after our last word. Closing with unread bytes in
// the kernel would reset the connection, and the reset may overtake the answer
// (RFC 9112, Section 9.6).
func (c *h1Conn) linger() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.setReadBy(c.e.now().Add(c.lim.LingerTimeout))
	c.needBuf()
	for left := c.lim.DrainBytes; left > 0; {
		n, err := c.conn.Read(c.buf)
		if n == 0 || err != nil {
			return
		}
		left -= int64(n)
	}
}

// abort ends the connection so that the viewer cannot take what it has for the
// whole: without TLS's close_notify and, where that can be had, with a reset.
func (c *h1Conn) abort() {
	raw := c.conn
	for {
		inner, ok := raw.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		raw = inner.NetConn()
	}
	if tcp, ok := raw.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	raw.Close()
}

// h1Pools are the engine's buffers for requests in flight.
type h1Pools struct{ reads, writes sync.Pool }

func (p *h1Pools) getRead() []byte {
	if b, ok := p.reads.Get().(*[readBufBytes]byte); ok {
		return b[:]
	}
	return new([readBufBytes]byte)[:]
}

// putRead takes back a buffer of getRead; one that grew for a long head is left to
// the garbage collector.
func (p *h1Pools) putRead(b []byte) {
	if cap(b) == readBufBytes {
		p.reads.Put((*[readBufBytes]byte)(b[:readBufBytes]))
	}
}

func (p *h1Pools) getWrite() []byte {
	if b, ok := p.writes.Get().(*[writeBufBytes]byte); ok {
		return b[:0]
	}
	return new([writeBufBytes]byte)[:0]
}

func (p *h1Pools) putWrite(b []byte) {
	if cap(b) == writeBufBytes {
		p.writes.Put((*[writeBufBytes]byte)(b[:writeBufBytes]))
	}
}
