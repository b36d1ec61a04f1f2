package httpcache

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pqfront/internal/httpfield"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// httpDate writes now+d in the form of RFC 9110, Section 5.6.7.
func httpDate(d time.Duration) string {
	return now.Add(d).Format("Mon, 02 Jan 2006 15:04:05 GMT")
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

const s = time.Second

func rules(minTTL, defaultTTL, maxTTL time.Duration) *Rules {
	return &Rules{MinTTL: minTTL, DefaultTTL: defaultTTL, MaxTTL: maxTTL}
}

func judge(r *Rules, status int, lines ...string) (Object, Reason) {
	return Judge(&Response{Status: status, Header: fields(lines...), Length: 12, Method: "GET", ErrorMin: 10 * s}, r, now)
}

// TestLife is the table of CloudFront: Manage how long content stays in the cache.
func TestLife(t *testing.T) {
	min0, min60 := rules(0, 300*s, 1000*s), rules(60*s, 300*s, 1000*s)
	lives := func(r *Rules, want time.Duration, lines ...string) {
		t.Helper()
		if o, why := judge(r, 200, lines...); why != Stored || o.FreshFor != want {
			t.Errorf("%q: %v for %v, want %v", lines, why, o.FreshFor, want)
		}
	}
	refused := func(r *Rules, want Reason, lines ...string) {
		t.Helper()
		if _, why := judge(r, 200, lines...); why != want {
			t.Errorf("%q: %v, want %v", lines, why, want)
		}
	}
	// max-age
	lives(min0, 100*s, "cache-control: max-age=100")
	lives(min0, 1000*s, "cache-control: max-age=5000")
	refused(min0, NotUseful, "cache-control: max-age=0")
	lives(min60, 100*s, "cache-control: max-age=100")
	lives(min60, 60*s, "cache-control: max-age=1")
	lives(min60, 1000*s, "cache-control: max-age=5000")
	// nothing said
	lives(min0, 300*s)
	lives(min60, 300*s)
	lives(rules(400*s, 300*s, 1000*s), 400*s)
	lives(min0, 300*s, "cache-control: public")
	// s-maxage replaces max-age, and both Expires
	lives(min0, 50*s, "cache-control: max-age=100, s-maxage=50")
	lives(min0, 200*s, "cache-control: s-maxage=200", "cache-control: max-age=100")
	lives(min60, 60*s, "cache-control: s-maxage=1, max-age=100")
	lives(min0, 100*s, "cache-control: max-age=100", "expires: "+httpDate(7*s))
	// Expires only
	lives(min0, 70*s, "expires: "+httpDate(70*s))
	lives(min0, 1000*s, "expires: "+httpDate(5000*s))
	refused(min0, NotUseful, "expires: "+httpDate(-s))
	refused(min0, NotUseful, "expires: 0") // RFC 9111, Section 5.3
	lives(min60, 60*s, "expires: "+httpDate(7*s))
	lives(min60, 1000*s, "expires: "+httpDate(5000*s))
	// refusals
	refused(min0, NotNoStore, "cache-control: no-store")
	refused(min0, NotNoCache, "cache-control: no-cache, max-age=100")
	refused(min0, NotPrivate, "cache-control: private")
	refused(min0, NotPrivate, `cache-control: private="set-cookie, x", max-age=100`)
	lives(min60, 60*s, "cache-control: no-store")
	lives(min60, 60*s, "cache-control: no-cache, max-age=100")
	lives(min60, 60*s, "cache-control: private")
	// the managed policies
	lives(rules(s, 86400*s, 31536000*s), 86400*s)
	lives(rules(s, 86400*s, 31536000*s), s, "cache-control: no-store")
	refused(rules(0, 0, 31536000*s), NotUseful)
	lives(rules(2*s, 2*s, 600*s), 600*s, "cache-control: max-age=86400")
	refused(rules(0, 0, 0), BypassDisabled, "cache-control: max-age=100")
	// odd forms
	lives(min0, 100*s, "cache-control: MAX-AGE = \"100\"")
	lives(min0, 100*s, "cache-control: , foo=\"a,b\\\"\", max-age=100,")
	lives(min0, 100*s, "cache-control: max-age=100, max-age=5") // RFC 9111, Section 4.2.1
	refused(min0, NotUseful, "cache-control: max-age=-5")       // RFC 9111, Section 4.2.1
	refused(min0, NotUseful, "cache-control: max-age=1.5")
	lives(min0, 1000*s, "cache-control: max-age=99999999999999999999")
	// the origin's own cache has eaten of the life (RFC 9111, Section 4.2.3)
	lives(min0, 60*s, "cache-control: max-age=100", "age: 40")
	refused(min0, NotUseful, "cache-control: max-age=100", "age: 400")
	lives(min60, 60*s, "cache-control: max-age=100", "age: 90")
	lives(min0, 300*s, "age: 40")
	// without a life, but with a validator or leave to be stale: kept
	lives(min0, 0, "cache-control: max-age=0", `etag: "a"`)
	lives(min0, 0, "cache-control: max-age=0", "last-modified: "+httpDate(-s))
	lives(min0, 0, "cache-control: max-age=0, stale-if-error=5")
	lives(min0, 0, "cache-control: max-age=0, stale-while-revalidate=5")
	// Vary: *
	refused(min0, NotVary, "vary: accept, *", "cache-control: max-age=100")
	lives(min60, 100*s, "vary: *", "cache-control: max-age=100")
}

func TestStatuses(t *testing.T) {
	r := rules(0, 300*s, 1000*s)
	stored := func(status int, want time.Duration, lines ...string) {
		t.Helper()
		if o, why := judge(r, status, lines...); why != Stored || o.FreshFor != want {
			t.Errorf("%d %q: %v for %v, want %v", status, lines, why, o.FreshFor, want)
		}
	}
	not := func(status int, want Reason, lines ...string) {
		t.Helper()
		if _, why := judge(r, status, lines...); why != want {
			t.Errorf("%d %q: %v, want %v", status, lines, why, want)
		}
	}
	for _, status := range []int{200, 203, 204, 300, 301, 302, 303} {
		stored(status, 300*s)
	}
	for _, status := range []int{307, 308} { // CloudFront: HTTP 3xx, Temporary Redirect
		not(status, NotStatusUnexplicit)
		stored(status, 100*s, "cache-control: max-age=100")
		stored(status, 100*s, "expires: "+httpDate(100*s))
	}
	not(206, NotPartial, "cache-control: max-age=100")
	not(201, NotStatus)
	stored(201, 100*s, "cache-control: max-age=100")
	not(304, NotStatus, "cache-control: max-age=100")

	// CloudFront: How CloudFront processes and caches HTTP 4xx and 5xx status codes.
	for _, status := range []int{404, 410, 414, 500, 501, 502, 503, 504} {
		stored(status, 10*s)
		stored(status, 100*s, "cache-control: max-age=100")
		stored(status, 10*s, "cache-control: max-age=1")
		stored(status, 1000*s, "cache-control: s-maxage=5000")
		stored(status, 70*s, "expires: "+httpDate(70*s))
	}
	for _, status := range []int{404, 410, 414, 501} {
		not(status, NotNoStore, "cache-control: no-store")
		not(status, NotNoCache, "cache-control: no-cache")
		not(status, NotPrivate, "cache-control: private, max-age=100")
	}
	for _, status := range []int{500, 502, 503, 504} {
		stored(status, 10*s, "cache-control: no-store")
		stored(status, 10*s, "cache-control: private, max-age=100")
	}
	for _, status := range []int{400, 403, 405, 412, 415} {
		not(status, NotStatusUnexplicit)
		not(status, NotStatusUnexplicit, "expires: "+httpDate(70*s))
		stored(status, 100*s, "cache-control: max-age=100")
		stored(status, 10*s, "cache-control: s-maxage=1")
	}
	for _, status := range []int{401, 402, 406, 409, 416, 418, 429, 451, 505, 599} {
		not(status, NotStatus, "cache-control: max-age=100")
	}
	r = rules(60*s, 300*s, 1000*s)
	not(501, NotNoStore, "cache-control: no-store") // even with a minimum TTL
	r = rules(0, 0, 0)
	not(404, BypassDisabled)
	r = rules(0, 300*s, 5*s)
	stored(404, 10*s, "cache-control: max-age=100") // the error minimum is above MaxTTL

	noMin := &Response{Status: 404, Method: "GET"}
	bucket := rules(0, 300*s, 1000*s)
	bucket.S3 = true
	if _, why := Judge(noMin, rules(0, 300*s, 1000*s), now); why != NotUseful {
		t.Error(why)
	}
	if o, _ := Judge(noMin, bucket, now); o.FreshFor != s {
		t.Errorf("an error of a bucket is kept for %v, want 1s", o.FreshFor)
	}
}

// TestWithheldFields: fields that the origin names are not stored (RFC 9111, Sections
// 5.2.2.4 and 5.2.2.7; CloudFront: Cache content based on cookies).
func TestWithheldFields(t *testing.T) {
	f := func(minTTL time.Duration, cc string, want Reason, kept ...string) {
		t.Helper()
		o, why := judge(rules(minTTL, 300*s, 1000*s), 200, "set-cookie: a=1", "x-user: u", "set-cookie: b=2", "cache-control: "+cc)
		if why != want {
			t.Errorf("%s: %v, want %v", cc, why, want)
		}
		var names []string
		for _, h := range o.Header {
			if h.Name != "cache-control" {
				names = append(names, h.Name)
			}
		}
		if !slices.Equal(names, kept) {
			t.Errorf("%s: kept %q, want %q", cc, names, kept)
		}
	}
	f(0, "max-age=9", Stored, "set-cookie", "x-user", "set-cookie")
	f(0, `no-cache="Set-Cookie"`, Stored, "x-user")
	f(0, `max-age=9, no-cache="set-cookie, X-User"`, Stored)
	f(0, `no-cache=Set-Cookie`, NotNoCache) // a token instead of the quoted form
	f(s, `no-cache=Set-Cookie`, Stored, "x-user")
	f(0, `no-cache="", max-age=9`, NotNoCache)
	f(0, `no-cache="set-cookie", no-cache`, NotNoCache)
	f(0, `private="set-cookie"`, NotPrivate)
	f(s, `private="set-cookie"`, Stored, "x-user")
	f(s, `no-cache`, Stored, "set-cookie", "x-user", "set-cookie")
}

// RFC 9111, Section 5.1: the age that the object came with is the least.
func TestAgeOfOneWhoWaited(t *testing.T) {
	o, _ := judge(rules(0, 300*s, 1000*s), 200, "cache-control: max-age=100", "age: 40")
	if a := o.Age(now.Add(-time.Millisecond)); a != 40 {
		t.Errorf("before it was received: %d, want 40", a)
	}
}

func TestUsable(t *testing.T) {
	is := func(r Rules, method string, want Reason) {
		t.Helper()
		if why, ok := r.Usable(method); why != want || ok != (want == Miss) {
			t.Errorf("%s: %v %v, want %v", method, why, ok, want)
		}
	}
	r := *rules(0, 300*s, 1000*s)
	is(r, "GET", Miss)
	is(r, "HEAD", Miss)
	is(r, "OPTIONS", BypassMethod)
	is(r, "POST", BypassMethod)
	is(r, "get", BypassMethod)
	r.Options = true
	is(r, "OPTIONS", Miss)
	r.MaxTTL = 0
	is(r, "GET", BypassDisabled)
}

func TestAuthorization(t *testing.T) {
	is := func(want Reason, lines ...string) {
		t.Helper()
		_, why := Judge(&Response{Status: 200, Method: "GET", Header: fields(lines...), Authorization: true}, rules(0, 300*s, 1000*s), now)
		if why != want {
			t.Errorf("%q: %v, want %v", lines, why, want)
		}
	}
	is(NotAuthorization, "cache-control: max-age=100") // RFC 9111, Section 3.5
	is(Stored, "cache-control: public")
	is(Stored, "cache-control: s-maxage=5")
	is(Stored, "cache-control: max-age=100, must-revalidate")
}

func TestAgeAndState(t *testing.T) {
	o, _ := judge(rules(0, 300*s, 1000*s), 200, "cache-control: max-age=100, stale-while-revalidate=20, stale-if-error=50", "age: 30", "date: "+httpDate(-999*s))
	at := func(d time.Duration, age int64, state State, standsIn bool) {
		t.Helper()
		if a, st, si := o.Age(now.Add(d)), o.State(now.Add(d)), o.StandsIn(now.Add(d)); a != age || st != state || si != standsIn {
			t.Errorf("after %v: age %d state %d stands in %v, want %d %d %v", d, a, st, si, age, state, standsIn)
		}
	}
	at(0, 30, Fresh, true)
	at(1500*time.Millisecond, 31, Fresh, true)
	at(69999*time.Millisecond, 99, Fresh, true)
	at(70*s, 100, Refreshable, true)
	at(90*s, 120, Stale, true)
	at(119*s, 149, Stale, true)
	at(120*s, 150, Stale, false)
	at(-5*s, 30, Fresh, true) // a clock that was set back, or who asked before it was received
	if o.Header.Has("age") || !o.Header.Has("date") {
		t.Error("Age is stored, or Date is not")
	}
}

// TestStandIns: CloudFront: Manage how long content stays in the cache, stale-if-error.
func TestStandIns(t *testing.T) {
	is := func(r *Rules, status int, expired time.Duration, want bool, lines ...string) {
		t.Helper()
		o, why := judge(r, status, lines...)
		if why != Stored {
			t.Fatal(why)
		}
		if got := o.StandsIn(now.Add(o.FreshFor + expired)); got != want {
			t.Errorf("%d %q after %v: %v", status, lines, expired, got)
		}
	}
	r := rules(0, 300*s, 1000*s)
	is(r, 200, 0, true)
	is(r, 200, 1e6*s, true) // without the directive: no bound
	is(r, 200, 0, false, "cache-control: max-age=0", `etag: "a"`)
	is(r, 200, 0, false, "cache-control: stale-if-error=0")
	is(r, 200, 49*s, true, "cache-control: stale-if-error=50")
	is(r, 200, 50*s, false, "cache-control: stale-if-error=50")
	is(r, 200, 1000*s, false, "cache-control: stale-if-error=5000") // bound by MaxTTL
	is(r, 200, 0, false, "cache-control: must-revalidate")          // RFC 9111, Section 5.2.2.2
	is(r, 200, 0, false, "cache-control: proxy-revalidate, stale-if-error=50")
	is(r, 404, 0, false) // an old error is nothing to fall back on

	o, _ := judge(r, 200, "cache-control: max-age=100, stale-if-error=50")
	x := o.Extended(now.Add(110*s), 10*s)
	if x.State(now.Add(119*s)) != Fresh || x.State(now.Add(120*s)) == Fresh {
		t.Error("an extended object lives until its next trial")
	}
	if !x.StandsIn(now.Add(149*s)) || x.StandsIn(now.Add(150*s)) {
		t.Error("an extension moved the bound of stale-if-error")
	}
	x = x.Extended(now.Add(145*s), 100*s)
	if x.State(now.Add(150*s)) == Fresh {
		t.Error("an extension went beyond the bound of stale-if-error")
	}
	o, _ = judge(r, 200, "cache-control: max-age=100")
	if x = o.Extended(now.Add(500*s), 10*s); x.State(now.Add(509*s)) != Fresh || !x.StandsIn(now.Add(9999*s)) {
		t.Error("an object without bound was not extended")
	}
}

func TestMerge(t *testing.T) {
	r := rules(0, 300*s, 1000*s)
	o, _ := judge(r, 200, "content-type: text/plain", "content-length: 12", "cache-control: max-age=10", `etag: "a"`, "x-a: 1", "x-a: 2", "x-keep: k")
	later := now.Add(50 * s)
	n, ok := o.Merge(fields("cache-control: max-age=70", `etag: W/"a"`, "x-a: 3", "x-new: n", "content-type: image/png", "content-length: 0", "age: 5"), r, false, later)
	if !ok || n.FreshFor != 65*s || n.Age(later) != 5 || n.Length != 12 || n.Status != 200 {
		t.Fatalf("%v %+v", ok, n)
	}
	want := fields("content-type: text/plain", "content-length: 12", "cache-control: max-age=70", `etag: W/"a"`, "x-a: 3", "x-keep: k", "x-new: n")
	if got := n.Header; len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want { // RFC 9111, Section 3.2
		if n.Header[i] != want[i] {
			t.Errorf("line %d: %v, want %v", i, n.Header[i], want[i])
		}
	}
	if _, ok := o.Merge(fields(`etag: "b"`), r, false, later); ok {
		t.Error("a 304 for another entity tag was merged") // RFC 9111, Section 4.3.4
	}
	if _, ok := o.Merge(fields("cache-control: no-store"), r, false, later); ok {
		t.Error("a 304 with no-store was merged")
	}
	if n, ok := o.Merge(nil, r, false, later); !ok || n.State(later.Add(9*s)) != Fresh || n.State(later.Add(10*s)) == Fresh {
		t.Error("an empty 304 does not renew")
	}
	if v := o.Validators(); len(v) != 1 || v[0] != (httpfield.Field{Name: "if-none-match", Value: `"a"`}) {
		t.Error(v)
	}
}

func TestNotModified(t *testing.T) {
	o := &Object{Status: 200, ETag: `W/"a"`, LastModified: httpDate(-100 * s)}
	is := func(want bool, lines ...string) {
		t.Helper()
		if got := NotModified(fields(lines...), o); got != want {
			t.Errorf("%q: %v", lines, got)
		}
	}
	is(false)
	is(true, `if-none-match: "a"`) // weak comparison: RFC 9110, Section 13.1.2
	is(true, `if-none-match: W/"a"`)
	is(true, `if-none-match: "x,\", "a"`) // a backslash escapes nothing: RFC 9110, Section 8.8.3
	is(true, `if-none-match: "x" , W/"y","a"`)
	is(true, `if-none-match: "x"`, `if-none-match: "a"`)
	is(true, `if-none-match: *`)
	is(false, `if-none-match: "b"`)
	is(false, `if-none-match: a`)
	is(false, `if-none-match: "a`)
	is(false, `if-none-match: `)
	is(true, "if-modified-since: "+httpDate(-100*s))
	is(true, "if-modified-since: "+httpDate(0))
	is(false, "if-modified-since: "+httpDate(-101*s))
	is(false, "if-modified-since: yesterday")                               // RFC 9110, Section 13.1.3
	is(false, `if-none-match: "b"`, "if-modified-since: "+httpDate(0))      // RFC 9110, Section 13.2.2
	is(true, `if-none-match: "a"`, "if-modified-since: "+httpDate(-9999*s)) // RFC 9110, Section 13.2.2
	is(false, `if-match: "b"`, "if-unmodified-since: "+httpDate(-9999*s))   // RFC 9111, Section 4.3.2
	o.Status = 404
	is(false, `if-none-match: "a"`)
	o = &Object{Status: 200}
	is(true, `if-none-match: *`)
	is(false, `if-none-match: ""`)
	is(false, "if-modified-since: "+httpDate(0))
}

func TestSelect(t *testing.T) {
	o := &Object{Status: 200, Length: 100, ETag: `"a"`, LastModified: httpDate(-100 * s), Header: fields("date: " + httpDate(-50*s))}
	is := func(p Part, off, n int64, lines ...string) {
		t.Helper()
		if gp, goff, gn := Select(fields(lines...), o); gp != p || goff != off || gn != n {
			t.Errorf("%q: %v %d+%d, want %v %d+%d", lines, gp, goff, gn, p, off, n)
		}
	}
	is(Whole, 0, 100)
	is(Range, 0, 10, "range: bytes=0-9") // RFC 9110, Section 14.1.2
	is(Range, 10, 90, "range: bytes=10-")
	is(Range, 90, 10, "range: bytes=-10")
	is(Range, 0, 100, "range: bytes=-1000")
	is(Range, 99, 1, "range: bytes=99-99")
	is(Range, 50, 50, "range: bytes=50-99999999999999999999")
	is(Range, 0, 1, "range: Bytes = 0-0")
	is(Unsatisfiable, 0, 0, "range: bytes=100-")
	is(Unsatisfiable, 0, 0, "range: bytes=99999999999999999999-")
	is(Unsatisfiable, 0, 0, "range: bytes=-0")
	// CloudFront: How CloudFront processes partial requests: invalid ones get the whole.
	is(Whole, 0, 100, "range: bytes=9-5")
	is(Whole, 0, 100, "range: bytes=0-1,5-6")
	is(Whole, 0, 100, "range: bytes=5-6,0-1")
	is(Whole, 0, 100, "range: bytes=a-b")
	is(Whole, 0, 100, "range: bytes=-")
	is(Whole, 0, 100, "range: bytes=+1-2")
	is(Whole, 0, 100, "range: bytes=1")
	is(Whole, 0, 100, "range: 1-2")
	is(Whole, 0, 100, "range: lines=1-2")
	is(Whole, 0, 100, "range: bytes=0-1", "range: bytes=2-3")
	// RFC 9110, Section 13.1.5
	is(Range, 0, 10, "range: bytes=0-9", `if-range: "a"`)
	is(Whole, 0, 100, "range: bytes=0-9", `if-range: "b"`)
	is(Whole, 0, 100, "range: bytes=0-9", `if-range: W/"a"`)
	is(Range, 0, 10, "range: bytes=0-9", "if-range: "+httpDate(-100*s))
	is(Whole, 0, 100, "range: bytes=0-9", "if-range: "+httpDate(-99*s))
	is(Whole, 0, 100, "range: bytes=0-9", "if-range: soon")
	o.Header = fields("date: " + httpDate(-100*s)) // RFC 9110, Section 8.8.2.2
	is(Whole, 0, 100, "range: bytes=0-9", "if-range: "+httpDate(-100*s))
	o.Length = 0
	is(Unsatisfiable, 0, 0, "range: bytes=-5")
	is(Unsatisfiable, 0, 0, "range: bytes=0-")
	o.Length = -1
	is(Whole, 0, -1, "range: bytes=0-9")
	o.Length, o.Status = 100, 404
	is(Whole, 0, 100, "range: bytes=0-9")
}

func TestCollapses(t *testing.T) {
	r := rules(0, 0, 100*s)
	if !r.Collapses(false) || r.Collapses(true) || rules(0, 0, 0).Collapses(false) {
		t.Error("the settings for which requests are collapsed")
	}
}

// TestRangesStayInside: whatever the viewer asks for, the part lies inside of the object.
func TestRangesStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(0, 50).Draw(t, "length")
		v := rapid.StringMatching(`(bytes|b)=? ?[0-9]{0,20}-?[0-9]{0,20}(,[0-9]?-)?`).Draw(t, "range")
		p, off, n := Select(fields("range: "+v), &Object{Status: 200, Length: length})
		if off < 0 || n < 0 || off+n > length || p == Range && n == 0 {
			t.Fatalf("%q of %d: %v %d+%d", v, length, p, off, n)
		}
	})
}

func FuzzFields(f *testing.F) {
	f.Add("max-age=1, private=\"a,b\\\"c\", s-maxage=\"5", `"a", W/"b", *`, "bytes=0-5", "5, 6")
	f.Add(",=,\"\"=\"", `W/`, "bytes=-", "")
	f.Fuzz(func(t *testing.T, cc, inm, rng, age string) {
		h := fields("x: y")
		h.Add("cache-control", cc)
		h.Add("age", age)
		o, why := Judge(&Response{Status: 200, Header: h, Length: 10, Method: "GET"}, rules(0, s, 100*s), now)
		if why == Stored && (o.FreshFor < 0 || o.FreshFor > 100*s || o.Age(now) < 0) {
			t.Fatalf("%+v", o)
		}
		o = Object{Status: 200, Length: 10, ETag: `"a"`}
		r := fields("x: y")
		r.Add("if-none-match", inm)
		r.Add("range", rng)
		NotModified(r, &o)
		if _, off, n := Select(r, &o); off < 0 || n < 0 || off+n > 10 {
			t.Fatal(off, n)
		}
	})
}
