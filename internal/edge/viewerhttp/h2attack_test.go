package viewerhttp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// h2Attack runs send and wants the connection to end with ENHANCE_YOUR_CALM and the
// reason. send is stopped by the end of the connection: it writes for ever.
func h2Attack(t *testing.T, reason Reason, e *Engine, send func(p *h2Peer, i int)) {
	t.Helper()
	t.Run(string(reason), func(t *testing.T) {
		t.Helper()
		h2Run(t, e, func(p *h2Peer) {
			n := 0
			for ; n < 100_000 && !p.over(); n++ {
				send(p, n)
			}
			got := p.heard()
			if !strings.Contains(got, "goaway 11 ") || !strings.HasSuffix(got, "| "+string(reason)) && !strings.HasSuffix(got, "; "+string(reason)) {
				t.Errorf("after %d rounds got %s", n, got[max(0, len(got)-300):])
			}
			t.Logf("ended after %d rounds", n)
		})
	})
}

// over reports whether the server has said goodbye or hung up.
func (p *h2Peer) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return true
	}
	for _, e := range p.events {
		if strings.HasPrefix(e, "goaway") {
			return true
		}
	}
	return false
}

// A field block may have few frames and yet too many bytes.
func TestH2LargeBlock(t *testing.T) {
	f := func(frames int, want string) {
		h2Run(t, &Engine{}, func(p *h2Peer) {
			p.frame(h2Headers, 1, 1, p.fields(pseudo("GET", "/")...))
			for i := range frames {
				p.frame(h2Continuation, uint8(i/(frames-1)*h2FlagEndHeaders), 1, bytes.Repeat([]byte{0x90}, 16000)) // "accept-encoding"
			}
			p.expect(want)
		})
	}
	f(4, "1: 494, 98 bytes | too-many-fields 494")
	f(5, "goaway 11 last 0 | h2-continuation-flood")
}

// Each flood ends with its own reason.
func TestH2Floods(t *testing.T) {
	f := func(reason Reason, send func(p *h2Peer, i int)) {
		t.Helper()
		h2Attack(t, reason, &Engine{}, send)
	}
	id := func(i int) uint32 { return uint32(2*i + 1) }
	// CVE-2023-44487.
	f(ReasonH2RapidReset, func(p *h2Peer, i int) {
		p.get(id(i), "/wait")
		p.frame(h2RSTStream, 0, id(i), u32(8))
	})
	// CVE-2025-8671: the viewer makes us reset.
	f(ReasonH2RapidReset, func(p *h2Peer, i int) {
		p.get(id(i), "/wait")
		p.windowUpdate(id(i), 0)
	})
	f(ReasonH2RapidReset, func(p *h2Peer, i int) { p.head(h2FlagEndStream, id(i), ":method: GET") }) // malformed
	f(ReasonH2RapidReset, func(p *h2Peer, i int) { p.get(id(i), "/wait") })                          // beyond the limit
	// CVE-2024-27316 and its like.
	f(ReasonH2ContinuationFlood, func(p *h2Peer, i int) {
		if i == 0 {
			p.frame(h2Headers, 1, 1, p.fields(pseudo("GET", "/")...))
		}
		p.frame(h2Continuation, 0, 1, p.fields("x-a: a"))
	})
	f(ReasonH2ContinuationFlood, func(p *h2Peer, i int) { // CVE-2019-9518: empty ones
		if i == 0 {
			p.frame(h2Headers, 1, 1, nil)
		}
		p.frame(h2Continuation, 0, 1, nil)
	})
	f(ReasonH2SettingsFlood, func(p *h2Peer, i int) { p.frame(h2Settings, 0, 0, nil) }) // CVE-2019-9515
	f(ReasonH2SettingsFlood, func(p *h2Peer, i int) { p.setting(h2SetInitialWindow, uint32(i)) })
	f(ReasonH2SettingsFlood, func(p *h2Peer, i int) { p.frame(h2Settings, h2FlagAck, 0, nil) })
	f(ReasonH2PingFlood, func(p *h2Peer, i int) { p.frame(h2Ping, 0, 0, make([]byte, 8)) }) // CVE-2019-9512
	f(ReasonH2EmptyDataFlood, func(p *h2Peer, i int) {                                      // CVE-2019-9518
		if i == 0 {
			p.post(1, "/hash")
		}
		p.data(1, nil, false)
	})
	f(ReasonH2EmptyDataFlood, func(p *h2Peer, i int) { // only padding
		if i == 0 {
			p.post(1, "/hash")
		}
		p.frame(h2Data, h2FlagPadded, 1, []byte{3, 0, 0, 0})
	})
	f(ReasonH2WindowFlood, func(p *h2Peer, i int) { p.windowUpdate(0, 1) })
	f(ReasonH2WindowFlood, func(p *h2Peer, i int) { // CVE-2019-9511: data dribble
		if i == 0 {
			p.setting(h2SetInitialWindow, 0)
			p.get(1, "/bytes/1000000")
		}
		p.windowUpdate(1, 1)
	})
	f(ReasonH2PriorityFlood, func(p *h2Peer, i int) { p.frame(h2Priority, 0, 1, u32(3, 1)) }) // CVE-2019-9513
	f(ReasonH2PriorityFlood, func(p *h2Peer, i int) { p.frame(h2PriorityUpdate, 0, 0, u32(1, []byte("u=1")...)) })
	f(ReasonH2FrameFlood, func(p *h2Peer, i int) { p.frame(0xbe, 0, 0, nil) })
	f(ReasonH2FrameFlood, func(p *h2Peer, i int) { // for a stream that we reset
		if i == 0 {
			p.head(0, 1, ":method: GET")
		}
		p.head(h2FlagEndStream, 1, "x: y")
	})
}

