package viewertls

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// session is a client that keeps its tickets.
type session struct {
	e     *edgeFixture
	store *ticketStore
}

// ticketStore keeps the newest ticket under one key, whatever the server's name is,
// so that a ticket can be presented where it does not belong.
type ticketStore struct {
	mu    sync.Mutex
	state *tls.ClientSessionState
	puts  int
	full  bool // for benchmarks: sessions must resume
}

func (s *ticketStore) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.state != nil
}

func (s *ticketStore) Put(_ string, cs *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cs != nil {
		s.state = cs
		s.puts++
	}
}

func (s *ticketStore) has() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts > 0
}

func (s *ticketStore) ticket() []byte {
	ticket, _, err := s.state.ResumptionState()
	if err != nil {
		panic(err)
	}
	return ticket
}

func newSession(e *edgeFixture) *session { return &session{e, &ticketStore{}} }

// connect does a handshake and an exchange, which brings the ticket, and reports
// whether the session was resumed; both sides must agree on that.
func (s *session) connect(name string, change func(*tls.Config)) tlspolicy.Handshake {
	s.e.tb.Helper()
	cfg := client(name)
	cfg.ClientSessionCache = s.store
	if change != nil {
		change(cfg)
	}
	conn, facts, err := s.e.dial(cfg)
	if err != nil {
		s.e.tb.Fatalf("%s: %v, %+v", name, err, facts)
	}
	echo(s.e.tb, conn)
	if got := conn.ConnectionState().DidResume; got != facts.Resumed {
		s.e.tb.Errorf("%s: resumed %t, the client says %t", name, facts.Resumed, got)
	}
	conn.Close()
	return facts
}

func max12(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }

// TestResumption: TLS 1.2 and 1.3 sessions resume, and lose nothing by it.
func TestResumption(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.2_2021", []string{"a.example"}, testECDSA(), testRSA()))
	for _, change := range []func(*tls.Config){nil, max12} {
		s := newSession(e)
		full := s.connect("a.example", change)
		if full.Resumed || s.store.puts != 1 {
			t.Fatalf("first: %d tickets, want exactly 1; %+v", s.store.puts, full)
		}
		for range 3 {
			again := s.connect("a.example", change)
			if !again.Resumed || again.Outcome != full.Outcome {
				t.Errorf("again: %+v,\nfirst: %+v", again, full)
			}
		}
		if s.store.puts != 4 {
			t.Errorf("%d tickets after 4 connections", s.store.puts)
		}
	}
	// A TLS 1.3 resumption exchanges keys anew, in the group that is decided now.
	s := newSession(e)
	if facts := s.connect("a.example", nil); facts.Group != tlspolicy.X25519MLKEM768 {
		t.Fatalf("%+v", facts)
	}
	if facts := s.connect("a.example", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }); !facts.Resumed || facts.Group != tlspolicy.X25519 {
		t.Errorf("resumed in another group: %+v", facts)
	}
}

// TestResumptionTLS12Narrow: below TLS 1.3 a session goes on with its suite and its
// secret, so it resumes only when they are what is decided now.
func TestResumptionTLS12Narrow(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.2_2021", []string{"a.example"}, testRSA()))
	suites := func(ids ...uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, ids }
	}
	s := newSession(e)
	s.connect("a.example", suites(tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384))
	both := suites(tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
	if facts := s.connect("a.example", both); facts.Resumed || facts.Suite != tlspolicy.Suite(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) {
		t.Errorf("another suite is decided now: %+v", facts)
	}
	curves := func(g ...tls.CurveID) func(*tls.Config) {
		return func(c *tls.Config) { c.MaxVersion, c.CurvePreferences = tls.VersionTLS12, g }
	}
	s = newSession(e)
	s.connect("a.example", curves(tls.CurveP256))
	if facts := s.connect("a.example", curves(tls.CurveP256, tls.X25519)); facts.Resumed || facts.Group != tlspolicy.X25519 {
		t.Errorf("another group is decided now: %+v", facts)
	}
}

