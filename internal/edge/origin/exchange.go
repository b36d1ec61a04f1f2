package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"
)

// exchange watches one attempt: which connection it got, what was read and written,
// and how long the origin has been silent. net/http's own errors do not tell these
// apart; the kinds of Error are made from what was seen on the connection.
type exchange struct {
	plan    *plan
	parent  context.Context // the caller's; its end is the viewer's doing, not the origin's
	ctx     context.Context
	cancel  context.CancelCauseFunc
	release context.CancelFunc
	dog     watchdog
	started time.Time
	ended   atomic.Bool

	mu       sync.Mutex
	asked    bool  // net/http accepted the request and asked for a connection
	conn     *conn // nil until there is one
	reused   bool
	head     []byte // everything read before the response was understood
	seen     int    // bytes read, counted until then
	answered bool   // the response was understood: nothing is captured any more
	readErr  error
	writeErr error // of the connection
	sendErr  error // of the request as a whole
	viewErr  error // of the viewer's body
	interim  int
	first    time.Duration
}

func newExchange(parent, ctx context.Context, p *plan, started time.Time) *exchange {
	x := &exchange{plan: p, parent: parent, started: started, release: func() {}}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	x.dog.cancel = x.cancel
	return x
}

// end is called once the exchange is over, well or not.
func (x *exchange) end() {
	x.ended.Store(true)
	x.dog.disarm()
	x.cancel(errEnded)
	x.release()
}

// traced returns the context whose events x watches.
func (x *exchange) traced() context.Context {
	return httptrace.WithClientTrace(x.ctx, &httptrace.ClientTrace{
		// GetConn comes again when net/http replaces a kept connection that the origin
		// had closed in the meantime.
		GetConn:              func(string) { x.asking() },
		GotConn:              x.gotConn,
		WroteRequest:         x.wroteRequest,
		GotFirstResponseByte: x.firstByte,
		Got1xxResponse:       x.informational,
	})
}

func (x *exchange) asking() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked = true
	x.conn, x.head, x.seen, x.interim = nil, x.head[:0], 0, 0
	x.readErr, x.writeErr, x.sendErr = nil, nil, nil
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.dog.disarm()
	c, ok := info.Conn.(*conn)
	if !ok {
		return
	}
	x.mu.Lock()
	x.conn, x.reused = c, info.Reused
	x.mu.Unlock()
	c.write.Store(int64(x.plan.read))
	c.x.Store(x)
}

// wroteRequest starts the wait for the answer.
func (x *exchange) wroteRequest(info httptrace.WroteRequestInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sendErr = info.Err
	if info.Err == nil && !x.answered {
		x.dog.arm(x.plan.read, errReadTimeout)
	}
}

// answer ends the wait for a response and returns what was read of it so far.
func (x *exchange) answer() (head []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answered, head, x.head = true, x.head, nil
	x.dog.disarm()
	return head
}

func (x *exchange) firstByte() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.first = time.Since(x.started)
}

// informational limits 1xx responses. A second 100 is an error (CloudFront: Request and
// response behavior for custom origins, 100-continue); others are skipped, a few.
func (x *exchange) informational(code int, _ textproto.MIMEHeader) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	const most = 8
	x.interim++
	if code == 100 {
		x.interim += most / 2
	}
	if x.interim > most || len(x.head) > 2*maxResponseHead {
		return errTooManyInformational
	}
	return nil
}

func (x *exchange) viewerFailed(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.viewErr = err
}

// sawRead is told of every read of the connection.
func (x *exchange) sawRead(p []byte, err error) {
	x.mu.Lock()
	if x.answered {
		x.mu.Unlock()
		return
	}
	x.seen += len(p)
	if room := 3*maxResponseHead - len(x.head); room > 0 {
		x.head = append(x.head, p[:min(len(p), room)]...)
	}
	if err != nil && x.readErr == nil {
		x.readErr = err
	}
	x.mu.Unlock()
	if len(p) > 0 {
		x.dog.touch() // the timeout counts from packet to packet
	}
}

