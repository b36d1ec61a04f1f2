package clienthello

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pqfront/internal/rawtls"
	"pqfront/internal/tlspolicy"
)

// browser is a ClientHello like today's Chromium's: post-quantum share, GREASE at both
// ends, ECH-shaped GREASE, some 1.7 KB.
func browser() *rawtls.Hello {
	share := func(group uint16, n int) rawtls.Share {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i * 7)
		}
		return rawtls.Share{Group: group, Data: data}
	}
	ech := append([]byte{0, 0, 1, 0, 1, 42}, rawtls.Vector16(make([]byte, 32))...)
	ech = append(ech, rawtls.Vector16(make([]byte, 176))...)
	return &rawtls.Hello{
		Version: 0x0303, SessionID: make([]byte, 32), Compression: []byte{0},
		Suites: []uint16{0x3A3A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035},
		Extensions: []rawtls.Extension{
			{Type: 0x8A8A},
			rawtls.ServerName("www.example.com"),
			{Type: rawtls.ExtExtendedMaster},
			{Type: rawtls.ExtRenegotiationInfo, Data: []byte{0}},
			rawtls.Groups(0x4A4A, 0x11EC, 0x001D, 0x0017, 0x0018),
			rawtls.PointFormats(0),
			{Type: rawtls.ExtSessionTicket},
			rawtls.ALPN("h2", "http/1.1"),
			{Type: rawtls.ExtStatusRequest, Data: []byte{1, 0, 0, 0, 0}},
			rawtls.Schemes(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601),
			{Type: rawtls.ExtSCT},
			rawtls.KeyShares(share(0x4A4A, 1), share(0x11EC, 1216), share(0x001D, 32)),
			rawtls.PSKModes(1),
			rawtls.SupportedVersions(0x6A6A, 0x0304, 0x0303),
			{Type: rawtls.ExtCompressCertificate, Data: []byte{2, 0, 2}},
			{Type: rawtls.ExtApplicationSettings, Data: []byte{0, 3, 2, 'h', '2'}},
			{Type: rawtls.ExtECH, Data: ech},
			{Type: 0x1A1A, Data: []byte{0}},
		},
	}
}

// vectors returns the hellos of the published vectors.
func vectors(t testing.TB) [][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/ja4-vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var msgs [][]byte
	for row := range strings.Lines(strings.TrimSpace(string(data))) {
		if msg, err := hex.DecodeString(strings.Split(row, "\t")[3]); err == nil {
			msgs = append(msgs, msg)
		}
	}
	return msgs
}

func TestParse(t *testing.T) {
	msg := browser().Marshal()
	h, err := Parse(tlspolicy.TCP, msg)
	if err != nil {
		t.Fatal(err)
	}
	o := &h.Offer
	if h.Size != len(msg) || h.Size < 1650 || h.Size > 1800 || !h.HasSNI || !h.OCSP || !h.ECH || len(h.SessionID) != 32 {
		t.Errorf("%+v", h)
	}
	if o.ServerName != "www.example.com" || o.LegacyVersion != tlspolicy.TLSv1_2 || len(o.Suites) != 16 || o.Suites[0] != 0x3A3A ||
		!slices.Equal(o.SupportedVersions, []tlspolicy.Version{0x6A6A, 0x0304, 0x0303}) ||
		!slices.Equal(o.Groups, []tlspolicy.Group{0x4A4A, 0x11EC, 0x1D, 0x17, 0x18}) ||
		!slices.Equal(o.KeyShares, []tlspolicy.Group{0x4A4A, 0x11EC, 0x1D}) || !slices.Equal(o.KeyShareSizes, []int{1, 1216, 32}) ||
		!slices.Equal(o.ALPN, []string{"h2", "http/1.1"}) || len(o.Schemes) != 8 || !bytes.Equal(o.PointFormats, []byte{0}) ||
		!o.HasGroups || !o.HasSchemes || !o.HasKeyShare || !o.HasPSKModes || !o.PSKWithDHE || !o.ExtendedMasterSecret || !o.SessionTicket ||
		o.EarlyData || o.Renegotiation || o.QUICParameters {
		t.Errorf("%+v", o)
	}
	if len(h.Extensions) != 18 || h.Extensions[0] != 0x8A8A || h.Extensions[17] != 0x1A1A {
		t.Errorf("extensions %04x", h.Extensions)
	}
}

