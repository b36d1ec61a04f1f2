package viewerhttp

import (
	"strings"
	"testing"
)

// h2Breaks runs send as a viewer and compares what comes back, and what the Observer
// is told, with want.
func h2Breaks(t *testing.T, section, want string, send func(p *h2Peer)) {
	t.Helper()
	t.Run(section, func(t *testing.T) {
		t.Helper()
		h2Run(t, &Engine{}, func(p *h2Peer) {
			send(p)
			p.expect(want)
		})
	})
}

// Frames that end the connection or a stream (RFC 9113, Sections 4 to 6).
func TestH2BadFrames(t *testing.T) {
	f := func(section, want string, send func(p *h2Peer)) { t.Helper(); h2Breaks(t, section, want, send) }
	frame := func(typ h2Type, flags uint8, stream uint32, b []byte) func(*h2Peer) {
		return func(p *h2Peer) { p.frame(typ, flags, stream, b) }
	}
	const protocol, size, flow = "goaway 1 last 0 | h2-protocol-error", "goaway 6 last 0 | h2-frame-size", "goaway 3 last 0 | h2-flow-control"
	five := u32(0, 16)

	f("4.2 too large", size, frame(h2Data, 0, 1, make([]byte, 16385)))
	f("4.3 compression", "goaway 9 last 1 | h2-compression", frame(h2Headers, 5, 1, []byte{0xff, 0xff, 0xff, 0xff, 0x7f}))
	f("5.1 DATA on an idle stream", protocol, frame(h2Data, 0, 1, nil))
	f("5.1 RST_STREAM on an idle stream", protocol, frame(h2RSTStream, 0, 1, u32(8)))
	f("5.1 WINDOW_UPDATE on an idle stream", protocol, frame(h2WindowUpdate, 0, 1, u32(8)))
	f("5.1 CONTINUATION alone", protocol, frame(h2Continuation, 4, 1, nil))
	f("5.1.1 even stream", protocol, func(p *h2Peer) { p.frame(h2Headers, 5, 2, p.fields(pseudo("GET", "/")...)) })
	f("5.1.1 stream 0", protocol, func(p *h2Peer) { p.frame(h2Headers, 5, 0, p.fields(pseudo("GET", "/")...)) })
	f("5.1.1 lower stream", "5: 200, 17 bytes; goaway 1 last 5 | h2-protocol-error", func(p *h2Peer) { p.get(5, "/"); p.settle(); p.get(3, "/") })
	f("5.1 HEADERS on a closed stream", "1: 200, 17 bytes; goaway 5 last 1 | h2-stream-closed", func(p *h2Peer) { p.get(1, "/"); p.settle(); p.get(1, "/") })
	f("5.1 DATA on a closed stream", "1: 200, 17 bytes; 1: reset 5 | h2-stream-closed", func(p *h2Peer) { p.get(1, "/"); p.settle(); p.data(1, []byte("x"), false) })
	f("5.1 DATA after END_STREAM", "1: reset 5 | h2-stream-closed", func(p *h2Peer) { p.get(1, "/wait"); p.data(1, []byte("x"), false) })
	f("5.1 HEADERS after END_STREAM", "1: reset 5 | h2-stream-closed", func(p *h2Peer) { p.get(1, "/wait"); p.get(1, "/") })
	f("5.1 frames on their way when we reset are ignored", "1: reset 1; 3: 200, 17 bytes | bad-pseudo-field", func(p *h2Peer) {
		p.frame(h2Headers, 4, 1, p.fields(":method: GET"))
		p.data(1, []byte("x"), false)
		p.frame(h2WindowUpdate, 0, 1, u32(9))
		p.frame(h2Headers, 5, 1, p.fields("trailer: x"))
		p.get(3, "/")
	})
	f("5.1 after a reset from both sides nothing can be on its way", "1: reset 1; goaway 5 last 1 | bad-pseudo-field; h2-stream-closed", func(p *h2Peer) {
		p.frame(h2Headers, 4, 1, p.fields(":method: GET"))
		p.frame(h2RSTStream, 0, 1, u32(8))
		p.get(1, "/")
	})
	f("5.5 unknown frames and flags are ignored", "1: 200, 17 bytes", func(p *h2Peer) {
		p.frame(0xbe, 0xff, 0, []byte("x"))
		p.frame(0xef, 0xff, 77, nil)
		p.frame(h2Headers, 5|0x40|0x80|2, 1, p.fields(pseudo("GET", "/")...))
	})
	f("6.1 DATA on stream 0", protocol, frame(h2Data, 0, 0, []byte("x")))
	f("6.1 pad length missing", "goaway 6 last 1 | h2-frame-size", func(p *h2Peer) { p.post(1, "/wait"); p.frame(h2Data, 8, 1, nil) })
	f("6.1 pad too long", "goaway 1 last 1 | h2-protocol-error", func(p *h2Peer) { p.post(1, "/wait"); p.frame(h2Data, 8, 1, []byte{3, 0, 0}) })
	f("6.2 pad too long", protocol, frame(h2Headers, 5|8, 1, []byte{3, 0, 0}))
	f("6.2 pad length missing", size, frame(h2Headers, 5|8, 1, nil))
	f("6.2 priority missing", size, frame(h2Headers, 5|0x20, 1, []byte{1, 2, 3, 4}))
	f("6.3 PRIORITY on stream 0", protocol, frame(h2Priority, 0, 0, five))
	f("6.3 PRIORITY too short, idle", size, frame(h2Priority, 0, 1, five[:4]))
	f("6.3 PRIORITY too short, open", "1: reset 6 | h2-frame-size", func(p *h2Peer) { p.get(1, "/wait"); p.frame(h2Priority, 0, 1, five[:4]) })
	f("6.3 PRIORITY is ignored", "1: 200, 17 bytes", func(p *h2Peer) { p.frame(h2Priority, 0, 7, five); p.get(1, "/") })
	f("5.3.1 of RFC 7540", protocol, frame(h2Priority, 0, 1, u32(1, 16)))
	f("6.4 RST_STREAM on stream 0", protocol, frame(h2RSTStream, 0, 0, u32(8)))
	f("6.4 RST_STREAM size", "goaway 6 last 1 | h2-frame-size", func(p *h2Peer) { p.get(1, "/wait"); p.frame(h2RSTStream, 0, 1, u32(8, 1)) })
	f("6.5 SETTINGS on a stream", protocol, frame(h2Settings, 0, 1, nil))
	f("6.5 SETTINGS size", size, frame(h2Settings, 0, 0, []byte{1, 2, 3}))
	f("6.5 ACK with payload", size, frame(h2Settings, 1, 0, appendH2Setting(nil, 1, 1)))
	f("6.5.2 ENABLE_PUSH", protocol, func(p *h2Peer) { p.setting(h2SetEnablePush, 2) })
	f("6.5.2 INITIAL_WINDOW_SIZE", flow, func(p *h2Peer) { p.setting(h2SetInitialWindow, 1<<31) })
	f("6.5.2 MAX_FRAME_SIZE low", protocol, func(p *h2Peer) { p.setting(h2SetMaxFrame, 16383) })
	f("6.5.2 MAX_FRAME_SIZE high", protocol, func(p *h2Peer) { p.setting(h2SetMaxFrame, 1<<24) })
	f("6.5.2 unknown setting", "1: 200, 17 bytes", func(p *h2Peer) { p.setting(0xfafa, 1); p.get(1, "/") })
	f("6.6 PUSH_PROMISE", protocol, frame(h2PushPromise, 4, 1, u32(2)))
	f("6.7 PING", `ping 1 "12345678"`, frame(h2Ping, 0, 0, []byte("12345678")))
	f("6.7 PING ACK is not answered", "", frame(h2Ping, 1, 0, []byte("12345678")))
	f("6.7 PING on a stream", protocol, frame(h2Ping, 0, 1, []byte("12345678")))
	f("6.7 PING size", size, frame(h2Ping, 0, 0, []byte("1234567")))
	f("6.8 GOAWAY on a stream", protocol, frame(h2GoAway, 0, 1, make([]byte, 8)))
	f("6.8 GOAWAY size", size, frame(h2GoAway, 0, 0, make([]byte, 7)))
	f("6.8 after GOAWAY the rest is served", "goaway 0 last 1; 1: 200, 18 bytes", func(p *h2Peer) {
		p.post(1, "/")
		p.frame(h2GoAway, 0, 0, make([]byte, 8))
		p.data(1, nil, true)
	})
	f("6.9 WINDOW_UPDATE size", size, frame(h2WindowUpdate, 0, 0, u32(1, 1)))
	f("6.9 WINDOW_UPDATE of 0", protocol, frame(h2WindowUpdate, 0, 0, u32(0)))
	f("6.9 WINDOW_UPDATE of 0 on a stream", "1: reset 1 | h2-protocol-error", func(p *h2Peer) { p.get(1, "/wait"); p.windowUpdate(1, 0) })
	f("6.9.1 connection window overflow", flow, frame(h2WindowUpdate, 0, 0, u32(h2MaxWindow)))
	f("6.9.1 stream window overflow", "1: reset 3 | h2-flow-control", func(p *h2Peer) { p.get(1, "/wait"); p.windowUpdate(1, h2MaxWindow) })
	f("6.9.2 overflow by a setting", "goaway 3 last 1 | h2-flow-control", func(p *h2Peer) {
		p.get(1, "/wait")
		p.windowUpdate(1, 100_000)
		p.setting(h2SetInitialWindow, h2MaxWindow)
	})
	f("6.10 another frame in a block", protocol, func(p *h2Peer) {
		p.frame(h2Headers, 1, 1, p.fields(pseudo("GET", "/")...))
		p.frame(h2Ping, 0, 0, make([]byte, 8))
	})
	f("6.10 another stream in a block", protocol, func(p *h2Peer) {
		p.frame(h2Headers, 1, 1, p.fields(pseudo("GET", "/")...))
		p.frame(h2Continuation, 4, 3, nil)
	})
	f("6.10 CONTINUATION after the end", "1: 200, 17 bytes; goaway 1 last 1 | h2-protocol-error", func(p *h2Peer) {
		p.get(1, "/")
		p.settle()
		p.frame(h2Continuation, 4, 1, nil)
	})
	f("7.1 of RFC 9218, on a stream", protocol, frame(h2PriorityUpdate, 0, 1, u32(1)))
	f("7.1 of RFC 9218, size", size, frame(h2PriorityUpdate, 0, 0, []byte{0, 0, 1}))
	f("7.1 of RFC 9218, stream 0", protocol, frame(h2PriorityUpdate, 0, 0, u32(0)))
	f("7.1 of RFC 9218, junk is ignored", "1: 200, 17 bytes", func(p *h2Peer) {
		p.frame(h2PriorityUpdate, 0, 0, u32(1, []byte("?!=(")...))
		p.get(1, "/")
	})
	f("2.1 of RFC 9218", protocol, func(p *h2Peer) { p.setting(h2SetNoRFC7540Priority, 2) })
}

