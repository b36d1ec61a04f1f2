package viewertls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// TestOutcomes: what is decided is what both sides then see.
func TestOutcomes(t *testing.T) {
	both := []*tls.Certificate{testRSA(), testECDSA()}
	e := newEdge(t, Options{},
		testSite(t, "TLSv1.2_2021", []string{"tls12.example"}, both...),
		testSite(t, "TLSv1.3_2025", []string{"tls13.example", "*.wild.example"}, both...),
		testSite(t, "PQFront_TLSv1.3_PQ_2026", []string{"pq.example"}, both...),
		testSite(t, "PQFront_TLSv1.3_PQ_Strict_2026", []string{"strict.example"}, both...),
		testSite(t, "TLSv1", []string{"old.example"}, testRSA()),
		testSite(t, "TLSv1.2_2018", []string{"rsa.example"}, testRSA()))

	f := func(name string, change func(*tls.Config), want tlspolicy.Outcome) {
		t.Helper()
		cfg := client(name)
		if change != nil {
			change(cfg)
		}
		conn, facts, err := e.dial(cfg)
		if err != nil {
			t.Errorf("%s: %v (%+v)", name, err, facts)
			return
		}
		if facts.Outcome != want {
			t.Errorf("%s: outcome\n%+v, want\n%+v", name, facts.Outcome, want)
		}
		cs := conn.ConnectionState()
		if diff := mismatch(&cs, &tlspolicy.Handshake{Outcome: want, ServerName: name}); diff != "" {
			t.Errorf("%s: the client sees %s", name, diff)
		}
		if facts.Stage != StageDone || facts.ServerName != name || !strings.HasPrefix(facts.JA4, "t") ||
			len(facts.JA3) != 32 || facts.HelloBytes < 100 || facts.Duration <= 0 || facts.Err != "" || facts.Resumed {
			t.Errorf("%s: facts %+v", name, facts)
		}
		echo(t, conn)
	}
	groups := func(g ...tls.CurveID) func(*tls.Config) {
		return func(c *tls.Config) { c.CurvePreferences = g }
	}
	pq := tlspolicy.Outcome{Version: tlspolicy.TLSv1_3, Suite: 0x1301, Group: tlspolicy.X25519MLKEM768,
		Scheme: 0x0403, Certificate: 1, ALPN: "h2"}
	classical := pq
	classical.Group = tlspolicy.X25519
	strict := pq
	strict.Group = tlspolicy.SecP384r1MLKEM1024
	second := pq
	second.Group = tlspolicy.SecP256r1MLKEM768
	retry := pq
	retry.Group, retry.HRR = tlspolicy.X25519, true
	http11 := pq
	http11.ALPN = "http/1.1"
	none := pq
	none.ALPN = ""

	f("tls12.example", nil, pq)
	f("tls13.example", nil, pq)
	f("a.wild.example", nil, pq)
	f("pq.example", nil, pq)
	f("tls12.example", groups(tls.X25519), classical)
	f("tls13.example", groups(tls.SecP256r1MLKEM768), second)
	// A group that no share was sent for: HelloRetryRequest (RFC 8446, Section 4.1.4).
	// Go's client sends shares for its first group only, which the policy lacks.
	f("tls13.example", groups(tls.SecP384r1MLKEM1024, tls.X25519), retry)
	f("strict.example", groups(tls.SecP384r1MLKEM1024, tls.X25519), strict)
	f("tls13.example", func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, http11)
	f("tls13.example", func(c *tls.Config) { c.NextProtos = nil }, none)

	tls12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	f("tls12.example", tls12, tlspolicy.Outcome{Version: tlspolicy.TLSv1_2, Suite: tlspolicy.Suite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
		Group: tlspolicy.X25519, Scheme: 0x0403, Certificate: 1, ALPN: "h2"})
	f("rsa.example", tls12, tlspolicy.Outcome{Version: tlspolicy.TLSv1_2, Suite: tlspolicy.Suite(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
		Group: tlspolicy.X25519, Scheme: 0x0804, ALPN: "h2"})
	f("rsa.example", func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	}, tlspolicy.Outcome{Version: tlspolicy.TLSv1_2, Suite: 0x009C, ALPN: "http/1.1"})
	f("old.example", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		tlspolicy.Outcome{Version: tlspolicy.TLSv1, Suite: tlspolicy.Suite(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA),
			Group: tlspolicy.X25519, ALPN: "http/1.1"})
}