// TestTicketBinding: a ticket is worth nothing at another site, under another name
// or after a change of policy; it keeps its worth through unrelated changes.
func TestTicketBinding(t *testing.T) {
	names := []string{"a.example", "alias.example"}
	site := func(policy string) *snapshot.Site { return testSite(t, policy, names, testECDSA(), testRSA()) }
	other := testSite(t, "TLSv1.2_2021", []string{"b.example"}, testECDSA(), testRSA())
	for _, change := range []func(*tls.Config){nil, max12} {
		e := newEdge(t, Options{}, site("TLSv1.2_2021"), other)
		f := func(name string, resumes bool, why string) {
			t.Helper()
			s := newSession(e)
			s.connect("a.example", change)
			e.swap(e.holder.Load().Sites...) // an unrelated change: a new snapshot
			if facts := s.connect(name, change); facts.Resumed != resumes {
				t.Errorf("%s: resumed %t, want %t (version %v)", why, facts.Resumed, resumes, facts.Version)
			}
		}
		f("a.example", true, "the same site in a new snapshot")
		f("b.example", false, "another site with the same policy")
		f("alias.example", false, "another name of the same site")
	}

	for _, change := range []func(*tls.Config){nil, max12} {
		e := newEdge(t, Options{}, site("TLSv1.2_2021"), other)
		s := newSession(e)
		s.connect("a.example", change)
		e.swap(site("TLSv1.3_2025"), other)
		if facts := s.connect("a.example", nil); facts.Resumed || facts.Version != tlspolicy.TLSv1_3 {
			t.Errorf("after the policy was tightened: %+v", facts)
		}
		s = newSession(e)
		s.connect("a.example", nil)
		e.swap(site("PQFront_TLSv1.3_PQ_2026"), other)
		if facts := s.connect("a.example", nil); facts.Resumed {
			t.Errorf("after PQ became required: %+v", facts)
		}
	}
}

// TestSharedTicketKeys: a session resumes at another Server with the same keys, and
// with keys that were stored and read again; not with other keys.
func TestSharedTicketKeys(t *testing.T) {
	keys := NewTicketKeys(time.Now())
	site := testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA())
	stored, err := json.Marshal(keys.Export())
	if err != nil {
		t.Fatal(err)
	}
	var read []TicketKey
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatal(err)
	}
	restarted, err := LoadTicketKeys(read, time.Now())
	if err != nil || len(restarted.Export()) != 1 {
		t.Fatal(restarted.Export(), err)
	}
	one := newEdge(t, Options{TicketKeys: keys}, site)
	f := func(second *TicketKeys, resumes bool) {
		t.Helper()
		s := newSession(one)
		s.connect("a.example", nil)
		s.e = newEdge(t, Options{TicketKeys: second}, site)
		if facts := s.connect("a.example", nil); facts.Resumed != resumes {
			t.Errorf("resumed %t, want %t", facts.Resumed, resumes)
		}
	}
	f(keys, true)
	f(restarted, true)
	f(NewTicketKeys(time.Now()), false)
}

