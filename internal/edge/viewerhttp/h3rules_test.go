package viewerhttp

import (
	"context"
	"strings"
	"testing"
)

// TestH3Malformed: a malformed request resets its stream with H3_MESSAGE_ERROR and
// harms no other (RFC 9114, Section 4.1.2).
func TestH3Malformed(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo}, nil)
	n := 0
	f := func(request []byte, want Reason) {
		t.Helper()
		n++
		got := p.ask(request, true)
		reasons := strings.Fields(p.reasons(n))
		if len(reasons) < n {
			t.Fatalf("%s: nothing was reported; the answer is %+v", want, got)
		}
		if got.code != h3MessageError && got.status != "400" || reasons[n-1] != string(want) {
			t.Errorf("got %+v, reason %s, want %s", got, reasons[n-1], want)
		}
	}
	head := func(lines ...string) []byte { return frame3(h3Headers, section(lines...)) }
	// RFC 9114, Section 4.2.
	f(get3("X-Upper: 1"), ReasonBadFieldName)
	f(get3("x y: 1"), ReasonBadFieldName)
	f(get3("x: a\nb"), ReasonBadFieldValue)
	f(get3("x: a\x00b"), ReasonBadFieldValue)
	f(get3("x:  padded"), ReasonBadFieldValue)
	f(get3("connection: close"), ReasonBadConnection)
	f(get3("transfer-encoding: chunked"), ReasonBadConnection)
	f(get3("upgrade: h2c"), ReasonBadConnection)
	f(get3("te: gzip"), ReasonBadConnection)
	// RFC 9114, Section 4.3.
	f(get3(":late: 1"), ReasonPseudoField)
	f(get3("x: 1", ":path: /"), ReasonPseudoField)
	f(get3(":path: /again"), ReasonPseudoField)
	f(head(":method: GET", ":scheme: https", ":authority: a", ":path: /", ":status: 200"), ReasonPseudoField)
	f(head(":scheme: https", ":authority: a", ":path: /"), ReasonPseudoField)
	f(head(":method: GET", ":authority: a", ":path: /"), ReasonPseudoField)
	f(head(":method: GET", ":scheme: https", ":authority: a"), ReasonPseudoField)
	f(head(":method: GET", ":scheme: https", ":authority: a", ":path: "), ReasonPseudoField)
	f(head(":method: GET", ":scheme: https", ":authority: a", ":path: relative"), ReasonBadTarget)
	f(head(":method: GET", ":scheme: https", ":authority: a", ":path: /a b"), ReasonBadTarget)
	f(head(":method: GET", ":scheme: https", ":path: /"), ReasonMissingHost)
	f(head(":method: GET", ":scheme: https", ":authority: ", ":path: /", "host: a"), ReasonPseudoField)
	f(get3("host: elsewhere.example"), ReasonHostMismatch)
	f(get3("host: example.org", "host: example.org"), ReasonDupHost)
	f(head(":method: GET", ":scheme: https", ":authority: user@a", ":path: /"), ReasonBadHost)
	f(head(":method: GET", ":scheme: http", ":authority: a", ":path: /"), ReasonSchemeMismatch)
	f(head(":method: G T", ":scheme: https", ":authority: a", ":path: /"), ReasonBadMethod)
	// RFC 9114, Sections 4.1.2 and 4.4.
	f(get3("content-length: 1"), ReasonBodyLength)
	f(get3("content-length: +1"), ReasonBadContentLength)
	f(get3("content-length: 1, 1"), ReasonBadContentLength)
	f(join(post3("content-length: 1", "content-length: 1"), data3("a")), ReasonDupContentLength)
	f(join(post3("content-length: 3"), data3("ab")), ReasonBodyLength)
	f(join(post3("content-length: 1"), data3("ab")), ReasonBodyLength)
	f(join(post3("content-length: 0"), data3("a")), ReasonBodyLength)
	f(join(post3("content-length: 3"), data3("ab"), frame3(h3Headers, section("x: 1"))), ReasonBodyLength)
	f(join(post3(), data3("a"), frame3(h3Headers, section(":path: /"))), ReasonPseudoField)
	f(join(post3(), data3("a"), frame3(h3Headers, section("X: 1"))), ReasonBadFieldName)
	f(head(":method: CONNECT", ":scheme: https", ":authority: a", ":path: /"), ReasonPseudoField)
	f(head(":method: CONNECT", ":authority: a:443"), ReasonConnectTarget)
	if got := p.ask(get3(), true); got.status != "200" {
		t.Errorf("a good request after them: %+v", got)
	}
}

