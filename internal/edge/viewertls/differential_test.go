package viewertls

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pqfront/internal/clienthello"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/rawtls"
	"pqfront/internal/tlspolicy"
)

var (
	differentialSeed = flag.Uint64("differential.seed", 20261125, "seed of the generated hellos")
	differentialN    = flag.Int("differential.n", 20_000, "number of generated hellos over TCP")
	differentialOnly = flag.Int("differential.only", -1, "run only the hello with this number")
	// The whole product takes minutes; by default each hello meets a few sites, chosen
	// so that over all hellos every policy meets every kind of hello many times.
	differentialAll = flag.Bool("differential.all", false, "run every hello against every policy and certificate")
)

// certificateSet is the certificates of a site.
type certificateSet struct {
	name  string
	certs []*tls.Certificate
}

var (
	testRSA1024 = sync.OnceValue(func() *tls.Certificate { return makeCertificate(newRSA(1024)) })
	testP384    = sync.OnceValue(func() *tls.Certificate { return makeCertificate(newECDSA(elliptic.P384())) })
)

func certificateSets() []certificateSet {
	return []certificateSet{
		{"rsa", []*tls.Certificate{testRSA()}},
		{"ecdsa", []*tls.Certificate{testECDSA()}},
		{"both", []*tls.Certificate{testRSA(), testECDSA()}},
		// Small keys do not fit every scheme; other curves are bound to others.
		{"rsa1024", []*tls.Certificate{testRSA1024()}},
		{"p384", []*tls.Certificate{testP384()}},
		{"mixed", []*tls.Certificate{testP384(), testRSA1024(), testECDSA()}},
	}
}

// labSite is a site of the laboratory and its name.
type labSite struct {
	name, policy, set string
	site              *snapshot.Site
}

// lab is an edge with one site per policy and set of certificates.
type lab struct {
	sites  []labSite
	server map[tlspolicy.AlertProfile]*Server
}