// TestTicketLayout: a ticket looks like CloudFront's - 138 bytes, 01, the key's
// birth in ASCII - and no bit of it can be changed.
func TestTicketLayout(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.3_2025", []string{"a.example"}, testECDSA()))
	s := newSession(e)
	s.connect("a.example", nil)
	ticket := s.store.ticket()
	want := fmt.Sprintf("\x01%d\x00\x00\x00", e.server.tickets.Export()[0].Birth.UnixMilli())
	if len(ticket) != 138 || string(ticket[:17]) != want {
		t.Errorf("ticket of %d bytes starts with %q, want 138 and %q", len(ticket), ticket[:17], want)
	}
	b := &sessionBinding{scope: e.holder.Load().Sites[0].TLS.TicketScope, version: tlspolicy.TLSv1_3, suite: 0x1301}
	now := time.Now()
	if b.open(e.server.tickets, "A.example", ticket, now) == nil {
		t.Fatal("the ticket does not open; names are compared without regard to case")
	}
	for i := range ticket {
		bad := bytes.Clone(ticket)
		bad[i] ^= 0x40
		if b.open(e.server.tickets, "a.example", bad, now) != nil {
			t.Errorf("a ticket with byte %d changed opens", i)
		}
	}
	for i := range len(ticket) {
		if b.open(e.server.tickets, "a.example", ticket[:i], now) != nil {
			t.Errorf("a ticket cut after %d bytes opens", i)
		}
	}
	for name, other := range map[string]sessionBinding{
		"QUIC":    {scope: b.scope, transport: tlspolicy.QUIC, version: b.version, suite: b.suite},
		"TLS 1.2": {scope: b.scope, version: tlspolicy.TLSv1_2, suite: b.suite},
		"scope":   {version: b.version, suite: b.suite},
	} {
		if other.open(e.server.tickets, "a.example", ticket, now) != nil {
			t.Errorf("it opens for another %s", name)
		}
	}
	if b.open(e.server.tickets, "a.example", ticket, now.Add(-time.Hour)) != nil {
		t.Error("a ticket from the future opens")
	}
}

// TestSessionStateLayout watches over the part of crypto/tls's encoding that
// mayResume reads. When it fails, mayResume must learn the new layout: until then
// no session resumes, which is safe.
func TestSessionStateLayout(t *testing.T) {
	e := newEdge(t, Options{}, testSite(t, "TLSv1.2_2021", []string{"a.example"}, testECDSA()))
	for version, change := range map[tlspolicy.Version]func(*tls.Config){tlspolicy.TLSv1_3: nil, tlspolicy.TLSv1_2: max12} {
		s := newSession(e)
		s.connect("a.example", change)
		if facts := s.connect("a.example", change); !facts.Resumed {
			t.Errorf("%v sessions do not resume: has the encoding of tls.SessionState changed?", version)
		}
	}
}

// TestSessionAge: the secret's age ends a session after 24 hours, also when its
// tickets are renewed by younger keys.
func TestSessionAge(t *testing.T) {
	b := &sessionBinding{version: tlspolicy.TLSv1_2, suite: 0xC02B, group: tlspolicy.X25519}
	born := time.Unix(1757253270, 0)
	state := []byte{stateFormat, 0, 0, 29, 3, 3, 1, 0xC0, 0x2B, 0, 0, 0, 0, 0x68, 0xbd, 0x8e, 0x96}
	f := func(age time.Duration, want bool) {
		t.Helper()
		if got := b.mayResume(state, born.Add(age)); got != want {
			t.Errorf("after %v: %t, want %t", age, got, want)
		}
	}
	f(0, true)
	f(24*time.Hour, true)
	f(24*time.Hour+time.Second, false)
	f(-5*time.Minute, true)
	f(-6*time.Minute, false)
	state[6] = 2 // a client's session
	f(0, false)
}

// TestTicketKeyRotation walks through two days.
func TestTicketKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := NewTicketKeys(time.Now())
		var rotations []time.Time
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- keys.Run(ctx, func() { rotations = append(rotations, time.Now()) }) }()
		start := time.Now()
		first := keys.Export()[0]

		f := func(after time.Duration, alive int, firstSeals, firstOpens bool) {
			t.Helper()
			time.Sleep(start.Add(after).Sub(time.Now()))
			synctest.Wait()
			now := time.Now()
			ring := keys.Export()
			if len(ring) != alive {
				t.Errorf("after %v: keys %v, want %d", after, ring, alive)
			}
			if seals := keys.current(now).Birth.Equal(first.Birth); seals != firstSeals {
				t.Errorf("after %v: the first key seals: %t", after, seals)
			}
			if opens := keys.named(first.name(), now) != nil; opens != firstOpens {
				t.Errorf("after %v: the first key opens: %t", after, opens)
			}
		}
		f(0, 1, true, true)
		f(12*time.Hour-time.Second, 1, true, true)
		f(12*time.Hour, 2, false, true)
		f(24*time.Hour-time.Second, 2, false, true)
		f(24*time.Hour, 2, false, false)
		f(48*time.Hour, 2, false, false)
		cancel()
		<-done
		if len(rotations) != 4 {
			t.Errorf("rotations at %v", rotations)
		}
	})
}

