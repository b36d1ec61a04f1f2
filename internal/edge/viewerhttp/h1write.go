package viewerhttp

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"pqfront/internal/httpfield"
)

var errRespondedTwice = errors.New("viewerhttp: Respond called twice for one request")

// exchange is one request and its answer. It is never used again, so that a Handler
// may keep the Request; that costs one allocation.
type exchange struct {
	c      *h1Conn
	req    Request
	ctx    h1Context
	body   h1Body
	out    bodyWriter
	fields [16]httpfield.Field // room for the Header of most requests

	absolute  string // the authority in an absolute-form target
	keepAlive bool   // the viewer's wish

	mu        sync.Mutex // guards responded: 100 (Continue) and the answer never mix
	responded bool
	finished  bool // Respond came to its end
	closing   bool // the answer said that the connection ends
	broken    bool // the answer is incomplete on the wire
}

// sendContinue sends 100 (Continue), unless the answer is under way (RFC 9110,
// Section 10.1.1).
func (x *exchange) sendContinue() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.responded {
		return errBodyOver
	}
	if _, err := x.c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
		return &BodyError{Status: 400, Reason: ReasonViewerGone, Err: err}
	}
	return nil
}

// finish ends the exchange after the Handler returned and reports whether the
// connection can go on.
func (x *exchange) finish(ok bool) bool {
	c := x.c
	x.ctx.end()
	if !x.responded {
		if ok {
			c.e.log().Error("handler did not answer", "method", x.req.Method,
				"authority", x.req.Authority, "path", clip(x.req.Path))
		}
		x.keepAlive = false
		x.Respond(c.e.errorPage(ReasonHandlerFailure.status(), ReasonHandlerFailure))
	}
	settled := x.body.settle()
	switch {
	case x.broken || !x.finished:
		c.abort()
		return false
	case !settled:
		c.linger()
		return false
	}
	return ok && !x.closing
}

// Respond implements Responder.
func (x *exchange) Respond(r *Response) (sent Sent, err error) {
	if r.Stream != nil {
		defer r.Stream.Close()
	}
	x.mu.Lock()
	twice := x.responded
	x.responded = true
	x.mu.Unlock()
	if twice {
		return Sent{}, errRespondedTwice
	}
	if r.Status < 200 || r.Status > 999 {
		x.c.e.log().Error("response with an impossible status", "status", r.Status, "path", clip(x.req.Path))
		x.keepAlive = false
		r = x.c.e.errorPage(ReasonHandlerFailure.status(), ReasonHandlerFailure)
	}
	f := x.framing(r)
	w := &x.out
	*w = bodyWriter{c: x.c, buf: x.c.e.h1.getWrite(), chunked: f.chunked, left: f.left()}
	defer func() {
		x.c.e.h1.putWrite(w.buf)
		w.buf = nil
	}()
	w.buf = x.appendHead(w.buf, r, f)
	sent.HeadBytes = int64(len(w.buf))
	w.front = len(w.buf)

	err = x.sendBody(w, r, f)
	sent.BodyBytes, sent.FirstByte = w.content, w.firstByte
	x.broken = err != nil || w.gone
	// Where the viewer is gone, what the Stream says is only an echo. Before the end of
	// the request its context ends for no other reason.
	if sent.ViewerGone = w.gone || err != nil && x.ctx.Err() != nil; sent.ViewerGone {
		err = nil
	}
	x.finished = true
	return sent, err
}

// framing is how the end of one answer is marked (RFC 9112, Section 6.3).
type framing struct {
	length  int64 // -1: unknown
	body    bool  // content is sent
	chunked bool
	mention bool // content-length is sent
}

func (f framing) left() int64 {
	if !f.body {
		return 0
	}
	return f.length
}

func (x *exchange) framing(r *Response) framing {
	f := framing{length: int64(len(r.Bytes)), body: true, mention: true}
	head := x.req.Method == "HEAD"
	switch {
	case r.Stream != nil:
		f.length = max(r.Length, -1)
	case head && r.Bytes == nil:
		f.length = r.Length // what GET would have got, if the Handler knows
		f.mention = r.Length > 0 || r.Header.Has("content-length")
	}
	switch {
	case head:
		f.body = false
	case r.Status == 204:
		// RFC 9110, Section 8.6: no Content-Length in a 204.
		f.body, f.mention = false, false
	case r.Status == 304:
		f.body, f.mention = false, r.Header.Has("content-length")
	case f.length < 0 && x.req.Proto != HTTP10:
		f.chunked = true
	}
	if f.length < 0 {
		f.mention = f.mention && !f.body && r.Header.Has("content-length")
	}
	untilClose := f.body && f.length < 0 && !f.chunked
	x.closing = !x.keepAlive || r.Close || untilClose || x.c.isStopping() ||
		x.c.served >= x.c.lim.RequestsPerConn || x.body.willClose()
	return f
}

