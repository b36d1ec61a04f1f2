package viewerhttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// TestH3LateEnd: the end of a request may come in a later packet than its head. A GET
// has no body all the same.
func TestH3LateEnd(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo}, nil)
	str := p.open(get3(), false)
	time.Sleep(30 * time.Millisecond)
	str.Close()
	if got := p.answer(str); got.status != "200" || !strings.Contains(got.header[0], "body=false") {
		t.Errorf("late end: %+v", got)
	}
	str = p.open(get3(), false)
	time.Sleep(30 * time.Millisecond)
	str.Write(data3("ab"))
	str.Close()
	if got := p.answer(str); string(got.body) != "ab" || !strings.Contains(got.header[0], "body=true len=-1") {
		t.Errorf("late body: %+v", got)
	}
	str = p.open(post3("content-length: 0"), false)
	time.Sleep(30 * time.Millisecond)
	str.Close()
	if got := p.answer(str); got.status != "200" || !strings.Contains(got.header[0], "body=false") {
		t.Errorf("late end of a POST without content: %+v", got)
	}
}

// TestH3Drain: RFC 9114, Section 5.2.
func TestH3Drain(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	p := h3Dial(t, &Engine{Limits: Limits{LingerTimeout: 200 * time.Millisecond}, Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) {
		close(begun)
		<-release
		w.Respond(&Response{Status: 200, Bytes: []byte("late"), Length: 4})
	})}, nil)
	str := p.open(get3(), true)
	<-begun
	theirs, err := p.qc.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := &h3Input{src: theirs, buf: make([]byte, 100)}
	if kind, err := in.varint(); err != nil || kind != h3ControlStream {
		t.Fatalf("stream of kind %d, %v", kind, err)
	}
	if typ, n, err := in.frame(); err != nil || typ != h3Settings || in.skip(n) != nil {
		t.Fatalf("frame %d, %v", typ, err)
	}
	p.stop()
	for _, want := range []uint64{h3MaxStreamID, 4} {
		typ, _, err := in.frame()
		id, err2 := in.varint()
		if err != nil || err2 != nil || typ != h3GoAway || id != want {
			t.Fatalf("frame %d with id %d, %v %v; want GOAWAY %d", typ, id, err, err2, want)
		}
	}
	if got := p.ask(get3(), true); got.code != h3RequestRejected {
		t.Errorf("a request after GOAWAY: %+v", got)
	}
	close(release)
	if got := p.answer(str); string(got.body) != "late" {
		t.Errorf("the request in flight: %+v", got)
	}
	if got := p.ended(); got != "0x100" {
		t.Errorf("the connection ended with %s", got)
	}
	if got := p.reasons(0); got != "" {
		t.Errorf("reported %s", got)
	}
}

func TestH3RequestsPerConn(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo, Limits: Limits{RequestsPerConn: 3, LingerTimeout: 50 * time.Millisecond}}, nil)
	for range 3 {
		if got := p.ask(get3(), true); got.status != "200" {
			t.Errorf("%+v", got)
		}
	}
	if got := p.ended(); got != "0x100" {
		t.Errorf("ended with %s", got)
	}
}

// TestH3Idle: a connection that is only kept alive ends.
func TestH3Idle(t *testing.T) {
	alive := &quic.Config{KeepAlivePeriod: 20 * time.Millisecond}
	p := h3Dial(t, &Engine{Handler: echo, Limits: Limits{IdleTimeout: 100 * time.Millisecond, LingerTimeout: 10 * time.Millisecond}}, nil, alive)
	if got := p.ended(); got != "0x100" {
		t.Errorf("ended with %s", got)
	}
	if got := p.reasons(1); got != string(ReasonSilent) {
		t.Errorf("reported %s", got)
	}
}