// TestH3Refused: what has an answer of the engine's own.
func TestH3Refused(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo, Limits: Limits{BodyBytes: 100}}, nil)
	f := func(request []byte, want string) {
		t.Helper()
		if got := p.ask(request, true); got.status != want || len(got.body) == 0 {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
	long := strings.Repeat("a", 8192)
	f(frame3(h3Headers, section(":method: GET", ":scheme: https", ":authority: a", ":path: /"+long)), "414")
	f(get3("x: "+long, "y: "+long, "z: "+long, "w: "+long), "494")
	f(get3(strings.Split(strings.Repeat("x: 1\n", 300)+"y: 1", "\n")...), "494")
	f(frame3(h3Headers, make([]byte, 40000)), "494")
	f(get3("expect: the-unexpected"), "417")
	f(join(post3("content-length: 101"), data3(strings.Repeat("a", 101))), "413")
	if got := p.ask(join(post3(), data3(strings.Repeat("a", 101))), true); got.status != "400" {
		t.Errorf("a body that grew too large: %+v", got)
	}
	if got := p.ask(get3("expect: 100-continue"), true); got.status != "200" || got.interim != 0 {
		t.Errorf("expect without a body: %+v", got)
	}
}

// TestH3Requests: what is well-formed, and what the Handler sees of it.
func TestH3Requests(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo}, nil)
	f := func(request []byte, want string) {
		t.Helper()
		got := p.ask(request, true)
		if got.status != "200" || len(got.header) == 0 || got.header[0] != "x-asked: "+want {
			t.Errorf("got  %s %v\nwant 200 x-asked: %s", got.status, got.header, want)
		}
	}
	f(get3(), "GET https://example.org/? body=false len=0 []")
	f(join(grease(), get3(), grease()), "GET https://example.org/? body=false len=0 []")
	f(get3("cookie: a=1", "x: 1", "cookie: b=2"), "GET https://example.org/? body=false len=0 [{cookie a=1; b=2} {x 1}]")
	f(get3("host: EXAMPLE.org"), "GET https://example.org/? body=false len=0 []")
	f(get3("te: trailers"), "GET https://example.org/? body=false len=0 [{te trailers}]")
	f(get3("content-length: 0"), "GET https://example.org/? body=false len=0 [{content-length 0}]")
	f(join(get3(), data3("ab")), "GET https://example.org/? body=true len=-1 []")
	f(join(get3(), data3("")), "GET https://example.org/? body=false len=0 []")
	f(join(post3("content-length: 2"), data3("a"), grease(), data3(""), data3("b")), "POST https://example.org/? body=true len=2 [{content-length 2}]")
	f(join(post3(), data3("ab"), frame3(h3Headers, section("x-sum: 1")), grease()), "POST https://example.org/? body=true len=-1 []")
	f(frame3(h3Headers, section(":method: OPTIONS", ":scheme: https", ":authority: a:8443", ":path: *")), "OPTIONS https://a:8443*? body=false len=0 []")
	f(frame3(h3Headers, section(":path: /p?q=1", ":authority: [::1]:443", ":scheme: HTTPS", ":method: GET")), "GET https://[::1]:443/p?q=1 body=false len=0 []")
	if got := p.ask(join(post3("content-length: 3"), data3("a"), data3("bc")), true); string(got.body) != "abc" || got.frames != 1 {
		t.Errorf("body: %+v", got)
	}
	if got := p.reasons(0); got != "" {
		t.Errorf("reported %s", got)
	}
}