func (x *exchange) sawWriteError(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.writeErr == nil {
		x.writeErr = err
	}
}

// interrupted tells whether the exchange was ended by its caller or a timeout.
func (x *exchange) interrupted() error {
	if x.parent.Err() != nil {
		return context.Cause(x.parent)
	}
	switch cause := context.Cause(x.ctx); {
	case errors.Is(cause, errCompletionTimeout), errors.Is(cause, errReadTimeout):
		return fail(x.plan.name, KindComm, true, cause)
	case errors.Is(cause, errConnectTimeout):
		return dialFailure(x.plan.name, cause)
	}
	return nil
}

// failure says what err, from net/http before there was a response, means.
func (x *exchange) failure(err error) error {
	if err := x.interrupted(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	name := x.plan.name
	switch {
	case !x.asked:
		return fail(name, KindWrite, false, fmt.Errorf("the request cannot be written as HTTP/1.1: %w", err))
	case x.conn == nil:
		return dialFailure(name, err)
	case x.viewErr != nil:
		return fmt.Errorf("reading the viewer's request body: %w", x.viewErr)
	case x.writeErr != nil && x.seen == 0:
		return fail(name, KindWrite, isTimeout(x.writeErr), x.writeErr)
	case x.sendErr != nil && x.writeErr == nil && x.seen == 0:
		// The request itself could not be made: the viewer's body did not keep its length.
		return fmt.Errorf("sending the viewer's request: %w", err)
	case x.seen == 0:
		return fail(name, KindComm, false, fmt.Errorf("%w: %w", errNoAnswer, err))
	case errors.Is(err, errTooManyInformational):
		return fail(name, KindInvalidResponse, false, err)
	case x.seen >= maxResponseHead && x.readErr == nil:
		return fail(name, KindHeaderTooBig, false, fmt.Errorf("%w: %w", errHeaderTooBig, err))
	case x.readErr != nil:
		return fail(name, KindRead, false, fmt.Errorf("response head broke off: %w", err))
	}
	return fail(name, KindInvalidResponse, false, err)
}

// watchdog cancels an exchange when the origin is silent for too long.
type watchdog struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	armed bool
	wait  time.Duration
	until time.Time
	cause error
}

func (w *watchdog) arm(wait time.Duration, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed, w.wait, w.cause = true, wait, cause
	w.restart()
}

// touch starts the wait anew if there is one.
func (w *watchdog) touch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed {
		w.restart()
	}
}

func (w *watchdog) restart() {
	w.until = time.Now().Add(w.wait)
	if w.timer == nil {
		w.timer = time.AfterFunc(w.wait, w.bark)
		return
	}
	w.timer.Reset(w.wait)
}

func (w *watchdog) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	if w.timer != nil {
		w.timer.Stop()
	}
}

// bark may come late, after a disarm or a new wait: it looks again.
func (w *watchdog) bark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed && !time.Now().Before(w.until) {
		w.cancel(w.cause)
	}
}

// conn is a connection to an origin that tells its current exchange what happens.
type conn struct {
	net.Conn
	tls   *tls.ConnectionState // nil without TLS
	x     atomic.Pointer[exchange]
	write atomic.Int64 // how long the origin may refuse to take bytes
}

func newConn(nc net.Conn, state *tls.ConnectionState) *conn {
	return &conn{Conn: nc, tls: state}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if x := c.x.Load(); x != nil {
		x.sawRead(p[:n], err)
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	if d := c.write.Load(); d > 0 {
		err = c.Conn.SetWriteDeadline(time.Now().Add(time.Duration(d)))
	}
	if err == nil {
		n, err = c.Conn.Write(p)
	}
	if x := c.x.Load(); x != nil && err != nil {
		x.sawWriteError(err)
	}
	return n, err
}
