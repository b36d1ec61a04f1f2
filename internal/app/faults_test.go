package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"pqfront/internal/rawtls"
)

// neighbour is a viewer that must not notice what others do: it asks over one open
// connection all the time, and now and then over a new one, until the test ends.
func neighbour(t *testing.T, e *testEdge) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var served atomic.Int64
	old := e.viewer("www.example.org", "h2")
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			v := old
			if i%8 == 7 {
				v = e.viewer("www.example.org", []string{"h1", "h2"}[i/8%2])
			}
			if status, body, err := v.get("/small"); status != 200 || body != "small: /small\n" {
				t.Errorf("the neighbour got %d %q, %v", status, body, err)
				return
			}
			if v != old {
				v.close()
			}
			served.Add(1)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if n := old.dials.Load(); n != 1 || served.Load() < 5 {
			t.Errorf("the neighbour was served %d times over %d connections", served.Load(), n)
		}
	})
}

// dial opens a TCP connection to the TLS port. All that happens on it is bounded.
func (e *testEdge) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", e.ports.HTTPS)
	if err != nil {
		t.Fatal(err)
	}
	// Open until the edge's test is over: a port that is used again would find the log
	// lines of an earlier connection.
	e.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// largestHello is the most that a ClientHello may have: 64 KiB behind its header of 4 bytes.
const largestHello = 64<<10 + 4

// hello is a ClientHello with n bytes in all, or as short as can be when n is 0.
func hello(t *testing.T, n int, ext ...rawtls.Extension) (*rawtls.Hello, *rawtls.KeyPair) {
	t.Helper()
	key, err := rawtls.NewKeyPair(rawtls.X25519)
	if err != nil {
		t.Fatal(err)
	}
	h := &rawtls.Hello{Version: rawtls.VersionTLS12, Random: rawtls.Random(), SessionID: make([]byte, 32), Compression: []byte{0},
		Suites: []uint16{0x1301, 0x1302},
		Extensions: append(ext, rawtls.Groups(rawtls.X25519), rawtls.Schemes(0x0403, 0x0804), rawtls.ALPN("http/1.1"),
			rawtls.SupportedVersions(rawtls.VersionTLS13), rawtls.PSKModes(1), rawtls.KeyShares(key.Share()))}
	if n > 0 {
		h.Extensions = append(h.Extensions, rawtls.Padding(0))
		h.Extensions[len(h.Extensions)-1] = rawtls.Padding(n - len(h.Marshal()))
	}
	return h, key
}

// records puts a handshake message into TLS records.
func records(msg []byte) []byte {
	var out []byte
	for len(msg) > 0 {
		n := min(len(msg), 1<<14)
		out = append(out, 22, 3, 1, byte(n>>8), byte(n))
		out = append(out, msg[:n]...)
		msg = msg[n:]
	}
	return out
}

// The answers to what is no handshake.
const (
	nothing     = ""
	closeNotify = "\x15\x03\x03\x00\x02\x01\x00"
	unknownName = "\x15\x00\x00\x00\x02\x01\x00" // a record of version 0, as CloudFront's
	badVersion  = "\x15\x03\x03\x00\x02\x02\x46"
)

