package accesslog

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pqfront/internal/tlspolicy"
)

var update = flag.Bool("update", false, "rewrite the committed snapshots")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; refresh it with: go test ./internal/edge/accesslog -update\ngot:\n%s", file, got)
	}
}

func handshake() *tlspolicy.Handshake {
	return &tlspolicy.Handshake{
		ServerName: "www.example.org", Policy: "TLSv1.3_2025", Distribution: "E1A2B3C4D5E6F7",
		Outcome: tlspolicy.Outcome{Version: tlspolicy.TLSv1_3, Suite: tlspolicy.TLS_AES_128_GCM_SHA256,
			Group: tlspolicy.X25519MLKEM768, Scheme: 0x0804, HRR: true, ALPN: "h2"},
		JA3: "e7d705a3286e19ea42f587b344ee6865", JA4: "t13d1516h2_8daaf6152771_e5627efa2ab1", Stage: "done",
		HelloBytes: 1534, Duration: 2345 * time.Microsecond,
	}
}

func record() Record {
	return Record{
		Time: time.Date(2026, 11, 25, 9, 8, 7, 654321000, time.UTC), Location: "PQF50-P1",
		RequestID:    "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==",
		Distribution: "E1A2B3C4D5E6F7", DistributionDomain: "d111111abcdef8.cloudfront.net", Behavior: "*",
		ViewerIP: "2001:db8::7", ViewerPort: 50123, Scheme: "https", Proto: "HTTP/2.0", Method: "GET",
		Host: "www.example.org", Path: "/index.html", Query: "a=1&b=100%", Referer: "https://example.org/a b",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) \"ü\"", Cookie: "a=b; c=d", ForwardedFor: "192.0.2.1, 192.0.2.2",
		RequestBytes: 120, Status: 200, ResponseBytes: 1234, ContentType: "text/html", ContentLength: 12,
		RangeStart: -1, RangeEnd: -1, ResultType: "Hit", ResponseResult: "Hit", Detailed: "Hit",
		Taken: 1499 * time.Microsecond, FirstByte: 1234567 * time.Microsecond, TLS: handshake(), First: true,
	}
}

// TestLines compares whole lines with committed ones.
func TestLines(t *testing.T) {
	b := standardHead()
	full := record()
	b = AppendStandard(b, &full)
	plain := record()
	plain.TLS, plain.Scheme, plain.Proto, plain.Status, plain.Query = nil, "http", "HTTP/1.1", 0, ""
	plain.RangeStart, plain.RangeEnd, plain.ContentLength = 0, 11, -1
	b = AppendStandard(b, &plain)
	b = AppendStandard(b, &Record{Time: full.Time})
	golden(t, "testdata/standard.log", b)

	miss := record()
	miss.ResultType, miss.Reason, miss.OriginAddress = "Miss", "not-stored", "192.0.2.10:443"
	miss.OriginTLS, miss.OriginGroup, miss.OriginFirstByte = "TLSv1.3", "X25519MLKEM768", 20*time.Millisecond
	b = AppendJSON(nil, &full)
	b = AppendJSON(b, &miss)
	b = AppendJSON(b, &plain)
	refused := handshake()
	refused.Outcome = tlspolicy.Outcome{Refused: true, Reason: "version_too_low", Alert: 70}
	refused.Stage = "decided"
	viewer := netip.MustParseAddrPort("[::ffff:192.0.2.9]:4711")
	b = (&Connection{Time: full.Time, Location: "PQF50-P1", Viewer: viewer, TLS: refused}).AppendJSON(b)
	b = (&Rejection{Time: full.Time, Location: "PQF50-P1", Viewer: viewer, TLS: handshake(), Proto: "HTTP/1.1",
		Status: 400, Reason: "bare-cr", Method: "GET", Authority: "www.example.org", Path: "/a"}).AppendJSON(b)
	b = (&Rejection{Time: full.Time}).AppendJSON(b)
	golden(t, "testdata/lines.json", b)
	for line := range bytes.Lines(b) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Errorf("%v in %s", err, line)
		}
	}
}

func TestReference(t *testing.T) {
	var b bytes.Buffer
	if err := WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "../../../docs/reference/log-fields.md", b.Bytes())
}

