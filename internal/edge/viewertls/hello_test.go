package viewertls

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// TestForeignBytes: what is no usable ClientHello, how it is answered and which
// reason it leaves. After the bytes the client ends its side.
func TestForeignBytes(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	hello := (&rawHello{name: "a.example"}).record()
	broken := bytes.Clone(hello)
	broken[9+2+32+1+32] = 0xff // the length of cipher_suites
	const closeNotify, protocolVersion = "\x15\x03\x03\x00\x02\x01\x00", "\x15\x03\x03\x00\x02\x02\x46"

	f := func(name, sent string, reason tlspolicy.Reason, reply string) {
		t.Helper()
		n := e.count()
		conn := must(net.Dial("tcp", e.addr)).(*net.TCPConn)
		defer conn.Close()
		conn.Write([]byte(sent))
		conn.CloseWrite()
		got, err := io.ReadAll(conn)
		facts := e.next(n)
		if err != nil || string(got) != reply {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, reply)
		}
		if facts.Reason != reason || facts.Stage != StageConnected || !facts.Refused || facts.JA4 != "" || facts.ServerName != "" {
			t.Errorf("%s: facts %+v, want %s", name, facts, reason)
		}
	}
	f("nothing", "", tlspolicy.ReasonIncomplete, "")
	f("half a hello", string(hello[:50]), tlspolicy.ReasonIncomplete, "")
	f("HTTP", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", tlspolicy.ReasonHTTP, plainHTTPResponse)
	f("h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", tlspolicy.ReasonHTTP, plainHTTPResponse)
	f("SSH", "SSH-2.0-OpenSSH_9.9\r\n", tlspolicy.ReasonNotTLS, "")
	f("zeros", strings.Repeat("\x00", 300), tlspolicy.ReasonNotTLS, "")
	f("SSLv2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"+strings.Repeat("\x01", 37), tlspolicy.ReasonSSLv2, protocolVersion)
	f("alert", "\x15\x03\x01\x00\x02\x02\x28", tlspolicy.ReasonUnexpectedMessage, closeNotify)
	f("ServerHello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", tlspolicy.ReasonUnexpectedMessage, closeNotify)
	f("broken hello", string(broken), tlspolicy.ReasonMalformed, closeNotify)
	f("announces 16 MiB", "\x16\x03\x01\x40\x00\x01\xff\xff\xff", tlspolicy.ReasonTooLarge, closeNotify)
}

func TestPlainHTTPResponse(t *testing.T) {
	if !strings.Contains(plainHTTPResponse, "Content-Length: 169\r\n") || len(plainHTTPBody) != 169 {
		t.Errorf("the body has %d bytes", len(plainHTTPBody))
	}
}

// TestSizeLimit: the largest hello that is taken, and the next byte.
func TestSizeLimit(t *testing.T) {
	e := newEdge(t, Options{MaxHelloBytes: 32 << 10}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	base := len((&rawHello{name: "a.example"}).message()) + 4
	// The limit is that of the message's body, as in crypto/tls.
	fits := rawHello{name: "a.example", padding: 4 + 32<<10 - base}
	if reply, _ := e.exchange(fits.record()); len(reply) < 8 || reply[0] != 22 {
		t.Errorf("a hello of %d bytes was not answered: % x", len(fits.message()), reply)
	}
	fits.padding++
	if reply, facts := e.exchange(fits.record()); facts.Reason != tlspolicy.ReasonTooLarge || len(reply) != 7 {
		t.Errorf("one byte more: % x, %+v", reply, facts)
	}
	// In records of one byte, the same hello has six times the bytes on the wire.
	fits.padding--
	if _, facts := e.exchange(records(fits.message(), 1)); facts.Reason != tlspolicy.ReasonTooLarge {
		t.Errorf("records of one byte: %+v", facts)
	}
}

// TestFragments: a hello may be cut anyhow, into records and into packets.
func TestFragments(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	msg := (&rawHello{name: "a.example", padding: 3000}).message()
	for _, size := range []int{16, 100, 517, 1400} {
		reply, facts := e.exchange(records(msg, size))
		if len(reply) < 8 || reply[0] != 22 || facts.HelloBytes != len(msg) {
			t.Errorf("records of %d: % x, %+v", size, reply[:min(8, len(reply))], facts)
		}
	}
	// A whole handshake through a connection that hands over one byte at a time.
	server, cl, sv := e.server, net.Conn(nil), net.Conn(nil)
	cl, sv = net.Pipe()
	defer cl.Close()
	go tls.Client(cl, client("a.example")).Handshake()
	conn, facts, err := server.Handshake(t.Context(), dripConn{sv})
	if err != nil || facts.Stage != StageDone {
		t.Fatalf("one byte at a time: %v, %+v", err, facts)
	}
	conn.NetConn().Close()
}

// dripConn reads one byte at a time.
type dripConn struct{ net.Conn }

func (c dripConn) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(1, len(p))]) }

