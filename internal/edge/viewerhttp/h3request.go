package viewerhttp

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"pqfront/internal/edge/viewerhttp/qpack"
	"pqfront/internal/httpfield"
)

const (
	// h3InputBytes holds the head of nearly every request.
	h3InputBytes = 4 << 10
	// h3IdleFrames bounds the frames of one request that carry nothing: empty DATA and
	// unknown types. Greasing viewers send one or two.
	h3IdleFrames = 100
	// h3IdleBytes bounds what unknown frames of one request may hold.
	h3IdleBytes = 64 << 10
)

// h3Pools keeps buffers between requests.
type h3Pools struct {
	inputs, outputs, chunks sync.Pool
	decoders                sync.Pool
}

func getBuf(p *sync.Pool, size int) *[]byte {
	if b, ok := p.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, size)
	return &b
}

// h3Stream is one request and its answer.
type h3Stream struct {
	c     *h3Conn
	str   *quic.Stream
	first bool
	req   Request
	ctx   h3Context
	body  h3Body
	in    h3Input

	fields [16]httpfield.Field // room for the Header of most requests

	method, authority, path string // for reports: the Request is the Handler's

	prio    h2Prio
	hasPrio bool

	writing   sync.Mutex // one frame at a time
	responded atomic.Bool
	closed    atomic.Bool // we have written the end, or reset
	complete  bool        // the whole answer is written
	ours      bool        // it broke off on our side
	idle      int         // frames that carried nothing
	idleBytes uint64
}

// serve reads the head of one request, runs the Handler and ends the stream.
func (st *h3Stream) serve() {
	c := st.c
	buf := getBuf(&c.e.h3.inputs, h3InputBytes)
	st.in = h3Input{src: st.str, buf: *buf}
	refused, err := st.readHead()
	switch {
	case err != nil:
		st.giveUp(err)
	case refused != "":
		st.report(refused.status(), refused)
		st.Respond(c.e.errorPage(refused.status(), refused))
	default:
		st.run()
	}
	st.finish(buf)
	c.leave(st, !st.complete && !st.ours)
}

// run calls the Handler.
func (st *h3Stream) run() {
	c := st.c
	ok := c.e.callHandler(&st.ctx, &st.req, st)
	if st.responded.Load() {
		return
	}
	if ok {
		c.e.log().Error("handler did not answer", "method", st.method, "authority", st.authority, "path", clip(st.path))
	}
	st.report(ReasonHandlerFailure.status(), ReasonHandlerFailure)
	st.Respond(c.e.errorPage(ReasonHandlerFailure.status(), ReasonHandlerFailure))
}

// finish ends what is left of the stream.
func (st *h3Stream) finish(buf *[]byte) {
	st.ctx.end()
	st.body.closed.Store(true)
	if !st.closed.Swap(true) {
		st.str.CancelWrite(h3InternalError) // the answer broke off
	}
	// What was not read is not wanted (RFC 9114, Section 4.1). Nothing happens when all
	// was read. It also wakes a reader that goes on after the Handler returned.
	st.str.CancelRead(h3NoError)
	st.body.mu.Lock() // until that reader has left the buffer
	st.in.buf, st.in.r, st.in.w = nil, 0, 0
	st.body.mu.Unlock()
	st.c.e.h3.inputs.Put(buf)
}

// giveUp ends a request that cannot be answered.
func (st *h3Stream) giveUp(err error) {
	if st.c.failWith(err) {
		return
	}
	var broken *h3StreamError
	if errors.As(err, &broken) {
		st.reset(broken.code)
		st.report(0, broken.reason)
		return
	}
	// The viewer reset the stream, the connection ended, or the time was up.
	reason := ReasonTruncatedHead
	if isTimeout(err) {
		reason = ReasonHeaderTimeout
	}
	st.reset(h3RequestCancelled)
	if isStreamEnd(err) || isTimeout(err) {
		st.report(0, reason)
	}
}

// reset ends both directions with an error.
func (st *h3Stream) reset(code quic.StreamErrorCode) {
	st.closed.Store(true)
	st.str.CancelRead(code)
	st.str.CancelWrite(code)
}

func (st *h3Stream) report(status int, reason Reason) {
	st.c.e.reject(Rejection{Conn: st.c.info, Proto: HTTP3, Status: status, Reason: reason,
		Method: st.method, Authority: st.authority, Path: st.path})
}