// extend returns the browser's hello with one more, or another, extension.
func extend(e rawtls.Extension) []byte {
	h := browser()
	h.Extensions = slices.DeleteFunc(h.Extensions, func(x rawtls.Extension) bool { return x.Type == e.Type })
	h.Extensions = append(h.Extensions, e)
	return h.Marshal()
}

// syntax is one line per rule of syntax: an extension, and whether it is good.
func syntax(rule func(typ uint16, data string, good bool)) {
	// RFC 6066, Section 3
	rule(rawtls.ExtServerName, "0004 00 0001 61", true)
	rule(rawtls.ExtServerName, "0000", false)
	rule(rawtls.ExtServerName, "", false)
	rule(rawtls.ExtServerName, "0003 00 0000", false)
	rule(rawtls.ExtServerName, "0005 00 0002 612e", false) // trailing dot
	rule(rawtls.ExtServerName, "0008 00 0001 61 00 0001 62", false)
	rule(rawtls.ExtServerName, "0008 01 0001 61 00 0001 62", true) // another kind of name
	rule(rawtls.ExtServerName, "0004 00 0001 61 00", false)
	// RFC 6066, Section 8
	rule(rawtls.ExtStatusRequest, "01 0000 0000", true)
	rule(rawtls.ExtStatusRequest, "01 0000", false)
	rule(rawtls.ExtStatusRequest, "01 0000 0000 00", false)
	// RFC 8446, Section 4.2.7, 4.2.3, 4.2.1
	for _, typ := range []uint16{rawtls.ExtSupportedGroups, rawtls.ExtSignatureAlgorithms, 50} {
		rule(typ, "0002 0017", true)
		rule(typ, "0000", false)
		rule(typ, "0003 001700", false)
		rule(typ, "0002 0017 00", false)
		rule(typ, "", false)
	}
	rule(rawtls.ExtSupportedVersions, "02 0304", true)
	rule(rawtls.ExtSupportedVersions, "00", false)
	rule(rawtls.ExtSupportedVersions, "03 030403", false)
	rule(rawtls.ExtSupportedVersions, "02 0304 00", false)
	// RFC 8422, Section 5.1.2
	rule(rawtls.ExtPointFormats, "01 00", true)
	rule(rawtls.ExtPointFormats, "00", false)
	rule(rawtls.ExtPointFormats, "01 00 00", false)
	// RFC 7301, Section 3.1
	rule(rawtls.ExtALPN, "0003 02 6832", true)
	rule(rawtls.ExtALPN, "0000", false)
	rule(rawtls.ExtALPN, "0001 00", false)
	rule(rawtls.ExtALPN, "0003 03 6832", false)
	rule(rawtls.ExtALPN, "0003 02 6832 00", false)
	// Extensions without content
	for _, typ := range []uint16{rawtls.ExtSCT, rawtls.ExtExtendedMaster, rawtls.ExtEarlyData} {
		rule(typ, "", true)
		rule(typ, "00", false)
	}
	// Extensions with any content
	rule(rawtls.ExtSessionTicket, "", true)
	rule(rawtls.ExtSessionTicket, "0102", true)
	rule(rawtls.ExtPadding, "0000", true)
	rule(0x1234, "ff", true)
	// RFC 8446, Section 4.2.2, 4.2.9, 4.2.8
	rule(rawtls.ExtCookie, "0001 00", true)
	rule(rawtls.ExtCookie, "0000", false)
	rule(rawtls.ExtCookie, "0001 00 00", false)
	rule(rawtls.ExtPSKModes, "01 01", true)
	rule(rawtls.ExtPSKModes, "00", true)
	rule(rawtls.ExtPSKModes, "02 01", false)
	rule(rawtls.ExtKeyShare, "0000", true)
	rule(rawtls.ExtKeyShare, "", false)
	rule(rawtls.ExtKeyShare, "0005 001d 0001 00", true)
	rule(rawtls.ExtKeyShare, "0004 001d 0000", false)
	rule(rawtls.ExtKeyShare, "0005 001d 0002 00", false)
	rule(rawtls.ExtKeyShare, "0005 001d 0001 00 00", false)
	// RFC 8446, Section 4.2.11
	rule(rawtls.ExtPreSharedKey, "0007 0001 00 00000000 0002 01 00", true)
	rule(rawtls.ExtPreSharedKey, "0007 0001 00 00000000 0004 01 00 01 00", true) // Decide counts
	rule(rawtls.ExtPreSharedKey, "0007 0001 00 00000000 0000", false)
	rule(rawtls.ExtPreSharedKey, "0000 0002 01 00", false)
	rule(rawtls.ExtPreSharedKey, "0006 0000 00000000 0002 01 00", false)
	rule(rawtls.ExtPreSharedKey, "0007 0001 00 00000000 0001 00", false)
	rule(rawtls.ExtPreSharedKey, "0007 0001 00 00000000 0002 01 00 00", false)
	// RFC 5746, Section 3.2
	rule(rawtls.ExtRenegotiationInfo, "00", true)
	rule(rawtls.ExtRenegotiationInfo, "01 00", true) // Decide refuses
	rule(rawtls.ExtRenegotiationInfo, "", false)
	rule(rawtls.ExtRenegotiationInfo, "00 00", false)
	// RFC 9849, Section 5
	rule(rawtls.ExtECH, "", true)
	rule(rawtls.ExtECH, "01", true)
	rule(rawtls.ExtECH, "01 00", false)
	rule(rawtls.ExtECH, "02", false)
	rule(rawtls.ExtECH, "00 0001 0001 00 0000 0000", true)
	rule(rawtls.ExtECH, "00 0001 0001 00 0000", false)
}