// TestH3ConnErrors: what ends the whole connection.
func TestH3ConnErrors(t *testing.T) {
	f := func(name string, hello []byte, act func(p *h3Peer), code string, reason Reason) {
		t.Run(name, func(t *testing.T) {
			p := h3Dial(t, &Engine{Handler: echo}, hello)
			if act != nil {
				act(p)
			}
			if got := p.ended(); got != code {
				t.Errorf("the connection ended with %s, want %s", got, code)
			}
			if got := p.reasons(1); got != string(reason) {
				t.Errorf("reported %q, want %q", got, reason)
			}
		})
	}
	request := func(b []byte) func(p *h3Peer) { return func(p *h3Peer) { p.ask(b, true) } }
	control := func(b ...[]byte) func(p *h3Peer) { return func(p *h3Peer) { p.control.Write(join(b...)) } }
	uni := func(b ...[]byte) func(p *h3Peer) { return func(p *h3Peer) { p.uni(join(b...)) } }

	// Request streams (RFC 9114, Sections 4.1, 7.1 and 7.2).
	f("data first", nil, request(data3("a")), "0x105", ReasonH3Protocol)
	f("settings on a request", nil, request(join(get3(), frame3(h3Settings, nil))), "0x105", ReasonH3Protocol)
	f("settings before the head", nil, request(join(frame3(h3Settings, nil), get3())), "0x105", ReasonH3Protocol)
	f("push promise", nil, request(join(post3(), frame3(h3PushPromise, []byte{0}))), "0x105", ReasonH3Protocol)
	f("http/2 frame", nil, request(join(post3(), frame3(0x8, []byte{0}))), "0x105", ReasonH3Protocol)
	f("data after trailers", nil, request(join(post3(), data3("a"), frame3(h3Headers, section("x: 1")), data3("b"))), "0x105", ReasonH3Protocol)
	f("headers after trailers", nil, request(join(post3(), frame3(h3Headers, section("x: 1")), frame3(h3Headers, section("x: 1")))), "0x105", ReasonH3Protocol)
	f("cut frame head", nil, request([]byte{h3Headers}), "0x106", ReasonH3Frame)
	f("cut section", nil, request(get3()[:20]), "0x106", ReasonH3Frame)
	f("cut data", nil, request(join(post3(), data3("abc")[:3])), "0x106", ReasonH3Frame)
	f("bad section", nil, request(frame3(h3Headers, []byte{0, 0, 0xff, 0x24})), "0x200", ReasonH3Compression)
	f("dynamic table", nil, request(frame3(h3Headers, []byte{2, 0, 0x80})), "0x200", ReasonH3Compression)
	f("bad trailer section", nil, request(join(post3(), frame3(h3Headers, []byte{2, 0, 0x80}))), "0x200", ReasonH3Compression)
	f("many empty frames", nil, request(join(post3(), []byte(strings.Repeat(string(data3("")), 200)), data3("a"))), "0x107", ReasonH3FrameFlood)
	f("much grease", nil, request(join(frame3(0x21, make([]byte, 70000)), get3())), "0x107", ReasonH3FrameFlood)

	// The control stream (RFC 9114, Sections 6.2.1 and 7.2).
	f("no settings", join([]byte{h3ControlStream}, frame3(h3GoAway, []byte{0})), nil, "0x10a", ReasonH3Settings)
	f("settings twice", nil, control(frame3(h3Settings, nil)), "0x105", ReasonH3Protocol)
	f("setting twice", join([]byte{h3ControlStream}, frame3(h3Settings, []byte{6, 1, 6, 1})), nil, "0x109", ReasonH3Settings)
	f("http/2 setting", join([]byte{h3ControlStream}, frame3(h3Settings, []byte{2, 0})), nil, "0x109", ReasonH3Settings)
	f("cut setting", join([]byte{h3ControlStream}, frame3(h3Settings, []byte{6})), nil, "0x106", ReasonH3Frame)
	f("huge settings", join([]byte{h3ControlStream}, frame3(h3Settings, make([]byte, 2000))), nil, "0x107", ReasonH3FrameFlood)
	f("data on control", nil, control(data3("a")), "0x105", ReasonH3Protocol)
	f("headers on control", nil, control(get3()), "0x105", ReasonH3Protocol)
	f("http/2 frame on control", nil, control(frame3(0x6, make([]byte, 8))), "0x105", ReasonH3Protocol)
	f("cancel push", nil, control(frame3(h3CancelPush, []byte{0})), "0x108", ReasonH3Protocol)
	f("max push id shrinks", nil, control(frame3(h3MaxPushID, []byte{5}), frame3(h3MaxPushID, []byte{4})), "0x108", ReasonH3Protocol)
	f("max push id too long", nil, control(frame3(h3MaxPushID, []byte{5, 5})), "0x106", ReasonH3Frame)
	f("goaway grows", nil, control(frame3(h3GoAway, []byte{4}), frame3(h3GoAway, []byte{8})), "0x108", ReasonH3Protocol)
	f("empty goaway", nil, control(frame3(h3GoAway, nil)), "0x106", ReasonH3Frame)
	f("priority of no request", nil, control(frame3(h3PriorityRequest, []byte("\x03u=1"))), "0x108", ReasonH3Protocol)
	f("priority of a push", nil, control(frame3(h3PriorityPush, []byte("\x00u=1"))), "0x108", ReasonH3Protocol)
	f("control closed", nil, func(p *h3Peer) { p.control.Close() }, "0x104", ReasonH3ClosedCritical)
	f("control reset", nil, func(p *h3Peer) { p.ask(get3(), true); p.control.CancelWrite(h3NoError) }, "0x104", ReasonH3ClosedCritical)
	f("frame flood", nil, control([]byte(strings.Repeat(string(frame3(h3MaxPushID, []byte{1})), 3000))), "0x107", ReasonH3FrameFlood)
	f("large frame", nil, control(frame3(h3PriorityRequest, make([]byte, 5000))), "0x107", ReasonH3FrameFlood)

	// Other unidirectional streams (RFC 9114, Section 6.2; RFC 9204, Section 4).
	f("two control streams", nil, uni(h3TestHello()), "0x103", ReasonH3StreamCreation)
	f("push stream", nil, uni([]byte{h3PushStream, 0}), "0x103", ReasonH3StreamCreation)
	f("two encoder streams", nil, func(p *h3Peer) { p.uni([]byte{qpackEncoder}); p.uni([]byte{qpackEncoder}) }, "0x103", ReasonH3StreamCreation)
	f("table capacity", nil, uni([]byte{qpackEncoder, 0x20, 0x3f, 0xe1, 0x1f}), "0x201", ReasonH3Compression)
	f("table insert", nil, uni([]byte{qpackEncoder, 0xc0, 0x00}), "0x201", ReasonH3Compression)
	f("section acknowledgment", nil, uni([]byte{qpackDecoder, 0x80}), "0x202", ReasonH3Compression)
	f("insert count increment", nil, uni([]byte{qpackDecoder, 0x01}), "0x202", ReasonH3Compression)
	f("decoder closed", nil, func(p *h3Peer) { p.uni([]byte{qpackDecoder}).Close() }, "0x104", ReasonH3ClosedCritical)
}

