package respheaders

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
)

var update = flag.Bool("update", false, "rewrite the committed snapshots")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; refresh it with: go test ./internal/edge/respheaders -update\ngot:\n%s", file, got)
	}
}

func text(h httpfield.Fields) string {
	var b strings.Builder
	for _, f := range h {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	return b.String()
}

// fields reads "name: value" lines.
func fields(lines ...string) (h httpfield.Fields) {
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		h.Add(n, v)
	}
	return h
}

var now = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

const reqID = "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ=="

func identity(t testing.TB, name string) *Identity {
	t.Helper()
	var host [16]byte
	for i := range host {
		host[i] = byte(i * 17)
	}
	id, err := NewIdentity(name, host, "NRT12-P9")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func managed(t testing.TB, name string) *cdn.ResponseHeadersPolicy {
	t.Helper()
	for _, p := range cdn.ManagedResponseHeadersPolicies() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no managed policy %s", name)
	return nil
}

// s3Answer is what S3 sends, in S3's order.
func s3Answer() httpfield.Fields {
	return fields("x-amz-id-2: abc", "x-amz-request-id: 123", "date: Sun, 07 Sep 2025 14:38:08 GMT",
		"last-modified: Sun, 07 Sep 2025 14:30:00 GMT", `etag: "ed076287532e86365e841e92bfc50d8c"`,
		"x-amz-server-side-encryption: AES256", "cache-control: max-age=60", "x-amz-version-id: v1", "accept-ranges: bytes",
		"content-type: text/html", "server: AmazonS3", "content-length: 12")
}

func get(https bool) Viewer { return Viewer{Method: "GET", HTTPS: https} }

// TestSnapshots compares whole headers with committed ones. The first is row 2 of the
// article that this project starts from, field for field.
func TestSnapshots(t *testing.T) {
	var b strings.Builder
	show := func(title string, h httpfield.Fields) { b.WriteString("# " + title + "\n" + text(h) + "\n") }
	hit := Input{Identity: identity(t, "cloudfront"), Viewer: get(true), Policy: managed(t, "Managed-SecurityHeadersPolicy"),
		Status: 200, Result: Hit, Origin: s3Answer(), S3: true, Length: 12, Age: 1245, AltSvc: `h3=":443"; ma=86400`, RequestID: reqID, Now: now}
	hit.Origin.Del("cache-control")
	hit.Origin.Del("x-amz-version-id")
	show("hit, S3, SecurityHeadersPolicy", Compose(hit))
	local := hit
	local.Identity, local.Result, local.Age = identity(t, "pqfront"), Miss, -1
	show("the same as a miss, in our own name", Compose(local))
	custom := hit
	custom.S3, custom.Policy, custom.Result, custom.Age = false, nil, Miss, -1
	custom.Origin = fields("server: nginx", "date: Wed, 25 Nov 2026 09:59:59 GMT", "content-type: text/plain", "transfer-encoding: chunked",
		"connection: keep-alive, X-Hop", "keep-alive: timeout=5", "x-hop: 1", "vary: Accept-Encoding, Cookie, X-Thing", "vary: Origin, User-Agent", "set-cookie: a=b",
		"via: 1.1 varnish", "age: 7", "x-cache: HIT", "x-amz-cf-id: forged", "alt-svc: h3=\":8443\"", "trailer: x-sum", "upgrade: h2c", "x-powered-by: PHP", "etag: W/\"1\"", "content-encoding: gzip")
	custom.Length = -1
	show("miss, custom origin, nothing forwarded", Compose(custom))
	custom.Forwarding = Forwarding{Cache: &cdn.CachePolicy{Headers: cdn.Selection{Behavior: "whitelist", Names: []string{"Origin", "CloudFront-Is-Mobile-Viewer"}}},
		Origin: &cdn.OriginRequestPolicy{Cookies: cdn.Selection{Behavior: "all"}}}
	show("miss, custom origin, cookies, Origin and a device field forwarded", Compose(custom))
	notModified := hit
	notModified.Status, notModified.Result = 304, RefreshHit
	show("304", Compose(notModified))
	cors := hit
	cors.Policy, cors.Viewer.Origin = managed(t, "Managed-CORS-with-preflight-and-SecurityHeadersPolicy"), "https://app.example.org"
	show("hit for a CORS request", Compose(cors))
	cors.Viewer.Method, cors.Viewer.RequestMethod = "OPTIONS", "PUT"
	show("hit for a preflight", Compose(cors))
	everything := hit
	everything.Viewer = Viewer{Method: "OPTIONS", HTTPS: true, Origin: "https://a.example.org", RequestMethod: "PUT", Pragma: "server-timing"}
	everything.Policy = fullPolicy()
	everything.Timing = Timing{Sample: 99, DownstreamFirstByte: 3 * time.Millisecond}
	show("every section of a policy, hit", Compose(everything))
	everything.Result, everything.Age = Miss, -1
	everything.Timing = Timing{Sample: 99, DNS: 0, Connect: 69 * time.Millisecond, UpstreamFirstByte: 562 * time.Millisecond, DownstreamFirstByte: 2 * time.Second}
	everything.Origin = append(s3Answer(), fields("server-timing: db;dur=53", "access-control-allow-origin: *", "x-frame-options: DENY", "x-powered-by: PHP")...)
	show("every section of a policy, miss", Compose(everything))
	everything.Viewer.HTTPS = false
	show("the same over plain HTTP", Compose(everything))
	golden(t, "headers.txt", b.String())
}

func fullPolicy() *cdn.ResponseHeadersPolicy {
	h := func(name, value string, override bool) *cdn.OverridableHeader {
		return &cdn.OverridableHeader{Name: name, Value: value, Override: override}
	}
	return &cdn.ResponseHeadersPolicy{
		CORS: &cdn.CORS{AllowCredentials: true, AllowHeaders: []string{"X-One", "X-Two"}, AllowMethods: []string{"ALL"},
			AllowOrigins: []string{"https://*.example.org"}, ExposeHeaders: []string{"X-Three"}, MaxAge: 10 * time.Minute, OriginOverride: true},
		Security: cdn.SecurityHeaders{XSSProtection: h("x-xss-protection", "0", true), FrameOptions: h("x-frame-options", "SAMEORIGIN", false),
			ReferrerPolicy: h("referrer-policy", "no-referrer", true), ContentSecurityPolicy: h("content-security-policy", "default-src 'self'", true),
			ContentTypeOptions: h("x-content-type-options", "nosniff", true), StrictTransport: h("strict-transport-security", "max-age=1", true)},
		Custom:               []cdn.OverridableHeader{*h("x-empty", "", false), *h("x-powered-by", "pride", true), *h("content-length", "1", true), *h("x-cache", "x", true)},
		Remove:               []string{"server", "date", "etag", "x-powered-by", "via", "x-cache", "x-amz-cf-id", "content-length"},
		ServerTimingSampling: 50,
	}
}

// TestGenerated shows every error page and both redirects.
func TestGenerated(t *testing.T) {
	var b strings.Builder
	for _, name := range []string{"cloudfront", "pqfront"} {
		g := Generated{Identity: identity(t, name), Viewer: get(true), AltSvc: `h3=":443"; ma=86400`, RequestID: reqID, Now: now}
		for _, c := range Causes() {
			if name == "pqfront" && c.Cause != UnknownHost {
				continue
			}
			a := g.Error(c.Cause, "")
			fmt.Fprintf(&b, "# %s: %d\n%s\n%s\n", c.Cause, a.Status, text(a.Header), a.Body)
		}
		g.Viewer = get(false)
		a := g.RedirectHTTPS("https://www.example.org/a?b=c")
		fmt.Fprintf(&b, "# redirect: %d\n%s\n%s\n", a.Status, text(a.Header), strings.ReplaceAll(string(a.Body), "\r\n", "\n"))
		if name == "cloudfront" && len(a.Body) != 167 {
			// CloudFront: captures of 2023 have a body of 167 bytes.
			t.Errorf("the redirect's body has %d bytes, want 167", len(a.Body))
		}
	}
	golden(t, "generated.txt", b.String())
}

func TestGeneratedRules(t *testing.T) {
	g := Generated{Identity: identity(t, "cloudfront"), Viewer: get(false), Policy: managed(t, "Managed-SecurityHeadersPolicy"), RequestID: `<script>"&`, Now: now}
	a := g.Error(Blocked, `<img src=x onerror="alert(1)">`)
	if s := string(a.Body); strings.Contains(s, "<script") || strings.Contains(s, "<img") {
		t.Errorf("unescaped text in %s", s)
	}
	if a.Header.Has("strict-transport-security") || !a.Header.Has("x-frame-options") {
		t.Errorf("over plain HTTP: %v", a.Header)
	}
	// CloudFront: Require HTTPS for communication between viewers and CloudFront.
	status := func(method string, want int) {
		t.Helper()
		g.Viewer.Method = method
		if got := g.RedirectHTTPS("https://h/").Status; got != want {
			t.Errorf("%s is redirected with %d, want %d", method, got, want)
		}
	}
	status("GET", 301)
	status("HEAD", 301)
	status("POST", 307)
	status("OPTIONS", 307)
	if got := g.RedirectHTTPS("https://h/a\r\nx: y é").Header.Get("location"); got != "https://h/a%0D%0Ax:%20y%20%C3%A9" {
		t.Errorf("location %q", got)
	}
	if got := Cause("no such").Info().Cause; got != InternalError {
		t.Errorf("an unknown cause is %s", got)
	}
	seen := map[Cause]bool{}
	last := 0
	for _, c := range Causes() {
		if seen[c.Cause] || c.Status < last || c.Sentence == "" || c.Advice == "" || c.Detailed == "" {
			t.Errorf("row %+v: twice, out of order or incomplete", c)
		}
		seen[c.Cause], last = true, c.Status
	}
	for _, s := range []int{400, 408, 413, 414, 417, 421, 494, 500, 505} {
		if got := CauseOf(s).Info().Status; got != s {
			t.Errorf("the page for %d says %d", s, got)
		}
	}
}

// TestOriginPatterns: CloudFront: Understand response headers policies, Access-Control-Allow-Origin.
func TestOriginPatterns(t *testing.T) {
	allow := func(pattern, origin, want string) {
		t.Helper()
		if got := allowOrigin([]string{pattern}, origin); got != want {
			t.Errorf("%s for %s: %q, want %q", pattern, origin, got, want)
		}
	}
	yes := func(pattern, origin string) { t.Helper(); allow(pattern, origin, origin) }
	no := func(pattern, origin string) { t.Helper(); allow(pattern, origin, "") }
	allow("*", "https://anything.example", "*")
	yes("http://www.example.com", "http://www.example.com")
	no("http://www.example.com", "https://www.example.com")
	yes("www.example.com", "http://www.example.com")
	yes("www.example.com", "https://www.example.com")
	no("www.example.com", "ftp://www.example.com")
	no("www.example.com", "https://www.example.com:8443")
	yes("https://www.example.com:443", "https://www.example.com")
	yes("https://www.example.com", "https://www.example.com:443")
	yes("http://*.example.org", "http://a.example.org")
	yes("http://*.example.org", "http://a.b.example.org")
	yes("*.example.org", "https://A.Example.ORG")
	no("http://*.example.org", "http://example.org")
	no("http://*.example.org", "http://.example.org")
	no("http://*.example.org", "http://evilexample.org")
	no("http://*.example.org", "http://a.example.org.evil.test")
	no("http://*.example.org", "http://evil.test/.example.org")
	no("http://*.example.org", "http://evil.test#.example.org")
	no("http://*.example.org", "http://user@x.example.org")
	yes("http://example.org:*", "http://example.org")
	yes("http://example.org:*", "http://example.org:8080")
	yes("http://example.org:80*", "http://example.org:8080")
	yes("http://example.org:8*0", "http://example.org:8080")
	no("http://example.org:80*", "http://example.org:9080")
	no("http://example.org:****************x", "http://example.org:11111")
	no("http://example.org:*", "http://example.org:1111111111111111111111111")
	yes("http://[2001:db8::1]:80", "http://[2001:db8::1]")
	yes("null", "null")
	no("https://a", "")
	no("https://a", "null")
	no("https://a", "https://a, https://b")
}

// TestCORS: when the policy's CORS fields are sent at all.
func TestCORS(t *testing.T) {
	origin := fields("access-control-expose-headers: X-Own", "content-type: text/html")
	f := func(override bool, from httpfield.Fields, requestOrigin string, want string) {
		t.Helper()
		p := &cdn.ResponseHeadersPolicy{ServerTimingSampling: -1, CORS: &cdn.CORS{AllowOrigins: []string{"https://a.example"}, AllowMethods: []string{"GET"},
			AllowHeaders: []string{"*"}, MaxAge: -1, OriginOverride: override}}
		h := Compose(Input{Identity: identity(t, "cloudfront"), Viewer: Viewer{Method: "GET", HTTPS: true, Origin: requestOrigin}, Policy: p,
			Status: 200, Result: Hit, Origin: from, Length: -1, Age: -1, RequestID: reqID, Now: now})
		var got []string
		for _, x := range h {
			if isCORS(x.Name) || x.Name == "vary" {
				got = append(got, x.Name+": "+x.Value)
			}
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("override %v, origin's fields %v, Origin %q:\n got %s\nwant %s", override, from, requestOrigin, s, want)
		}
	}
	f(false, nil, "https://a.example", "access-control-allow-origin: https://a.example; vary: Origin")
	f(false, nil, "https://b.example", "vary: Origin")
	f(false, nil, "", "vary: Origin")
	f(false, origin, "https://a.example", "access-control-expose-headers: X-Own")
	f(true, origin, "https://a.example", "access-control-allow-origin: https://a.example; vary: Origin")
	f(true, origin, "https://b.example", "vary: Origin")
	f(true, origin, "", "access-control-expose-headers: X-Own; vary: Origin")
	f(false, fields("vary: Accept-Encoding"), "", "vary: Accept-Encoding, Origin")
	f(false, fields("vary: *"), "", "vary: *")
}

// TestFixed: CloudFront: Understand response headers policies, Headers that you can't remove.
func TestFixed(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if got := fixed(name); got != want {
			t.Errorf("fixed(%s) = %v", name, got)
		}
	}
	f("connection", true)
	f("content-encoding", true)
	f("x-amz-cf-anything", true)
	f("x-edge-anything", true)
	f("x-amzn-requestid", true)
	f("x-amzn-trace-id", false)
	f("server", false)
	f("set-cookie", false)
	f("age", false)
}

