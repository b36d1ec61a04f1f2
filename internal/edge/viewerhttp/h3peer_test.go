package viewerhttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	oracle "github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"pqfront/internal/tlspolicy"
)

// startH3 is the mode for the tests that hold for every version; its judge is
// quic-go's client.
func startH3(t testing.TB, e *Engine) (http.RoundTripper, string) {
	addr, clientTLS, _ := serveH3(t, e)
	tr := &http3.Transport{TLSClientConfig: clientTLS, DisableCompression: true}
	t.Cleanup(func() { tr.Close() })
	return tr, "https://" + addr
}

// serveH3 serves e on loopback until the test ends, or until stop is called.
func serveH3(t testing.TB, e *Engine) (addr string, clientTLS *tls.Config, stop func()) {
	t.Helper()
	serverTLS, clientTLS := testTLS(t, "h3")
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: udp}
	ln, err := tr.Listen(serverTLS, QUICConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var ids atomic.Uint64
	all.Go(func() {
		for {
			qc, err := ln.Accept(ctx)
			if err != nil {
				return
			}
			all.Go(func() {
				e.ServeQUICConn(ctx, qc, &Conn{ID: ids.Add(1), TLS: &tlspolicy.Handshake{Transport: tlspolicy.QUIC, Stage: "done"}})
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
		ln.Close()
		tr.Close()
		udp.Close()
	})
	return udp.LocalAddr().String(), clientTLS, cancel
}

// h3Peer is a viewer that speaks in frames: it can break every rule.
type h3Peer struct {
	t       testing.TB
	qc      *quic.Conn
	control *quic.SendStream
	stop    func() // ends the server's context

	mu      sync.Mutex
	refused []Rejection
}

// h3Dial serves e and connects to it. The control stream begins with hello; nil is
// the usual one.
func h3Dial(t testing.TB, e *Engine, hello []byte, conf ...*quic.Config) *h3Peer {
	t.Helper()
	p := &h3Peer{t: t}
	e.Observer = func(r Rejection) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused = append(p.refused, r)
	}
	addr, clientTLS, stop := serveH3(t, e)
	p.stop = stop
	c := &quic.Config{}
	if len(conf) > 0 {
		c = conf[0]
	}
	qc, err := quic.DialAddr(t.Context(), addr, clientTLS, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { qc.CloseWithError(h3NoError, "") })
	p.qc = qc
	if hello == nil {
		hello = h3TestHello()
	}
	p.control = p.uni(hello)
	return p
}

func h3TestHello() []byte {
	return append([]byte{h3ControlStream}, frame3(h3Settings, []byte{h3SetMaxField, 63})...)
}

// uni opens a unidirectional stream and writes b on it.
func (p *h3Peer) uni(b []byte) *quic.SendStream {
	p.t.Helper()
	str, err := p.qc.OpenUniStreamSync(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if len(b) > 0 {
		if _, err := str.Write(b); err != nil {
			p.t.Fatal(err)
		}
	}
	return str
}

// frame3 makes a frame.
func frame3(typ uint64, payload []byte) []byte {
	return append(appendH3Frame(nil, typ, uint64(len(payload))), payload...)
}

// section encodes "name: value" lines, which need not be valid, by the oracle.
func section(lines ...string) []byte {
	var b strings.Builder
	enc := oracle.NewEncoder(&b)
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1
		enc.WriteField(oracle.HeaderField{Name: l[:i], Value: strings.TrimPrefix(l[i+1:], " ")})
	}
	return []byte(b.String())
}

// get3 is a HEADERS frame with a proper GET and more lines.
func get3(lines ...string) []byte {
	return frame3(h3Headers, section(append([]string{":method: GET", ":scheme: https", ":authority: example.org", ":path: /"}, lines...)...))
}

func post3(lines ...string) []byte {
	return frame3(h3Headers, section(append([]string{":method: POST", ":scheme: https", ":authority: example.org", ":path: /"}, lines...)...))
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// h3Got is what came back for one request.
type h3Got struct {
	status  string
	header  []string
	interim int
	body    []byte
	frames  int                  // of DATA
	code    quic.StreamErrorCode // of a reset
	connErr error
}

// ask opens a request stream, writes b and, with fin, ends it; then it reads the answer.
func (p *h3Peer) ask(b []byte, fin bool) h3Got {
	p.t.Helper()
	str := p.open(b, fin)
	if str == nil {
		return h3Got{connErr: context.Cause(p.qc.Context())}
	}
	return p.answer(str)
}

// open returns nil when the connection is over.
func (p *h3Peer) open(b []byte, fin bool) *quic.Stream {
	p.t.Helper()
	str, err := p.qc.OpenStreamSync(p.t.Context())
	if err != nil {
		return nil
	}
	if _, err := str.Write(b); err != nil {
		return str
	}
	if fin {
		str.Close()
	}
	return str
}

func (p *h3Peer) answer(str *quic.Stream) (got h3Got) {
	str.SetReadDeadline(time.Now().Add(20 * time.Second))
	in := &h3Input{src: str, buf: make([]byte, 4096)}
	for {
		typ, length, err := in.frame()
		if err == io.EOF {
			return got
		}
		if err == nil && typ == h3Data {
			got.frames++
			b := make([]byte, length)
			n, e := io.ReadFull(in, b)
			got.body, err = append(got.body, b[:n]...), e
		} else if err == nil && typ == h3Headers {
			b := make([]byte, length)
			if err = in.full(b); err == nil {
				p.takeHead(&got, b)
			}
		}
		if err != nil {
			var reset *quic.StreamError
			if errors.As(err, &reset) {
				got.code = reset.ErrorCode
			} else {
				got.connErr = err
			}
			return got
		}
	}
}

func (p *h3Peer) takeHead(got *h3Got, b []byte) {
	got.status, got.header = "", nil
	next := oracle.NewDecoder().Decode(b)
	for {
		f, err := next()
		if err != nil {
			break
		}
		if f.Name == ":status" {
			got.status = f.Value
			if got.status == "100" {
				got.interim++
			}
			continue
		}
		got.header = append(got.header, f.Name+": "+f.Value)
	}
}

// ended waits for the end of the connection and returns its code.
func (p *h3Peer) ended() string {
	select {
	case <-p.qc.Context().Done():
	case <-time.After(20 * time.Second):
		return "still open"
	}
	var app *quic.ApplicationError
	if errors.As(context.Cause(p.qc.Context()), &app) {
		return fmt.Sprintf("%#x", uint64(app.ErrorCode))
	}
	return fmt.Sprint(context.Cause(p.qc.Context()))
}

// reasons waits until n refusals were reported, or for a while, and returns them.
func (p *h3Peer) reasons(n int) string {
	var out []string
	for range 1000 {
		out = nil
		p.mu.Lock()
		for _, r := range p.refused {
			out = append(out, string(r.Reason))
		}
		p.mu.Unlock()
		if len(out) >= n {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return strings.Join(out, " ")
}

// echo answers with what it was asked for.
var echo = handlerFunc(func(_ context.Context, r *Request, w Responder) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			w.Respond(&Response{Status: 400, Header: fields("x-error", err.Error())})
			return
		}
	}
	w.Respond(&Response{Status: 200, Header: fields("x-asked", fmt.Sprintf("%s %s://%s%s?%s body=%v len=%d %v", r.Method, r.Scheme, r.Authority,
		r.Path, r.Query, r.Body != nil, r.ContentLength, r.Header)), Bytes: body, Length: int64(len(body))})
})

// data3 is a DATA frame.
func data3(s string) []byte { return frame3(h3Data, []byte(s)) }

// grease is a frame of a type that means nothing (RFC 9114, Section 7.2.8).
func grease() []byte { return frame3(0x1f*7+0x21, []byte("grease")) }

func varint(i uint64) []byte { return quicvarint.Append(nil, i) }
