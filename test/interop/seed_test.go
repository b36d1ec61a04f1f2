package interop

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pqfront/internal/clienthello"
	"pqfront/internal/localca"
	"pqfront/internal/tlspolicy"
)

// The article's experiments, row by row: Classmethod's DevelopersIO, 2025-09-08, about
// CloudFront's security policy TLSv1.3_2025. testdata/seed/NN.txt holds what the
// article shows, with everything that differs from run to run replaced by <...>; where
// pqfront differs on purpose the line says so and docs/deviations.md has a row.

// fact is one kind of line that a transcript keeps.
type fact struct {
	re   *regexp.Regexp
	text string // replacement; $1 ... as in regexp.Expand
}

// curlFacts are the lines of curl -v that the article quotes.
var curlFacts = []fact{
	{regexp.MustCompile(`^\* ALPN: (curl offers|server accepted) (.*)$`), "ALPN: $1 $2"},
	{regexp.MustCompile(`^\* (SSL connection using .*)$`), "$1"},
	{regexp.MustCompile(`^\* .*\(IN\), TLS handshake, Newsession Ticket \(4\):$`), "new session ticket"},
	{regexp.MustCompile(`^\* .*(TLS alert, .*):$`), "$1"},
	{regexp.MustCompile(`^\* .*\(IN\), TLS handshake, Server hello \(2\):$`), "ServerHello"},
	{regexp.MustCompile(`^> (GET \S+ HTTP/\S+) *$`), "request $1"},
	{regexp.MustCompile(`^< (HTTP/\S+ \d+) *$`), "$1"},
	{regexp.MustCompile(`^(curl: \(\d+\)) .*(tlsv1 alert protocol version).*$`), "$1 $2"},
}

// opensslFacts are the lines of s_client that the article quotes.
var opensslFacts = []fact{
	{regexp.MustCompile(`^(CONNECTED)\(.*$`), "$1"},
	{regexp.MustCompile(`^(closed|no peer certificate available)$`), "$1"},
	{regexp.MustCompile(`^(Peer signature type: .*)$`), "$1"},
	{regexp.MustCompile(`^(Peer Temp Key: .*)$`), "$1"},
	{regexp.MustCompile(`^(Negotiated TLS1.3 group: .*)$`), "$1"},
	{regexp.MustCompile(`^(Verify return code: .*)$`), "$1"},
	{regexp.MustCompile(`^(New, \S+, Cipher is .*)$`), "$1"},
	{regexp.MustCompile(`^(Post-Handshake New Session Ticket arrived):$`), "$1"},
	{regexp.MustCompile(`^ *(Max Early Data: .*)$`), "$1"},
	{regexp.MustCompile(`^ *0000 - 01([ -]3[0-9]){13}.*$`), "ticket: 01, 13 digits"},
}

func facts(out string, table []fact) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		for _, f := range table {
			if f.re.MatchString(line) {
				fmt.Fprintln(&b, f.re.ReplaceAllString(line, f.text))
			}
		}
	}
	return b.String()
}

func expect(t *testing.T, row, got, whole string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "seed", row+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join(regexp.MustCompile(`(?m)^#.*\n`).Split(string(text), -1), "")
	if got != want {
		t.Errorf("row %s\n--- want\n%s--- got\n%s--- whole transcript\n%s", row, want, got, whole)
	}
}

func TestSeed(t *testing.T) {
	needInterop(t)
	t.Run("TLSv1.2_2021", func(t *testing.T) {
		e := start(t, "TLSv1.2_2021", localca.RSA2048)
		e.curl("/index.html") // the article's object was in the cache already
		out, _ := e.curl("/index.html")
		expect(t, "01-curl", facts(out, curlFacts), out)
		expect(t, "02-headers", headerFacts(out), out)
		t.Run("03", func(t *testing.T) { seedHello(t) })
		out, _ = e.curl("/index.html", "--tls-max", "1.2")
		expect(t, "04-curl-tls-max-1.2", facts(out, curlFacts), out)

		// Row 5: the policy is changed while the edge runs; the next connections obey it.
		e.writeConfig("TLSv1.3_2025")
		eventually(t, "the edge obeys the changed policy", func() bool {
			_, code := e.curl("/index.html", "--tls-max", "1.2")
			return code == 35
		})
		seedTLS13(t, e)
	})
	t.Run("PQ-only", func(t *testing.T) {
		e := start(t, "PQFront_TLSv1.3_PQ_2026", localca.RSA2048)
		out, _ := e.sClient("-groups", "X25519")
		expect(t, "11-wish-classical", facts(out, opensslFacts), out)
		out, _ = e.hold("-groups", "X25519MLKEM768")
		expect(t, "11-wish-hybrid", facts(out, opensslFacts), out)
	})
}

