package viewerhttp

import (
	"errors"
	"io"
	"strconv"
	"time"
)

const (
	// pieceBytes is how much of a body in memory one write may carry: the write stall
	// limit holds for each piece, so a slow viewer is not taken for a dead one.
	pieceBytes = 64 << 10
	// chunkFront and chunkBack are kept free around a chunk's content: up to six hex
	// digits and CRLF before, CRLF and the last chunk after.
	chunkFront, chunkBack = 8, len("\r\n" + lastChunk)
	lastChunk             = "0\r\n\r\n"
)

var errViewer = errors.New("viewerhttp: the viewer is gone") // stays inside the package

// bodyWriter writes content with its framing. The head waits in buf, to leave
// together with the first content.
type bodyWriter struct {
	c       *h1Conn
	buf     []byte
	front   int // bytes of buf before its content: the head
	chunked bool
	ended   bool  // the last chunk is sent
	left    int64 // content still allowed; -1: any amount
	content int64 // content handed to the connection

	firstByte time.Time
	gone      bool // a write failed
	over      bool // more content came than allowed
}

// send hands b to the connection; its content starts at front and has n bytes.
func (w *bodyWriter) send(b []byte, front, n int) {
	if w.gone {
		return
	}
	wrote, err := w.c.write(b)
	w.content += int64(max(0, min(n, wrote-front)))
	if w.firstByte.IsZero() && wrote > 0 {
		w.firstByte = w.c.e.now()
	}
	w.gone = err != nil
}

// flush sends what waits in buf.
func (w *bodyWriter) flush() {
	if len(w.buf) > 0 {
		w.send(w.buf, w.front, len(w.buf)-w.front)
	}
	w.buf, w.front = w.buf[:0], 0
}

// end sends what marks the end of the content.
func (w *bodyWriter) end() {
	w.flush()
	if w.chunked && !w.ended {
		w.send([]byte(lastChunk), len(lastChunk), 0)
	}
}

// take bounds n bytes of content by what the length allows.
func (w *bodyWriter) take(n int) int {
	if w.left < 0 {
		return n
	}
	if int64(n) > w.left {
		n, w.over = int(w.left), true
	}
	w.left -= int64(n)
	return n
}

// Write implements io.Writer for a Stream's WriteTo and for bodies in memory.
func (w *bodyWriter) Write(p []byte) (int, error) {
	n := len(p)
	p = p[:w.take(n)]
	for len(p) > 0 && !w.gone {
		switch {
		case w.chunked:
			k := min(len(p), writeBufBytes-chunkFront-chunkBack)
			b := append(w.buf[:chunkFront], p[:k]...)
			w.sendChunk(b, false)
			p = p[k:]
		case len(w.buf) > 0:
			k := min(len(p), cap(w.buf)-len(w.buf))
			w.buf = append(w.buf, p[:k]...)
			w.flush()
			p = p[k:]
		default:
			k := min(len(p), pieceBytes)
			w.send(p[:k], 0, k)
			p = p[k:]
		}
	}
	switch {
	case w.gone:
		return 0, errViewer
	case w.over:
		return 0, io.ErrShortWrite // stops the Stream; sendBody knows better
	}
	return n, nil
}

// sendChunk sends b[chunkFront:] as one chunk, with the last chunk when last is set.
// b has room for the framing on both sides; content is not moved.
func (w *bodyWriter) sendChunk(b []byte, last bool) {
	n := len(b) - chunkFront
	var digits [chunkFront]byte
	size := append(strconv.AppendInt(digits[:0], int64(n), 16), "\r\n"...)
	start := chunkFront - len(size)
	copy(b[start:], size)
	b = append(b, "\r\n"...)
	if last {
		b = append(b, lastChunk...)
		w.ended = true
	}
	w.send(b[start:], len(size), n)
}

// copyFrom sends what r gives, each read at once.
func (w *bodyWriter) copyFrom(r io.Reader) error {
	for idle := 0; w.left != 0 && !w.gone; {
		n, err := w.copyOnce(r)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n > 0:
			idle = 0
		default:
			if idle++; idle == 100 { // as bufio does
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

func (w *bodyWriter) copyOnce(r io.Reader) (int, error) {
	if w.chunked {
		room := w.buf[chunkFront : cap(w.buf)-chunkBack]
		n, err := r.Read(room)
		if n > 0 {
			w.sendChunk(w.buf[:chunkFront+n], err == io.EOF)
		}
		return n, err
	}
	if cap(w.buf)-len(w.buf) < writeBufBytes/2 { // a giant head
		w.flush()
	}
	room := w.buf[len(w.buf):cap(w.buf)]
	if w.left >= 0 && int64(len(room)) > w.left {
		room = room[:min(len(room), int(w.left)+1)] // one more shows a Stream that is too long
	}
	n, err := r.Read(room)
	if n > 0 {
		w.buf = w.buf[:len(w.buf)+w.take(n)]
		w.flush()
	}
	return n, err
}