// TestHandshakeFaults: each fault ends by itself, is recorded with its own reason and
// disturbs nobody.
func TestHandshakeFaults(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{{alias: "www.example.org", policy: "TLSv1.2_2021"}})
	neighbour(t, e)
	usual, _ := hello(t, 0, rawtls.ServerName("www.example.org"))
	wire := records(usual.Marshal())
	// f plays a fault, reads what comes back until the edge closes, and finds the line in
	// the log. play returns false when it has closed the connection itself.
	var faults sync.WaitGroup // all at once, not as few as -parallel says: they wait
	defer faults.Wait()
	f := func(name, reason, answer string, play func(t *testing.T, c *net.TCPConn) bool) {
		run := func(t *testing.T) {
			c := e.dial(t)
			if play(t, c) {
				got, err := io.ReadAll(c)
				if errors.Is(err, syscall.ECONNRESET) {
					err = nil // it closed with our bytes unread: that is up to it
				}
				if err != nil || !strings.HasPrefix(string(got), answer) || answer == nothing && len(got) > 0 {
					t.Errorf("answer %q, %v; want %q", got, err, answer)
				}
			}
			found := e.logged(t, e.config.ConnectionLog, localPort(c))
			if len(found) != 1 || found[0]["type"] != "handshake" || found[0]["tls-refusal"] != reason {
				t.Errorf("logged %v, want one refusal %s", found, reason)
			}
		}
		faults.Go(func() { t.Run(name, run) })
	}
	send := func(data []byte) func(*testing.T, *net.TCPConn) bool {
		return func(t *testing.T, c *net.TCPConn) bool {
			if _, err := c.Write(data); err != nil {
				t.Error(err)
			}
			return true
		}
	}
	f("junk", "not_tls", nothing, send(bytes.Repeat([]byte("\xde\xad\xbe\xef"), 4096)))
	f("junk-in-a-record", "malformed_hello", closeNotify, send(records(append([]byte{1, 0, 0x10, 0}, make([]byte, 0x1000)...))))
	f("plain-http", "plain_http", "HTTP/1.1 400 Bad Request\r\n", send([]byte("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n")))
	f("sslv2", "sslv2_hello", badVersion, send([]byte("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x07\x00\xc0\x05\x00\x80\x03\x00\x80\x01\x00\x80\x06\x00\x40\x04\x00\x80\x02\x00\x800123456789abcdef")))
	f("half-a-hello", "hello_timeout", closeNotify, send(wire[:len(wire)/2]))
	f("silence", "hello_timeout", closeNotify, send(nil))
	f("one-byte-a-second", "hello_timeout", closeNotify, func(t *testing.T, c *net.TCPConn) bool {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, b := range wire {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
				if _, err := c.Write(nil); err != nil {
					return
				}
			}
		}()
		got, _ := io.ReadAll(c) // up to our own end
		c.Close()
		<-ended
		if !strings.HasPrefix(string(got), closeNotify) {
			t.Errorf("answer %q", got)
		}
		return false
	})
	f("one-byte-records-and-silence", "hello_timeout", closeNotify, func(_ *testing.T, c *net.TCPConn) bool {
		var b []byte
		for _, octet := range usual.Marshal()[:60] {
			b = append(b, 22, 3, 1, 0, 1, octet)
		}
		c.Write(b)
		return true
	})
	large, _ := hello(t, largestHello+1, rawtls.ServerName("www.example.org"))
	f("hello-over-64KiB", "hello_too_large", closeNotify, send(records(large.Marshal())))
	f("hello-of-16MiB-announced", "hello_too_large", closeNotify, send(records([]byte{1, 0xff, 0xff, 0xff, 3, 3})))
	f("reset-in-the-hello", "connection_reset", nothing, func(_ *testing.T, c *net.TCPConn) bool {
		c.Write(wire[:len(wire)/2])
		c.SetLinger(0)
		c.Close()
		return false
	})
	f("closed-in-the-hello", "incomplete_hello", nothing, func(_ *testing.T, c *net.TCPConn) bool {
		c.Write(wire[:len(wire)/2])
		c.CloseWrite()
		return true
	})
	f("closed-at-once", "incomplete_hello", nothing, func(_ *testing.T, c *net.TCPConn) bool {
		c.Close()
		return false
	})
	f("away-after-the-hello", "client_aborted", nothing, func(t *testing.T, c *net.TCPConn) bool {
		send(wire)(t, c)
		c.Read(make([]byte, 100)) // the edge is at it
		c.Close()
		return false
	})
	bare, _ := hello(t, 0)
	f("no-server-name", "no_sni", unknownName, send(records(bare.Marshal())))
	strange, _ := hello(t, 0, rawtls.ServerName("unknown.example.org"))
	f("unknown-server-name", "unknown_sni", unknownName, send(records(strange.Marshal())))
	f("a-wildcard-as-server-name", "unknown_sni", unknownName, func(t *testing.T, c *net.TCPConn) bool {
		h, _ := hello(t, 0, rawtls.ServerName("*.example.org"))
		return send(records(h.Marshal()))(t, c)
	})
	f("silence-after-the-hello", "handshake_timeout", "\x16\x03\x03", send(wire))

	t.Run("hello-of-64KiB", func(t *testing.T) {
		h, key := hello(t, largestHello, rawtls.ServerName("www.example.org"))
		c := e.dial(t)
		client := &rawtls.Client{Hello: h, Keys: func(uint16) (*rawtls.KeyPair, error) { return key, nil }, After: c.CloseWrite}
		if r, err := client.Handshake(rawtls.Over(c)); err != nil || r.Alert != nil || r.ALPN != "http/1.1" {
			t.Errorf("the largest hello there may be: %+v, %v", r, err)
		}
	})
}

