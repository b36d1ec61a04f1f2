// Package sigv4 answers: which AWS Signature Version 4 belongs to this request, and
// is the one that it carries right?
//
// Use Sign (or Presign) to speak to a service and Parse with Claim.Verify to be one.
// The package is pure: no clock, no network, no credentials of its own. It knows the
// HMAC form only, not the asymmetric form (SigV4A) and not signed chunks
// (STREAMING-...): such claims are refused by name.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The words of the protocol (AWS: Authenticating Requests, AWS Signature Version 4).
const (
	Algorithm       = "AWS4-HMAC-SHA256"
	UnsignedPayload = "UNSIGNED-PAYLOAD"
	// EmptyPayload is the hash of a body without bytes.
	EmptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dayFormat  = "20060102"
)

// Credentials are one access key.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string    // "" unless the key is temporary
	Expires         time.Time // zero = never
}

// Scope is what a signature is good for, besides its day.
type Scope struct{ Region, Service string }

// Request is what a signature covers. Path and Query are raw, as they stand in the
// request line. Header names may have any case; only what is in Header is signed.
type Request struct {
	Method string
	Host   string // with its port when the Host field has one
	Path   string
	Query  string
	Header map[string][]string
	// PayloadHash is the body's SHA-256 in lower-case hex, or UnsignedPayload;
	// "" stands for EmptyPayload.
	PayloadHash string
}

// Field is one header field to set; Name is lower-case.
type Field struct{ Name, Value string }

// HashPayload returns the PayloadHash of body.
func HashPayload(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Sign returns the header fields that make r a signed request; each replaces a field
// of the same name. Every field in r.Header is signed except those that a proxy may
// rewrite (unsignable) and those that Sign itself replaces.
func Sign(r *Request, c Credentials, s Scope, now time.Time) []Field {
	now = now.UTC()
	add := []Field{{"x-amz-date", now.Format(timeFormat)}}
	if c.SessionToken != "" {
		add = append(add, Field{"x-amz-security-token", c.SessionToken})
	}
	if singleEncoded(s.Service) {
		// S3 wants the hash as a field; the other services compute it from the body.
		add = append(add, Field{"x-amz-content-sha256", r.payload()})
	}
	h := newHeaders(r, func(name string) bool { return !unsignable(name) })
	for _, f := range add {
		h.set(f.Name, f.Value)
	}
	canonical := canonicalRequest(r.Method, canonicalPath(r.Path, s.Service, true), canonicalQuery(r.Query, ""), h, r.payload())
	sig := signature(canonical, c.SecretAccessKey, s, now)
	return append(add, Field{"authorization", Algorithm +
		" Credential=" + c.AccessKeyID + "/" + s.string(now) +
		", SignedHeaders=" + h.names() +
		", Signature=" + hex.EncodeToString(sig)})
}

// Presign returns the raw query of r with a signature that stays good for expires
// (1 second to 7 days, AWS: Authenticating Requests, Using Query Parameters). The
// receiver need not know the body.
func Presign(r *Request, c Credentials, s Scope, now time.Time, expires time.Duration) string {
	now = now.UTC()
	h := newHeaders(r, func(name string) bool { return !unsignable(name) })
	q := r.Query
	add := func(name, value string) {
		if q != "" {
			q += "&"
		}
		q += name + "=" + escape(value, false)
	}
	add("X-Amz-Algorithm", Algorithm)
	add("X-Amz-Credential", c.AccessKeyID+"/"+s.string(now))
	add("X-Amz-Date", now.Format(timeFormat))
	add("X-Amz-Expires", strconv.Itoa(int(expires/time.Second)))
	if c.SessionToken != "" {
		add("X-Amz-Security-Token", c.SessionToken)
	}
	add("X-Amz-SignedHeaders", h.names())
	payload := r.payload()
	if singleEncoded(s.Service) {
		payload = UnsignedPayload
	}
	canonical := canonicalRequest(r.Method, canonicalPath(r.Path, s.Service, true), canonicalQuery(q, ""), h, payload)
	add("X-Amz-Signature", hex.EncodeToString(signature(canonical, c.SecretAccessKey, s, now)))
	return q
}

func (r *Request) payload() string {
	if r.PayloadHash == "" {
		return EmptyPayload
	}
	return r.PayloadHash
}

func (s Scope) string(t time.Time) string {
	return t.Format(dayFormat) + "/" + s.Region + "/" + s.Service + "/" + terminator
}

// unsignable names fields that are not signed because the connection or a proxy on
// the way may change them, or because they carry the signature.
func unsignable(name string) bool {
	switch name {
	case "authorization", "connection", "expect", "keep-alive", "te", "trailer",
		"transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id":
		return true
	}
	return false
}

// signature is the last two of the protocol's three steps: string to sign, signature.
func signature(canonical, secret string, s Scope, t time.Time) []byte {
	hash := sha256.Sum256([]byte(canonical))
	toSign := Algorithm + "\n" + t.Format(timeFormat) + "\n" + s.string(t) + "\n" + hex.EncodeToString(hash[:])
	key := mac([]byte("AWS4"+secret), t.Format(dayFormat))
	key = mac(key, s.Region)
	key = mac(key, s.Service)
	key = mac(key, terminator)
	return mac(key, toSign)
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func canonicalRequest(method, path, query string, h *headers, payload string) string {
	var b strings.Builder
	b.WriteString(method)
	b.WriteByte('\n')
	b.WriteString(path)
	b.WriteByte('\n')
	b.WriteString(query)
	b.WriteByte('\n')
	for _, f := range h.list {
		b.WriteString(f.Name)
		b.WriteByte(':')
		b.WriteString(f.Value)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(h.names())
	b.WriteByte('\n')
	b.WriteString(payload)
	return b.String()
}

// headers are the signed fields, sorted by name, values in canonical form.
type headers struct{ list []Field }

// newHeaders takes host and the fields of r that want accepts.
func newHeaders(r *Request, want func(name string) bool) *headers {
	h := &headers{list: make([]Field, 0, len(r.Header)+4)}
	for name, values := range r.Header {
		name = strings.ToLower(name)
		if name == "host" || !want(name) {
			continue
		}
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = squeeze(v)
		}
		h.list = append(h.list, Field{name, strings.Join(trimmed, ",")})
	}
	h.list = append(h.list, Field{"host", squeeze(r.Host)})
	h.sort()
	return h
}

func (h *headers) sort() {
	slices.SortStableFunc(h.list, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
}

func (h *headers) set(name, value string) {
	h.list = slices.DeleteFunc(h.list, func(f Field) bool { return f.Name == name })
	h.list = append(h.list, Field{name, squeeze(value)})
	h.sort()
}

func (h *headers) names() string {
	var b strings.Builder
	for i, f := range h.list {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(f.Name)
	}
	return b.String()
}

// squeeze trims a value and makes one space of several.
func squeeze(v string) string {
	v = strings.Trim(v, " \t")
	if !strings.Contains(v, "  ") {
		return v
	}
	b := make([]byte, 0, len(v))
	for i := range len(v) {
		if v[i] == ' ' && i > 0 && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return string(b)
}
