package viewerhttp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	oracle "golang.org/x/net/http2/hpack"
)

// h2Peer is a viewer that speaks in frames, over a connection in memory and in a
// bubble of synctest: it can break every rule, and time passes only when nothing
// else can happen.
type h2Peer struct {
	t      testing.TB
	conn   net.Conn
	cancel context.CancelFunc // ends the server's context
	begun  chan struct{}      // SETTINGS are sent
	begin  func()
	enc    *oracle.Encoder
	block  bytes.Buffer

	mu       sync.Mutex
	events   []string // what came, in short, without SETTINGS and WINDOW_UPDATE
	answers  map[uint32]*h2Got
	order    []uint32 // the streams of DATA frames as they came
	updates  map[uint32]int64
	settings map[uint16]uint32
	deaf     bool // reads nothing more
	paused   atomic.Bool
	resume   chan struct{} // ends the pause
	mute     atomic.Bool   // does not acknowledge SETTINGS
	refused  []Rejection
	served   atomic.Bool // ServeH2 returned
	ended    bool        // the connection was closed by the server
}

// h2Got is what came on one stream.
type h2Got struct {
	status  string
	header  []string // "name: value" in order
	interim []string
	body    []byte
	ended   bool
}

// h2Run runs f as a viewer of e, in a bubble.
func h2Run(t *testing.T, e *Engine, f func(p *h2Peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := h2Dial(t, e)
		p.send([]byte(h2Preface))
		p.frame(h2Settings, 0, 0, nil)
		p.settle() // SETTINGS are acknowledged: it will not come between frames of f
		f(p)
		p.close()
	})
}

// h2Dial connects a peer that has not sent anything.
func h2Dial(t testing.TB, e *Engine) *h2Peer {
	client, server := net.Pipe()
	p := &h2Peer{t: t, conn: client, answers: map[uint32]*h2Got{}, updates: map[uint32]int64{}, settings: map[uint16]uint32{}}
	p.begun, p.resume = make(chan struct{}), make(chan struct{})
	p.begin = sync.OnceFunc(func() { close(p.begun) })
	p.enc = oracle.NewEncoder(&p.block)
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	if e.Handler == nil {
		e.Handler = h2Answer(h2PeerSite)
	}
	e.Observer = func(r Rejection) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused = append(p.refused, r)
	}
	go func() {
		e.ServeH2(ctx, server, &Conn{ID: 1})
		p.served.Store(true)
	}()
	go p.listen()
	return p
}

// close ends the connection and checks that nothing of it stays behind; the bubble
// itself notices goroutines that do not end.
func (p *h2Peer) close() {
	p.t.Helper()
	p.conn.Close()
	p.begin()
	synctest.Wait()
	p.cancel()
	if !p.served.Load() {
		p.t.Error("ServeH2 goes on after its connection was closed")
	}
}

func (p *h2Peer) send(b []byte) {
	p.conn.Write(b) // the server may have closed: tests look at what it said
}

func (p *h2Peer) frame(typ h2Type, flags uint8, stream uint32, payload []byte) {
	p.send(append(appendH2Frame(nil, len(payload), typ, flags, stream), payload...))
	if typ == h2Settings {
		p.begin()
	}
}

// fields encodes "name: value" lines.
func (p *h2Peer) fields(lines ...string) []byte {
	p.block.Reset()
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1 // the first colon may begin the name
		p.enc.WriteField(oracle.HeaderField{Name: l[:i], Value: strings.TrimPrefix(l[i+1:], " ")})
	}
	return slices.Clone(p.block.Bytes())
}

// pseudo are the fields of a plain request.
func pseudo(method, path string, more ...string) []string {
	return append([]string{":method: " + method, ":scheme: http", ":authority: example.org", ":path: " + path}, more...)
}

// head sends a field block, in as many frames as it takes.
func (p *h2Peer) head(flags uint8, stream uint32, lines ...string) {
	out := appendH2Frame(nil, 0, h2Headers, flags|h2FlagEndHeaders, stream)
	p.send(finishH2Head(append(out, p.fields(lines...)...), 0))
}

// get sends a complete request without body.
func (p *h2Peer) get(stream uint32, path string, more ...string) {
	p.head(h2FlagEndStream, stream, pseudo("GET", path, more...)...)
}

// post begins a request with a body.
func (p *h2Peer) post(stream uint32, path string, more ...string) {
	p.frame(h2Headers, h2FlagEndHeaders, stream, p.fields(pseudo("POST", path, more...)...))
}

func (p *h2Peer) data(stream uint32, b []byte, end bool) {
	flags := uint8(0)
	if end {
		flags = h2FlagEndStream
	}
	p.frame(h2Data, flags, stream, b)
}

func (p *h2Peer) windowUpdate(stream, n uint32) { p.send(appendH2WindowUpdate(nil, stream, n)) }

func (p *h2Peer) setting(id uint16, v uint32) {
	p.frame(h2Settings, 0, 0, appendH2Setting(nil, id, v))
}

// u32 is v on the wire.
func u32(v uint32, more ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, v), more...)
}