// seedTLS13 is rows 6 to 10.
func seedTLS13(t *testing.T, e *edge) {
	out, _ := e.curl("/index.html")
	expect(t, "06-curl", facts(out, curlFacts), out)
	out, code := e.curl("/index.html", "--tls-max", "1.2")
	expect(t, "07-curl-tls-max-1.2", facts(out, curlFacts), out)
	if code != 35 {
		t.Errorf("row 7: curl's exit code is %d, want 35", code)
	}
	out, _ = e.hold("-groups", "X25519MLKEM768")
	expect(t, "08-hybrid", facts(out, opensslFacts), out)
	hybrid := out
	out, _ = e.hold("-groups", "X25519")
	expect(t, "09-classical", facts(out, opensslFacts), out)
	if a, b := ticketKey(hybrid), ticketKey(out); a == "" || a != b {
		t.Errorf("rows 8 and 9: ticket key names %q and %q, want one and the same", a, b)
	}
	// Rows 8 and 9: what a hybrid share costs on the wire. The server's is 1,088 bytes
	// longer; the client's 1,184, of which OpenSSL saves 8 elsewhere.
	read8, written8 := traffic(t, hybrid)
	read9, written9 := traffic(t, out)
	if d := read8 - read9; d < 1088-80 || d > 1088+80 { // an RSA-PSS or ECDSA signature may vary, a ticket may join
		t.Errorf("rows 8 and 9: %d bytes more read, want 1088", d)
	}
	if d := written8 - written9; d != 1176 {
		t.Errorf("rows 8 and 9: %d bytes more written, want 1176", d)
	}
	out, _ = e.sClient("-groups", "secp521r1")
	expect(t, "10-secp521r1", facts(out, opensslFacts), out)
	if read, _ := traffic(t, out); read != 7 {
		t.Errorf("row 10: %d bytes read, want 7", read)
	}
}

// seedHello is row 3: what OpenSSL 3.5 offers, seen with our own parser.
func seedHello(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	record := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			record <- nil
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		var all []byte
		buf := make([]byte, 4096)
		for len(all) < 5 || len(all) < 5+int(all[3])<<8+int(all[4]) {
			n, err := c.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				break
			}
		}
		record <- all
	}()
	peer(t, "", "curl", "-sk", "--max-time", "5", "https://"+l.Addr().String()+"/")
	wire := <-record
	if len(wire) < 5 {
		t.Fatalf("curl sent %d bytes", len(wire))
	}
	hello, err := clienthello.Parse(tlspolicy.TCP, wire[5:])
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range hello.Offer.Groups {
		fmt.Fprintf(&b, "%#04x %v\n", uint16(g), g)
	}
	expect(t, "03-groups", b.String(), hex.Dump(wire))
}

// headerFacts are the response's fields in their order, with what differs from run to
// run replaced.
func headerFacts(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n ")
		field, ok := strings.CutPrefix(line, "< ")
		name, value, colon := strings.Cut(field, ": ")
		if !ok || !colon {
			continue
		}
		switch name {
		case "date", "last-modified":
			if _, err := time.Parse(time.RFC1123, value); err == nil {
				value = "<date>"
			}
		case "age":
			if _, err := strconv.Atoi(value); err == nil {
				value = "<seconds>"
			}
		case "via":
			value = regexp.MustCompile(`\b[0-9a-f]{32}\.`).ReplaceAllString(value, "<32 hex>.")
		case "x-amz-cf-id":
			value = regexp.MustCompile(`^[A-Za-z0-9_-]{54}==$`).ReplaceAllString(value, "<54 chars>==")
		case "alt-svc":
			value = regexp.MustCompile(`:\d+"`).ReplaceAllString(value, `:<port>"`)
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	return b.String()
}

var trafficRE = regexp.MustCompile(`SSL handshake has read (\d+) bytes and written (\d+) bytes`)

func traffic(t *testing.T, out string) (read, written int) {
	t.Helper()
	m := trafficRE.FindStringSubmatch(out)
	if m == nil {
		t.Errorf("s_client does not say how many bytes it read:\n%s", out)
		return 0, 0
	}
	read, _ = strconv.Atoi(m[1])
	written, _ = strconv.Atoi(m[2])
	return read, written
}

// ticketKey is the name of the key that sealed the ticket in s_client's dump: the 16
// bytes after the version.
func ticketKey(out string) string {
	var dump []byte
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "0000 - ") && !strings.HasPrefix(line, "0010 - ") {
			continue
		}
		hexes := strings.ReplaceAll(line[7:min(len(line), 7+47)], "-", " ")
		for _, h := range strings.Fields(hexes) {
			v, err := hex.DecodeString(h)
			if err != nil {
				return ""
			}
			dump = append(dump, v...)
		}
		if len(dump) >= 17 {
			return string(bytes.TrimRight(dump[1:17], "\x00"))
		}
	}
	return ""
}
