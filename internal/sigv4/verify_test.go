package sigv4

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

var (
	testNow  = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	testCred = Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}
	tempCred = Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret, SessionToken: "tok", Expires: testNow.Add(time.Hour)}
)

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func wantReason(t fataler, r *Request, lookup Lookup, now time.Time, want Reason) {
	t.Helper()
	_, err := Verify(r, lookup, now)
	e, ok := errors.AsType[*Error](err)
	if want == "" && err == nil {
		return
	}
	if !ok || e.Reason != want {
		t.Fatalf("Verify gave %v, want %q", err, want)
	}
}

// signed is a request that verifies, in header form.
func signed(c Credentials, service string) *Request {
	r := &Request{Method: "PUT", Host: "cloudfront.amazonaws.com", Path: "/2020-05-31/distribution/E1/config", Query: "b=2&a=1",
		Header: map[string][]string{"If-Match": {"E2"}}, PayloadHash: HashPayload([]byte("<x/>"))}
	for _, f := range Sign(r, c, Scope{"us-east-1", service}, testNow) {
		r.Header[f.Name] = []string{f.Value}
	}
	return r
}

func presigned(c Credentials, service string) *Request {
	r := &Request{Method: "GET", Host: "h", Path: "/a b"}
	r.Query = Presign(r, c, Scope{"us-east-1", service}, testNow, time.Minute)
	return r
}

// header changes one field of a signed request.
func header(name string, values ...string) *Request {
	r := signed(testCred, "cloudfront")
	r.Header = maps.Clone(r.Header)
	r.Header[name] = values
	return r
}

// auth edits the Authorization field of a signed request.
func auth(old, new string) *Request {
	r := signed(testCred, "cloudfront")
	return header("authorization", strings.Replace(r.Header["authorization"][0], old, new, 1))
}

// query edits the query of a presigned request.
func query(old, new string) *Request {
	r := presigned(testCred, "s3")
	r.Query = strings.Replace(r.Query, old, new, 1)
	return r
}

func without(name string) *Request {
	r := signed(testCred, "cloudfront")
	r.Header = maps.Clone(r.Header)
	delete(r.Header, name)
	return r
}

