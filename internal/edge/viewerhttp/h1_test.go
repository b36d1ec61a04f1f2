package viewerhttp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pqfront/internal/httpfield"
	"pqfront/internal/testnet"
)

func readResponse(wire string) (string, error) {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(wire)), nil)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// talk is a connection to an engine inside a synctest bubble.
type talk struct {
	*testnet.Conn
	t     *testing.T
	begin time.Time
	stop  context.CancelFunc // of the server
	ended chan struct{}      // closed when ServeH1 returned
	told  []Rejection
}

// bubble runs f with a connection to an engine, with the clock under control.
func bubble(t *testing.T, lim Limits, h handlerFunc, f func(k *talk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := testnet.Pipe()
		k := &talk{Conn: client, t: t, begin: time.Now(), ended: make(chan struct{})}
		e := &Engine{Handler: h, Limits: lim, Observer: func(r Rejection) { k.told = append(k.told, r) }}
		ctx, cancel := context.WithCancel(context.Background())
		k.stop = cancel
		go func() {
			defer close(k.ended)
			e.ServeH1(ctx, server, &Conn{})
		}()
		f(k)
		client.Close()
		cancel()
		<-k.ended
	})
}

func (k *talk) say(s string) {
	k.t.Helper()
	if _, err := io.WriteString(k.Conn, s); err != nil {
		k.t.Errorf("writing %q: %v", s, err)
	}
}

// expect reads exactly want.
func (k *talk) expect(want string) {
	k.t.Helper()
	b := make([]byte, len(want))
	n, err := io.ReadFull(k.Conn, b)
	if string(b[:n]) != want {
		k.t.Fatalf("read %q, %v; want %q", b[:n], err, want)
	}
}

// expectEnd reads to the end and checks when it came and which reason was told.
func (k *talk) expectEnd(prefix string, after time.Duration, reason Reason) {
	k.t.Helper()
	b, err := io.ReadAll(k.Conn)
	took := time.Since(k.begin)
	k.CloseWrite() // the engine lingers for us
	<-k.ended
	if err != nil || !strings.HasPrefix(string(b), prefix) || prefix == "" && len(b) > 0 {
		k.t.Errorf("the end is %q, %v; want %q", b, err, prefix)
	}
	if took != after {
		k.t.Errorf("ended after %v, want %v", took, after)
	}
	var got Reason
	if len(k.told) > 0 {
		got = k.told[0].Reason
	}
	if got != reason || len(k.told) > 1 {
		k.t.Errorf("told %+v, want %q", k.told, reason)
	}
}