// TestSuiteOrder is the guard of suiteorder.go: when crypto/tls no longer takes the
// order that we set, this must fail, loudly. Go's client cannot put ChaCha20 first,
// so the hello is written by hand.
func TestSuiteOrder(t *testing.T) {
	e := newEdge(t, Options{},
		testSite(t, "TLSv1.3_2025", []string{"all.example"}, testECDSA()),
		testSite(t, "TLSv1.2_2025", []string{"nochacha.example"}, testECDSA()))
	f := func(name string, offered []uint16, want tlspolicy.Suite) {
		t.Helper()
		h := rawHello{name: name, suites: offered, groups: []uint16{23}}
		reply, _ := e.exchange(h.record())
		if want == 0 {
			if !bytes.Equal(reply, []byte{21, 3, 3, 0, 2, 1, 0}) {
				t.Errorf("%s %x: got % x, want a close_notify", name, offered, reply)
			}
			return
		}
		if len(reply) < 78 || reply[0] != 22 || reply[5] != 2 {
			t.Fatalf("%s %x: no ServerHello: % x", name, offered, reply[:min(len(reply), 16)])
		}
		// record 5, header 4, version 2, random 32, session id 1 + 32
		if got := tlspolicy.Suite(uint16(reply[76])<<8 | uint16(reply[77])); got != want {
			t.Fatalf("%s: a client offering %x in this order got %v, want %v: "+
				"crypto/tls no longer takes the suite order of suiteorder.go; TLS 1.3 suites would not be the policy's", name, offered, got, want)
		}
	}
	f("all.example", []uint16{0x1303, 0x1302, 0x1301}, 0x1301)
	f("all.example", []uint16{0x1303, 0x1302}, 0x1302)
	f("all.example", []uint16{0x1302, 0x1301}, 0x1301)
	f("all.example", []uint16{0x1303}, 0x1303)
	f("nochacha.example", []uint16{0x1303, 0x1302, 0x1301}, 0x1301)
	f("nochacha.example", []uint16{0x1303, 0x1302}, 0x1302)
	f("nochacha.example", []uint16{0x1303}, 0)
}

// TestEngineGroupOrder: a server that may take any group prefers them as
// engineOrder says, which settleGroups relies on.
func TestEngineGroupOrder(t *testing.T) {
	order := engineOrder()
	site := testSite(t, "PQFront_TLSv1.3_PQ_Strict_2026", []string{"x.example"}, testECDSA())
	out := &tlspolicy.Outcome{Version: tlspolicy.TLSv1_3, Suite: 0x1301, Scheme: 0x0403}
	server := must(New(Options{Snapshots: &snapshot.Holder{}}))
	for _, kind := range [][]tlspolicy.Group{order[:3], order[3:]} {
		for i := range kind {
			cfg := server.buildConfig(site.TLS, tlspolicy.QUIC, out, kind[i:])
			offered := make([]uint16, 0, len(kind))
			for j := len(kind) - 1; j >= 0; j-- { // the client's order is the other way round
				offered = append(offered, uint16(kind[j]))
			}
			cl, sv := net.Pipe()
			go func() { tls.Server(sv, cfg).Handshake(); sv.Close() }()
			go cl.Write((&rawHello{name: "x.example", groups: offered, noShare: true}).record())
			reply := make([]byte, 256)
			n, _ := io.ReadAtLeast(cl, reply, 5+83)
			cl.Close()
			if got := retryGroup(reply[:n]); got != kind[i] {
				t.Errorf("from %v the engine took %v, want %v", kind[i:], got, kind[i])
			}
		}
	}
	for _, p := range tlspolicy.All() {
		settled := settleGroups(p.Effective().Groups, p.Effective().Groups)
		if strict := p.Name == "PQFront_TLSv1.3_PQ_Strict_2026"; (len(settled) == 1) != strict {
			t.Errorf("%s: settles among %v: the deviation in quic.go names the policies with an order of their own", p.Name, settled)
		}
	}
}

