package sigv4

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"
)

// drawn is a random request in both forms.
type drawn struct {
	ours  *Request
	sdk   *http.Request
	cred  Credentials
	scope Scope
	now   time.Time
	hash  string
}

func draw(t *rapid.T, service string) drawn {
	segment := rapid.StringMatching(`[ -~äß€あ]{1,8}`).Filter(func(s string) bool { return s != "." && s != ".." && !strings.Contains(s, "/") })
	var path strings.Builder
	for range rapid.IntRange(1, 3).Draw(t, "segments") {
		path.WriteString("/" + escape(segment.Draw(t, "segment"), false))
	}
	var query []string
	for range rapid.IntRange(0, 3).Draw(t, "params") {
		text := rapid.StringMatching(`[ -~é]{1,6}`)
		query = append(query, escape(text.Draw(t, "name"), false)+"="+escape(text.Draw(t, "value"), false))
	}
	d := drawn{
		cred:  Credentials{AccessKeyID: "AKIA" + rapid.StringMatching(`[A-Z2-7]{16}`).Draw(t, "id"), SecretAccessKey: rapid.StringMatching(`[A-Za-z0-9/+]{40}`).Draw(t, "secret")},
		scope: Scope{rapid.SampledFrom([]string{"us-east-1", "eu-central-1"}).Draw(t, "region"), service},
		now:   time.Unix(rapid.Int64Range(1e9, 2e9).Draw(t, "now"), 0).UTC(),
		hash:  HashPayload([]byte(rapid.String().Draw(t, "body"))),
	}
	if rapid.Bool().Draw(t, "temporary") {
		d.cred.SessionToken = rapid.StringMatching(`[A-Za-z0-9/+=]{20,60}`).Draw(t, "token")
	}
	method := rapid.SampledFrom([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}).Draw(t, "method")
	host := rapid.SampledFrom([]string{"bucket.s3.amazonaws.com", "127.0.0.1:7070", "localhost"}).Draw(t, "host")
	u, err := url.Parse("https://" + host + path.String())
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = strings.Join(query, "&")
	d.sdk = &http.Request{Method: method, URL: u, Host: host, Header: http.Header{}}
	header := map[string][]string{}
	for _, name := range []string{"Range", "Content-Type", "X-Amz-Meta-A", "X-Amz-Acl", "If-Match", "User-Agent"} {
		if rapid.Bool().Draw(t, name) {
			v := rapid.StringMatching(`[a-z]([ -~]{0,10}[a-z])?`).Draw(t, "value")
			header[name] = []string{v}
			d.sdk.Header.Set(name, v)
		}
	}
	d.ours = &Request{Method: method, Host: host, Path: path.String(), Query: u.RawQuery, Header: header, PayloadHash: d.hash}
	if singleEncoded(service) {
		d.sdk.Header.Set("X-Amz-Content-Sha256", d.hash)
	}
	return d
}

func (d drawn) sdkSign() error {
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = singleEncoded(d.scope.Service) })
	c := aws.Credentials{AccessKeyID: d.cred.AccessKeyID, SecretAccessKey: d.cred.SecretAccessKey, SessionToken: d.cred.SessionToken}
	return signer.SignHTTP(context.Background(), c, d.sdk, d.hash, d.scope.Service, d.scope.Region, d.now)
}

// TestSameAsSDK: for random requests AWS's own Go SDK makes the same signature.
func TestSameAsSDK(t *testing.T) {
	for _, service := range []string{"s3", "cloudfront", "sts"} {
		t.Run(service, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				d := draw(t, service)
				if err := d.sdkSign(); err != nil {
					t.Fatal(err)
				}
				f := Sign(d.ours, d.cred, d.scope, d.now)
				if got, want := f[len(f)-1].Value, d.sdk.Header.Get("Authorization"); got != want {
					t.Fatalf("%s %s?%s\n got %s\nwant %s", d.ours.Method, d.ours.Path, d.ours.Query, got, want)
				}
			})
		})
	}
}

// TestVerifiesSDK: what the SDK signs, header form and presigned, is accepted; with one
// byte changed it is not.
func TestVerifiesSDK(t *testing.T) {
	for _, service := range []string{"s3", "cloudfront"} {
		t.Run(service, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				d := draw(t, service)
				lookup := func(id string) (Credentials, bool) { return d.cred, id == d.cred.AccessKeyID }
				r := *d.ours
				if rapid.Bool().Draw(t, "presigned") {
					d.sdk.Header = http.Header{}
					q := d.sdk.URL.Query()
					q.Set("X-Amz-Expires", "60")
					d.sdk.URL.RawQuery = q.Encode()
					signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
					hash := d.hash
					if service == "s3" {
						hash = UnsignedPayload
					}
					uri, _, err := signer.PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: d.cred.AccessKeyID,
						SecretAccessKey: d.cred.SecretAccessKey, SessionToken: d.cred.SessionToken}, d.sdk, hash, service, d.scope.Region, d.now)
					if err != nil {
						t.Fatal(err)
					}
					_, r.Query, _ = strings.Cut(uri, "?")
					r.Header = nil
				} else {
					if err := d.sdkSign(); err != nil {
						t.Fatal(err)
					}
					r.Header = d.sdk.Header
				}
				if _, err := Verify(&r, lookup, d.now.Add(30*time.Second)); err != nil {
					t.Fatalf("%+v: %v", r, err)
				}
				tampered := r
				tampered.Path += "x"
				wantReason(t, &tampered, lookup, d.now, Mismatch)
				tampered = r
				tampered.Query += "&y=1"
				wantReason(t, &tampered, lookup, d.now, Mismatch)
				tampered = r
				tampered.Host = "other"
				wantReason(t, &tampered, lookup, d.now, Mismatch)
				tampered = r
				tampered.Method = "PATCH"
				wantReason(t, &tampered, lookup, d.now, Mismatch)
			})
		})
	}
}
