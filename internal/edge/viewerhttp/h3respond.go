package viewerhttp

import (
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go/quicvarint"

	"pqfront/internal/edge/viewerhttp/hpack"
	"pqfront/internal/edge/viewerhttp/qpack"
)

const (
	// h3OutBytes is the first write of an answer: its head and, where it fits, its
	// whole body, so that small answers cost one call and few packets.
	h3OutBytes = 16 << 10
	// h3Piece is handed to QUIC at once from memory that stays where it is; h3Chunk
	// is one read of a Stream, the most that a slow viewer holds.
	h3Piece = 256 << 10
	h3Chunk = 32 << 10
	// h3HeadRoom is room for a frame's head before its content: type and length.
	h3HeadRoom = 16
)

// framingOf tells how an answer to a request with method is framed.
func framingOf(method string, r *Response) h2Framing {
	f := h2Framing{length: int64(len(r.Bytes)), mention: true}
	if r.Stream != nil {
		f.length = max(r.Length, -1)
	}
	switch {
	case method == "HEAD", r.Status == 304:
	case r.Status == 204:
		f.mention = false // RFC 9110, Section 8.6
	default:
		f.body = f.length != 0
		f.mention = f.length >= 0
	}
	return f
}

// Respond implements Responder.
func (st *h3Stream) Respond(r *Response) (sent Sent, err error) {
	if r.Stream != nil {
		defer r.Stream.Close()
	}
	c := st.c
	if r.Status < 200 || r.Status > 999 {
		c.e.log().Error("response with an impossible status", "status", r.Status, "path", clip(st.path))
		r = c.e.errorPage(ReasonHandlerFailure.status(), ReasonHandlerFailure)
	}
	st.writing.Lock()
	defer st.writing.Unlock()
	if st.responded.Swap(true) {
		return Sent{}, errRespondedTwice
	}
	f := framingOf(st.method, r)
	buf := getBuf(&c.e.h3.outputs, h3OutBytes)
	out, start, complaint := st.appendHead(*buf, r, f)
	headBytes := int64(len(out) - start)
	if complaint != "" {
		c.e.log().Error("response field dropped or corrected: "+complaint, "path", clip(st.path))
	}
	var rest []byte
	if f.body && f.length > 0 {
		// One DATA frame for the whole: its length is known.
		out = appendH3Frame(out, h3Data, uint64(f.length))
		if r.Stream == nil {
			n := min(len(r.Bytes), max(0, h3OutBytes-len(out)))
			out = append(out, r.Bytes[:n]...)
			rest = r.Bytes[n:]
		}
	}
	sent.FirstByte = c.e.now()
	n, werr := st.write(out[start:])
	sent.HeadBytes = min(n, headBytes)
	if f.body && r.Stream == nil {
		inline := int64(len(r.Bytes) - len(rest))
		sent.BodyBytes = max(0, n-int64(len(out)-start)+inline)
	}
	if cap(out) <= 2*h3OutBytes {
		*buf = out // grown, perhaps
	}
	c.e.h3.outputs.Put(buf)
	if werr == nil && len(rest) > 0 {
		n, werr = st.write(rest)
		sent.BodyBytes += n
	}
	if werr == nil && f.body && r.Stream != nil {
		w := &h3Writer{st: st, left: f.length}
		err = w.copyFrom(r.Stream)
		sent.BodyBytes, werr = w.sent, w.err
	}
	return sent, st.endAnswer(&sent, werr, err)
}

// endAnswer writes the end of the stream, or breaks it off. viewer is an error of
// writing, ours one of the Stream.
func (st *h3Stream) endAnswer(sent *Sent, viewer, ours error) error {
	switch {
	case viewer != nil:
		// The stream is reset already, or the connection over. What the Stream says then
		// is only an echo.
		sent.ViewerGone = true
		if isTimeout(viewer) {
			st.report(0, ReasonWriteStall)
		}
		if !st.closed.Swap(true) {
			st.str.CancelWrite(h3RequestCancelled)
		}
		return nil
	case ours != nil:
		st.ours = true
		if !st.closed.Swap(true) {
			st.str.CancelWrite(h3InternalError)
		}
		return ours
	}
	if !st.closed.Swap(true) {
		st.complete = st.str.Close() == nil
	}
	return nil
}

