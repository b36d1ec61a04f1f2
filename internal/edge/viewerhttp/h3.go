package viewerhttp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// ServeQUICConn serves HTTP/3 on qc, whose handshake is done and which was made with
// QUICConfig, until either side ends it, and closes qc. When ctx ends, requests in
// flight are still answered; the viewer is told with GOAWAY.
//
// The caller's goroutine accepts requests; each has a goroutine for its head, its
// Handler and its answer, and each of the viewer's unidirectional streams one more.
func (e *Engine) ServeQUICConn(ctx context.Context, qc *quic.Conn, info *Conn) {
	now := e.now()
	c := &h3Conn{
		e: e, lim: e.limits(), qc: qc, info: info,
		open: make(map[quic.StreamID]*h3Stream), empty: make(chan struct{}, 1),
		idleSince: now, resets: h2Resets{since: now},
	}
	if err := c.hello(); err != nil {
		c.fail(&h3ConnError{h3StreamCreationError, ReasonH3StreamCreation, "the viewer allows us no control stream"})
		return
	}
	c.mu.Lock()
	c.clock = time.AfterFunc(c.lim.IdleTimeout, c.onClock)
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, c.stop)
	c.wg.Go(c.acceptUni)
	c.accept()
	stop()
	c.end()
}

// h3Conn is one HTTP/3 connection.
type h3Conn struct {
	e       *Engine
	lim     Limits
	qc      *quic.Conn
	info    *Conn
	control *quic.SendStream // ours

	wg sync.WaitGroup // all goroutines but the caller's

	mu        sync.Mutex // guards the rest
	open      map[quic.StreamID]*h3Stream
	nextID    quic.StreamID // above the highest request so far
	served    int
	rejecting bool // requests from goAwayID on are rejected
	goAwayID  quic.StreamID
	draining  bool
	stopped   bool // the server wants it
	over      bool // nothing may be started any more
	failed    bool
	idleSince time.Time // when the last stream ended
	clock     *time.Timer
	empty     chan struct{} // holds one token when the last stream ended
	resets    h2Resets
	early     []h3Early
	uni       [h3UniKinds]bool // the viewer's critical streams that exist
}

// h3Early is a PRIORITY_UPDATE that came before its stream.
type h3Early struct {
	id   quic.StreamID
	prio h2Prio
}

const (
	h3ControlStream = 0x0
	h3PushStream    = 0x1
	qpackEncoder    = 0x2
	qpackDecoder    = 0x3
	h3UniKinds      = 4

	// h3MaxStreamID is the id of the first GOAWAY of a graceful end: the highest that a
	// viewer could open (RFC 9114, Section 5.2).
	h3MaxStreamID = 1<<62 - 4
)

// hello opens our control stream. We need none for QPACK: there is no dynamic table
// to speak of (RFC 9204, Section 4.2).
func (c *h3Conn) hello() (err error) {
	if c.control, err = c.qc.OpenUniStream(); err != nil {
		return err
	}
	c.control.SetPriority(0, true)
	_, err = c.control.Write(appendH3Hello(nil, c.lim.HeadBytes))
	return err
}

// accept starts a goroutine for each request until the connection ends.
func (c *h3Conn) accept() {
	for {
		str, err := c.qc.AcceptStream(context.Background()) // ends with the connection
		if err != nil {
			return
		}
		st := c.admit(str)
		if st == nil {
			str.CancelRead(h3RequestRejected)
			str.CancelWrite(h3RequestRejected)
			str.ReleaseStreamCredit()
			continue
		}
		c.wg.Go(st.serve)
	}
}

// admit enters a new request, or returns nil when it is one that GOAWAY has excluded.
func (c *h3Conn) admit(str *quic.Stream) *h3Stream {
	st := &h3Stream{c: c, str: str}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := str.StreamID()
	if c.rejecting && id >= c.goAwayID {
		return nil
	}
	if id >= c.nextID {
		c.nextID = id + 4
	}
	st.first = c.served == 0
	c.served++
	c.resets.opened++
	c.open[id] = st
	kept := c.early[:0]
	for _, early := range c.early {
		if early.id == id {
			st.prio, st.hasPrio = early.prio, true
		}
		if early.id > id {
			kept = append(kept, early)
		}
	}
	c.early = kept
	if c.served == c.lim.RequestsPerConn {
		c.startDrain()
	}
	return st
}

