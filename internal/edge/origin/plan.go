package origin

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/httpfield"
	"pqfront/internal/sigv4"
)

// plan is one request with all settings of its origin applied: what will be sent to
// whom, and how long each step may take.
type plan struct {
	name       string // the origin's domain, for messages
	s3         bool
	scheme     string
	host       string // the Host field
	serverName string // the name asked for in TLS
	path       string
	query      string
	header     httpfield.Fields
	signing    *sigv4.Scope // nil = unsigned
	key        poolKey

	attempts                  int
	connect, read, completion time.Duration
}

// plan applies the settings of t's origin to r.
func (c *Client) plan(t Target, r *Request) (*plan, error) {
	o := t.Origin
	p := &plan{
		name: o.DomainName, path: o.Path + r.Path, query: r.Query,
		attempts: o.ConnectionAttempts, connect: o.ConnectionTimeout,
		read: defaultReadTimeout, completion: o.ResponseCompletionTimeout,
		header: header(r.Header, o.Headers),
	}
	if r.Path == "*" { // OPTIONS * is about the server, not a path below the origin's
		p.path = "*"
	}
	p.key = poolKey{domain: o.DomainName, keepalive: defaultKeepalive, minTLS: minTLS(nil)}
	var port string
	if o.Custom != nil {
		port = p.custom(o, r)
	} else {
		p.s3 = true
		var err error
		if port, err = c.planS3(p, t, r); err != nil {
			return nil, err
		}
	}
	p.attempts = orDefault(p.attempts, defaultAttempts)
	p.connect = orDefault(p.connect, defaultConnectTimeout)
	p.read = orDefault(p.read, defaultReadTimeout)
	p.key.connect, p.key.secure = p.connect, p.scheme == "https"
	p.key.address = c.resolve(p.key.domain, port)
	return p, nil
}

// custom fills what is particular to custom origins and returns the port.
func (p *plan) custom(o *cdn.Origin, r *Request) (port string) {
	p.read = o.Custom.ReadTimeout
	p.key.keepalive = orDefault(o.Custom.KeepaliveTimeout, defaultKeepalive)
	p.key.minTLS = minTLS(o.Custom.SSLProtocols)
	p.scheme = "http"
	if o.Custom.ProtocolPolicy == cdn.OriginHTTPSOnly ||
		o.Custom.ProtocolPolicy == cdn.OriginMatchViewer && r.ViewerScheme == "https" {
		p.scheme = "https"
	}
	number, usual := orDefault(o.Custom.HTTPPort, 80), 80
	if p.scheme == "https" {
		number, usual = orDefault(o.Custom.HTTPSPort, 443), 443
	}
	port = strconv.Itoa(number)
	p.host = r.Host
	p.serverName = hostOnly(r.Host)
	if p.host == "" {
		p.host, p.serverName = o.DomainName, o.DomainName
		if number != usual {
			p.host = net.JoinHostPort(o.DomainName, port)
		}
	}
	return port
}

// planS3 fills what is particular to S3 origins and returns the port. The viewer's Host
// is never forwarded to S3, which finds the bucket by it.
func (c *Client) planS3(p *plan, t Target, r *Request) (port string, err error) {
	o := t.Origin
	if o.S3 != nil {
		p.read = o.S3.ReadTimeout
	}
	bucket, region := s3Name(o.DomainName)
	if p.signing, err = signing(t, region, p.header); err != nil {
		return "", fail(p.name, KindCredentials, false, err)
	}
	// The S3 leg follows the viewer's scheme, but signatures of ours go over TLS only
	// (CloudFront: Restrict access to an Amazon S3 origin, "Always sign").
	p.scheme, p.host, p.serverName, port = "http", o.DomainName, o.DomainName, "80"
	if r.ViewerScheme == "https" || p.signing != nil {
		p.scheme, port = "https", "443"
	}
	if e := c.endpoint(o.DomainName); e != nil {
		if climbs(p.path) {
			return "", &Error{Kind: KindRequest, Status: 400, Origin: p.name, Err: errClimbs}
		}
		p.scheme, p.host, p.serverName = e.Scheme, e.Host, e.Hostname()
		p.path = "/" + bucket + p.path
		p.key.domain = e.Hostname()
		if port = e.Port(); port == "" {
			port = map[string]string{"http": "80", "https": "443"}[e.Scheme]
		}
	}
	if p.signing != nil {
		// What is sent is what is signed: servers differ in how they decode first.
		p.path, p.query = sigv4.CanonicalPath(p.path), sigv4.CanonicalQuery(p.query)
	}
	return port, nil
}