// TestH3Times: each kind of slowness has its reason, and costs its stream only.
func TestH3Times(t *testing.T) {
	short := 80 * time.Millisecond
	gone := make(chan Sent, 1)
	e := &Engine{Limits: Limits{HeaderTimeout: short, BodyIdleTimeout: short, WriteStallTimeout: short}, Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		if r.Path == "/big" {
			sent, err := w.Respond(&Response{Status: 200, Bytes: make([]byte, 4<<20), Length: 4 << 20})
			if err != nil {
				t.Errorf("big: %v", err)
			}
			gone <- sent
			return
		}
		echo(ctx, r, w)
	})}
	p := h3Dial(t, e, nil, &quic.Config{InitialStreamReceiveWindow: 8 << 10, MaxStreamReceiveWindow: 8 << 10})
	if got := p.ask(get3()[:10], false); got.code != h3RequestCancelled || p.reasons(1) != string(ReasonHeaderTimeout) {
		t.Errorf("half a head: %+v, %s", got, p.reasons(0))
	}
	if got := p.ask(get3(), false); got.code != h3RequestCancelled || p.reasons(2) != "header-timeout header-timeout" {
		t.Errorf("a head without an end: %+v, %s", got, p.reasons(0))
	}
	if got := p.ask(join(post3(), data3("a")), false); got.status != "400" || !strings.HasSuffix(p.reasons(3), string(ReasonBodyTimeout)) {
		t.Errorf("half a body: %+v, %s", got, p.reasons(0))
	}
	str := p.open(frame3(h3Headers, section(":method: GET", ":scheme: https", ":authority: a", ":path: /big")), true)
	select {
	case sent := <-gone:
		if !sent.ViewerGone || sent.HeadBytes == 0 || sent.BodyBytes <= 0 || sent.BodyBytes > 1<<20 {
			t.Errorf("sent %+v", sent)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the stalled answer did not end")
	}
	if got := p.answer(str); got.code != h3RequestCancelled || !strings.HasSuffix(p.reasons(4), string(ReasonWriteStall)) {
		t.Errorf("stalled answer: %d bytes, %#x, %s", len(got.body), uint64(got.code), p.reasons(0))
	}
	if got := p.ask(get3(), true); got.status != "200" {
		t.Errorf("a good request after them: %+v", got)
	}
}

// TestH3RapidReset (CVE-2023-44487): however fast requests are cancelled, no more
// handlers run than streams are allowed, and the connection ends.
func TestH3RapidReset(t *testing.T) {
	var running, most atomic.Int64
	p := h3Dial(t, &Engine{Handler: handlerFunc(func(ctx context.Context, _ *Request, w Responder) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-ctx.Done()
		time.Sleep(2 * time.Millisecond) // work that does not stop at once
		w.Respond(&Response{Status: 200})
	})}, nil)
	for range 5000 {
		str, err := p.qc.OpenStreamSync(t.Context())
		if err != nil {
			break
		}
		str.Write(get3())
		str.Close()
		str.CancelRead(h3RequestCancelled)
	}
	if got := p.ended(); got != "0x107" {
		t.Errorf("ended with %s", got)
	}
	if got := p.reasons(1); !strings.Contains(got, string(ReasonH3RapidReset)) {
		t.Errorf("reported %s", got)
	}
	if n := most.Load(); n > h3MaxConcurrent {
		t.Errorf("%d handlers at once, want at most %d", n, h3MaxConcurrent)
	}
}

// TestH3Handlers: our own bugs are answered with 500, and stay with their request.
func TestH3Handlers(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: handlerFunc(func(_ context.Context, r *Request, w Responder) {
		switch r.Path {
		case "/panic":
			panic("oops")
		case "/silent":
		case "/status":
			w.Respond(&Response{Status: 99})
		case "/twice":
			w.Respond(&Response{Status: 200})
			if _, err := w.Respond(&Response{Status: 200}); !errors.Is(err, errRespondedTwice) {
				t.Errorf("second Respond: %v", err)
			}
		case "/length":
			w.Respond(&Response{Status: 200, Header: fields("content-length", "7"), Bytes: []byte("abc"), Length: 3})
		case "/cut":
			w.Respond(&Response{Status: 200, Stream: io.NopCloser(strings.NewReader("abcdef")), Length: 3})
		case "/broken":
			_, err := w.Respond(&Response{Status: 200, Stream: &stream{Reader: io.MultiReader(strings.NewReader("abc"), failing{})}, Length: -1})
			if !errors.Is(err, errFailing) {
				t.Errorf("Respond with a broken Stream: %v", err)
			}
		}
	})}, nil)
	f := func(path, status, body string, code quic.StreamErrorCode) {
		t.Helper()
		got := p.ask(frame3(h3Headers, section(":method: GET", ":scheme: https", ":authority: a", ":path: "+path)), true)
		if got.code != code || code == 0 && (got.status != status || body != "" && string(got.body) != body) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	f("/panic", "500", "", 0)
	f("/silent", "500", "", 0)
	f("/status", "500", "", 0)
	f("/twice", "200", "", 0)
	f("/length", "200", "abc", 0)
	f("/cut", "200", "abc", 0)
	f("/broken", "", "", h3InternalError)
	if got := p.reasons(2); got != "handler-failure handler-failure" {
		t.Errorf("reported %s", got)
	}
}