// readHead reads up to the end of the header section, and further where that tells
// whether there is a body. refused is the reason for an answer of the engine's own.
func (st *h3Stream) readHead() (refused Reason, err error) {
	c := st.c
	_ = st.str.SetReadDeadline(time.Now().Add(c.lim.HeaderTimeout)) // fails on closed streams only
	var length uint64
	for {
		var typ uint64
		if typ, length, err = st.in.frame(); err != nil {
			if err == io.EOF {
				return "", &h3StreamError{h3RequestIncomplete, ReasonTruncatedHead}
			}
			return "", cutOr(err)
		}
		if typ == h3Headers {
			break
		}
		if typ == h3Data {
			return "", h3Unexpected("DATA before HEADERS")
		}
		if err := st.skip(typ, length); err != nil {
			return "", err
		}
	}
	r := &st.req
	r.Conn, r.Proto, r.Received, r.First = c.info, HTTP3, c.e.now(), st.first
	r.Header = st.fields[:0]
	st.ctx.h2Context.base, st.ctx.st = context.WithoutCancel(st.str.Context()), st
	st.body.st, st.body.left = st, -1
	if length > uint64(c.lim.HeadBytes) {
		// What is decoded is never smaller than what came (RFC 9204, Section 4.5).
		return ReasonHeadTooLarge, nil
	}
	r.HeadBytes = int64(length) + 1 + int64(quicvarint.Len(length))
	head := sectionHead{req: r, lim: &c.lim}
	if err := st.decode(int(length), &head); err != nil {
		return "", err
	}
	head.finish(c.info.TLS != nil)
	st.method, st.authority, st.path = r.Method, r.Authority, r.Path
	if head.emptyAuthority {
		head.breaks(ReasonPseudoField) // RFC 9114, Section 4.3.1; HTTP/2 has no such rule
	}
	switch {
	case head.malformed != "":
		return "", &h3StreamError{h3MessageError, head.malformed}
	case head.refused != "":
		return head.refused, nil
	}
	if head.hasPrio && !st.hasPrio {
		st.prio, st.hasPrio = head.prio, true
	}
	if st.hasPrio {
		st.str.SetPriority(int8(st.prio.urgency), st.prio.incremental)
	}
	return "", st.findBody(&head)
}

// decode reads a field section and gives its lines to head.
func (st *h3Stream) decode(length int, head *sectionHead) error {
	section, err := st.in.take(length, func(n int) []byte { return make([]byte, n) })
	if err != nil {
		return cutOr(err)
	}
	pool := &st.c.e.h3.decoders
	d, _ := pool.Get().(*qpack.Decoder)
	if d == nil {
		d = new(qpack.Decoder)
	}
	defer func() {
		d.Release()
		pool.Put(d)
	}()
	fields, err := d.Decode(section, qpack.Limits{Bytes: st.c.lim.HeadBytes, Lines: st.c.lim.HeaderCount})
	switch {
	case errors.Is(err, qpack.ErrBytes):
		head.refuse(ReasonHeadTooLarge)
	case errors.Is(err, qpack.ErrLines):
		head.refuse(ReasonTooManyFields)
	case err != nil:
		return &h3ConnError{qpackDecompressFailed, ReasonH3Compression, err.Error()}
	}
	for i := range fields {
		head.add(fields[i].Name, fields[i].Value, inspectH2Field(fields[i].Name, fields[i].Value))
	}
	return nil
}

// findBody decides whether there is a body. HTTP/3 tells only by the end of the
// stream, which may come in a later packet than the header section: for methods
// that seldom have a body, or that have none by their content-length, we wait for it.
func (st *h3Stream) findBody(head *sectionHead) error {
	b, r := &st.body, &st.req
	b.left = head.left
	waits := head.left == 0 || head.left < 0 && r.Method != "POST" && r.Method != "PUT" && r.Method != "PATCH"
	if waits || st.in.ended() {
		more, err := b.next()
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
	r.Body, r.ContentLength = b, head.left
	b.owe100 = head.owe100
	return nil
}

// skip passes over a frame that means nothing on a request stream, or refuses it
// (RFC 9114, Sections 7.2 and 9).
func (st *h3Stream) skip(typ, length uint64) error {
	if h3KindOf(typ) != h3Unknown {
		return h3Unexpected("a frame that has no place on a request stream")
	}
	if err := st.idleFrame(length); err != nil {
		return err
	}
	return cutOr(st.in.skip(length))
}

func (st *h3Stream) idleFrame(length uint64) error {
	st.idle++
	st.idleBytes += min(length, h3IdleBytes+1)
	if st.idle > h3IdleFrames || st.idleBytes > h3IdleBytes {
		return &h3ConnError{h3ExcessiveLoad, ReasonH3FrameFlood, "too many frames that carry nothing"}
	}
	return nil
}

// cutOr turns the clean end of a stream in the middle of a frame into what it is.
func cutOr(err error) error {
	if err != nil && isCut(err) {
		return h3BadFrame("a stream ended in the middle of a frame")
	}
	return err
}

// isTimeout reports whether a deadline of ours has passed; the connection's own idle
// timeout is another thing.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isStreamEnd reports whether err tells of the end of one stream, clean or by reset,
// not of the connection's.
func isStreamEnd(err error) bool {
	var reset *quic.StreamError
	return err == io.EOF || isCut(err) || errors.As(err, &reset)
}

// h3Context is the context of one request: it ends when the viewer resets the
// answer or the connection ends, but not with the answer's own end.
type h3Context struct {
	h2Context
	st   *h3Stream
	once sync.Once
}

// Done implements context.Context. The stream's own context is watched only when
// somebody asks.
func (k *h3Context) Done() <-chan struct{} {
	k.once.Do(func() { context.AfterFunc(k.st.str.Context(), k.check) })
	return k.h2Context.Done()
}

// Err implements context.Context.
func (k *h3Context) Err() error {
	if k.st.str.Context().Err() != nil {
		k.check()
	}
	return k.h2Context.Err()
}

func (k *h3Context) check() {
	if !k.st.closed.Load() {
		k.end()
	}
}
