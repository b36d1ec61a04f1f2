package hpack

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	oracle "golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// rfc is one header list of RFC 7541, Appendix C and its encoding.
type rfc struct {
	hex   string
	want  string   // the list, one "name: value" per line
	table []string // the dynamic table after it, newest first, in the same form
	size  uint32
}

const (
	get1      = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com"
	get2      = get1 + "\ncache-control: no-cache"
	get3      = ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value"
	answer    = "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com"
	setCookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
)

var (
	getTables = [][]string{
		{":authority: www.example.com"},
		{"cache-control: no-cache", ":authority: www.example.com"},
		{"custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"},
	}
)

// RFC 7541, Appendix C.2: one representation each.
func TestRepresentations(t *testing.T) {
	f := func(section, block, want string, sensitive bool, table ...string) {
		t.Helper()
		d := NewDecoder(nil)
		var got []Field
		if err := d.Decode(unhex(t, block), func(f Field) { got = append(got, f) }); err != nil {
			t.Fatalf("%s: %v", section, err)
		}
		if list(got) != want || got[0].Sensitive != sensitive {
			t.Errorf("%s: got %q, sensitive %v", section, list(got), got[0].Sensitive)
		}
		if !slices.Equal(rows(&d.table), table) {
			t.Errorf("%s: table %q", section, rows(&d.table))
		}
	}
	f("C.2.1", "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header", false, "custom-key: custom-header")
	f("C.2.2", "040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", false)
	f("C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", true)
	f("C.2.4", "82", ":method: GET", false)
}

// RFC 7541, Appendices C.3 and C.4: three requests on one connection, without and
// with Huffman codes.
func TestRequests(t *testing.T) {
	run := func(section string, blocks ...string) {
		t.Helper()
		d := NewDecoder(nil)
		for i, want := range []string{get1, get2, get3} {
			check(t, fmt.Sprintf("%s.%d", section, i+1), d, rfc{blocks[i], want, getTables[i], []uint32{57, 110, 164}[i]})
		}
	}
	run("C.3", "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", "8286 84be 5808 6e6f 2d63 6163 6865",
		"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65")
	run("C.4", "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", "8286 84be 5886 a8eb 1064 9cbf",
		"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")
}

// RFC 7541, Appendices C.5 and C.6: three answers with a table of 256 bytes, so
// that entries are evicted.
func TestResponses(t *testing.T) {
	lists := []string{
		":status: 302\n" + answer,
		":status: 307\n" + answer,
		":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\n" + setCookie,
	}
	tables := [][]string{
		{"location: https://www.example.com", "date: Mon, 21 Oct 2013 20:13:21 GMT", "cache-control: private", ":status: 302"},
		{":status: 307", "location: https://www.example.com", "date: Mon, 21 Oct 2013 20:13:21 GMT", "cache-control: private"},
		{setCookie, "content-encoding: gzip", "date: Mon, 21 Oct 2013 20:13:22 GMT"},
	}
	run := func(section string, blocks ...string) {
		t.Helper()
		d := NewDecoder(nil)
		d.table.setMax(256)
		for i := range lists {
			check(t, fmt.Sprintf("%s.%d", section, i+1), d, rfc{blocks[i], lists[i], tables[i], []uint32{222, 222, 215}[i]})
		}
	}
	run("C.5",
		"4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
		"4803 3330 37c1 c0bf",
		"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31")
	run("C.6",
		"4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
		"4883 640e ffc1 c0bf",
		"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07")
}

func check(t *testing.T, section string, d *Decoder, r rfc) {
	t.Helper()
	var got []Field
	if err := d.Decode(unhex(t, r.hex), func(f Field) { got = append(got, f) }); err != nil {
		t.Fatalf("%s: %v", section, err)
	}
	if list(got) != r.want {
		t.Errorf("%s: got\n%s\nwant\n%s", section, list(got), r.want)
	}
	if !slices.Equal(rows(&d.table), r.table) || d.table.size != r.size {
		t.Errorf("%s: table %q of %d bytes, want %q of %d", section, rows(&d.table), d.table.size, r.table, r.size)
	}
}

// RFC 7541, Appendix C.1 and Section 5.1.
func TestIntegers(t *testing.T) {
	f := func(code string, prefix uint8, want uint64) {
		t.Helper()
		b := unhex(t, code)
		got, rest, err := ReadInt(b, prefix)
		if err != nil || got != want || len(rest) != 0 {
			t.Errorf("%s: %d, rest %x, %v; want %d", code, got, rest, err, want)
		}
		if back := AppendInt(nil, b[0]&^(1<<prefix-1), prefix, want); !bytes.Equal(back, b) {
			t.Errorf("%d: encoded as %x, want %x", want, back, b)
		}
	}
	f("0a", 5, 10)       // C.1.1
	f("1f9a0a", 5, 1337) // C.1.2
	f("2a", 8, 42)       // C.1.3
	f("e0", 5, 0)
	f("1f00", 5, 31)
	f("ff00", 7, 127)
	f("1fe0ffff7f", 5, maxInteger)
}

