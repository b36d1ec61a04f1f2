package qpack

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	oracle "github.com/quic-go/qpack"
	"pgregory.net/rapid"
)

var wide = Limits{Bytes: 1 << 20, Lines: 1 << 16}

// byOracle decodes with another implementation.
func byOracle(section []byte) (out []Field, err error) {
	next := oracle.NewDecoder().Decode(section)
	for {
		f, err := next()
		if err != nil {
			if err.Error() == "EOF" {
				return out, nil
			}
			return nil, err
		}
		out = append(out, Field{Name: f.Name, Value: f.Value})
	}
}

func plain(l []Field) []Field {
	l = slices.Clone(l)
	for i := range l {
		l[i].Sensitive = false
	}
	return l
}

// TestStaticTable compares RFC 9204, Appendix A with the oracle's, both ways.
func TestStaticTable(t *testing.T) {
	for i, e := range staticTable {
		section := AppendField(AppendPrefix(nil), e.name, e.value, false)
		got, err := byOracle(section)
		if err != nil || len(got) != 1 || got[0].Name != e.name || got[0].Value != e.value {
			t.Errorf("entry %d: %v, %v", i, got, err)
		}
		if len(section) > 4 {
			t.Errorf("entry %d takes %d bytes", i, len(section)-2)
		}
	}
}

