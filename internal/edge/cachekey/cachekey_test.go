package cachekey

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

var update = flag.Bool("update", false, "rewrite testdata")

func sel(behavior string, names ...string) cdn.Selection {
	return cdn.Selection{Behavior: behavior, Names: names}
}

// fields makes a list from "name: value" lines.
func fields(lines ...string) httpfield.Fields {
	var f httpfield.Fields
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		f.Add(n, v)
	}
	return f
}

func req(target string, lines ...string) *Input {
	path, q, has := strings.Cut(target, "?")
	return &Input{Domain: "d111.cloudfront.net", Path: path, Query: q, HasQuery: has, Host: "www.example.org", Header: fields(lines...)}
}

var (
	none   = cdn.CachePolicy{Headers: sel("none"), Cookies: sel("none"), QueryStrings: sel("none")}
	coded  = cdn.CachePolicy{Gzip: true, Brotli: true}
	gzOnly = cdn.CachePolicy{Gzip: true}
	all    = cdn.CachePolicy{Cookies: sel("all"), QueryStrings: sel("all")}
	list   = cdn.CachePolicy{Headers: sel("whitelist", "Origin", "X-A"), Cookies: sel("whitelist", "id"), QueryStrings: sel("whitelist", "v")}
	except = cdn.CachePolicy{Cookies: sel("allExcept", "_ga"), QueryStrings: sel("allExcept", "utm")}
	host   = cdn.CachePolicy{Headers: sel("whitelist", "Host", "CloudFront-Forwarded-Proto")}
	star   = cdn.CachePolicy{Headers: sel("whitelist", "x-*"), QueryStrings: sel("whitelist", "*")}
)

func TestSameOrDifferent(t *testing.T) {
	same := func(p cdn.CachePolicy, a, b *Input) { t.Helper(); compare(t, &p, a, b, true) }
	diff := func(p cdn.CachePolicy, a, b *Input) { t.Helper(); compare(t, &p, a, b, false) }

	// CloudFront: Understand the cache key.
	same(none, req("/a"), req("/a"))
	diff(none, req("/a"), req("/A"))
	diff(none, req("/a"), req("/%61"))
	same(none, req("/a?x=1"), req("/a"))
	same(none, req("/a", "cookie: id=1", "origin: https://o"), req("/a"))

	// Query strings.
	diff(all, req("/a?x=1"), req("/a"))
	diff(all, req("/a?"), req("/a"))
	diff(all, req("/a?x=1&y=2"), req("/a?y=2&x=1"))
	same(list, req("/a?v=1&x=2"), req("/a?x=3&v=1"))
	diff(list, req("/a?v=1"), req("/a?v=2"))
	diff(list, req("/a?v=1"), req("/a"))
	diff(list, req("/a?v"), req("/a?v="))
	same(list, req("/a?V=1"), req("/a"))
	same(except, req("/a?utm=1&x=2"), req("/a?x=2"))
	diff(except, req("/a?utm=1&x=2"), req("/a?utm=1&x=3"))
	same(star, req("/a?v=1", "x-a: 1"), req("/a"))
	diff(star, req("/a?*=1"), req("/a"))
	diff(star, req("/a", "x-*: 1"), req("/a"))

	// Cookies: sorted by name, attributes do not count.
	diff(all, req("/a", "cookie: a=1"), req("/a"))
	same(all, req("/a", "cookie: a=1; b=2"), req("/a", "cookie: b=2; a=1"))
	same(all, req("/a", "cookie: a=1; b=2"), req("/a", "cookie: a=1", "cookie: b=2"))
	same(all, req("/a", "cookie: a=1; $Path=/"), req("/a", "cookie: a=1"))
	diff(all, req("/a", "cookie: a=1; a=2"), req("/a", "cookie: a=2; a=1"))
	same(list, req("/a", "cookie: id=7; t=1"), req("/a", "cookie: t=2; id=7"))
	diff(list, req("/a", "cookie: id=7"), req("/a", "cookie: id=8"))
	same(list, req("/a", "cookie: ID=7"), req("/a"))
	same(except, req("/a", "cookie: _ga=1; x=1"), req("/a", "cookie: x=1; _ga=2"))
	diff(except, req("/a", "cookie: x=1"), req("/a", "cookie: x=2"))

	// Header fields.
	diff(list, req("/a", "origin: https://a"), req("/a", "origin: https://b"))
	diff(list, req("/a", "origin: https://a"), req("/a"))
	diff(list, req("/a", "x-a: "), req("/a"))
	diff(list, req("/a", "x-a: 1", "x-a: 2"), req("/a", "x-a: 1, 2"))
	same(list, req("/a", "x-a: 1", "origin: o"), req("/a", "origin: o", "x-a: 1"))
	diff(host, req("/a"), with(req("/a"), func(in *Input) { in.Host = "other.example.org" }))
	same(host, req("/a", "cloudfront-forwarded-proto: http"), req("/a"))
	diff(host, with(req("/a"), func(in *Input) { in.Added = fields("cloudfront-forwarded-proto: https") }), req("/a"))

	// CloudFront: Serve compressed files.
	same(none, req("/a", "accept-encoding: gzip"), req("/a"))
	diff(coded, req("/a", "accept-encoding: gzip"), req("/a"))
	diff(coded, req("/a", "accept-encoding: gzip"), req("/a", "accept-encoding: gzip, br"))
	same(coded, req("/a", "accept-encoding: br;q=1.0, gzip;q=0.2, deflate"), req("/a", "accept-encoding: gzip, br"))
	same(gzOnly, req("/a", "accept-encoding: gzip, br"), req("/a", "accept-encoding: gzip"))
	same(coded, with(req("/a", "accept-encoding: gzip"), func(in *Input) { in.OldViewer = true }), req("/a"))

	// Methods and distributions.
	diff(none, with(req("/a"), func(in *Input) { in.Options = true }), req("/a"))
	diff(none, with(req("/a"), func(in *Input) { in.Domain = "d222.cloudfront.net" }), req("/a"))
}

