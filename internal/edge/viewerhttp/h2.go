package viewerhttp

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"pqfront/internal/edge/viewerhttp/hpack"
)

// ServeH2 serves HTTP/2 (RFC 9113) on conn until either side ends it, and closes
// conn. Call it when ALPN chose h2. When ctx ends, the viewer is told to open no
// more streams; those in flight are still answered. Whoever owns conn ends that
// grace by closing it; only then do the contexts of those requests end. It returns
// when its last Handler has.
//
// One goroutine, the caller's, reads. Each request has one for its Handler. What is
// ready to be sent is packed into one Write, by the Handler's goroutine when it is
// the only one, else by a goroutine that lives as long as there is something to
// write. An idle connection has only the reader. What they share is guarded by one mutex.
func (e *Engine) ServeH2(ctx context.Context, conn net.Conn, info *Conn) {
	c := newH2Conn(ctx, e, conn, info)
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		c.drain()
	})
	c.end(c.read())
	if !stop() {
		<-drained
	}
}

// h2Conn is one HTTP/2 connection.
type h2Conn struct {
	e    *Engine
	lim  Limits
	conn net.Conn
	info *Conn
	base context.Context // the server's values without its end
	tick time.Duration   // how often the clock looks

	in    h2Input // the reader's own, as the next three
	dec   *hpack.Decoder
	head  h2Head
	block h2Block

	wg sync.WaitGroup // handlers and the writer

	mu sync.Mutex // guards the rest

	streams  map[uint32]*h2Stream
	maxID    uint32      // the highest stream that the viewer opened
	served   int         // how many it opened
	handlers int         // goroutines that run handlers
	answers  int         // streams that have not been answered
	waiting  []*h2Stream // for one of the handlers
	parked   int         // handlers that wait for a stream
	handOver sync.Cond   // for them
	resting  bool        // nothing is going on
	ended    []h2Ended   // a ring of the last streams that are over
	endedAt  int
	early    []h2Early

	out        []byte // to be written next; nil when there is nothing
	enc        *hpack.Encoder
	ready      []*h2Stream // with something to send and their own window open
	turns      uint64
	writing    bool      // somebody writes
	room       sync.Cond // out has been taken, or the end came
	held       int       // bytes of Streams that are read and not packed
	sendWin    int64
	peerWindow int64 // SETTINGS_INITIAL_WINDOW_SIZE
	peerFrame  int   // SETTINGS_MAX_FRAME_SIZE
	sentData   int64

	recvWin  int64 // what the viewer may still send
	recvOwed int64 // used up, to be given back

	budget h2Budget
	resets h2Resets

	leaving h2Leaving
	lastID  uint32 // of the last GOAWAY: streams above it are ignored
	closing bool   // nothing is read any more; after out is written the connection ends
	shut    bool   // the writer has had its last word
	broken  bool   // there is nobody to write to

	clock      *time.Timer
	clockSlow  bool // it is set to the end of the idle time
	begun      bool // the viewer's SETTINGS came
	opened     time.Time
	acked      bool // and it acknowledged ours
	idleSince  time.Time
	writeSince time.Time // a Write is under way
	stall      h2Stall   // the connection's window holds ready streams up
	goAwayAt   time.Time
	closeBy    time.Time // zero, or when patience with the last word ends
	readBy     time.Time // zero, or when the frame or block that has begun must be there
	readReason Reason
}

// h2Leaving is how far the graceful end has come.
type h2Leaving uint8

const (
	h2Staying   h2Leaving = iota
	h2Announced           // GOAWAY with the highest id: requests on their way are still served
	h2Left                // GOAWAY with the true last id
)

