package viewertls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"pqfront/internal/clienthello"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// quicExchange gives hello, a handshake message, to the engine as quic-go would, and
// returns its answer, the record and the error, if any.
func (e *edgeFixture) quicExchange(hello []byte) ([]byte, tlspolicy.Handshake, error) {
	n := e.count()
	ctx, cancel := context.WithCancelCause(e.tb.Context())
	conn := tls.QUICServer(&tls.QUICConfig{TLSConfig: e.server.QUICConfig(), EnableSessionEvents: true})
	defer conn.Close()
	conn.SetTransportParameters(nil)
	if err := conn.Start(e.server.QUICContext(ctx, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7})); err != nil {
		e.tb.Fatal(err)
	}
	err := conn.HandleData(tls.QUICEncryptionLevelInitial, hello)
	var out []byte
	for ev := conn.NextEvent(); ev.Kind != tls.QUICNoEvent; ev = conn.NextEvent() {
		if ev.Kind == tls.QUICWriteData {
			out = append(out, ev.Data...)
		}
	}
	cancel(errors.New("that is all"))
	return out, e.next(n), err
}

// quicParameters is an empty quic_transport_parameters extension (RFC 9001, Section 8.2).
var quicParameters = []byte{0, 57, 0, 0}

var h3ALPN = []byte{0, 16, 0, 5, 0, 3, 2, 'h', '3'}

// TestQUICDecisions: what is recorded on QUIC is what Decide says of the whole hello,
// key shares included, and what the engine did.
func TestQUICDecisions(t *testing.T) {
	var sites []*snapshot.Site
	for _, p := range tlspolicy.All() {
		sites = append(sites, testSite(t, p.Name, []string{strings.ToLower(strings.ReplaceAll(p.Name, "_", "-")) + ".example"}, testECDSA(), testRSA()))
	}
	e := newEdge(t, Options{}, sites...)
	offers := [][]uint16{{29}, {23}, {24}, {25}, {29, 23}, {23, 29}, {0x11EC, 29}, {0x11EB, 23}, {0x11ED, 0x11EC, 0x11EB}, {0x11EC, 0x11EB}, {25, 24}, {24, 29}}
	for _, site := range sites {
		for _, groups := range offers {
			for _, noShare := range []bool{false, true} {
				h := rawHello{name: site.Distribution.Aliases[0], groups: groups, noShare: noShare, extra: slices.Concat(quicParameters, h3ALPN)}
				msg := h.message()
				parsed := must(clienthello.Parse(tlspolicy.QUIC, msg))
				want := tlspolicy.Decide(&parsed.Offer, site.TLS.Effective, site.TLS.QUIC)
				if strings.HasPrefix(site.TLS.Policy.Name, "PQFront_TLSv1.3_PQ_Strict") && !noShare {
					continue // the deviation in quic.go; none of these offers has a PQ share anyway
				}
				reply, facts, err := e.quicExchange(msg)
				if want.Refused {
					alert, _ := errors.AsType[tls.AlertError](err)
					if _, standard := tlspolicy.RFCAlerts.Alert(want.Reason); uint8(alert) != uint8(standard) || facts.Reason != want.Reason || !facts.Refused || facts.Alert != standard {
						t.Errorf("%s %x: %v, %+v, want %+v", h.name, groups, err, facts, want)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s %x: %v", h.name, groups, err)
					continue
				}
				retry := retryGroup(append([]byte{22, 3, 3, 0, 0}, reply...))
				if want.HRR != (retry != 0) || want.HRR && retry != want.Group {
					t.Errorf("%s %x: the engine retries with %v, want %+v", h.name, groups, retry, want)
				}
				if facts.JA4 != parsed.JA4() || facts.JA3 == "" {
					t.Errorf("%s: JA4 %s, want %s", h.name, facts.JA4, parsed.JA4())
				}
				if want.HRR {
					continue // the record is complete only after the second hello
				}
				if facts.Alert, want.Alert = 0, 0; facts.Group != want.Group || facts.HRR || facts.Suite != want.Suite || facts.Scheme != want.Scheme || facts.Certificate != want.Certificate || facts.ALPN != want.ALPN {
					t.Errorf("%s %x: recorded %+v, want %+v", h.name, groups, facts.Outcome, want)
				}
			}
		}
	}
}

// TestQUICRefusals: every refusal has its alert (RFC 9001, Section 4.8).
func TestQUICRefusals(t *testing.T) {
	site := testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA())
	h2only := testSite(t, "TLSv1.3_2025", []string{"noh3.example"}, testECDSA())
	h2only.TLS.ServesQUIC = false
	e := newEdge(t, Options{}, site, h2only)
	extra := slices.Concat(quicParameters, h3ALPN)
	f := func(h rawHello, reason tlspolicy.Reason, alert uint8) {
		t.Helper()
		_, facts, err := e.quicExchange(h.message())
		if got, ok := errors.AsType[tls.AlertError](err); !ok || uint8(got) != alert || facts.Reason != reason || facts.Stage == StageDone {
			t.Errorf("%+v: %v, %+v, want %s and alert %d", h, err, facts, reason, alert)
		}
	}
	f(rawHello{extra: extra}, tlspolicy.ReasonNoSNI, 112)
	f(rawHello{name: "b.example", extra: extra}, tlspolicy.ReasonUnknownSNI, 112)
	f(rawHello{name: "a.example", extra: extra, versions: []uint16{0x0304, 0x0303}}, tlspolicy.ReasonVersionTooLow, 70)
	f(rawHello{name: "a.example", extra: extra, versions: []uint16{0x0303}}, tlspolicy.ReasonVersionTooLow, 70)
	f(rawHello{name: "a.example", extra: extra, suites: []uint16{0x1304}}, tlspolicy.ReasonNoCommonSuite, 40)
	f(rawHello{name: "a.example", extra: extra, groups: []uint16{25}}, tlspolicy.ReasonNoCommonGroup, 40)
	f(rawHello{name: "a.example", extra: quicParameters}, tlspolicy.ReasonNoALPN, 120)
	f(rawHello{name: "noh3.example", extra: extra}, tlspolicy.ReasonNoALPN, 120)
	f(rawHello{name: "a.example", extra: h3ALPN}, tlspolicy.ReasonMissingExtension, 109)
}

