package viewerhttp

import (
	"slices"
	"sync"
	"time"

	"pqfront/internal/httpfield"
)

// h2Stream is one request and its answer. It is never used again, so that a Handler
// may keep the Request; that costs one allocation.
type h2Stream struct {
	c       *h2Conn
	id      uint32
	req     Request
	ctx     h2Context
	body    h2Body
	fields  [16]httpfield.Field // room for the Header of most requests
	refused *Response           // the engine's own answer, in place of the Handler's

	method, authority, path string // for reports: the Request is the Handler's

	// All below is guarded by c.mu.

	remoteDone bool // the viewer sent END_STREAM
	localDone  bool // we did
	gone       bool // reset by either side, or the connection is over
	responded  bool
	counted    bool // in c.answers
	queued     bool // in c.waiting

	prio      h2Prio
	turn      uint64 // when it sent last
	ready     bool   // in c.ready
	pulling   bool   // waits for windows before it reads its Stream
	pending   []byte // content not yet packed
	lastPiece bool   // END_STREAM goes with the end of pending
	sendWin   int64
	sent      int64
	writable  sync.Cond
	stall     h2Stall

	recvWin, recvOwed int64
}

// h2How is how a stream came to its end.
type h2How uint8

const (
	h2Never    h2How = iota // it was skipped, or it is too long ago
	h2Finished              // both sides sent END_STREAM
	h2ByViewer              // RST_STREAM came
	h2ByUs                  // we sent RST_STREAM: frames on their way are to be ignored
	h2ByConn                // with the connection
)

type h2Ended struct {
	id  uint32
	how h2How
}

// open enters a new stream. c.mu is held, as in all methods of h2Conn in this file.
func (c *h2Conn) open(st *h2Stream) {
	c.streams[st.id] = st
	c.answers++
	st.counted = true
	c.budget.earn(h2EarnRequest)
	if c.clockSlow {
		c.hurryClock()
	}
	if c.served >= c.lim.RequestsPerConn {
		c.announce()
	}
	c.resting = false
	if c.parked > 0 || c.handlers == h2MaxConcurrent {
		st.queued = true
		c.waiting = append(c.waiting, st)
		if c.parked > 0 {
			c.parked--
			c.handOver.Signal()
		}
		return
	}
	c.handlers++
	c.wg.Add(1)
	go c.handle(st)
}

// handle runs the Handler for st, and then for the streams that wait.
func (c *h2Conn) handle(st *h2Stream) {
	defer c.wg.Done()
	for st != nil {
		st.serve()
		c.mu.Lock()
		st = c.nextWaiting()
		c.mu.Unlock()
	}
}

// nextWaiting returns the next stream for a handler's goroutine. A few of them stay
// for a moment when there is none: they have grown their stack already.
func (c *h2Conn) nextWaiting() *h2Stream {
	if len(c.waiting) == 0 && c.parked < h2Parked && !c.resting && !c.closing {
		c.parked++
		c.handOver.Wait() // whoever wakes us takes us out of c.parked
	}
	if len(c.waiting) == 0 {
		c.handlers--
		return nil
	}
	st := c.waiting[0]
	c.waiting = slices.Delete(c.waiting, 0, 1)
	st.queued = false
	return st
}

// rest lets go of the goroutines that have nothing to do and of the reader's buffer.
func (c *h2Conn) rest() {
	c.resting = true
	if !c.closing {
		c.conn.SetReadDeadline(aLongTimeAgo) // wakes the reader, see h2Input
	}
	c.parked = 0
	c.handOver.Broadcast()
}

// serve answers one request.
func (st *h2Stream) serve() {
	c := st.c
	if st.refused != nil {
		st.Respond(st.refused)
		st.finish()
		return
	}
	ok := c.e.callHandler(&st.ctx, &st.req, st)
	c.mu.Lock()
	failed := !st.responded && !st.gone
	c.mu.Unlock()
	if failed {
		if ok {
			c.e.log().Error("handler did not answer", "method", st.method,
				"authority", st.authority, "path", clip(st.path))
		}
		st.report(ReasonHandlerFailure.status(), ReasonHandlerFailure)
		st.Respond(c.e.errorPage(ReasonHandlerFailure.status(), ReasonHandlerFailure))
	}
	st.finish()
}