// TestReset: a reset within the hello and after it.
func TestReset(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	hello := (&rawHello{name: "a.example"}).record()
	reset := func(b []byte, wait int) tlspolicy.Handshake {
		n := e.count()
		conn := must(net.Dial("tcp", e.addr)).(*net.TCPConn)
		conn.Write(b)
		io.ReadFull(conn, make([]byte, wait))
		conn.SetLinger(0)
		conn.Close()
		return e.next(n)
	}
	// A reset may overtake the bytes before it.
	if facts := reset(hello[:20], 0); facts.Reason != tlspolicy.ReasonReset || facts.Stage != StageConnected || !facts.Refused {
		t.Errorf("within the hello: %+v", facts)
	}
	if facts := reset(hello, 100); facts.Reason != tlspolicy.ReasonAborted || facts.Stage != StageDecided || facts.Refused || facts.Group != tlspolicy.X25519 || facts.Err == "" {
		t.Errorf("after the server's flight: %+v", facts)
	}
}

// TestClientAlert: a client that does not like the certificate says so.
func TestClientAlert(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	_, facts, err := e.dial(&tls.Config{ServerName: "a.example"})
	if err == nil || facts.Reason != tlspolicy.ReasonAborted || !strings.Contains(facts.Err, "bad certificate") {
		t.Errorf("%v, %+v", err, facts)
	}
}

// slow runs one handshake on a pipe in a bubble. The client writes with write, then
// waits for the end of the connection.
func slow(t *testing.T, o Options, write func(net.Conn)) (tlspolicy.Handshake, string) {
	var facts tlspolicy.Handshake
	var reply []byte
	synctest.Test(t, func(t *testing.T) {
		o.Snapshots = &snapshot.Holder{}
		o.Snapshots.Store(&snapshot.Snapshot{Generation: 1, Sites: []*snapshot.Site{
			testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA())}})
		server := must(New(o))
		cl, sv := net.Pipe()
		var peer sync.WaitGroup
		peer.Go(func() { write(cl) })
		peer.Go(func() {
			reply, _ = io.ReadAll(cl)
			cl.Close()
		})
		_, f, err := server.Handshake(t.Context(), sv)
		if err == nil {
			t.Error("the handshake succeeded")
		}
		facts = *f
		peer.Wait()
	})
	return facts, string(reply)
}

