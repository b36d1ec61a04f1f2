package viewerhttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/httpfield"
)

// h2Fields makes a list of "name: value" lines.
func h2Fields(lines ...string) (out httpfield.Fields) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		out.Add(name, value)
	}
	return out
}

// What the Handler sees of a request.
func TestH2Request(t *testing.T) {
	var got *Request
	e := &Engine{Handler: h2Answer(func(ctx context.Context, r *Request) *Response { got = r; return h2Text(200, "") })}
	h2Run(t, e, func(p *h2Peer) {
		// RFC 9113, Section 8.2.3: the pieces of a cookie are put together again.
		p.get(1, "/a/b?c=d", "accept: */*", "cookie: a=1", "x-b: 2", "cookie: b=2", "te: trailers", "cookie: c=3", "priority: u=1", "host: EXAMPLE.org")
		p.expect("1: 200, 0 bytes")
		want := h2Fields("accept: */*", "cookie: a=1; b=2; c=3", "x-b: 2", "te: trailers", "priority: u=1")
		if !slices.Equal(got.Header, want) {
			t.Errorf("fields %q", got.Header)
		}
		if got.Method != "GET" || got.Scheme != "http" || got.Authority != "example.org" || got.Path != "/a/b" || got.Query != "c=d" ||
			!got.HasQuery || got.Proto != HTTP2 || !got.First || got.Body != nil || got.ContentLength != 0 || got.Conn.ID != 1 || got.HeadBytes < 50 {
			t.Errorf("request %+v", got)
		}
		p.head(h2FlagEndStream, 3, ":method: OPTIONS", ":scheme: http", ":authority: Example.ORG:8080", ":path: *")
		p.expect("3: 200, 0 bytes")
		if got.Authority != "example.org:8080" || got.Path != "*" || got.HasQuery || got.First {
			t.Errorf("request %+v", got)
		}
		p.head(h2FlagEndStream, 5, ":method: GET", ":scheme: http", ":path: /?", "host: a.example")
		p.expect("5: 200, 0 bytes")
		if got.Authority != "a.example" || !got.HasQuery || got.Query != "" || got.Header.Has("host") {
			t.Errorf("request %+v", got)
		}
		p.post(7, "/", "content-length: 3")
		p.settle()
		if got.ContentLength != 3 || got.Body == nil {
			t.Errorf("request %+v", got)
		}
		p.post(9, "/")
		p.settle()
		if got.ContentLength != -1 || got.Body == nil {
			t.Errorf("request %+v", got)
		}
	})
}

// The order of fields is the Handler's; what HTTP/2 does not have is dropped.
func TestH2Response(t *testing.T) {
	f := func(name string, r *Response, method, want string, header ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			e := &Engine{Handler: h2Answer(func(context.Context, *Request) *Response { return r })}
			h2Run(t, e, func(p *h2Peer) {
				for id := uint32(1); id <= 5; id += 2 { // the second and third come from the table
					p.head(h2FlagEndStream, id, pseudo(method, "/")...)
					p.expect(fmt.Sprintf("%d: %s", id, want))
					if got := p.answer(id).header; !slices.Equal(got, header) {
						t.Errorf("stream %d: fields %q\nwant %q", id, got, header)
					}
				}
			})
		})
	}
	f("order", &Response{Status: 200, Header: h2Fields("x-z: 1", "content-type: a", "x-a: 2", "content-length: 2", "set-cookie: a", "set-cookie: b", "via: v", "age: 1"), Bytes: []byte("hi"), Length: 2},
		"GET", "200, 2 bytes", "x-z: 1", "content-type: a", "x-a: 2", "content-length: 2", "set-cookie: a", "set-cookie: b", "via: v", "age: 1")
	f("hop by hop", &Response{Status: 200, Header: h2Fields("connection: close", "transfer-encoding: chunked", "x-a: 1", "keep-alive: 1", "upgrade: x", "trailer: y")},
		"GET", "200, 0 bytes", "x-a: 1")
	f("broken fields", &Response{Status: 200, Header: h2Fields("X-Upper: 1", "x-a: 1", "x-b: a\r\nx-c: d", ":status: 300")}, "GET", "200, 0 bytes", "x-a: 1")
	f("wrong content-length", &Response{Status: 200, Header: h2Fields("content-length: 7"), Bytes: []byte("hi"), Length: 2}, "GET", "200, 2 bytes", "content-length: 2")
	f("HEAD", &Response{Status: 200, Header: h2Fields("content-length: 2"), Bytes: []byte("hi"), Length: 2}, "HEAD", "200, 0 bytes", "content-length: 2")
	f("HEAD without body", &Response{Status: 200, Header: h2Fields("content-length: 77")}, "HEAD", "200, 0 bytes", "content-length: 77")
	f("204", &Response{Status: 204, Header: h2Fields("content-length: 2", "x-a: 1"), Bytes: []byte("hi")}, "GET", "204, 0 bytes", "x-a: 1")
	f("304", &Response{Status: 304, Header: h2Fields("content-length: 2", "etag: x"), Bytes: []byte("hi")}, "GET", "304, 0 bytes", "content-length: 2", "etag: x")
	f("impossible status", &Response{Status: 99}, "GET", "500, 92 bytes", "content-type: text/html", "content-length: 92")
	f("large head", &Response{Status: 200, Header: h2Fields("x-a: "+strings.Repeat("~", 20000), "x-b: "+strings.Repeat("^", 30000)), Bytes: []byte("hi")},
		"GET", "200, 2 bytes", "x-a: "+strings.Repeat("~", 20000), "x-b: "+strings.Repeat("^", 30000))
}

