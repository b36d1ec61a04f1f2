package origin

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/cachekey"
	"pqfront/internal/httpfield"
)

func fields(lines ...string) httpfield.Fields {
	var f httpfield.Fields
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		f.Add(n, v)
	}
	return f
}

func sel(behavior string, names ...string) cdn.Selection {
	return cdn.Selection{Behavior: behavior, Names: names}
}

// rules are those of a GET over HTTP/1.1 from 192.0.2.7 without any policy.
func rules(change ...func(*Rules)) Rules {
	r := Rules{Method: "GET", Cache: &cdn.CachePolicy{}, Viewer: Viewer{HTTPVersion: "1.1", Scheme: "https"}}
	for _, f := range change {
		f(&r)
	}
	return r
}

func method(m string) func(*Rules) { return func(r *Rules) { r.Method = m } }
func legacy(r *Rules)              { r.Legacy = true }
func optionsCached(r *Rules)       { r.OptionsCached = true }
func http10(r *Rules)              { r.Viewer.HTTPVersion = "1.0" }
func encodings(gzip, brotli bool) func(*Rules) {
	return func(r *Rules) { r.Cache.Gzip, r.Cache.Brotli = gzip, brotli }
}
func cacheHeaders(names ...string) func(*Rules) {
	return func(r *Rules) { r.Cache.Headers = sel("whitelist", names...) }
}
func requestHeaders(behavior string, names ...string) func(*Rules) {
	return func(r *Rules) { r.OriginRequest = &cdn.OriginRequestPolicy{Headers: sel(behavior, names...)} }
}
func cacheCookies(behavior string, names ...string) func(*Rules) {
	return func(r *Rules) { r.Cache.Cookies = sel(behavior, names...) }
}

