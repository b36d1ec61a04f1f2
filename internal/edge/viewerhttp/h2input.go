package viewerhttp

import (
	"errors"
	"os"
	"sync"
	"time"
)

const (
	h2InSmall = 4 << 10 // holds the frames of a dozen requests
	h2InLarge = h2HeaderLen + h2MaxFrame
	h2BodyBuf = 4 << 10
)

// h2Pools are the engine's buffers for HTTP/2 connections with something to do.
type h2Pools struct{ small, large, outs, chunks, bodies sync.Pool }

// getIn returns a buffer of at least n bytes, n being at most h2InLarge.
func (p *h2Pools) getIn(n int) []byte {
	if n > h2InSmall {
		if b, ok := p.large.Get().(*[h2InLarge]byte); ok {
			return b[:]
		}
		return new([h2InLarge]byte)[:]
	}
	if b, ok := p.small.Get().(*[h2InSmall]byte); ok {
		return b[:]
	}
	return new([h2InSmall]byte)[:]
}

func (p *h2Pools) putIn(b []byte) {
	switch len(b) {
	case h2InSmall:
		p.small.Put((*[h2InSmall]byte)(b))
	case h2InLarge:
		p.large.Put((*[h2InLarge]byte)(b))
	}
}

func (p *h2Pools) getOut() []byte {
	if b, ok := p.outs.Get().(*[h2OutBytes]byte); ok {
		return b[:0]
	}
	return new([h2OutBytes]byte)[:0]
}

// putOut takes back a buffer of getOut; one that grew is left to the garbage collector.
func (p *h2Pools) putOut(b []byte) {
	if cap(b) == h2OutBytes {
		p.outs.Put((*[h2OutBytes]byte)(b[:h2OutBytes]))
	}
}

func (p *h2Pools) getChunk() *[h2Chunk]byte {
	if b, ok := p.chunks.Get().(*[h2Chunk]byte); ok {
		return b
	}
	return new([h2Chunk]byte)
}

func (p *h2Pools) getBody() *[h2BodyBuf]byte {
	if b, ok := p.bodies.Get().(*[h2BodyBuf]byte); ok {
		return b
	}
	return new([h2BodyBuf]byte)
}

// h2Input is the reader's buffer.
type h2Input struct {
	c    *h2Conn
	buf  []byte // nil while the connection is parked
	r, w int    // buf[r:w] is read and not used
	one  [1]byte
}

func (in *h2Input) buffered() int { return in.w - in.r }

// some returns what is there, at least n bytes (at most h2InLarge). It is valid
// until the next call; in.r is the caller's to move.
func (in *h2Input) some(n int) ([]byte, error) {
	for in.w-in.r < n {
		in.makeRoom(n)
		m, err := in.c.conn.Read(in.buf[in.w:])
		in.w += m
		if m > 0 {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !in.c.unpark() {
			return nil, noEmptyRead(err)
		}
		if in.r == in.w {
			if err := in.park(); err != nil {
				return nil, err
			}
		}
	}
	return in.buf[in.r:in.w], nil
}

// park waits for the next byte without a buffer.
func (in *h2Input) park() error {
	in.release()
	if n, err := in.c.conn.Read(in.one[:]); n == 0 {
		return noEmptyRead(err)
	}
	in.buf = in.c.e.h2.getIn(1)
	in.buf[0], in.w = in.one[0], 1
	return nil
}

// unpark takes back the deadline with which rest woke the reader, unless that
// deadline is there to end the connection.
func (c *h2Conn) unpark() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.conn.SetReadDeadline(time.Time{})
	return true
}

// makeRoom prepares the buffer for a Read after which n bytes may be there.
func (in *h2Input) makeRoom(n int) {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	switch {
	case len(in.buf) < n, in.w == 0 && n <= h2InSmall && len(in.buf) > h2InSmall:
		// Larger for a large frame, and small again when it is done.
		old := in.buf
		in.buf = in.c.e.h2.getIn(n)
		in.w = copy(in.buf, old[in.r:in.w])
		in.r = 0
		in.c.e.h2.putIn(old)
	case in.r+n > len(in.buf):
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}

// discard reads on until the end, a deadline, or most bytes.
func (in *h2Input) discard(most int64) {
	for most > 0 {
		in.r = in.w
		b, err := in.some(1)
		if err != nil {
			return
		}
		most -= int64(len(b))
	}
}

func (in *h2Input) release() {
	in.c.e.h2.putIn(in.buf)
	in.buf, in.r, in.w = nil, 0, 0
}
