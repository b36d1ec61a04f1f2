package route

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func hostTable(t testing.TB) *Hosts {
	t.Helper()
	h := &Hosts{}
	for name, site := range map[string]int{
		"www.example.com": 1, "*.example.com": 2, "*.eu.example.com": 3, "a.eu.example.com": 4,
		"example.com": 5, "d111111abcdef8.cloudfront.net": 6, "*.org": 7, "Upper.Example.NET.": 8,
	} {
		if err := h.Add(name, site); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// CloudFront: Use custom URLs by adding alternate domain names, Restrictions; Use
// wildcards in alternate domain names.
func TestLookup(t *testing.T) {
	h := hostTable(t)
	f := func(name string, want int) {
		t.Helper()
		if got := h.Lookup(name); got != want {
			t.Errorf("Lookup(%q) = %d, want %d", name, got, want)
		}
	}
	f("www.example.com", 1)
	f("WWW.Example.COM", 1)
	f("www.example.com.", 1)
	f("www.example.com..", -1)
	f("example.com", 5)
	f("other.example.com", 2)
	f("deep.other.example.com", 2) // a wildcard stands for several labels, too
	f("a.eu.example.com", 4)       // the exact name wins
	f("b.eu.example.com", 3)       // the more specific wildcard wins
	f("x.b.eu.example.com", 3)
	f("eu.example.com", 2)
	f("d111111abcdef8.cloudfront.net", 6)
	f("upper.example.net", 8)
	f("a.b.c.org", 7)
	f("org", -1)
	f(".org", -1)
	f("", -1)
	f(".", -1)
	f("example.co", -1)
	f("xexample.com", -1)
	f("com", -1)
	f("*.example.com", 2) // no viewer has this name; it stands for itself
	f(strings.Repeat("a.", 130)+"org", -1)
	f(strings.Repeat("a.", 100)+"org", 7)
	if got := (&Hosts{}).Lookup("a.b"); got != -1 {
		t.Errorf("empty table: %d", got)
	}
}

func TestAddTaken(t *testing.T) {
	h := hostTable(t)
	if err := h.Add("www.example.com", 1); err != nil {
		t.Errorf("the same again: %v", err)
	}
	err := h.Add("*.EXAMPLE.com", 9)
	taken, ok := errors.AsType[*TakenError](err)
	if !ok || taken.Site != 2 || taken.Name != "*.example.com" {
		t.Errorf("taken = %v", err)
	}
	for _, bad := range []string{"", ".", strings.Repeat("a", 254)} {
		if h.Add(bad, 1) == nil {
			t.Errorf("Add(%q) succeeded", bad)
		}
	}
}

// RFC 3986, Section 3.2.
func TestHostname(t *testing.T) {
	f := func(authority, want string) {
		t.Helper()
		if got := Hostname(authority); got != want {
			t.Errorf("Hostname(%q) = %q, want %q", authority, got, want)
		}
	}
	f("a.example", "a.example")
	f("a.example:443", "a.example")
	f("a.example:", "a.example")
	f("a.example.:8443", "a.example")
	f("[::1]", "::1")
	f("[::1]:443", "::1")
	f("[::1", "")
	f("[::1]x", "")
	f("a.example:4x", "")
	f("a.example:123456", "")
	f("user@a.example:1", "user@a.example") // no such name exists
	f("a:b:1", "")
	f("", "")
	f(":443", "")
}

// CloudFront: All distribution settings reference, Path pattern.
func TestPattern(t *testing.T) {
	f := func(pattern, path string, want bool) {
		t.Helper()
		p, err := NewPattern(pattern)
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		if got := p.Match(path); got != want {
			t.Errorf("%q matches %q: %t, want %t", pattern, path, got, want)
		}
	}
	f("*", "/", true)
	f("*", "/a/b", true)
	f("/*", "/a", true)
	f("/", "/", true)
	f("/", "/a", false)
	f("images/*.jpg", "/images/a.jpg", true) // the leading slash is optional
	f("/images/*.jpg", "/images/a.jpg", true)
	f("/images/*.jpg", "/images/.jpg", true) // 0 characters
	f("/images/*.jpg", "/images/a/b.jpg", true)
	f("/images/*.jpg", "/images/a.JPG", false) // case-sensitive
	f("/images/*.jpg", "/Images/a.jpg", false)
	f("/images/*.jpg", "/images/a.jpg.png", false)
	f("*.jpg", "/a/b.jpg", true)
	f("*/foo", "/foo", true)
	f("/*/foo", "/foo", false)
	f("a?.html", "/ab.html", true) // exactly 1 character
	f("a?.html", "/a.html", false)
	f("a?.html", "/abb.html", false)
	f("a?.html", "/a/.html", true)
	f("?.html", "/a.html", true)
	f("?", "/", false)
	f("?", "/a", true)
	f("/a*b*c", "/abc", true)
	f("/a*b*c", "/aXbYc", true)
	f("/a*b*c", "/acb", false)
	f("/a*bc*bc", "/abcbc", true)
	f("/a*bc*bc", "/abc", false) // pieces do not share letters
	f("/ab*ba", "/aba", false)
	f("/*ab*ba*", "/aba", false)
	f("/*ab*ba*", "/abba", true)
	f("/*a?*?b*", "/aab", false)
	f("/*a?*?b*", "/aaab", true)
	long := strings.Repeat("a", 70) + "?" + strings.Repeat("b", 70) // more letters than a word has bits
	f("/*"+long+"*", "/a"+strings.ReplaceAll(long, "?", "x")+"b", true)
	f("/*"+long+"*", "/"+strings.Repeat("a", 69)+"x"+strings.Repeat("b", 80), false)
	f("/*"+long+"*", "/"+strings.Repeat("a", 80)+"x"+strings.Repeat("b", 69), false)
	f("/*"+long+"*", "/"+strings.Repeat("c", 70)+"x"+strings.Repeat("b", 70), false)
	f("/a*x?z*c", "/a-xyz-c", true)
	f("/a*x?z*c", "/a-xyyz-c", false)
	f("/a*x?z*c", "/a-xxyz-c", true)
	f("/a**b", "/ab", true)
	f("/*a?", "/aa", true)
	f("/*a?", "/a", false)
	f("/*a?", "/aab", true)
	// normalized for the comparison only (RFC 3986, Section 6.2.2)
	f("/a/*", "/b/../a/x", true)
	f("/a/*", "/./a/x", true)
	f("/a/*", "/a/../b", false)
	f("/a/*", "/%61/x", true)
	f("/%61/*", "/a/x", true)
	f("/a/*", "/a%2Fx", false) // an escaped slash is no slash
	f("/a%2fx", "/a%2Fx", true)
	f("/a/*", "/%2e%2e/a/x", true)
	f("/a b", "/a%20b", false)
	f("/*", "//a", true)
	f("/a/b", "/a//b", false)

	for _, bad := range []string{"", strings.Repeat("a", 256)} {
		if _, err := NewPattern(bad); err == nil {
			t.Errorf("NewPattern of %d letters succeeded", len(bad))
		}
	}
}

func TestFirstMatchWins(t *testing.T) {
	p, err := NewPaths([]string{"/a/*.jpg", "/a/*", "*.jpg", "/a/b.jpg"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(path string, want int) {
		t.Helper()
		if got := p.Match(path); got != want {
			t.Errorf("Match(%q) = %d, want %d", path, got, want)
		}
	}
	f("/a/b.jpg", 0)
	f("/a/b.png", 1)
	f("/b.jpg", 2)
	f("/b.png", -1)
	f("*", -1) // OPTIONS *
	f("", -1)
	if got := (*Paths)(nil).Match("/a"); got != -1 {
		t.Errorf("nil: %d", got)
	}
	if _, err := NewPaths([]string{"", "/a", strings.Repeat("x", 300)}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not all problems at once: %v", err)
	}
}

// RFC 3986, Section 5.2.4 and Section 6.2.2.
func TestNormalize(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		if got := string(Normalize(nil, path)); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", path, got, want)
		}
	}
	f("/", "/")
	f("/a/b/c/./../../g", "/a/g")
	f("/../a", "/a")
	f("/a/..", "/")
	f("/a/.", "/a/")
	f("/a/b/..", "/a/")
	f("/..", "/")
	f("/.", "/")
	f("/a//b/../c", "/a//c")
	f("/a//../c", "/a/c")
	f("/...", "/...")
	f("/.a/..b", "/.a/..b")
	f("/%7Euser/%41", "/~user/A")
	f("/%2e/%2E%2e/a", "/a")
	f("/%2f%3a", "/%2F%3A")
	f("/%", "/%")
	f("/%4", "/%4")
	f("/%zz", "/%zz")
	f("/%%41", "/%A")
	f("*", "*")
	f("", "")
}

// TestNormalizeLikePath: without double slashes and final dot segments, path.Clean does
// the same.
func TestNormalizeLikePath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(rapid.SampledFrom([]string{".", "..", "a", "b.c", "...", ".d"}), 1, 12).Draw(t, "segments")
		in := "/" + strings.Join(segments, "/") + "/z"
		if got, want := string(Normalize(nil, in)), path.Clean(in); got != want {
			t.Fatalf("%s: got %s, want %s", in, got, want)
		}
	})
}