func with(in *Input, f func(*Input)) *Input { f(in); return in }

func compare(t *testing.T, p *cdn.CachePolicy, a, b *Input, want bool) {
	t.Helper()
	ka, kb := Append(nil, a, p), Append(nil, b, p)
	if bytes.Equal(ka, kb) != want {
		t.Errorf("same = %v, want %v:\n%q\n%q", !want, want, ka, kb)
	}
}

func TestEncoding(t *testing.T) {
	is := func(want, header string) {
		t.Helper()
		if got := Encoding(fields("accept-encoding: "+header), true, true); got != want {
			t.Errorf("Encoding(%q) = %q, want %q", header, got, want)
		}
	}
	is("br,gzip", "gzip, deflate, br")
	is("br,gzip", "BR , x-gzip")
	is("gzip", "gzip;q=0.001")
	is("br", "br, gzip;q=0")        // RFC 9110, Section 12.4.2
	is("br", "br, gzip; Q=0.000")   // RFC 9110, Section 12.4.2
	is("br,gzip", "br, gzip;q=0.1") // RFC 9110, Section 12.4.2
	is("", "identity")
	is("", "*")
	is("", "")
}

// TestGolden pins the bytes: a change of the encoding empties every cache on disk, so it
// must be seen in review.
func TestGolden(t *testing.T) {
	var b strings.Builder
	line := func(name string, p *cdn.CachePolicy, in *Input) {
		fmt.Fprintf(&b, "%s: %q\n", name, Append(nil, in, p))
	}
	r := req("/img/a%20b.png?v=2&utm=x", "accept-encoding: gzip, br", "cookie: t=1; id=7; _ga=0", "origin: https://o", "x-a: 1")
	line("none", &none, r)
	line("coded", &coded, r)
	line("all", &all, r)
	line("list", &list, r)
	line("except", &except, r)
	line("host", &host, r)
	line("options", &none, with(req("/"), func(in *Input) { in.Options = true }))
	file := filepath.Join("testdata", "keys.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Errorf("keys differ from %s (%v); run with -update if that is meant:\n%s", file, err, b.String())
	}
}

// parsed is what decode reads back from a key.
type parsed struct {
	domain, path string
	items        []string
}