const (
	okEmpty      = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
	okEmptyClose = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

func answerEmpty(_ context.Context, _ *Request, w Responder) { w.Respond(&Response{Status: 200}) }

// readBody reads all, then answers as a handler does on a BodyError.
func readBody(_ context.Context, r *Request, w Responder) {
	status := 200
	if r.Body != nil {
		_, err := io.Copy(io.Discard, r.Body)
		if be, ok := errors.AsType[*BodyError](err); ok {
			status = be.Status
		}
	}
	w.Respond(&Response{Status: status})
}

func TestTimeouts(t *testing.T) {
	lim := DefaultLimits()
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // silence
		k.expectEnd("", lim.IdleTimeout+parkAfter/4, ReasonSilent)
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // silence after a request, before and after parking
		k.say(get11)
		k.expect(okEmpty)
		time.Sleep(30 * time.Second)
		k.say(get11)
		k.expect(okEmpty)
		k.begin = time.Now()
		k.expectEnd("", lim.IdleTimeout+parkAfter/4, "")
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // half a head
		k.say("GET / HTTP/1.1\r\nHost")
		k.expectEnd("HTTP/1.1 408 Request Timeout\r\n", lim.HeaderTimeout, ReasonHeaderTimeout)
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // one byte per second: the deadline is for the whole head
		var drip sync.WaitGroup
		defer drip.Wait()
		drip.Go(func() {
			for range 20 {
				if _, err := k.Write([]byte("G")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		k.expectEnd("HTTP/1.1 408 Request Timeout\r\n", lim.HeaderTimeout, ReasonHeaderTimeout)
	})
	bubble(t, Limits{IdleTimeout: parkAfter / 2}, answerEmpty, func(k *talk) { // less than parking takes
		k.say(get11)
		k.expect(okEmpty)
		k.expectEnd("", parkAfter/2*5/4, "")
	})
	const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"
	bubble(t, Limits{}, readBody, func(k *talk) { // half a body
		k.say(post + "x")
		k.expectEnd("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n", lim.BodyIdleTimeout*5/4, "")
	})
	bubble(t, Limits{}, readBody, func(k *talk) { // a slow body that makes progress is fine
		k.say(post)
		for range 100 {
			time.Sleep(25 * time.Second)
			k.say("x")
		}
		k.expect(okEmpty)
	})
	bubble(t, Limits{}, func(_ context.Context, _ *Request, w Responder) {
		sent, err := w.Respond(&Response{Status: 200, Bytes: make([]byte, 10<<20)})
		if !sent.ViewerGone || err != nil || sent.BodyBytes > 128<<10 {
			t.Errorf("stalled: %+v, %v", sent, err)
		}
	}, func(k *talk) { // a viewer that does not read
		k.say(get11)
		<-k.ended
		if took := time.Since(k.begin); took != lim.WriteStallTimeout*5/4 {
			t.Errorf("ended after %v", took)
		}
	})
	bubble(t, Limits{}, func(_ context.Context, _ *Request, w Responder) {
		if sent, err := w.Respond(&Response{Status: 200, Bytes: make([]byte, 1<<20)}); sent.ViewerGone || err != nil {
			t.Errorf("slow viewer: %+v, %v", sent, err)
		}
	}, func(k *talk) { // a slow reader is no dead one
		k.say(get11)
		for range 32 {
			time.Sleep(15 * time.Second)
			if _, err := io.ReadFull(k.Conn, make([]byte, 32<<10)); err != nil {
				t.Fatal(err)
			}
		}
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // a refused viewer that keeps the line open
		k.say("GET /\r\n")
		<-k.ended
		if took := time.Since(k.begin); took != lim.LingerTimeout {
			t.Errorf("lingered for %v", took)
		}
	})
}

func TestStop(t *testing.T) {
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // fresh
		synctest.Wait()
		k.stop()
		k.expectEnd("", 0, "")
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // idle, parked
		k.say(get11)
		k.expect(okEmpty)
		time.Sleep(10 * time.Second)
		k.stop()
		k.expectEnd("", 10*time.Second, "")
	})
	slow := func(ctx context.Context, _ *Request, w Responder) {
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			t.Error("a stopping server ended a request in flight")
		}
		w.Respond(&Response{Status: 200})
	}
	bubble(t, Limits{}, slow, func(k *talk) { // in flight; a pipelined one is not begun
		k.say(get11 + get11)
		time.Sleep(time.Second)
		k.stop()
		k.expectEnd(okEmptyClose, 5*time.Second, "")
	})
}

func TestRequestsPerConn(t *testing.T) {
	bubble(t, Limits{RequestsPerConn: 3}, answerEmpty, func(k *talk) {
		k.say(strings.Repeat(get11, 4))
		k.expect(okEmpty + okEmpty)
		k.expectEnd(okEmptyClose, 0, "")
	})
}

// TestContinue: RFC 9110, Section 10.1.1.
func TestContinue(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n"
	const continues = "HTTP/1.1 100 Continue\r\n\r\n"
	bubble(t, Limits{}, readBody, func(k *talk) {
		k.say(post)
		k.expect(continues)
		k.say("hello" + get11)
		k.expect(okEmpty + okEmpty)
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // not wanted: whether it comes cannot be known
		k.say(post)
		k.expectEnd(okEmptyClose, 0, "")
	})
	bubble(t, Limits{}, readBody, func(k *talk) {
		k.say("POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		time.Sleep(time.Second)
		k.say("hello")
		k.expectEnd(okEmptyClose, time.Second, "")
	})
	bubble(t, Limits{}, readBody, func(k *talk) { // no body, no 100
		k.say("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n")
		k.expect(okEmpty)
	})
}

// TestUnreadBody: what the handler leaves is drained when it is little, and ends
// the connection when it is much.
func TestUnreadBody(t *testing.T) {
	bubble(t, Limits{}, answerEmpty, func(k *talk) {
		k.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000) + get11)
		k.expect(okEmpty + okEmpty)
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) {
		k.say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get11)
		k.expect(okEmpty + okEmpty)
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // too much to drain, and it says so
		k.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 262145\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
		k.expectEnd(okEmptyClose, 0, "")
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // the rest does not come
		k.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
		k.expectEnd(okEmpty, DefaultLimits().LingerTimeout, "")
	})
	bubble(t, Limits{}, answerEmpty, func(k *talk) { // broken chunks while draining
		k.say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + get11)
		k.expectEnd(okEmpty, 0, "")
	})
	bubble(t, Limits{DrainBytes: 10}, answerEmpty, func(k *talk) { // chunks without end
		k.say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("3\r\nabc\r\n", 10))
		k.expectEnd(okEmpty, 0, "")
	})
}