func newLab(tb testing.TB) *lab {
	tb.Helper()
	l := &lab{server: map[tlspolicy.AlertProfile]*Server{}}
	snap := &snapshot.Snapshot{Generation: 1}
	for _, policy := range tlspolicy.Names() {
		for _, set := range certificateSets() {
			name := fmt.Sprintf("s%d.example", len(l.sites))
			site := testSite(tb, policy, []string{name}, set.certs...)
			l.sites = append(l.sites, labSite{name, policy, set.name, site})
			snap.Sites = append(snap.Sites, site)
		}
	}
	holder := &snapshot.Holder{}
	holder.Store(snap)
	for _, profile := range []tlspolicy.AlertProfile{tlspolicy.CloudFrontAlerts, tlspolicy.RFCAlerts} {
		server, err := New(Options{Snapshots: holder, Alerts: profile, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			tb.Fatal(err)
		}
		l.server[profile] = server
	}
	return l
}

// predict returns what a hello for a site will come to.
func (l *lab) predict(g *generated, s *labSite) tlspolicy.Outcome {
	if g.wild {
		reason := tlspolicy.ReasonUnknownSNI
		if g.offer.ServerName == "" {
			reason = tlspolicy.ReasonNoSNI
		}
		return tlspolicy.Outcome{Refused: true, Reason: reason, Certificate: -1}
	}
	server, policy := s.site.TLS.TCP, s.site.TLS.Effective
	if g.offer.Transport == tlspolicy.QUIC {
		server = s.site.TLS.QUIC
	}
	return tlspolicy.Decide(&g.offer, policy, server)
}

// TestDifferential sends generated hellos to the edge and compares what Decide says
// with what is on the wire: outcome and alert, byte for byte.
func TestDifferential(t *testing.T) {
	n, perHello := *differentialN, 2
	if *differentialAll {
		perHello = len(certificateSets()) * len(tlspolicy.Names())
	}
	if testing.Short() || raceEnabled {
		n = min(n, 1_000)
	}
	l := newLab(t)
	var tally tally
	eachHello(n, func(i int) {
		r := rand.New(rand.NewPCG(*differentialSeed, uint64(i)))
		first := r.IntN(len(l.sites))
		for k := range perHello {
			// 25 and the number of sites have no common divisor: all are met in turn.
			site := &l.sites[(first+25*k)%len(l.sites)]
			profile := tlspolicy.AlertProfile(r.IntN(4) / 3)
			gen := &generator{r: rand.New(rand.NewPCG(*differentialSeed, uint64(i))), keys: testKeys()}
			l.compareTCP(t, i, gen.draw(site.name), site, profile, r, &tally)
		}
	})
	tally.report(t)
	if n < 20_000 || *differentialOnly >= 0 {
		return
	}
	// What can happen, happened.
	var must []string
	for _, p := range tlspolicy.All() {
		for _, s := range p.Effective().Suites {
			must = append(must, "suite: "+s.String())
		}
		for _, g := range p.Effective().Groups {
			must = append(must, "group: "+g.String())
		}
	}
	for _, r := range []tlspolicy.Reason{
		tlspolicy.ReasonVersionTooLow, tlspolicy.ReasonNoCommonVersion, tlspolicy.ReasonInappropriateFallback,
		tlspolicy.ReasonCompression, tlspolicy.ReasonRenegotiation, tlspolicy.ReasonEarlyData,
		tlspolicy.ReasonMissingExtension, tlspolicy.ReasonUnexpectedExtension, tlspolicy.ReasonPSK,
		tlspolicy.ReasonPointFormats, tlspolicy.ReasonKeyShare, tlspolicy.ReasonNoCommonSuite,
		tlspolicy.ReasonNoCommonGroup, tlspolicy.ReasonNoCommonScheme, tlspolicy.ReasonNoCertificate,
		tlspolicy.ReasonNoSNI, tlspolicy.ReasonUnknownSNI,
	} {
		must = append(must, "refused: "+string(r))
	}
	for _, what := range must {
		if tally.seen[what] == 0 {
			t.Errorf("no hello led to %s: the generator must become wider", what)
		}
	}
}

// testKeys are the client's key pairs, made once in a process.
var testKeys = sync.OnceValue(func() *keyRing { ring := newKeyRing(); return &ring })

// eachHello calls f for 0 to n-1 on all processors.
func eachHello(n int, f func(i int)) {
	if *differentialOnly >= 0 {
		f(*differentialOnly)
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) * 2 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// tally counts what was seen, so that the test can tell that it tests something.
type tally struct {
	mu    sync.Mutex
	seen  map[string]int
	wrong int
}

// fail reports a difference; of many, the first ones say enough.
func (c *tally) fail(t *testing.T, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong++; c.wrong <= 5 {
		t.Errorf(format, args...)
	}
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[what]++
}

func (c *tally) note(o *tlspolicy.Outcome) {
	c.add("handshakes")
	if o.Refused {
		c.add("refused")
		c.add("refused: " + string(o.Reason))
		return
	}
	c.add("accepted")
	c.add("version: " + o.Version.String())
	c.add("suite: " + o.Suite.String())
	c.add("group: " + o.Group.String())
	c.add("scheme: " + o.Scheme.String())
	if o.HRR {
		c.add("HelloRetryRequest")
	}
}

// report logs the counts and fails when something that can happen never did.
func (c *tally) report(t *testing.T) {
	t.Helper()
	t.Logf("%d differences", c.wrong)
	names := make([]string, 0, len(c.seen))
	for name := range c.seen {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%7d %s", c.seen[name], name)
	}
	if *differentialOnly >= 0 || testing.Short() || raceEnabled {
		return
	}
	if c.seen["accepted"] < c.seen["handshakes"]/5 || c.seen["refused"] < c.seen["handshakes"]/5 {
		t.Error("hardly anything is accepted, or refused: the generator tests little")
	}
}

// compareTCP runs one hello against one site and compares.
func (l *lab) compareTCP(t *testing.T, i int, g *generated, site *labSite, profile tlspolicy.AlertProfile, r *rand.Rand, c *tally) {
	want := l.predict(g, site)
	c.note(&want)
	msg := g.hello.Marshal()
	problems := []string{checkOffer(tlspolicy.TCP, msg, &g.offer)}

	result, facts, err := l.handshake(profile, g, r)
	switch {
	case err != nil:
		problems = append(problems, err.Error())
	case want.Refused:
		problems = append(problems, checkRefusal(result, profile, want.Reason))
	default:
		problems = append(problems, checkAccepted(result, g, &want, site))
	}
	problems = append(problems, checkFacts(facts, &want, profile, site))
	problems = slices.DeleteFunc(problems, func(p string) bool { return p == "" })
	if len(problems) > 0 {
		c.fail(t, "hello %d (-differential.seed %d -differential.only %d), policy %s, certificates %s, %v alerts:\n%q\npredicted %+v\noffer %+v\nbytes %s",
			i, *differentialSeed, i, site.policy, site.set, profile, problems, want, g.offer, hex.EncodeToString(msg))
	}
}

// checkOffer compares the parsed hello with the offer that it was made from.
func checkOffer(tr tlspolicy.Transport, msg []byte, want *tlspolicy.Offer) string {
	h, err := clienthello.Parse(tr, msg)
	if err != nil {
		return err.Error()
	}
	a, b := reflect.ValueOf(h.Offer), reflect.ValueOf(*want)
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return fmt.Sprintf("parsed %s %v, sent %v", a.Type().Field(i).Name, x, y)
		}
	}
	return ""
}