// climbs reports whether path has a segment "." or "..", plain or encoded. S3 takes them
// for letters of a key; a server that resolves them would leave the bucket, which is a
// part of the path here.
func climbs(path string) bool {
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// signing decides whether a request to S3 is signed by us (CloudFront: Restrict access
// to an Amazon S3 origin, Advanced settings for origin access control).
func signing(t Target, region string, h httpfield.Fields) (*sigv4.Scope, error) {
	behavior := "never"
	switch {
	case t.AccessControl != nil:
		oac := t.AccessControl
		if oac.OriginType != "" && oac.OriginType != "s3" {
			return nil, fmt.Errorf("origin access control %s is for %q origins; this edge signs for s3 only", oac.ID, oac.OriginType)
		}
		behavior = oac.SigningBehavior
	case t.Origin.S3 != nil && t.Origin.S3.OriginAccessIdentity != "":
		// Deviation: CloudFront: Use an origin access identity: that identity exists
		// inside AWS only; the edge's own key signs instead.
		behavior = "always"
	}
	switch behavior {
	case "never":
		return nil, nil
	case "no-override":
		if h.Has("authorization") {
			return nil, nil
		}
	case "always":
	default:
		return nil, fmt.Errorf("signing behavior %q: want always, never or no-override", behavior)
	}
	return &sigv4.Scope{Region: region, Service: "s3"}, nil
}

// endpoint finds the replacement of an S3 origin, nil when there is none.
func (c *Client) endpoint(domain string) *url.URL {
	if e := c.opt.Endpoints[domain]; e != nil {
		return e
	}
	return c.opt.Endpoints["s3"]
}

// resolve gives the address to dial for host and port.
func (c *Client) resolve(host, port string) string {
	hp := net.JoinHostPort(host, port)
	if a, ok := c.opt.Resolve[hp]; ok {
		return a
	}
	if a, ok := c.opt.Resolve[host]; ok {
		return a
	}
	return hp
}

// s3Name splits the REST name of a bucket: bucket.s3.region.amazonaws.com and its
// older, dual-stack and FIPS forms (Amazon S3: Virtual hosting of general purpose
// buckets). Other names - S3-compatible servers' - are bucket.anything, and all without
// a region mean us-east-1.
func s3Name(domain string) (bucket, region string) {
	const fallback = "us-east-1"
	labels := strings.Split(domain, ".")
	end := len(labels)
	switch {
	case strings.HasSuffix(domain, ".amazonaws.com"):
		end -= 2
	case strings.HasSuffix(domain, ".amazonaws.com.cn"):
		end -= 3
	default:
		return labels[0], fallback
	}
	// Bucket names may have dots and even a label "s3": look from the right.
	for i := end - 1; i > 0; i-- {
		l := labels[i]
		if l != "s3" && !strings.HasPrefix(l, "s3-") {
			continue
		}
		bucket = strings.Join(labels[:i], ".")
		rest := labels[i+1 : end]
		if len(rest) > 0 && rest[0] == "dualstack" {
			rest = rest[1:]
		}
		if len(rest) == 1 {
			return bucket, rest[0]
		}
		if old, ok := strings.CutPrefix(l, "s3-"); ok && old != "fips" && old != "accelerate" && old != "external-1" {
			return bucket, old
		}
		return bucket, fallback
	}
	return labels[0], fallback
}

// header takes the fields that may travel and applies the origin's custom headers, which
// replace the viewer's (CloudFront: Add custom headers to origin requests).
func header(f httpfield.Fields, custom []cdn.CustomHeader) httpfield.Fields {
	h := make(httpfield.Fields, 0, len(f)+len(custom)+8)
	for i := range f {
		if !framing(f[i].Name) {
			h = append(h, f[i])
		}
	}
	for _, c := range custom {
		h.Set(strings.ToLower(c.Name), c.Value)
	}
	return h
}

// framing names the fields that only appendHead may write.
func framing(name string) bool {
	switch name {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive",
		"proxy-connection", "te", "trailer", "upgrade":
		return true
	}
	return false
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// hostOnly strips a port and the brackets of an IPv6 address.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