// What Respond reports, and what the viewer gets, for every kind of body.
func TestH2Bodies(t *testing.T) {
	f := func(name, path, want string, window uint32, sent int64, wantErr error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			var got Sent
			var err error
			e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) { got, err = w.Respond(h2PeerSite(ctx, r)) })}
			h2Run(t, e, func(p *h2Peer) {
				p.setting(h2SetInitialWindow, window)
				p.windowUpdate(0, 1<<30)
				p.get(1, path)
				p.expect(want)
				if got.BodyBytes != sent || got.ViewerGone || got.HeadBytes == 0 || got.FirstByte.IsZero() || !errors.Is(err, wantErr) {
					t.Errorf("%+v, %v", got, err)
				}
				if a := p.answer(1); !bytes.Equal(a.body, h2Blob(1 << 20)[:len(a.body)]) {
					t.Error("not the content")
				}
			})
		})
	}
	for _, kind := range []string{"bytes", "stream", "endless", "writer"} {
		for _, n := range []int64{0, 1, 16383, 16384, 16385, 65536, 300_000} {
			f(fmt.Sprintf("%s %d", kind, n), fmt.Sprintf("/%s/%d", kind, n), fmt.Sprintf("1: 200, %d bytes", n), 1<<20, n, nil)
		}
	}
	f("short stream", "/short/100", "1: reset 2", 1<<20, 99, io.ErrUnexpectedEOF)
	f("short writer", "/shortwriter/100", "1: reset 2", 1<<20, 99, io.ErrUnexpectedEOF)
	f("failing stream", "/failing/100", "1: reset 2", 1<<20, 50, errH2Test)
	f("long stream", "/long/100", "1: 200, 100 bytes", 1<<20, 100, nil)
	f("long writer", "/longwriter/100", "1: 200, 100 bytes", 1<<20, 100, nil)
}

// A handler that fails is a 500, or a reset when the answer has begun.
func TestH2HandlerFailure(t *testing.T) {
	e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		switch r.Path {
		case "/panic":
			panic("test")
		case "/late":
			w.Respond(h2Text(200, "x"))
			panic("test")
		case "/twice":
			w.Respond(h2Text(200, "x"))
			if _, err := w.Respond(h2Text(201, "y")); err == nil {
				t.Error("the second Respond gave no error")
			}
		case "/broken":
			w.Respond(&Response{Status: 200, Stream: panicReader{}, Length: 5})
		}
	})}
	h2Run(t, e, func(p *h2Peer) {
		p.get(1, "/panic")
		p.expect("1: 500, 92 bytes | handler-failure 500")
		p.get(3, "/nothing")
		p.expect("3: 500, 92 bytes | handler-failure 500")
		p.get(5, "/late")
		p.expect("5: 200, 1 bytes")
		p.get(7, "/twice")
		p.expect("7: 200, 1 bytes")
		p.get(9, "/broken")
		p.expect("9: reset 2")
		p.get(11, "/late")
		p.expect("11: 200, 1 bytes")
	})
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("test") }
func (panicReader) Close() error             { return nil }

