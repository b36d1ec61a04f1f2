package viewerhttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pqfront/internal/httpfield"
	"pqfront/internal/testnet"
)

// answerH1 sends one raw request to an engine whose handler gives r, and returns the
// wire and what Respond returned.
func answerH1(t testing.TB, request string, r *Response) (wire string, sent Sent, err error) {
	t.Helper()
	e := &Engine{Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) {
		sent, err = w.Respond(r)
	})}
	client, server := testnet.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.ServeH1(t.Context(), server, &Conn{})
	}()
	go func() {
		io.WriteString(client, request)
		client.CloseWrite()
	}()
	b, _ := io.ReadAll(client)
	<-done
	return string(b), sent, err
}

func fields(pairs ...string) (f httpfield.Fields) {
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

// stream is a Response.Stream without WriterTo that notes whether it was closed.
type stream struct {
	io.Reader
	closed bool
}

func (s *stream) Close() error {
	s.closed = true
	return nil
}

func streamOf(s string) *stream { return &stream{Reader: struct{ io.Reader }{strings.NewReader(s)}} }

// writerTo is a Stream with WriterTo.
type writerTo struct{ parts []string }

func (w *writerTo) Read([]byte) (int, error) { return 0, errors.New("WriteTo is to be used") }
func (w *writerTo) Close() error             { return nil }
func (w *writerTo) WriteTo(dst io.Writer) (n int64, err error) {
	for _, p := range w.parts {
		k, err := io.WriteString(dst, p)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

const (
	get11  = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	get10  = "GET / HTTP/1.0\r\nHost: h\r\n\r\n"
	keep10 = "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"
	head11 = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
	close1 = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
)

func TestResponseOnTheWire(t *testing.T) {
	wire := func(request string, r *Response, want string) {
		t.Helper()
		got, sent, err := answerH1(t, request, r)
		if got != want || err != nil {
			t.Errorf("%v\n got %q\nwant %q", err, got, want)
		}
		head, body, _ := strings.Cut(want, "\r\n\r\n")
		if sent.HeadBytes != int64(len(head)+4) || sent.FirstByte.IsZero() || sent.ViewerGone {
			t.Errorf("sent %+v for %q", sent, want)
		}
		if !strings.Contains(head, "chunked") && sent.BodyBytes != int64(len(body)) {
			t.Errorf("sent %+v for %q", sent, want)
		}
	}
	// The order of cloudfront.md 2.1, Title-Case, connection after content-length.
	order := fields("content-type", "text/html", "content-length", "2", "date", "now", "etag", `"e"`,
		"x-cache", "Hit from cloudfront", "x-amz-cf-pop", "NRT12-P9", "x-xss-protection", "1")
	wire(get11, &Response{Status: 200, Header: order, Bytes: []byte("hi")},
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: keep-alive\r\nDate: now\r\nETag: \"e\"\r\n"+
			"X-Cache: Hit from cloudfront\r\nX-Amz-Cf-Pop: NRT12-P9\r\nX-XSS-Protection: 1\r\n\r\nhi")
	wire(get11, &Response{Status: 200, Header: fields("server", "S", "content-length", "2"), Bytes: []byte("hi")},
		"HTTP/1.1 200 OK\r\nServer: S\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi")
	wire(get11, &Response{Status: 404, Header: fields("content-type", "text/html", "server", "S"), Bytes: []byte("hi")},
		"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: keep-alive\r\nServer: S\r\n\r\nhi")
	wire(get11, &Response{Status: 200, Header: fields("server", "S")},
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nServer: S\r\n\r\n")
	wire(get11, &Response{Status: 299, Bytes: []byte("x")}, "HTTP/1.1 299 \r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx")

	// RFC 9112, Section 9.3: persistence.
	wire(close1, &Response{Status: 200}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	wire(get11, &Response{Status: 200, Close: true}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	wire(get10, &Response{Status: 200}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	wire(keep10, &Response{Status: 200}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")

	// RFC 9112, Section 6.3: no content. RFC 9110, Section 8.6: the length.
	wire(head11, &Response{Status: 200, Header: fields("content-length", "2"), Bytes: []byte("hi")},
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n")
	wire(head11, &Response{Status: 200, Bytes: []byte("hi")}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n")
	wire(head11, &Response{Status: 200, Length: 7}, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n")
	wire(head11, &Response{Status: 200, Header: fields("content-length", "9")}, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n")
	wire(head11, &Response{Status: 200}, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n")
	wire(head11, &Response{Status: 200, Stream: streamOf("x"), Length: -1}, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n")
	wire(get11, &Response{Status: 204, Header: fields("content-length", "2"), Bytes: []byte("hi")}, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n")
	wire(get11, &Response{Status: 304, Header: fields("etag", "e")}, "HTTP/1.1 304 Not Modified\r\nConnection: keep-alive\r\nETag: e\r\n\r\n")
	wire(get11, &Response{Status: 304, Header: fields("content-length", "5", "etag", "e")}, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nConnection: keep-alive\r\nETag: e\r\n\r\n")

	// Streams.
	const length2 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n"
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
	const closing = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
	wire(get11, &Response{Status: 200, Stream: streamOf("hi"), Length: 2}, length2+"hi")
	wire(get11, &Response{Status: 200, Stream: io.NopCloser(iotest.OneByteReader(strings.NewReader("hi"))), Length: 2}, length2+"hi")
	wire(get11, &Response{Status: 200, Stream: &writerTo{[]string{"h", "i"}}, Length: 2}, length2+"hi")
	wire(get11, &Response{Status: 200, Stream: streamOf(""), Length: 0}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
	wire(get11, &Response{Status: 200, Stream: streamOf("hi"), Length: -1}, chunked+"2\r\nhi\r\n0\r\n\r\n")
	wire(get11, &Response{Status: 200, Stream: io.NopCloser(iotest.DataErrReader(struct{ io.Reader }{strings.NewReader("hi")})), Length: -1}, chunked+"2\r\nhi\r\n0\r\n\r\n")
	wire(get11, &Response{Status: 200, Stream: &writerTo{[]string{"h", "", "i"}}, Length: -1}, chunked+"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n")
	wire(get11, &Response{Status: 200, Stream: streamOf(""), Length: -1}, chunked+"0\r\n\r\n")
	wire(get10, &Response{Status: 200, Stream: streamOf("hi"), Length: -1}, closing+"hi")
	wire(keep10, &Response{Status: 200, Stream: streamOf("hi"), Length: -1}, closing+"hi")
	wire(get11, &Response{Status: 200, Header: fields("content-type", "t", "date", "d"), Stream: streamOf("hi"), Length: -1},
		"HTTP/1.1 200 OK\r\nContent-Type: t\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nDate: d\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
	// A Stream that is too long is cut, and the connection goes on.
	wire(get11, &Response{Status: 200, Stream: streamOf("hidden"), Length: 2}, length2+"hi")
	wire(get11, &Response{Status: 200, Stream: &writerTo{[]string{"h", "idden", "x"}}, Length: 2}, length2+"hi")

	// The framing is ours: a handler cannot contradict it or split the message.
	wire(get11, &Response{Status: 200, Header: fields("content-length", "9", "content-length", "8"), Bytes: []byte("hi")}, length2+"hi")
	wire(get11, &Response{Status: 200, Header: fields("content-length", "9"), Stream: streamOf("hi"), Length: -1}, chunked+"2\r\nhi\r\n0\r\n\r\n")
	wire(get11, &Response{Status: 200, Header: fields("transfer-encoding", "gzip", "connection", "x", "keep-alive", "5", "upgrade", "h2", "trailer", "x"), Bytes: []byte("hi")}, length2+"hi")
	wire(get11, &Response{Status: 200, Header: fields("x", "a\r\nset-cookie: b", "y", "a\nb", "z", "\x00", "a b", "c", "", "d"), Bytes: []byte("hi")}, length2+"hi")
	wire(head11, &Response{Status: 200, Header: fields("content-length", "x")}, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n")
}

// TestBigBodies: every size around the buffers' ends arrives whole.
func TestBigBodies(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789abcdef"), 30000)
	for _, size := range []int{1, writeBufBytes - 100, writeBufBytes - 60, writeBufBytes, writeBufBytes + 1, 2 * writeBufBytes, pieceBytes + 77, len(whole)} {
		body := whole[:size]
		for name, r := range map[string]*Response{
			"bytes":             {Bytes: body},
			"stream":            {Stream: streamOf(string(body)), Length: int64(size)},
			"WriterTo":          {Stream: io.NopCloser(bytes.NewReader(body)), Length: int64(size)},
			"chunked":           {Stream: streamOf(string(body)), Length: -1},
			"chunked, WriterTo": {Stream: io.NopCloser(bytes.NewReader(body)), Length: -1},
		} {
			r.Status = 200
			wire, sent, err := answerH1(t, get11, r)
			got, parseErr := readResponse(wire)
			if err != nil || parseErr != nil || got != string(body) || sent.BodyBytes != int64(size) {
				t.Errorf("%s of %d bytes: %d bytes, %v, %v, sent %+v", name, size, len(got), err, parseErr, sent)
			}
		}
	}
	// A head larger than the buffer.
	long := strings.Repeat("v", writeBufBytes)
	wire, _, _ := answerH1(t, get11, &Response{Status: 200, Header: fields("x", long), Stream: streamOf("hi"), Length: 2})
	if got, err := readResponse(wire); got != "hi" || err != nil || !strings.Contains(wire, long) {
		t.Errorf("long head: body %q, %v", got, err)
	}
}

// TestBrokenStreams: the viewer must be able to see that something is missing.
func TestBrokenStreams(t *testing.T) {
	broken := func(request string, r *Response, wantErr error, want string) {
		t.Helper()
		s := r.Stream.(*stream)
		r.Status = 200
		wire, sent, err := answerH1(t, request+get11, r)
		if !errors.Is(err, wantErr) || sent.ViewerGone || !s.closed {
			t.Errorf("Respond: %v, %+v, closed %v; want %v", err, sent, s.closed, wantErr)
		}
		if wire != want {
			t.Errorf("wire %q, want %q and the end of the connection", wire, want)
		}
	}
	boom := errors.New("the origin is gone")
	failing := func(s string) *stream {
		return &stream{Reader: io.MultiReader(strings.NewReader(s), iotest.ErrReader(boom))}
	}
	const length5 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
	broken(get11, &Response{Stream: streamOf("hi"), Length: 5}, io.ErrUnexpectedEOF, length5+"hi")
	broken(get11, &Response{Stream: failing("hi"), Length: 5}, boom, length5+"hi")
	broken(get11, &Response{Stream: failing(""), Length: 5}, boom, length5)
	broken(get11, &Response{Stream: failing("hi"), Length: -1}, boom, chunked+"2\r\nhi\r\n")
	broken(get10, &Response{Stream: failing("hi"), Length: -1}, boom, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi")
	stuck := &stream{Reader: readerFunc(func([]byte) (int, error) { return 0, nil })}
	broken(get11, &Response{Stream: stuck, Length: 5}, io.ErrNoProgress, length5)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
