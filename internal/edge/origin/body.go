package origin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
)

// body is a response's body on its connection.
type body struct {
	x     *exchange
	r     io.Reader
	left  int64 // bytes still to come where a length was announced, else -1
	chunk bool
	keep  bool // the connection may be used again afterwards
	empty bool
	err   error
	done  atomic.Bool
}

// newBody frames what follows the head of res (RFC 9112, Section 6.3).
func newBody(x *exchange, res *http.Response, method string) *body {
	b := &body{x: x, left: -1, keep: !res.Close}
	switch {
	case method == http.MethodHead, res.StatusCode == http.StatusNoContent,
		res.StatusCode == http.StatusNotModified, res.ContentLength == 0:
		b.empty, b.err = true, io.EOF
	case len(res.TransferEncoding) > 0:
		b.chunk, b.r = true, httputil.NewChunkedReader(x.conn.br)
	case res.ContentLength > 0:
		b.left, b.r = res.ContentLength, x.conn.br
	default: // until the connection ends
		b.keep, b.r = false, x.conn.br
	}
	return b
}

// peek waits for the first byte and makes its absence an error.
func (b *body) peek() error {
	_, err := b.x.conn.br.Peek(1)
	if errors.Is(err, io.EOF) {
		return fail(b.x.plan.name, KindZeroSize, false, errZeroSize)
	}
	if err != nil {
		return b.failure(err)
	}
	return nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.done.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	switch {
	case b.left > 0:
		if b.left -= int64(n); b.left == 0 {
			err = io.EOF // at once: who knows the length does not ask again
		} else if err != nil {
			err = b.failure(eof(err))
		}
	case b.chunk && errors.Is(err, io.EOF):
		if terr := b.x.conn.skipTrailer(); terr != nil {
			err = b.failure(eof(terr))
		}
	case err != nil && !errors.Is(err, io.EOF):
		err = b.failure(err)
	}
	if err != nil {
		b.err = err
		b.finish(b.keep && errors.Is(err, io.EOF))
	}
	return n, err
}

// skipTrailer reads the trailer section, which is not passed on (CloudFront: Request and
// response behavior for custom origins, Trailer).
func (c *conn) skipTrailer() error {
	for n := 0; n <= maxResponseHead; {
		line, err := c.br.ReadSlice('\n')
		n += len(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return err
		case len(line) == 1 || len(line) == 2 && line[0] == '\r':
			return nil
		}
	}
	return errHeaderTooBig
}

// failure says what a failed read of a body means.
func (b *body) failure(err error) error {
	if b.done.Load() {
		return context.Canceled // closed meanwhile
	}
	if cause := b.x.interrupted(); cause != nil {
		return cause
	}
	if isTimeout(err) {
		return fail(b.x.plan.name, KindComm, true, errReadTimeout)
	}
	return fail(b.x.plan.name, KindRead, false, err)
}

// Close implements io.Closer; it may come while a Read waits, and then ends it.
func (b *body) Close() error {
	b.finish(false)
	return nil
}

// releaseWith has f called at the end of the body.
func (b *body) releaseWith(f context.CancelFunc) {
	if b.done.Load() {
		f()
		return
	}
	b.x.release = f
}

func (b *body) finish(keep bool) {
	if !b.done.Swap(true) {
		b.x.end(keep)
	}
}