// finish ends what is left of the stream after its Handler returned.
func (st *h2Stream) finish() {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	st.ctx.end()
	st.unanswered()
	c.closeBody(st, errBodyOver)
	switch {
	case st.gone, st.localDone && st.remoteDone:
	case !st.localDone:
		c.resetStream(st, h2InternalError) // the answer broke off
	default:
		// The answer is complete, the rest of the body is not wanted (RFC 9113, Section 8.1).
		c.resetStream(st, h2NoError)
	}
}

// report tells the Observer that the request was refused.
func (st *h2Stream) report(status int, reason Reason) {
	st.c.e.reject(st.rejection(status, reason))
}

func (st *h2Stream) rejection(status int, reason Reason) Rejection {
	return Rejection{Conn: st.c.info, Proto: HTTP2, Status: status, Reason: reason,
		Method: st.method, Authority: st.authority, Path: st.path}
}

// label keeps what reports say of the request.
func (st *h2Stream) label() {
	st.method, st.authority, st.path = st.req.Method, st.req.Authority, st.req.Path
}

// unanswered takes st out of the count of streams that wait for an answer.
func (st *h2Stream) unanswered() {
	if st.counted {
		st.counted = false
		st.c.answers--
	}
}

// endLocal notes that our END_STREAM is queued.
func (c *h2Conn) endLocal(st *h2Stream) {
	st.localDone = true
	if st.remoteDone {
		c.forget(st, h2Finished)
	}
}

// endRemote notes that the viewer's END_STREAM came.
func (c *h2Conn) endRemote(st *h2Stream) {
	st.remoteDone = true
	if st.localDone {
		c.forget(st, h2Finished)
	}
}

// resetStream queues RST_STREAM and drops st.
func (c *h2Conn) resetStream(st *h2Stream, code h2Code) {
	c.drop(st, h2ByUs)
	c.queue(appendH2Reset(c.buffer(), st.id, code))
}

// drop ends st before its time: the Handler's context ends, and whatever waits for
// the stream stops waiting.
func (c *h2Conn) drop(st *h2Stream, how h2How) {
	if st.gone || c.streams[st.id] != st {
		return
	}
	st.gone = true
	if st.queued {
		c.waiting = slices.DeleteFunc(c.waiting, func(x *h2Stream) bool { return x == st })
	}
	c.unready(st)
	st.pending = nil
	st.unanswered()
	c.closeBody(st, &BodyError{Status: 400, Reason: ReasonViewerGone})
	st.ctx.end()
	st.writable.Signal()
	c.room.Broadcast()
	c.forget(st, how)
}

// forget takes st out of the open streams.
func (c *h2Conn) forget(st *h2Stream, how h2How) {
	delete(c.streams, st.id)
	c.remember(st.id, how)
	if len(c.streams) > 0 {
		return
	}
	c.idleSince = c.e.now()
	c.closeIfDone()
}

func (c *h2Conn) remember(id uint32, how h2How) {
	if len(c.ended) < h2Remembered {
		c.ended = append(c.ended, h2Ended{id, how})
		return
	}
	c.ended[c.endedAt] = h2Ended{id, how}
	c.endedAt = (c.endedAt + 1) % h2Remembered
}

// noteViewerReset notes that the viewer reset a stream that is over: nothing more of
// it can be on its way.
func (c *h2Conn) noteViewerReset(id uint32) {
	for i := range c.ended {
		if c.ended[i].id == id {
			c.ended[i].how = h2ByViewer
		}
	}
}

// howEnded tells what became of a stream that is not open any more.
func (c *h2Conn) howEnded(id uint32) h2How {
	for _, e := range c.ended {
		if e.id == id {
			return e.how
		}
	}
	return h2Never
}

// idle reports whether a stream has not been opened yet or cannot be by the viewer
// (RFC 9113, Section 5.1.1).
func (c *h2Conn) idle(id uint32) bool { return id%2 == 0 || id > c.maxID }

// ignored reports whether a stream is one that we said will not be looked at (RFC
// 9113, Section 6.8).
func (c *h2Conn) ignored(id uint32) bool { return c.leaving == h2Left && id%2 == 1 && id > c.lastID }

// h2Stall adds up how long a sender was held up by a closed window.
type h2Stall struct {
	held time.Duration
	sent int64 // at the last progress
}

// add counts d if the sender is held up now, and reports whether that is too much.
func (s *h2Stall) add(heldUp bool, d time.Duration, sent int64, limit time.Duration) bool {
	if sent-s.sent >= h2StallBytes {
		*s = h2Stall{sent: sent}
	}
	if heldUp {
		s.held += d
	}
	return s.held > limit
}
