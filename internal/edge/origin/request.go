package origin

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"pqfront/internal/httpfield"
)

func hasBody(r *Request) bool { return r.Body != nil && r.ContentLength != 0 }

// appendHead writes a request's head. The target goes out as the viewer spelled it but
// for bytes that would break the request line.
func appendHead(b []byte, p *plan, r *Request, h httpfield.Fields) ([]byte, error) {
	if !token(r.Method) {
		return nil, fmt.Errorf("method %.40q is not a token", r.Method)
	}
	if p.host == "" || strings.ContainsFunc(p.host, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '/' }) {
		return nil, fmt.Errorf("host %.80q cannot be written", p.host)
	}
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = appendTarget(b, p.path)
	if p.query != "" {
		b = appendTarget(append(b, '?'), p.query)
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), p.host...), "\r\n"...)
	for _, f := range h {
		if !token(f.Name) || strings.ContainsAny(f.Value, "\r\n\x00") {
			return nil, fmt.Errorf("%w: %.40q", errFieldBytes, f.Name)
		}
		b = append(append(httpfield.AppendTitle(b, f.Name), ": "...), f.Value...)
		b = append(b, "\r\n"...)
	}
	// CloudFront: Request and response behavior for custom origins, Connection.
	b = append(b, "Connection: Keep-Alive\r\n"...)
	switch {
	case !hasBody(r):
		// RFC 9110, Section 8.6: methods that expect a body say that there is none.
		if r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
			b = append(b, "Content-Length: 0\r\n"...)
		}
	case r.ContentLength > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	default:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

func appendTarget(b []byte, raw string) []byte {
	const upperHex = "0123456789ABCDEF"
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c == 0x7f {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
			continue
		}
		b = append(b, raw[i])
	}
	return b
}

// errShortBody is a viewer's body that did not keep its announced length.
var errShortBody = errors.New("the body ended before its announced length")

// viewerError is a failure of the viewer's body.
type viewerError struct{ err error }

func (e *viewerError) Error() string { return "reading the viewer's request body: " + e.err.Error() }
func (e *viewerError) Unwrap() error { return e.err }

// upload sends a request with its body while the answer is already awaited.
type upload struct {
	body   io.Reader
	length int64 // -1 = chunked
	ended  atomic.Bool
	done   chan struct{}
	err    error // readable once done is closed
}

// run is the upload's goroutine. It ends when the body has been sent or the connection
// has ended; a Read of the viewer's body under way at that moment holds it up.
func (u *upload) run(c *conn, head []byte) {
	u.err = u.send(c, head)
	close(u.done)
	c.uploaded(u.err)
}

func (u *upload) send(c *conn, head []byte) error {
	if _, err := c.Write(head); err != nil {
		return err
	}
	// Room for a chunk's size before and its end after the data.
	const before, size, after = 10, 32 << 10, 2
	buf := make([]byte, before+size+after)
	for left := u.length; left != 0; {
		if u.ended.Load() {
			return errEnded
		}
		want := int64(size)
		if left > 0 {
			want = min(want, left)
		}
		n, rerr := u.body.Read(buf[before : before+want])
		if n > 0 {
			out := buf[before : before+n]
			if left < 0 {
				out = chunk(buf, before, n)
			} else {
				left -= int64(n)
			}
			if _, err := c.Write(out); err != nil {
				return err
			}
		}
		switch {
		case rerr == nil || left == 0:
		case !errors.Is(rerr, io.EOF):
			return &viewerError{rerr}
		case left > 0:
			return &viewerError{errShortBody}
		default:
			_, err := c.Write([]byte("0\r\n\r\n"))
			return err
		}
	}
	return nil
}

// chunk frames the n bytes at buf[start:] (RFC 9112, Section 7.1).
func chunk(buf []byte, start, n int) []byte {
	size := strconv.AppendInt(make([]byte, 0, 10), int64(n), 16)
	size = append(size, "\r\n"...)
	from := start - len(size)
	copy(buf[from:], size)
	return append(buf[from:start+n], "\r\n"...)
}

// finished reports whether the upload is over and how it went.
func (u *upload) finished() (err error, ok bool) {
	select {
	case <-u.done:
		return u.err, true
	default:
		return nil, false
	}
}
