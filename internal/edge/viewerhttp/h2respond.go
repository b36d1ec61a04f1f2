package viewerhttp

import (
	"fmt"
	"io"
	"strconv"

	"pqfront/internal/edge/viewerhttp/hpack"
)

// h2Framing is how one answer is framed.
type h2Framing struct {
	length  int64 // -1: unknown
	body    bool  // content is sent
	mention bool  // content-length may be sent
}

// Respond implements Responder.
func (st *h2Stream) Respond(r *Response) (sent Sent, err error) {
	if r.Stream != nil {
		defer r.Stream.Close()
	}
	c := st.c
	if r.Status < 200 || r.Status > 999 {
		c.e.log().Error("response with an impossible status", "status", r.Status, "path", clip(st.path))
		r = c.e.errorPage(ReasonHandlerFailure.status(), ReasonHandlerFailure)
	}
	f := framingOf(st.req.Method, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.responded {
		return Sent{}, errRespondedTwice
	}
	st.responded = true
	st.unanswered()
	for len(c.out) > h2OutHigh && !st.gone {
		c.wake()
		c.room.Wait()
	}
	if st.gone {
		return Sent{ViewerGone: true}, nil
	}
	sent.FirstByte = c.e.now()
	var complaint string
	sent.HeadBytes, complaint = c.sendHead(st, r, f)
	switch {
	case !f.body:
		c.writeNow()
	case r.Stream == nil:
		c.send(st, r.Bytes, true)
	case f.length < 0:
		// Nobody knows how long the first bytes of an endless answer (an event stream)
		// will take: its viewer gets the head now.
		c.writeNow()
	}
	if complaint != "" || f.body && r.Stream != nil {
		err = st.outside(r, f, complaint)
	}
	sent.BodyBytes = st.sent
	if st.gone && !st.localDone {
		sent.ViewerGone = true
		return sent, nil // what the Stream says then is only an echo
	}
	if err != nil {
		c.resetStream(st, h2InternalError)
	}
	return sent, err
}

// outside does what must not be done under c.mu, which is held before and after,
// even if the Stream panics.
func (st *h2Stream) outside(r *Response, f h2Framing, complaint string) error {
	st.c.mu.Unlock()
	defer st.c.mu.Lock()
	if complaint != "" {
		st.c.e.log().Error("response field dropped or corrected: "+complaint, "path", clip(st.path))
	}
	if !f.body || r.Stream == nil {
		return nil
	}
	return st.sendStream(r.Stream, f.length)
}

// sendHead queues the HEADERS frame, with END_STREAM when no content follows. It
// returns its size and what is wrong with the Handler's fields. c.mu is held.
func (c *h2Conn) sendHead(st *h2Stream, r *Response, f h2Framing) (size int64, complaint string) {
	out := c.buffer()
	start := len(out)
	flags := uint8(h2FlagEndHeaders)
	if !f.body {
		flags |= h2FlagEndStream
	}
	out = appendH2Frame(out, 0, h2Headers, flags, st.id)
	out = c.enc.AppendField(out, ":status", statusDigits(r.Status), hpack.Index)
	lengthDone := false
	for i := range r.Header {
		name, value := r.Header[i].Name, r.Header[i].Value
		how := h2Indexing(name)
		if how == hpack.Index {
			// What stands in the table was checked when it came in.
			var known bool
			if out, known = c.enc.AppendKnown(out, name, value); known {
				continue
			}
		}
		switch {
		case how == h2Dropped:
			continue
		case name == "content-length":
			if lengthDone || !f.mention {
				continue
			}
			lengthDone = true
			if is := trueLength(value, f); is != value {
				value, complaint = is, "the content-length was not the content's"
			}
		case !validLowerFieldName(name) || !validFieldValue(value) || !trimmed(value):
			complaint = "a name is not lower-case, or a value holds what it may not: " + clip(name)
			continue
		}
		out = c.enc.AppendField(out, name, value, how)
	}
	c.out = finishH2Head(out, start) // whoever adds the content writes it, or the next one
	size = int64(len(c.out) - start)
	if !f.body {
		c.endLocal(st)
	}
	return size, complaint
}

// finishH2Head sets the length of the HEADERS frame that begins at start, or splits
// it when it is larger than every peer must take (RFC 9113, Section 4.2).
func finishH2Head(out []byte, start int) []byte {
	n := len(out) - start - h2HeaderLen
	if n <= h2MaxFrame {
		out[start], out[start+1], out[start+2] = byte(n>>16), byte(n>>8), byte(n)
		return out
	}
	f := parseH2Frame(out[start:])
	block := append([]byte(nil), out[start+h2HeaderLen:]...)
	out = appendH2Frame(out[:start], h2MaxFrame, h2Headers, f.flags&^h2FlagEndHeaders, f.stream)
	out = append(out, block[:h2MaxFrame]...)
	for block = block[h2MaxFrame:]; len(block) > 0; {
		n := min(len(block), h2MaxFrame)
		flags := uint8(0)
		if n == len(block) {
			flags = h2FlagEndHeaders
		}
		out = appendH2Frame(out, n, h2Continuation, flags, f.stream)
		out = append(out, block[:n]...)
		block = block[n:]
	}
	return out
}

// trueLength corrects a content-length that is not the content's: the viewer would
// take the message for malformed (RFC 9113, Section 8.1.1).
func trueLength(said string, f h2Framing) string {
	if !f.body && f.length <= 0 {
		return said // HEAD and 304 just repeat what they are told
	}
	if n, ok := parseContentLength(said); ok && n == f.length {
		return said
	}
	return strconv.FormatInt(f.length, 10)
}

// send sends a piece of content and waits until it is packed or the stream is gone.
// last says that nothing follows. c.mu is held.
func (c *h2Conn) send(st *h2Stream, p []byte, last bool) {
	if st.gone {
		return
	}
	st.pending, st.lastPiece = p, last
	n := int64(len(p))
	// Without others to be fair to, a small piece goes right behind the head.
	if len(c.ready) == 0 && n <= min(h2MaxFrame, st.sendWin, c.sendWin) && len(c.buffer())+h2HeaderLen+len(p) <= h2OutBytes {
		c.packData(st, len(p))
		c.writeNow()
		return
	}
	c.makeReady(st)
	for len(st.pending) > 0 && !st.gone {
		if !c.writeNow() && len(st.pending) > 0 && !st.gone {
			st.writable.Wait()
		}
	}
}

// sendStream sends the content of src; left is its length, or -1. A non-nil error
// is src's, or tells that it was shorter.
func (st *h2Stream) sendStream(src io.Reader, left int64) error {
	w := &h2Writer{st: st, left: left}
	defer w.unreserve()
	var err error
	if wt, ok := src.(io.WriterTo); ok {
		_, err = wt.WriteTo(w)
	} else {
		err = w.pump(src)
	}
	if w.over {
		st.c.e.log().Warn("response body is longer than its length; cut", "length", left, "path", clip(st.path))
		return nil
	}
	if err == nil && w.left > 0 {
		err = fmt.Errorf("%w: %d of %d bytes are missing", io.ErrUnexpectedEOF, w.left, left)
	}
	if err == nil && w.left < 0 {
		w.end()
	}
	return err
}

// h2Writer sends a Stream's content.
type h2Writer struct {
	st   *h2Stream
	left int64 // still allowed; -1: any amount
	over bool  // more came

	reserved int // of c.held
}

// Write implements io.Writer for a Stream's WriteTo. It keeps p no longer than it runs.
func (w *h2Writer) Write(p []byte) (int, error) {
	n := len(p)
	if w.left >= 0 && int64(n) > w.left {
		w.over = true
		p = p[:w.left]
	}
	if len(p) > 0 && !w.piece(p) {
		return 0, errViewer
	}
	if w.over {
		return len(p), io.ErrShortWrite // stops the Stream; sendStream knows better
	}
	return n, nil
}

// piece sends p and reports whether more can be sent.
func (w *h2Writer) piece(p []byte) bool {
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.left >= 0 {
		w.left -= int64(len(p))
	}
	if len(p) > 0 {
		c.send(w.st, p, w.left == 0)
	}
	return !w.st.gone || w.st.localDone
}

// end sends END_STREAM on a DATA frame of its own: only now is it known.
func (w *h2Writer) end() {
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.st.gone {
		c.out = appendH2Frame(c.buffer(), 0, h2Data, h2FlagEndStream, w.st.id)
		c.endLocal(w.st)
		c.writeNow()
	}
}

// pump reads src only when there is a window for what it gives, so that a viewer
// who takes nothing costs no buffers and no origin traffic.
func (w *h2Writer) pump(src io.Reader) error {
	for empty := 0; w.left != 0; {
		n := w.reserve()
		if n == 0 {
			return errViewer
		}
		buf := w.st.c.e.h2.getChunk()
		m, err := src.Read(buf[:n])
		ok := w.piece(buf[:m])
		w.st.c.e.h2.chunks.Put(buf)
		w.unreserve()
		switch {
		case !ok:
			return errViewer
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case m > 0:
			empty = 0
		default:
			if empty++; empty == 100 { // as bufio does
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// reserve waits until something can be sent and returns how much to read for it; 0
// when the stream is gone.
func (w *h2Writer) reserve() int {
	st, c := w.st, w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	st.pulling = true
	for !st.gone && (st.sendWin <= 0 || c.sendWin <= 0 || c.held >= h2Held) {
		st.writable.Wait()
	}
	st.pulling = false
	if st.gone {
		return 0
	}
	n := min(h2Chunk, st.sendWin, c.sendWin)
	if w.left > 0 {
		n = min(n, w.left)
	}
	w.reserved = int(n)
	c.held += w.reserved
	return w.reserved
}

// unreserve gives back what reserve took.
func (w *h2Writer) unreserve() {
	if w.reserved == 0 {
		return
	}
	c := w.st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held >= h2Held {
		defer c.kick()
	}
	c.held -= w.reserved
	w.reserved = 0
}

// kick wakes the streams that wait in reserve for something of the connection's.
func (c *h2Conn) kick() {
	for _, st := range c.streams {
		if st.pulling {
			st.writable.Signal()
		}
	}
}

// h2Dropped is h2Indexing's answer for fields that HTTP/2 does not have.
const h2Dropped hpack.Indexing = 255

// h2Indexing says what may become of a response field in the peer's table.
func h2Indexing(name string) hpack.Indexing {
	switch name {
	case "set-cookie", "authorization", "proxy-authorization", "www-authenticate":
		return hpack.NeverIndex
	case "age", "date", "content-length", "content-range", "etag", "last-modified", "expires", "location",
		"content-disposition", "x-amz-cf-id", "x-amz-request-id", "x-amz-id-2", "x-amz-version-id":
		return hpack.NoIndex // another value each time, or for each object
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer":
		return h2Dropped // RFC 9113, Section 8.2.2; and we send no trailers
	}
	return hpack.Index
}

func statusDigits(status int) string {
	switch status {
	case 200:
		return "200"
	case 206:
		return "206"
	case 304:
		return "304"
	case 404:
		return "404"
	}
	return strconv.Itoa(status)
}