// h3Fixture is an edge with a QUIC listener that takes and keeps connections.
type h3Fixture struct {
	*edgeFixture
	transport *quic.Transport
	accepted  chan *quic.Conn
}

func newH3(t *testing.T, o Options, conf *quic.Config, sites ...*snapshot.Site) *h3Fixture {
	e := &h3Fixture{edgeFixture: newEdge(t, o, sites...), accepted: make(chan *quic.Conn, 16)}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	e.transport = &quic.Transport{Conn: socket, ConnContext: func(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
		return e.server.QUICContext(ctx, info.RemoteAddr), nil
	}}
	ln, err := e.transport.Listen(e.server.QUICConfig(), conf)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept(t.Context())
			if err != nil {
				return
			}
			e.accepted <- conn
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		e.transport.Close()
		socket.Close()
		<-done
		e.server.Wait()
	})
	return e
}

func (e *h3Fixture) dialQUIC(cfg *tls.Config) (*quic.Conn, error) {
	cfg.NextProtos = []string{"h3"}
	return quic.DialAddr(e.tb.Context(), e.transport.Conn.LocalAddr().String(), cfg, nil)
}

// TestQUICConnections: with quic-go around it, as in the edge.
func TestQUICConnections(t *testing.T) {
	e := newH3(t, Options{}, nil,
		testSite(t, "TLSv1.2_2021", []string{"a.example"}, testECDSA(), testRSA()),
		testSite(t, "PQFront_TLSv1.3_PQ_2026", []string{"pq.example"}, testRSA()))
	f := func(name string, groups []tls.CurveID, want tlspolicy.Outcome) *tlspolicy.Handshake {
		t.Helper()
		cfg := client(name)
		cfg.CurvePreferences = groups
		n := e.count()
		conn, err := e.dialQUIC(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseWithError(0, "")
		facts := e.server.FactsFor((<-e.accepted).Context())
		if facts == nil || facts.Outcome != want || facts.Transport != tlspolicy.QUIC || facts.Stage != StageDone ||
			facts.ServerName != name || !strings.HasPrefix(facts.JA4, "q13d") || facts.Duration <= 0 || facts.Distribution == "" {
			t.Errorf("%s: facts %+v, want %+v", name, facts, want)
		}
		if cs := conn.ConnectionState().TLS; cs.HelloRetryRequest != want.HRR || uint16(cs.CurveID) != uint16(want.Group) {
			t.Errorf("%s: the client sees group %v, HelloRetryRequest %t", name, cs.CurveID, cs.HelloRetryRequest)
		}
		if seen := e.next(n); facts != nil && seen != *facts {
			t.Errorf("observed %+v", seen)
		}
		return facts
	}
	pq := tlspolicy.Outcome{Version: tlspolicy.TLSv1_3, Suite: 0x1301, Group: tlspolicy.X25519MLKEM768, Scheme: 0x0403, ALPN: "h3"}
	rsa := pq
	rsa.Scheme = 0x0804
	retry := pq
	retry.Group, retry.HRR = tlspolicy.X25519, true
	second := rsa
	second.Group = tlspolicy.SecP256r1MLKEM768
	f("a.example", nil, pq)
	f("pq.example", nil, rsa)
	f("pq.example", []tls.CurveID{tls.SecP256r1MLKEM768}, second)
	f("a.example", []tls.CurveID{tls.SecP384r1MLKEM1024, tls.X25519}, retry)

	n := e.count()
	cfg := client("pq.example")
	cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	_, err := e.dialQUIC(cfg)
	var transport *quic.TransportError
	if !errors.As(err, &transport) || transport.ErrorCode != 0x100+40 {
		t.Errorf("got %v, want CRYPTO_ERROR 0x128", err)
	}
	if facts := e.next(n); facts.Reason != tlspolicy.ReasonNoCommonGroup || facts.Policy != "PQFront_TLSv1.3_PQ_2026" || facts.Stage != StageHello {
		t.Errorf("facts %+v", facts)
	}

	// A client that goes away after the server's flight.
	n = e.count()
	strict := &tls.Config{ServerName: "a.example"}
	if _, err := e.dialQUIC(strict); err == nil {
		t.Error("a client that trusts nobody connected")
	}
	if facts := e.next(n); facts.Reason != tlspolicy.ReasonAborted || facts.Stage != StageDecided || facts.Refused {
		t.Errorf("facts %+v", facts)
	}
}

// TestQUICResumption: tickets work on QUIC too, under the same keys and bounds.
func TestQUICResumption(t *testing.T) {
	old := testSite(t, "TLSv1.2_2021", []string{"a.example"}, testECDSA())
	e := newH3(t, Options{}, nil, old)
	store := &ticketStore{}
	f := func(resumes bool) {
		t.Helper()
		cfg := client("a.example")
		cfg.ClientSessionCache = store
		conn, err := e.dialQUIC(cfg)
		if err != nil {
			t.Fatal(err)
		}
		facts := e.server.FactsFor((<-e.accepted).Context())
		if facts.Resumed != resumes || conn.ConnectionState().TLS.DidResume != resumes || conn.ConnectionState().Used0RTT {
			t.Errorf("resumed %t, want %t: %+v", facts.Resumed, resumes, facts)
		}
		// The ticket comes after the handshake.
		for !store.has() {
			time.Sleep(time.Millisecond)
		}
		conn.CloseWithError(0, "")
	}
	f(false)
	f(true)
	tcp := newSession(e.edgeFixture)
	tcp.store = store
	if facts := tcp.connect("a.example", nil); facts.Resumed {
		t.Error("a QUIC ticket resumed on TCP")
	}
	store = &ticketStore{}
	f(false)
	e.swap(testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	f(false)
}

// TestQUICSilence: an Initial packet without the rest of its hello is recorded.
func TestQUICSilence(t *testing.T) {
	e := newH3(t, Options{}, &quic.Config{HandshakeIdleTimeout: 200 * time.Millisecond}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	n := e.count()
	// A client whose first packet alone arrives: its hello needs two.
	wall, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer wall.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	cfg := client("a.example")
	cfg.NextProtos = []string{"h3"}
	go quic.DialAddr(ctx, wall.LocalAddr().String(), cfg, nil)
	packet := make([]byte, 2000)
	size, _, err := wall.ReadFromUDP(packet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wall.WriteToUDP(packet[:size], e.transport.Conn.LocalAddr().(*net.UDPAddr)); err != nil {
		t.Fatal(err)
	}
	if facts := e.next(n); facts.Reason != tlspolicy.ReasonTimeout || facts.Stage != StageConnected || !facts.Refused || facts.Transport != tlspolicy.QUIC {
		t.Errorf("facts %+v", facts)
	}
}

// TestQUICHello: what is put together from the engine's view is what Parse reads.
func TestQUICHello(t *testing.T) {
	h := rawHello{name: "A.Example", versions: []uint16{0x1a1a, 0x0304}, suites: []uint16{0x2a2a, 0x1303, 0x1301},
		groups: []uint16{0x3a3a, 0x11EC, 29}, padding: 10, extra: slices.Concat(quicParameters, h3ALPN, []byte{0x4a, 0x4a, 0, 0})}
	msg := h.message()
	want := must(clienthello.Parse(tlspolicy.QUIC, msg))
	var got *clienthello.Hello
	conn := tls.QUICServer(&tls.QUICConfig{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(chi *tls.ClientHelloInfo) (*tls.Config, error) {
			got = quicHello(chi)
			return nil, errors.New("enough")
		}}})
	conn.SetTransportParameters(nil)
	conn.Start(t.Context())
	conn.HandleData(tls.QUICEncryptionLevelInitial, msg)
	conn.Close()
	_, wantJA3 := want.JA3()
	_, gotJA3 := got.JA3()
	if got.JA4() != want.JA4() || gotJA3 != wantJA3 || got.Offer.ServerName != want.Offer.ServerName || !bytes.Equal(got.Offer.Compression, want.Offer.Compression) ||
		!slices.Equal(got.Offer.SupportedVersions, want.Offer.SupportedVersions) || !slices.Equal(got.Offer.Groups, want.Offer.Groups) || got.Offer.LegacyVersion != want.Offer.LegacyVersion {
		t.Errorf("got %s %s %+v\nwant %s %s %+v", got.JA4(), gotJA3, got.Offer, want.JA4(), wantJA3, want.Offer)
	}
}