func TestServerTimingSampling(t *testing.T) {
	f := func(rate, sample float64, pragma string, want bool) {
		t.Helper()
		h := Compose(Input{Identity: identity(t, "cloudfront"), Viewer: Viewer{Method: "GET", Pragma: pragma},
			Policy: &cdn.ResponseHeadersPolicy{ServerTimingSampling: rate}, Status: 200, Result: Hit, Length: -1, Age: 1,
			RequestID: reqID, Now: now, Timing: Timing{Sample: sample}})
		if got := h.Has("server-timing"); got != want {
			t.Errorf("rate %v, sample %v, pragma %q: %v, want %v", rate, sample, pragma, got, want)
		}
	}
	f(-1, 0, "server-timing", false)
	f(0, 0, "", false)
	f(0, 0, "Server-Timing", true)
	f(0, 0, "no-cache, server-timing", true)
	f(100, 99.9999, "", true)
	f(0.0001, 0.00009, "", true)
	f(0.0001, 0.0001, "", false)
}

func TestLengthAndDate(t *testing.T) {
	f := func(status int, length int64, want string) {
		t.Helper()
		h := Compose(Input{Identity: identity(t, "cloudfront"), Status: status, Result: Miss, Length: length, Age: -1, Now: now})
		if got := h.Get("content-length"); got != want {
			t.Errorf("status %d, length %d: content-length %q, want %q", status, length, got, want)
		}
		if got := h.Get("date"); got != "Wed, 25 Nov 2026 10:00:00 GMT" {
			t.Errorf("date %q", got)
		}
	}
	f(200, 0, "0")
	f(200, 5, "5")
	f(200, -1, "")
	f(204, 0, "") // RFC 9110, Section 8.6
	f(304, 5, "")
	f(404, 5, "5")
}