// What is normal is no flood: many requests, each with its window updates, pings now
// and then, and a page of cancelled images.
func TestH2NoFlood(t *testing.T) {
	h2Run(t, &Engine{}, func(p *h2Peer) {
		id := uint32(1)
		for i := range 1500 {
			p.get(id, "/bytes/600")
			p.windowUpdate(0, 600)
			p.windowUpdate(id, 600)
			if i%10 == 0 {
				p.frame(h2Ping, 0, 0, make([]byte, 8))
			}
			id += 2
			if i%100 == 99 {
				p.settle()
			}
		}
		p.windowUpdate(0, 1<<30)
		for range 500 {
			p.get(id, "/bytes/30000")
			p.frame(h2WindowUpdate, 0, id, u32(30000))
			id += 2
			p.settle()
		}
		p.settle()
		for range 100 {
			p.get(id, "/wait")
			p.frame(h2RSTStream, 0, id, u32(8))
			id += 2
		}
		p.get(id, "/")
		if got := p.heard(); !strings.HasSuffix(got, fmt.Sprintf("%d: 200, 17 bytes", id)) || strings.Contains(got, "goaway") {
			t.Errorf("got %s", got[max(0, len(got)-300):])
		}
	})
}

// Rapid reset does not pile up handlers, whatever they do (see also TestH2MaxStreams).
func TestH2RapidResetHandlers(t *testing.T) {
	var mu sync.Mutex
	running, most, calls := 0, 0, 0
	e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		mu.Lock()
		running++
		calls++
		most = max(most, running)
		mu.Unlock()
		time.Sleep(time.Minute) // hears of nothing
		mu.Lock()
		running--
		mu.Unlock()
	})}
	h2Run(t, e, func(p *h2Peer) {
		for i := range uint32(1000) {
			p.get(2*i+1, "/")
			p.frame(h2RSTStream, 0, 2*i+1, u32(8))
			synctest.Wait()
			if p.over() {
				break
			}
		}
		if most != h2MaxConcurrent || calls != h2MaxConcurrent {
			t.Errorf("at most %d handlers, %d calls", most, calls)
		}
		time.Sleep(2 * time.Minute)
		p.settle()
		if running != 0 || calls != h2MaxConcurrent {
			t.Errorf("%d handlers still run after %d calls: streams that were reset while they waited need none", running, calls)
		}
	})
}

// A block full of indexes to a large field is as expensive as it is long (RFC 7541,
// Section 7.3), and is answered like every head that is too large.
func TestH2Bomb(t *testing.T) {
	h2Run(t, &Engine{}, func(p *h2Peer) {
		block := p.fields(pseudo("GET", "/", "x-bomb: "+strings.Repeat("b", 3900))...)
		p.frame(h2Headers, 5, 1, append(block, bytes.Repeat([]byte{0xbe}, 12000)...)) // 47 MB
		p.expect("1: 494, 98 bytes | head-too-large 494")
		p.get(3, "/")
		p.expect("3: 200, 17 bytes")
	})
}