// 100 (Continue) is sent when the Handler begins to read, and only then (RFC 9110,
// Section 10.1.1).
func TestH2Expect(t *testing.T) {
	h2Run(t, &Engine{}, func(p *h2Peer) {
		p.post(1, "/hash", "expect: 100-continue", "content-length: 2")
		if got := p.answer(1); !slices.Equal(got.interim, []string{"100"}) || got.status != "" {
			t.Errorf("got %+v", got)
		}
		p.data(1, []byte("hi"), true)
		p.expect("1: 200, 66 bytes")
		p.post(3, "/bytes/1", "expect: 100-continue", "content-length: 2")
		p.expect("3: 200, 1 bytes; 3: reset 0") // the body is not wanted
		if got := p.answer(3); len(got.interim) > 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// A complete answer before the end of the request: the rest is not wanted (RFC 9113,
// Section 8.1).
func TestH2EarlyAnswer(t *testing.T) {
	h2Run(t, &Engine{}, func(p *h2Peer) {
		p.post(1, "/bytes/5")
		p.expect("1: 200, 5 bytes; 1: reset 0")
		for range 100 { // was on its way, more than the connection's window in all
			p.data(1, make([]byte, 16000), false)
			p.settle()
		}
		p.get(3, "/")
		p.expect("3: 200, 17 bytes")
	})
}

// RST_STREAM ends the Handler's context, its Body and its Respond.
func TestH2Cancel(t *testing.T) {
	type result struct {
		ctx, body error
		sent      Sent
	}
	var results chan result
	e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		var res result
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		<-derived.Done()
		res.ctx = context.Cause(ctx)
		_, res.body = io.ReadAll(r.Body)
		res.sent, _ = w.Respond(h2Text(200, "x"))
		results <- res
	})}
	f := func(name string, end func(p *h2Peer)) {
		t.Run(name, func(t *testing.T) {
			h2Run(t, e, func(p *h2Peer) {
				results = make(chan result, 1) // of this bubble
				p.post(1, "/")
				p.settle()
				end(p)
				res := <-results
				var body *BodyError
				if !errors.Is(res.ctx, context.Canceled) || !errors.As(res.body, &body) || body.Reason != ReasonViewerGone || !res.sent.ViewerGone {
					t.Errorf("%+v", res)
				}
			})
		})
	}
	f("reset", func(p *h2Peer) { p.frame(h2RSTStream, 0, 1, u32(8)) })
	f("hang up", func(p *h2Peer) { p.conn.Close() })
	f("connection error", func(p *h2Peer) { p.frame(h2Ping, 0, 0, nil) })
}

// A cancelled download stops; a Stream is closed.
func TestH2CancelDownload(t *testing.T) {
	for _, path := range []string{"/bytes/1000000", "/stream/1000000", "/writer/1000000", "/endless/1000000"} {
		var got Sent
		var err error
		e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) { got, err = w.Respond(h2PeerSite(ctx, r)) })}
		h2Run(t, e, func(p *h2Peer) {
			p.get(1, path)
			p.expect("") // the window is used up
			p.frame(h2RSTStream, 0, 1, u32(8))
			p.settle()
			if !got.ViewerGone || got.BodyBytes != h2FirstWindow || err != nil {
				t.Errorf("%s: %+v, %v", path, got, err)
			}
			p.get(3, "/")
			p.windowUpdate(0, 1<<20)
			p.expect("3: 200, 17 bytes")
		})
	}
}

// Flow control of answers (RFC 9113, Section 6.9).
func TestH2SendWindows(t *testing.T) {
	for _, path := range []string{"/bytes/100000", "/stream/100000", "/writer/100000", "/endless/100000"} {
		h2Run(t, &Engine{}, func(p *h2Peer) {
			size := func(want int) {
				t.Helper()
				if got := p.answer(1); len(got.body) != want {
					t.Errorf("%s: %d bytes, want %d", path, len(got.body), want)
				}
			}
			p.setting(h2SetInitialWindow, 10)
			p.get(1, path)
			size(10)
			p.windowUpdate(1, 1)
			size(11)
			p.setting(h2SetInitialWindow, 5) // the window is now -5
			p.windowUpdate(1, 5)
			size(11)
			p.windowUpdate(1, 1)
			size(12)
			p.setting(h2SetInitialWindow, 6)
			size(13)
			p.windowUpdate(1, 200_000)
			size(h2FirstWindow) // the connection's
			p.windowUpdate(0, 1)
			size(h2FirstWindow + 1)
			p.windowUpdate(0, 100_000)
			p.expect("1: 200, 100000 bytes")
		})
	}
}