func TestSyntax(t *testing.T) {
	check := func(name string, msg []byte, good bool) {
		t.Helper()
		h, err := Parse(tlspolicy.TCP, msg)
		var e *Error
		if good != (err == nil) || good == (h == nil) || err != nil && (!errors.As(err, &e) || e.Reason != tlspolicy.ReasonMalformed) {
			t.Errorf("%s: %v, want good = %v", name, err, good)
		}
		if engineTakes(msg) != good {
			t.Errorf("%s: crypto/tls thinks otherwise", name)
		}
	}
	syntax(func(typ uint16, data string, good bool) {
		t.Helper()
		b, err := hex.DecodeString(strings.ReplaceAll(data, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		check(hex.EncodeToString(rawtls.Uint16s(typ))+": "+data, extend(rawtls.Extension{Type: typ, Data: b}), good)
	})
	change := func(f func(h *rawtls.Hello)) []byte {
		h := browser()
		f(h)
		return h.Marshal()
	}
	check("no extensions", change(func(h *rawtls.Hello) { h.Extensions = nil }), true)
	check("empty list of extensions", change(func(h *rawtls.Hello) { h.Extensions = []rawtls.Extension{} }), true)
	check("no suites", change(func(h *rawtls.Hello) { h.Suites = nil }), true)
	check("long session id", change(func(h *rawtls.Hello) { h.SessionID = make([]byte, 255) }), true)
	check("extension twice", change(func(h *rawtls.Hello) { h.Extensions = append(h.Extensions, h.Extensions[1]) }), false)
	check("GREASE twice", change(func(h *rawtls.Hello) { h.Extensions = append(h.Extensions, h.Extensions[0]) }), false)
	check("PSK not last", change(func(h *rawtls.Hello) {
		psk := rawtls.Extension{Type: rawtls.ExtPreSharedKey, Data: []byte{0, 7, 0, 1, 0, 0, 0, 0, 0, 0, 2, 1, 0}}
		h.Extensions = append([]rawtls.Extension{psk}, h.Extensions...)
	}), false)
	many := func(twice bool) func(h *rawtls.Hello) {
		return func(h *rawtls.Hello) {
			for i := range uint16(500) {
				h.Extensions = append(h.Extensions, rawtls.Extension{Type: 0x2000 + i})
			}
			if twice {
				h.Extensions = append(h.Extensions, rawtls.Extension{Type: 0x2003})
			}
		}
	}
	check("500 extensions", change(many(false)), true)
	check("500 extensions and one twice", change(many(true)), false)
	msg := browser().Marshal()
	for n := 4; n < len(msg); n += 13 { // cut short, with a length that agrees
		cut := slices.Clone(msg[:n])
		cut[1], cut[2], cut[3] = 0, byte((n-4)>>8), byte(n-4)
		check("cut short", cut, false)
	}
}

// headers: what Parse says of a message whose header is wrong.
func TestHeader(t *testing.T) {
	check := func(msg []byte, want tlspolicy.Reason) {
		t.Helper()
		_, err := Parse(tlspolicy.TCP, msg)
		var e *Error
		if !errors.As(err, &e) || e.Reason != want || !strings.Contains(err.Error(), string(want)) {
			t.Errorf("% x: %v, want %s", msg[:min(len(msg), 4)], err, want)
		}
	}
	good := browser().Marshal()
	check(nil, tlspolicy.ReasonMalformed)
	check([]byte{1, 0, 0}, tlspolicy.ReasonMalformed)
	check(append([]byte{2}, good[1:]...), tlspolicy.ReasonUnexpectedMessage)
	check(good[:len(good)-1], tlspolicy.ReasonMalformed)
	check(append(slices.Clone(good), 0), tlspolicy.ReasonMalformed)
}

// engineTakes reports whether crypto/tls parses the message: it then asks for a configuration.
func engineTakes(msg []byte) bool {
	taken := false
	config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		taken = true
		return nil, errors.New("enough")
	}}
	var wire []byte
	for chunk := range slices.Chunk(msg, 1<<14) {
		wire = append(append(wire, 22, 3, 1), rawtls.Vector16(chunk)...)
	}
	tls.Server(&oneWay{r: bytes.NewReader(wire)}, config).Handshake()
	return taken
}