// TestRefusals: the exact bytes that refused clients get, and that the connection
// then ends in order (D3; CloudFront: see cloudfront.md 1.3 and 1.6).
func TestRefusals(t *testing.T) {
	sites := []*snapshot.Site{
		testSite(t, "TLSv1.2_2021", []string{"tls12.example"}, testRSA()),
		testSite(t, "TLSv1.3_2025", []string{"tls13.example"}, testRSA()),
		testSite(t, "PQFront_TLSv1.3_PQ_2026", []string{"pq.example"}, testRSA()),
	}
	cf := newEdge(t, Options{}, sites...)
	rfc := newEdge(t, Options{Alerts: tlspolicy.RFCAlerts}, sites...)

	f := func(h rawHello, reason tlspolicy.Reason, stage string, cloudfront, standard string) {
		t.Helper()
		for e, want := range map[*edgeFixture]string{cf: cloudfront, rfc: standard} {
			reply, facts := e.exchange(h.record())
			if string(reply) != want {
				t.Errorf("%+v: got % x, want % x", h, reply, want)
			}
			if facts.Reason != reason || facts.Stage != stage || !facts.Refused {
				t.Errorf("%+v: facts %+v, want %s at %s", h, facts, reason, stage)
			}
			if len(want) == 7 && byte(facts.Alert) != want[6] {
				t.Errorf("%+v: the record says alert %d, sent was %d", h, facts.Alert, want[6])
			}
		}
	}
	const (
		protocolVersion = "\x15\x03\x03\x00\x02\x02\x46"
		closeNotify     = "\x15\x03\x03\x00\x02\x01\x00"
		noName          = "\x15\x00\x00\x00\x02\x01\x00"
		failure         = "\x15\x03\x03\x00\x02\x02\x28"
		unrecognized    = "\x15\x03\x03\x00\x02\x02\x70"
	)
	f(rawHello{name: "tls13.example", versions: []uint16{0x0303, 0x0302}}, tlspolicy.ReasonVersionTooLow, StageHello, protocolVersion, protocolVersion)
	f(rawHello{name: "tls12.example", versions: []uint16{0x0302, 0x0301}}, tlspolicy.ReasonVersionTooLow, StageHello, protocolVersion, protocolVersion)
	f(rawHello{name: "tls13.example", groups: []uint16{25}}, tlspolicy.ReasonNoCommonGroup, StageHello, closeNotify, failure)
	f(rawHello{name: "pq.example", groups: []uint16{29}}, tlspolicy.ReasonNoCommonGroup, StageHello, closeNotify, failure)
	f(rawHello{name: "tls13.example", suites: []uint16{0x1304}}, tlspolicy.ReasonNoCommonSuite, StageHello, closeNotify, failure)
	f(rawHello{}, tlspolicy.ReasonNoSNI, StageHello, noName, unrecognized)
	f(rawHello{name: "nobody.example"}, tlspolicy.ReasonUnknownSNI, StageHello, noName, unrecognized)
}