// TestFieldNames: CloudFront: Standard log file fields; names are unique within a type.
func TestFieldNames(t *testing.T) {
	if len(standardFields) != 33 {
		t.Errorf("%d standard fields, want 33", len(standardFields))
	}
	seen := map[string]bool{"type": true}
	check := func(name, doc string) {
		if seen[name] {
			t.Errorf("field %q occurs twice", name)
		}
		if seen[name] = true; doc == "" || strings.ContainsAny(name, "\"\\|") {
			t.Errorf("field %q: no doc, or a name that needs escaping", name)
		}
	}
	for _, f := range standardFields {
		check(f.name, f.doc)
	}
	for _, f := range requestFields {
		check(f.name, f.doc)
	}
	for _, f := range tlsFields {
		check(f.name, f.doc)
	}
}

// fill sets every string in a struct, nested ones too, to s.
func fill(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), s)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem(), s)
		}
	}
}

// TestInjection: no viewer can forge a line or a field.
func TestInjection(t *testing.T) {
	const evil = "a\r\nb\tc\x00\x7f\x1b[31m\u0085\u2028\u2029\"}\\\xff{'-"
	r := record()
	fill(reflect.ValueOf(&r).Elem(), evil)
	line := AppendStandard(nil, &r)
	if n := bytes.Count(line, []byte("\n")); n != 1 {
		t.Errorf("standard line has %d line feeds", n)
	}
	if n := bytes.Count(line, []byte("\t")); n != len(standardFields)-1 {
		t.Errorf("standard line has %d tabs", n)
	}
	for _, c := range bytes.TrimSuffix(line, []byte("\n")) {
		if c != '\t' && (c <= ' ' || c >= 0x7f) {
			t.Fatalf("standard line holds byte %#x", c)
		}
	}
	c := Connection{TLS: r.TLS}
	j := Rejection{Status: 400, TLS: r.TLS}
	fill(reflect.ValueOf(&j).Elem(), evil)
	for _, line := range [][]byte{AppendJSON(nil, &r), c.AppendJSON(nil), j.AppendJSON(nil)} {
		if n := bytes.Count(line, []byte("\n")); n != 1 || bytes.ContainsAny(line, "\r\t\x00\x1b\x7f\u2028\u0085") {
			t.Errorf("JSON line holds raw control characters: %q", line)
		}
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if got := m["tls-sni"]; got != strings.ToValidUTF8(evil, "\ufffd") {
			t.Errorf("tls-sni came back as %q", got)
		}
	}
}

func TestValues(t *testing.T) {
	line := func(v value, want string) {
		t.Helper()
		if got := string(v.appendLine(nil)); got != want {
			t.Errorf("line %+v = %s, want %s", v, got, want)
		}
	}
	line(str(""), "-")
	line(str("a b"), "a%20b")
	line(str("50%"), "50%25")
	line(str("é"), "%C3%A9")
	line(str("a=b&c=d/;,()+:@!$*-_."), "a=b&c=d/;,()+:@!$*-_.")
	line(count(-1), "-")
	line(count(0), "0")
	line(secs(1499*time.Microsecond), "0.001")
	line(secs(1500*time.Microsecond), "0.002")
	line(secs(61*time.Second), "61.000")
	line(secs(-time.Second), "0.000")
	line(value{kind: status}, "000")
	line(value{kind: status, n: 494}, "494")
	line(value{kind: date, n: time.Date(2026, 1, 2, 23, 59, 59, 0, time.FixedZone("", -3600)).UnixMicro()}, "2026-01-03")
	line(value{kind: clock, n: time.Date(2026, 1, 2, 23, 59, 59, 0, time.FixedZone("", -3600)).UnixMicro()}, "00:59:59")
}

func FuzzJSONString(f *testing.F) {
	f.Add("plain")
	f.Add("a\"\\\x00\u2028\xff\xc0\x80é漢😀")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(appendQuoted(nil, s), &back); err != nil {
			t.Fatal(err)
		}
		// json.Marshal replaces each broken byte by one U+FFFD, as we do.
		ref, _ := json.Marshal(s)
		var want string
		_ = json.Unmarshal(ref, &want)
		if back != want {
			t.Fatalf("%q came back as %q, want %q", s, back, want)
		}
	})
}

func BenchmarkStandard(b *testing.B) {
	r := record()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendStandard(buf[:0], &r)
	}
}

func BenchmarkJSON(b *testing.B) {
	r := record()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], &r)
	}
}

// BenchmarkRequest measures the whole way of a record to the queue, both logs on.
func BenchmarkRequest(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(Options{Standard: File{Path: dir + "/s", MaxBytes: 64 << 20, Keep: 1},
		JSON: File{Path: dir + "/j", MaxBytes: 64 << 20, Keep: 1}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := record()
	b.ReportAllocs()
	for b.Loop() {
		l.Request(&r)
	}
}
