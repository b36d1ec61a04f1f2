package hpack

import (
	"bytes"
	"testing"

	oracle "golang.org/x/net/http2/hpack"
)

// FuzzDecode compares with another implementation: what it refuses and we take, or
// the other way round, and every field. Input is up to three blocks that are
// separated by 0xff 0xff 0xff.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"828684418cf1e3c2e5f23a6ba0ab90f4ff", "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
		"82ffffff84be", "203fe11f82", "0001618118", "ffffffff7f", "1f8080808001", "4001610162ffffffbeffffffbebe",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<14 {
			return
		}
		d, o := NewDecoder(nil), oracle.NewDecoder(DefaultTableSize, nil)
		for i, block := range bytes.SplitN(in, []byte{0xff, 0xff, 0xff}, 3) {
			var got, want []Field
			err := d.Decode(block, func(f Field) { got = append(got, f) })
			o.SetEmitFunc(func(f oracle.HeaderField) {
				want = append(want, Field{Name: f.Name, Value: f.Value, Sensitive: f.Sensitive})
			})
			_, oerr := o.Write(block)
			if oerr == nil {
				oerr = o.Close()
			}
			if err != nil && oerr == nil && known(err) {
				return
			}
			if (err == nil) != (oerr == nil) {
				t.Fatalf("block %d: our error %v, the oracle's %v", i, err, oerr)
			}
			if err != nil {
				return
			}
			if len(got) != len(want) {
				t.Fatalf("block %d: %d fields, the oracle has %d", i, len(got), len(want))
			}
			for j := range got {
				if got[j] != want[j] {
					t.Fatalf("block %d, field %d: %+v, the oracle has %+v", i, j, got[j], want[j])
				}
			}
		}
	})
}

// known are the two places where we are stricter: the oracle takes a late size
// update while its table is empty, and integers of up to 62 bits.
func known(err error) bool { return err == errLateUpdate || err == errInteger }

// FuzzHuffman compares both directions.
func FuzzHuffman(f *testing.F) {
	f.Add([]byte("www.example.com"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 1, 0x80, 0xfe, 0xc7})
	f.Fuzz(func(t *testing.T, in []byte) {
		code := AppendHuffman(nil, string(in))
		if want := oracle.AppendHuffmanString(nil, string(in)); !bytes.Equal(code, want) {
			t.Fatalf("%q: %x, the oracle has %x", in, code, want)
		}
		if back, err := DecodeHuffman(nil, code); err != nil || !bytes.Equal(back, in) {
			t.Fatalf("%q came back as %q, %v", in, back, err)
		}
		got, err := DecodeHuffman(nil, in)
		want, oerr := oracle.HuffmanDecodeToString(in)
		if (err == nil) != (oerr == nil) || err == nil && string(got) != want {
			t.Fatalf("%x: %q, %v; the oracle has %q, %v", in, got, err, want, oerr)
		}
	})
}

func BenchmarkEncodeHit(b *testing.B) {
	e := NewEncoder()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendField(dst[:0], ":status", "200", Index)
		dst = e.AppendField(dst, "content-type", "text/html", Index)
		dst = e.AppendField(dst, "content-length", "1024", NoIndex)
		dst = e.AppendField(dst, "date", "Mon, 21 Oct 2013 20:13:21 GMT", NoIndex)
		dst = e.AppendField(dst, "server", "AmazonS3", Index)
		dst = e.AppendField(dst, "x-cache", "Hit from cloudfront", Index)
		dst = e.AppendField(dst, "via", "1.1 0123456789abcdef0123456789abcdef.cloudfront.net (CloudFront)", Index)
		dst = e.AppendField(dst, "x-amz-cf-pop", "NRT12-P9", Index)
		dst = e.AppendField(dst, "x-amz-cf-id", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR==", NoIndex)
		dst = e.AppendField(dst, "age", "123", NoIndex)
	}
	b.ReportMetric(float64(len(dst)), "bytes")
}

func BenchmarkDecodeRequest(b *testing.B) {
	e, d := NewEncoder(), NewDecoder(nil)
	fields := []Field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "www.example.com"},
		{Name: ":path", Value: "/some/image.png"}, {Name: "user-agent", Value: "Mozilla/5.0"}, {Name: "accept", Value: "*/*"}}
	encode := func() (block []byte) {
		for _, f := range fields {
			block = e.AppendField(block, f.Name, f.Value, Index)
		}
		return block
	}
	emit := func(Field) {}
	if err := d.Decode(encode(), emit); err != nil {
		b.Fatal(err)
	}
	block := encode()
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(block, emit); err != nil {
			b.Fatal(err)
		}
	}
}