// TestRFCExample is RFC 9204, Appendix B.1.
func TestRFCExample(t *testing.T) {
	section, _ := hex.DecodeString("0000510b2f696e6465782e68746d6c")
	var d Decoder
	got, err := d.Decode(section, wide)
	if err != nil || len(got) != 1 || got[0].Name != ":path" || got[0].Value != "/index.html" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestBadSections(t *testing.T) {
	f := func(section string, want error) {
		t.Helper()
		b, err := hex.DecodeString(strings.ReplaceAll(section, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var d Decoder
		if got, err := d.Decode(b, wide); !errors.Is(err, want) || err == nil {
			t.Errorf("%s: %v, %v; want %v", section, got, err, want)
		}
	}
	f("01 00", errDynamic)       // Required Insert Count
	f("00 80", errBase)          // sign bit
	f("00", errShort)            //
	f("00 00 80", errDynamic)    // indexed, dynamic
	f("00 00 40 00", errDynamic) // name reference, dynamic
	f("00 00 10", errDynamic)    // post-base
	f("00 00 00 00", errDynamic) // literal with post-base name
	f("00 00 ff 24", errStatic)  // index 99
	f("00 00 5f 54 00", errStatic)
	f("00 00 51 05 61", errShort) // value cut
	f("00 00 51", errShort)
	f("00 00 21 61", errShort)
	for _, s := range []string{"", "00 00 51 ff ff ff ff ff 01", "00 00 51 81 00", "00 00 ff", "00 00 51 84 ff ff ff ff"} {
		b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		var d Decoder
		if got, err := d.Decode(b, wide); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestLimits(t *testing.T) {
	section := AppendPrefix(nil)
	for range 10 {
		section = AppendField(section, "x-name", "value", false)
	}
	var d Decoder
	f := func(lim Limits, n int, want error) {
		t.Helper()
		got, err := d.Decode(section, lim)
		if len(got) != n || !errors.Is(err, want) {
			t.Errorf("%+v: %d fields, %v", lim, len(got), err)
		}
	}
	f(Limits{Bytes: 430, Lines: 10}, 10, nil)
	f(Limits{Bytes: 429, Lines: 10}, 9, ErrBytes)
	f(Limits{Bytes: 430, Lines: 9}, 9, ErrLines)
	// 32 KiB of one-byte lines must not become a megabyte.
	bomb := append(AppendPrefix(nil), bytes.Repeat([]byte{0xc0 | 41}, 32<<10)...)
	if _, err := d.Decode(bomb, Limits{Bytes: 32 << 10, Lines: 256}); !errors.Is(err, ErrLines) && !errors.Is(err, ErrBytes) {
		t.Errorf("bomb: %v", err)
	}
}

// TestRoundTrip: what we encode, we and the oracle decode to the same; what the
// oracle encodes, we decode.
func TestRoundTrip(t *testing.T) {
	name := rapid.OneOf(rapid.SampledFrom([]string{":status", "content-type", "age", "x-cache", "vary", "server"}), rapid.StringMatching(`[a-z-]{1,20}`))
	value := rapid.OneOf(rapid.SampledFrom([]string{"", "200", "text/html; charset=utf-8", "0", "*"}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Field {
			return Field{name.Draw(t, "name"), value.Draw(t, "value"), rapid.Bool().Draw(t, "sensitive")}
		}), 0, 20).Draw(t, "fields")
		section := AppendPrefix(nil)
		var theirs bytes.Buffer
		enc := oracle.NewEncoder(&theirs)
		for _, f := range fields {
			section = AppendField(section, f.Name, f.Value, f.Sensitive)
			if err := enc.WriteField(oracle.HeaderField{Name: f.Name, Value: f.Value}); err != nil {
				t.Fatal(err)
			}
		}
		var d Decoder
		if got, err := d.Decode(section, wide); err != nil || !slices.Equal(got, fields) {
			t.Fatalf("ours by us: %v, %v", got, err)
		}
		if got, err := byOracle(section); err != nil || !slices.Equal(got, plain(fields)) {
			t.Fatalf("ours by the oracle: %v, %v", got, err)
		}
		if theirs.Len() > 0 {
			if got, err := d.Decode(theirs.Bytes(), wide); err != nil || !slices.Equal(got, plain(fields)) {
				t.Fatalf("the oracle's by us: %v, %v", got, err)
			}
		}
	})
}

// FuzzDecode: no panic, and what both decoders take means the same to both.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 0, 0x51, 0x0b, '/', 'i', 'n', 'd', 'e', 'x', '.', 'h', 't', 'm', 'l'})
	f.Add(AppendField(AppendPrefix(nil), "x-cache", "Hit from cloudfront", true))
	f.Add([]byte{0, 0, 0xff, 0x24})
	f.Add([]byte{2, 0, 0x80})
	f.Fuzz(func(t *testing.T, section []byte) {
		var d Decoder
		got, err := d.Decode(section, wide)
		if err != nil {
			return
		}
		want, err := byOracle(section)
		if err == nil && !slices.Equal(plain(got), want) {
			t.Fatalf("%x: %v, the oracle says %v", section, got, want)
		}
		again := AppendPrefix(nil)
		for _, x := range got {
			again = AppendField(again, x.Name, x.Value, x.Sensitive)
		}
		var d2 Decoder
		if got2, err := d2.Decode(again, wide); err != nil || !slices.Equal(got2, got) {
			t.Fatalf("%x: round trip gives %v, %v", section, got2, err)
		}
	})
}

func hitSection() []byte {
	b := AppendPrefix(nil)
	for _, f := range hitFields {
		b = AppendField(b, f[0], f[1], false)
	}
	return b
}

var hitFields = [][2]string{{":status", "200"}, {"content-type", "text/html"}, {"content-length", "1024"},
	{"date", "Sun, 07 Sep 2025 14:38:08 GMT"}, {"last-modified", "Sun, 07 Sep 2025 14:30:00 GMT"},
	{"etag", `"ed076287532e86365e841e92bfc50d8c"`}, {"x-amz-server-side-encryption", "AES256"}, {"accept-ranges", "bytes"},
	{"server", "AmazonS3"}, {"x-cache", "Hit from cloudfront"},
	{"via", "1.1 00112233445566778899aabbccddeeff.cloudfront.net (CloudFront)"}, {"x-amz-cf-pop", "NRT12-P9"},
	{"alt-svc", `h3=":443"; ma=86400`}, {"x-amz-cf-id", "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ=="}, {"age", "1245"}}

func BenchmarkEncodeHit(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 2048)
	for b.Loop() {
		buf = AppendPrefix(buf[:0])
		for _, f := range hitFields {
			buf = AppendField(buf, f[0], f[1], false)
		}
	}
}

func BenchmarkDecodeHit(b *testing.B) {
	b.ReportAllocs()
	section := hitSection()
	var d Decoder
	for b.Loop() {
		if _, err := d.Decode(section, wide); err != nil {
			b.Fatal(err)
		}
	}
}