// Flow control of request bodies: what is not read is not acknowledged.
func TestH2RecvWindows(t *testing.T) {
	var gate chan int
	e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		if r.Path != "/" {
			w.Respond(h2PeerSite(ctx, r))
			return
		}
		total := 0
		for n := range gate {
			m, _ := io.ReadFull(r.Body, make([]byte, n))
			total += m
		}
		w.Respond(h2Text(200, fmt.Sprint(total)))
	})}
	synctest.Test(t, func(t *testing.T) {
		gate = make(chan int)
		p := h2Dial(t, e)
		p.send([]byte(h2Preface))
		p.frame(h2Settings, 0, 0, nil)
		p.settle()
		if p.settings[h2SetInitialWindow] != h2StreamRecv || p.updates[0] != h2ConnRecv-h2FirstWindow {
			t.Errorf("settings %v, window %d", p.settings, p.updates[0])
		}
		p.post(1, "/")
		for range h2StreamRecv / 16384 {
			p.data(1, make([]byte, 16384), false)
		}
		p.settle()
		if p.updates[1] != 0 {
			t.Errorf("acknowledged %d bytes that nobody read", p.updates[1])
		}
		gate <- h2StreamRecv / 2
		p.settle()
		if p.updates[1] != h2StreamRecv/2 {
			t.Errorf("acknowledged %d bytes", p.updates[1])
		}
		for range h2StreamRecv / 2 / 16384 {
			p.data(1, make([]byte, 16384), false)
		}
		p.expect("")
		p.data(1, []byte("x"), false) // one too many
		p.expect("1: reset 3 | h2-flow-control")
		close(gate)
		p.settle()
		// All that was not read is given back to the connection, sooner or later.
		p.post(3, "/hash")
		for range 100 {
			p.data(3, make([]byte, 16000), false)
			p.settle()
		}
		p.data(3, nil, true)
		p.expect("3: 200, 72 bytes")
		p.close()
	})
}

// The connection's window bounds what all bodies together may hold (RFC 9113,
// Section 6.9.1); padding counts (Section 6.1) and is given back at once.
func TestH2ConnWindow(t *testing.T) {
	h2Run(t, &Engine{}, func(p *h2Peer) {
		for id := uint32(1); id <= 9; id += 2 {
			p.post(id, "/wait")
			for range 13 {
				p.data(id, make([]byte, 16384), false)
			}
		}
		p.expect("goaway 3 last 9 | h2-flow-control")
	})
	h2Run(t, &Engine{}, func(p *h2Peer) {
		p.post(1, "/hash")
		padded := append([]byte{255, 'x'}, make([]byte, 255)...)
		for range 10000 {
			p.frame(h2Data, h2FlagPadded, 1, padded)
		}
		p.data(1, nil, true)
		p.expect("1: 200, 70 bytes")
	})
}

// What nobody reads is given back to the connection when its stream is over, or when
// its body is refused; else the connection would run dry.
func TestH2ConnWindowGivenBack(t *testing.T) {
	f := func(name, path string, after func(p *h2Peer, id uint32)) {
		t.Run(name, func(t *testing.T) {
			h2Run(t, &Engine{Limits: Limits{BodyBytes: 150_000}}, func(p *h2Peer) {
				var id uint32
				for id = 1; id < 61; id += 2 {
					p.post(id, path)
					for range 12 {
						p.data(id, make([]byte, 16000), false)
						p.settle()
					}
					after(p, id)
				}
				p.heard()
				p.get(id, "/")
				p.expect(fmt.Sprintf("%d: 200, 17 bytes", id))
			})
		})
	}
	reset := func(p *h2Peer, id uint32) { p.frame(h2RSTStream, 0, id, u32(8)) }
	f("reset", "/wait", reset)
	f("answered without reading", "/sleep", func(p *h2Peer, id uint32) { time.Sleep(2 * time.Second) })
	f("body too large", "/wait", func(p *h2Peer, id uint32) {
		p.data(id, make([]byte, 16000), false)
		p.data(id, make([]byte, 16000), false)
		p.settle()
		if id%20 == 1 {
			return
		}
		reset(p, id)
	})
}