// handshake runs both sides.
func (l *lab) handshake(profile tlspolicy.AlertProfile, g *generated, r *rand.Rand) (*rawtls.Result, *tlspolicy.Handshake, error) {
	client, server := rawtls.Pipe()
	defer client.Close()
	client.SetDeadline(time.Now().Add(time.Minute))
	type served struct {
		facts *tlspolicy.Handshake
		err   error
	}
	done := make(chan served, 1)
	go func() {
		conn, facts, err := l.server[profile].Handshake(context.Background(), server)
		if err == nil {
			err = conn.Close()
		}
		done <- served{facts, err}
	}()
	c := &rawtls.Client{Hello: g.hello, Keys: testKeys().get}
	result, err := c.Handshake(rawtls.Over(&cutter{Conn: client, first: 1 + r.IntN(4000)}))
	client.Close()
	end := <-done
	var refused *RefusedError
	if end.err != nil && !errors.As(end.err, &refused) {
		err = errors.Join(err, end.err)
	}
	if err == nil && result.Alert == nil && end.err != nil {
		err = fmt.Errorf("the client is content, the server is not: %w", end.err)
	}
	return result, end.facts, err
}

// cutter cuts the first record, which is the hello, into records of some size.
type cutter struct {
	net.Conn
	first int
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.first == 0 {
		return c.Conn.Write(p)
	}
	size := c.first
	c.first = 0
	if _, err := c.Conn.Write(records(p[5:], size)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// checkRefusal compares the alert's record, byte for byte.
func checkRefusal(r *rawtls.Result, profile tlspolicy.AlertProfile, reason tlspolicy.Reason) string {
	level, alert := profile.Alert(reason)
	want := []byte{21, 3, 3, 0, 2, byte(level), byte(alert)}
	if profile == tlspolicy.CloudFrontAlerts && (reason == tlspolicy.ReasonNoSNI || reason == tlspolicy.ReasonUnknownSNI) {
		want[1], want[2] = 0, 0
	}
	switch {
	case r.Alert == nil:
		return fmt.Sprintf("accepted: %+v", withoutChain(r))
	case r.HRR:
		return "a HelloRetryRequest came before the alert"
	case !bytes.Equal(r.Alert, want):
		return fmt.Sprintf("alert % x, predicted % x", r.Alert, want)
	}
	return ""
}

func withoutChain(r *rawtls.Result) rawtls.Result {
	c := *r
	c.Chain, c.Ticket = nil, nil
	return c
}

// checkAccepted compares everything that was agreed on.
func checkAccepted(r *rawtls.Result, g *generated, want *tlspolicy.Outcome, site *labSite) string {
	if r.Alert != nil {
		return fmt.Sprintf("refused with alert % x", r.Alert)
	}
	expected := rawtls.Result{
		Version: uint16(want.Version), Suite: uint16(want.Suite), Group: uint16(want.Group), HRR: want.HRR,
		Scheme: uint16(want.Scheme), ALPN: want.ALPN, SNIAck: g.offer.ServerName != "",
		Sentinel: sentinel(want.Version, site.site.TLS.Effective.MaxVersion),
		EMS:      g.offer.ExtendedMasterSecret && want.Version < tlspolicy.TLSv1_3,
		Lifetime: r.Lifetime, MaxEarlyData: 0,
	}
	switch {
	case want.Version == tlspolicy.TLSv1_3 && g.offer.PSKWithDHE, want.Version < tlspolicy.TLSv1_3 && g.offer.SessionTicket:
		expected.Tickets = 1
	}
	if got := withoutChain(r); !reflect.DeepEqual(got, expected) {
		return fmt.Sprintf("agreed on %+v, predicted %+v", got, expected)
	}
	if !bytes.Equal(r.Chain[0], site.site.TLS.Certificates[want.Certificate].Certificate[0]) {
		return "another certificate than predicted"
	}
	return ""
}

// sentinel is the downgrade marker that belongs to a version (RFC 8446, Section 4.1.3).
func sentinel(v, highest tlspolicy.Version) uint16 {
	switch {
	case v == highest:
		return 0
	case v == tlspolicy.TLSv1_2:
		return rawtls.VersionTLS12
	}
	return rawtls.VersionTLS11
}

// checkFacts compares the record that travels to logs and headers.
func checkFacts(facts *tlspolicy.Handshake, want *tlspolicy.Outcome, profile tlspolicy.AlertProfile, site *labSite) string {
	expected := *want
	if want.Refused {
		_, expected.Alert = profile.Alert(want.Reason)
	}
	if facts.Outcome != expected {
		return fmt.Sprintf("recorded %+v, predicted %+v", facts.Outcome, expected)
	}
	if !want.Refused && (facts.Stage != StageDone || facts.Policy != site.policy || facts.Resumed) {
		return fmt.Sprintf("recorded %+v", facts)
	}
	return ""
}
