package viewerhttp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// chunkLineBytes bounds a chunk size line with its extensions, which nobody uses
	// but attackers.
	chunkLineBytes = 256
	// chunkExtBytes bounds all extensions of one body together.
	chunkExtBytes = 8 << 10
)

// errBodyOver is what a body gives once its request is over.
var errBodyOver = errors.New("viewerhttp: body read after the request was over")

// h1Body reads one request body, with a content length or chunked. It is safe
// against a reader that goes on while, or after, the Handler returns, as
// net/http's Transport does.
type h1Body struct {
	x      *exchange // nil when there is no body
	cut    atomic.Bool
	mu     sync.Mutex // guards the rest, and the connection's read side with it
	err    error      // io.EOF at the end; final
	left   int64      // of the content length or of the current chunk
	owe100 bool

	chunked  bool
	inChunk  bool
	total    int64     // bytes of all chunks so far
	extBytes int       // of chunk extensions
	until    time.Time // set while settle drains: the end of its patience
}

// Read implements io.Reader. While the request lasts, errors other than io.EOF are
// of type *BodyError.
func (b *h1Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.owe100 {
		b.owe100 = false
		if err := b.x.sendContinue(); err != nil {
			return 0, b.fail(err)
		}
	}
	n, err := b.read(p)
	if err != nil {
		return n, b.fail(err)
	}
	return n, nil
}

// fail makes err final. The end of the body lets the request's context look out for
// the viewer going away.
func (b *h1Body) fail(err error) error {
	b.err = err
	if err == io.EOF {
		b.x.ctx.bodyDone()
	}
	return err
}

func (b *h1Body) read(p []byte) (int, error) {
	if b.chunked {
		if err := b.toChunk(); err != nil {
			return 0, err
		}
	}
	n, err := b.some(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == nil && b.left == 0 && !b.chunked {
		err = io.EOF
	}
	return n, err
}

// some reads at least one byte of content.
func (b *h1Body) some(p []byte) (int, error) {
	c := b.x.c
	if c.r == c.w {
		if len(p) >= readBufBytes { // large reads need no copy
			if err := b.patience(); err != nil {
				return 0, err
			}
			n, err := c.conn.Read(p)
			if n > 0 {
				return n, nil
			}
			return 0, b.ioError(noEmptyRead(err))
		}
		if err := b.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

// more reads into the connection's buffer.
func (b *h1Body) more() error {
	c := b.x.c
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if err := b.patience(); err != nil {
		return err
	}
	if err := c.fill(); err != nil {
		return b.ioError(err)
	}
	return nil
}

// patience sets the deadline of the next read.
func (b *h1Body) patience() error {
	c := b.x.c
	if b.until.IsZero() {
		c.readWithin(c.lim.BodyIdleTimeout)
	} else {
		c.setReadBy(b.until)
	}
	if b.cut.Load() { // looked at after setting the deadline, see settle
		return errBodyOver
	}
	return nil
}

func (b *h1Body) ioError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &BodyError{Status: ReasonBodyTimeout.status(), Reason: ReasonBodyTimeout, Err: err}
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return &BodyError{Status: 400, Reason: ReasonViewerGone, Err: err}
}

func bodyRefused(reason Reason) error {
	return &BodyError{Status: reason.status(), Reason: reason}
}

// toChunk goes on to where chunk content can be read (RFC 9112, Section 7.1). It
// returns io.EOF after the last chunk and the trailer section.
func (b *h1Body) toChunk() error {
	if b.left > 0 {
		return nil
	}
	if b.inChunk {
		if _, err := b.line(len("\r\n"), ReasonBadChunk); err != nil {
			return err
		}
	}
	line, err := b.line(chunkLineBytes, ReasonBadChunk)
	if err != nil {
		return err
	}
	size, ext, ok := parseChunkSize(line)
	b.extBytes += ext
	if !ok || b.extBytes > chunkExtBytes {
		return bodyRefused(ReasonBadChunk)
	}
	if size == 0 {
		return b.trailers()
	}
	if b.total += size; b.total > b.x.c.lim.BodyBytes {
		return bodyRefused(ReasonBodyTooLarge)
	}
	b.left, b.inChunk = size, true
	return nil
}

// parseChunkSize reads "hex digits" and an optional ";extension". White space
// around them is refused: readers disagree on it.
func parseChunkSize(line []byte) (size int64, ext int, ok bool) {
	i := 0
	for ; i < len(line) && classes[line[i]]&isHex != 0; i++ {
		if i == 15 { // 60 bits; more would not fit an int64
			return 0, 0, false
		}
		d := line[i]
		if d > '9' {
			d += 9 // 'A' and 'a' end in 1
		}
		size = size<<4 | int64(d&15)
	}
	rest := line[i:]
	ok = i > 0 && (len(rest) == 0 || rest[0] == ';') && validFieldValue(rest)
	return size, len(rest), ok
}

// trailers reads the trailer section, checks it as strictly as a header section and
// forgets it: CloudFront drops trailers (RFC 9110, Section 6.5.1 allows it).
func (b *h1Body) trailers() error {
	lim := &b.x.c.lim
	bytesLeft := lim.HeadBytes
	for range lim.HeaderCount + 1 {
		line, err := b.line(min(bytesLeft, readBufBytes), ReasonBadTrailer)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		bytesLeft -= len(line) + 2
		if _, reason := parseFieldLine(line); reason != "" {
			return bodyRefused(ReasonBadTrailer)
		}
	}
	return bodyRefused(ReasonBadTrailer)
}

// line returns the next line, which has at most most bytes with its CRLF, without
// it. It is valid until the next read.
func (b *h1Body) line(most int, reason Reason) ([]byte, error) {
	c := b.x.c
	for {
		have := c.buf[c.r:c.w]
		if i := bytes.IndexByte(have, '\n'); i >= 0 {
			if i == 0 || have[i-1] != '\r' || i+1 > most {
				return nil, bodyRefused(reason)
			}
			c.r += i + 1
			return have[:i-1], nil
		}
		if len(have) >= most {
			return nil, bodyRefused(reason)
		}
		if err := b.more(); err != nil {
			return nil, err
		}
	}
}

// willClose reports whether the connection cannot be kept after this body, as far
// as that is known while the head of the answer is written.
func (b *h1Body) willClose() bool {
	if b.x == nil {
		return false
	}
	if !b.mu.TryLock() {
		return true // someone is reading it right now
	}
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return b.err != io.EOF
	case b.owe100:
		return true // the viewer may or may not send it now: nobody can know
	}
	return b.left > b.x.c.lim.DrainBytes
}

// settle ends the use of the body by the Handler and throws a small rest away. It
// reports whether the connection stands at the start of the next request.
func (b *h1Body) settle() bool {
	if b.x == nil {
		return true
	}
	c := b.x.c
	if !b.mu.TryLock() {
		// A reader is stuck in the connection. Order matters: patience sets its deadline
		// first and looks at cut second.
		b.cut.Store(true)
		c.conn.SetReadDeadline(aLongTimeAgo)
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	defer func() { b.err = errBodyOver }()
	if b.cut.Load() || b.owe100 || b.err != nil || b.left > c.lim.DrainBytes {
		return b.err == io.EOF && !b.cut.Load()
	}
	b.until = c.e.now().Add(c.lim.LingerTimeout)
	scratch := c.e.h1.getWrite()
	defer c.e.h1.putWrite(scratch)
	for room := c.lim.DrainBytes; room > 0; {
		n, err := b.read(scratch[:cap(scratch)])
		if err != nil {
			return err == io.EOF
		}
		room -= int64(n)
	}
	return false
}