// The preface (RFC 9113, Section 3.4).
func TestH2Preface(t *testing.T) {
	f := func(name, want string, send ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			h2InBubble(t, &Engine{}, func(p *h2Peer) {
				for _, s := range send {
					p.send([]byte(s))
				}
				p.expect(want)
			})
		})
	}
	settings := string(appendH2Frame(nil, 0, h2Settings, 0, 0))
	ping := string(appendH2Frame(nil, 8, h2Ping, 0, 0)) + "12345678"
	const bad = "goaway 1 last 0 | h2-bad-preface"
	f("HTTP/1.1", bad, "GET / HTTP/1.1\r\n\r\n")
	f("TLS", bad, "\x16\x03\x01")
	f("last byte wrong", bad, h2Preface[:23]+"\r")
	f("no SETTINGS", bad, h2Preface, ping)
	f("SETTINGS with ACK", bad, h2Preface, string(appendH2Frame(nil, 0, h2Settings, 1, 0)))
	f("in pieces", `ping 1 "12345678"`, h2Preface[:3], h2Preface[3:10], h2Preface[10:], settings[:4], settings[4:], ping)
	f("in one", `ping 1 "12345678"`, h2Preface+settings+ping)
}

// Malformed requests (RFC 9113, Section 8) are reset and reported; the connection
// goes on.
func TestH2MalformedRequests(t *testing.T) {
	f := func(section, reason string, lines ...string) {
		t.Helper()
		h2Breaks(t, section, "1: reset 1; 3: 200, 17 bytes | "+reason, func(p *h2Peer) {
			p.frame(h2Headers, 5, 1, p.fields(lines...))
			p.get(3, "/")
		})
	}
	get := func(more ...string) []string { return pseudo("GET", "/", more...) }
	f("8.2.1 upper case", "bad-field-name", get("X-A: 1")...)
	f("8.2.1 space in a name", "bad-field-name", get("x a: 1")...)
	f("8.2.1 NUL in a value", "bad-field-value", get("x-a: a\x00b")...)
	f("8.2.1 LF in a value", "bad-field-value", get("x-a: a\nb")...)
	f("8.2.1 CR in a value", "bad-field-value", get("x-a: a\rb")...)
	f("8.2.1 DEL in a value", "bad-field-value", get("x-a: a\x7f")...)
	f("8.2.1 space before a value", "bad-field-value", get("x-a:   b")...)
	f("8.2.1 space after a value", "bad-field-value", get("x-a: b ")...)
	f("8.2.1 tab after a value", "bad-field-value", get("x-a: b\t")...)
	f("8.2.1 NUL in a path", "bad-field-value", pseudo("GET", "/\x00")...)
	f("8.2.2 connection", "bad-connection-field", get("connection: close")...)
	f("8.2.2 keep-alive", "bad-connection-field", get("keep-alive: 1")...)
	f("8.2.2 proxy-connection", "bad-connection-field", get("proxy-connection: x")...)
	f("8.2.2 transfer-encoding", "bad-connection-field", get("transfer-encoding: chunked")...)
	f("8.2.2 upgrade", "bad-connection-field", get("upgrade: h2c")...)
	f("8.2.2 te", "bad-connection-field", get("te: gzip")...)
	f("8.2.2 te list", "bad-connection-field", get("te: trailers, gzip")...)
	f("8.3 unknown pseudo-header field", "bad-pseudo-field", append([]string{":protocol: websocket"}, get()...)...)
	f("8.3 response pseudo-header field", "bad-pseudo-field", append([]string{":status: 200"}, get()...)...)
	f("8.3 pseudo-header field late", "bad-pseudo-field", ":method: GET", ":scheme: http", "x-a: 1", ":authority: a", ":path: /")
	f("8.3 upper case pseudo-header field", "bad-pseudo-field", ":Method: GET", ":scheme: http", ":authority: a", ":path: /")
	f("8.3.1 repeated :path", "bad-pseudo-field", append([]string{":path: /"}, get()...)...)
	f("8.3.1 repeated :method", "bad-pseudo-field", append([]string{":method: GET"}, get()...)...)
	f("8.3.1 repeated :authority", "bad-pseudo-field", append([]string{":authority: example.org"}, get()...)...)
	f("8.3.1 no :method", "bad-pseudo-field", get()[1:]...)
	f("8.3.1 no :scheme", "bad-pseudo-field", ":method: GET", ":authority: a", ":path: /")
	f("8.3.1 no :path", "bad-pseudo-field", get()[:3]...)
	f("8.3.1 empty :path", "bad-pseudo-field", pseudo("GET", "")...)
	f("8.3.1 empty :method", "bad-pseudo-field", pseudo("", "/")...)
	f("8.3.1 :path without slash", "bad-target", pseudo("GET", "a")...)
	f("8.3.1 :path with a scheme", "bad-target", pseudo("GET", "http://example.org/")...)
	f("8.3.1 host differs", "host-mismatch", get("host: other.example")...)
	f("8.3.1 two hosts", "duplicate-host", get("host: example.org", "host: example.org")...)
	f("8.5 CONNECT with a path", "bad-pseudo-field", pseudo("CONNECT", "/")...)
	f("8.5 CONNECT without authority", "bad-pseudo-field", ":method: CONNECT")
	f("8.1.1 content-length without body", "body-length-mismatch", get("content-length: 1")...)
	f("8.1.1 content-length junk", "bad-content-length", get("content-length: 1x")...)
	f("8.1.1 content-length sign", "bad-content-length", get("content-length: +1")...)
	f("8.1.1 content-length twice", "duplicate-content-length", get("content-length: 0", "content-length: 0")...)
}

