package viewerhttp

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	oracle "golang.org/x/net/http2/hpack"
)

// scriptConn gives the server one script to read, then the end, and checks that all
// it writes is whole frames of legal sizes and field blocks that decode.
type scriptConn struct {
	net.Conn // nil: every method that the server uses is below
	t        *testing.T
	in       *bytes.Reader

	mu     sync.Mutex
	out    []byte
	dec    *oracle.Decoder
	closed bool
}

func (c *scriptConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }

func (c *scriptConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *scriptConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	for c.out = append(c.out, p...); len(c.out) >= h2HeaderLen; {
		f := parseH2Frame(c.out)
		if f.length > h2MaxFrame || f.typ > h2Continuation || f.typ == h2PushPromise || f.typ == h2Priority {
			c.t.Errorf("the server wrote %+v", f)
		}
		if len(c.out) < h2HeaderLen+f.length {
			break
		}
		if f.typ == h2Headers { // none of the answers is so large that it needs CONTINUATION
			if _, err := c.dec.DecodeFull(c.out[h2HeaderLen : h2HeaderLen+f.length]); err != nil {
				c.t.Errorf("the server wrote the field block %x: %v", c.out[h2HeaderLen:h2HeaderLen+f.length], err)
			}
		}
		c.out = c.out[h2HeaderLen+f.length:]
	}
	if len(c.out) > 0 {
		c.t.Errorf("a write ends in the middle of a frame: %x", c.out)
	}
	return len(p), nil
}

func h2FuzzServe(t *testing.T, script []byte) {
	e := &Engine{Limits: Limits{BodyBytes: 1 << 16}, Observer: func(r Rejection) {
		if r.Reason.Doc() == "" {
			t.Errorf("no such reason: %q", r.Reason)
		}
	}}
	e.Handler = handlerFunc(func(ctx context.Context, r *Request, w Responder) {
		if err := h2CheckRequest(r); err != "" {
			t.Errorf("%s: %+v", err, r)
		}
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
		}
		switch len(r.Path) % 3 {
		case 0:
			w.Respond(&Response{Status: 200, Bytes: h2FuzzBody, Length: int64(len(h2FuzzBody))})
		case 1:
			w.Respond(&Response{Status: 200, Stream: h2OnlyReader{bytes.NewReader(h2FuzzBody)}, Length: -1})
		case 2:
			<-ctx.Done()
		}
	})
	conn := &scriptConn{t: t, in: bytes.NewReader(script), dec: oracle.NewDecoder(4096, nil)}
	e.ServeH2(context.Background(), conn, &Conn{})
	if !conn.closed {
		t.Error("the connection was not closed")
	}
}

var h2FuzzBody = bytes.Repeat([]byte("0123456789abcdef"), 5000)

// h2CheckRequest checks what Request promises.
func h2CheckRequest(r *Request) string {
	if !validMethod(r.Method) || r.Authority == "" || r.Scheme != "http" {
		return "method, authority or scheme"
	}
	if _, ok := normalAuthority(r.Authority); !ok {
		return "authority"
	}
	if r.Path == "" || r.Path[0] != '/' && !(r.Path == "*" && r.Method == "OPTIONS") {
		return "path"
	}
	if (r.Body == nil) != (r.ContentLength == 0) {
		return "body"
	}
	for _, f := range r.Header {
		if !validLowerFieldName(f.Name) || !validFieldValue(f.Value) || !trimmed(f.Value) {
			return "field " + f.Name
		}
		switch f.Name {
		case "host", "connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection":
			return "field " + f.Name
		}
	}
	if r.Header.Count("content-length") > 1 || r.Header.Count("cookie") > 1 {
		return "repeated field"
	}
	return ""
}

// FuzzH2Connection feeds any bytes after the preface.
func FuzzH2Connection(f *testing.F) {
	for _, s := range h2Seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		script := append([]byte(h2Preface), appendH2Frame(nil, 0, h2Settings, 0, 0)...)
		h2FuzzServe(t, append(script, in...))
	})
}

// FuzzH2Frames makes frames with true lengths of its input, so that it comes further:
// each is one byte of type, flags, stream and length, then the payload.
func FuzzH2Frames(f *testing.F) {
	for _, s := range h2Seeds() {
		var in []byte
		for len(s) >= h2HeaderLen {
			frame := parseH2Frame(s)
			n := min(frame.length, 255, len(s)-h2HeaderLen)
			in = append(in, byte(frame.typ), frame.flags, byte(frame.stream), byte(n))
			in = append(in, s[h2HeaderLen:h2HeaderLen+n]...)
			s = s[min(len(s), h2HeaderLen+frame.length):]
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		script := append([]byte(h2Preface), appendH2Frame(nil, 0, h2Settings, 0, 0)...)
		for len(in) >= 4 {
			n := min(int(in[3]), len(in)-4)
			script = append(appendH2Frame(script, n, h2Type(in[0]%0x12), in[1], uint32(in[2])), in[4:4+n]...)
			in = in[4+n:]
		}
		h2FuzzServe(t, script)
	})
}

// h2Seeds are small conversations.
func h2Seeds() [][]byte {
	var p h2Peer
	p.enc = oracle.NewEncoder(&p.block)
	head := func(flags uint8, stream uint32, lines ...string) []byte {
		b := p.fields(lines...)
		return append(appendH2Frame(nil, len(b), h2Headers, flags, stream), b...)
	}
	data := func(flags uint8, stream uint32, b string) []byte {
		return append(appendH2Frame(nil, len(b), h2Data, flags, stream), b...)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	block := p.fields(pseudo("GET", "/split", "cookie: a=b", "cookie: c=d")...)
	return [][]byte{
		join(head(5, 1, pseudo("GET", "/a")...), head(5, 3, pseudo("GET", "/ab", "priority: u=1, i")...), head(5, 5, pseudo("OPTIONS", "*")...)),
		join(head(4, 1, pseudo("POST", "/up", "content-length: 4", "expect: 100-continue")...), data(0, 1, "ab"), data(1, 1, "cd")),
		join(head(4, 1, pseudo("POST", "/up")...), data(8, 1, "\x01ab\x00"), head(5, 1, "x-trailer: 1")),
		join(appendH2Frame(nil, 5, h2Headers, 0, 1), block[:5], append(appendH2Frame(nil, len(block)-5, h2Continuation, 4, 1), block[5:]...)),
		join(appendH2Frame(nil, 6, h2Settings, 0, 0), appendH2Setting(nil, h2SetInitialWindow, 3), head(5, 1, pseudo("GET", "/abc")...), appendH2WindowUpdate(nil, 1, 9000), appendH2WindowUpdate(nil, 0, 70000)),
		join(head(5, 1, pseudo("GET", "/ab")...), appendH2Reset(nil, 1, 8), append(appendH2Frame(nil, 8, h2Ping, 0, 0), "12345678"...), appendH2GoAway(nil, 0, 0)),
		join(append(appendH2Frame(nil, 7, h2PriorityUpdate, 0, 0), "\x00\x00\x00\x01u=0"...), appendH2Frame(nil, 5, h2Priority, 0, 1), []byte{0, 0, 0, 3, 9}, head(0x25, 1, pseudo("GET", "/")...)),
		join(appendH2Frame(nil, 6, h2Settings, 0, 0), appendH2Setting(nil, h2SetHeaderTableSize, 0), head(5, 1, pseudo("GET", "/abcd")...), appendH2Frame(nil, 0, h2Settings, 1, 0)),
	}
}