// appendHead writes the status line and the fields in the Handler's order. What
// the framing needs comes where CloudFront has it: Connection after Content-Length
// (or Content-Type, or first).
func (x *exchange) appendHead(b []byte, r *Response, f framing) []byte {
	b = appendStatusLine(b, r.Status)
	at := -1
	for i := range r.Header {
		if n := r.Header[i].Name; n == "content-length" && f.mention {
			at = i
			break
		} else if n == "content-type" && at < 0 {
			at = i
		}
	}
	lengthDone := false
	if at < 0 {
		b, lengthDone = x.appendFraming(b, f, false), true
	}
	for i, h := range r.Header {
		switch h.Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer":
			// Ours to say, and we send no trailers.
		case "content-length":
			if f.mention && !lengthDone {
				b = x.appendLength(b, h.Value, f)
				lengthDone = true
			}
		default:
			b = x.appendField(b, h)
		}
		if i == at {
			b, lengthDone = x.appendFraming(b, f, lengthDone), true
		}
	}
	return append(b, "\r\n"...)
}

// appendLength writes the true length; a different one from the Handler is its bug
// and would let the viewer read the next answer from the wrong place.
func (x *exchange) appendLength(b []byte, said string, f framing) []byte {
	if !f.body && f.length <= 0 { // HEAD and 304 just repeat what they are told
		if _, ok := parseContentLength(said); !ok {
			return b
		}
		return append(append(append(b, "Content-Length: "...), said...), "\r\n"...)
	}
	start := len(b) + len("Content-Length: ")
	b = strconv.AppendInt(append(b, "Content-Length: "...), f.length, 10)
	if f.body && string(b[start:]) != said {
		x.c.e.log().Error("response with a wrong content-length", "said", clip(said),
			"true", f.length, "path", clip(x.req.Path))
	}
	return append(b, "\r\n"...)
}

func (x *exchange) appendFraming(b []byte, f framing, lengthDone bool) []byte {
	if f.mention && !lengthDone && f.length >= 0 {
		b = strconv.AppendInt(append(b, "Content-Length: "...), f.length, 10)
		b = append(b, "\r\n"...)
	}
	if f.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if x.closing {
		return append(b, "Connection: close\r\n"...)
	}
	return append(b, "Connection: keep-alive\r\n"...)
}

// appendField writes one field line, unless it would break the message apart.
func (x *exchange) appendField(b []byte, h httpfield.Field) []byte {
	if !validFieldName(h.Name) || !validFieldValue(h.Value) {
		x.c.e.log().Error("response field dropped: it holds control characters or has no proper name",
			"name", clip(h.Name), "path", clip(x.req.Path))
		return b
	}
	b = httpfield.AppendTitle(b, h.Name)
	b = append(b, ": "...)
	b = append(b, h.Value...)
	return append(b, "\r\n"...)
}

func appendStatusLine(b []byte, status int) []byte {
	if status == 200 {
		return append(b, "HTTP/1.1 200 OK\r\n"...)
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, statusText(status)...)
	return append(b, "\r\n"...)
}

// sendBody sends head and body. A non-nil error is ours, not the viewer's.
func (x *exchange) sendBody(w *bodyWriter, r *Response, f framing) error {
	switch {
	case !f.body:
		w.flush()
		return nil
	case r.Stream == nil:
		w.Write(r.Bytes)
		w.flush()
		return nil
	}
	// Nobody knows how long the first bytes of an endless answer (an event stream)
	// will take: its viewer gets the head now.
	if f.length < 0 {
		w.flush()
	}
	var err error
	if wt, ok := r.Stream.(io.WriterTo); ok {
		_, err = wt.WriteTo(w)
	} else {
		err = w.copyFrom(r.Stream)
	}
	if w.over {
		x.c.e.log().Warn("response body is longer than its length; cut", "length", f.length, "path", clip(x.req.Path))
		err = nil
	}
	if err == nil && w.left > 0 && !w.gone {
		err = fmt.Errorf("%w: %d of %d bytes are missing", io.ErrUnexpectedEOF, w.left, f.length)
	}
	if err != nil {
		w.flush() // the viewer sees as much as there is, then the break
		return err
	}
	w.end()
	return nil
}