// appendHead appends the HEADERS frame to buf[:0], where it begins at start, and says
// what is wrong with the Handler's fields. The frame's own head goes before the
// section when the section's length is known.
func (st *h3Stream) appendHead(buf []byte, r *Response, f h2Framing) (out []byte, start int, complaint string) {
	out = append(buf[:0], make([]byte, h3HeadRoom)...)
	out = qpack.AppendPrefix(out)
	out = qpack.AppendField(out, ":status", statusDigits(r.Status), false)
	lengthDone := false
	for i := range r.Header {
		name, value := r.Header[i].Name, r.Header[i].Value
		how := h2Indexing(name)
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
		out = qpack.AppendField(out, name, value, how == hpack.NeverIndex)
	}
	section := uint64(len(out) - h3HeadRoom)
	start = h3HeadRoom - 1 - quicvarint.Len(section)
	appendH3Frame(out[start:start], h3Headers, section)
	return out, start, complaint
}

// write hands p to QUIC, which holds us up while the viewer or the network is slow. A
// viewer who takes next to nothing for too long is left. st.writing is held.
func (st *h3Stream) write(p []byte) (sent int64, err error) {
	for len(p) > 0 {
		_ = st.str.SetWriteDeadline(time.Now().Add(st.c.lim.WriteStallTimeout))
		n, err := st.str.Write(p[:min(len(p), h3Piece)])
		sent += int64(n)
		p = p[n:]
		if err != nil && !(n >= h2StallBytes && isTimeout(err)) {
			return sent, err
		}
	}
	return sent, nil
}

// h3Writer sends a Stream's content. With a known length it is inside one DATA frame,
// else each piece has its own.
type h3Writer struct {
	st   *h3Stream
	left int64 // still allowed; -1: any amount
	sent int64
	over bool  // more came
	err  error // of writing
}

// copyFrom sends the content of src. A non-nil error is src's, or tells that it was
// shorter than promised.
func (w *h3Writer) copyFrom(src io.Reader) error {
	length := w.left
	var err error
	if wt, ok := src.(io.WriterTo); ok {
		_, err = wt.WriteTo(w)
	} else {
		err = w.pump(src)
	}
	switch {
	case w.err != nil:
		return nil
	case w.over:
		w.st.c.e.log().Warn("response body is longer than its length; cut", "length", length, "path", clip(w.st.path))
		return nil
	case err == nil && w.left > 0:
		return fmt.Errorf("%w: %d of %d bytes are missing", io.ErrUnexpectedEOF, w.left, length)
	}
	return err
}

// Write implements io.Writer for a Stream's WriteTo. It keeps p no longer than it runs.
func (w *h3Writer) Write(p []byte) (int, error) {
	n := len(p)
	if w.left >= 0 && int64(n) > w.left {
		w.over = true
		p = p[:w.left]
	}
	if len(p) > 0 && w.left < 0 {
		var head [h3HeadRoom]byte
		if _, w.err = w.st.write(appendH3Frame(head[:0], h3Data, uint64(len(p)))); w.err != nil {
			return 0, errViewer
		}
	}
	if !w.piece(p, len(p)) {
		return 0, errViewer
	}
	if w.over {
		return len(p), io.ErrShortWrite // stops the Stream; copyFrom knows better
	}
	return n, nil
}

// piece writes p, of which the last content bytes are content.
func (w *h3Writer) piece(p []byte, content int) bool {
	n, err := w.st.write(p)
	body := max(0, n-int64(len(p)-content))
	w.sent += body
	if w.left >= 0 {
		w.left -= body
	}
	w.err = err
	return err == nil
}

// pump reads and writes until the end of src or of what it may give.
func (w *h3Writer) pump(src io.Reader) error {
	pool := &w.st.c.e.h3.chunks
	buf := getBuf(pool, h3HeadRoom+h3Chunk)
	defer pool.Put(buf)
	for empty := 0; w.left != 0; {
		room := (*buf)[h3HeadRoom:]
		if w.left > 0 {
			room = room[:min(int64(len(room)), w.left)]
		}
		n, err := src.Read(room)
		if n > 0 {
			empty = 0
			start := h3HeadRoom
			if w.left < 0 {
				start -= 1 + quicvarint.Len(uint64(n))
				appendH3Frame((*buf)[start:start], h3Data, uint64(n))
			}
			if !w.piece((*buf)[start:h3HeadRoom+n], n) {
				return nil
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == 0:
			if empty++; empty == 100 { // as bufio does
				return io.ErrNoProgress
			}
		}
	}
	return nil
}