// oneWay is a connection that only says something.
type oneWay struct {
	net.Conn
	r io.Reader
}

func (c *oneWay) Read(p []byte) (int, error)       { return c.r.Read(p) }
func (c *oneWay) Write(p []byte) (int, error)      { return len(p), nil }
func (c *oneWay) Close() error                     { return nil }
func (c *oneWay) SetWriteDeadline(time.Time) error { return nil }
func (c *oneWay) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *oneWay) LocalAddr() net.Addr              { return &net.TCPAddr{} }

// TestSameAsEngine damages real hellos at random: Parse takes exactly what crypto/tls takes.
func TestSameAsEngine(t *testing.T) {
	seeds := append(vectors(t), browser().Marshal())
	syntax(func(typ uint16, data string, _ bool) {
		b, _ := hex.DecodeString(strings.ReplaceAll(data, " ", ""))
		seeds = append(seeds, extend(rawtls.Extension{Type: typ, Data: b}))
	})
	r := rand.New(rand.NewPCG(1, 2))
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	good := 0
	for range rounds {
		msg := damage(r, seeds[r.IntN(len(seeds))])
		_, err := Parse(tlspolicy.TCP, msg)
		if engineTakes(msg) != (err == nil) {
			t.Fatalf("crypto/tls takes it: %v, Parse: %v\n%x", err != nil, err, msg)
		}
		if err == nil {
			good++
		}
	}
	if good < rounds/20 || good > rounds*19/20 {
		t.Errorf("%d of %d damaged hellos are good: the test shows little", good, rounds)
	}
}