// TestH3Tolerates: what must not end a connection.
func TestH3Tolerates(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: echo}, join([]byte{h3ControlStream}, frame3(h3Settings, join(varint(0x1f*5+0x21), varint(7), varint(0x33), varint(1))), grease()))
	p.control.Write(join(grease(), frame3(h3MaxPushID, []byte{3}), frame3(h3MaxPushID, []byte{3}), frame3(h3GoAway, []byte{8}), frame3(h3GoAway, []byte{0}),
		frame3(h3PriorityRequest, []byte("\x00u=1, i")), frame3(h3PriorityRequest, []byte("\x10u=1, i")), frame3(h3PriorityRequest, []byte("\x00(nonsense"))))
	p.uni([]byte{qpackEncoder, 0x20, 0x20})
	p.uni([]byte{qpackDecoder, 0x41, 0x7f, 0xff, 0x01})
	for range 20 { // more than may be open at once
		str := p.uni(join(varint(0x1f*9+0x21), []byte("whatever")))
		str.Close()
	}
	p.uni(nil).Close() // ends before its type is known
	for range 3 {
		if got := p.ask(get3("priority: u=0"), true); got.status != "200" {
			t.Fatalf("%+v", got)
		}
	}
	if got := p.reasons(0); got != "" {
		t.Errorf("reported %s", got)
	}
}

// TestH3HeaderOrder: the fields come in the Handler's order, ":status" first, and
// what HTTP/3 does not have is left out.
func TestH3HeaderOrder(t *testing.T) {
	p := h3Dial(t, &Engine{Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) {
		w.Respond(&Response{Status: 200, Bytes: []byte("hello"), Length: 5, Header: fields("content-type", "text/html", "content-length", "5",
			"date", "Sun, 07 Sep 2025 14:38:08 GMT", "connection", "keep-alive", "x-cache", "Hit from cloudfront", "age", "0", "Bad Name", "x", "x-bad", "a\nb",
			"set-cookie", "a=b", "content-length", "7", "x-empty", "", "zzz", "1", "aaa", "2")})
	})}, nil)
	got := p.ask(get3(), true)
	want := "content-type: text/html|content-length: 5|date: Sun, 07 Sep 2025 14:38:08 GMT|x-cache: Hit from cloudfront|age: 0|set-cookie: a=b|x-empty: |zzz: 1|aaa: 2"
	if s := strings.Join(got.header, "|"); got.status != "200" || s != want || string(got.body) != "hello" {
		t.Errorf("got  %s %s %q\nwant 200 %s", got.status, s, got.body, want)
	}
}
