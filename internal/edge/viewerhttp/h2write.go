package viewerhttp

import (
	"runtime"
	"time"
)

// buffer returns what waits to be written, to append whole frames to. The result
// goes to queue. c.mu is held, as in all methods of h2Conn in this file.
func (c *h2Conn) buffer() []byte {
	if c.out == nil {
		c.out = c.e.h2.getOut()
	}
	return c.out
}

// queue takes what buffer returned, with more frames, and sees to their writing.
func (c *h2Conn) queue(out []byte) {
	c.out = out
	c.wake()
}

func (c *h2Conn) hasWork() bool {
	return len(c.out) > 0 || len(c.ready) > 0 && c.sendWin > 0 || c.closing && !c.shut
}

// wake makes sure that somebody writes what there is.
func (c *h2Conn) wake() {
	if !c.writing && !c.broken && c.hasWork() {
		c.writing = true
		c.wg.Add(1) // not after end: broken is set then
		go c.write()
	}
}

// writeNow writes what there is, from a handler's goroutine, when that saves waking
// another one. It reports false when somebody else does it.
func (c *h2Conn) writeNow() bool {
	// Answers of requests that came together are to leave together: see write.
	if c.writing || c.broken || c.closing || c.answers > 0 || !c.hasWork() {
		c.wake()
		return false
	}
	c.writing = true
	c.pack()
	c.flush()
	c.writing = false
	c.wake()
	return true
}

// write is the writer's goroutine. It stays while there is work.
func (c *h2Conn) write() {
	defer c.wg.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.broken && c.hasWork() {
		if c.answers > 0 {
			// The handlers that can run now get to run first.
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
		c.pack()
		if len(c.out) > 0 {
			c.flush()
		} else if c.closing {
			c.lastWord()
		}
	}
	c.writing = false
}

// flush writes out. Meanwhile others fill the next one.
func (c *h2Conn) flush() {
	out := c.out
	c.out = nil
	c.writeSince = c.e.now()
	c.room.Broadcast()
	c.mu.Unlock()
	_, err := c.conn.Write(out)
	c.e.h2.putOut(out)
	if err != nil {
		c.conn.Close() // ends the reader, which ends the rest
	}
	c.mu.Lock()
	c.writeSince = time.Time{}
	if err != nil {
		c.closing, c.broken = true, true
		c.abandon()
	}
}

// lastWord tells the viewer that nothing more comes, and gives it a moment to close.
func (c *h2Conn) lastWord() {
	c.mu.Unlock()
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.conn.SetReadDeadline(c.e.now().Add(c.lim.LingerTimeout))
	c.mu.Lock()
	c.shut = true
	c.room.Broadcast()
}

// pack fills out with DATA frames of the streams that are ready, in the order of
// their priorities.
func (c *h2Conn) pack() {
	for c.sendWin > 0 && len(c.ready) > 0 {
		room := h2OutBytes - len(c.buffer()) - h2HeaderLen
		if room < h2LeastPiece {
			return
		}
		st := c.ready[0]
		if len(c.ready) > 1 {
			st = nextH2Stream(c.ready)
		}
		c.packData(st, int(min(int64(min(len(st.pending), room, h2MaxFrame)), st.sendWin, c.sendWin)))
	}
}

// packData puts the next n bytes of st into one DATA frame. h2MaxFrame is the least
// that a peer may allow, so that no other limit matters.
func (c *h2Conn) packData(st *h2Stream, n int) {
	last := st.lastPiece && n == len(st.pending)
	flags := uint8(0)
	if last {
		flags = h2FlagEndStream
	}
	out := appendH2Frame(c.buffer(), n, h2Data, flags, st.id)
	c.out = append(out, st.pending[:n]...)
	st.pending = st.pending[n:]
	st.sendWin -= int64(n)
	st.sent += int64(n)
	c.sendWin -= int64(n)
	c.sentData += int64(n)
	c.budget.moved(n)
	c.turns++
	st.turn = c.turns
	if last {
		c.endLocal(st)
	}
	if len(st.pending) == 0 {
		c.unready(st)
		st.writable.Signal()
	} else if st.sendWin <= 0 {
		c.unready(st)
	}
}

// makeReady enters st into the writer's list if it can send.
func (c *h2Conn) makeReady(st *h2Stream) {
	if !st.ready && len(st.pending) > 0 && st.sendWin > 0 {
		st.ready = true
		c.ready = append(c.ready, st)
	}
}

func (c *h2Conn) unready(st *h2Stream) {
	if !st.ready {
		return
	}
	st.ready = false
	last := len(c.ready) - 1
	for i, x := range c.ready {
		if x == st {
			c.ready[i], c.ready[last] = c.ready[last], nil
			c.ready = c.ready[:last]
			return
		}
	}
}
