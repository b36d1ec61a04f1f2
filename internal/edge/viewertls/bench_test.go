package viewertls

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pqfront/internal/clienthello"
	"pqfront/internal/tlspolicy"
)

// meterConn measures how long its user waits for the peer.
type meterConn struct {
	net.Conn
	waited time.Duration
}

func (c *meterConn) Read(p []byte) (int, error) {
	start := time.Now()
	n, err := c.Conn.Read(p)
	c.waited += time.Since(start)
	return n, err
}

// pair is a TCP connection over loopback, both ends.
func pair(b *testing.B, ln net.Listener) (client, server net.Conn) {
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		b.Fatal(err)
	}
	return client, server
}

// BenchmarkHandshake measures the server's side of a handshake, without the waiting
// for the client, beside a bare crypto/tls server: interleaved, medians. allocs/op
// count both servers and both clients.
func BenchmarkHandshake(b *testing.B) {
	type config struct {
		name    string
		cert    *tls.Certificate
		group   tls.CurveID
		resumed bool
	}
	for _, c := range []config{
		{"P256/X25519MLKEM768", testECDSA(), tls.X25519MLKEM768, false},
		{"P256/X25519", testECDSA(), tls.X25519, false},
		{"RSA2048/X25519MLKEM768", testRSA(), tls.X25519MLKEM768, false},
		{"RSA2048/X25519", testRSA(), tls.X25519, false},
		{"resumed/X25519MLKEM768", testECDSA(), tls.X25519MLKEM768, true},
		{"resumed/X25519", testECDSA(), tls.X25519, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			ln := must(net.Listen("tcp", "127.0.0.1:0"))
			defer ln.Close()
			server := must(New(Options{Snapshots: compiled(b, "TLSv1.3_2025", "a.example", c.cert)}))
			bare := &tls.Config{Certificates: []tls.Certificate{*c.cert}, NextProtos: []string{"h2", "http/1.1"}}

			run := func(store tls.ClientSessionCache, handshake func(net.Conn) (*tls.Conn, error)) time.Duration {
				cl, sv := pair(b, ln)
				defer cl.Close()
				defer sv.Close()
				cfg := client("a.example")
				cfg.CurvePreferences, cfg.ClientSessionCache = []tls.CurveID{c.group}, store
				peer := tls.Client(cl, cfg)
				var wg sync.WaitGroup
				wg.Go(func() {
					if peer.Handshake() != nil {
						return
					}
					if store != nil {
						peer.Read(make([]byte, 1)) // takes the ticket
					}
				})
				meter := &meterConn{Conn: sv}
				start := time.Now()
				conn, err := handshake(meter)
				took := time.Since(start) - meter.waited
				if err != nil {
					b.Fatal(err)
				}
				if store != nil {
					conn.Write([]byte("x"))
				}
				wg.Wait()
				if store != nil && conn.ConnectionState().DidResume != store.(*ticketStore).full {
					b.Fatal("not resumed as wanted")
				}
				return took
			}
			doBare := func(conn net.Conn) (*tls.Conn, error) {
				t := tls.Server(conn, bare)
				return t, t.Handshake()
			}
			doOurs := func(conn net.Conn) (*tls.Conn, error) {
				t, _, err := server.Handshake(b.Context(), conn)
				return t, err
			}
			var bareStore, ourStore tls.ClientSessionCache
			if c.resumed {
				one, two := &ticketStore{}, &ticketStore{}
				run(one, doBare)
				run(two, doOurs)
				one.full, two.full = true, true
				bareStore, ourStore = one, two
			}
			var bareTimes, ourTimes []time.Duration
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 { // neither is always the one that follows the other
					bareTimes = append(bareTimes, run(bareStore, doBare))
				}
				ourTimes = append(ourTimes, run(ourStore, doOurs))
				if i%2 == 1 {
					bareTimes = append(bareTimes, run(bareStore, doBare))
				}
			}
			x, y := median(bareTimes), median(ourTimes)
			b.ReportMetric(float64(x)/1e3, "bare-µs")
			b.ReportMetric(float64(y)/1e3, "ours-µs")
			b.ReportMetric(float64(y)/float64(x), "ratio")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkDecision: from the bytes on the wire to the configuration of the engine,
// without and with the fingerprints.
func BenchmarkDecision(b *testing.B) {
	holder := compiled(b, "TLSv1.3_2025", "a.example", testECDSA(), testRSA())
	snap := holder.Load()
	site := snap.Sites[0]
	server := must(New(Options{Snapshots: holder}))
	msg := (&rawHello{name: "a.example", groups: []uint16{0x11EC, 29, 23, 24}, padding: 1200}).message()
	b.Run("parse+decide", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h := must(clienthello.Parse(tlspolicy.TCP, msg))
			out := tlspolicy.Decide(&h.Offer, site.TLS.Effective, site.TLS.TCP)
			server.config(snap, site.TLS, tlspolicy.TCP, &out, nil)
		}
	})
	b.Run("with-fingerprints", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a := newAttempt(tlspolicy.TCP, nil, nil)
			a.take(must(clienthello.Parse(tlspolicy.TCP, msg)))
			if server.decide(a) != "" {
				b.Fatal(a.facts)
			}
			server.config(snap, site.TLS, tlspolicy.TCP, &a.facts.Outcome, nil)
		}
	})
}