// TestSlowClients: the deadline is one for the whole hello, and one for the whole
// handshake, however the bytes are spread.
func TestSlowClients(t *testing.T) {
	hello := (&rawHello{name: "a.example"}).record()
	const closeNotify = "\x15\x03\x03\x00\x02\x01\x00"
	f := func(name string, o Options, write func(net.Conn), reason tlspolicy.Reason, after time.Duration, reply string) {
		t.Helper()
		facts, got := slow(t, o, write)
		if facts.Reason != reason || facts.Duration != after {
			t.Errorf("%s: %+v, want %s after %v", name, facts, reason, after)
		}
		if reply != "" && got != reply {
			t.Errorf("%s: got % x, want % x", name, got, reply)
		}
	}
	drip := func(c net.Conn) {
		for _, b := range hello {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	f("silence", Options{}, func(net.Conn) {}, tlspolicy.ReasonTimeout, DefaultHelloTime, closeNotify)
	f("half a hello", Options{}, func(c net.Conn) { c.Write(hello[:60]) }, tlspolicy.ReasonTimeout, DefaultHelloTime, closeNotify)
	f("a byte a second", Options{}, drip, tlspolicy.ReasonTimeout, DefaultHelloTime, closeNotify)
	f("other limit", Options{HelloTime: time.Minute, HandshakeTime: 2 * time.Minute}, drip, tlspolicy.ReasonTimeout, time.Minute, closeNotify)
	f("handshake limit is lower", Options{HelloTime: time.Minute, HandshakeTime: time.Second}, drip, tlspolicy.ReasonTimeout, time.Second, closeNotify)
	f("no Finished", Options{}, func(c net.Conn) { c.Write(hello) }, tlspolicy.ReasonHandshakeTimeout, DefaultHandshakeTime, "")
}

// TestHalfOpen: 2,000 connections with half a hello cost little memory each, and
// others do not notice them.
func TestHalfOpen(t *testing.T) {
	const connections = 2000
	const most = 16 << 10 // bytes for each, client's side included
	e := newEdge(t, Options{HelloTime: time.Minute, HandshakeTime: time.Minute}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	hello := (&rawHello{name: "a.example", padding: 1000}).record()
	if _, _, err := e.dial(client("a.example")); err != nil {
		t.Fatal(err)
	}
	before := memory()
	conns := make([]net.Conn, connections)
	for i := range conns {
		conn, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		conns[i] = conn
		if i%2 == 0 {
			conn.Write(hello[:600])
		}
	}
	for range 20 {
		if _, _, err := e.dial(client("a.example")); err != nil {
			t.Fatalf("a proper client among them: %v", err)
		}
	}
	each := (memory() - before) / connections
	t.Logf("%d bytes for each half-open connection, both sides", each)
	if each > most {
		t.Errorf("each half-open connection costs %d bytes, want at most %d", each, most)
	}
	n := e.count()
	for _, conn := range conns {
		conn.Close()
	}
	for i := range connections {
		if facts := e.next(n + i); facts.Reason != tlspolicy.ReasonIncomplete && facts.Reason != tlspolicy.ReasonReset {
			t.Fatalf("facts %+v", facts)
		}
	}
}

// memory is what heap and stacks hold after a collection.
func memory() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// FuzzHandshake: whatever a client sends, there is one record of it and no panic.
func FuzzHandshake(f *testing.F) {
	site := testSite(f, "TLSv1", []string{"a.example"}, testECDSA(), testRSA())
	f.Add((&rawHello{name: "a.example"}).record())
	f.Add((&rawHello{name: "a.example", versions: []uint16{0x0303}, suites: []uint16{0xC02B, 0xC02F, 0x009C}}).record())
	f.Add((&rawHello{name: "a.example", groups: []uint16{0x11EC, 29}, noShare: true}).record())
	f.Add((&rawHello{}).record())
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		holder := &snapshot.Holder{}
		holder.Store(&snapshot.Snapshot{Sites: []*snapshot.Site{site}})
		var seen int
		server := must(New(Options{Snapshots: holder, Observer: func(Attempt) { seen++ }, Logger: slog.New(slog.DiscardHandler)}))
		cl, sv := net.Pipe()
		go io.Copy(io.Discard, cl)
		go func() { cl.Write(sent); cl.Close() }()
		conn, facts, err := server.Handshake(t.Context(), sv)
		if conn != nil || err == nil || facts == nil || facts.Reason == "" || facts.Reason == tlspolicy.ReasonPolicyBreach || seen != 1 {
			t.Fatalf("%v, %+v, observed %d", err, facts, seen)
		}
	})
}