func TestBadIntegers(t *testing.T) {
	f := func(code string, want error) {
		t.Helper()
		if _, _, err := ReadInt(unhex(t, code), 5); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", code, err, want)
		}
	}
	f("", errTruncated)
	f("1f", errTruncated)
	f("1f80", errTruncated)
	f("1fffffff7f", errInteger)             // above maxInteger
	f("1f8080808001", errInteger)           // five bytes
	f("1f80808080808080808000", errInteger) // zeros without end
}

// RFC 7541, Sections 2.3.3, 4.2, 5.2 and 6.3: what must end the connection.
func TestBadBlocks(t *testing.T) {
	f := func(block string, want string) {
		t.Helper()
		err := NewDecoder(nil).Decode(unhex(t, block), func(Field) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", block, err, want)
		}
	}
	f("80", "index 0 is beyond the table")
	f("be", "index 62 is beyond the table")
	f("7f00 01 61", "name index 63 is beyond the table")
	f("ffffffff7f", "integer is too large")
	f("82 3f e1 1f", "does not stand at the start")
	f("3f e2 1f", "size update is above the limit") // 4,097
	f("00 05 61", "in the middle")
	f("00 01 61 05 61", "in the middle")
	f("40", "in the middle")
	f("00 01 61 81 ff", "ones")                         // eight bits of padding
	f("00 01 61 81 18", "ones")                         // "a" and zeros
	f("00 01 61 84 ff ff ff ff", "the end symbol")      // EOS
	f("00 01 61 82 ff ff", "does not end in less than") // 16 bits of ones
}

// A size update at the start of a block is followed (RFC 7541, Section 4.2).
func TestSizeUpdate(t *testing.T) {
	d := NewDecoder(nil)
	none := func(Field) {}
	if err := d.Decode(unhex(t, "4001 6101 62"), none); err != nil || d.table.live != 1 {
		t.Fatalf("err %v, entries %d", err, d.table.live)
	}
	if err := d.Decode(unhex(t, "20 3f e1 1f 82"), none); err != nil {
		t.Fatal(err)
	}
	if d.table.live != 0 || d.table.max != 4096 {
		t.Errorf("after 0 and 4096: %d entries, max %d", d.table.live, d.table.max)
	}
}

// The Encoder tells the smallest and the last size (RFC 7541, Section 4.2).
func TestEncoderUpdates(t *testing.T) {
	f := func(want string, sizes ...uint32) {
		t.Helper()
		e := NewEncoder()
		for _, n := range sizes {
			e.SetPeerTableSize(n)
		}
		if got := hex.EncodeToString(e.AppendField(nil, ":status", "200", Index)); got != want+"88" {
			t.Errorf("%v: %s, want %s", sizes, got, want+"88")
		}
	}
	f("")
	f("", 4096)
	f("", 65536)
	f("20", 0)
	f("203fe11f", 0, 4096)
	f("203fe11f", 0, 65536)
	f("3f45", 100)
	f("203f45", 500, 0, 100)
}

func TestIndexing(t *testing.T) {
	e := NewEncoder()
	f := func(name, value string, how Indexing, first byte, entries int) {
		t.Helper()
		b := e.AppendField(nil, name, value, how)
		if b[0] != first || int(e.table.live) != entries {
			t.Errorf("%s: first byte %#x, %d entries; want %#x, %d", name, b[0], e.table.live, first, entries)
		}
	}
	f(":status", "404", Index, 0x80|13, 0)
	f("server", "CloudFront", Index, 0x40|54, 1)
	f("server", "CloudFront", Index, 0x80|62, 1)
	f("server", "other", NoIndex, 0x0f, 1)
	f("set-cookie", "a=b", NeverIndex, 0x1f, 1)
	f("x-amz-cf-pop", "NRT12-P9", Index, 0x40, 2)
	f("x-amz-cf-pop", "NRT12-P9", Index, 0x80|62, 2)
	f("server", "CloudFront", Index, 0x80|63, 2)
	f("x-amz-cf-pop", "other", NoIndex, 0x0f, 2)
	f("x-long", strings.Repeat("x", 1000), Index, 0, 2) // above largestIndexed
}