// BenchmarkIdle: what an idle connection keeps after its handshake, beside a bare
// crypto/tls server. The client's side is freed but for its socket.
func BenchmarkIdle(b *testing.B) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	defer ln.Close()
	server := must(New(Options{Snapshots: compiled(b, "TLSv1.3_2025", "a.example", testECDSA())}))
	bare := &tls.Config{Certificates: []tls.Certificate{*testECDSA()}, NextProtos: []string{"h2"}}
	const n = 500
	measure := func(handshake func(net.Conn) (*tls.Conn, any)) int {
		conns := make([]net.Conn, 0, 2*n)
		keep := make([]any, 0, n)
		before := memory()
		for range n {
			cl, sv := pair(b, ln)
			var wg sync.WaitGroup
			wg.Go(func() { tls.Client(cl, client("a.example")).Handshake() })
			conn, facts := handshake(sv)
			wg.Wait()
			conns, keep = append(conns, cl, sv), append(keep, conn, facts)
		}
		each := (memory() - before) / n
		for _, c := range conns {
			c.Close()
		}
		runtime.KeepAlive(keep)
		return each
	}
	var x, y int
	for b.Loop() {
		x = measure(func(c net.Conn) (*tls.Conn, any) {
			t := tls.Server(c, bare)
			t.Handshake()
			return t, nil
		})
		y = measure(func(c net.Conn) (*tls.Conn, any) {
			t, facts, err := server.Handshake(b.Context(), c)
			if err != nil {
				b.Fatal(err)
			}
			return t, facts
		})
	}
	b.ReportMetric(float64(x), "bare-B/conn")
	b.ReportMetric(float64(y), "ours-B/conn")
}

// BenchmarkTicket: sealing and opening one, as every resumption does.
func BenchmarkTicket(b *testing.B) {
	now := time.Now()
	keys := NewTicketKeys(now)
	bound := &sessionBinding{version: tlspolicy.TLSv1_3, suite: 0x1301}
	state := append([]byte{3, 4, 1, 0x13, 1}, binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))...)
	state = append(append(append(state, 32), make([]byte, 32)...), make([]byte, 3+1+1+3+3)...)
	ss := must(tls.ParseSessionState(state))
	ticket := must(bound.seal(keys, "a.example", ss, now))
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(bound.seal(keys, "a.example", ss, now))
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if bound.open(keys, "a.example", ticket, now) == nil {
				b.Fatal("it does not open")
			}
		}
	})
}