// Requests that are well-formed but refused get an answer.
func TestH2RefusedRequests(t *testing.T) {
	f := func(status, reason string, lines ...string) {
		t.Helper()
		h2Breaks(t, reason, "", func(p *h2Peer) {
			p.head(h2FlagEndStream, 1, lines...)
			if got := p.heard(); !strings.HasPrefix(got, "1: "+status) || !strings.HasSuffix(got, "| "+reason+" "+status) {
				t.Errorf("got %s, want %s, %s", got, status, reason)
			}
			p.get(3, "/")
			p.expect("3: 200, 17 bytes")
		})
	}
	get := func(more ...string) []string { return pseudo("GET", "/", more...) }
	f("400", "connect-target", ":method: CONNECT", ":authority: example.org:443")
	f("400", "bad-method", pseudo("G T", "/")...)
	f("400", "bad-target", pseudo("GET", "/a b")...)
	f("400", "bad-target", pseudo("GET", "/%zz")...)
	f("400", "bad-target", pseudo("GET", "/#x")...)
	f("400", "bad-target", pseudo("GET", "*")...)
	f("400", "scheme-mismatch", ":method: GET", ":scheme: https", ":authority: a", ":path: /")
	f("400", "missing-host", ":method: GET", ":scheme: http", ":path: /")
	f("400", "bad-host", ":method: GET", ":scheme: http", ":authority: u@example.org", ":path: /")
	f("400", "bad-host", ":method: GET", ":scheme: http", ":path: /", "host: a b")
	f("414", "url-too-long", pseudo("GET", "/"+strings.Repeat("a", 8192))...)
	f("417", "unknown-expectation", get("expect: x")...)
	f("494", "head-too-large", get("x-a: "+strings.Repeat("a", 33000))...)
	f("494", "too-many-fields", get(strings.Split(strings.Repeat("x-a: 1\n", 256)+"x-b: 1", "\n")...)...)
	h2Breaks(t, "413", "1: 413, 98 bytes; 1: reset 0 | body-too-large 413", func(p *h2Peer) {
		p.post(1, "/", "content-length: 68719476737")
	})
}

