package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"pqfront/internal/httpfield"
	"pqfront/internal/sigv4"
)

// errNoCredentials is what is wrong when Options has no Credentials.
var errNoCredentials = errors.New("no AWS credentials are configured")

// credentialsFix is said wherever credentials are missing.
const credentialsFix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE and a credentials file, " +
	"or give the origin access control the signing behavior never"

// sign adds origin access control's signature to req where the plan wants one.
func (c *Client) sign(ctx context.Context, p *plan, req *http.Request) error {
	if p.signing == nil {
		return nil
	}
	cred, err := c.credentials(ctx)
	if err != nil {
		if !c.noCredentials.Swap(true) {
			c.opt.Logger.Error("requests to an S3 origin cannot be signed", "origin", p.name, "err", err, "fix", credentialsFix)
		}
		return fail(p.name, KindCredentials, false, fmt.Errorf("signing a request: %w; %s", err, credentialsFix))
	}
	c.noCredentials.Store(false)
	h := req.Header
	payload := sigv4.EmptyPayload
	if req.Body != nil && req.Body != http.NoBody {
		// The body is not read before it is sent. A viewer that announces the hash
		// itself has S3 check it.
		payload = sigv4.UnsignedPayload
		if v := h["X-Amz-Content-Sha256"]; len(v) == 1 && isHash(v[0]) {
			payload = v[0]
		}
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Date"} {
		delete(h, name)
	}
	signed := make(map[string][]string)
	for name, v := range h {
		// S3 wants every x-amz- field signed, and what says how to read a body.
		if strings.HasPrefix(name, "X-Amz-") || name == "Content-Type" || name == "Content-Md5" {
			signed[name] = v
		}
	}
	r := &sigv4.Request{Method: req.Method, Host: req.Host, Path: p.path, Query: p.query, Header: signed, PayloadHash: payload}
	for _, f := range sigv4.Sign(r, cred, *p.signing, c.opt.Now()) {
		h[httpfield.Title(f.Name)] = []string{f.Value}
	}
	return nil
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