// dialTLS opens a TLS connection with the bytes of its application in the test's hand.
func (e *testEdge) dialTLS(t *testing.T, proto string) *tls.Conn {
	t.Helper()
	c := tls.Client(e.dial(t), e.clientTLS("www.example.org", proto))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSmuggling: shapes that two readers could understand differently are refused over
// TLS too; viewerhttp's tests have all of them.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{{alias: "www.example.org", policy: "TLSv1.2_2021"}})
	neighbour(t, e)
	const host = "Host: www.example.org\r\n"
	f := func(reason, request string) {
		t.Helper()
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			c := e.dialTLS(t, "http/1.1")
			// What follows must never be taken for a request.
			io.WriteString(c, request+"GET /smuggled HTTP/1.1\r\n"+host+"\r\n")
			got, err := io.ReadAll(c)
			if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 400 Bad Request\r\n")) || bytes.Count(got, []byte("HTTP/1.1 ")) != 1 ||
				!bytes.Contains(got, []byte("\r\nConnection: close\r\n")) {
				t.Errorf("%q, %v", got, err)
			}
			found := e.logged(t, e.config.ConnectionLog, localPort(c.NetConn()))
			if len(found) != 1 || found[0]["type"] != "rejection" || found[0]["reason"] != reason || found[0]["sc-status"] != 400.0 || found[0]["tls-stage"] != "done" {
				t.Errorf("logged %v", found)
			}
		})
	}
	f("content-length-and-transfer-encoding", "POST / HTTP/1.1\r\n"+host+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f("duplicate-content-length", "POST / HTTP/1.1\r\n"+host+"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
	f("bad-content-length", "POST / HTTP/1.1\r\n"+host+"Content-Length: +5\r\n\r\nhello")
	f("unsupported-transfer-encoding", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")
	f("obs-fold", "GET / HTTP/1.1\r\n"+host+"X: a\r\n b\r\n\r\n")
	f("bare-lf", "GET / HTTP/1.1\n"+host+"\r\n")
	f("bare-cr", "GET / HTTP/1.1\r\n"+host+"X: a\rb\r\n\r\n")
	f("space-before-colon", "GET / HTTP/1.1\r\n"+host+"Transfer-Encoding : chunked\r\n\r\n")
	f("bad-field-value", "GET / HTTP/1.1\r\n"+host+"X: a\x00b\r\n\r\n")
	f("duplicate-host", "GET / HTTP/1.1\r\n"+host+host+"\r\n")
	f("host-mismatch", "GET https://other.example.org/ HTTP/1.1\r\n"+host+"\r\n")
	f("scheme-mismatch", "GET http://www.example.org/ HTTP/1.1\r\n"+host+"\r\n")
	t.Cleanup(func() {
		for _, l := range lines(t, e.config.AccessLogJSON) {
			if l["cs-uri-stem"] == "/smuggled" {
				t.Errorf("served: %v", l)
			}
		}
	})
}

// TestResetInDownload: a viewer that goes away in the middle of an answer is in the
// access log, and the origin is let go.
func TestResetInDownload(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{{alias: "www.example.org", policy: "TLSv1.2_2021"}})
	neighbour(t, e)
	other := e.viewer("www.example.org", "h2")
	shared, err := other.begin("/gated/shared", gatedBytes/2)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/gated/nostore", "/gated/shared"} {
		c := e.dialTLS(t, "http/1.1")
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: www.example.org\r\nAccept-Encoding: gzip\r\n\r\n", path)
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		tcp := c.NetConn().(*net.TCPConn)
		tcp.SetLinger(0)
		tcp.Close()
		found := e.logged(t, e.config.AccessLogJSON, localPort(tcp))
		if len(found) != 1 || found[0]["x-edge-result-type"] != "Error" || found[0]["x-edge-detailed-result-type"] != "ClientCommError" || found[0]["sc-status"] != 200.0 {
			t.Errorf("%s: logged %v", path, found)
		}
	}
	until(t, "the origin to be let go", func() bool { return e.origin.waits.Load() == 1 })
	e.origin.open()
	if err := shared.finish(); err != nil {
		t.Errorf("the other viewer of the same fill: %v", err)
	}
}