// Many Streams for a viewer that pauses: what is read ahead is bounded, and all goes
// on after the pause.
func TestH2Pause(t *testing.T) {
	h2Run(t, &Engine{}, func(p *h2Peer) {
		p.setting(h2SetInitialWindow, 1<<20)
		p.windowUpdate(0, 1<<30)
		p.settle()
		p.paused.Store(true)
		p.frame(h2Ping, 0, 0, make([]byte, 8))
		for i := range uint32(60) {
			p.get(2*i+1, "/stream/100000")
		}
		p.settle()
		time.Sleep(10 * time.Second)
		close(p.resume)
		if got := strings.Count(p.heard(), "200, 100000 bytes"); got != 60 {
			t.Errorf("%d of 60 answers came", got)
		}
	})
}

// SETTINGS_MAX_CONCURRENT_STREAMS counts open streams (RFC 9113, Section 5.1.2),
// and handlers count until they return.
func TestH2MaxStreams(t *testing.T) {
	running, most := 0, 0
	var release chan struct{}
	e := &Engine{Handler: handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		running++
		most = max(most, running)
		<-release
		running--
		w.Respond(h2Text(200, ""))
	})}
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{})
		p := h2Dial(t, e)
		p.send([]byte(h2Preface))
		p.frame(h2Settings, 0, 0, nil)
		id := uint32(1)
		for range h2MaxConcurrent {
			p.get(id, "/")
			synctest.Wait()
			id += 2
		}
		p.get(id, "/")
		p.expect(fmt.Sprintf("%d: reset 7 | h2-too-many-streams", id))
		// Streams that are reset make room for streams, not for handlers.
		for i := range uint32(100) {
			p.frame(h2RSTStream, 0, 1+2*i, u32(8))
			synctest.Wait()
			id += 2
			p.get(id, "/")
		}
		p.expect("")
		if running != h2MaxConcurrent || most != h2MaxConcurrent {
			t.Errorf("%d handlers, at most %d", running, most)
		}
		for range 2*h2MaxConcurrent - 28 {
			release <- struct{}{}
			synctest.Wait()
		}
		if got := strings.Count(p.heard(), "200, 0 bytes"); got != h2MaxConcurrent || most != h2MaxConcurrent || running != 0 {
			t.Errorf("%d answers; %d handlers at most, %d now", got, most, running)
		}
		p.close()
	})
}

// Urgency decides, incremental streams share, others come one after the other (RFC
// 9218, Sections 4 and 10).
func TestH2Priorities(t *testing.T) {
	f := func(name, want string, ask func(p *h2Peer)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			h2Run(t, &Engine{}, func(p *h2Peer) {
				p.setting(h2SetInitialWindow, 1<<20)
				p.get(99, "/bytes/65535") // uses up the connection's window
				p.settle()
				p.order = nil
				ask(p)
				p.settle()
				for range 6 {
					p.windowUpdate(0, h2MaxFrame) // for one frame
					p.settle()
				}
				var order []string
				for _, id := range p.order {
					order = append(order, fmt.Sprint(id))
				}
				if got := strings.Join(order, " "); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		})
	}
	const path = "/bytes/32768" // two frames
	f("no signal: shared", "101 103 105 101 103 105", func(p *h2Peer) {
		p.get(101, path)
		p.get(103, path)
		p.get(105, path)
	})
	f("urgency", "105 105 101 101 103 103", func(p *h2Peer) {
		p.get(101, path, "priority: u=2")
		p.get(103, path, "priority: u=7")
		p.get(105, path, "priority: u=0")
	})
	f("not incremental: in order", "101 101 103 103 105 105", func(p *h2Peer) {
		p.get(101, path, "priority: u=3")
		p.get(103, path, "priority: ")
		p.get(105, path, "priority: i=?0")
	})
	f("incremental after urgent", "103 103 101 105 101 105", func(p *h2Peer) {
		p.get(101, path, "priority: i")
		p.get(103, path, "priority: u=1")
		p.get(105, path, "priority: u=3, i")
	})
	f("both kinds: neither starves", "101 103 105 101 103 105", func(p *h2Peer) {
		p.get(101, path, "priority: u=3")
		p.get(103, path, "priority: u=3, i")
		p.get(105, path, "priority: u=3, i")
	})
	f("PRIORITY_UPDATE", "105 105 103 103 101 101", func(p *h2Peer) {
		p.frame(h2PriorityUpdate, 0, 0, u32(105, []byte("u=0")...)) // before its stream
		p.get(101, path, "priority: u=1")
		p.get(103, path, "priority: u=2")
		p.get(105, path, "priority: u=3")
		p.frame(h2PriorityUpdate, 0, 0, u32(101, []byte("u=6")...))
	})
}