// The marks come from one look at each literal.
func TestMarks(t *testing.T) {
	calls := 0
	in := NewInspector(func(name, value string) uint16 { calls++; return uint16(len(name) + len(value)) })
	if calls != 61 {
		t.Fatalf("%d calls for the static table", calls)
	}
	d := NewDecoder(in)
	want := []uint16{10, 2, 2}
	i := 0
	if err := d.Decode(unhex(t, "82 4001 6101 62 be"), func(f Field) {
		if f.Mark != want[i] {
			t.Errorf("field %d: mark %d, want %d", i, f.Mark, want[i])
		}
		i++
	}); err != nil || i != 3 || calls != 62 {
		t.Errorf("err %v, %d fields, %d calls", err, i, calls)
	}
}

// An index in a block costs nothing but its call: the decoded size of a bomb is no
// memory (RFC 7541, Section 7.3).
func TestBomb(t *testing.T) {
	e, d := NewEncoder(), NewDecoder(nil)
	big := strings.Repeat("b", 900)
	block := e.AppendField(nil, "x", big, Index)
	block = append(block, bytes.Repeat([]byte{0xbe}, 60000)...)
	size := 0
	allocs := testing.AllocsPerRun(1, func() {
		if err := d.Decode(block, func(f Field) { size += len(f.Value) }); err != nil {
			t.Error(err)
		}
	})
	if size < 50_000_000 || allocs > 10 {
		t.Errorf("%d bytes decoded with %v allocations", size, allocs)
	}
}

// Every static row and every octet's code agree with another implementation.
func TestOracleTables(t *testing.T) {
	for i := range staticTable {
		var got oracle.HeaderField
		dec := oracle.NewDecoder(4096, func(f oracle.HeaderField) { got = f })
		if _, err := dec.Write([]byte{0x80 | byte(i+1)}); err != nil {
			t.Fatal(err)
		}
		if got.Name != staticTable[i].name || got.Value != staticTable[i].value {
			t.Errorf("row %d: %q, the oracle has %q", i+1, staticTable[i].name, got)
		}
	}
	for c := range 256 {
		s := string([]byte{byte(c), 'a', byte(c)})
		want := oracle.AppendHuffmanString(nil, s)
		if got := AppendHuffman(nil, s); !bytes.Equal(got, want) || HuffmanLen(s) != len(want) {
			t.Errorf("%q: %x, the oracle has %x", s, got, want)
		}
	}
}

// Whatever the Encoder writes, whatever sizes the peer allows, the oracle and our
// own Decoder read the same list.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, d := NewEncoder(), NewDecoder(nil)
		o := oracle.NewDecoder(4096, nil)
		name := rapid.SampledFrom([]string{":status", "server", "via", "x-a", "x-b", "set-cookie", "etag", "content-type", "x-long-name-that-is-not-static"})
		value := rapid.OneOf(rapid.SampledFrom([]string{"", "200", "a", "CloudFront", strings.Repeat("v", 900)}), rapid.StringN(0, 40, 400))
		for range rapid.IntRange(1, 40).Draw(t, "blocks") {
			if rapid.IntRange(0, 5).Draw(t, "resize") == 0 {
				e.SetPeerTableSize(rapid.SampledFrom([]uint32{0, 64, 200, 4096, 65536}).Draw(t, "size"))
			}
			var block []byte
			var want []Field
			for range rapid.IntRange(1, 10).Draw(t, "fields") {
				f := Field{Name: name.Draw(t, "name"), Value: value.Draw(t, "value")}
				how := Indexing(rapid.IntRange(0, 2).Draw(t, "how"))
				f.Sensitive = how == NeverIndex
				block = e.AppendField(block, f.Name, f.Value, how)
				want = append(want, f)
			}
			var got, theirs []Field
			if err := d.Decode(block, func(f Field) { got = append(got, f) }); err != nil {
				t.Fatal(err)
			}
			o.SetEmitFunc(func(f oracle.HeaderField) {
				theirs = append(theirs, Field{Name: f.Name, Value: f.Value, Sensitive: f.Sensitive})
			})
			if _, err := o.Write(block); err != nil {
				t.Fatal(err)
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			if list(got) != list(want) || list(theirs) != list(want) {
				t.Fatalf("got %v\noracle %v\nwant %v", got, theirs, want)
			}
			for i := range theirs {
				// Indexed fields carry no flag; the oracle gives it for literals as we do.
				if got[i].Sensitive != theirs[i].Sensitive || want[i].Sensitive != got[i].Sensitive {
					t.Fatalf("field %d: sensitive %v, oracle %v, want %v", i, got[i].Sensitive, theirs[i].Sensitive, want[i].Sensitive)
				}
			}
		}
	})
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func list(fields []Field) string {
	var lines []string
	for _, f := range fields {
		lines = append(lines, f.Name+": "+f.Value)
	}
	return strings.Join(lines, "\n")
}

func rows(t *dynamicTable) []string {
	var out []string
	for n := t.last; n > t.last-t.live; {
		n--
		out = append(out, t.at(n).name+": "+t.at(n).value)
	}
	return out
}