// h2Raw is an HTTP/2 connection with its frames in the test's hand.
type h2Raw struct {
	*http2.Framer
	conn   *tls.Conn
	goAway chan *http2.GoAwayFrame // the last one; closed when the edge has closed
}

func (e *testEdge) dialH2(t *testing.T) *h2Raw {
	t.Helper()
	c := e.dialTLS(t, "h2")
	h := &h2Raw{Framer: http2.NewFramer(c, c), conn: c, goAway: make(chan *http2.GoAwayFrame, 1)}
	h.AllowIllegalWrites = true
	io.WriteString(c, http2.ClientPreface)
	h.WriteSettings()
	go func() {
		defer close(h.goAway)
		for {
			f, err := h.ReadFrame()
			if err != nil {
				return
			}
			if g, ok := f.(*http2.GoAwayFrame); ok {
				select {
				case <-h.goAway:
				default:
				}
				last := *g
				h.goAway <- &last
			}
		}
	}()
	return h
}

// fields is a request's header block.
func fields(path string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: "www.example.org"}, {Name: ":path", Value: path}} {
		enc.WriteField(f)
	}
	return b.Bytes()
}

// TestH2Floods: each costs its sender the connection, and nobody else anything.
func TestH2Floods(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{{alias: "www.example.org", policy: "TLSv1.2_2021"}})
	neighbour(t, e)
	f := func(reason string, send func(h *h2Raw, id uint32) error) {
		t.Helper()
		t.Run(reason, func(t *testing.T) {
			h := e.dialH2(t)
			var err error
			n := 0
			for ; err == nil && n < 200_000; n++ {
				err = send(h, uint32(2*n+1))
			}
			if err == nil {
				t.Fatalf("the connection lives after %d rounds", n)
			}
			g, ok := <-h.goAway
			for more := range h.goAway {
				g = more
			}
			if !ok || g.ErrCode != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("GOAWAY %v, want ENHANCE_YOUR_CALM", g)
			}
			found := e.logged(t, e.config.ConnectionLog, localPort(h.conn.NetConn()))
			if last := found[len(found)-1]; last["type"] != "rejection" || last["reason"] != reason {
				t.Errorf("logged %v", last)
			}
		})
	}
	get := fields("/gated/nostore") // never answered
	f("h2-rapid-reset", func(h *h2Raw, id uint32) error {
		if err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: get, EndStream: true, EndHeaders: true}); err != nil {
			return err
		}
		return h.WriteRSTStream(id, http2.ErrCodeCancel)
	})
	f("h2-continuation-flood", func(h *h2Raw, id uint32) error {
		if id == 1 {
			return h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: get, EndStream: true})
		}
		return h.WriteContinuation(1, false, []byte{})
	})
	f("h2-ping-flood", func(h *h2Raw, _ uint32) error { return h.WritePing(false, [8]byte{}) })
	f("h2-settings-flood", func(h *h2Raw, _ uint32) error { return h.WriteSettings() })
	until(t, "the origin to be let go", func() bool { return e.origin.waits.Load() == 0 })
}