// damage changes a few bytes behind the header, mostly small numbers in front, where
// the lengths are.
func damage(r *rand.Rand, msg []byte) []byte {
	out := slices.Clone(msg)
	for range 1 + r.IntN(3) {
		i := 4 + r.IntN(len(out)-4)
		switch r.IntN(4) {
		case 0:
			out[i] = byte(r.IntN(256))
		case 1:
			out[i] ^= 1 << r.IntN(8)
		case 2:
			out[i]++
		case 3:
			out = slices.Delete(out, i, min(len(out), i+1+r.IntN(3)))
		}
		if len(out) < 5 {
			return msg
		}
	}
	n := len(out) - 4
	out[1], out[2], out[3] = byte(n>>16), byte(n>>8), byte(n)
	return out
}

func FuzzParse(f *testing.F) {
	f.Add(browser().Marshal())
	for i, msg := range vectors(f) {
		if i%20 == 0 {
			f.Add(msg)
		}
	}
	syntax(func(typ uint16, data string, _ bool) {
		b, _ := hex.DecodeString(strings.ReplaceAll(data, " ", ""))
		f.Add(extend(rawtls.Extension{Type: typ, Data: b}))
	})
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := slices.Clone(msg)
		h, err := Parse(tlspolicy.QUIC, msg)
		if (h == nil) == (err == nil) {
			t.Fatal("neither a hello nor an error, or both")
		}
		if !bytes.Equal(before, msg) {
			t.Fatal("Parse changed the message")
		}
		if len(msg) >= 4 && msg[0] == 1 && len(msg) < 1<<16 && int(msg[1])<<16|int(msg[2])<<8|int(msg[3]) == len(msg)-4 {
			if engineTakes(msg) != (err == nil) {
				t.Fatalf("crypto/tls thinks otherwise: %v", err)
			}
		}
		if h == nil {
			return
		}
		if len(h.JA4()) != 36 {
			t.Fatalf("JA4 %q", h.JA4())
		}
		h.JA3()
		p, _ := tlspolicy.Lookup("TLSv1_2016")
		tlspolicy.Decide(&h.Offer, p, tlspolicy.Server{Certificates: []tlspolicy.Certificate{{Key: tlspolicy.RSA, RSABits: 2048}}, ALPN: []string{"h2"}})
	})
}

func TestAllocations(t *testing.T) {
	msg := browser().Marshal()
	p, _ := tlspolicy.Lookup("TLSv1.2_2021")
	s := tlspolicy.Server{Certificates: []tlspolicy.Certificate{{Key: tlspolicy.ECDSAP256}}, ALPN: []string{"h2"}}
	n := testing.AllocsPerRun(100, func() {
		h, err := Parse(tlspolicy.TCP, msg)
		if err != nil || tlspolicy.Decide(&h.Offer, p, s).Refused {
			t.Fatal("refused")
		}
	})
	if n > 10 {
		t.Errorf("%v allocations for Parse and Decide, more than 10", n)
	}
}

func BenchmarkParse(b *testing.B) {
	msg := browser().Marshal()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(tlspolicy.TCP, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndDecide(b *testing.B) {
	msg := browser().Marshal()
	p, _ := tlspolicy.Lookup("TLSv1.2_2021")
	s := tlspolicy.Server{Certificates: []tlspolicy.Certificate{{Key: tlspolicy.RSA, RSABits: 2048}, {Key: tlspolicy.ECDSAP256}}, ALPN: []string{"h2", "http/1.1"}}
	b.ReportAllocs()
	for b.Loop() {
		h, err := Parse(tlspolicy.TCP, msg)
		if err != nil || tlspolicy.Decide(&h.Offer, p, s).Refused {
			b.Fatal(err)
		}
	}
}

func BenchmarkJA4(b *testing.B) {
	h, err := Parse(tlspolicy.TCP, browser().Marshal())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.JA4()
	}
}