// listen reads frames until the end.
func (p *h2Peer) listen() {
	dec := oracle.NewDecoder(4096, nil)
	head := make([]byte, h2HeaderLen)
	for {
		p.mu.Lock()
		deaf := p.deaf
		p.mu.Unlock()
		if deaf {
			return
		}
		if p.paused.Load() {
			<-p.resume
		}
		if _, err := io.ReadFull(p.conn, head); err != nil {
			p.note("eof")
			p.mu.Lock()
			p.ended = true
			p.mu.Unlock()
			return
		}
		f := parseH2Frame(head)
		payload := make([]byte, f.length)
		io.ReadFull(p.conn, payload)
		if f.typ == h2Settings && !f.has(h2FlagAck) && !p.mute.Load() {
			go func() {
				<-p.begun // SETTINGS come first (RFC 9113, Section 3.4)
				p.frame(h2Settings, h2FlagAck, 0, nil)
			}()
		}
		p.take(f, payload, dec)
	}
}

func (p *h2Peer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, fmt.Sprintf(format, args...))
}

func (p *h2Peer) take(f h2Frame, b []byte, dec *oracle.Decoder) {
	switch f.typ {
	case h2Headers:
		p.takeHead(f, b, dec)
	case h2Data:
		p.mu.Lock()
		got := p.answers[f.stream]
		got.body = append(got.body, b...)
		p.order = append(p.order, f.stream)
		p.mu.Unlock()
	case h2RSTStream:
		p.note("%d: reset %d", f.stream, binary.BigEndian.Uint32(b))
	case h2GoAway:
		p.note("goaway %d last %d", binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b))
	case h2Ping:
		p.note("ping %d %q", f.flags, b)
	case h2WindowUpdate:
		p.mu.Lock()
		p.updates[f.stream] += int64(binary.BigEndian.Uint32(b))
		p.mu.Unlock()
	case h2Settings:
		p.mu.Lock()
		for ; len(b) > 0; b = b[6:] {
			p.settings[binary.BigEndian.Uint16(b)] = binary.BigEndian.Uint32(b[2:])
		}
		p.mu.Unlock()
	default:
		p.note("frame type %d", f.typ)
	}
	if (f.typ == h2Headers || f.typ == h2Data) && f.has(h2FlagEndStream) {
		p.mu.Lock()
		got := p.answers[f.stream]
		got.ended = true
		p.events = append(p.events, fmt.Sprintf("%d: %s, %d bytes", f.stream, got.status, len(got.body)))
		p.mu.Unlock()
	}
}

func (p *h2Peer) takeHead(f h2Frame, b []byte, dec *oracle.Decoder) {
	if !f.has(h2FlagEndHeaders) {
		// The rest of the block follows at once (RFC 9113, Section 6.10).
		for done := false; !done; {
			head := make([]byte, h2HeaderLen)
			io.ReadFull(p.conn, head)
			next := parseH2Frame(head)
			more := make([]byte, next.length)
			io.ReadFull(p.conn, more)
			if next.typ != h2Continuation || next.stream != f.stream {
				p.t.Errorf("frame type %d on %d in a field block", next.typ, next.stream)
			}
			b = append(b, more...)
			done = next.has(h2FlagEndHeaders)
		}
	}
	fields, err := dec.DecodeFull(b)
	if err != nil {
		p.t.Errorf("stream %d: field block %x: %v", f.stream, b, err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.answers[f.stream]
	if got == nil {
		got = &h2Got{}
		p.answers[f.stream] = got
	}
	if fields[0].Name == ":status" && strings.HasPrefix(fields[0].Value, "1") {
		got.interim = append(got.interim, fields[0].Value)
		return
	}
	for i, x := range fields {
		if (i == 0) != (x.Name == ":status") {
			p.t.Errorf("stream %d: field %d is %s", f.stream, i, x)
		}
		if i == 0 {
			got.status = x.Value
			continue
		}
		got.header = append(got.header, x.Name+": "+x.Value)
	}
}

// heard waits until nothing moves and returns what came since the last call, then
// what the Observer was told: "event; event | reason; reason".
func (p *h2Peer) heard() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := strings.Join(p.events, "; ")
	for i, r := range p.refused {
		if i == 0 {
			s += " | "
		} else {
			s += "; "
		}
		s += string(r.Reason)
		if r.Status != 0 {
			s += fmt.Sprintf(" %d", r.Status)
		}
	}
	p.events, p.refused = nil, nil
	return s
}

func (p *h2Peer) expect(want string) {
	p.t.Helper()
	if got := p.heard(); got != want {
		p.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// answer returns a copy of what came on one stream so far.
func (p *h2Peer) answer(stream uint32) h2Got {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.answers[stream]; got != nil {
		return *got
	}
	return h2Got{}
}

// h2InBubble is h2Run without the preface.
func h2InBubble(t *testing.T, e *Engine, f func(p *h2Peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := h2Dial(t, e)
		f(p)
		p.close()
	})
}

// settle waits until nothing moves.
func (p *h2Peer) settle() { synctest.Wait() }
