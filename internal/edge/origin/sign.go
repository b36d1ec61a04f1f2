package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pqfront/internal/httpfield"
	"pqfront/internal/sigv4"
)

// errNoCredentials is what is wrong when Options has no Credentials.
var errNoCredentials = errors.New("no AWS credentials are configured")

// credentialsFix is said wherever credentials are missing.
const credentialsFix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE and a credentials file, " +
	"or give the origin access control the signing behavior never"

// sign returns the header of a request with origin access control's signature, where the
// plan wants one.
func (c *Client) sign(ctx context.Context, p *plan, r *Request) (httpfield.Fields, error) {
	if p.signing == nil {
		return p.header, nil
	}
	cred, err := c.credentials(ctx)
	if err != nil {
		if !c.noCredentials.Swap(true) {
			c.opt.Logger.Error("requests to an S3 origin cannot be signed", "origin", p.name, "err", err, "fix", credentialsFix)
		}
		return nil, fail(p.name, KindCredentials, false, fmt.Errorf("signing a request: %w; %s", err, credentialsFix))
	}
	c.noCredentials.Store(false)
	h := p.header.Clone()
	payload := sigv4.EmptyPayload
	if hasBody(r) {
		// The body is not read before it is sent. A viewer that announces the hash
		// itself has S3 check it.
		payload = sigv4.UnsignedPayload
		if v := h.Get("x-amz-content-sha256"); isHash(v) {
			payload = v
		}
	}
	for _, name := range [...]string{"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "date"} {
		h.Del(name)
	}
	signed := make(map[string][]string)
	for _, f := range h {
		// S3 wants every x-amz- field signed, and what says how to read a body.
		if strings.HasPrefix(f.Name, "x-amz-") || f.Name == "content-type" || f.Name == "content-md5" {
			signed[f.Name] = append(signed[f.Name], f.Value)
		}
	}
	sr := &sigv4.Request{Method: r.Method, Host: p.host, Path: p.path, Query: p.query, Header: signed, PayloadHash: payload}
	for _, f := range sigv4.Sign(sr, cred, *p.signing, c.opt.Now()) {
		h.Add(f.Name, f.Value)
	}
	return h, nil
}

func (c *Client) credentials(ctx context.Context) (sigv4.Credentials, error) {
	if c.opt.Credentials == nil {
		return sigv4.Credentials{}, errNoCredentials
	}
	cred, err := c.opt.Credentials(ctx)
	if err == nil && (cred.AccessKeyID == "" || cred.SecretAccessKey == "") {
		err = errNoCredentials
	}
	return cred, err
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
