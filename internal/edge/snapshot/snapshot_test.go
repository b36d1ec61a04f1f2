package snapshot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/tlspolicy"
)

var (
	testRSA   = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	testECDSA = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// selfSigned makes a certificate for names; its leaf is not parsed.
func selfSigned(key crypto.Signer, names ...string) tls.Certificate {
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: names}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// site is a distribution with one origin.
func site(id, policy string, aliases ...string) *cdn.Distribution {
	return &cdn.Distribution{
		ID: id, DomainName: strings.ToLower(id) + ".cloudfront.net", CallerReference: id, Enabled: true,
		Aliases: aliases, Source: id + ".json", HTTP2: true, HTTP3: true,
		Origins: []cdn.Origin{{ID: "o", DomainName: "o.example", Custom: &cdn.CustomOrigin{}}},
		DefaultBehavior: cdn.Behavior{PathPattern: "*", TargetOriginID: "o",
			CachePolicyID: "658327ea-f89d-4fab-a63d-7e88639e58f6"},
		Viewer: cdn.ViewerCertificate{IAMID: "X", SupportMethod: "sni-only", SecurityPolicy: policy},
	}
}

// selfCertified gives each distribution a P-256 certificate for all of its names.
func selfCertified(d *cdn.Distribution) []tls.Certificate {
	return []tls.Certificate{selfSigned(testECDSA(), d.Names()...)}
}

func compile(t testing.TB, in Input) *Snapshot {
	t.Helper()
	if in.Certificates == nil {
		in.Certificates = selfCertified
	}
	s, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func state(ds ...*cdn.Distribution) cdn.State { return cdn.State{Distributions: ds} }

func TestByName(t *testing.T) {
	disabled := site("EDISABLED", "TLSv1.2_2021", "off.example.com")
	disabled.Enabled = false
	s := compile(t, Input{Generation: 7, Default: "www.example.com", State: state(
		site("EA", "TLSv1.2_2021", "www.example.com", "*.example.com"), disabled, site("EB", "TLSv1.3_2025", "b.example.com"))})
	if s.Generation != 7 || len(s.Sites) != 2 || s.Default == nil || s.Default.Distribution.ID != "EA" {
		t.Errorf("generation %d, %d sites, default %v", s.Generation, len(s.Sites), s.Default)
	}
	name := func(site *Site, ok bool) string {
		if !ok {
			return ""
		}
		return site.Distribution.ID
	}
	f := func(authority, want string) {
		t.Helper()
		if got := name(s.ByHost(authority)); got != want {
			t.Errorf("ByHost(%q) = %q, want %q", authority, got, want)
		}
	}
	f("www.example.com:8443", "EA")
	f("b.example.com", "EB")
	f("B.Example.com.", "EB")
	f("off.example.com", "EA") // the disabled distribution's name is free for the wildcard
	f("ea.cloudfront.net", "EA")
	f("edisabled.cloudfront.net", "")
	f("example.org", "")
	f("", "")
	if got := name(s.ByServerName("b.example.com:443")); got != "" {
		t.Errorf("a server name with port found %q", got)
	}
	// By hand, without Compile.
	if got := name((&Snapshot{Sites: s.Sites}).ByServerName("x.example.com")); got != "EA" {
		t.Errorf("by hand: %q", got)
	}
}

func TestBehaviors(t *testing.T) {
	d := site("EA", "TLSv1.2_2021", "a.example")
	d.Origins = append(d.Origins, cdn.Origin{ID: "s3", DomainName: "b.s3.amazonaws.com", S3: &cdn.S3Origin{}, AccessControlID: "EOAC"})
	d.OriginGroups = []cdn.OriginGroup{{ID: "g", Members: []string{"s3", "o"}, StatusCodes: []int{500, 502}}}
	d.Behaviors = []cdn.Behavior{
		{PathPattern: "api/*", TargetOriginID: "o", CachePolicyID: "own", OriginRequestPolicyID: "216adef6-5c7f-47e4-b989-5492eafa07d3",
			ResponseHeadersPolicyID: "67f7725c-6f97-4210-82d7-5512b31e9d03"},
		{PathPattern: "*.jpg", TargetOriginID: "g", CachePolicyID: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"},
	}
	own := &cdn.CachePolicy{ID: "own"}
	oac := &cdn.OriginAccessControl{ID: "EOAC"}
	s := compile(t, Input{State: cdn.State{Distributions: []*cdn.Distribution{d},
		CachePolicies:        map[string]*cdn.CachePolicy{"own": own},
		OriginAccessControls: map[string]*cdn.OriginAccessControl{"EOAC": oac}}})
	got := s.Sites[0]
	api := got.Match("/api/x.jpg")
	if api.PathPattern != "api/*" || api.Cache != own || api.OriginRequest.Name != "Managed-AllViewer" || api.ResponseHeaders == nil || api.FailoverCodes != nil {
		t.Errorf("api = %+v", api)
	}
	jpg := got.Match("/x.jpg")
	if jpg.Cache.Name != "Managed-CachingDisabled" || len(jpg.Origins) != 2 || jpg.Origins[0].AccessControl != oac || jpg.Origins[1].ID != "o" || !slices.Equal(jpg.FailoverCodes, []int{500, 502}) {
		t.Errorf("jpg = %+v", jpg)
	}
	if rest := got.Match("/x"); rest.PathPattern != "*" || rest.OriginRequest != nil || rest.ResponseHeaders != nil {
		t.Errorf("default = %+v", rest)
	}
}

// TestLegacy: what a behavior's own cache settings become.
func TestLegacy(t *testing.T) {
	f := func(l cdn.LegacyCaching, wantCache, wantSend string) {
		t.Helper()
		cache, send := legacyPolicies(&cdn.Behavior{Legacy: &l, Compress: true})
		c := fmt.Sprintf("%v %v %v gzip=%t br=%t ttl=%v", cache.Headers, cache.Cookies, cache.QueryStrings, cache.Gzip, cache.Brotli, cache.MaxTTL)
		s := "-"
		if send != nil {
			s = fmt.Sprintf("%v %v %v", send.Headers, send.Cookies, send.QueryStrings)
		}
		if c != wantCache || s != wantSend {
			t.Errorf("%+v\n got %s; %s\nwant %s; %s", l, c, s, wantCache, wantSend)
		}
	}
	none := cdn.Selection{Behavior: "none"}
	f(cdn.LegacyCaching{Cookies: none, MaxTTL: time.Hour},
		"{none []} {none []} {none []} gzip=true br=false ttl=1h0m0s", "-")
	f(cdn.LegacyCaching{Cookies: cdn.Selection{Behavior: "whitelist", Names: []string{"c"}}, QueryString: true, Headers: []string{"Host"}, MaxTTL: time.Hour},
		"{whitelist [Host]} {whitelist [c]} {all []} gzip=true br=false ttl=1h0m0s", "-")
	f(cdn.LegacyCaching{Cookies: none, QueryString: true, QueryStringKeys: []string{"q"}, MaxTTL: time.Hour},
		"{none []} {none []} {whitelist [q]} gzip=true br=false ttl=1h0m0s", "{none []} {none []} {all []}")
	f(cdn.LegacyCaching{Cookies: none, Headers: []string{"*"}, MaxTTL: time.Hour},
		"{none []} {none []} {none []} gzip=false br=false ttl=0s", "{allViewer []} {none []} {none []}")
}

func TestTLS(t *testing.T) {
	both := func(d *cdn.Distribution) []tls.Certificate {
		return []tls.Certificate{selfSigned(testRSA(), d.Names()...), selfSigned(testECDSA(), d.Names()...)}
	}
	plain := site("EB", "TLSv1", "b.example")
	plain.HTTP2, plain.HTTP3 = false, false
	s := compile(t, Input{State: state(site("EA", "TLSv1.2_2025", "a.example"), plain), Certificates: both})
	a, b := s.Sites[0].TLS, s.Sites[1].TLS
	if a.Policy.Name != "TLSv1.2_2025" || a.Effective.Name != "TLSv1.2_2025" || len(a.Effective.Schemes) >= len(a.Policy.Schemes) {
		t.Errorf("policy %v, effective %v", a.Policy, a.Effective)
	}
	want := []tlspolicy.Certificate{{Key: tlspolicy.RSA, RSABits: 2048}, {Key: tlspolicy.ECDSAP256}}
	if !slices.Equal(a.TCP.Certificates, want) || !slices.Equal(a.QUIC.Certificates, want) || len(a.Certificates) != 2 || a.Certificates[0].Leaf == nil {
		t.Errorf("certificates = %+v", a.TCP.Certificates)
	}
	if !slices.Equal(a.TCP.ALPN, []string{"h2", "http/1.1"}) || !slices.Equal(b.TCP.ALPN, []string{"http/1.1"}) || !slices.Equal(a.QUIC.ALPN, []string{"h3"}) {
		t.Errorf("ALPN = %v %v %v", a.TCP.ALPN, b.TCP.ALPN, a.QUIC.ALPN)
	}
	if !a.ServesQUIC || b.ServesQUIC {
		t.Errorf("QUIC = %t %t", a.ServesQUIC, b.ServesQUIC)
	}
	if quicCapable(&tlspolicy.Policy{MaxVersion: tlspolicy.TLSv1_2, Suites: a.Policy.Suites, Groups: a.Policy.Groups}) {
		t.Error("a policy without TLS 1.3 is said to be good for QUIC")
	}
}

// TestTicketScope: bound to the distribution and to the content of its policy, the same
// at every start and on every node. A change of the constant logs all viewers' sessions out.
func TestTicketScope(t *testing.T) {
	scope := func(id, policy string) [32]byte {
		return compile(t, Input{State: state(site(id, policy, "a.example"))}).Sites[0].TLS.TicketScope
	}
	a := scope("EA", "TLSv1.2_2021")
	if a != scope("EA", "TLSv1.2_2021") {
		t.Error("the scope is not stable")
	}
	seen := map[[32]byte]string{}
	for _, id := range []string{"EA", "EB"} {
		for _, policy := range []string{"TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025", "PQFront_TLSv1.3_PQ_2026", "PQFront_TLSv1.3_PQ_Strict_2026"} {
			s := scope(id, policy)
			if other := seen[s]; other != "" {
				t.Errorf("%s under %s has the scope of %s", id, policy, other)
			}
			seen[s] = id + " under " + policy
		}
	}
	p := &tlspolicy.Policy{Name: "x", MinVersion: tlspolicy.TLSv1_3, MaxVersion: tlspolicy.TLSv1_3,
		Suites: []tlspolicy.Suite{0x1301}, Groups: []tlspolicy.Group{0x11ec}, Schemes: []tlspolicy.Scheme{0x0403}}
	got := ticketScope("EA", &policy{digest: policyDigest(p)})
	if text := hex.EncodeToString(got[:]); text != "34afdd66f5ebfb6b4a1e20964f999d8d5d5db6612cc2d7fabb98a580f658240c" {
		t.Errorf("scope = %s", text)
	}
}

func TestCompileProblems(t *testing.T) {
	f := func(want string, in Input) {
		t.Helper()
		if in.Certificates == nil {
			in.Certificates = selfCertified
		}
		s, err := Compile(in)
		if err == nil || s != nil {
			t.Fatalf("compiled %v without %s", s, want)
		}
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	d := site("EA", "TLSv1.2_2020", "a.example")
	d.Origins[0].AccessControlID = "EX"
	d.DefaultBehavior.CachePolicyID = "c"
	d.DefaultBehavior.OriginRequestPolicyID = "o"
	d.DefaultBehavior.ResponseHeadersPolicyID = "r"
	d.Behaviors = []cdn.Behavior{{TargetOriginID: "z", Legacy: &cdn.LegacyCaching{}}}
	_, unknown := tlspolicy.Lookup("TLSv1.2_2020")
	f(`EA.json: EA: ViewerCertificate.MinimumProtocolVersion: `+unknown.Error()+`
EA.json: EA: Origins.Items[0].OriginAccessControlId: there is no origin access control with the id EX
EA.json: EA: CacheBehaviors.Items[0].TargetOriginId: there is no origin or origin group with the id "z" in the distribution
EA.json: EA: DefaultCacheBehavior.CachePolicyId: there is no cache policy with the id c
EA.json: EA: DefaultCacheBehavior.OriginRequestPolicyId: there is no origin request policy with the id o
EA.json: EA: DefaultCacheBehavior.ResponseHeadersPolicyId: there is no response headers policy with the id r
EA.json: EA: CacheBehaviors: pattern 0: the path pattern is empty: use * for every path
the default distribution "nobody" is not among the enabled distributions: give the id or a name of one of them`,
		Input{State: state(d), Default: "nobody"})
	f(`EB.json: EB: Aliases.Items[0]: a.example is a name of distribution EA already: remove it from one of the two`,
		Input{State: state(site("EA", "TLSv1", "a.example"), site("EB", "TLSv1", "a.example"))})

	certs := func(c ...tls.Certificate) func(*cdn.Distribution) []tls.Certificate {
		return func(*cdn.Distribution) []tls.Certificate { return c }
	}
	one := Input{State: state(site("EA", "TLSv1.2_2021", "a.example", "*.b.example", "x.b.example"))}
	f2 := func(want string, c ...tls.Certificate) {
		t.Helper()
		one.Certificates = certs(c...)
		f(want, one)
	}
	f2(`EA.json: EA: ViewerCertificate: there is no certificate for ea.cloudfront.net, a.example, *.b.example, x.b.example: give one with its key`)
	f2(`EA.json: EA: ViewerCertificate: certificate 1: it is empty: give a chain, the leaf first`, tls.Certificate{})
	good := selfSigned(testRSA(), "a.example", "*.b.example")
	f2(`EA.json: EA: Aliases.Items[0]: certificate 2 covers c.example, *.b.example, but not the alternate domain name a.example: take one with it as a subject alternative name, or remove the alias`,
		good, selfSigned(testECDSA(), "c.example", "*.b.example"))
	noKey := good
	noKey.PrivateKey = nil
	f2(`EA.json: EA: ViewerCertificate: certificate 1: its private key is missing or cannot sign: give the key that belongs to it`, noKey)
	otherKey := good
	otherKey.PrivateKey = must(rsa.GenerateKey(rand.Reader, 2048))
	f2(`EA.json: EA: ViewerCertificate: certificate 1: its private key belongs to another certificate: give the key that it was requested with`, otherKey)
	p224 := selfSigned(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), "a.example", "*.b.example")
	f2(`EA.json: EA: ViewerCertificate: certificate 1: its key (*ecdsa.PublicKey) is of a kind that no security policy has: use RSA with 2048 bits, or ECDSA P-256`, p224)

	byDefault := site("EA", "TLSv1")
	byDefault.Viewer = cdn.ViewerCertificate{Default: true, SupportMethod: "vip", SecurityPolicy: "TLSv1"}
	f(`EA.json: EA: ViewerCertificate: certificate 1 covers a.example, *.b.example, but not the domain name ea.cloudfront.net: take one with it as a subject alternative name`,
		Input{State: state(byDefault), Certificates: certs(good)})
}

// RFC 9525, Section 6.3.
func TestCovers(t *testing.T) {
	f := func(names, name string, want bool) {
		t.Helper()
		if got := covers(&x509.Certificate{DNSNames: strings.Fields(names)}, name); got != want {
			t.Errorf("%s covers %s: %t, want %t", names, name, got, want)
		}
	}
	f("a.example", "a.example", true)
	f("A.Example", "a.example", true)
	f("b.example a.example", "a.example", true)
	f("*.example", "a.example", true)
	f("*.example", "b.a.example", false)
	f("*.example", "example", false)
	f("*.a.example", "*.a.example", true)
	f("*.example", "*.a.example", false)
	f("a.example", "*.example", false)
	f("", "a.example", false)
}

// CloudFront: Use custom URLs by adding alternate domain names, Restrictions; the rule
// about policies is ours.
func TestMayServe(t *testing.T) {
	s := compile(t, Input{State: state(
		site("ELAX", "TLSv1", "lax.example"), site("E2021", "TLSv1.2_2021", "y2021.example"),
		site("E2025", "TLSv1.2_2025", "y2025.example"), site("E13", "TLSv1.3_2025", "t13.example"),
		site("EPQ", "PQFront_TLSv1.3_PQ_2026", "pq.example"))})
	by := func(id string) *Site {
		for _, site := range s.Sites {
			if site.Distribution.ID == id {
				return site
			}
		}
		return nil
	}
	const (
		aes128, chacha           = tlspolicy.Suite(0x1301), tlspolicy.Suite(0x1303)
		ecdheGCM, rsaGCM, cbcSHA = tlspolicy.Suite(0xc02b), tlspolicy.Suite(0x009c), tlspolicy.Suite(0xc009)
		hybrid, x25519, p256     = tlspolicy.Group(0x11ec), tlspolicy.Group(0x001d), tlspolicy.Group(0x0017)
		ecdsa256                 = tlspolicy.Scheme(0x0403)
	)
	f := func(want bool, from, to string, v tlspolicy.Version, suite tlspolicy.Suite, group tlspolicy.Group, scheme tlspolicy.Scheme) {
		t.Helper()
		h := &tlspolicy.Handshake{Distribution: from, Outcome: tlspolicy.Outcome{Version: v, Suite: suite, Group: group, Scheme: scheme}}
		if got := MayServe(h, by(from), by(to)); got != want {
			t.Errorf("%s to %s with %v %v %v: %t, want %t", from, to, v, suite, group, got, want)
		}
	}
	// an HTTP version that the other does not have
	by("E13").Distribution.HTTP2, by("E13").TLS.ServesQUIC = false, false
	over := func(want bool, from, to, alpn string, tr tlspolicy.Transport) {
		t.Helper()
		h := &tlspolicy.Handshake{Distribution: from, Transport: tr, Outcome: tlspolicy.Outcome{
			Version: tlspolicy.TLSv1_3, Suite: aes128, Group: hybrid, Scheme: ecdsa256, ALPN: alpn}}
		if got := MayServe(h, by(from), by(to)); got != want {
			t.Errorf("%s to %s over %q on %v: %t, want %t", from, to, alpn, tr, got, want)
		}
	}
	over(true, "ELAX", "E13", "http/1.1", tlspolicy.TCP)
	over(true, "ELAX", "E13", "", tlspolicy.TCP)
	over(false, "ELAX", "E13", "h2", tlspolicy.TCP)
	over(false, "ELAX", "E13", "h3", tlspolicy.QUIC)
	over(true, "E13", "E13", "h2", tlspolicy.TCP)
	by("E13").Distribution.HTTP2, by("E13").TLS.ServesQUIC = true, true
	over(true, "ELAX", "E13", "h2", tlspolicy.TCP)
	over(true, "ELAX", "E13", "h3", tlspolicy.QUIC)
	// the same distribution, also under a policy that it no longer has
	f(true, "ELAX", "ELAX", tlspolicy.TLSv1, cbcSHA, x25519, 0)
	f(true, "EPQ", "EPQ", tlspolicy.TLSv1_2, ecdheGCM, x25519, ecdsa256)
	// a handshake that the other policy would have made, too
	f(true, "ELAX", "E2021", tlspolicy.TLSv1_2, ecdheGCM, x25519, ecdsa256)
	f(true, "ELAX", "EPQ", tlspolicy.TLSv1_3, aes128, hybrid, ecdsa256)
	f(true, "EPQ", "ELAX", tlspolicy.TLSv1_3, aes128, hybrid, ecdsa256)
	// version, suite, group
	f(false, "ELAX", "E2021", tlspolicy.TLSv1_1, cbcSHA, x25519, 0)
	f(false, "ELAX", "E2021", tlspolicy.TLSv1_2, cbcSHA, x25519, ecdsa256)
	f(false, "ELAX", "E2021", tlspolicy.TLSv1_2, rsaGCM, 0, 0)
	f(false, "E2021", "E13", tlspolicy.TLSv1_2, ecdheGCM, x25519, ecdsa256)
	f(false, "E13", "E2025", tlspolicy.TLSv1_3, chacha, hybrid, ecdsa256)
	f(false, "E13", "E2025", tlspolicy.TLSv1_3, aes128, x25519, ecdsa256)
	f(true, "E13", "E2025", tlspolicy.TLSv1_3, aes128, p256, ecdsa256)
	f(false, "E13", "EPQ", tlspolicy.TLSv1_3, aes128, x25519, ecdsa256)
	// RSA key transport where the policy has it
	f(true, "E2021", "ELAX", tlspolicy.TLSv1_2, rsaGCM, 0, 0)

	if !MayServe(nil, nil, by("EPQ")) {
		t.Error("plain HTTP is the viewer protocol policy's affair")
	}
	x := tlspolicy.Outcome{Version: tlspolicy.TLSv1_3, Suite: aes128, Group: x25519, Scheme: ecdsa256}
	if MayServe(&tlspolicy.Handshake{Distribution: "EGONE", Outcome: x}, nil, by("EPQ")) {
		t.Error("a removed distribution's connection reaches a stricter one")
	}
	x.Refused = true
	if MayServe(&tlspolicy.Handshake{Distribution: "EGONE", Outcome: x}, nil, by("E13")) {
		t.Error("a refused handshake serves")
	}
}

func TestHolder(t *testing.T) {
	var h Holder
	if h.Load() != nil {
		t.Error("the zero Holder holds something")
	}
	s := &Snapshot{}
	h.Store(s)
	if h.Load() != s {
		t.Error("another snapshot")
	}
}

func TestNoAllocations(t *testing.T) {
	d := site("EA", "TLSv1.2_2021", "www.example.com", "*.example.com")
	d.Behaviors = []cdn.Behavior{{PathPattern: "/a/*.jpg", TargetOriginID: "o", Legacy: &cdn.LegacyCaching{}}}
	s := compile(t, Input{State: state(d)})
	site := s.Sites[0]
	h := &tlspolicy.Handshake{Distribution: "EB", Outcome: tlspolicy.Outcome{Version: tlspolicy.TLSv1_3, Suite: 0x1301, Group: 0x11ec, Scheme: 0x0403}}
	if n := testing.AllocsPerRun(100, func() {
		s.ByServerName("x.example.com")
		s.ByHost("www.example.com:443")
		site.Match("/a/b.jpg")
		MayServe(h, nil, site)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// many is a state of n distributions with five aliases each.
func many(n int) cdn.State {
	var s cdn.State
	for i := range n {
		id := fmt.Sprintf("E%013d", i)
		d := site(id, []string{"TLSv1.2_2021", "TLSv1.3_2025", "TLSv1.2_2025"}[i%3])
		for a := range 4 {
			d.Aliases = append(d.Aliases, fmt.Sprintf("www%d.customer-%d.example", a, i))
		}
		d.Aliases = append(d.Aliases, fmt.Sprintf("*.customer-%d.example", i))
		d.Behaviors = []cdn.Behavior{
			{PathPattern: "/api/*", TargetOriginID: "o", CachePolicyID: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"},
			{PathPattern: "/static/*.css", TargetOriginID: "o", CachePolicyID: "658327ea-f89d-4fab-a63d-7e88639e58f6"},
		}
		s.Distributions = append(s.Distributions, d)
	}
	return s
}

// manyCertificates has a parsed certificate for each distribution, all with one key.
func manyCertificates(s cdn.State) func(*cdn.Distribution) []tls.Certificate {
	base := selfSigned(testECDSA(), "base.example")
	base.Leaf = must(x509.ParseCertificate(base.Certificate[0]))
	byID := map[string][]tls.Certificate{}
	for _, d := range s.Distributions {
		leaf := *base.Leaf
		leaf.DNSNames = d.Names()
		byID[d.ID] = []tls.Certificate{{Certificate: base.Certificate, PrivateKey: base.PrivateKey, Leaf: &leaf}}
	}
	return func(d *cdn.Distribution) []tls.Certificate { return byID[d.ID] }
}

func BenchmarkCompile10000(b *testing.B) {
	s := many(10_000)
	in := Input{State: s, Certificates: manyCertificates(s)}
	var snap *Snapshot
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	b.ReportAllocs()
	for b.Loop() {
		snap = compile(b, in)
	}
	b.ReportMetric(float64(heap()-before)/float64(len(snap.Sites)), "B/distribution")
	runtime.KeepAlive(snap)
}

func BenchmarkByServerName(b *testing.B) {
	s := many(10_000)
	snap := compile(b, Input{State: s, Certificates: manyCertificates(s)})
	for _, name := range []string{"www3.customer-4711.example", "other.customer-4711.example", "nobody.example"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				snap.ByServerName(name)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	s := many(1)
	site := compile(b, Input{State: s, Certificates: manyCertificates(s)}).Sites[0]
	b.ReportAllocs()
	for b.Loop() {
		site.Match("/static/css/site.css")
	}
}