// TestBodyReadLate: net/http's Transport may read a request body after the Handler
// returned. It gets an error, and never bytes of the next request.
func TestBodyReadLate(t *testing.T) {
	var readers sync.WaitGroup
	stuck := func(_ context.Context, r *Request, w Responder) {
		if r.Body != nil {
			begun := make(chan struct{})
			readers.Go(func() {
				close(begun)
				b, err := io.ReadAll(r.Body)
				if err == nil || strings.Contains(string(b), "GET") {
					t.Errorf("late reader got %q, %v", b, err)
				}
			})
			<-begun
			time.Sleep(time.Second)
		}
		w.Respond(&Response{Status: 200})
	}
	bubble(t, Limits{}, stuck, func(k *talk) {
		k.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
		k.expectEnd(okEmptyClose, time.Second, "")
		readers.Wait()
	})
	var kept io.Reader
	keep := func(_ context.Context, r *Request, w Responder) {
		if r.Body != nil {
			kept = r.Body
		}
		w.Respond(&Response{Status: 200})
	}
	bubble(t, Limits{}, keep, func(k *talk) {
		k.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + get11)
		k.expect(okEmpty + okEmpty)
		if n, err := kept.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("reading a body after its request: %d, %v", n, err)
		}
	})
}

// TestViewerGone: the context ends when the viewer does, also behind a body, and
// what the viewer sends early is not lost.
func TestViewerGone(t *testing.T) {
	waits := func(ctx context.Context, r *Request, w Responder) {
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
		}
		derived, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		<-derived.Done()
		if ctx.Err() == nil || !errors.Is(derived.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Errorf("contexts ended with %v, %v", ctx.Err(), derived.Err())
		}
		w.Respond(&Response{Status: 200})
	}
	for _, request := range []string{get11, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", get11 + "GET"} {
		bubble(t, Limits{}, waits, func(k *talk) {
			k.say(request)
			time.Sleep(time.Minute)
			k.Close()
			<-k.ended
			if took := time.Since(k.begin); took != time.Minute {
				t.Errorf("%q: noticed after %v", request, took)
			}
		})
	}
	var seen []context.Context
	asks := func(ctx context.Context, _ *Request, w Responder) {
		select {
		case <-ctx.Done():
			t.Error("ended too early")
		case <-time.After(time.Second):
		}
		seen = append(seen, ctx)
		w.Respond(&Response{Status: 200})
	}
	bubble(t, Limits{}, asks, func(k *talk) {
		k.say(get11)
		time.Sleep(time.Millisecond)
		k.say(get11 + get11[:10]) // read by the watcher
		time.Sleep(1500 * time.Millisecond)
		k.say(get11[10:])
		k.expect(okEmpty + okEmpty + okEmpty)
		for _, ctx := range seen {
			if ctx.Err() == nil {
				t.Error("a context outlives its request")
			}
		}
	})
	bubble(t, Limits{}, func(ctx context.Context, _ *Request, w Responder) {
		// The origin's body ends with the context, before anything could be written.
		s := &stream{Reader: readerFunc(func([]byte) (int, error) { <-ctx.Done(); return 0, ctx.Err() })}
		if sent, err := w.Respond(&Response{Status: 200, Stream: s, Length: 5}); !sent.ViewerGone || err != nil {
			t.Errorf("stream that waits: %+v, %v", sent, err)
		}
	}, func(k *talk) {
		k.say(get11)
		time.Sleep(time.Second)
		k.Close()
		<-k.ended
	})
	bubble(t, Limits{}, func(_ context.Context, r *Request, w Responder) {
		s := &stream{Reader: readerFunc(func(p []byte) (int, error) { return len(p), nil })}
		sent, err := w.Respond(&Response{Status: 200, Stream: s, Length: -1})
		if !sent.ViewerGone || err != nil || !s.closed {
			t.Errorf("endless stream: %+v, %v, closed %v", sent, err, s.closed)
		}
	}, func(k *talk) {
		k.say(get11)
		io.ReadFull(k.Conn, make([]byte, 1<<20))
	})
}