func TestParsePriority(t *testing.T) {
	f := func(s string, want h2Prio, ok bool) {
		t.Helper()
		if got, gotOK := parsePriority(s); got != want || gotOK != ok {
			t.Errorf("%q: %+v %v, want %+v %v", s, got, gotOK, want, ok)
		}
	}
	f("", h2Prio{3, false}, true)
	f("u=0", h2Prio{0, false}, true)
	f("u=7, i", h2Prio{7, true}, true)
	f("i,u=1", h2Prio{1, true}, true)
	f("u=5, i=?1", h2Prio{5, true}, true)
	f("u=5, i=?0", h2Prio{5, false}, true)
	f("u=8", h2Prio{3, false}, true) // out of range: ignored (RFC 9218, Section 4.1)
	f("u=-1", h2Prio{3, false}, true)
	f("u=2;x=1, foo=bar", h2Prio{2, false}, true)
	f("u=1, u=6", h2Prio{6, false}, true) // the last one counts (RFC 8941, Section 3.2)
	f("i;x", h2Prio{3, true}, true)
	f("=", h2NoPrio, false)
	f("u=1,,", h2NoPrio, false)
}

// The graceful end (RFC 9113, Section 6.8): the viewer hears of it, requests on
// their way are served, those in flight are answered, then the connection ends.
func TestH2Drain(t *testing.T) {
	const announced = "goaway 0 last 2147483647; ping 0 \"goodbye\\x00\""
	f := func(name string, act func(p *h2Peer)) {
		t.Run(name, func(t *testing.T) { h2Run(t, &Engine{}, act) })
	}
	f("idle", func(p *h2Peer) {
		p.settle()
		p.cancel()
		p.expect(announced)
		p.frame(h2Ping, 1, 0, []byte(h2DrainPing))
		p.expect("goaway 0 last 0")
		time.Sleep(2*time.Second + time.Millisecond)
		p.expect("eof")
	})
	f("idle, no answer", func(p *h2Peer) {
		p.settle()
		p.cancel()
		p.expect(announced)
		time.Sleep(5 * time.Second)
		p.expect("goaway 0 last 0; eof")
	})
	f("in flight", func(p *h2Peer) {
		p.post(1, "/hash")
		p.settle()
		p.cancel()
		p.expect(announced)
		p.get(3, "/") // was on its way
		p.settle()
		p.frame(h2Ping, 1, 0, []byte(h2DrainPing))
		p.expect("3: 200, 17 bytes; goaway 0 last 3")
		p.get(5, "/") // too late: not looked at
		p.data(5, []byte("x"), false)
		p.windowUpdate(5, 9)
		p.expect("")
		time.Sleep(25 * time.Second)
		p.data(1, nil, true)
		p.expect("1: 200, 66 bytes")
		time.Sleep(3 * time.Second)
		p.expect("eof")
	})
	f("the context of a request in flight goes on", func(p *h2Peer) {
		p.get(1, "/wait")
		p.settle()
		p.cancel()
		p.expect(announced)
		time.Sleep(time.Hour)
		p.expect("goaway 0 last 1")
	})
}

// After RequestsPerConn the connection ends in the same way.
func TestH2RequestsPerConn(t *testing.T) {
	h2Run(t, &Engine{Limits: Limits{RequestsPerConn: 2}}, func(p *h2Peer) {
		p.get(1, "/")
		p.get(3, "/")
		got := p.heard()
		if !strings.Contains(got, "goaway 0 last 2147483647") || !strings.Contains(got, "3: 200") {
			t.Errorf("got %s", got)
		}
		p.frame(h2Ping, 1, 0, []byte(h2DrainPing))
		time.Sleep(3 * time.Second)
		p.expect("goaway 0 last 3; eof")
	})
}