func TestTicketKeyImport(t *testing.T) {
	now := time.UnixMilli(1757253270000)
	keys := NewTicketKeys(now)
	own := keys.Export()[0]
	next := TicketKey{Birth: now.Add(time.Hour), Secret: [32]byte{1}}
	old := TicketKey{Birth: now.Add(-TicketKeyLife), Secret: [32]byte{2}}
	if err := keys.Import([]TicketKey{next, old, own}, now); err != nil {
		t.Fatal(err)
	}
	if ring := keys.Export(); len(ring) != 2 || ring[0].Birth != next.Birth {
		t.Errorf("keys %v", ring)
	}
	if keys.current(now).Birth != own.Birth || keys.current(now.Add(time.Hour)).Birth != next.Birth {
		t.Error("a key seals before it is born, or not after")
	}
	if keys.named(next.name(), now) == nil {
		t.Error("a key that another node's clock bore already does not open tickets")
	}
	f := func(k TicketKey, want string) {
		t.Helper()
		if err := keys.Import([]TicketKey{k}, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", k, err, want)
		}
	}
	f(TicketKey{Birth: own.Birth}, "another key with this birth")
	f(TicketKey{Birth: now.Add(25 * time.Hour)}, "check the clocks")
	var many []TicketKey
	for i := range maxTicketKeys {
		many = append(many, TicketKey{Birth: now.Add(-time.Duration(i+1) * time.Second)})
	}
	if err := keys.Import(many, now); err == nil || len(keys.Export()) != maxTicketKeys {
		t.Errorf("%d keys, %v", len(keys.Export()), err)
	}
}

// TestTicketKeySecrets: keys go into files whole and into logs without their secret.
func TestTicketKeySecrets(t *testing.T) {
	key := TicketKey{Birth: time.UnixMilli(1757253270000), Secret: [32]byte([]byte("a secret of thirty-two bytes ok!"))}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, key); got != "ticket key 1757253270000" {
			t.Errorf("%s prints %s", format, got)
		}
	}
	b, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "ticketkey.json") // the format of files in use: do not change it
	want, err := os.ReadFile(golden)
	if err != nil || string(b)+"\n" != string(want) {
		t.Errorf("%s, want %s (%v)", b, want, err)
	}
	var back TicketKey
	if err := json.Unmarshal(b, &back); err != nil || back != key {
		t.Errorf("read back %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"birth_ms":1,"secret":"AAAA"}`), &back); err == nil || !strings.Contains(err.Error(), "3 bytes, want 32") {
		t.Errorf("short secret: %v", err)
	}
}

// FuzzOpenTicket: a client may send anything as a ticket.
func FuzzOpenTicket(f *testing.F) {
	now := time.UnixMilli(1757253270000)
	keys := NewTicketKeys(now)
	name := keys.Export()[0].name()
	f.Add([]byte{})
	f.Add(append([]byte{ticketVersion}, name[:]...))
	f.Add(append(append([]byte{ticketVersion}, name[:]...), make([]byte, 121)...))
	b := &sessionBinding{version: tlspolicy.TLSv1_3, suite: 0x1301}
	f.Fuzz(func(t *testing.T, ticket []byte) {
		if b.open(keys, "a.example", ticket, now) != nil {
			t.Fatal("a forged ticket opens")
		}
	})
}
