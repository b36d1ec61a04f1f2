package viewerhttp

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"pqfront/internal/edge/viewerhttp/qpack"
)

// h3Body is one request body. It reads from the stream when the Handler reads, so
// that QUIC's flow control holds the viewer up. It is safe against a reader that
// goes on while, or after, the Handler returns, as net/http's Transport does.
type h3Body struct {
	st     *h3Stream
	closed atomic.Bool // the request is over

	mu      sync.Mutex // guards the rest, and the stream's input with it
	inFrame uint64     // of the current DATA frame
	left    int64      // of the content-length; -1: unknown
	got     int64
	err     error // io.EOF at the end; final
	owe100  bool
}

// Read implements io.Reader. Errors other than io.EOF are of type *BodyError, or
// tell that the request is over.
func (b *h3Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return 0, errBodyOver
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	st := b.st
	if b.owe100 {
		b.owe100 = false
		st.sendContinue()
	}
	_ = st.str.SetReadDeadline(time.Now().Add(st.c.lim.BodyIdleTimeout))
	for b.inFrame == 0 {
		if more, err := b.next(); err != nil {
			return 0, b.fail(err)
		} else if !more {
			b.err = io.EOF
			return 0, io.EOF
		}
	}
	n, err := st.in.Read(p[:min(uint64(len(p)), b.inFrame)])
	b.inFrame -= uint64(n)
	b.got += int64(n)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if b.got > st.c.lim.BodyBytes {
		b.err = &BodyError{Status: 413, Reason: ReasonBodyTooLarge}
		st.report(0, ReasonBodyTooLarge)
		return 0, b.err
	}
	if err != nil {
		return n, b.fail(cutOr(noCleanEnd(err)))
	}
	if b.left == 0 && b.inFrame == 0 && st.in.ended() {
		b.err = io.EOF
		return n, io.EOF
	}
	return n, nil
}

// next goes on to the next DATA frame with content; more is false at the end of the
// request, trailers included.
func (b *h3Body) next() (more bool, err error) {
	st := b.st
	for {
		typ, length, err := st.in.frame()
		switch {
		case err == io.EOF:
			if b.left > 0 {
				return false, &h3StreamError{h3MessageError, ReasonBodyLength} // RFC 9114, Section 4.1.2
			}
			return false, nil
		case err != nil:
			return false, cutOr(err)
		case typ == h3Headers:
			return false, b.trailers(length)
		case typ == h3Data && length == 0:
			if err := st.idleFrame(0); err != nil {
				return false, err
			}
		case typ == h3Data:
			if b.left >= 0 && length > uint64(b.left) {
				return false, &h3StreamError{h3MessageError, ReasonBodyLength}
			}
			b.inFrame = length
			return true, nil
		default:
			if err := st.skip(typ, length); err != nil {
				return false, err
			}
		}
	}
}

// trailers checks a trailer section and forgets it: CloudFront drops trailers (RFC
// 9110, Section 6.5.1 allows it). Only unknown frames may follow (RFC 9114, Section 4.1).
func (b *h3Body) trailers(length uint64) error {
	st := b.st
	if length > uint64(st.c.lim.HeadBytes) {
		return &h3StreamError{h3MessageError, ReasonBadTrailer}
	}
	head := sectionHead{trailers: true, lim: &st.c.lim}
	if err := st.decode(int(length), &head); err != nil {
		return err
	}
	switch {
	case head.malformed != "":
		return &h3StreamError{h3MessageError, head.malformed}
	case head.refused != "":
		return &h3StreamError{h3MessageError, ReasonBadTrailer}
	case b.left > 0:
		return &h3StreamError{h3MessageError, ReasonBodyLength}
	}
	for {
		typ, length, err := st.in.frame()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return cutOr(err)
		}
		if err := st.skip(typ, length); err != nil {
			return err
		}
	}
}

// fail ends the body with an error, and the stream or the connection where the
// viewer broke the protocol.
func (b *h3Body) fail(err error) error {
	st := b.st
	reason, status := ReasonViewerGone, 400
	var stream *h3StreamError
	var conn *h3ConnError
	switch {
	case b.closed.Load():
		b.err = errBodyOver
		return b.err
	case errors.As(err, &conn):
		reason = conn.reason
		st.c.fail(conn)
	case errors.As(err, &stream):
		reason = stream.reason
		st.report(0, reason)
		st.reset(stream.code)
	case isTimeout(err):
		reason, status = ReasonBodyTimeout, 408
		st.report(0, reason)
	case isStreamEnd(err):
		st.report(0, reason)
	}
	b.err = &BodyError{Status: status, Reason: reason, Err: err}
	return b.err
}

// sendContinue sends the interim answer that the viewer waits for (RFC 9110,
// Section 10.1.1; RFC 9114, Section 4.1).
func (st *h3Stream) sendContinue() {
	st.writing.Lock()
	defer st.writing.Unlock()
	if st.responded.Load() || st.body.got > 0 {
		return
	}
	section := qpack.AppendField(qpack.AppendPrefix(nil), ":status", "100", false)
	_, _ = st.write(append(appendH3Frame(nil, h3Headers, uint64(len(section))), section...))
}