var errFailing = errors.New("the origin broke off")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

// TestH3Continue: the interim answer comes when the Handler reads, not before.
func TestH3Continue(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo}, nil)
	str := p.open(post3("content-length: 2", "expect: 100-continue"), false)
	in := &h3Input{src: str, buf: make([]byte, 100)}
	typ, n, err := in.frame()
	b := make([]byte, n)
	var got h3Got
	if err != nil || typ != h3Headers || in.full(b) != nil {
		t.Fatalf("frame %d, %v", typ, err)
	}
	if p.takeHead(&got, b); got.status != "100" {
		t.Fatalf("%+v", got)
	}
	str.Write(data3("ab"))
	str.Close()
	if got := p.answer(str); string(got.body) != "ab" {
		t.Errorf("%+v", got)
	}
}

// TestH3EarlyAnswer: a body that the Handler does not want is stopped without an
// error (RFC 9114, Section 4.1), and a reader that goes on is told.
func TestH3EarlyAnswer(t *testing.T) {
	kept := make(chan io.Reader, 1)
	p := h3Dial(t, &Engine{Handler: handlerFunc(func(_ context.Context, r *Request, w Responder) {
		kept <- r.Body
		w.Respond(&Response{Status: 200, Bytes: []byte("no"), Length: 2})
	})}, nil)
	str := p.open(join(post3(), data3("a")), false)
	if got := p.answer(str); string(got.body) != "no" || got.code != 0 {
		t.Errorf("%+v", got)
	}
	var stopped *quic.StreamError
	for i := 0; stopped == nil && i < 1000; i++ {
		if _, err := str.Write(data3("b")); err != nil && !errors.As(err, &stopped) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if stopped == nil || stopped.ErrorCode != h3NoError {
		t.Errorf("the upload was stopped with %v", stopped)
	}
	if _, err := io.ReadAll(<-kept); !errors.Is(err, errBodyOver) {
		t.Errorf("reading on: %v", err)
	}
}

// TestH3Context: the context of a request outlives its answer until the Handler
// returns, and ends with the viewer's reset.
func TestH3Context(t *testing.T) {
	after := make(chan error, 1)
	ended := make(chan struct{})
	p := h3Dial(t, &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		if r.Path == "/wait" {
			<-ctx.Done()
			sent, err := w.Respond(&Response{Status: 200, Bytes: []byte("x"), Length: 1})
			if !sent.ViewerGone || err != nil {
				t.Errorf("answer to nobody: %+v, %v", sent, err)
			}
			close(ended)
			return
		}
		done := ctx.Done()
		w.Respond(&Response{Status: 200})
		time.Sleep(20 * time.Millisecond)
		select {
		case <-done:
			t.Error("done after the answer")
		default:
		}
		after <- ctx.Err()
	})}, nil)
	if got := p.ask(get3(), true); got.status != "200" {
		t.Errorf("%+v", got)
	}
	str := p.open(frame3(h3Headers, section(":method: GET", ":scheme: https", ":authority: a", ":path: /wait")), true)
	time.Sleep(20 * time.Millisecond)
	str.CancelRead(h3RequestCancelled)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the handler was not told")
	}
	if err := <-after; err != nil {
		t.Errorf("after the answer: %v", err)
	}
}

// TestH3ViewerGone: the viewer leaves in the middle of an upload.
func TestH3ViewerGone(t *testing.T) {
	read := make(chan error, 1)
	p := h3Dial(t, &Engine{Handler: handlerFunc(func(_ context.Context, r *Request, w Responder) {
		_, err := io.ReadAll(r.Body)
		read <- err
		w.Respond(&Response{Status: 400})
	})}, nil)
	str := p.open(join(post3(), data3("a")), false)
	time.Sleep(20 * time.Millisecond)
	str.CancelWrite(h3RequestCancelled)
	var body *BodyError
	if err := <-read; !errors.As(err, &body) || body.Reason != ReasonViewerGone {
		t.Errorf("read: %v", err)
	}
	if got := p.reasons(1); got != string(ReasonViewerGone) {
		t.Errorf("reported %s", got)
	}
}

// TestH3Many: many requests at once over one connection, with bodies both ways.
func TestH3Many(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo}, nil)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, 200*i)
			got := p.ask(join(post3(), frame3(h3Data, want)), true)
			if !bytes.Equal(got.body, want) || got.connErr != nil {
				t.Errorf("request %d: %d bytes, %v", i, len(got.body), got.connErr)
			}
		})
	}
	wg.Wait()
}