// Everything that a viewer can leave undone ends after its time.
func TestH2Timeouts(t *testing.T) {
	f := func(name, want string, least, most time.Duration, send func(p *h2Peer)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			h2InBubble(t, &Engine{}, func(p *h2Peer) {
				send(p)
				p.settle()
				time.Sleep(least - time.Second)
				p.settle()
				if p.over() {
					t.Errorf("over before %v: %s", least, p.heard())
				}
				time.Sleep(most - least + time.Second + time.Millisecond)
				p.expect(want)
			})
		})
	}
	begin := func(p *h2Peer) {
		p.send([]byte(h2Preface))
		p.frame(h2Settings, 0, 0, nil)
		p.settle()
	}
	const idle, head = 60 * time.Second, 15 * time.Second
	slack := 4 * time.Second // two ticks and the linger time
	f("silent", "goaway 0 last 0; eof | silent", head, head+slack, func(p *h2Peer) {})
	f("half a preface", "goaway 0 last 0; eof | header-timeout", head, head+slack, func(p *h2Peer) { p.send([]byte("PRI * H")) })
	f("preface only", "goaway 0 last 0; eof | header-timeout", head, head+slack, func(p *h2Peer) { p.send([]byte(h2Preface)) })
	f("idle, never a request", "goaway 0 last 0; eof | silent", idle, idle+slack, begin)
	f("idle", "1: 200, 17 bytes; goaway 0 last 1; eof", idle, idle+slack, func(p *h2Peer) { begin(p); p.get(1, "/") })
	f("idle with pings", "ping 1 \"12345678\"; goaway 0 last 0; eof | silent", 0, idle, func(p *h2Peer) {
		begin(p)
		p.settle()
		time.Sleep(slack)
		p.frame(h2Ping, 0, 0, []byte("12345678"))
	})
	f("half a frame header", "goaway 0 last 0; eof | header-timeout", head, head+slack, func(p *h2Peer) { begin(p); p.send([]byte{0, 0, 5}) })
	f("half a frame", "goaway 0 last 0; eof | header-timeout", head, head+slack, func(p *h2Peer) {
		begin(p)
		p.send(append(appendH2Frame(nil, 100, h2Headers, 5, 1), 0x82))
	})
	f("a byte a second", "goaway 0 last 0; eof | header-timeout", head-11*time.Second, head+slack, func(p *h2Peer) {
		begin(p)
		p.send(appendH2Frame(nil, 100, h2Headers, 5, 1))
		for range 10 {
			time.Sleep(time.Second)
			p.send([]byte{0x82})
		}
	})
	f("half a field block", "goaway 0 last 0; eof | header-timeout", head, head+slack, func(p *h2Peer) {
		begin(p)
		p.frame(h2Headers, 1, 1, p.fields(pseudo("GET", "/")...))
	})
	f("half a DATA frame", "goaway 0 last 1; eof | body-timeout", 0, 30*time.Second+2*slack, func(p *h2Peer) {
		begin(p)
		p.post(1, "/hash")
		p.send(append(appendH2Frame(nil, 100, h2Data, 0, 1), 1))
	})
	f("half a body", "1: 408, 12 bytes; 1: reset 0", 30*time.Second, 30*time.Second+slack, func(p *h2Peer) {
		begin(p)
		p.post(1, "/hash")
		p.data(1, []byte("x"), false)
	})
}

// SETTINGS must be acknowledged (RFC 9113, Section 6.5.3).
func TestH2SettingsTimeout(t *testing.T) {
	h2InBubble(t, &Engine{}, func(p *h2Peer) {
		p.mute.Store(true)
		p.send([]byte(h2Preface))
		p.frame(h2Settings, 0, 0, nil)
		p.get(1, "/wait")
		p.settle()
		time.Sleep(9 * time.Second)
		p.expect("")
		time.Sleep(3 * time.Second)
		p.expect("goaway 4 last 1 | h2-settings-timeout")
	})
}

// A viewer that gives no window, or tiny ones, is ended; meanwhile nothing is read
// for it.
func TestH2StreamStall(t *testing.T) {
	for _, path := range []string{"/bytes", "/stream"} {
		read := 0
		var sent Sent
		e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
			res := &Response{Status: 200, Length: 1 << 20}
			if r.Path == "/bytes" {
				res.Bytes = make([]byte, 1<<20)
			} else {
				res.Stream = h2OnlyReader{countReader{new(sync.Mutex), &read}}
			}
			s, _ := w.Respond(res)
			if r.Path == path {
				sent = s
			}
		})}
		h2Run(t, e, func(p *h2Peer) {
			p.setting(h2SetInitialWindow, 100)
			p.windowUpdate(0, 1<<20)
			p.get(1, path)
			time.Sleep(300 * time.Millisecond) // out of step with the clock
			for range 28 {
				time.Sleep(time.Second)
				p.windowUpdate(1, 1) // a dribble is no progress
			}
			p.expect("")
			if path == "/stream" && read != 128 {
				t.Errorf("read %d bytes for a window of 128", read)
			}
			time.Sleep(4 * time.Second)
			p.expect("1: reset 8 | write-stall")
			if !sent.ViewerGone || sent.BodyBytes != 128 {
				t.Errorf("%s: %+v", path, sent)
			}
			// The connection goes on, and slow but steady is fine.
			p.get(3, "/bytes")
			for range 60 {
				time.Sleep(5 * time.Second)
				p.windowUpdate(3, 4096)
			}
			p.expect("")
			p.windowUpdate(3, 1<<20)
			p.settle()
			if got := p.answer(3); len(got.body) != 1<<20 {
				t.Errorf("got %d bytes", len(got.body))
			}
		})
	}
}