// decode reads a key back. That it can, for every key, is the proof that no two
// different inputs make the same key.
func decode(t *rapid.T, key []byte) parsed {
	var out parsed
	take := func() string {
		s, rest, ok := cutString(key)
		if !ok {
			t.Fatalf("cannot read the key back at %q", key)
		}
		key = rest
		return string(s)
	}
	out.domain, out.path = take(), take()
	for len(key) > 0 {
		tag := key[0]
		key = key[1:]
		item := string(tag)
		switch tag {
		case tagOptions:
		case tagHeader:
			item += fmt.Sprintf("%q=%q", take(), take())
		case tagQuery, tagParam, tagCookie, tagEncoding:
			item += fmt.Sprintf("%q", take())
		default:
			t.Fatalf("unknown tag %q", tag)
		}
		out.items = append(out.items, item)
	}
	return out
}

func TestKeysReadBack(t *testing.T) {
	// Strings made of the encoding's own bytes are the ones that could confuse it.
	text := rapid.StringMatching(`[\x00-\x04oQqhce/=&; a]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		in := &Input{
			Domain: text.Draw(t, "domain"), Path: text.Draw(t, "path"),
			Query: text.Draw(t, "query"), HasQuery: rapid.Bool().Draw(t, "has"),
			Options: rapid.Bool().Draw(t, "options"), Host: text.Draw(t, "host"),
		}
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			in.Header.Add(rapid.SampledFrom([]string{"cookie", "x-a", "origin", "accept-encoding"}).Draw(t, "name"), text.Draw(t, "value"))
		}
		behavior := rapid.SampledFrom([]string{"none", "all", "whitelist", "allExcept"})
		p := &cdn.CachePolicy{
			Gzip: rapid.Bool().Draw(t, "gzip"), Brotli: rapid.Bool().Draw(t, "br"),
			Headers:      sel("whitelist", "x-a", "Host", "Origin"),
			Cookies:      sel(behavior.Draw(t, "cookies"), text.Draw(t, "cookie")),
			QueryStrings: sel(behavior.Draw(t, "queries"), text.Draw(t, "param")),
		}
		got := decode(t, Append(nil, in, p))
		if got.domain != in.Domain || got.path != in.Path {
			t.Fatalf("read back %q %q of %+v", got.domain, got.path, in)
		}
		for i := range in.Header {
			want := fmt.Sprintf("h%q=%q", in.Header[i].Name, in.Header[i].Value)
			if n := in.Header[i].Name; (n == "x-a" || n == "origin") && !slices.Contains(got.items, want) {
				t.Fatalf("%s is missing in %q", want, got.items)
			}
		}
		if !slices.Contains(got.items, fmt.Sprintf("h%q=%q", "host", in.Host)) {
			t.Fatalf("the host is missing in %q", got.items)
		}
		if in.HasQuery && p.QueryStrings.Behavior == "all" && !slices.Contains(got.items, fmt.Sprintf("Q%q", in.Query)) {
			t.Fatalf("the query is missing in %q", got.items)
		}
		if in.Options != slices.Contains(got.items, "o") {
			t.Fatalf("options %v, items %q", in.Options, got.items)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(Append(nil, req("/a?x=1"), &all))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, p, ok := Split(b)
		if ok && len(d)+len(p) > len(b) {
			t.Fatalf("%q %q out of %q", d, p, b)
		}
	})
}

func TestSplit(t *testing.T) {
	d, p, ok := Split(Append(nil, req("/a?x=1", "origin: o"), &list))
	if d != "d111.cloudfront.net" || p != "/a" || !ok {
		t.Fatal(d, p, ok)
	}
}

func BenchmarkAppend(b *testing.B) {
	r := req("/img/a.png?v=2&utm=x", "accept-encoding: gzip, br", "cookie: t=1; id=7", "origin: https://o", "user-agent: x")
	for _, c := range []struct {
		name string
		p    *cdn.CachePolicy
	}{{"none", &none}, {"coded", &coded}, {"list", &list}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 512)
			for b.Loop() {
				buf = Append(buf[:0], r, c.p)
			}
		})
	}
}