// TestScheme: the scheme is the policy's first, whatever the client prefers. TLS 1.2
// shows it in the ServerKeyExchange (RFC 5246, Section 7.4.3).
func TestScheme(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.2_2021", []string{"a.example"}, testRSA()))
	reply, facts := e.exchange((&rawHello{name: "a.example", versions: []uint16{0x0303}, suites: []uint16{0xC02F},
		schemes: []uint16{0x0401, 0x0806, 0x0805, 0x0804}}).record())
	var messages []byte
	for rest := reply; len(rest) > 5; {
		end := min(5+(int(rest[3])<<8|int(rest[4])), len(rest))
		messages, rest = append(messages, rest[5:end]...), rest[end:]
	}
	for rest := messages; len(rest) > 4; {
		n := int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
		body := rest[4:min(4+n, len(rest))]
		if rest[0] == 12 { // curve type 1, group 2, point with its length, scheme 2
			at := 4 + int(body[3])
			if got := tlspolicy.Scheme(uint16(body[at])<<8 | uint16(body[at+1])); got != 0x0804 || facts.Scheme != got {
				t.Errorf("signed with %v, recorded %v, want rsa_pss_rsae_sha256", got, facts.Scheme)
			}
			return
		}
		rest = rest[min(4+n, len(rest)):]
	}
	t.Errorf("no ServerKeyExchange in % x", reply)
}

// TestAlertArrives: also to a client that has sent more than was read of it.
func TestAlertArrives(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testRSA()))
	conn := must(net.Dial("tcp", e.addr)).(*net.TCPConn)
	defer conn.Close()
	conn.Write((&rawHello{name: "a.example", versions: []uint16{0x0303}}).record())
	conn.Write(make([]byte, 100<<10))
	e.next(0)
	time.Sleep(20 * time.Millisecond) // a reset, if there is one, is here by now
	conn.CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "\x15\x03\x03\x00\x02\x02\x46" {
		t.Errorf("got % x, %v", got, err)
	}
}

// TestDefaultSite: a default distribution answers no and unknown names.
func TestDefaultSite(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	def := testSite(t, "TLSv1.2_2021", []string{"default.example"}, testECDSA())
	snap := *e.holder.Load()
	snap.Default = def
	e.holder.Store(&snap)
	for name, policy := range map[string]string{"": "TLSv1.2_2021", "other.example": "TLSv1.2_2021", "a.example": "TLSv1.3_2025"} {
		_, facts, err := e.dial(client(name))
		if err != nil || facts.Policy != policy || facts.ServerName != name || facts.Stage != StageDone {
			t.Errorf("SNI %q: %v, %+v, want policy %s", name, err, facts, policy)
		}
	}
}

// TestCompiled: with a snapshot that Compile made, the sessions of one generation
// resume in the next as long as the distribution's policy is the same.
func TestCompiled(t *testing.T) {
	holder := compiled(t, "TLSv1.2_2021", "*.example", testRSA(), testECDSA())
	e := newEdge(t, Options{})
	use := func(h *snapshot.Holder) { e.holder.Store(h.Load()) }
	use(holder)
	s := newSession(e)
	f := func(change func(*tls.Config), resumes bool, version tlspolicy.Version) {
		t.Helper()
		if facts := s.connect("a.example", change); facts.Resumed != resumes || facts.Version != version || facts.Distribution != "E0000000000001" {
			t.Errorf("%+v, want resumed %t", facts, resumes)
		}
	}
	f(nil, false, tlspolicy.TLSv1_3)
	use(compiled(t, "TLSv1.2_2021", "*.example", testECDSA()))
	f(nil, true, tlspolicy.TLSv1_3)
	use(compiled(t, "TLSv1.3_2025", "*.example", testECDSA()))
	f(nil, false, tlspolicy.TLSv1_3)
	use(compiled(t, "TLSv1.2_2021", "*.example", testECDSA()))
	s = newSession(e)
	f(max12, false, tlspolicy.TLSv1_2)
	use(compiled(t, "TLSv1.3_2025", "*.example", testECDSA()))
	f(nil, false, tlspolicy.TLSv1_3)
}

// TestSentinel: a handshake below the policy's highest version is marked as a
// downgrade (RFC 8446, Section 4.1.3).
func TestSentinel(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1", []string{"a.example"}, testECDSA(), testRSA()))
	for version, want := range map[uint16]string{0x0303: "DOWNGRD\x01", 0x0302: "DOWNGRD\x00", 0x0301: "DOWNGRD\x00"} {
		reply, _ := e.exchange((&rawHello{name: "a.example", versions: []uint16{version}, suites: []uint16{0xC013, 0xC009, 0xC02B}}).record())
		if len(reply) < 43 || string(reply[35:43]) != want {
			t.Errorf("version %#x: ServerHello % x does not end its random in %q", version, reply[:min(50, len(reply))], want)
		}
	}
}

