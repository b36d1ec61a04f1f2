package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
	"pqfront/internal/sigv4"
)

// The S3 tests run against versitygw, a real S3-compatible server. PQFRONT_VERSITYGW
// names its binary; without it bin/versitygw is used, built by test/s3/build.sh when
// missing. CI must have it; elsewhere its absence is a skip with its reason.
func versitygw(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PQFRONT_VERSITYGW"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../../bin/versitygw")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if testing.Short() {
		missing("no %s, and -short does not build it: run test/s3/build.sh", path)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "../../../test/s3/build.sh").CombinedOutput(); err != nil {
		missing("versitygw cannot be built (test/s3/build.sh: %v): %s", err, out)
	}
	return path
}

var rootKey = sigv4.Credentials{AccessKeyID: "AKIAROOTROOTROOTROOT", SecretAccessKey: "root-secret/+with=signs"}

// s3Server is a running versitygw with an empty store.
type s3Server struct {
	t    *testing.T
	url  *url.URL
	http *http.Client
}

func startS3(t *testing.T, a *authority) *s3Server {
	t.Helper()
	binary := versitygw(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	for _, d := range []string{"data", "meta"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &s3Server{t: t, url: &url.URL{Scheme: "http", Host: address}, http: &http.Client{Timeout: 20 * time.Second}}
	args := []string{"--port", address, "--access", rootKey.AccessKeyID, "--secret", rootKey.SecretAccessKey, "--quiet", "--keep-alive"}
	if a != nil {
		cert, key := a.files(dir, "s3.test")
		args = append(args, "--cert", cert, "--key", key)
		s.url.Scheme = "https"
		s.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool(), ServerName: "s3.test"}}
	}
	args = append(args, "posix", "--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "data"))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &output, &output, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		cancel()
		<-exited
		if t.Failed() {
			t.Logf("versitygw said:\n%s", output.String())
		}
	})
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return s
		}
		select {
		case <-exited:
			t.Fatalf("versitygw ended: %s", output.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("versitygw does not listen after 10 s")
	return nil
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) files(dir, name string) (cert, key string) {
	leaf := a.issue(time.Hour, name)
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return cert, key
}

// put stores something as the server's owner, past the code under test.
func (s *s3Server) put(path, query, body, contentType string) {
	s.t.Helper()
	u := *s.url
	u.Path, u.RawPath, u.RawQuery = path, sigv4.CanonicalPath(path), query
	req, err := http.NewRequest("PUT", u.String(), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for _, f := range sigv4.Sign(&sigv4.Request{Method: "PUT", Host: u.Host, Path: u.RawPath, Query: query, Header: req.Header, PayloadHash: sigv4.HashPayload([]byte(body))},
		rootKey, sigv4.Scope{Region: "us-east-1", Service: "s3"}, time.Now()) {
		req.Header.Set(f.Name, f.Value)
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(res.Body)
	if res.StatusCode/100 != 2 {
		s.t.Fatalf("PUT %s: %d %s", path, res.StatusCode, answer)
	}
}

// fill makes a private and a public bucket. Keys are as people name files.
func (s *s3Server) fill() {
	s.put("/private-bucket", "", "", "")
	s.put("/public-bucket", "", "", "")
	for _, b := range []string{"private-bucket", "public-bucket"} {
		for _, key := range []string{"index.html", "a b.txt", "ü/日本.txt", "a+b.txt", "100%.txt", "q?x=1&y.txt", "(1)!'*;:@$,~.txt", "site/index.html"} {
			s.put("/"+b+"/"+key, "", "this is "+key, "text/html")
		}
	}
	s.put("/public-bucket", "policy=", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::public-bucket/*"]}]}`, "application/json")
}

// bucketOrigin is an S3 origin as CloudFront's configuration names it.
func bucketOrigin(name string) *cdn.Origin {
	return &cdn.Origin{ID: "s3", DomainName: name + ".s3.us-east-1.amazonaws.com", ConnectionAttempts: 3, ConnectionTimeout: 10 * time.Second,
		S3: &cdn.S3Origin{ReadTimeout: 30 * time.Second}}
}

func oac(behavior string) *cdn.OriginAccessControl {
	return &cdn.OriginAccessControl{ID: "EOAC", OriginType: "s3", SigningBehavior: behavior, SigningProtocol: "sigv4"}
}

func keys(c sigv4.Credentials) func(context.Context) (sigv4.Credentials, error) {
	return func(context.Context) (sigv4.Credentials, error) { return c, nil }
}

func (s *s3Server) client(c sigv4.Credentials, change ...func(*Options)) *Client {
	opt := Options{Endpoints: map[string]*url.URL{"s3": s.url}, Credentials: keys(c)}
	for _, f := range change {
		f(&opt)
	}
	client := New(opt)
	s.t.Cleanup(client.Close)
	return client
}

// ask fetches one object and reads it.
func (s *s3Server) ask(c *Client, o *cdn.Origin, a *cdn.OriginAccessControl, r *Request) (*Response, string) {
	s.t.Helper()
	r.ViewerScheme = "https"
	res, err := c.Fetch(s.t.Context(), Target{Origin: o, AccessControl: a}, r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	return res, string(body)
}

func TestS3(t *testing.T) {
	s := startS3(t, nil)
	s.fill()
	private, public := bucketOrigin("private-bucket"), bucketOrigin("public-bucket")
	c := s.client(rootKey)
	status := func(c *Client, o *cdn.Origin, a *cdn.OriginAccessControl, r *Request, want int, has string) (*Response, string) {
		t.Helper()
		res, body := s.ask(c, o, a, r)
		if res.Status != want || !strings.Contains(body, has) {
			t.Errorf("%s %s %s: %d %.200q, want %d %q", r.Method, o.DomainName, r.Path, res.Status, body, want, has)
		}
		return res, body
	}

	t.Run("unsigned", func(t *testing.T) {
		status(c, public, nil, get("/index.html"), 200, "this is index.html")
		status(c, public, oac("never"), get("/index.html"), 200, "this is index.html")
		status(c, private, nil, get("/index.html"), 403, "AccessDenied")
		status(s.client(sigv4.Credentials{}), public, oac("never"), get("/index.html"), 200, "this is index.html")
	})
	t.Run("signed", func(t *testing.T) {
		res, _ := status(c, private, oac("always"), get("/index.html"), 200, "this is index.html")
		h := res.Header
		if h.Get("content-type") != "text/html" || len(h.Get("etag")) < 10 || h.Get("last-modified") == "" || h.Get("content-length") != "18" || res.Length != 18 {
			t.Errorf("header\n%s", text(h))
		}
		if h.Has("x-amz-request-id") || h.Has("x-amz-id-2") {
			t.Errorf("request ids are passed on\n%s", text(h))
		}
		status(c, private, oac("no-override"), get("/index.html"), 200, "this is index.html")
		status(c, private, oac("always"), get("/none.html"), 404, "NoSuchKey")
		status(c, bucketOrigin("no-such-bucket"), oac("always"), get("/x"), 404, "NoSuchBucket")
	})
	t.Run("wrong credentials are 403 passed on", func(t *testing.T) {
		wrong := rootKey
		wrong.SecretAccessKey = "wrong"
		status(s.client(wrong), private, oac("always"), get("/index.html"), 403, "SignatureDoesNotMatch")
		wrong.AccessKeyID = "AKIAUNKNOWNUNKNOWN00"
		// S3 answers 403 InvalidAccessKeyId, versitygw without users 404: passed on either way.
		if res, body := s.ask(s.client(wrong), private, oac("always"), get("/index.html")); res.Status < 400 || !strings.Contains(body, "<Error>") {
			t.Errorf("unknown key: %d %s", res.Status, body)
		}
		late := s.client(rootKey, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-time.Hour) } })
		status(late, private, oac("always"), get("/index.html"), 403, "RequestTimeTooSkewed")
		forged := get("/index.html")
		forged.Header = httpfield.Fields{{Name: "authorization", Value: "AWS4-HMAC-SHA256 Credential=AKIAROOTROOTROOTROOT/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0", 64)}}
		res, _ := s.ask(c, private, oac("no-override"), forged) // the viewer's own wins
		if res.Status < 400 {
			t.Errorf("a viewer's forged signature: %d", res.Status)
		}
		status(c, private, oac("always"), forged, 200, "this is index.html")
	})
	t.Run("keys", func(t *testing.T) {
		for _, o := range []*cdn.Origin{private, public} {
			a := oac("always")
			if o == public {
				a = nil
			}
			status(c, o, a, get("/a%20b.txt"), 200, "this is a b.txt")
			status(c, o, a, get("/%C3%BC/%E6%97%A5%E6%9C%AC.txt"), 200, "this is ü/日本.txt")
			status(c, o, a, get("/a%2Bb.txt"), 200, "this is a+b.txt")
			status(c, o, a, get("/a+b.txt"), 200, "this is a+b.txt")
			status(c, o, a, get("/100%25.txt"), 200, "this is 100%.txt")
			status(c, o, a, get("/q%3Fx=1&y.txt"), 200, "this is q?x=1&y.txt")
			status(c, o, a, get("/(1)!'*;:@$,~.txt"), 200, "this is (1)!'*;:@$,~.txt")
			status(c, o, a, get("/%281%29%21%27%2a%3b%3A%40%24%2C%7E.txt"), 200, "this is (1)!'*;:@$,~.txt")
		}
		raw := get("/ü/日本.txt") // bytes that should have been encoded
		status(c, private, oac("always"), raw, 200, "this is ü/日本.txt")
		status(c, private, oac("always"), get("/a b.txt"), 200, "this is a b.txt")
	})
	t.Run("origin path", func(t *testing.T) {
		o := bucketOrigin("private-bucket")
		o.Path = "/site"
		status(c, o, oac("always"), get("/index.html"), 200, "this is site/index.html")
	})
	t.Run("ranges and conditions", func(t *testing.T) {
		with := func(method string, lines ...string) *Request {
			return &Request{Method: method, Path: "/index.html", Header: fields(lines...)}
		}
		res, _ := status(c, private, oac("always"), with("GET", "range: bytes=5-6"), 206, "is")
		if res.Header.Get("content-range") != "bytes 5-6/18" || res.Length != 2 {
			t.Errorf("header\n%s", text(res.Header))
		}
		status(c, private, oac("always"), with("GET", "range: bytes=100-"), 416, "")
		res, body := status(c, private, oac("always"), with("HEAD"), 200, "")
		if body != "" || res.Length != 18 {
			t.Errorf("HEAD: %q, length %d", body, res.Length)
		}
		etag := res.Header.Get("etag")
		status(c, private, oac("always"), with("GET", "if-none-match: "+etag), 304, "")
		status(c, private, oac("always"), with("GET", "if-modified-since: Sat, 01 Jan 2000 00:00:00 GMT"), 200, "this is")
		status(c, private, oac("always"), with("GET", "if-unmodified-since: Sat, 01 Jan 2000 00:00:00 GMT"), 412, "")
		status(c, private, oac("always"), with("GET", `if-match: "other"`), 412, "")
	})
	t.Run("query", func(t *testing.T) {
		r := get("/index.html")
		r.Query = "response-content-type=text/x%2Btest+y&x=%7e"
		res, _ := status(c, private, oac("always"), r, 200, "this is index.html")
		if got := res.Header.Get("content-type"); got != "text/x+test y" {
			t.Errorf("content-type %q", got)
		}
	})
	t.Run("uploads", func(t *testing.T) {
		up := func(a *cdn.OriginAccessControl, body string, length int64, want int, lines ...string) {
			t.Helper()
			status(c, private, a, &Request{Method: "PUT", Path: "/up load.txt", Body: strings.NewReader(body), ContentLength: length,
				Header: fields(append(lines, "content-type: text/plain")...)}, want, "")
		}
		up(oac("always"), "uploaded", 8, 200)
		status(c, private, oac("always"), get("/up%20load.txt"), 200, "uploaded")
		up(oac("always"), "hashed", 6, 200, "x-amz-content-sha256: "+sigv4.HashPayload([]byte("hashed")))
		up(oac("always"), "hashed", 6, 400, "x-amz-content-sha256: "+sigv4.HashPayload([]byte("other")))
		up(nil, "anonymous", 9, 403)
		status(c, private, oac("always"), &Request{Method: "DELETE", Path: "/up%20load.txt"}, 204, "")
		status(c, private, oac("always"), get("/up%20load.txt"), 404, "NoSuchKey")
	})
}

// TestS3OverTLS: the endpoint's certificate is checked for its own name, and the key
// exchange is post-quantum.
func TestS3OverTLS(t *testing.T) {
	a := newAuthority(t)
	s := startS3(t, a)
	s.fill()
	_, port, _ := net.SplitHostPort(s.url.Host)
	c := s.client(rootKey, func(o *Options) {
		o.ExtraRoots = []*x509.Certificate{a.cert}
		o.Endpoints = map[string]*url.URL{"s3": {Scheme: "https", Host: "s3.test:" + port}}
		o.Resolve = map[string]string{"s3.test": s.url.Host}
	})
	res, body := s.ask(c, bucketOrigin("private-bucket"), oac("always"), get("/a%20b.txt"))
	if res.Status != 200 || body != "this is a b.txt" || res.Facts.Group != "X25519MLKEM768" || res.Facts.TLSVersion != "TLSv1.3" {
		t.Errorf("%d %q %+v", res.Status, body, res.Facts)
	}
}

// TestBucketIsNotLeft: with an endpoint of our own the bucket is a part of the path, and
// servers that resolve dot segments must not be led into another one.
func TestBucketIsNotLeft(t *testing.T) {
	c := New(Options{Endpoints: map[string]*url.URL{"s3": {Scheme: "http", Host: "127.0.0.1:1"}}})
	defer c.Close()
	f := func(path string, want bool) {
		t.Helper()
		for _, o := range []*cdn.Origin{bucketOrigin("b"), {DomainName: "b.s3.amazonaws.com", Path: "/p", S3: &cdn.S3Origin{}}} {
			p, err := c.plan(Target{Origin: o}, get(path))
			if (err == nil) != want {
				t.Errorf("%s: %+v, %v", path, p, err)
			}
			if e, ok := errors.AsType[*Error](err); !want && (!ok || e.Status != 400) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	f("/a/b..c/...d/.e/f.", true)
	f("/a/%2E%2Eb", true)
	f("/../other/secret", false)
	f("/a/%2e%2E/%2e./other/secret", false)
	f("/..%2fother/secret", false)
	f("/..%5cother", false)
	f("/a/./b", false)
	f("/a/..", false)
	c.opt.Endpoints = nil // at S3 itself the bucket is the host, and these are names of objects
	f("/../a", true)
}

func TestS3Names(t *testing.T) {
	f := func(domain, bucket, region string) {
		t.Helper()
		if b, r := s3Name(domain); b != bucket || r != region {
			t.Errorf("%s: %s in %s, want %s in %s", domain, b, r, bucket, region)
		}
	}
	f("b.s3.amazonaws.com", "b", "us-east-1")
	f("b.s3.eu-central-1.amazonaws.com", "b", "eu-central-1")
	f("b.s3-eu-west-1.amazonaws.com", "b", "eu-west-1")
	f("b.s3.dualstack.us-west-2.amazonaws.com", "b", "us-west-2")
	f("b.s3-fips.us-gov-west-1.amazonaws.com", "b", "us-gov-west-1")
	f("b.s3-fips.dualstack.us-east-2.amazonaws.com", "b", "us-east-2")
	f("b.s3-accelerate.amazonaws.com", "b", "us-east-1")
	f("b.s3-accelerate.dualstack.amazonaws.com", "b", "us-east-1")
	f("b.s3.cn-north-1.amazonaws.com.cn", "b", "cn-north-1")
	f("www.example.org.s3.eu-west-3.amazonaws.com", "www.example.org", "eu-west-3")
	f("my.s3.files.s3.eu-west-3.amazonaws.com", "my.s3.files", "eu-west-3")
	f("s3-logs.s3.amazonaws.com", "s3-logs", "us-east-1")
	f("bucket.minio.internal", "bucket", "us-east-1")
}

// TestS3Plan: what is sent to the real S3.
func TestS3Plan(t *testing.T) {
	c := New(Options{Credentials: keys(rootKey)})
	f := func(a *cdn.OriginAccessControl, oai, viewer string, lines []string, want string) {
		t.Helper()
		o := bucketOrigin("b")
		o.S3.OriginAccessIdentity, o.Path = oai, "/p"
		p, err := c.plan(Target{Origin: o, AccessControl: a}, &Request{Method: "GET", Path: "/k+k", ViewerScheme: viewer, Host: "www.example.org", Header: fields(lines...)})
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s://%s%s dial %s as %s signed %v", p.scheme, p.host, p.path, p.key.address, p.serverName, p.signing != nil)
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	const host = "b.s3.us-east-1.amazonaws.com"
	plain := "http://" + host + "/p/k+k dial " + host + ":80 as " + host + " signed false"
	secured := "https://" + host + "/p/k+k dial " + host + ":443 as " + host + " signed false"
	withSignature := "https://" + host + "/p/k%2Bk dial " + host + ":443 as " + host + " signed true"
	authorized := []string{"authorization: viewer"}
	f(nil, "", "http", nil, plain) // follows the viewer
	f(nil, "", "https", nil, secured)
	f(oac("never"), "", "http", nil, plain)
	f(oac("always"), "", "http", nil, withSignature) // TLS though the viewer used none
	f(oac("always"), "", "https", authorized, withSignature)
	f(oac("no-override"), "", "https", nil, withSignature)
	f(oac("no-override"), "", "https", authorized, secured)
	f(nil, "origin-access-identity/cloudfront/E1", "http", nil, withSignature)
}

func TestUnsignable(t *testing.T) {
	var logged strings.Builder
	c := New(Options{Logger: textLogger(&logged), Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }})
	for range 3 {
		_, err := c.Fetch(t.Context(), Target{Origin: bucketOrigin("b"), AccessControl: oac("always")}, get("/"))
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != KindCredentials || e.Status != 502 || !strings.Contains(err.Error(), "set AWS_ACCESS_KEY_ID") {
			t.Errorf("got %v", err)
		}
	}
	if n := strings.Count(logged.String(), "cannot be signed"); n != 1 || !strings.Contains(logged.String(), "fix=") {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
	odd := oac("always")
	odd.OriginType = "lambda"
	if _, err := c.Fetch(t.Context(), Target{Origin: bucketOrigin("b"), AccessControl: odd}, get("/")); err == nil || !strings.Contains(err.Error(), `"lambda"`) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Fetch(t.Context(), Target{Origin: bucketOrigin("b"), AccessControl: oac("sometimes")}, get("/")); err == nil || !strings.Contains(err.Error(), "always, never or no-override") {
		t.Errorf("got %v", err)
	}
}
