package clienthello

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"pqfront/internal/tlspolicy"
)

// TestVectors checks JA3 and JA4 of hellos from public packet captures against the
// values that JA4's own project and tshark publish for them. No row is an exception.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/ja4-vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(data)), "\n")[1:]
	if len(rows) != 188 {
		t.Fatalf("%d rows, want 188", len(rows))
	}
	for _, row := range rows {
		f := strings.Split(row, "\t")
		name, wantJA4, wantMD5, wantJA3 := f[0]+" frame "+f[1], f[4], f[5], f[6]
		msg, err := hex.DecodeString(f[3])
		if err != nil {
			t.Fatal(err)
		}
		transport := tlspolicy.TCP
		if f[2] == "q" {
			transport = tlspolicy.QUIC
		}
		h, err := Parse(transport, msg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := h.JA4(); got != wantJA4 {
			t.Errorf("%s: JA4 = %s, want %s", name, got, wantJA4)
		}
		text, sum := h.JA3()
		if text != wantJA3 || sum != wantMD5 {
			t.Errorf("%s: JA3 = %s (%s)\nwant %s (%s)", name, text, sum, wantJA3, wantMD5)
		}
	}
}

// TestJA4ALPN checks the first part's last two characters with the examples of the
// JA4 description.
func TestJA4ALPN(t *testing.T) {
	check := func(alpn, want string) {
		t.Helper()
		h := Hello{Offer: tlspolicy.Offer{ALPN: []string{alpn}}}
		if got := h.ja4ALPN(); got != want {
			t.Errorf("ja4ALPN(% x) = %s, want %s", alpn, got, want)
		}
	}
	check("", "00")
	check("h2", "h2")
	check("http/1.1", "h1")
	check("x", "xx")
	check("\xab", "ab")
	check("\xab\xcd", "ad")
	check("\x30\xab", "3b")
	check("\x30\x31\xab\xcd", "3d")
	check("\x30\xab\xcd\x31", "01")
}
