package viewerhttp

import (
	"io"
	"sync"
	"time"

	"pqfront/internal/edge/viewerhttp/hpack"
)

// h2Body is one request body. What the Handler has not read is not acknowledged, so
// the windows bound what waits here. It is safe against a reader that goes on
// while, or after, the Handler returns, as net/http's Transport does.
type h2Body struct {
	st *h2Stream

	// All below is guarded by st.c.mu.

	bufs     []*[h2BodyBuf]byte
	r, w     int   // first byte of bufs[0], end of the last one
	unread   int64 // bytes between them
	left     int64 // of the content length; -1: unknown
	got      int64
	err      error // what follows the unread bytes; nil while more may come
	closed   bool  // nobody reads any more
	owe100   bool
	waiting  bool
	since    time.Time // when the wait began
	readable sync.Cond
}

// Read implements io.Reader. Errors other than io.EOF are of type *BodyError, or
// tell that the request is over.
func (b *h2Body) Read(p []byte) (int, error) {
	c := b.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if b.owe100 {
		b.owe100 = false
		if b.got == 0 && b.err == nil && !b.st.responded && !b.st.gone {
			c.sendContinue(b.st)
		}
	}
	for b.unread == 0 && b.err == nil {
		if !b.waiting {
			b.waiting, b.since = true, c.e.now()
		}
		b.readable.Wait()
	}
	b.waiting = false
	if b.unread == 0 {
		return 0, b.err
	}
	n := b.take(p)
	c.giveBack(b.st, int64(n))
	return n, nil
}

// take copies unread bytes to p.
func (b *h2Body) take(p []byte) (n int) {
	for n < len(p) && b.unread > 0 {
		end := h2BodyBuf
		if len(b.bufs) == 1 {
			end = b.w
		}
		m := copy(p[n:], b.bufs[0][b.r:end])
		n += m
		b.r += m
		b.unread -= int64(m)
		if b.r == end {
			b.st.c.e.h2.bodies.Put(b.bufs[0])
			b.bufs[0] = nil
			b.bufs, b.r = b.bufs[1:], 0
		}
	}
	if b.unread == 0 {
		b.bufs = nil
	}
	return n
}

// add takes content in. c.mu is held, as in the methods below.
func (b *h2Body) add(p []byte) {
	b.got += int64(len(p))
	b.unread += int64(len(p))
	for len(p) > 0 {
		if len(b.bufs) == 0 || b.w == h2BodyBuf {
			b.bufs = append(b.bufs, b.st.c.e.h2.getBody())
			b.w = 0
		}
		n := copy(b.bufs[len(b.bufs)-1][b.w:], p)
		b.w += n
		p = p[n:]
	}
	b.waiting = false
	b.readable.Broadcast()
}

// fail sets what follows the unread bytes.
func (b *h2Body) fail(err error) {
	if b.err == nil {
		b.err = err
	}
	b.readable.Broadcast()
}

// closeBody throws away what was not read, and what comes.
func (c *h2Conn) closeBody(st *h2Stream, err error) {
	b := &st.body
	if b.closed {
		return
	}
	b.closed = true
	for _, buf := range b.bufs {
		c.e.h2.bodies.Put(buf)
	}
	c.giveBackConn(b.unread)
	b.bufs, b.unread = nil, 0
	if b.err == nil || b.err == io.EOF {
		b.err = err
	}
	b.readable.Broadcast()
}

// giveBack tells the viewer that it may send n bytes more. Small amounts wait, so
// that not every Read costs a frame.
func (c *h2Conn) giveBack(st *h2Stream, n int64) {
	st.recvOwed += n
	if !st.remoteDone && !st.gone && st.recvOwed >= h2StreamRecv/2 {
		st.recvWin += st.recvOwed
		c.queue(appendH2WindowUpdate(c.buffer(), st.id, uint32(st.recvOwed)))
		st.recvOwed = 0
	}
	c.giveBackConn(n)
}

func (c *h2Conn) giveBackConn(n int64) {
	c.recvOwed += n
	if c.recvOwed >= h2ConnRecv/4 && !c.closing {
		c.recvWin += c.recvOwed
		c.queue(appendH2WindowUpdate(c.buffer(), 0, uint32(c.recvOwed)))
		c.recvOwed = 0
	}
}

// sendContinue sends the interim answer that the viewer waits for (RFC 9110,
// Section 10.1.1; RFC 9113, Section 8.1).
func (c *h2Conn) sendContinue(st *h2Stream) {
	out := c.buffer()
	start := len(out)
	out = appendH2Frame(out, 0, h2Headers, h2FlagEndHeaders, st.id)
	out = c.enc.AppendField(out, ":status", "100", hpack.Index)
	c.queue(finishH2Head(out, start))
}