func TestVerify(t *testing.T) {
	is := func(name string, r *Request, c Credentials, now time.Time, want Reason) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			wantReason(t, r, func(id string) (Credentials, bool) { return c, id == exampleKey }, now, want)
		})
	}
	ok := func(name string, r *Request) { t.Helper(); is(name, r, testCred, testNow, "") }
	no := func(name string, r *Request, want Reason) { t.Helper(); is(name, r, testCred, testNow, want) }

	ok("header form", signed(testCred, "cloudfront"))
	ok("header form s3", signed(testCred, "s3"))
	ok("presigned", presigned(testCred, "cloudfront"))
	ok("presigned s3", presigned(testCred, "s3"))
	is("session token", signed(tempCred, "cloudfront"), tempCred, testNow, "")
	is("presigned session token", presigned(tempCred, "s3"), tempCred, testNow, "")
	ok("unsigned field added", header("accept", "x"))

	no("nothing", &Request{}, Missing)
	no("basic", header("authorization", "Basic abc"), Missing)
	no("both forms", func() *Request { r := presigned(testCred, "s3"); r.Header = header("a").Header; return r }(), Malformed)
	no("two fields", header("authorization", "a", "b"), Malformed)
	no("sigv4a", auth(Algorithm, "AWS4-ECDSA-P256-SHA256"), Unsupported)
	no("huge", auth("Signature=", "Signature="+strings.Repeat("0", 9000)), Malformed)
	no("part twice", auth("Signature=", "Signature=00, Signature="), Malformed)
	no("part missing", auth("Signature=", "Sig="), Malformed)
	no("short signature", auth("Signature=", "Signature=00"), Malformed)
	no("terminator", auth("aws4_request", "aws5_request"), Malformed)
	no("empty region", auth("us-east-1", ""), Malformed)
	no("day", auth("20261125", "20261124"), Malformed)
	no("unsorted headers", auth("host;if-match", "if-match;host"), Malformed)
	no("upper-case headers", auth("host;", "Host;"), Malformed)
	no("too many headers", auth("SignedHeaders=", "SignedHeaders="+strings.Repeat("a;", 200)), Malformed)
	no("date form", header("x-amz-date", "2026-11-25"), Malformed)
	no("two dates", header("x-amz-date", "20261125T100000Z", "20261125T100000Z"), Malformed)
	no("no date", without("x-amz-date"), Malformed)
	no("unknown key", auth(exampleKey, "AKIDOTHER"), UnknownKey)
	no("token not wanted", signed(tempCred, "cloudfront"), WrongToken)
	is("token missing", signed(testCred, "cloudfront"), tempCred, testNow, WrongToken)
	is("key expired", signed(tempCred, "cloudfront"), tempCred, testNow.Add(2*time.Hour), KeyExpired)
	is("14 minutes old", signed(testCred, "cloudfront"), testCred, testNow.Add(14*time.Minute), "")
	is("16 minutes old", signed(testCred, "cloudfront"), testCred, testNow.Add(16*time.Minute), Skewed)
	is("16 minutes early", signed(testCred, "cloudfront"), testCred, testNow.Add(-16*time.Minute), Skewed)
	is("presigned early", presigned(testCred, "s3"), testCred, testNow.Add(-16*time.Minute), Skewed)
	is("presigned over", presigned(testCred, "s3"), testCred, testNow.Add(61*time.Second), Expired)
	no("host not signed", auth("host;", ""), HeaderNotSigned)
	no("if-match not signed", auth("if-match;", ""), HeaderNotSigned)
	no("x-amz added", header("x-amz-target", "x"), HeaderNotSigned)
	no("signed field gone", without("If-Match"), Mismatch)
	no("signed field changed", header("If-Match", "E3"), Mismatch)
	is("other secret", signed(testCred, "cloudfront"), Credentials{AccessKeyID: exampleKey, SecretAccessKey: "x"}, testNow, Mismatch)
	no("region", auth("us-east-1", "us-west-1"), Mismatch)
	no("body", func() *Request { r := signed(testCred, "cloudfront"); r.PayloadHash = HashPayload(nil); return r }(), Mismatch)
	no("body s3", func() *Request { r := signed(testCred, "s3"); r.PayloadHash = HashPayload(nil); return r }(), PayloadDiffers)
	no("chunks", func() *Request {
		r := signed(testCred, "s3")
		r.Header["x-amz-content-sha256"] = []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
		return r
	}(), Unsupported)
	no("two hashes", func() *Request {
		r := signed(testCred, "s3")
		r.Header["x-amz-content-sha256"] = []string{"a", "b"}
		return r
	}(), Malformed)
	no("expires zero", query("X-Amz-Expires=60", "X-Amz-Expires=0"), Malformed)
	no("expires too long", query("X-Amz-Expires=60", "X-Amz-Expires=604801"), Malformed)
	no("expires changed", query("X-Amz-Expires=60", "X-Amz-Expires=61"), Mismatch)
	no("parameter twice", query("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=60"), Malformed)
	no("parameter missing", query("X-Amz-Date=", "X-Amz-Dat="), Malformed)
	no("presigned algorithm", query(Algorithm, "HMAC"), Missing)
}

func TestDateField(t *testing.T) {
	r := &Request{Method: "GET", Host: "h", Path: "/", Header: map[string][]string{"Date": {testNow.Format("Mon, 02 Jan 2006 15:04:05 GMT")}}}
	h := newHeaders(r, func(string) bool { return true })
	sig := signature(canonicalRequest("GET", "/", "", h, EmptyPayload), exampleSecret, Scope{"us-east-1", "iam"}, testNow)
	r.Header["Authorization"] = []string{Algorithm + " Credential=" + exampleKey + "/20261125/us-east-1/iam/aws4_request, SignedHeaders=date;host, Signature=" + hexOf(sig)}
	wantReason(t, r, func(string) (Credentials, bool) { return testCred, true }, testNow, "")
	r.Header["Authorization"][0] = strings.Replace(r.Header["Authorization"][0], "date;", "", 1)
	wantReason(t, r, func(string) (Credentials, bool) { return testCred, true }, testNow, HeaderNotSigned)
}