// A size update in the middle of a refused head must not be lost.
func TestH2TableAfterRefusal(t *testing.T) {
	h2Run(t, &Engine{}, func(p *h2Peer) {
		p.get(1, "/", "x-a: "+strings.Repeat("a", 33000), "x-late: in the table")
		p.get(3, "/fields", "x-late: in the table")
		if got := p.answer(3); !strings.Contains(string(got.body), "x-late: in the table") {
			t.Errorf("got %q", got.body)
		}
	})
}

// Trailers are checked and dropped (RFC 9113, Section 8.1).
func TestH2Trailers(t *testing.T) {
	f := func(name, want string, flags uint8, lines ...string) {
		t.Helper()
		h2Breaks(t, name, want, func(p *h2Peer) {
			p.post(1, "/hash", "content-length: 2")
			p.data(1, []byte("hi"), false)
			p.head(flags, 1, lines...)
		})
	}
	f("good", "1: 200, 66 bytes", 5, "x-sum: 1")
	f("no END_STREAM", "1: reset 1 | bad-trailer", 0, "x-sum: 1")
	f("pseudo-header field", "1: reset 1 | bad-pseudo-field", 5, ":path: /")
	f("connection-specific", "1: reset 1 | bad-connection-field", 5, "transfer-encoding: chunked")
	f("upper case", "1: reset 1 | bad-field-name", 5, "X-Sum: 1")
	f("too large", "1: reset 1 | bad-trailer", 5, "x-sum: "+strings.Repeat("a", 33000))
	h2Breaks(t, "content-length not reached", "1: reset 1 | body-length-mismatch", func(p *h2Peer) {
		p.post(1, "/hash", "content-length: 3")
		p.data(1, []byte("hi"), false)
		p.frame(h2Headers, 5, 1, p.fields("x-sum: 1"))
	})
}

// Body lengths must agree with content-length (RFC 9113, Section 8.1.1).
func TestH2BodyLength(t *testing.T) {
	f := func(name, want, length string, pieces ...string) {
		t.Helper()
		h2Breaks(t, name, want, func(p *h2Peer) {
			p.post(1, "/hash", "content-length: "+length)
			for i, s := range pieces {
				p.data(1, []byte(s), i == len(pieces)-1)
			}
		})
	}
	const hash = "1: 200, 66 bytes"
	f("exact", hash, "4", "ab", "cd")
	f("exact, empty end", hash, "4", "abcd", "")
	f("short", "1: reset 1 | body-length-mismatch", "5", "ab", "cd")
	f("long", "1: reset 1 | body-length-mismatch", "3", "ab", "cd")
	h2Breaks(t, "something where nothing is said", "1: reset 1 | body-length-mismatch", func(p *h2Peer) {
		p.post(1, "/wait", "content-length: 0")
		p.data(1, []byte("a"), true)
	})
}