// TestForwardedHeader has a line for every row of CloudFront: Request and response
// behavior for custom origins, HTTP request headers and CloudFront behavior.
func TestForwardedHeader(t *testing.T) {
	// becomes gives what a viewer's field turns into; "" = it does not arrive.
	becomes := func(line, want string, change ...func(*Rules)) {
		t.Helper()
		name, _, _ := strings.Cut(line, ": ")
		out := ForwardedHeader(fields(line), rules(change...))
		got := ""
		if out.Has(name) {
			got = name + ": " + out.Joined(name)
		}
		if got != want {
			t.Errorf("%q arrives as %q, want %q", line, got, want)
		}
	}
	passes := func(line string, change ...func(*Rules)) { t.Helper(); becomes(line, line, change...) }
	removed := func(line string, change ...func(*Rules)) { t.Helper(); becomes(line, "", change...) }

	all := requestHeaders("allViewer")
	for _, l := range []string{"accept: a", "accept-charset: a", "accept-language: de", "expect: 100-continue", "referer: r", "x-http-method-override: PUT"} {
		name, _, _ := strings.Cut(l, ": ")
		removed(l)
		removed(l, legacy)
		passes(l, cacheHeaders(httpfield.Title(name)))
		passes(l, requestHeaders("whitelist", name))
		passes(l, all)
		passes(l, requestHeaders("allExcept", "host"))
		removed(l, requestHeaders("allExcept", name))
		passes(l, requestHeaders("allViewerAndWhitelistCloudFront", "CloudFront-Viewer-TLS"))
	}
	for _, l := range []string{"cache-control: no-cache", "content-disposition: a", "content-encoding: gzip", "content-language: de",
		"content-location: /", "content-md5: x", "content-range: bytes */1", "content-type: text/plain", "date: d", "from: f",
		"if-match: e", "if-modified-since: d", "if-none-match: e", "if-range: e", "if-unmodified-since: d", "max-forwards: 3",
		"pragma: no-cache", "range: bytes=0-1", "request-range: bytes=0-1", "warning: 199"} {
		passes(l)
		passes(l, legacy)
		passes(l, all)
	}
	for _, l := range []string{"connection: close", "content-length: 3", "host: h", "keep-alive: 1", "proxy-authenticate: a", "proxy-authorization: a",
		"proxy-connection: a", "te: trailers", "trailer: x", "transfer-encoding: chunked", "upgrade: h2c", "x-edge-location: x",
		"x-forwarded-proto: https", "x-real-ip: 1.2.3.4", "x-amz-cf-pop: NRT12-P9", "cloudfront-viewer-country: DE"} {
		name, _, _ := strings.Cut(l, ": ")
		removed(l)
		removed(l, legacy)
		removed(l, all)
		removed(l, cacheHeaders(name))
	}
	for _, l := range []string{"origin: https://a", "x-custom: 1", "access-control-request-method: PUT", "sec-fetch-mode: cors"} {
		name, _, _ := strings.Cut(l, ": ")
		removed(l)
		passes(l, legacy)
		passes(l, cacheHeaders(name))
		passes(l, requestHeaders("whitelist", "x-other", strings.ToUpper(name)))
		passes(l, all)
		removed(l, requestHeaders("none"))
	}

	becomes("user-agent: curl", "user-agent: Amazon CloudFront")
	becomes("user-agent: curl", "user-agent: curl", requestHeaders("whitelist", "User-Agent"))
	becomes("user-agent: curl", "user-agent: curl", all)
	becomes("user-agent: curl", "user-agent: pqfront", func(r *Rules) { r.UserAgent = "pqfront" })

	removed("authorization: Bearer x")
	removed("authorization: Bearer x", method("HEAD"))
	removed("authorization: Bearer x", legacy)
	passes("authorization: Bearer x", cacheHeaders("Authorization"))
	passes("authorization: Bearer x", all)
	removed("authorization: Bearer x", requestHeaders("allExcept", "Authorization"))
	removed("authorization: Bearer x", requestHeaders("whitelist", "Authorization"))
	for _, m := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		passes("authorization: Bearer x", method(m))
	}
	removed("authorization: Bearer x", method("OPTIONS"), optionsCached)

	becomes("accept-encoding: gzip, br", "")
	becomes("accept-encoding: gzip, br", "accept-encoding: br,gzip", encodings(true, true))
	becomes("accept-encoding: deflate, gzip;q=0.5", "accept-encoding: gzip", encodings(true, true))
	becomes("accept-encoding: gzip, br", "accept-encoding: br", encodings(false, true))
	becomes("accept-encoding: gzip, br", "accept-encoding: gzip", encodings(true, false))
	becomes("accept-encoding: gzip;q=0, br", "accept-encoding: br", encodings(true, true))
	becomes("accept-encoding: zstd", "", encodings(true, true))
	becomes("accept-encoding: gzip", "", encodings(true, true), http10)
	becomes("accept-encoding: zstd, gzip", "accept-encoding: zstd, gzip", all)
	becomes("accept-encoding: zstd, gzip", "accept-encoding: gzip", all, encodings(true, true))
	becomes("accept-encoding: br, gzip", "accept-encoding: gzip", legacy)
	becomes("accept-encoding: br", "", legacy)

	// Legacy cookie forwarding takes conditional requests away.
	removed("if-modified-since: d", legacy, cacheCookies("all"))
	removed("if-none-match: e", legacy, cacheCookies("whitelist", "a"))
	passes("if-none-match: e", cacheCookies("all"))

	viewer := func(r *Rules) { r.Viewer.Address = netip.MustParseAddrPort("[::ffff:192.0.2.7]:5000") }
	becomes("x-forwarded-for: 10.0.0.1", "x-forwarded-for: 10.0.0.1, 192.0.2.7", viewer)
	becomes("a: b", "")
	if got := ForwardedHeader(nil, rules(viewer)).Get("x-forwarded-for"); got != "192.0.2.7" {
		t.Errorf("x-forwarded-for %q", got)
	}
	six := func(r *Rules) { r.Viewer.Address = netip.MustParseAddrPort("[2001:db8::1%eth0]:5000") }
	becomes("x-forwarded-for: a", "x-forwarded-for: a, 2001:db8::1", six)

	via := func(r *Rules) { r.Via, r.Viewer.HTTPVersion = "abc.cloudfront.net (CloudFront)", "2.0" }
	becomes("via: 1.0 proxy", "via: 1.0 proxy, 2.0 abc.cloudfront.net (CloudFront)", via)
	becomes("x-amz-cf-id: forged", "x-amz-cf-id: ours", func(r *Rules) { r.RequestID = "ours" })
}

