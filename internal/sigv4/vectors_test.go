package sigv4

import (
	"strings"
	"testing"
	"time"
)

const (
	exampleKey    = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// vector checks one request of AWS's published signature test suite (AWS: Signature
// Version 4 test suite): key AKIDEXAMPLE, us-east-1, "service", 2015-08-30 12:36:00.
func vector(t *testing.T, name, method, target, lines, body, want string) {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	r := &Request{Method: method, Host: "example.amazonaws.com", Path: path, Query: query, Header: map[string][]string{}, PayloadHash: HashPayload([]byte(body))}
	for l := range strings.SplitSeq(lines, "\n") {
		if n, v, ok := strings.Cut(l, ":"); ok {
			r.Header[n] = append(r.Header[n], v)
		}
	}
	now := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	got := signatureOf(Sign(r, Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}, Scope{"us-east-1", "service"}, now))
	if got != want {
		t.Errorf("%s: signature %s, want %s", name, got, want)
	}
}

func signatureOf(f []Field) string {
	_, sig, _ := strings.Cut(f[len(f)-1].Value, "Signature=")
	return sig
}

func TestSuite(t *testing.T) {
	const vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	vector(t, "get-vanilla", "GET", "/", "", "", vanilla)
	vector(t, "get-vanilla-empty-query-key", "GET", "/?Param1=value1", "", "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb")
	vector(t, "get-vanilla-query", "GET", "/", "", "", vanilla)
	vector(t, "get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "", "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
	vector(t, "get-vanilla-query-unreserved", "GET", "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", "", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197")
	vector(t, "get-vanilla-utf8-query", "GET", "/?ሴ=bar", "", "", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04")
	vector(t, "get-utf8", "GET", "/ሴ", "", "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85")
	vector(t, "get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", "", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f")
	vector(t, "get-header-key-duplicate", "GET", "/", "My-Header1:value2\nMy-Header1:value2\nMy-Header1:value1", "", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea")
	vector(t, "get-header-value-order", "GET", "/", "My-Header1:value4\nMy-Header1:value1\nMy-Header1:value3\nMy-Header1:value2", "", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01")
	vector(t, "get-header-value-trim", "GET", "/", "My-Header1: value1\nMy-Header2: \"a   b   c\"", "", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736")
	vector(t, "post-vanilla", "POST", "/", "", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
	vector(t, "post-vanilla-query", "POST", "/?Param1=value1", "", "", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11")
	vector(t, "post-header-key-sort", "POST", "/", "My-Header1:value1", "", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c")
	vector(t, "post-header-value-case", "POST", "/", "My-Header1:VALUE1", "", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d")
	vector(t, "post-x-www-form-urlencoded", "POST", "/", "Content-Type:application/x-www-form-urlencoded", "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a")
	vector(t, "get-relative", "GET", "/example/..", "", "", vanilla)
	vector(t, "get-relative-relative", "GET", "/example1/example2/../..", "", "", vanilla)
	vector(t, "get-slash", "GET", "//", "", "", vanilla)
	vector(t, "get-slash-dot-slash", "GET", "/./", "", "", vanilla)
	vector(t, "get-slash-pointless-dot", "GET", "/./example", "", "", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5")
	vector(t, "get-slashes", "GET", "//example//", "", "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84")
	vector(t, "get-space", "GET", "/example space/", "", "", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741")
}

// s3Vector checks one example of Amazon S3: Signature Calculations for the
// Authorization Header, Examples.
func s3Vector(t *testing.T, name, method, target, lines, payload, want string) {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	r := &Request{Method: method, Host: "examplebucket.s3.amazonaws.com", Path: path, Query: query, Header: map[string][]string{}, PayloadHash: payload}
	for l := range strings.SplitSeq(lines, "\n") {
		if n, v, ok := strings.Cut(l, ":"); ok {
			r.Header[n] = append(r.Header[n], v)
		}
	}
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	got := signatureOf(Sign(r, Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, Scope{"us-east-1", "s3"}, now))
	if got != want {
		t.Errorf("%s: signature %s, want %s", name, got, want)
	}
}

func TestS3Examples(t *testing.T) {
	s3Vector(t, "GET object", "GET", "/test.txt", "Range:bytes=0-9", "", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
	s3Vector(t, "PUT object", "PUT", "/test$file.text", "Date:Fri, 24 May 2013 00:00:00 GMT\nx-amz-storage-class:REDUCED_REDUNDANCY",
		HashPayload([]byte("Welcome to Amazon S3.")), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
	s3Vector(t, "GET lifecycle", "GET", "/?lifecycle", "", "", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
	s3Vector(t, "list objects", "GET", "/?max-keys=2&prefix=J", "", "", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
}

// Amazon S3: Authenticating Requests: Using Query Parameters, Example.
func TestS3PresignedExample(t *testing.T) {
	r := &Request{Method: "GET", Host: "examplebucket.s3.amazonaws.com", Path: "/test.txt"}
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	q := Presign(r, Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, Scope{"us-east-1", "s3"}, now, 24*time.Hour)
	const want = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&" +
		"X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&" +
		"X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	if q != want {
		t.Errorf("got  %s\nwant %s", q, want)
	}
}
