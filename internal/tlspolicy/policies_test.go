package tlspolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the snapshots in testdata anew")

// snapshot compares what write produces with the committed file.
func snapshot(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs; if the change is meant, run `go test ./internal/tlspolicy -update` and look at the diff\ngot:\n%s\nwant:\n%s", path, got.Bytes(), want)
	}
}

func TestNominalSnapshots(t *testing.T) {
	for _, p := range All() {
		snapshot(t, "policies/"+p.Name+".nominal.txt", func(w io.Writer) error { return WriteShow(w, p) })
	}
	snapshot(t, "list.txt", WriteList)
	snapshot(t, "reasons.txt", WriteReasons)
	snapshot(t, "diffs.txt", func(w io.Writer) error {
		all := All()
		for i := range all[1:] {
			if err := WriteDiff(w, all[i+1], all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestRuleSnapshot(t *testing.T) {
	snapshot(t, "rules.txt", func(w io.Writer) error {
		for _, r := range Rules() {
			fmt.Fprintf(w, "%s: %s\n", r.Name, r.Text)
			for _, p := range All() {
				fmt.Fprintf(w, "  %-31s %s\n", p.Name, verdict(r.Check(p)))
			}
		}
		return nil
	})
}

// TestPolicyFacts states in code points what CloudFront documents, apart from
// the literals. CloudFront: Supported protocols and ciphers between viewers and CloudFront.
func TestPolicyFacts(t *testing.T) {
	check := func(name string, floor Version, suites, groups, schemes string) {
		t.Helper()
		p, err := Lookup(name)
		if err != nil {
			t.Error(err)
			return
		}
		if p.MinVersion != floor || p.MaxVersion != TLSv1_3 {
			t.Errorf("%s: %v to %v", name, p.MinVersion, p.MaxVersion)
		}
		if got := codes(p.Suites); got != suites {
			t.Errorf("%s suites\ngot  %s\nwant %s", name, got, suites)
		}
		if got := codes(p.Groups); got != groups {
			t.Errorf("%s groups: %s, want %s", name, got, groups)
		}
		if got := codes(p.Schemes); got != schemes {
			t.Errorf("%s schemes: %s, want %s", name, got, schemes)
		}
	}
	const (
		g1 = "11EC 11EB 001D 0017 0018"
		g2 = "11EC 11EB 0017 0018"
		b  = "0809 080A 080B 0804 0805 0806 0401 0501 0601 0301 0403 0503 0603 0303"
		a  = b + " 0201 0203"
		c  = "0809 080A 080B 0804 0805 0806 0401 0501 0601 0403 0503 0603"
		t3 = "1301 1302 1303"

		s2016 = t3 + " C02B C02F C023 C027 C009 C013 C02C C030 CCA9 CCA8 C024 C028 C00A C014 009C 009D 003C 0035 002F"
	)
	check("SSLv3", SSLv3, s2016+" 000A 0004", g1, a)
	check("TLSv1", TLSv1, s2016+" 000A", g1, a)
	check("TLSv1_2016", TLSv1, s2016, g1, a)
	check("TLSv1.1_2016", TLSv1_1, s2016, g1, a)
	check("TLSv1.2_2018", TLSv1_2, t3+" C02B C02F C023 C027 C02C C030 CCA9 CCA8 C024 C028 009C 009D 003C", g1, b)
	check("TLSv1.2_2019", TLSv1_2, t3+" C02B C02F C02C C030 CCA9 CCA8 C024 C028 C023 C027", g1, b)
	check("TLSv1.2_2021", TLSv1_2, t3+" C02B C02F C02C C030 CCA9 CCA8", g1, b)
	check("TLSv1.2_2025", TLSv1_2, "1301 1302 C02B C02F C02C C030", g2, c)
	check("TLSv1.3_2025", TLSv1_3, t3, g1, c)
	check("PQFront_TLSv1.3_PQ_2026", TLSv1_3, t3, "11EC 11EB", c)
	check("PQFront_TLSv1.3_PQ_Strict_2026", TLSv1_3, t3, "11ED 11EC 11EB", c)
	if n := len(All()); n != 11 {
		t.Errorf("%d policies, want 11", n)
	}
}

func codes[T ~uint16](list []T) string {
	var s []string
	for _, v := range list {
		s = append(s, fmt.Sprintf("%04X", uint16(v)))
	}
	return strings.Join(s, " ")
}

// TestTable checks what every policy must be like.
func TestTable(t *testing.T) {
	for i, p := range All() {
		if p.Rank != i+1 || p.Summary == "" || strings.HasSuffix(p.Summary, ".") {
			t.Errorf("%s: rank %d, summary %q", p.Name, p.Rank, p.Summary)
		}
		for _, s := range p.Suites {
			if s.info() == nil {
				t.Errorf("%s: suite %v is not in the table of suites", p.Name, s)
			}
		}
		if d := duplicates(p.Suites) + duplicates(p.Groups) + duplicates(p.Schemes); d != "" {
			t.Errorf("%s names twice: %s", p.Name, d)
		}
		// The engine knows one order of TLS 1.3 suites, and all of them are always on:
		// only a prefix of that order can be enforced by refusing who shares none.
		order := []Suite{TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256}
		tls13 := slices.DeleteFunc(slices.Clone(p.Suites), func(s Suite) bool { return !s.TLS13() })
		if len(tls13) == 0 || !slices.Equal(tls13, order[:len(tls13)]) {
			t.Errorf("%s: TLS 1.3 suites %v are not a prefix of %v", p.Name, tls13, order)
		}
		if local := strings.HasPrefix(p.Name, "PQFront_"); local != strings.Contains(p.Name, "PQ") {
			t.Errorf("%s: names of our own, and only those, start with PQFront_", p.Name)
		}
	}
}

func duplicates[T comparable](list []T) string {
	seen := map[T]bool{}
	for _, v := range list {
		if seen[v] {
			return fmt.Sprint(v)
		}
		seen[v] = true
	}
	return ""
}

// TestFresh: what callers do to a policy does not reach the next caller.
func TestFresh(t *testing.T) {
	p, _ := Lookup("TLSv1.2_2021")
	p.Suites[0], p.Groups[0] = 0, 0
	p.Effective().Schemes[0] = 0
	q, _ := Lookup("TLSv1.2_2021")
	if q.Suites[0] == 0 || q.Groups[0] == 0 || q.Effective().Schemes[0] == 0 {
		t.Error("policies share memory")
	}
}

func TestLookup(t *testing.T) {
	for _, name := range Names() {
		if p, err := Lookup(name); err != nil || p.Name != name {
			t.Errorf("Lookup(%s) = %v, %v", name, p, err)
		}
	}
	unknown := func(name, wantText string) {
		t.Helper()
		_, err := Lookup(name)
		if !errors.Is(err, ErrUnknown) || err.Error() != wantText {
			t.Errorf("Lookup(%q): %v, want %s", name, err, wantText)
		}
		var u *UnknownError
		if !errors.As(err, &u) || u.Name != name {
			t.Errorf("Lookup(%q): %T", name, err)
		}
	}
	const hint = " (`pqfront policy list` shows all)"
	unknown("TLSv1.3_2026", `unknown security policy "TLSv1.3_2026": did you mean TLSv1.3_2025 or TLSv1.2_2025 or TLSv1.2_2021?`+hint)
	unknown("tlsv1.3_2025", `unknown security policy "tlsv1.3_2025": did you mean TLSv1.3_2025 or TLSv1.2_2025 or TLSv1.2_2021?`+hint)
	unknown("PQFront_PQ_2026", `unknown security policy "PQFront_PQ_2026": did you mean PQFront_TLSv1.3_PQ_2026?`+hint)
	unknown("", `unknown security policy ""`+hint)
	unknown("ELBSecurityPolicy-2016-08", `unknown security policy "ELBSecurityPolicy-2016-08"`+hint)
	unknown(strings.Repeat("x", 1000), `unknown security policy "`+strings.Repeat("x", 1000)+`"`+hint)

	// No name is withdrawn yet; the way it will be is tested all the same.
	_, err := lookup(policies(), []ErrDeprecated{{"TLSv0", "TLSv1", "it was a joke"}}, "TLSv0")
	var d *ErrDeprecated
	if !errors.As(err, &d) || errors.Is(err, ErrUnknown) || d.Use != "TLSv1" ||
		err.Error() != `security policy "TLSv0" is deprecated (it was a joke): use TLSv1` {
		t.Errorf("deprecated name: %v", err)
	}
	for _, d := range deprecated() {
		if _, err := Lookup(d.Use); err != nil {
			t.Errorf("%s is replaced by %s: %v", d.Name, d.Use, err)
		}
	}
}

// TestEffective: what is left and what is said to be missing are the policy.
func TestEffective(t *testing.T) {
	for _, p := range All() {
		e, gaps := p.Effective(), p.Gaps()
		missing := func(k Kind) int {
			n := 0
			for _, g := range gaps {
				if g.Kind == k {
					n++
					if g.Reason == "" || g.Name == "" {
						t.Errorf("%s: %+v says too little", p.Name, g)
					}
				}
			}
			return n
		}
		if int(e.MinVersion-p.MinVersion) != missing(KindVersion) ||
			len(p.Suites)-len(e.Suites) != missing(KindSuite) ||
			len(p.Groups)-len(e.Groups) != missing(KindGroup) ||
			len(p.Schemes)-len(e.Schemes) != missing(KindScheme) {
			t.Errorf("%s: the gaps do not add up: %+v", p.Name, gaps)
		}
		if len(e.Gaps()) != 0 {
			t.Errorf("%s: the effective policy has gaps itself: %+v", p.Name, e.Gaps())
		}
	}
	ssl, _ := Lookup("SSLv3")
	if e := ssl.Effective(); e.MinVersion != TLSv1 || slices.Contains(e.Suites, TLS_RSA_WITH_RC4_128_MD5) {
		t.Errorf("effective SSLv3: %+v", e)
	}
}

func TestJSON(t *testing.T) {
	p, _ := Lookup("TLSv1.3_2025")
	data, err := json.Marshal(Describe(p))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"TLSv1.3_2025"`, `"rank":3`, `"suites":[{"code":"0x1301","name":"TLS_AES_128_GCM_SHA256"`, `"offers_pq":true`, `"broken_rules":[{"rule":"requires_pq"`} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("JSON lacks %s: %s", want, data)
		}
	}
	q, _ := Lookup("TLSv1.2_2021")
	data, err = json.Marshal(Diff(p, q))
	if err != nil || !bytes.Contains(data, []byte(`"versions":{"only_a":[],"only_b":["TLSv1.2"],"reordered":false}`)) {
		t.Errorf("Diff as JSON: %s, %v", data, err)
	}
	var same bytes.Buffer
	if err := WriteDiff(&same, p, p); err != nil || !strings.Contains(same.String(), "no difference") {
		t.Errorf("WriteDiff of the same: %s, %v", same.String(), err)
	}
}

// TestNames: every named code point has a name, every other one a readable number.
func TestNames(t *testing.T) {
	check := func(got fmt.Stringer, want string) {
		t.Helper()
		if got.String() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(TLSv1_3, "TLSv1.3")
	check(Version(0x0305), "0x0305")
	check(Version(0x7A7A), "GREASE 7A7A")
	check(Suite(0xC02F), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
	check(Suite(0x1304), "0x1304")
	check(Suite(0x0A0A), "GREASE 0A0A")
	check(FallbackSCSV, "TLS_FALLBACK_SCSV")
	check(EmptyRenegotiationSCSV, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV")
	check(X25519MLKEM768, "X25519MLKEM768")
	check(Group(0x6399), "X25519Kyber768Draft00")
	check(Group(0x001C), "0x001C")
	check(ECDSASecP256r1SHA256, "ecdsa_secp256r1_sha256")
	check(Scheme(0x081A), "0x081A")
	check(Ed25519, "Ed25519")
	check(KeyType(9), "key type 9")
	check(AlertProtocolVersion, "protocol_version")
	check(Alert(200), "200")
	check(Alert(7), "7")
	check(RFCAlerts, "rfc")
	check(CloudFrontAlerts, "cloudfront")
	check(TCP, "tcp")
	check(QUIC, "quic")
	if got := TLS_RSA_WITH_3DES_EDE_CBC_SHA.OpenSSL(); got != "DES-CBC3-SHA" {
		t.Error(got)
	}
}

// TestReasonTable: each reason has one row, and the two profiles answer for each.
func TestReasonTable(t *testing.T) {
	seen := map[Reason]bool{}
	for _, row := range reasonTable() {
		if seen[row.reason] || row.text == "" || row.rule == "" {
			t.Errorf("row of %s is a duplicate or says too little", row.reason)
		}
		seen[row.reason] = true
	}
	alert := func(p AlertProfile, r Reason, level AlertLevel, want Alert) {
		t.Helper()
		if l, a := p.Alert(r); l != level || a != want {
			t.Errorf("%v.Alert(%s) = %d %v, want %d %v", p, r, l, a, level, want)
		}
	}
	alert(CloudFrontAlerts, ReasonVersionTooLow, AlertFatal, 70)
	alert(CloudFrontAlerts, ReasonNoCommonGroup, AlertWarning, 0)
	alert(CloudFrontAlerts, ReasonInappropriateFallback, AlertWarning, 0)
	alert(CloudFrontAlerts, ReasonHTTP, NoAlert, 0)
	alert(RFCAlerts, ReasonVersionTooLow, AlertFatal, 70)
	alert(RFCAlerts, ReasonNoCommonGroup, AlertFatal, 40)
	alert(RFCAlerts, ReasonNoCommonSuite, AlertFatal, 40)
	alert(RFCAlerts, ReasonInappropriateFallback, AlertFatal, 86)
	alert(RFCAlerts, ReasonMissingExtension, AlertFatal, 109)
	alert(RFCAlerts, ReasonUnknownSNI, AlertFatal, 112)
	alert(RFCAlerts, ReasonNoALPN, AlertFatal, 120)
	alert(RFCAlerts, ReasonKeyShare, AlertFatal, 47)
	alert(RFCAlerts, ReasonTimeout, AlertWarning, 0)
	alert(RFCAlerts, ReasonHTTP, NoAlert, 0)
	alert(RFCAlerts, "made up", AlertFatal, 40)
}
