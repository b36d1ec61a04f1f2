package viewertls

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pqfront/internal/rawtls"
	"pqfront/internal/tlspolicy"
)

var update = flag.Bool("update", false, "write the effective snapshots of tlspolicy anew")

// prober finds out what an edge negotiates, knowing nothing of its policy: it offers
// everything, notes what is chosen, leaves that out of the next offer, and so on. What
// comes out is the server's own order.
type prober struct {
	tb   testing.TB
	lab  *lab
	name string // of the site
}

// offerAll is what a probe offers unless it says otherwise.
type offerAll struct {
	version  uint16
	suites   []uint16
	groups   []uint16
	schemes  []uint16
	noShares bool
}

func everything(version uint16) offerAll {
	return offerAll{
		version: version, suites: append(slices.Clone(suites13), suites12...),
		groups: append(slices.Clone(sharedGroups), otherGroups...), schemes: slices.Clone(allSchemes),
	}
}

// try does one handshake; nil when it is refused.
func (p *prober) try(o offerAll) *rawtls.Result {
	h := &rawtls.Hello{Version: min(o.version, rawtls.VersionTLS12), Random: rawtls.Random(), Suites: o.suites, Compression: []byte{0}}
	h.Extensions = []rawtls.Extension{rawtls.ServerName(p.name), rawtls.Groups(o.groups...), rawtls.Schemes(o.schemes...)}
	if o.version >= rawtls.VersionTLS13 {
		var shares []rawtls.Share
		for _, g := range o.groups {
			if key, err := testKeys().get(g); err == nil && !o.noShares {
				shares = append(shares, key.Share())
			}
		}
		h.Extensions = append(h.Extensions, rawtls.SupportedVersions(o.version), rawtls.KeyShares(shares...))
	}
	client, server := rawtls.Pipe()
	defer client.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, _, err := p.lab.server[tlspolicy.CloudFrontAlerts].Handshake(p.tb.Context(), server)
		if err == nil {
			conn.Close()
		}
	}()
	r, err := (&rawtls.Client{Hello: h, Keys: testKeys().get}).Handshake(rawtls.Over(client))
	client.Close()
	<-done
	if err != nil {
		p.tb.Fatalf("%s: %+v: %v", p.name, o, err)
	}
	if r.Alert != nil {
		return nil
	}
	return r
}

// order returns what is chosen from a list, in the order in which it is.
func (p *prober) order(o offerAll, list func(*offerAll) *[]uint16, chosen func(*rawtls.Result) uint16) []uint16 {
	var found []uint16
	for {
		r := p.try(o)
		if r == nil || chosen(r) == 0 {
			return found
		}
		next := *list(&o)
		found = append(found, chosen(r))
		rest := slices.DeleteFunc(slices.Clone(next), func(v uint16) bool { return v == chosen(r) })
		if *list(&o) = rest; len(rest) == 0 {
			return found
		}
	}
}

func suitesOf(o *offerAll) *[]uint16  { return &o.suites }
func groupsOf(o *offerAll) *[]uint16  { return &o.groups }
func schemesOf(o *offerAll) *[]uint16 { return &o.schemes }

// probes are the lines of an effective snapshot.
type probe struct {
	title string
	codes []uint16
	names []string
}