// leave takes a request out when nothing of it runs any more. broken tells that it
// came to nothing by the viewer's doing.
func (c *h3Conn) leave(st *h3Stream, broken bool) {
	c.mu.Lock()
	delete(c.open, st.str.StreamID())
	if len(c.open) == 0 {
		c.idleSince = c.e.now()
		select {
		case c.empty <- struct{}{}:
		default:
		}
	}
	flood := broken && !c.resets.note(c.e.now)
	c.mu.Unlock()
	st.str.ReleaseStreamCredit()
	if flood {
		c.fail(&h3ConnError{h3ExcessiveLoad, ReasonH3RapidReset, "too many requests were cancelled or broken"})
	}
}

// onClock ends a connection without requests. Timers of requests would cost each of
// them; this one looks only when the time may have come.
func (c *h3Conn) onClock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.draining {
		return
	}
	left := c.lim.IdleTimeout
	if len(c.open) == 0 {
		left -= c.e.now().Sub(c.idleSince)
	}
	if left <= 0 {
		c.startDrain()
		return
	}
	c.clock.Reset(left)
}

// stop begins the end that the server wants.
func (c *h3Conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.startDrain()
}

func (c *h3Conn) startDrain() {
	if c.draining || c.over {
		return
	}
	c.draining = true
	c.wg.Go(c.drain)
}

// drain ends the connection gracefully: a first GOAWAY that excludes nothing, so that
// requests on their way are served; one with the true id; then, when all is answered
// and has had time to arrive, the end (RFC 9114, Section 5.2).
func (c *h3Conn) drain() {
	c.sendGoAway(h3MaxStreamID)
	if !c.pause(min(max(2*c.qc.ConnectionStats().SmoothedRTT, 10*time.Millisecond), time.Second)) {
		return
	}
	c.mu.Lock()
	c.rejecting, c.goAwayID = true, c.nextID
	id := c.nextID
	c.mu.Unlock()
	c.sendGoAway(id)
	for {
		c.mu.Lock()
		busy, quiet := len(c.open) > 0, c.e.now().Sub(c.idleSince)
		c.mu.Unlock()
		switch {
		case busy:
			select {
			case <-c.empty:
			case <-c.qc.Context().Done():
				return
			}
			continue
		case id > 0 && quiet < c.lim.LingerTimeout:
			// Closing a QUIC connection throws away what is not acknowledged, and there is
			// no telling what is. Viewers that have read GOAWAY end it themselves.
			if !c.pause(c.lim.LingerTimeout - quiet) {
				return
			}
		}
		break
	}
	c.qc.CloseWithError(h3NoError, "")
}

// pause waits, and reports false when the connection ended meanwhile.
func (c *h3Conn) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.qc.Context().Done():
		return false
	}
}

// sendGoAway is called by drain only, so that writes to the control stream follow
// each other.
func (c *h3Conn) sendGoAway(id quic.StreamID) {
	b := appendH3Frame(nil, h3GoAway, uint64(quicvarint.Len(uint64(id))))
	_ = c.control.SetWriteDeadline(time.Now().Add(c.lim.LingerTimeout))
	_, _ = c.control.Write(quicvarint.Append(b, uint64(id))) // an error means that the connection is over
}

// fail ends the connection with an error (RFC 9114, Section 8).
func (c *h3Conn) fail(err *h3ConnError) {
	c.mu.Lock()
	first := !c.failed && c.qc.Context().Err() == nil
	c.failed = true
	c.mu.Unlock()
	if first {
		c.report(err.reason)
	}
	c.qc.CloseWithError(err.code, err.text)
}

// failWith ends the connection if err is of the kind that does.
func (c *h3Conn) failWith(err error) bool {
	var broken *h3ConnError
	if !errors.As(err, &broken) {
		return false
	}
	c.fail(broken)
	return true
}

// end waits for all that belongs to the connection after it ended.
func (c *h3Conn) end() {
	c.mu.Lock()
	c.over = true
	c.clock.Stop()
	silent := c.served == 0 && !c.failed && !c.stopped
	c.mu.Unlock()
	c.qc.CloseWithError(h3NoError, "")
	c.wg.Wait()
	if silent {
		c.report(ReasonSilent)
	}
}

func (c *h3Conn) report(reason Reason) {
	c.e.reject(Rejection{Conn: c.info, Proto: HTTP3, Reason: reason})
}

// prioritize applies a PRIORITY_UPDATE (RFC 9218, Section 7.2).
func (c *h3Conn) prioritize(id quic.StreamID, p h2Prio) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.open[id]; st != nil {
		st.str.SetPriority(int8(p.urgency), p.incremental)
		return
	}
	if id < c.nextID {
		return // over, or skipped
	}
	if len(c.early) == h2EarlyPriorities {
		c.early = c.early[1:]
	}
	c.early = append(c.early, h3Early{id, p})
}