// naive is the definition of a pattern, by backtracking.
func naive(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return naive(pattern[1:], s) || s != "" && naive(pattern, s[1:])
	case s == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == s[0]) && naive(pattern[1:], s[1:])
}

func TestLikeNaive(t *testing.T) {
	// Pieces that overlap with themselves and each other, in paths of their letters.
	join := func(parts ...string) *rapid.Generator[string] {
		return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 6), func(s []string) string { return "/" + strings.Join(s, "") })
	}
	patterns, paths := join("*", "*a", "*ab", "*ba", "*a?", "*?b", "*aab", "a", "b", "?"), join("a", "b", "ab", "ba", "aa")
	rapid.Check(t, func(t *rapid.T) {
		pattern, s := patterns.Draw(t, "pattern"), paths.Draw(t, "path")
		p, err := NewPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.match(s), naive(pattern, s); got != want {
			t.Fatalf("%q matches %q: %t, want %t", pattern, s, got, want)
		}
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("/a*b?c*d", "/axbxcxd")
	f.Add("*?*a", "/aaa")
	f.Add("images/*.jpg", "/images/../images/%61.jpg")
	f.Add("/%2a", "/*")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		p, err := NewPattern(pattern)
		if err != nil {
			return
		}
		got := p.Match(s)
		// The oracle knows neither the optional slash nor escapes.
		normalPattern := string(decodeUnreserved(nil, pattern))
		if normalPattern[0] != '/' && normalPattern[0] != '*' {
			normalPattern = "/" + normalPattern
		}
		if want := oracle(normalPattern, string(Normalize(nil, s))); got != want {
			t.Fatalf("%q matches %q: %t, want %t", pattern, s, got, want)
		}
		if again := string(Normalize(nil, string(Normalize(nil, s)))); !strings.Contains(s, "%") && again != string(Normalize(nil, s)) {
			t.Fatalf("Normalize(%q) is not stable: %q", s, again)
		}
	})
}