// effective probes one policy with real handshakes.
func effective(tb testing.TB, l *lab, policy string) []probe {
	site := func(set string) *prober {
		for _, s := range l.sites {
			if s.policy == policy && s.set == set {
				return &prober{tb, l, s.name}
			}
		}
		tb.Fatalf("no site for %s with %s", policy, set)
		return nil
	}
	var out []probe
	add := func(title string, codes []uint16, name func(uint16) string) {
		line := probe{title: title, codes: codes}
		for _, c := range codes {
			line.names = append(line.names, name(c))
		}
		out = append(out, line)
	}
	suite := func(v uint16) string { return tlspolicy.Suite(v).OpenSSL() }
	group := func(v uint16) string { return tlspolicy.Group(v).String() }
	scheme := func(v uint16) string { return tlspolicy.Scheme(v).String() }

	both := site("both")
	var versions []uint16
	for v := uint16(0x0300); v <= 0x0305; v++ {
		if r := both.try(everything(v)); r != nil && r.Version == v {
			versions = append(versions, v)
		}
	}
	add("versions", versions, func(v uint16) string { return tlspolicy.Version(v).String() })
	for _, v := range versions {
		name := tlspolicy.Version(v).String()
		add(name+" suites", both.order(everything(v), suitesOf, func(r *rawtls.Result) uint16 { return r.Suite }), suite)
		chosenGroup := func(r *rawtls.Result) uint16 { return r.Group }
		add(name+" groups", both.order(everything(v), groupsOf, chosenGroup), group)
		chosenScheme := func(r *rawtls.Result) uint16 { return r.Scheme }
		if v >= rawtls.VersionTLS12 {
			add(name+" schemes, RSA", site("rsa").order(everything(v), schemesOf, chosenScheme), scheme)
			add(name+" schemes, ECDSA P-256", site("ecdsa").order(everything(v), schemesOf, chosenScheme), scheme)
			add(name+" schemes, ECDSA P-384", site("p384").order(everything(v), schemesOf, chosenScheme), scheme)
		}
		if v == rawtls.VersionTLS13 {
			o := everything(v)
			o.noShares = true
			add(name+" groups, asked for by HelloRetryRequest", both.order(o, groupsOf, chosenGroup), group)
		}
	}
	return out
}

// TestEffectiveSnapshots writes what each policy really negotiates, found by real
// handshakes. Its difference from the nominal snapshot is what docs/deviations.md tells.
func TestEffectiveSnapshots(t *testing.T) {
	l := newLab(t)
	for _, p := range tlspolicy.All() {
		probes := effective(t, l, p.Name)
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s, as found by real handshakes\n", p.Name)
		for _, line := range probes {
			fmt.Fprintf(&text, "\n%s\n", line.title)
			for i, code := range line.codes {
				fmt.Fprintf(&text, "  0x%04X  %s\n", code, line.names[i])
			}
		}
		compareSnapshot(t, filepath.Join("..", "..", "tlspolicy", "testdata", "policies", p.Name+".effective.txt"), text.Bytes())
		checkEffective(t, p, probes)
	}
}

func compareSnapshot(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if the change is meant, run `go test ./internal/edge/viewertls -run TestEffectiveSnapshots -update` and look at the diff\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// checkEffective compares what was found with what Policy.Effective claims.
func checkEffective(t *testing.T, p *tlspolicy.Policy, probes []probe) {
	t.Helper()
	e := p.Effective()
	for _, line := range probes {
		version, what, _ := strings.Cut(line.title, " ")
		is13 := version == tlspolicy.TLSv1_3.String()
		var want []uint16
		switch {
		case line.title == "versions":
			for v := e.MinVersion; v <= e.MaxVersion; v++ {
				want = append(want, uint16(v))
			}
		case what == "suites" && (is13 || version == tlspolicy.TLSv1_2.String()):
			for _, s := range e.Suites {
				if s.TLS13() == is13 {
					want = append(want, uint16(s))
				}
			}
		case strings.HasPrefix(what, "groups"):
			for _, g := range e.Groups {
				if is13 || !g.PQ() {
					want = append(want, uint16(g))
				}
			}
		case what == "schemes, RSA":
			for _, s := range e.Schemes {
				if pss := s>>8 == 8; s&0xFF != 3 && (pss || !is13) {
					want = append(want, uint16(s))
				}
			}
		case strings.HasPrefix(what, "schemes, ECDSA"):
			curve := map[string]uint16{"schemes, ECDSA P-256": 0x0403, "schemes, ECDSA P-384": 0x0503}[what]
			for _, s := range e.Schemes {
				if ecdsa := s>>8 != 8 && s&0xFF == 3; ecdsa && (!is13 || uint16(s) == curve) {
					want = append(want, uint16(s))
				}
			}
		default: // suites of older versions: the snapshot is the word
			continue
		}
		if !slices.Equal(line.codes, want) {
			t.Errorf("%s, %s: found %04x, Effective claims %04x", p.Name, line.title, line.codes, want)
		}
	}
}