func TestUnaskedContext(t *testing.T) {
	var ctx context.Context
	bubble(t, Limits{}, func(c context.Context, _ *Request, w Responder) {
		ctx = c
		if c.Err() != nil || c.Value("key") != nil {
			t.Errorf("fresh context: %v", c.Err())
		}
		w.Respond(&Response{Status: 200})
	}, func(k *talk) {
		k.say(get11)
		k.expect(okEmpty)
	})
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("after the request: %v", ctx.Err())
	}
	<-ctx.Done()
}

// TestBadHandlers: our own bugs end one connection, visibly.
func TestBadHandlers(t *testing.T) {
	const failed = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\nContent-Length: "
	bubble(t, Limits{}, func(context.Context, *Request, Responder) { panic("bug") }, func(k *talk) {
		k.say(get11 + get11)
		k.expectEnd(failed, 0, "")
	})
	bubble(t, Limits{}, func(context.Context, *Request, Responder) {}, func(k *talk) {
		k.say(get11 + get11)
		k.expectEnd(failed, 0, "")
	})
	bubble(t, Limits{}, func(_ context.Context, _ *Request, w Responder) { w.Respond(&Response{Status: 103}) }, func(k *talk) {
		k.say(get11 + get11)
		k.expectEnd(failed, 0, "")
	})
	bubble(t, Limits{}, func(_ context.Context, _ *Request, w Responder) {
		w.Respond(&Response{Status: 200})
		if _, err := w.Respond(&Response{Status: 200}); !errors.Is(err, errRespondedTwice) {
			t.Errorf("second Respond: %v", err)
		}
	}, func(k *talk) {
		k.say(get11 + get11)
		k.expect(okEmpty + okEmpty)
	})
	bubble(t, Limits{}, func(_ context.Context, _ *Request, w Responder) {
		w.Respond(&Response{Status: 200, Length: 5, Stream: &stream{Reader: readerFunc(func([]byte) (int, error) { panic("bug") })}})
	}, func(k *talk) {
		k.say(get11 + get11)
		k.expectEnd("", 0, "")
	})
}

// TestErrorPage: refusals look as the corridor wants them.
func TestErrorPage(t *testing.T) {
	client, server := testnet.Pipe()
	page := fields("server", "CloudFront", "content-type", "text/html")
	e := &Engine{ErrorPage: func(status int, reason Reason) (f httpfield.Fields, body []byte) {
		return page, []byte(string(reason))
	}}
	go e.ServeH1(t.Context(), server, &Conn{})
	io.WriteString(client, "GET / HTTP/1.1\r\n\r\n")
	client.CloseWrite()
	b, _ := io.ReadAll(client)
	want := "HTTP/1.1 400 Bad Request\r\nServer: CloudFront\r\nContent-Type: text/html\r\nContent-Length: 12\r\nConnection: close\r\n\r\nmissing-host"
	if string(b) != want || len(page) != 2 {
		t.Errorf("got %q\nwant %q; the hook's own list is now %v", b, want, page)
	}
}

// TestBrokenUntilClose: HTTP/1.0 has no framing for a body of unknown length, so only
// a reset (or a missing close_notify) tells the viewer that it is not whole.
func TestBrokenUntilClose(t *testing.T) {
	e := &Engine{Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) {
		w.Respond(&Response{Status: 200, Length: -1, Stream: &stream{Reader: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))}})
	})}
	serverTLS, clientTLS := testTLS(t, "http/1.1")
	plain := serveTCP(t, e.ServeH1)
	secure := serveTCP(t, func(ctx context.Context, conn net.Conn, info *Conn) {
		serveTLS(ctx, conn, info, serverTLS, e.ServeH1)
	})
	for _, dial := range []func() (net.Conn, error){
		func() (net.Conn, error) { return net.Dial("tcp", plain) },
		func() (net.Conn, error) { return tls.Dial("tcp", secure, clientTLS) },
	} {
		conn, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, get10)
		if b, err := io.ReadAll(conn); err == nil {
			t.Errorf("%T: %q looks whole", conn, b)
		}
		conn.Close()
	}
}