func hexOf(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(upperHex[c>>4] | 0x20)
		s.WriteByte(upperHex[c&15] | 0x20)
	}
	return s.String()
}

// TestSDKPath: AWS's Go SDK does not normalize the path it signs.
func TestSDKPath(t *testing.T) {
	r := &Request{Method: "GET", Host: "h", Path: "/a//b", Header: map[string][]string{"X-Amz-Date": {testNow.Format(timeFormat)}}}
	h := newHeaders(r, func(string) bool { return true })
	sig := signature(canonicalRequest("GET", "/a//b", "", h, EmptyPayload), exampleSecret, Scope{"us-east-1", "cloudfront"}, testNow)
	r.Header["Authorization"] = []string{Algorithm + " Credential=" + exampleKey + "/20261125/us-east-1/cloudfront/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + hexOf(sig)}
	wantReason(t, r, func(string) (Credentials, bool) { return testCred, true }, testNow, "")
}

func TestCanonicalForms(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(CanonicalPath(""), "/")
	f(CanonicalPath("/a b/ü+(1)"), "/a%20b/%C3%BC%2B%281%29")
	f(CanonicalPath("/a%20b//../%zz%2f"), "/a%20b//../%25zz/")
	f(CanonicalQuery("b&a=x+y&a=%C3%BC&&c==&%zz=1"), "%25zz=1&a=%C3%BC&a=x%20y&b=&c=%3D")
	f(canonicalPath("/arn%3Aaws/x", "cloudfront", true), "/arn%253Aaws/x")
	f(normalize("/a/../../b/./"), "/b/")
	f(normalize("/a/.."), "/")
}

func FuzzParse(f *testing.F) {
	h := signed(testCred, "s3")
	f.Add(h.Header["authorization"][0], h.Header["x-amz-date"][0], "", "/a")
	f.Add("", "", presigned(tempCred, "s3").Query, "/a%20b")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=;,Signature=", "", "X-Amz-Signature&%", "%")
	f.Fuzz(func(t *testing.T, auth, date, query, path string) {
		r := &Request{Method: "GET", Host: "h", Path: path, Query: query, Header: map[string][]string{}}
		if auth != "" {
			r.Header["Authorization"] = []string{auth}
		}
		if date != "" {
			r.Header["X-Amz-Date"] = []string{date}
		}
		c, err := Verify(r, func(string) (Credentials, bool) { return Credentials{SecretAccessKey: "s"}, true }, testNow)
		if err == nil {
			t.Fatalf("accepted a signature nobody made: %+v", c)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("error without a reason: %v", err)
		}
		// Canonical forms are fixed points: signing what is sent is signing what is meant.
		if p := CanonicalPath(path); CanonicalPath(p) != p {
			t.Fatalf("path %q -> %q -> %q", path, p, CanonicalPath(p))
		}
		if q := CanonicalQuery(query); CanonicalQuery(q) != q {
			t.Fatalf("query %q -> %q -> %q", query, q, CanonicalQuery(q))
		}
	})
}

func BenchmarkSign(b *testing.B) {
	r := &Request{Method: "GET", Host: "bucket.s3.us-east-1.amazonaws.com", Path: "/images/cat.jpg", Header: map[string][]string{"X-Amz-Cf-Id": {"abc"}}}
	b.ReportAllocs()
	for b.Loop() {
		Sign(r, testCred, Scope{"us-east-1", "s3"}, testNow)
	}
}

func BenchmarkVerify(b *testing.B) {
	r := signed(testCred, "cloudfront")
	lookup := func(string) (Credentials, bool) { return testCred, true }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify(r, lookup, testNow); err != nil {
			b.Fatal(err)
		}
	}
}
