package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/httpfield"
	"pqfront/internal/tlspolicy"
)

// The corridor's rules are shown by test/scenarios; here is what a scenario cannot say.

// fakeOrigin answers with a function.
type fakeOrigin func(ctx context.Context, r *origin.Request) (*origin.Response, error)

func (f fakeOrigin) Fetch(ctx context.Context, _ origin.Target, r *origin.Request) (*origin.Response, error) {
	return f(ctx, r)
}

// object is an answer of an origin.
func object(body string, lines ...string) *origin.Response {
	r := &origin.Response{Status: 200, Length: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		r.Header.Add(n, v)
	}
	return r
}

func testIdentity(t testing.TB) *respheaders.Identity {
	id, err := respheaders.NewIdentity("cloudfront", [16]byte{1}, "NRT12-P9")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// site compiles one distribution for www.example.org.
func site(t testing.TB, change func(*cdn.Distribution)) *snapshot.Holder {
	t.Helper()
	d := &cdn.Distribution{
		ID: "E1EXAMPLE00001", DomainName: "d1example00001.cloudfront.net", Enabled: true,
		Aliases: []string{"www.example.org"},
		Origins: []cdn.Origin{{ID: "o", DomainName: "origin.example.net", Custom: &cdn.CustomOrigin{ProtocolPolicy: cdn.OriginHTTPOnly}}},
		DefaultBehavior: cdn.Behavior{PathPattern: "*", TargetOriginID: "o", ViewerProtocol: cdn.AllowAll,
			AllowedMethods: []string{"GET", "HEAD"}, CachedMethods: []string{"GET", "HEAD"},
			CachePolicyID:           "658327ea-f89d-4fab-a63d-7e88639e58f6",
			ResponseHeadersPolicyID: "67f7725c-6f97-4210-82d7-5512b31e9d03"},
		Viewer: cdn.ViewerCertificate{SecurityPolicy: "TLSv1.2_2021", SupportMethod: "sni-only"},
		HTTP2:  true, HTTP3: true,
	}
	if change != nil {
		change(d)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: d.Aliases,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Compile(snapshot.Input{State: cdn.State{Distributions: []*cdn.Distribution{d}}, Generation: 1,
		Certificates: func(*cdn.Distribution) []tls.Certificate {
			return []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
		}})
	if err != nil {
		t.Fatal(err)
	}
	var h snapshot.Holder
	h.Store(s)
	return &h
}

// request is a browser's GET over HTTP/2.
func request(path string) *viewerhttp.Request {
	r := &viewerhttp.Request{
		Conn: &viewerhttp.Conn{ID: 1, Viewer: netip.MustParseAddrPort("192.0.2.7:51234"),
			TLS: &tlspolicy.Handshake{ServerName: "www.example.org"}},
		Proto: viewerhttp.HTTP2, Method: "GET", Scheme: "https", Authority: "www.example.org", Path: path,
		Header: httpfield.Fields{
			{Name: "user-agent", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
			{Name: "accept", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
			{Name: "accept-language", Value: "en-US,en;q=0.5"},
			{Name: "accept-encoding", Value: "gzip, deflate, br, zstd"},
			{Name: "cookie", Value: "a=1; b=2"},
			{Name: "sec-fetch-mode", Value: "navigate"},
		},
	}
	o := &r.Conn.TLS.Outcome
	o.Version, o.Suite, o.Group, o.Scheme = tlspolicy.TLSv1_3, 0x1301, 0x11ec, 0x0804
	return r
}

// responder takes an answer; fails says what Respond returns.
type responder struct {
	status int
	body   []byte
	header httpfield.Fields
	err    error
	calls  int
}

func (w *responder) Respond(r *viewerhttp.Response) (viewerhttp.Sent, error) {
	w.calls++
	w.status, w.header = r.Status, r.Header
	w.body, w.err = r.Bytes, nil
	if r.Stream != nil {
		w.body, w.err = io.ReadAll(r.Stream)
		r.Stream.Close()
	}
	return viewerhttp.Sent{HeadBytes: 1, BodyBytes: int64(len(w.body))}, w.err
}

func TestEveryRequestIsAnsweredAndRecordedOnce(t *testing.T) {
	var logged []*accesslog.Record
	e := New(Options{Snapshots: site(t, nil), Identity: testIdentity(t), Log: func(r *accesslog.Record) { c := *r; logged = append(logged, &c) },
		Origins: fakeOrigin(func(_ context.Context, r *origin.Request) (*origin.Response, error) {
			if r.Path == "/broken" {
				return nil, errors.New("something that has no row in the table of causes")
			}
			return object("x"), nil
		})})
	defer e.Close()
	for i, c := range []struct {
		path   string
		change func(*viewerhttp.Request)
		status int
	}{
		{"/a", nil, 200},
		{"/broken", nil, 500},
		{"/a", func(r *viewerhttp.Request) { r.Authority = "nobody.example.com" }, 403},
		{"/a", func(r *viewerhttp.Request) { r.Method = "POST" }, 403},
		{"*", func(r *viewerhttp.Request) { r.Method = "OPTIONS" }, 400},
		{strings.Repeat("/", 9000), nil, 414},
	} {
		r := request(c.path)
		if c.change != nil {
			c.change(r)
		}
		var w responder
		e.ServeViewer(t.Context(), r, &w)
		if w.status != c.status || w.calls != 1 || len(logged) != i+1 || logged[i].Status != c.status {
			t.Errorf("%s %s: %d, answered %d times, %d records", r.Method, c.path[:min(len(c.path), 20)], w.status, w.calls, len(logged))
		}
	}
	e.o.Snapshots = &snapshot.Holder{}
	var w responder
	e.ServeViewer(t.Context(), request("/a"), &w)
	if w.status != 503 || logged[len(logged)-1].ResultType != "CapacityExceeded" {
		t.Errorf("without a configuration: %d", w.status)
	}
}

// TestViewersBodyErrorsAreTheViewers: what is wrong with a viewer's body is not the
// origin's fault, not remembered and not failed over.
func TestViewersBodyErrorsAreTheViewers(t *testing.T) {
	e := New(Options{Snapshots: site(t, func(d *cdn.Distribution) {
		d.DefaultBehavior.AllowedMethods = []string{"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
	}), Identity: testIdentity(t), Origins: fakeOrigin(func(_ context.Context, r *origin.Request) (*origin.Response, error) {
		_, err := io.ReadAll(r.Body)
		return nil, err
	})})
	defer e.Close()
	for _, status := range []int{400, 408, 413} {
		r := request("/form")
		r.Method, r.ContentLength = "POST", -1
		r.Body = errReader{&viewerhttp.BodyError{Status: status, Reason: viewerhttp.ReasonBadChunk}}
		var w responder
		e.ServeViewer(t.Context(), r, &w)
		if w.status != status {
			t.Errorf("got %d, want %d", w.status, status)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestClose: fills end with the edge, and it waits for them.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, pw := io.Pipe()
		e := New(Options{Snapshots: site(t, nil), Identity: testIdentity(t),
			Origins: fakeOrigin(func(ctx context.Context, r *origin.Request) (*origin.Response, error) {
				context.AfterFunc(ctx, func() { pw.CloseWithError(context.Cause(ctx)) })
				return &origin.Response{Status: 200, Length: 100, Body: body}, nil
			})})
		var w responder
		var wg sync.WaitGroup
		wg.Go(func() { e.ServeViewer(t.Context(), request("/a"), &w) })
		synctest.Wait()
		if e.Cache().Fills != 1 {
			t.Errorf("%+v", e.Cache())
		}
		e.Close()
		wg.Wait()
		if !errors.Is(w.err, context.Canceled) || e.Cache().Fills != 0 || e.Cache().Entries != 0 {
			t.Errorf("%v %+v", w.err, e.Cache())
		}
		w = responder{}
		e.ServeViewer(t.Context(), request("/b"), &w) // too late, but not hanging
		if w.calls != 1 {
			t.Error("not answered")
		}
	})
}

// TestLoopEnds: a distribution whose origin is itself comes to an end after three turns,
// also when there is an error page to be got from the same origin.
func TestLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := 0
		var e *Edge
		e = New(Options{Identity: testIdentity(t), Snapshots: site(t, func(d *cdn.Distribution) {
			d.DefaultBehavior.CachePolicyID = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad" // nothing is shared
			d.ErrorResponses = []cdn.ErrorResponse{{ErrorCode: 403, PagePath: "/403.html", ResponseCode: 403}}
		}), Origins: fakeOrigin(func(ctx context.Context, r *origin.Request) (*origin.Response, error) {
			if turns++; turns > 100 {
				return nil, errors.New("an endless loop")
			}
			again := request(r.Path)
			again.Header = r.Header
			w := &responder{}
			e.ServeViewer(ctx, again, w)
			resp := object(string(w.body))
			resp.Status = w.status
			return resp, nil
		})})
		defer e.Close()
		w := &responder{}
		e.ServeViewer(t.Context(), request("/"), w)
		// Two turns for the object, and each of those who are told 403 asks for the page.
		if w.status != 403 || turns > 6 {
			t.Errorf("%d after %d turns", w.status, turns)
		}
	})
}

// TestOriginIsLetGo: a fetch whose answer has not begun ends when the last viewer who
// wants it has left, whoever began it, and leaves nothing behind.
func TestOriginIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches, ended := 0, 0
		answer := make(chan *origin.Response)
		e := New(Options{Identity: testIdentity(t), Snapshots: site(t, nil),
			Origins: fakeOrigin(func(ctx context.Context, r *origin.Request) (*origin.Response, error) {
				fetches++
				select {
				case <-ctx.Done():
					ended++
					return nil, context.Cause(ctx)
				case a := <-answer:
					return a, nil
				}
			})})
		defer e.Close()
		come := func() (leave func()) {
			ctx, cancel := context.WithCancel(t.Context())
			go e.ServeViewer(ctx, request("/"), &responder{})
			synctest.Wait()
			return func() {
				cancel()
				synctest.Wait()
			}
		}
		want := func(f, n int) {
			t.Helper()
			if fetches != f || ended != n || e.Cache().Fills != f-n {
				t.Errorf("%d fetches, %d ended, %+v; want %d and %d", fetches, ended, e.Cache(), f, n)
			}
		}
		leave := come()
		want(1, 0)
		leave()
		want(1, 1)
		first, second := come(), come()
		want(2, 1)
		first()
		want(2, 1)
		third := come()
		second()
		want(2, 1)
		third()
		want(2, 2)

		// An old object's life is not prolonged because viewers left.
		leave = come()
		old := object("old", "cache-control: max-age=1")
		answer <- old
		synctest.Wait()
		leave()
		time.Sleep(2 * time.Second)
		leave = come()
		leave()
		fetches, ended = 0, 0
		leave = come()
		want(1, 0)
		leave()
		want(1, 1)
		if st := e.Cache(); st.Entries != 1 || st.Fills != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestWithheldFields: the viewer who fetches gets what the origin withholds from others.
func TestWithheldFields(t *testing.T) {
	e := New(Options{Identity: testIdentity(t), Snapshots: site(t, func(d *cdn.Distribution) {
		d.DefaultBehavior.OriginRequestPolicyID = "216adef6-5c7f-47e4-b989-5492eafa07d3" // all cookies, none in the key
	}), Origins: fakeOrigin(func(context.Context, *origin.Request) (*origin.Response, error) {
		return object("x", `cache-control: max-age=60, no-cache="Set-Cookie"`, "set-cookie: session=1", "age: 3"), nil
	})})
	defer e.Close()
	for i, want := range []string{"session=1", "", ""} {
		w := &responder{}
		if e.ServeViewer(t.Context(), request("/"), w); w.header.Get("set-cookie") != want || w.header.Count("age") != 1 {
			t.Errorf("%d: %v", i, w.header)
		}
	}
}

// TestContentIsNoPartOfTheKey: an OPTIONS request with content passes by the cache, for
// its content would choose the answer that others get.
func TestContentIsNoPartOfTheKey(t *testing.T) {
	e := New(Options{Identity: testIdentity(t), Snapshots: site(t, func(d *cdn.Distribution) {
		d.DefaultBehavior.AllowedMethods = []string{"GET", "HEAD", "OPTIONS"}
		d.DefaultBehavior.CachedMethods = d.DefaultBehavior.AllowedMethods
	}), Origins: fakeOrigin(func(_ context.Context, r *origin.Request) (*origin.Response, error) {
		if r.Body == nil {
			return object("good"), nil
		}
		b, err := io.ReadAll(r.Body)
		return object("you said " + string(b)), err
	})})
	defer e.Close()
	ask := func(content, want string) {
		t.Helper()
		r := request("/")
		r.Method = "OPTIONS"
		if content != "" {
			r.Body, r.ContentLength = strings.NewReader(content), int64(len(content))
		}
		w := &responder{}
		if e.ServeViewer(t.Context(), r, w); string(w.body) != want {
			t.Errorf("%q: got %q, want %q", content, w.body, want)
		}
	}
	ask("evil", "you said evil")
	ask("", "good")
	ask("evil", "you said evil")
}

func TestErrorPage(t *testing.T) {
	e := New(Options{Identity: testIdentity(t), Snapshots: &snapshot.Holder{}})
	defer e.Close()
	h, body := e.ErrorPage(494, viewerhttp.ReasonHeadTooLarge)
	if h.Get("x-cache") != "Error from cloudfront" || len(h.Get("x-amz-cf-id")) != 56 || !strings.Contains(string(body), "494 ERROR") {
		t.Errorf("%q %s", h, body)
	}
}

// TestKeyAndOriginAgree: what is in the key is what the origin gets, under every policy.
func TestKeyAndOriginAgree(t *testing.T) {
	var sent *origin.Request
	e := New(Options{Identity: testIdentity(t), Snapshots: site(t, nil),
		Origins: fakeOrigin(func(_ context.Context, r *origin.Request) (*origin.Response, error) {
			sent = r
			return object("x", "cache-control: max-age=60"), nil
		})})
	defer e.Close()
	policies := []cdn.CachePolicy{
		{MaxTTL: time.Hour, Gzip: true, Brotli: true},
		{MaxTTL: time.Hour, Gzip: true, Headers: cdn.Selection{Behavior: "whitelist", Names: []string{"Origin", "CloudFront-Forwarded-Proto", "Host"}}},
		{MaxTTL: time.Hour, Cookies: cdn.Selection{Behavior: "whitelist", Names: []string{"b"}}, QueryStrings: cdn.Selection{Behavior: "allExcept", Names: []string{"x"}}},
		{MaxTTL: time.Hour, Cookies: cdn.Selection{Behavior: "all"}, QueryStrings: cdn.Selection{Behavior: "all"}},
	}
	// Two requests with the same key must look the same to the origin.
	variants := []func(*viewerhttp.Request){
		func(r *viewerhttp.Request) {},
		func(r *viewerhttp.Request) { r.Header.Set("accept-encoding", "gzip") },
		func(r *viewerhttp.Request) { r.Header.Set("accept-encoding", "br;q=0, gzip") },
		func(r *viewerhttp.Request) { r.Header.Del("accept-encoding") },
		func(r *viewerhttp.Request) { r.Header.Set("cookie", "b=2; a=1") },
		func(r *viewerhttp.Request) { r.Header.Set("cookie", "a=1; b=3; $Path=/") },
		func(r *viewerhttp.Request) { r.Header.Add("origin", "https://o.example") },
		func(r *viewerhttp.Request) { r.Header.Add("x-any", "1") },
		func(r *viewerhttp.Request) { r.Header.Add("cloudfront-forwarded-proto", "http") },
		func(r *viewerhttp.Request) { r.Query, r.HasQuery = "x=1&y=2", true },
		func(r *viewerhttp.Request) { r.Query, r.HasQuery = "y=2&x=3", true },
		func(r *viewerhttp.Request) { r.Authority = "www.example.org:8443" },
	}
	for i := range policies {
		seen := map[string]string{}
		for j, change := range variants {
			r := request("/a")
			change(r)
			x := e.newExchange(r)
			if a := x.admit(); a != nil {
				t.Fatal(a.status)
			}
			b := *x.behavior
			b.Cache, b.ResponseHeaders = &policies[i], nil
			x.behavior = &b
			w := x.wanted()
			key := string(x.key(w))
			x.pass(t.Context(), w, "test").drop()
			var told strings.Builder
			told.WriteString(sent.Host + sent.Path + "?" + sent.Query + "\n")
			for _, f := range sent.Header {
				switch f.Name {
				case "x-amz-cf-id":
				case "cookie": // the key sorts, the origin does not care
					told.WriteString(sortCookies(f.Value) + "\n")
				default:
					told.WriteString(f.Name + ": " + f.Value + "\n")
				}
			}
			if before, ok := seen[key]; ok && before != told.String() {
				t.Errorf("policy %d, variant %d: the key %q is that of another request to the origin:\n%s\n%s", i, j, key, before, told.String())
			}
			seen[key] = told.String()
		}
	}
}

func sortCookies(v string) string {
	parts := strings.Split(v, "; ")
	for i := range parts {
		for j := i; j > 0 && parts[j] < parts[j-1]; j-- {
			parts[j], parts[j-1] = parts[j-1], parts[j]
		}
	}
	return strings.Join(parts, "; ")
}

type discard struct{ status int }

func (d *discard) Respond(r *viewerhttp.Response) (viewerhttp.Sent, error) {
	d.status = r.Status
	if r.Stream != nil {
		io.Copy(io.Discard, r.Stream)
		r.Stream.Close()
	}
	return viewerhttp.Sent{HeadBytes: 1}, nil
}

// BenchmarkHit is ServeViewer for a stored object of 1 KiB: no engine, no TLS.
func BenchmarkHit(b *testing.B) {
	e := New(Options{Snapshots: site(b, nil), Identity: testIdentity(b), QUICPort: 443,
		Origins: fakeOrigin(func(context.Context, *origin.Request) (*origin.Response, error) {
			return object(strings.Repeat("x", 1024), "content-type: text/html", "date: Sun, 07 Sep 2025 13:00:00 GMT",
				"last-modified: Sun, 07 Sep 2025 13:00:00 GMT", `etag: "v1"`, "x-amz-server-side-encryption: AES256",
				"accept-ranges: bytes", "server: AmazonS3"), nil
		})})
	defer e.Close()
	var w discard
	e.ServeViewer(b.Context(), request("/index.html"), &w)
	for e.Cache().Fills > 0 {
		time.Sleep(time.Millisecond)
	}
	r := request("/index.html")
	b.ReportAllocs()
	for b.Loop() {
		e.ServeViewer(b.Context(), r, &w)
	}
	if w.status != 200 {
		b.Fatal(w.status)
	}
}