func TestRetryUnderLoad(t *testing.T) {
	now := time.Unix(0, 0)
	retry := RetryUnderLoad(10, func() time.Time { return now })
	count := func(tries int) (n int) {
		for range tries {
			if retry(&net.UDPAddr{}) {
				n++
			}
		}
		return n
	}
	if got := count(30); got != 20 {
		t.Errorf("%d of 30 at once must prove their address, want 20", got)
	}
	now = now.Add(500 * time.Millisecond)
	if got := count(10); got != 5 {
		t.Errorf("%d of 10 half a second later, want 5", got)
	}
	now = now.Add(time.Hour)
	if got := count(11); got != 1 {
		t.Errorf("%d of 11 after an hour, want 1", got)
	}
}

// FuzzH3Frames: whatever comes, reading frames ends, and heads that pass are
// well-formed.
func FuzzH3Frames(f *testing.F) {
	f.Add(join(get3(), grease(), data3("abc"), frame3(h3Headers, section("x: 1"))))
	f.Add(join(frame3(h3Settings, []byte{6, 63}), frame3(h3GoAway, []byte{0})))
	f.Add([]byte{0xff, 0xff})
	f.Add(frame3(h3Headers, section(":method: CONNECT", ":authority: a:1", "cookie: a", "cookie: b", "content-length: 5")))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &h3Input{src: bytes.NewReader(b), buf: make([]byte, 16)}
		lim := DefaultLimits()
		for {
			typ, length, err := in.frame()
			if err != nil {
				return
			}
			if length > 1<<16 {
				return
			}
			switch typ {
			case h3Settings:
				p := make([]byte, length)
				if in.full(p) == nil {
					_ = checkH3Settings(p)
				}
			case h3Headers:
				fuzzH3Head(t, in, int(length), &lim)
			default:
				if err := in.skip(length); err != nil && !isCut(err) {
					t.Fatal(err)
				}
			}
		}
	})
}

func fuzzH3Head(t *testing.T, in *h3Input, length int, lim *Limits) {
	st := &h3Stream{c: &h3Conn{e: &Engine{}, lim: *lim}, in: *in}
	head := sectionHead{req: &st.req, lim: lim}
	err := st.decode(length, &head)
	*in = st.in
	if err != nil {
		return
	}
	head.finish(true)
	if head.malformed != "" || head.refused != "" {
		return
	}
	r := &st.req
	if !validMethod(r.Method) || r.Authority == "" || r.Path == "" || r.Path[0] != '/' && r.Path != "*" || r.Scheme != "https" {
		t.Fatalf("accepted %+v", r)
	}
	for _, x := range r.Header {
		if !validLowerFieldName(x.Name) || !validFieldValue(x.Value) || x.Name == "host" {
			t.Fatalf("accepted field %q: %q", x.Name, x.Value)
		}
	}
}

// BenchmarkH3Hit measures a hit with its viewer, a bare QUIC client, in one process.
func BenchmarkH3Hit(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			body := make([]byte, size)
			header := fields("content-type", "text/html", "content-length", fmt.Sprint(size), "date", "Sun, 07 Sep 2025 14:38:08 GMT",
				"last-modified", "Sun, 07 Sep 2025 14:30:00 GMT", "etag", `"ed076287532e86365e841e92bfc50d8c"`, "server", "AmazonS3",
				"x-cache", "Hit from cloudfront", "via", "1.1 00112233445566778899aabbccddeeff.cloudfront.net (CloudFront)",
				"x-amz-cf-pop", "NRT12-P9", "x-amz-cf-id", "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==", "age", "1245")
			p := h3Dial(b, &Engine{Limits: Limits{RequestsPerConn: 1 << 30}, Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) {
				w.Respond(&Response{Status: 200, Header: header, Bytes: body, Length: int64(size)})
			})}, nil)
			request := get3("user-agent: curl/8.14.1", "accept: */*")
			b.ReportAllocs()
			b.SetParallelism(16) // as a busy connection: packets are shared
			b.RunParallel(func(pb *testing.PB) {
				in := make([]byte, 64<<10)
				for pb.Next() {
					str := p.open(request, true)
					n := 0
					for {
						m, err := str.Read(in)
						n += m
						if err == io.EOF {
							break
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
					if n < size {
						b.Error("short")
						return
					}
				}
			})
		})
	}
}
