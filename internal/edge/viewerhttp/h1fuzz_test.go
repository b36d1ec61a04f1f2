package viewerhttp

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pqfront/internal/httpfield"
)

// bytesConn is a connection that gives what a fuzzer made up and forgets what is
// written.
type bytesConn struct {
	net.Conn
	r *bytes.Reader
}

func (c bytesConn) Read(p []byte) (int, error)       { return c.r.Read(p) }
func (c bytesConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c bytesConn) Close() error                     { return nil }
func (c bytesConn) SetReadDeadline(time.Time) error  { return nil }
func (c bytesConn) SetWriteDeadline(time.Time) error { return nil }

// readAs is one request as somebody understood it.
type readAs struct {
	method, authority, target, body string
	header                          httpfield.Fields
	whole                           bool // the body came to its end
}

// parseOurs runs the engine over b and returns the requests that its handler saw.
func parseOurs(b []byte) (all []readAs, told []Rejection) {
	e := &Engine{
		Observer: func(r Rejection) { told = append(told, r) },
		Handler: handlerFunc(func(_ context.Context, r *Request, w Responder) {
			x := readAs{method: r.Method, authority: r.Authority, target: r.Path, header: r.Header, whole: true}
			if r.HasQuery {
				x.target += "?" + r.Query
			}
			if r.Body != nil {
				body, err := io.ReadAll(r.Body)
				x.body, x.whole = string(body), err == nil
			}
			all = append(all, x)
			w.Respond(&Response{Status: 200, Close: !x.whole})
		}),
	}
	e.ServeH1(context.Background(), bytesConn{r: bytes.NewReader(b)}, &Conn{})
	return all, told
}

// FuzzH1 holds the engine against net/http's reader: what we accept it accepts too,
// with the same meaning, and after a whole body both stand at the same place.
func FuzzH1(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://a/x?y HTTP/1.1\r\nHost: a\r\nX: \t y \r\n\r\nGET /2 HTTP/1.0\r\nHost: [::1]:80\r\nConnection: keep-alive, x\r\nX: 1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
		"\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"GET /%41%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compareAll(t, b) })
}

// TestFragments is the same comparison on requests made of pieces that readers
// stumble over; blind mutation seldom finds two of them together.
func TestFragments(t *testing.T) {
	pieces := []string{
		"GET / HTTP/1.1\r\n", "POST /a?b HTTP/1.1\r\n", "POST / HTTP/1.0\r\n", "GET http://a/ HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n",
		"Host: a\r\n", "Host: a\r\n", "Host: a\r\n", "host:a\r\n", "Host: b\r\n", "Host : a\r\n",
		"\r\n", "\r\n", "\r\n", "\n", "\r", "\n\r\n", "\r\r\n", "\x00", " ", "\t", "\v", "\x85", ":", ",", ";",
		"Content-Length: 3\r\n", "Content-Length: 5\r\n", "content-length:0\r\n", "Content-Length: +3\r\n", "Content-Length: 3, 3\r\n", "Content-Length: 03\r\n", "Content_Length: 3\r\n",
		"Transfer-Encoding: chunked\r\n", "Transfer-Encoding:\tchunked \r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: x, chunked\r\n", "Transfer-Encoding : chunked\r\n",
		"Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: content-length\r\n", "Connection: transfer-encoding, x\r\n", "X: y\r\n", " folded\r\n", "X\r\n",
		"abc", "3\r\nabc\r\n", "3;x=y\r\nabc\r\n", "3\nabc\n", "003\r\nabc\r\n", "0\r\n\r\n", "0\r\nT: t\r\n\r\n", "0\n\n", "3 \r\nabc\r\n", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
	}
	rng := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 15000 {
		raw := pieces[rng.IntN(5)] + pieces[5+rng.IntN(6)]
		for range rng.IntN(9) {
			raw += pieces[rng.IntN(len(pieces))]
		}
		accepted += compareAll(t, []byte(raw))
		if t.Failed() {
			t.Fatalf("for %q", raw)
		}
	}
	if accepted < 500 {
		t.Errorf("only %d requests were accepted: the comparison is idle", accepted)
	}
}

// compareAll returns how many requests both took.
func compareAll(t *testing.T, b []byte) (accepted int) {
	ours, told := parseOurs(b)
	if len(told) > 1 {
		t.Errorf("told twice: %+v", told)
	}
	theirs := bufio.NewReader(bytes.NewReader(b))
	for i, x := range ours {
		// net/http's server skips no empty line; we skip one.
		if crlf, err := theirs.Peek(2); err == nil && string(crlf) == "\r\n" {
			theirs.Discard(2)
		}
		r, err := http.ReadRequest(theirs)
		if err != nil {
			t.Fatalf("%q: request %d: we take %+v, net/http says %v", b, i, x, err)
		}
		compareToNetHTTP(t, x, r)
		body, err := io.ReadAll(r.Body)
		if !x.whole {
			return len(ours) // we ended the connection
		}
		if err != nil || string(body) != x.body {
			t.Fatalf("%q: request %d: body %q, net/http says %q, %v", b, i, x.body, body, err)
		}
	}
	return len(ours)
}

func compareToNetHTTP(t *testing.T, x readAs, r *http.Request) {
	t.Helper()
	target := r.RequestURI
	if i := strings.Index(target, "://"); i >= 0 && target[0] != '/' {
		target = target[i+3:]
		if slash := strings.IndexAny(target, "/?"); slash < 0 {
			target = ""
		} else {
			target = target[slash:]
		}
		switch {
		case target == "" && r.Method == "OPTIONS":
			target = "*"
		case target == "" || target[0] == '?':
			target = "/" + target
		}
	}
	if r.Method != x.method || target != x.target || !strings.EqualFold(r.Host, x.authority) {
		t.Errorf("we read %q %q %q, net/http %q %q %q", x.method, x.authority, x.target, r.Method, r.Host, target)
	}
	for _, h := range x.header {
		if got := strings.Join(r.Header.Values(h.Name), ", "); h.Name != "content-length" && got != x.header.Joined(h.Name) {
			t.Errorf("field %s: %q, net/http says %q", h.Name, x.header.Joined(h.Name), got)
		}
	}
}