type countReader struct {
	mu *sync.Mutex
	n  *int
}

func (r countReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*r.n += len(p)
	return len(p), nil
}

// The connection's window can stall a viewer as well.
func TestH2ConnStall(t *testing.T) {
	for _, path := range []string{"/bytes/1000000", "/stream/1000000"} {
		h2Run(t, &Engine{}, func(p *h2Peer) {
			p.setting(h2SetInitialWindow, 1<<20)
			p.get(1, path)
			p.settle()
			time.Sleep(29 * time.Second)
			p.windowUpdate(0, 1)
			p.expect("")
			time.Sleep(3 * time.Second)
			p.expect("goaway 11 last 1 | write-stall")
		})
	}
}

// A viewer that does not read at all: the socket stalls. What waits for it is bounded.
func TestH2SocketStall(t *testing.T) {
	var mu sync.Mutex
	read := 0
	var sent []Sent
	e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		res := &Response{Status: 200, Length: 1 << 20, Stream: h2OnlyReader{countReader{&mu, &read}}}
		if r.Path == "/small" {
			res = h2Text(200, strings.Repeat("x", 1000))
		}
		s, _ := w.Respond(res)
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, s)
	})}
	h2Run(t, e, func(p *h2Peer) {
		p.setting(h2SetInitialWindow, 1<<20)
		p.windowUpdate(0, 1<<30)
		p.settle()
		p.mu.Lock()
		p.deaf = true
		p.mu.Unlock()
		go p.frame(h2Ping, 0, 0, make([]byte, 8)) // its answer ends the reading
		p.settle()
		for i := range uint32(100) {
			path := "/large"
			if i >= 50 {
				path = "/small"
			}
			p.get(2*i+1, path)
		}
		p.settle()
		if read > h2Held+h2OutBytes*2 {
			t.Errorf("%d bytes were read for a viewer that takes nothing", read)
		}
		time.Sleep(29 * time.Second)
		p.settle()
		if p.served.Load() {
			t.Error("over too early")
		}
		time.Sleep(3 * time.Second)
		if got := p.heard(); !strings.HasSuffix(got, " | write-stall") || !p.served.Load() {
			t.Errorf("got %s, over %v", got, p.served.Load())
		}
		if gone := len(sent); gone != 100 {
			t.Errorf("%d of 100 handlers returned", gone)
		}
	})
}

// An abuser that does not even take its GOAWAY is cut off after LingerTimeout.
func TestH2DeafAbuser(t *testing.T) {
	h2InBubble(t, &Engine{}, func(p *h2Peer) {
		p.send([]byte(h2Preface))
		p.frame(h2Settings, 0, 0, nil)
		p.settle()
		p.mu.Lock()
		p.deaf = true
		p.mu.Unlock()
		go p.frame(h2Ping, 0, 0, make([]byte, 8))
		p.settle()
		go func() {
			for !p.over() {
				if _, err := p.conn.Write(append(appendH2Frame(nil, 8, h2Ping, 0, 0), make([]byte, 8)...)); err != nil {
					return
				}
			}
		}()
		time.Sleep(4 * time.Second)
		p.settle()
		if !p.served.Load() {
			t.Error("still served")
		}
		if got := p.heard(); !strings.HasSuffix(got, " | h2-ping-flood") {
			t.Errorf("got %s", got)
		}
	})
}

// Upload without end: the limit holds without a content-length too.
func TestH2BodyTooLarge(t *testing.T) {
	h2Run(t, &Engine{Limits: Limits{BodyBytes: 100_000}}, func(p *h2Peer) {
		p.post(1, "/hash")
		for range 8 {
			p.data(1, make([]byte, 16000), false)
		}
		p.expect("1: 413, 14 bytes; 1: reset 0")
	})
}

// A Body that is read on while the Handler has returned, as a proxy's transport may.
func TestH2BodyAfterHandler(t *testing.T) {
	errs := make(chan error, 1)
	e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		go func() {
			_, err := io.ReadAll(r.Body)
			errs <- err
		}()
		w.Respond(h2Text(200, "x"))
	})}
	synctest.Test(t, func(t *testing.T) {
		errs = make(chan error, 1)
		p := h2Dial(t, e)
		p.send([]byte(h2Preface))
		p.frame(h2Settings, 0, 0, nil)
		p.post(1, "/")
		p.data(1, []byte("abc"), false)
		p.expect("1: 200, 1 bytes; 1: reset 0")
		if err := <-errs; err != errBodyOver {
			t.Errorf("got %v", err)
		}
		p.close()
	})
}
