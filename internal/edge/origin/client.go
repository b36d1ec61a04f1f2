package origin

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"pqfront/internal/sigv4"
)

// Limits and defaults. Those of CloudFront are in its quotas; the others are ours.
const (
	maxResponseHead = 32768 // CloudFront: Quotas, "maximum length of a response from an origin, headers included"

	defaultAttempts       = 3
	defaultConnectTimeout = 10 * time.Second
	defaultReadTimeout    = 30 * time.Second
	// defaultKeepalive is CloudFront's for custom origins; S3 origins have no such
	// setting and get the same.
	defaultKeepalive = 5 * time.Second

	// A connection costs about 40 KiB; this many to one origin name are 40 MiB.
	defaultMaxConns = 1024
	maxIdlePerName  = 128
	maxIdlePerPool  = 512

	// poolLife is how long the connections' settings of an origin are kept after its
	// last use, so that changed configurations leave nothing behind.
	poolLife = 10 * time.Minute
)

// Options are what a Client needs from its surroundings. The zero value works: system
// roots, the system's resolver, no credentials.
type Options struct {
	// Endpoints replaces S3: the key is "s3" for every S3 origin, or one origin's
	// domain name. Requests then go path-style, /bucket/key, and are signed as sent.
	Endpoints map[string]*url.URL
	// Resolve replaces name resolution: "host" or "host:port" to "addr:port".
	Resolve map[string]string
	// Credentials gives the access key for signing; nil = none. See EnvCredentials.
	Credentials func(context.Context) (sigv4.Credentials, error)
	// ExtraRoots are trusted besides the system's certificate authorities.
	ExtraRoots []*x509.Certificate
	// MaxConns limits the connections to one origin name; 0 = 1,024. A request that
	// waits for one longer than the connection timeout fails.
	MaxConns int
	// Dial replaces the network; nil = net.Dialer.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Logger *slog.Logger
	Now    func() time.Time
}

// Client fetches from origins. It keeps connections open between requests; Close ends
// them. It is safe for concurrent use.
type Client struct {
	opt   Options
	roots *x509.CertPool
	// noCredentials tells that their absence has been logged.
	noCredentials atomic.Bool

	mu    sync.Mutex
	pools map[poolKey]*pool
}

// New makes a Client.
func New(opt Options) *Client {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.MaxConns <= 0 {
		opt.MaxConns = defaultMaxConns
	}
	if opt.Dial == nil {
		opt.Dial = (&net.Dialer{}).DialContext
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		opt.Logger.Warn("the system's certificate authorities cannot be read; only those given are trusted for origins", "err", err)
		roots = x509.NewCertPool()
	}
	for _, c := range opt.ExtraRoots {
		roots.AddCert(c)
	}
	return &Client{opt: opt, roots: roots, pools: map[poolKey]*pool{}}
}

// Close ends all idle connections. Exchanges under way go on; their connections end
// with them.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, p := range c.pools {
		p.close()
		delete(c.pools, k)
	}
}

// Fetch sends r to the origin of t and returns its answer, whatever its status. A
// failure is an *Error, or the cause of ctx's end. ctx must live until the Response's
// Body is done with.
func (c *Client) Fetch(ctx context.Context, t Target, r *Request) (*Response, error) {
	p, err := c.plan(t, r)
	if err != nil {
		return nil, err
	}
	parent, started, release := ctx, time.Now(), context.CancelFunc(func() {})
	if p.completion > 0 {
		ctx, release = context.WithTimeoutCause(ctx, p.completion, errCompletionTimeout)
	}
	fresh := false
	for n := 1; ; {
		x := &exchange{plan: p, parent: parent, ctx: ctx, started: started}
		res, err := c.exchange(x, r, fresh)
		if err == nil {
			res.Facts.Attempts = n
			res.Body.(*body).releaseWith(release)
			return res, nil
		}
		switch {
		case ctx.Err() != nil:
			release()
			return nil, err
		case !fresh && x.wentStale(r, err):
			fresh = true // not an attempt: the origin had said goodbye before
		case n < p.attempts && p.mayRetry(r, err):
			n++
			c.opt.Logger.Debug("trying the origin again", "origin", p.name, "attempt", n, "err", err)
		default:
			release()
			return nil, err
		}
	}
}

// wentStale tells a kept connection that the origin closed as the request went out, for
// requests that may be repeated (RFC 9112, Section 9.3.1).
func (x *exchange) wentStale(r *Request, err error) bool {
	if x.conn == nil || !x.conn.reused || x.conn.seen > 0 || r.Body != nil || isTimeout(err) {
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete:
		e, ok := errors.AsType[*Error](err)
		return ok && (e.Kind == KindComm || e.Kind == KindWrite)
	}
	return false
}

// mayRetry applies CloudFront's rule: failures to connect are tried again whatever the
// method - nothing has been sent -, read timeouts only for GET and HEAD to custom
// origins (CloudFront: Request and response behavior for custom origins, Origin
// response timeout).
func (p *plan) mayRetry(r *Request, err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	if e.Connecting {
		return !permanent(e.Err)
	}
	return errors.Is(e.Err, errReadTimeout) && !p.s3 && r.Body == nil &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead)
}
