package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// poolKey are the settings that all connections of a pool share. Name and port of the
// origin, not the viewer's Host, decide: a wildcard alias must not make endless pools.
type poolKey struct {
	address   string // host:port to dial, after overrides
	domain    string // a name that the certificate may carry
	connect   time.Duration
	keepalive time.Duration
	minTLS    uint16
	oldSuites bool
}

// pool is the connections to one origin.
type pool struct {
	transport *http.Transport
	used      time.Time
}

// pool finds or makes the pool of p and drops pools that nobody has used for long.
func (c *Client) pool(p *plan) *pool {
	now := c.opt.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.pools[p.key]; ok {
		have.used = now
		return have
	}
	for k, old := range c.pools {
		if now.Sub(old.used) > poolLife {
			old.transport.CloseIdleConnections()
			delete(c.pools, k)
		}
	}
	fresh := &pool{transport: c.transport(p.key), used: now}
	c.pools[p.key] = fresh
	return fresh
}

// transport makes an HTTP/1.1 client for one origin (CloudFront: Request and response
// behavior for custom origins, HTTP version: HTTP/1.1 to custom origins).
func (c *Client) transport(k poolKey) *http.Transport {
	d := &dialer{client: c, key: k, sessions: tls.NewLRUClientSessionCache(64)}
	var only http.Protocols
	only.SetHTTP1(true)
	return &http.Transport{
		DialContext:            d.plain,
		DialTLSContext:         d.tls,
		Protocols:              &only,
		DisableCompression:     true,
		MaxIdleConns:           maxIdlePerPool,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxConnsPerHost:        c.opt.MaxConns,
		IdleConnTimeout:        k.keepalive,
		MaxResponseHeaderBytes: maxResponseHead,
	}
}

// dialer makes the connections of one pool.
type dialer struct {
	client   *Client
	key      poolKey
	sessions tls.ClientSessionCache
}

// plain opens a connection without TLS. The transport's own idea of the address, made
// of the URL, is not used: see plan.request.
func (d *dialer) plain(ctx context.Context, network, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.key.connect, errConnectTimeout)
	defer cancel()
	nc, err := d.client.opt.Dial(ctx, network, d.key.address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", d.key.address, err)
	}
	return newConn(nc, nil), nil
}

// tls opens a connection with TLS; urlAddr carries the server name to ask for.
func (d *dialer) tls(ctx context.Context, network, urlAddr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.key.connect, errConnectTimeout)
	defer cancel()
	nc, err := d.client.opt.Dial(ctx, network, d.key.address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", d.key.address, err)
	}
	name, _, err := net.SplitHostPort(urlAddr)
	if err != nil {
		name = d.key.domain
	}
	tc := tls.Client(nc, d.config(name))
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS handshake with %s as %s: %w", d.key.address, name, err)
	}
	state := tc.ConnectionState()
	return newConn(tc, &state), nil
}

// groups are the key exchange groups offered to origins: CloudFront's viewer-side list,
// post-quantum first. crypto/tls sends key shares for the first hybrid and X25519.
var groups = [...]tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}

// config offers what CloudFront offers to origins. The certificate is checked by
// verify, because two names are good where crypto/tls knows one.
func (d *dialer) config(name string) *tls.Config {
	cfg := &tls.Config{
		ServerName:         name, // crypto/tls leaves IP addresses out of SNI
		MinVersion:         d.key.minTLS,
		MaxVersion:         tls.VersionTLS13,
		CurvePreferences:   slices.Clone(groups[:]),
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: d.sessions,
		InsecureSkipVerify: true, // VerifyConnection does it, resumed or not
		VerifyConnection: func(s tls.ConnectionState) error {
			return d.verify(s, name)
		},
	}
	if d.key.oldSuites {
		cfg.CipherSuites = oldSuites()
	}
	return cfg
}

// verify wants a chain to a trusted root and a name that is the origin's domain or the
// Host that is forwarded (CloudFront: HTTP 502 status code (Bad Gateway), SSL/TLS
// negotiation failure between CloudFront and a custom origin server).
func (d *dialer) verify(s tls.ConnectionState, name string) error {
	if len(s.PeerCertificates) == 0 {
		return fmt.Errorf("the origin sent no certificate")
	}
	leaf := s.PeerCertificates[0]
	opt := x509.VerifyOptions{Roots: d.client.roots, Intermediates: x509.NewCertPool(), CurrentTime: d.client.opt.Now()}
	for _, c := range s.PeerCertificates[1:] {
		opt.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opt); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	err := leaf.VerifyHostname(name)
	if err != nil && leaf.VerifyHostname(d.key.domain) != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// oldSuites adds RSA key transport to Go's own list, which CloudFront still offers to
// origins (CloudFront: Supported protocols and ciphers between CloudFront and the
// origin). Only origins whose settings allow TLS 1.1 or older get it.
func oldSuites() []uint16 {
	var ids []uint16
	for _, s := range tls.CipherSuites() {
		ids = append(ids, s.ID)
	}
	return append(ids, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA)
}

// minTLS is the lowest version that an origin's OriginSslProtocols allows; the names
// only move the floor, TLS 1.3 is always offered.
func minTLS(protocols []string) uint16 {
	low := uint16(tls.VersionTLS12)
	for _, p := range protocols {
		switch p {
		case "TLSv1", "SSLv3":
			// Deviation: CloudFront: Values that you specify, Minimum origin SSL protocol:
			// crypto/tls has no SSLv3; the floor is TLS 1.0 then.
			low = tls.VersionTLS10
		case "TLSv1.1":
			low = min(low, tls.VersionTLS11)
		}
	}
	return low
}