func newH2Conn(ctx context.Context, e *Engine, conn net.Conn, info *Conn) *h2Conn {
	now := e.now()
	c := &h2Conn{
		e: e, lim: e.limits(), conn: conn, info: info, base: context.WithoutCancel(ctx),
		dec: hpack.NewDecoder(h2Inspector), enc: hpack.NewEncoder(),
		streams: make(map[uint32]*h2Stream),
		sendWin: h2FirstWindow, peerWindow: h2FirstWindow, peerFrame: h2MaxFrame,
		recvWin:    h2ConnRecv,
		budget:     h2Budget{tokens: h2BudgetMax, at: now},
		resets:     h2Resets{since: now},
		lastID:     h2MaxStreamID,
		idleSince:  now,
		readReason: ReasonSilent,
	}
	c.readBy = now.Add(c.lim.HeaderTimeout)
	c.in.c = c
	c.head.emit = c.head.add
	c.room.L, c.handOver.L = &c.mu, &c.mu
	c.tick = time.Second
	for _, d := range []time.Duration{c.lim.IdleTimeout, c.lim.HeaderTimeout, c.lim.BodyIdleTimeout, c.lim.WriteStallTimeout, 2 * c.lim.LingerTimeout} {
		c.tick = min(c.tick, max(d/4, time.Millisecond)) // short limits hold too
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock = time.AfterFunc(c.tick, c.onTick)
	c.hello()
	return c
}

// hello queues the server's preface (RFC 9113, Section 3.4).
func (c *h2Conn) hello() {
	out := appendH2Frame(c.buffer(), 4*6, h2Settings, 0, 0)
	out = appendH2Setting(out, h2SetMaxStreams, h2MaxConcurrent)
	out = appendH2Setting(out, h2SetInitialWindow, h2StreamRecv)
	out = appendH2Setting(out, h2SetMaxHeaderList, uint32(c.lim.HeadBytes))
	out = appendH2Setting(out, h2SetNoRFC7540Priority, 1)
	c.queue(appendH2WindowUpdate(out, 0, h2ConnRecv-h2FirstWindow))
}

// end closes the connection after the reader stopped with err, and waits for all
// that belongs to it.
func (c *h2Conn) end(err error) {
	var broken *h2ConnError
	if errors.As(err, &broken) {
		c.fail(broken)
	} else {
		c.lost()
	}
	c.linger()
	c.mu.Lock()
	c.broken = true
	c.clock.Stop()
	c.abandon()
	c.mu.Unlock()
	c.conn.Close()
	c.wg.Wait()
	c.in.release()
}

// lost is called when nothing more can be read: the viewer went away, or we closed.
func (c *h2Conn) lost() {
	c.mu.Lock()
	var reason Reason
	if !c.closing {
		switch {
		case c.served == 0 && c.leaving == h2Staying:
			reason = ReasonSilent
		case !c.readBy.IsZero():
			reason = ReasonTruncatedHead
		}
		c.closing, c.broken = true, true
		c.abandon()
	}
	c.mu.Unlock()
	if reason != "" {
		c.report(reason)
	}
}

// fail ends the connection with GOAWAY (RFC 9113, Section 5.4.1).
func (c *h2Conn) fail(err *h2ConnError) {
	c.mu.Lock()
	first := c.failLocked(err.code)
	c.mu.Unlock()
	if first {
		c.report(err.reason)
	}
}

func (c *h2Conn) failLocked(code h2Code) (first bool) {
	if c.closing {
		return false
	}
	c.leaving, c.lastID = h2Left, c.maxID
	c.queue(appendH2GoAway(c.buffer(), c.lastID, code))
	c.closing, c.closeBy = true, c.e.now().Add(c.lim.LingerTimeout)
	c.abandon()
	return true
}

// report tells the Observer why the connection ended.
func (c *h2Conn) report(reason Reason) {
	c.e.reject(c.rejection(reason))
}

func (c *h2Conn) rejection(reason Reason) Rejection {
	return Rejection{Conn: c.info, Proto: HTTP2, Reason: reason}
}

// abandon gives up all streams.
func (c *h2Conn) abandon() {
	for _, st := range c.streams {
		c.drop(st, h2ByConn)
	}
	c.rest()
	c.wake()
	c.room.Broadcast()
}

// linger lets the writer finish and reads on for a moment. Closing with unread
// bytes in the kernel would reset the connection, and the reset may overtake our
// last word.
func (c *h2Conn) linger() {
	c.mu.Lock()
	for !c.shut && !c.broken {
		c.room.Wait() // the clock cuts a connection that does not take it
	}
	gone := c.broken
	c.mu.Unlock()
	if !gone {
		c.in.discard(c.lim.DrainBytes) // until the deadline that lastWord has set
	}
}

// drain begins the graceful end: GOAWAY with the highest id and a PING; when its
// answer is back, the viewer knows, and GOAWAY with the true last id follows (RFC
// 9113, Section 6.8).
func (c *h2Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announce()
}

func (c *h2Conn) announce() {
	if c.leaving != h2Staying || c.closing {
		return
	}
	c.leaving, c.goAwayAt = h2Announced, c.e.now()
	out := appendH2GoAway(c.buffer(), h2MaxStreamID, h2NoError)
	out = appendH2Frame(out, len(h2DrainPing), h2Ping, 0, 0)
	c.queue(append(out, h2DrainPing...))
	c.hurryClock()
}

const h2DrainPing = "goodbye\x00"

// leave sends the second GOAWAY. Streams above its id are ignored from here on.
func (c *h2Conn) leave() {
	if c.leaving == h2Left || c.closing {
		return
	}
	c.leaving, c.lastID = h2Left, c.maxID
	c.queue(appendH2GoAway(c.buffer(), c.lastID, h2NoError))
	c.closeIfDone()
}

// closeIfDone ends a connection that has been left and has nothing more to do.
func (c *h2Conn) closeIfDone() {
	if c.leaving == h2Left && len(c.streams) == 0 && !c.closing {
		c.closing = true
		c.wake()
	}
}