func TestForwardedHeaderWhole(t *testing.T) {
	viewer := fields("accept: */*", "cookie: a=1", "range: bytes=0-9", "x-a: 1", "cookie: b=2; c=3", "user-agent: curl/8.14.1", "x-a: 2", "accept-encoding: gzip")
	before := viewer.Clone()
	r := rules(func(r *Rules) {
		r.Cache.Headers = sel("whitelist", "X-A", "CloudFront-Forwarded-Proto")
		r.Cache.Cookies = sel("whitelist", "a")
		r.Cache.Gzip = true
		r.OriginRequest = &cdn.OriginRequestPolicy{Cookies: sel("allExcept", "c"), Headers: sel("whitelist", "cloudfront-forwarded-proto", "CloudFront-Viewer-Address")}
		r.Viewer.Address = netip.MustParseAddrPort("192.0.2.7:4711")
		r.Via, r.RequestID = "x (y)", "id"
	})
	const want = "range: bytes=0-9\nx-a: 1\nx-a: 2\ncookie: a=1; b=2\naccept-encoding: gzip\nuser-agent: Amazon CloudFront\n" +
		"x-forwarded-for: 192.0.2.7\nvia: 1.1 x (y)\nx-amz-cf-id: id\ncloudfront-forwarded-proto: https\ncloudfront-viewer-address: 192.0.2.7:4711\n"
	if got := text(ForwardedHeader(viewer, r)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if !slices.Equal(viewer, before) {
		t.Error("the viewer's fields were changed")
	}
	if got := text(ForwardedHeader(nil, Rules{})); got != "user-agent: Amazon CloudFront\n" {
		t.Errorf("without anything: %s", got)
	}
}

func TestForwardsHost(t *testing.T) {
	f := func(want bool, change ...func(*Rules)) {
		t.Helper()
		r := rules(change...)
		if r.ForwardsHost() != want {
			t.Errorf("ForwardsHost = %v", !want)
		}
	}
	f(false)
	f(false, legacy)
	f(true, cacheHeaders("Host"))
	f(true, requestHeaders("whitelist", "host"))
	f(true, requestHeaders("allViewer"))
	f(true, requestHeaders("allViewerAndWhitelistCloudFront"))
	f(false, requestHeaders("allExcept", "Host"))
	f(true, requestHeaders("allExcept", "Referer"))
	f(true, legacy, cacheHeaders("*")) // ForwardedValues.Headers = *
}

func TestForwardedQuery(t *testing.T) {
	f := func(query string, cache, request cdn.Selection, want string) {
		t.Helper()
		r := Rules{Cache: &cdn.CachePolicy{QueryStrings: cache}, OriginRequest: &cdn.OriginRequestPolicy{QueryStrings: request}}
		if got := ForwardedQuery(query, r); got != want {
			t.Errorf("%q becomes %q, want %q", query, got, want)
		}
	}
	none := sel("none")
	f("a=1&b=2", none, none, "")
	f("a=1&b=2", cdn.Selection{}, cdn.Selection{}, "")
	f("b=2&&a=%2f+", sel("all"), none, "b=2&&a=%2f+")
	f("b=2&a=1", none, sel("all"), "b=2&a=1")
	f("b=2&a=1&a=3&c", sel("whitelist", "a", "c"), none, "a=1&a=3&c")
	f("b=2&a=1", sel("whitelist", "a"), sel("whitelist", "b"), "b=2&a=1")
	f("b=2&a=1", sel("allExcept", "a"), none, "b=2")
	f("b=2&a=1", sel("allExcept", "a"), sel("whitelist", "a"), "b=2&a=1")
	f("A=1&%61=2&a*=3", sel("whitelist", "a", "a*"), none, "a*=3") // as spelled, "*" is a letter
	f("", sel("all"), none, "")
}

func TestForwardedCookie(t *testing.T) {
	f := func(want string, cache, request cdn.Selection, cookies ...string) {
		t.Helper()
		var viewer httpfield.Fields
		for _, c := range cookies {
			viewer.Add("cookie", c)
		}
		r := Rules{Cache: &cdn.CachePolicy{Cookies: cache}, OriginRequest: &cdn.OriginRequestPolicy{Cookies: request}}
		if got := ForwardedCookie(viewer, r); got != want {
			t.Errorf("%q becomes %q, want %q", cookies, got, want)
		}
	}
	none := sel("none")
	f("", none, none, "a=1")
	f("a=1; b=2", sel("all"), none, "a=1; b=2")
	f("a=1; b=2; c=3", sel("all"), none, "a=1", "b=2;c=3 ;; ")
	f("b=2; b=3", sel("whitelist", "b"), none, "a=1; b=2; b=3; B=4")
	f("a=1", sel("allExcept", "b"), none, "a=1; b=2")
	f("a=1; b=2", sel("whitelist", "a"), sel("whitelist", "b"), "a=1; b=2; c=3")
	f("a=1", sel("all"), none, "$Version=1; a=1; $Path=/")
	f("a = 1", sel("whitelist", "a"), none, "a = 1")
	f("flag", sel("whitelist", "flag"), none, "flag")
}

func TestAdded(t *testing.T) {
	v := Viewer{Address: netip.MustParseAddrPort("[2001:db8::1]:443"), HTTPVersion: "3.0", Scheme: "https",
		TLSVersion: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Handshake: "fullHandshake", JA3: "j3", JA4: "j4"}
	f := func(name, want string) {
		t.Helper()
		r := Rules{Viewer: v, OriginRequest: &cdn.OriginRequestPolicy{Headers: sel("whitelist", name)}}
		got := r.Added(fields("user-agent: Mozilla/5.0 (X11; Linux)", "accept: x"))
		if got.Get(strings.ToLower(name)) != want || (want == "") != (len(got) == 0) {
			t.Errorf("%s: %v, want %q", name, got, want)
		}
	}
	f("CloudFront-Viewer-Address", "2001:db8::1:443")
	f("CloudFront-Viewer-Http-Version", "3.0")
	f("CloudFront-Forwarded-Proto", "https")
	f("CloudFront-Viewer-TLS", "TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake")
	f("CloudFront-Viewer-JA3-Fingerprint", "j3")
	f("CloudFront-Viewer-JA4-Fingerprint", "j4")
	f("CloudFront-Viewer-Header-Count", "3")
	f("CloudFront-Viewer-Header-Order", "host:user-agent:accept")
	f("CloudFront-Is-Desktop-Viewer", "true")
	f("CloudFront-Is-Mobile-Viewer", "false")
	f("CloudFront-Is-Robot-Viewer", "")
	f("CloudFront-Viewer-Country", "") // no database
	f("CloudFront-Viewer-City", "")
	f("X-Other", "")
	v.TLSVersion, v.JA3, v.JA4 = "", "", ""
	f("CloudFront-Viewer-TLS", "")
	f("CloudFront-Viewer-JA3-Fingerprint", "")
	long := fields(strings.Repeat("x", 8000) + ": 1")
	if n := len((&Viewer{}).field("cloudfront-viewer-header-order", long)); n != maxHeaderOrder {
		t.Errorf("header order of %d bytes", n)
	}
}

func TestIsViewer(t *testing.T) {
	f := func(ua, want string) {
		t.Helper()
		var got []string
		for _, kind := range []string{"android", "desktop", "ios", "mobile", "smarttv", "tablet"} {
			if isViewer(kind, ua) == "true" {
				got = append(got, kind)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", ua, s, want)
		}
	}
	f("", "desktop")
	f("curl/8.14.1", "desktop")
	f("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "desktop")
	f("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "desktop")
	f("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1", "ios mobile")
	f("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1", "ios tablet")
	f("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140.0 Mobile Safari/537.36", "android mobile")
	f("Mozilla/5.0 (Linux; Android 15; SM-X710) Chrome/140.0 Safari/537.36", "android tablet")
	f("Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0) AppleWebKit/537.36", "smarttv")
	f("Mozilla/5.0 (Linux; Android 11; AFTT) AppleWebKit/537.36", "android smarttv")
	f("Mozilla/5.0 (Linux; Android 9; KFMAWI) Silk/108 like Chrome Safari", "android tablet")
}

// TestEncodingAsInTheKey: what is sent and what is in the cache key never differ.
func TestEncodingAsInTheKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h httpfield.Fields
		for range rapid.IntRange(0, 2).Draw(t, "lines") {
			h.Add("accept-encoding", rapid.StringMatching(`(gzip|br|x-gzip|\*|zstd|GZIP|;q=0(\.0)?|;q=0\.5|,| |=){0,8}`).Draw(t, "value"))
		}
		gzip, br := rapid.Bool().Draw(t, "gzip"), rapid.Bool().Draw(t, "br")
		if got, want := encoding(h, gzip, br), cachekey.Encoding(h, gzip, br); got != want {
			t.Fatalf("%v: %q is sent, %q is in the key", h, got, want)
		}
	})
}

// TestKeyedIsForwarded: with cache policies alone, two requests with the same key give
// the origin the same cookies, query and named fields.
func TestKeyedIsForwarded(t *testing.T) {
	behavior := rapid.SampledFrom([]string{"none", "all", "whitelist", "allExcept"})
	rapid.Check(t, func(t *rapid.T) {
		p := &cdn.CachePolicy{Cookies: sel(behavior.Draw(t, "cookies"), "a", "b"), QueryStrings: sel(behavior.Draw(t, "query"), "a", "b"), Headers: sel("whitelist", "X-A")}
		in := func(label string) *cachekey.Input {
			q := rapid.StringMatching(`([abc]=[12]&){0,2}[abc]`).Draw(t, label+"q")
			return &cachekey.Input{Domain: "d", Path: "/", Query: q, HasQuery: true, Header: fields("cookie: "+
				rapid.StringMatching(`([abc]=[12]; ){0,2}[abc$]`).Draw(t, label+"c"), "x-a: "+rapid.StringMatching(`[12]`).Draw(t, label+"x"))}
		}
		one, two := in("1"), in("2")
		if string(cachekey.Append(nil, one, p)) != string(cachekey.Append(nil, two, p)) {
			return
		}
		r := Rules{Cache: p, Method: "GET"}
		sorted := func(s, sep string) string {
			parts := strings.Split(s, sep)
			slices.Sort(parts)
			return strings.Join(parts, sep)
		}
		if a, b := ForwardedQuery(one.Query, r), ForwardedQuery(two.Query, r); a != b {
			t.Fatalf("same key, queries %q and %q", a, b)
		}
		// The key has cookies sorted; their order carries no meaning.
		if a, b := sorted(ForwardedCookie(one.Header, r), "; "), sorted(ForwardedCookie(two.Header, r), "; "); a != b {
			t.Fatalf("same key, cookies %q and %q", a, b)
		}
	})
}

func BenchmarkForwardedHeader(b *testing.B) {
	viewer := fields("accept: */*", "accept-encoding: gzip, deflate, br", "accept-language: de", "cookie: a=1; b=2; session=abcdef",
		"referer: https://www.example.org/", "sec-fetch-mode: cors", "user-agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0")
	r := rules(encodings(true, true), cacheCookies("whitelist", "session"), requestHeaders("whitelist", "CloudFront-Viewer-Address", "Referer"), func(r *Rules) {
		r.Viewer.Address = netip.MustParseAddrPort("192.0.2.7:4711")
		r.Via, r.RequestID = "0123.cloudfront.net (CloudFront)", "id"
	})
	b.ReportAllocs()
	for b.Loop() {
		ForwardedHeader(viewer, r)
	}
}