func TestNewIdentity(t *testing.T) {
	if id, err := NewIdentity("cloudfront", [16]byte{}, ""); err != nil || id.POP() != DefaultPOP || id.Name() != "cloudfront" {
		t.Errorf("%+v, %v", id, err)
	}
	for _, pop := range []string{"nrt12-P9", "NRT", "NRT12-", "NRT12-P9\r\nx: y", "TOKYO1"} {
		if _, err := NewIdentity("cloudfront", [16]byte{}, pop); err == nil {
			t.Errorf("%q was taken", pop)
		}
	}
	for _, pop := range []string{"LAX1", "SEA19-C1", "PHX50-C2"} {
		if _, err := NewIdentity("pqfront", [16]byte{}, pop); err != nil {
			t.Error(err)
		}
	}
	if _, err := NewIdentity("akamai", [16]byte{}, "x"); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want both problems, got %v", err)
	}
}

func TestRequestIDs(t *testing.T) {
	ids := NewRequestIDs(rand.Reader)
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{54}==$`)
	seen := map[string]bool{}
	for range 1000 {
		id := ids.Next()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// TestInputUnchanged: the origin's list belongs to the cache.
func TestInputUnchanged(t *testing.T) {
	in := Input{Identity: identity(t, "cloudfront"), Viewer: Viewer{Method: "GET", HTTPS: true, Origin: "https://a.example.org"},
		Policy: fullPolicy(), Status: 200, Result: Hit, Origin: append(s3Answer(), fields("access-control-allow-origin: *", "vary: a, b")...), Length: 12, Now: now}
	before := text(in.Origin)
	Compose(in)
	if text(in.Origin) != before {
		t.Errorf("the origin's fields changed:\n%s", text(in.Origin))
	}
}

func BenchmarkComposeHit(b *testing.B) {
	in := Input{Identity: identity(b, "cloudfront"), Viewer: get(true), Policy: managed(b, "Managed-SecurityHeadersPolicy"),
		Status: 200, Result: Hit, Origin: s3Answer(), S3: true, Length: 12, Age: 1245, AltSvc: `h3=":443"; ma=86400`, RequestID: reqID, Now: now}
	b.ReportAllocs()
	for b.Loop() {
		Compose(in)
	}
}

func BenchmarkRequestID(b *testing.B) {
	ids := NewRequestIDs(rand.Reader)
	b.ReportAllocs()
	for b.Loop() {
		ids.Next()
	}
}
