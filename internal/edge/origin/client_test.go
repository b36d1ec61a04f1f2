package origin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
	"pqfront/internal/testorigin"
)

// custom is a plain HTTP origin at origin.test with the defaults of CloudFront.
func custom() *cdn.Origin {
	return &cdn.Origin{
		ID: "o", DomainName: "origin.test", ConnectionAttempts: 3, ConnectionTimeout: 10 * time.Second,
		Custom: &cdn.CustomOrigin{HTTPPort: 80, HTTPSPort: 443, ProtocolPolicy: cdn.OriginHTTPOnly,
			ReadTimeout: 30 * time.Second, KeepaliveTimeout: 5 * time.Second},
	}
}

// client dials o whatever the name.
func client(t *testing.T, o *testorigin.Origin, change ...func(*Options)) *Client {
	opt := Options{Dial: o.Dial}
	for _, f := range change {
		f(&opt)
	}
	c := New(opt)
	t.Cleanup(c.Close)
	return c
}

func get(path string) *Request { return &Request{Method: "GET", Path: path} }

// fetch fetches and reads everything.
func fetch(c *Client, o *cdn.Origin, r *Request) (*Response, string, error) {
	res, err := c.Fetch(context.Background(), Target{Origin: o}, r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func mustFetch(t *testing.T, c *Client, o *cdn.Origin, r *Request) (*Response, string) {
	t.Helper()
	res, body, err := fetch(c, o, r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	return res, body
}

func text(f httpfield.Fields) string {
	var b strings.Builder
	for _, x := range f {
		b.WriteString(x.Name + ": " + x.Value + "\n")
	}
	return b.String()
}

func TestResponseAsTheOriginSentIt(t *testing.T) {
	o := testorigin.Start(t)
	o.On("/a", testorigin.Send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 Fine\r\nZ-Last: 1\r\nContent-Type: text/plain\r\nSet-Cookie: a\r\nDate: d\r\nset-cookie: b\r\n"+
		"Connection: keep-alive, X-Private, Content-Length\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nTE: x\r\n"+
		"ETag:  \"e\" \r\nContent-Length: 5\r\nA-First: 2\r\n\r\nhello"))
	res, body := mustFetch(t, client(t, o), custom(), get("/a"))
	const want = "z-last: 1\ncontent-type: text/plain\nset-cookie: a\ndate: d\nset-cookie: b\netag: \"e\"\ncontent-length: 5\na-first: 2\n"
	if text(res.Header) != want {
		t.Errorf("header\n%swant\n%s", text(res.Header), want)
	}
	if res.Status != 200 || body != "hello" || res.Length != 5 {
		t.Errorf("%d %q %d", res.Status, body, res.Length)
	}
	if f := res.Facts; f.Address != o.Addr() || f.Attempts != 1 || f.Reused || f.FirstByte <= 0 || f.Group != "" || f.TLSVersion != "" {
		t.Errorf("facts %+v", f)
	}
}

func TestRequestAsSent(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	c := client(t, o)
	sent := func(change func(*cdn.Origin, *Request), want string) {
		t.Helper()
		origin, r := custom(), get("/p")
		change(origin, r)
		mustFetch(t, c, origin, r)
		got := o.Last()
		if line := got.Method + " " + got.Target + " " + got.Host; line != want {
			t.Errorf("sent %q, want %q", line, want)
		}
	}
	sent(func(o *cdn.Origin, r *Request) {}, "GET /p origin.test")
	sent(func(o *cdn.Origin, r *Request) { o.Path = "/pre" }, "GET /pre/p origin.test")
	sent(func(o *cdn.Origin, r *Request) { r.Host = "www.example.org" }, "GET /p www.example.org")
	sent(func(o *cdn.Origin, r *Request) { o.Custom.HTTPPort = 8080 }, "GET /p origin.test:8080")
	sent(func(o *cdn.Origin, r *Request) { r.Query = "b=1&a=%2f+" }, "GET /p?b=1&a=%2f+ origin.test")
	// CloudFront: the raw path goes to the origin.
	sent(func(o *cdn.Origin, r *Request) { r.Path = "/a%2Fb/../c;x=1|\"^é%zz" }, "GET /a%2Fb/../c;x=1|\"^é%zz origin.test")
	sent(func(o *cdn.Origin, r *Request) { r.Path = "//double//x" }, "GET //double//x origin.test")
	sent(func(o *cdn.Origin, r *Request) { r.Path = "//double|é%zz%41" }, "GET //double|é%zz%41 origin.test")
	sent(func(o *cdn.Origin, r *Request) { r.Path, r.Query = "/a b\t\x7f", "c d" }, "GET /a%20b%09%7F?c%20d origin.test")
	sent(func(o *cdn.Origin, r *Request) { r.Method, r.Path = "OPTIONS", "*" }, "OPTIONS * origin.test")
	sent(func(o *cdn.Origin, r *Request) { r.Method = "PROPFIND" }, "PROPFIND /p origin.test")
}

func TestHeaderAsSent(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	origin := custom()
	origin.Headers = []cdn.CustomHeader{{Name: "X-Secret", Value: "s"}, {Name: "accept", Value: "ours"}}
	r := get("/")
	r.Header = httpfield.Fields{{Name: "accept", Value: "viewer"}, {Name: "x-two", Value: "1"}, {Name: "x-two", Value: "2"},
		{Name: "host", Value: "evil"}, {Name: "connection", Value: "close"}, {Name: "transfer-encoding", Value: "chunked"},
		{Name: "content-length", Value: "7"}, {Name: "te", Value: "trailers"}, {Name: "upgrade", Value: "h2c"}}
	mustFetch(t, client(t, o), origin, r)
	const want = "Host: origin.test\nAccept: ours\nX-Two: 1\nX-Two: 2\nX-Secret: s\nConnection: Keep-Alive"
	if got := strings.Join(o.Last().Lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBodies(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	c := client(t, o)
	sent := func(method, body string, length int64, want string) {
		t.Helper()
		r := &Request{Method: method, Path: "/", Body: strings.NewReader(body), ContentLength: length}
		mustFetch(t, c, custom(), r)
		got := o.Last()
		framing := "cl=" + got.Header.Get("Content-Length") + " body=" + string(got.Body)
		for _, l := range got.Lines {
			if strings.HasPrefix(l, "Transfer-Encoding") {
				framing += " " + l
			}
		}
		if framing != want {
			t.Errorf("%s: %s, want %s", method, framing, want)
		}
	}
	sent("POST", "abc", 3, "cl=3 body=abc")
	sent("PUT", "abc", -1, "cl= body=abc Transfer-Encoding: chunked")
	sent("POST", "", 0, "cl=0 body=")
	sent("DELETE", "x", 1, "cl=1 body=x")
	sent("PATCH", strings.Repeat("y", 100000), 100000, "cl=100000 body="+strings.Repeat("y", 100000))
}

func TestResponseForms(t *testing.T) {
	o := testorigin.Start(t)
	c := client(t, o)
	form := func(method, raw string, status int, length int64, body string) {
		t.Helper()
		o.Next(testorigin.Send(raw), testorigin.Close)
		res, got := mustFetch(t, c, custom(), &Request{Method: method, Path: "/"})
		if res.Status != status || res.Length != length || got != body {
			t.Errorf("%.60q: %d, length %d, %q", raw, res.Status, res.Length, got)
		}
	}
	form("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n", 200, -1, "abcde")
	form("GET", "HTTP/1.1 200 OK\r\n\r\nto the end", 200, -1, "to the end")
	form("GET", "HTTP/1.0 200 OK\r\n\r\nold", 200, -1, "old")
	form("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0, "")
	form("GET", "HTTP/1.1 404 \r\n\r\n", 404, -1, "")
	form("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, 0, "")
	form("GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, 0, "")
	form("GET", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/*\r\nContent-Length: 5\r\n\r\nabcde", 206, 5, "abcde")
	form("GET", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes x\r\nContent-Length: 5\r\n\r\nabcde", 206, 5, "abcde")
	form("HEAD", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n", 206, 5, "")
	form("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", 200, 77, "")
	form("GET", "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 301, 0, "") // passed on, not followed
	form("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, 1, "x")
	// RFC 9112, Section 6.3: chunked wins over a length.
	form("GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, -1, "a")
	form("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 200, 1, "a")
}

// kind fetches from an origin that does steps and wants this failure.
func TestKinds(t *testing.T) {
	big := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxResponseHead) + "\r\n\r\n"
	kind := func(name string, want Kind, status int, steps ...testorigin.Step) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			o := testorigin.Start(t)
			o.Always(steps...)
			_, _, err := fetch(client(t, o), custom(), get("/"))
			wantKind(t, err, want, status, false)
			if o.Count() != 1 {
				t.Errorf("asked %d times", o.Count())
			}
		})
	}
	kind("closed", KindComm, 502, testorigin.Close)
	kind("reset", KindComm, 502, testorigin.Reset)
	kind("head broken off", KindRead, 502, testorigin.Send("HTTP/1.1 200 OK\r\nA: "), testorigin.Close)
	kind("head reset", KindRead, 502, testorigin.Send("HTTP/1.1 200 OK\r\nA: "), testorigin.Wait(20*time.Millisecond), testorigin.Reset)
	kind("head too big", KindHeaderTooBig, 502, testorigin.Send(big), testorigin.Stall)
	kind("junk", KindInvalidResponse, 502, testorigin.Send("SSH-2.0-OpenSSH_9.9\r\n\r\n"), testorigin.Stall)
	kind("version 2", KindInvalidResponse, 502, testorigin.Send("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), testorigin.Stall)
	kind("status word", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 abc OK\r\n\r\n"), testorigin.Stall)
	kind("status 99", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 099 OK\r\n\r\n"), testorigin.Stall)
	kind("status 600", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n"), testorigin.Stall)
	kind("status 101", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), testorigin.Stall)
	kind("two 100", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), testorigin.Stall)
	kind("many 103", KindInvalidResponse, 502, testorigin.Send(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100)), testorigin.Stall)
	kind("name with space", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 200 OK\r\nA b: x\r\nContent-Length: 0\r\n\r\n"), testorigin.Stall)
	kind("no colon", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 200 OK\r\nabc\r\n\r\n"), testorigin.Stall)
	kind("NUL", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 200 OK\r\nA: x\x00y\r\nContent-Length: 0\r\n\r\n"), testorigin.Stall)
	kind("bare CR", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 200 OK\r\nA: x\ry\r\nContent-Length: 0\r\n\r\n"), testorigin.Stall)
	kind("two lengths", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), testorigin.Stall)
	kind("negative length", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), testorigin.Stall)
	kind("unknown coding", KindInvalidResponse, 502, testorigin.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), testorigin.Stall)
	kind("range of another length", KindContentRange, 502, testorigin.Send("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 5\r\n\r\nabcde"), testorigin.Stall)
	kind("zero size", KindZeroSize, 502, testorigin.Send("HTTP/1.1 200 OK\r\n\r\n"), testorigin.Close)
	kind("short body", KindRead, 502, testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), testorigin.Close)
	kind("body reset", KindRead, 502, testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), testorigin.Wait(20*time.Millisecond), testorigin.Reset)
	kind("chunks broken off", KindRead, 502, testorigin.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), testorigin.Close)
	kind("no last chunk", KindRead, 502, testorigin.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"), testorigin.Close)
	kind("bad chunk", KindRead, 502, testorigin.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"), testorigin.Stall)
}

func wantKind(t *testing.T, err error, kind Kind, status int, connecting bool) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v (%T), want an *Error of kind %s", err, err, kind)
	}
	if e.Kind != kind || e.Status != status || e.Connecting != connecting || e.Origin != "origin.test" {
		t.Errorf("got %s %d connecting=%v (%v), want %s %d %v", e.Kind, e.Status, e.Connecting, e, kind, status, connecting)
	}
}

// TestCheckHead: what is dangerous to viewers is refused even if net/http let it pass.
func TestCheckHead(t *testing.T) {
	refused := func(name, value string, want error) {
		t.Helper()
		res := &http.Response{ProtoMajor: 1, StatusCode: 200, Header: http.Header{name: {value}}}
		if err := checkHead(res); !errors.Is(err, want) {
			t.Errorf("%q: %q: %v", name, value, err)
		}
	}
	refused("A", "x\x00", errFieldBytes)
	refused("A", "x\r\nB: y", errFieldBytes)
	refused("A", "x\ny", errFieldBytes)
	refused("A B", "x", errFieldBytes)
	refused("", "x", errFieldBytes)
	refused("A", "tab\tand \xe9 pass", nil)
}

// TestHeadLimit: 32,768 bytes pass, one more does not.
func TestHeadLimit(t *testing.T) {
	o := testorigin.Start(t)
	c := client(t, o)
	head := func(size int) string {
		const fixed = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: \r\n\r\n"
		return strings.Replace(fixed, "X: ", "X: "+strings.Repeat("x", size-len(fixed)), 1)
	}
	o.Next(testorigin.Send(head(maxResponseHead)))
	mustFetch(t, c, custom(), get("/"))
	o.Next(testorigin.Send(head(maxResponseHead+1)), testorigin.Stall)
	_, _, err := fetch(c, custom(), get("/"))
	wantKind(t, err, KindHeaderTooBig, 502, false)
}

func TestTruncatedBodyIsUnexpectedEOF(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), testorigin.Close)
	_, body, err := fetch(client(t, o), custom(), get("/"))
	if body != "abc" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", body, err)
	}
}

// TestSurplusBytes: what an origin sends beyond its length is nobody's answer, even when
// the next request follows at once.
func TestSurplusBytes(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	o := testorigin.Start(t)
	c := client(t, o)
	origin := custom()
	origin.ConnectionAttempts = 3
	long := strings.Repeat("x", 5000)
	o.On("/long", testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+poison))
	o.On("/longer", testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"+long+poison))
	o.On("/half", testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"+poison[:20]))
	o.On("/next", testorigin.Respond(200, "clean")...)
	want := map[string]string{"/long": "ok", "/longer": long, "/half": "ok", "/next": "clean"}
	for range 50 {
		for _, path := range []string{"/long", "/next", "/longer", "/next", "/half", "/next"} {
			if _, body := mustFetch(t, c, origin, get(path)); body != want[path] {
				t.Fatalf("%s gave %.40q", path, body)
			}
		}
	}
}

// TestReuseAfter: which responses leave a connection that can be used again.
func TestReuseAfter(t *testing.T) {
	reused := func(method, raw string, want bool) {
		t.Helper()
		o := testorigin.Start(t)
		o.Always(testorigin.Send(raw))
		c := client(t, o)
		for range 2 {
			mustFetch(t, c, custom(), &Request{Method: method, Path: "/"})
		}
		if got := o.Conns() == 1; got != want {
			t.Errorf("%s %q: reused %v", method, raw, got)
		}
	}
	reused("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true)
	reused("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true)
	reused("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true)
	reused("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\nC: d\r\n\r\n", true)
	reused("GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", true)
	reused("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true)
	reused("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nmistake", false)
	reused("GET", "HTTP/1.1 204 No Content\r\n\r\nmistake", false)
	reused("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false)
	reused("GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false)
	reused("GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", true)
}

func TestQuiet(t *testing.T) {
	a := newAuthority(t)
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			go1, go2 := make(chan struct{}), make(chan struct{})
			var options []testorigin.Option
			if secure {
				options = append(options, testorigin.WithTLS(&tls.Config{Certificates: []tls.Certificate{a.issue(time.Hour, "origin.test")}}))
			}
			o := testorigin.Start(t, options...)
			o.Always(testorigin.Send("abc"), testorigin.Until(go1), testorigin.Send("d"), testorigin.Until(go2), testorigin.Close)
			cl := a.client(t, o)
			origin := custom()
			if secure {
				origin.Custom.ProtocolPolicy = cdn.OriginHTTPSOnly
			}
			p, err := cl.plan(Target{Origin: origin}, get("/"))
			if err != nil {
				t.Fatal(err)
			}
			c, err := cl.pool(p).get(t.Context(), p.serverName, false)
			if err != nil {
				t.Fatal(err)
			}
			defer c.nc.Close()
			quiet := func(when string, want bool) {
				t.Helper()
				for range 200 { // what comes over the network takes its time
					if c.quiet() == want {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				t.Errorf("%s: quiet is not %v", when, want)
			}
			if !secure { // TLS begins with session tickets, read with the first answer
				quiet("at first", true)
			}
			c.begin(time.Minute, false)
			if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if secure { // left in TLS: read past our own buffer
				c.nc.SetReadDeadline(time.Time{})
				if _, err := io.ReadFull(c.nc, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
				if c.quiet() { // takes the byte: later calls see none
					t.Error("a byte left in TLS goes unnoticed")
				}
			} else {
				quiet("unread bytes", false)
				if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
					t.Fatal(err)
				}
			}
			quiet("all read", true)
			close(go1)
			quiet("a late byte", false)
			c.nc.SetReadDeadline(time.Time{})
			io.ReadFull(c.nc, make([]byte, 1))
			quiet("read as well", true)
			close(go2)
			quiet("closed", false)
		})
	}
}

func TestDialFailures(t *testing.T) {
	fails := func(err error, kind Kind, status, attempts int) {
		t.Helper()
		n := 0
		c := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { n++; return nil, err }})
		_, _, got := fetch(c, custom(), &Request{Method: "POST", Path: "/", Body: strings.NewReader("x"), ContentLength: 1})
		wantKind(t, got, kind, status, true)
		if n != attempts {
			t.Errorf("%v: dialed %d times, want %d", err, n, attempts)
		}
	}
	fails(&net.OpError{Op: "dial", Err: errors.New("connection refused")}, KindConnect, 502, 3)
	fails(&net.DNSError{Err: "no such host", Name: "origin.test", IsNotFound: true}, KindDNS, 502, 1)
	fails(&net.DNSError{Err: "server misbehaving", Name: "origin.test", IsTemporary: true}, KindDNS, 502, 3)
	fails(context.DeadlineExceeded, KindComm, 504, 3)
}

// TestConnectsAgain: a failed connection is tried again with the body still whole.
func TestConnectsAgain(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	n := 0
	c := client(t, o, func(opt *Options) {
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "origin.test:80" {
				t.Errorf("dialed %s", address)
			}
			if n++; n < 3 {
				return nil, errors.New("refused")
			}
			return o.Dial(ctx, network, address)
		}
	})
	res, _ := mustFetch(t, c, custom(), &Request{Method: "POST", Path: "/", Body: strings.NewReader("body"), ContentLength: 4})
	if string(o.Last().Body) != "body" || res.Facts.Attempts != 3 {
		t.Errorf("body %q after %d attempts", o.Last().Body, res.Facts.Attempts)
	}
	one := custom()
	one.ConnectionAttempts = 1
	n = 1
	c.Close()
	if _, _, err := fetch(c, one, get("/")); err == nil {
		t.Error("connected with one attempt where two were needed")
	}
}

func TestReuse(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	c := client(t, o)
	for i := range 4 {
		res, _ := mustFetch(t, c, custom(), get("/"))
		if res.Facts.Reused != (i > 0) {
			t.Errorf("request %d: reused=%v", i, res.Facts.Reused)
		}
	}
	if o.Conns() != 1 {
		t.Errorf("%d connections", o.Conns())
	}
	// Another origin's settings are another pool, even with the same name.
	other := custom()
	other.ConnectionTimeout = 3 * time.Second
	mustFetch(t, c, other, get("/"))
	if o.Conns() != 2 {
		t.Errorf("%d connections", o.Conns())
	}
}

// TestClosedWhileIdle: a kept connection that the origin closes instead of answering is
// replaced without anybody noticing, for methods that may be repeated.
func TestClosedWhileIdle(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	c := client(t, o)
	mustFetch(t, c, custom(), get("/"))
	o.Next(testorigin.Close)
	res, _ := mustFetch(t, c, custom(), get("/"))
	if o.Conns() != 2 || res.Facts.Attempts != 1 || res.Facts.Reused {
		t.Errorf("%d connections, %+v", o.Conns(), res.Facts)
	}
	o.Next(testorigin.Close)
	before := o.Count()
	_, _, err := fetch(c, custom(), &Request{Method: "POST", Path: "/", Body: strings.NewReader("x"), ContentLength: 1})
	wantKind(t, err, KindComm, 502, false)
	if o.Count() != before+1 {
		t.Errorf("a POST was sent %d times", o.Count()-before)
	}
}

func TestEarlyAnswer(t *testing.T) {
	o := testorigin.Start(t)
	c := client(t, o)
	o.NextEarly(append(testorigin.Respond(413, "too much", "Connection: close"), testorigin.Stall)...)
	pr, pw := io.Pipe()
	defer pw.Close()
	r := &Request{Method: "POST", Path: "/", Body: pr, ContentLength: 1 << 30}
	res, body := mustFetch(t, c, custom(), r)
	if res.Status != 413 || body != "too much" {
		t.Errorf("%d %q", res.Status, body)
	}
	// Without Connection: close the rest of the upload still spoils the connection.
	o.NextEarly(append(testorigin.Respond(413, "too much"), testorigin.Stall)...)
	mustFetch(t, c, custom(), r)
	o.Always(testorigin.Respond(200, "ok")...)
	if res, _ := mustFetch(t, c, custom(), get("/")); res.Facts.Reused {
		t.Error("a connection was reused in the middle of an upload")
	}
}

// TestViewersBodyFails: that is not the origin's fault and not retried.
func TestViewersBodyFails(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	gone := errors.New("the viewer is gone")
	r := &Request{Method: "PUT", Path: "/", ContentLength: 10, Body: io.MultiReader(strings.NewReader("abc"), failing{gone})}
	_, _, err := fetch(client(t, o), custom(), r)
	if _, is := errors.AsType[*Error](err); is || !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if n := o.Conns(); n > 1 { // the origin may not have looked yet
		t.Errorf("%d connections", n)
	}
	r = &Request{Method: "PUT", Path: "/", ContentLength: 10, Body: strings.NewReader("short")}
	if _, _, err := fetch(client(t, o), custom(), r); err == nil {
		t.Error("a body shorter than announced was sent")
	} else if _, is := errors.AsType[*Error](err); is {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestUnwritableRequest(t *testing.T) {
	o := testorigin.Start(t)
	refused := func(change func(*Request)) {
		t.Helper()
		r := get("/")
		change(r)
		_, _, err := fetch(client(t, o), custom(), r)
		wantKind(t, err, KindWrite, 502, false)
	}
	refused(func(r *Request) { r.Header = httpfield.Fields{{Name: "a", Value: "x\x00"}} })
	refused(func(r *Request) { r.Header = httpfield.Fields{{Name: "a", Value: "x\r\nb: y"}} })
	refused(func(r *Request) { r.Header = httpfield.Fields{{Name: "a b", Value: "x"}} })
	refused(func(r *Request) { r.Method = "GET /x HTTP/1.1\r\nA: b" })
	refused(func(r *Request) { r.Host = "a\r\nb: c" })
	refused(func(r *Request) { r.Host = "a b" })
	if o.Conns() != 0 {
		t.Error("a connection was made")
	}
}

func TestWriteFailure(t *testing.T) {
	o := testorigin.Start(t)
	o.NextEarly(testorigin.Reset)
	body := bytes.NewReader(make([]byte, 64<<20))
	_, _, err := fetch(client(t, o), custom(), &Request{Method: "PUT", Path: "/", Body: body, ContentLength: 64 << 20})
	e, ok := errors.AsType[*Error](err)
	// Whichever the kernel reports first: the failed write or the reset.
	if !ok || e.Kind != KindWrite && e.Kind != KindComm || e.Status != 502 {
		t.Errorf("got %v", err)
	}
}

func TestCloseWhileReading(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), testorigin.Stall)
	res, err := client(t, o).Fetch(t.Context(), Target{Origin: custom()}, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := io.ReadAll(res.Body)
		read <- err
	}()
	time.Sleep(10 * time.Millisecond)
	res.Body.Close()
	if err := <-read; err == nil {
		t.Error("the read ended without an error")
	}
}

func TestDefaults(t *testing.T) {
	c := New(Options{})
	p, err := c.plan(Target{Origin: &cdn.Origin{DomainName: "a.test", Custom: &cdn.CustomOrigin{}}}, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	if p.attempts != 3 || p.connect != 10*time.Second || p.read != 30*time.Second || p.key.keepalive != 5*time.Second || p.key.address != "a.test:80" {
		t.Errorf("%+v", p)
	}
}

func TestPoolsAreDropped(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Respond(200, "ok")...)
	now := time.Now()
	c := client(t, o, func(opt *Options) { opt.Now = func() time.Time { return now } })
	mustFetch(t, c, custom(), get("/"))
	now = now.Add(poolLife + time.Second)
	other := custom()
	other.DomainName = "other.test"
	mustFetch(t, c, other, get("/"))
	if len(c.pools) != 1 {
		t.Errorf("%d pools are kept", len(c.pools))
	}
}

func TestResolve(t *testing.T) {
	c := New(Options{Resolve: map[string]string{"a.test": "127.0.0.1:1", "b.test:443": "127.0.0.1:2"}})
	f := func(host, port, want string) {
		t.Helper()
		if got := c.resolve(host, port); got != want {
			t.Errorf("%s:%s -> %s, want %s", host, port, got, want)
		}
	}
	f("a.test", "80", "127.0.0.1:1")
	f("a.test", "443", "127.0.0.1:1")
	f("b.test", "443", "127.0.0.1:2")
	f("b.test", "80", "b.test:80")
	f("::1", "80", "[::1]:80")
}

// bubble runs f with an origin in memory and fake time.
func bubble(t *testing.T, f func(t *testing.T, o *testorigin.Origin, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := testorigin.Start(t, testorigin.InMemory())
		c := New(Options{Dial: o.Dial, Logger: slog.New(slog.DiscardHandler)})
		f(t, o, c)
		c.Close()
		o.Close()
	})
}

func TestTimeouts(t *testing.T) {
	ok := testorigin.Respond(200, "ok")
	run := func(name string, method string, change func(*cdn.Origin), steps testorigin.Script, check func(t *testing.T, took time.Duration, asked int, body string, err error)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *testorigin.Origin, c *Client) {
				o.Always(steps...)
				origin := custom()
				change(origin)
				start := time.Now()
				_, body, err := fetch(c, origin, &Request{Method: method, Path: "/"})
				check(t, time.Since(start), o.Count(), body, err)
			})
		})
	}
	same := func(*cdn.Origin) {}
	times := func(want time.Duration, asked int, kind Kind) func(*testing.T, time.Duration, int, string, error) {
		return func(t *testing.T, took time.Duration, n int, _ string, err error) {
			if kind == "" && err != nil {
				t.Fatal(err)
			}
			if kind != "" {
				wantKind(t, err, kind, 504, false)
			}
			if took != want || n != asked {
				t.Errorf("%v and %d requests, want %v and %d", took, n, want, asked)
			}
		}
	}
	// CloudFront: Request and response behavior for custom origins, Origin response timeout.
	run("GET is tried three times", "GET", same, testorigin.Script{testorigin.Stall}, times(90*time.Second, 3, KindComm))
	run("HEAD too", "HEAD", same, testorigin.Script{testorigin.Stall}, times(90*time.Second, 3, KindComm))
	run("POST once", "POST", same, testorigin.Script{testorigin.Stall}, times(30*time.Second, 1, KindComm))
	run("OPTIONS once", "OPTIONS", same, testorigin.Script{testorigin.Stall}, times(30*time.Second, 1, KindComm))
	run("DELETE once", "DELETE", same, testorigin.Script{testorigin.Stall}, times(30*time.Second, 1, KindComm))
	run("attempts", "GET", func(o *cdn.Origin) { o.ConnectionAttempts = 2 }, testorigin.Script{testorigin.Stall}, times(60*time.Second, 2, KindComm))
	run("read timeout", "GET", func(o *cdn.Origin) { o.Custom.ReadTimeout = 5 * time.Second }, testorigin.Script{testorigin.Stall}, times(15*time.Second, 3, KindComm))
	run("slow is fine", "GET", same, append(testorigin.Script{testorigin.Wait(29 * time.Second)}, ok...), times(29*time.Second, 1, ""))
	run("packets in the head", "GET", same, testorigin.Script{testorigin.Wait(20 * time.Second), testorigin.Send("HTTP/1.1 200 OK\r\n"), testorigin.Wait(20 * time.Second), testorigin.Send("Content-Length: 1\r\n\r\n"), testorigin.Wait(20 * time.Second), testorigin.Send("x")}, times(60*time.Second, 1, ""))
	run("stall in the body", "GET", same, testorigin.Script{testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), testorigin.Stall}, times(30*time.Second, 1, KindComm))
	run("stall before an unframed body", "GET", same, testorigin.Script{testorigin.Send("HTTP/1.1 200 OK\r\n\r\n"), testorigin.Stall}, times(90*time.Second, 3, KindComm))
	// CloudFront: Response completion timeout: all attempts together.
	limit := func(d time.Duration) func(*cdn.Origin) {
		return func(o *cdn.Origin) { o.ResponseCompletionTimeout = d }
	}
	run("completion", "GET", limit(40*time.Second), testorigin.Script{testorigin.Stall}, times(40*time.Second, 2, KindComm))
	drip := testorigin.Script{testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")}
	for range 9 {
		drip = append(drip, testorigin.Wait(10*time.Second), testorigin.Send("x"))
	}
	run("completion in the body", "GET", limit(45*time.Second), drip, times(45*time.Second, 1, KindComm))
	run("drip without a limit", "GET", same, drip, times(90*time.Second, 1, ""))
}

func TestS3ReadTimeoutIsNotRetried(t *testing.T) {
	bubble(t, func(t *testing.T, o *testorigin.Origin, c *Client) {
		o.Always(testorigin.Stall)
		origin := &cdn.Origin{DomainName: "b.s3.amazonaws.com", S3: &cdn.S3Origin{ReadTimeout: 7 * time.Second}}
		start := time.Now()
		_, _, err := fetch(c, origin, get("/"))
		if err == nil || time.Since(start) != 7*time.Second || o.Count() != 1 {
			t.Errorf("%v after %v, %d requests", err, time.Since(start), o.Count())
		}
	})
}

// TestSlowViewer: the origin's clock stands while nobody reads.
func TestSlowViewer(t *testing.T) {
	bubble(t, func(t *testing.T, o *testorigin.Origin, c *Client) {
		o.Always(testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), testorigin.Send("cd"))
		res, err := c.Fetch(context.Background(), Target{Origin: custom()}, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if _, err := io.ReadFull(res.Body, make([]byte, 2)); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		if body, err := io.ReadAll(res.Body); string(body) != "cd" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		res.Body.Close()
	})
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := New(Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			n++
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		origin := custom()
		origin.ConnectionTimeout, origin.ConnectionAttempts = 4*time.Second, 2
		start := time.Now()
		_, _, err := fetch(c, origin, get("/"))
		wantKind(t, err, KindComm, 504, true)
		if n != 2 || time.Since(start) != 8*time.Second {
			t.Errorf("%d attempts in %v", n, time.Since(start))
		}
	})
}

// TestWriteTimeout: an origin that takes no bytes does not hold an upload for ever.
func TestWriteTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, o *testorigin.Origin, c *Client) {
		o.NextEarly(testorigin.Block)
		start := time.Now()
		_, _, err := fetch(c, custom(), &Request{Method: "PUT", Path: "/", Body: bytes.NewReader(make([]byte, 1<<20)), ContentLength: 1 << 20})
		wantKind(t, err, KindWrite, 504, false)
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestKeepaliveTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, o *testorigin.Origin, c *Client) {
		o.Always(testorigin.Respond(200, "ok")...)
		origin := custom()
		origin.Custom.KeepaliveTimeout = 7 * time.Second
		again := func(wait time.Duration, conns int) {
			t.Helper()
			time.Sleep(wait)
			mustFetch(t, c, origin, get("/"))
			if o.Conns() != conns {
				t.Errorf("after %v: %d connections, want %d", wait, o.Conns(), conns)
			}
		}
		again(0, 1)
		again(6*time.Second, 1)
		again(8*time.Second, 2)
	})
}

// TestMaxConns: a request waits for a free connection as long as for a new one.
func TestMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testorigin.Start(t, testorigin.InMemory())
		c := New(Options{Dial: o.Dial, MaxConns: 1})
		o.On("/held", testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), testorigin.Wait(time.Hour))
		held, err := c.Fetch(context.Background(), Target{Origin: custom()}, get("/held"))
		if err != nil {
			t.Fatal(err)
		}
		origin := custom()
		origin.ConnectionAttempts = 1
		_, _, err = fetch(c, origin, get("/"))
		wantKind(t, err, KindComm, 504, true)
		held.Body.Close()
		o.Always(testorigin.Respond(200, "free")...)
		mustFetch(t, c, origin, get("/"))
		c.Close()
		o.Close()
	})
}

// TestViewerGone: the caller's end is its own error, at once and without another try.
func TestViewerGone(t *testing.T) {
	gone := errors.New("hung up")
	for name, steps := range map[string]testorigin.Script{
		"before the answer": {testorigin.Stall},
		"in the body":       {testorigin.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), testorigin.Stall},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *testorigin.Origin, c *Client) {
				o.Always(steps...)
				ctx, cancel := context.WithCancelCause(context.Background())
				time.AfterFunc(3*time.Second, func() { cancel(gone) })
				start := time.Now()
				res, err := c.Fetch(ctx, Target{Origin: custom()}, get("/"))
				if err == nil {
					_, err = io.ReadAll(res.Body)
					res.Body.Close()
				}
				if _, is := errors.AsType[*Error](err); is || !errors.Is(err, gone) {
					t.Errorf("got %v", err)
				}
				if time.Since(start) != 3*time.Second || o.Count() != 1 {
					t.Errorf("%v, %d requests", time.Since(start), o.Count())
				}
			})
		})
	}
	t.Run("while connecting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int32
			c := New(Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				n.Add(1)
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(3*time.Second, func() { cancel(gone) })
			_, err := c.Fetch(ctx, Target{Origin: custom()}, get("/"))
			if !errors.Is(err, gone) || n.Load() != 1 {
				t.Errorf("got %v after %d dials", err, n.Load())
			}
			time.Sleep(time.Minute) // the dial ends by itself
		})
	})
}

func BenchmarkFetch(b *testing.B) {
	o := testorigin.Start(b)
	o.Always(testorigin.Respond(200, strings.Repeat("x", 1024), "Content-Type: text/plain", "ETag: \"e\"")...)
	c := New(Options{Dial: o.Dial})
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := fetch(c, custom(), get("/")); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBody measures the read timeout's price per 32 KiB.
func BenchmarkBody(b *testing.B) {
	const size = 64 << 20
	chunk := strings.Repeat("x", 1<<20)
	steps := testorigin.Script{testorigin.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))}
	for range size >> 20 {
		steps = append(steps, testorigin.Send(chunk))
	}
	o := testorigin.Start(b)
	o.Always(steps...)
	c := New(Options{Dial: o.Dial})
	defer c.Close()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		res, err := c.Fetch(context.Background(), Target{Origin: custom()}, get("/"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{res.Body}, make([]byte, 32<<10)); err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
	}
}

// TestConcurrent: many exchanges over few connections, some of them abandoned, never
// mix up their answers.
func TestConcurrent(t *testing.T) {
	o := testorigin.Start(t)
	o.Always(testorigin.Sendf(func(r *testorigin.Request) string {
		body := strings.Repeat(r.Target+" ", 3000)
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Target: %s\r\nContent-Length: %d\r\n\r\n%s", r.Target, len(body), body)
	}))
	c := client(t, o, func(opt *Options) { opt.MaxConns = 8 })
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 20 {
				path := fmt.Sprintf("/%d/%d", g, i)
				res, err := c.Fetch(context.Background(), Target{Origin: custom()}, get(path))
				if err != nil {
					t.Error(err)
					return
				}
				if i%5 == 0 {
					res.Body.Close()
					continue
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(body) != strings.Repeat(path+" ", 3000) || res.Header.Get("x-target") != path {
					t.Errorf("%s: %v, %s, %.40q", path, err, res.Header.Get("x-target"), body)
				}
			}
		})
	}
	wg.Wait()
}