// oracle translates a pattern into a regular expression, whose engine is linear, too.
func oracle(pattern, s string) bool {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := range len(pattern) {
		switch pattern[i] {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		default:
			fmt.Fprintf(&b, `\x{%x}`, pattern[i])
		}
	}
	b.WriteString(`\z`)
	// Each byte becomes the letter with its number.
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return regexp.MustCompile(b.String()).MatchString(string(runes))
}

// TestNoBacktracking: the worst pattern on the longest path costs what the path's
// length does; with backtracking this test would not end.
func TestNoBacktracking(t *testing.T) {
	for _, unit := range []string{"*a", "*a?", "*aaaaaaaa?b"} {
		p, err := NewPattern("/" + strings.Repeat(unit, 250/len(unit)) + "*b")
		if err != nil {
			t.Fatal(err)
		}
		if p.Match("/" + strings.Repeat("a", 8191)) {
			t.Error("matched")
		}
	}
}

func TestNoAllocations(t *testing.T) {
	h := hostTable(t)
	p, err := NewPaths([]string{"/a/*.jpg", "/x*y?z*", "/api/v?/*"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, call func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	f("Lookup", func() { h.Lookup("Deep.Other.Example.com.") })
	f("Hostname", func() { Hostname("a.example:443") })
	f("Match", func() { p.Match("/api/v1/items") })
	f("Match of an unusual path", func() { p.Match("/a/../%61pi/v1/./items") })
}

func BenchmarkLookup(b *testing.B) {
	h := hostTable(b)
	for _, name := range []string{"www.example.com", "deep.other.example.com", "unknown.example.test"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Lookup(name)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	var patterns []string
	for i := range 75 {
		patterns = append(patterns, fmt.Sprintf("/section%d/*/page?.html", i))
	}
	p, err := NewPaths(patterns)
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{
		"last of 75": "/section74/some/where/page1.html", "none": "/assets/app.3f8a.js", "unusual": "/x/../section3/%61/page1.html",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Match(path)
			}
		})
	}
}