// TestPolicySwitch: the very next handshake obeys a new policy; open connections
// go on.
func TestPolicySwitch(t *testing.T) {
	old := testSite(t, "TLSv1.2_2021", []string{"a.example"}, testECDSA())
	e := newEdge(t, Options{}, old)
	c12 := client("a.example")
	c12.MaxVersion = tls.VersionTLS12
	open, _, err := e.dial(c12)
	if err != nil {
		t.Fatal(err)
	}
	e.swap(testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	if _, facts, err := e.dial(c12); err == nil || facts.Reason != tlspolicy.ReasonVersionTooLow || facts.Policy != "TLSv1.3_2025" {
		t.Errorf("after the change: %v, %+v", err, facts)
	}
	echo(t, open)
	if c := e.server.configs.Load(); c.snapshot != e.holder.Load() {
		// A refusal builds no configuration; the next success must forget the old ones.
		if _, _, err := e.dial(client("a.example")); err != nil {
			t.Fatal(err)
		}
		if c := e.server.configs.Load(); c.snapshot != e.holder.Load() || c.count.Load() != 1 {
			t.Errorf("%d configurations of generation %d are kept", c.count.Load(), c.snapshot.Generation)
		}
	}
}

// TestBreach plants an engine that does not do what was decided: nothing may be
// served then, and it must be loud.
func TestBreach(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.2_2021", []string{"a.example"}, testECDSA()))
	site := e.holder.Load().Sites[0]
	_, facts, err := e.dial(client("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	// The same key with a configuration that allows another group.
	key := configKey{site: site.TLS, group: facts.Group, version: facts.Version, scheme: facts.Scheme, alpn: facts.ALPN}
	c := e.server.configs.Load()
	if _, ok := c.built.Load(key); !ok {
		t.Fatal("the configuration was not memoised")
	}
	other := facts.Outcome
	other.Group = tlspolicy.X25519
	c.built.Store(key, e.server.buildConfig(site.TLS, tlspolicy.TCP, &other, nil))
	conn, facts, _ := e.dial(client("a.example"))
	if facts.Reason != tlspolicy.ReasonPolicyBreach || facts.Stage == StageDone || !strings.Contains(facts.Err, "group 0x001d, decided 0x11ec") {
		t.Errorf("facts %+v", facts)
	}
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the connection is still served: %d, %v", n, err)
	}
	if text := e.log.String(); !strings.Contains(text, "broke its policy") {
		t.Errorf("log: %q", text)
	}
	e.log.reset()
}

// TestShutdown: a context that ends ends handshakes under way.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []tlspolicy.Handshake
		server := must(New(Options{Snapshots: &snapshot.Holder{}, Observer: func(a Attempt) { seen = append(seen, *a.Handshake) }}))
		cl, sv := net.Pipe()
		defer cl.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { _, _, err := server.Handshake(ctx, sv); done <- err }()
		synctest.Wait()
		cancel()
		err := <-done
		if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Reason != tlspolicy.ReasonShutdown {
			t.Errorf("got %v", err)
		}
		if len(seen) != 1 || seen[0].Reason != tlspolicy.ReasonShutdown || seen[0].Duration != 0 {
			t.Errorf("observed %+v", seen)
		}
	})
}

func TestNew(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want %q", o, err, want)
		}
	}
	f(Options{}, "Options.Snapshots")
	f(Options{Snapshots: &snapshot.Holder{}, MaxHelloBytes: 1 << 20}, "MaxHelloBytes")
	f(Options{Snapshots: &snapshot.Holder{}, HelloTime: -1}, "HelloTime")
}
