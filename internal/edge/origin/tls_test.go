package origin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/testorigin"
)

// authority issues certificates for test origins.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a P-256 certificate; until is relative to now.
func (a *authority) issue(until time.Duration, names ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{a.sign(until, &key.PublicKey, names)}, PrivateKey: key}
}

func (a *authority) sign(until time.Duration, public any, names []string) []byte {
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(until),
		DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func secure() *cdn.Origin {
	o := custom()
	o.Custom.ProtocolPolicy = cdn.OriginHTTPSOnly
	o.Custom.SSLProtocols = []string{"TLSv1.2"}
	return o
}

func (a *authority) client(t *testing.T, o *testorigin.Origin) *Client {
	return client(t, o, func(opt *Options) { opt.ExtraRoots = []*x509.Certificate{a.cert} })
}

func TestTLSFacts(t *testing.T) {
	a := newAuthority(t)
	leaf := a.issue(time.Hour, "origin.test")
	facts := func(cfg *tls.Config, version, group string) {
		t.Helper()
		cfg.Certificates = []tls.Certificate{leaf}
		o := testorigin.Start(t, testorigin.WithTLS(cfg))
		o.Always(testorigin.Respond(200, "ok")...)
		res, _ := mustFetch(t, a.client(t, o), secure(), get("/"))
		if res.Facts.TLSVersion != version || res.Facts.Group != group {
			t.Errorf("%s %s, want %s %s", res.Facts.TLSVersion, res.Facts.Group, version, group)
		}
	}
	facts(&tls.Config{}, "TLSv1.3", "X25519MLKEM768")
	facts(&tls.Config{CurvePreferences: []tls.CurveID{tls.SecP256r1MLKEM768}}, "TLSv1.3", "SecP256r1MLKEM768")
	facts(&tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, "TLSv1.3", "x25519")
	facts(&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}, "TLSv1.3", "secp256r1")
	facts(&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}, MaxVersion: tls.VersionTLS12}, "TLSv1.2", "secp384r1")
}

func TestOffer(t *testing.T) {
	a := newAuthority(t)
	var mu sync.Mutex
	var hello tls.ClientHelloInfo
	cfg := &tls.Config{Certificates: []tls.Certificate{a.issue(time.Hour, "origin.test", "www.example.org")},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			mu.Lock()
			defer mu.Unlock()
			hello = *h
			return nil, nil
		}}
	o := testorigin.Start(t, testorigin.WithTLS(cfg))
	o.Always(testorigin.Respond(200, "ok", "Connection: close")...)
	c := a.client(t, o)
	offers := func(protocols []string, host string, versions []uint16, sni string, keyTransport bool) {
		t.Helper()
		origin, r := secure(), get("/")
		origin.Custom.SSLProtocols, r.Host = protocols, host
		mustFetch(t, c, origin, r)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(hello.SupportedVersions, versions) || hello.ServerName != sni || !slices.Equal(hello.SupportedProtos, []string{"http/1.1"}) {
			t.Errorf("%v: versions %x, SNI %q, ALPN %v", protocols, hello.SupportedVersions, hello.ServerName, hello.SupportedProtos)
		}
		if want := []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}; !slices.Equal(hello.SupportedCurves, want) {
			t.Errorf("groups %v, want %v", hello.SupportedCurves, want)
		}
		if got := slices.Contains(hello.CipherSuites, tls.TLS_RSA_WITH_AES_128_CBC_SHA); got != keyTransport {
			t.Errorf("%v: RSA key transport offered: %v", protocols, got)
		}
	}
	modern := []uint16{tls.VersionTLS13, tls.VersionTLS12}
	offers([]string{"TLSv1.2"}, "", modern, "origin.test", false)
	offers(nil, "", modern, "origin.test", false)
	offers([]string{"TLSv1.2", "TLSv1.1"}, "", append(slices.Clone(modern), tls.VersionTLS11), "origin.test", true)
	offers([]string{"TLSv1", "TLSv1.2"}, "", append(slices.Clone(modern), tls.VersionTLS11, tls.VersionTLS10), "origin.test", true)
	offers([]string{"SSLv3"}, "", append(slices.Clone(modern), tls.VersionTLS11, tls.VersionTLS10), "origin.test", true)
	offers([]string{"TLSv1.2"}, "www.example.org", modern, "www.example.org", false)
	offers([]string{"TLSv1.2"}, "www.example.org:8443", modern, "www.example.org", false)
}

// TestCertificate: CloudFront: HTTP 502 status code (Bad Gateway), SSL/TLS negotiation
// failure between CloudFront and a custom origin server.
func TestCertificate(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	good := func(name string, cert tls.Certificate, host string, ok bool) {
		t.Helper()
		o := testorigin.Start(t, testorigin.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
		o.Always(testorigin.Respond(200, "ok")...)
		r := get("/")
		r.Host = host
		_, _, err := fetch(a.client(t, o), secure(), r)
		if ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !ok {
			wantKind(t, err, KindConnect, 502, true)
			if _, is := errors.AsType[*tls.CertificateVerificationError](err); !is {
				t.Errorf("%s: %v", name, err)
			}
			if o.Conns() != 1 {
				t.Errorf("%s: tried %d times", name, o.Conns())
			}
		}
	}
	good("origin's name", a.issue(time.Hour, "origin.test"), "", true)
	good("wildcard", a.issue(time.Hour, "*.test"), "", true)
	good("origin's name while Host is forwarded", a.issue(time.Hour, "origin.test"), "www.example.org", true)
	good("the forwarded Host", a.issue(time.Hour, "www.example.org"), "www.example.org", true)
	good("the Host that is not forwarded", a.issue(time.Hour, "www.example.org"), "", false)
	good("another name", a.issue(time.Hour, "evil.test"), "www.example.org", false)
	good("expired", a.issue(-time.Hour, "origin.test"), "", false)
	good("unknown authority", stranger.issue(time.Hour, "origin.test"), "", false)
}

// TestResumedIsVerified: a session of one name is no way around the check of another.
func TestResumedIsVerified(t *testing.T) {
	a := newAuthority(t)
	o := testorigin.Start(t, testorigin.WithTLS(&tls.Config{Certificates: []tls.Certificate{a.issue(time.Hour, "www.example.org")}}))
	o.Always(testorigin.Respond(200, "ok", "Connection: close")...)
	c := a.client(t, o)
	r := get("/")
	r.Host = "www.example.org"
	for range 2 {
		mustFetch(t, c, secure(), r)
	}
	if !o.Last().TLS.DidResume {
		t.Error("the second handshake did not resume")
	}
	r.Host = "other.example.org"
	_, _, err := fetch(c, secure(), r)
	wantKind(t, err, KindConnect, 502, true)
}

// TestNamesApart: connections that asked for different names are not mixed.
func TestNamesApart(t *testing.T) {
	a := newAuthority(t)
	o := testorigin.Start(t, testorigin.WithTLS(&tls.Config{Certificates: []tls.Certificate{a.issue(time.Hour, "origin.test")}}))
	o.Always(testorigin.Respond(200, "ok")...)
	c := a.client(t, o)
	for _, host := range []string{"a.example.org", "b.example.org", "a.example.org"} {
		r := get("/")
		r.Host = host
		mustFetch(t, c, secure(), r)
		if got := o.Last(); got.Host != host || got.TLS.ServerName != host {
			t.Errorf("Host %s over a connection for %s", got.Host, got.TLS.ServerName)
		}
	}
	if o.Conns() != 2 {
		t.Errorf("%d connections, want 2", o.Conns())
	}
}

func TestHandshakeFailures(t *testing.T) {
	a := newAuthority(t)
	fails := func(name string, status, conns int, change func(*cdn.Origin), o *testorigin.Origin) {
		t.Helper()
		origin := secure()
		change(origin)
		_, _, err := fetch(a.client(t, o), origin, get("/"))
		kind := KindConnect
		if status == 504 {
			kind = KindComm
		}
		wantKind(t, err, kind, status, true)
		if o.Conns() != conns {
			t.Errorf("%s: %d connections, want %d", name, o.Conns(), conns)
		}
	}
	same := func(*cdn.Origin) {}
	cfg := &tls.Config{Certificates: []tls.Certificate{a.issue(time.Hour, "origin.test")}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	fails("too old", 502, 1, same, testorigin.Start(t, testorigin.WithTLS(cfg)))
	plain := testorigin.Start(t)
	plain.OnConnect(testorigin.Send("HTTP/1.1 400 Bad Request\r\n\r\n"), testorigin.Close)
	fails("plain HTTP", 502, 3, same, plain)
	closed := testorigin.Start(t)
	closed.OnConnect(testorigin.Close)
	fails("closed", 502, 3, same, closed)
	silent := testorigin.Start(t)
	silent.OnConnect(testorigin.Stall)
	fails("silent", 504, 2, func(o *cdn.Origin) { o.ConnectionTimeout, o.ConnectionAttempts = 100*time.Millisecond, 2 }, silent)
}

// TestOldOrigin: TLS 1.0 and RSA key transport work where the origin's settings list
// them, and have no group to report.
func TestOldOrigin(t *testing.T) {
	a := newAuthority(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf := tls.Certificate{Certificate: [][]byte{a.sign(time.Hour, &key.PublicKey, []string{"origin.test"})}, PrivateKey: key}
	cfg := &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
	o := testorigin.Start(t, testorigin.WithTLS(cfg))
	o.Always(testorigin.Respond(200, "ok")...)
	origin := secure()
	origin.Custom.SSLProtocols = []string{"TLSv1", "TLSv1.2"}
	res, _ := mustFetch(t, a.client(t, o), origin, get("/"))
	if res.Facts.TLSVersion != "TLSv1" || res.Facts.Group != "" {
		t.Errorf("%+v", res.Facts)
	}
}

func TestScheme(t *testing.T) {
	f := func(policy cdn.OriginProtocol, viewer, want string) {
		t.Helper()
		var dialed string
		c := New(Options{Dial: func(_ context.Context, _, address string) (net.Conn, error) { dialed = address; return nil, io.EOF }})
		origin := custom()
		origin.Custom.ProtocolPolicy, origin.Custom.HTTPPort, origin.Custom.HTTPSPort = policy, 8080, 8443
		r := get("/")
		r.ViewerScheme = viewer
		if _, _, err := fetch(c, origin, r); err == nil || dialed != want {
			t.Errorf("%s for %s: dialed %s, %v", policy, viewer, dialed, err)
		}
	}
	f(cdn.OriginHTTPOnly, "https", "origin.test:8080")
	f(cdn.OriginHTTPSOnly, "http", "origin.test:8443")
	f(cdn.OriginMatchViewer, "http", "origin.test:8080")
	f(cdn.OriginMatchViewer, "https", "origin.test:8443")
}

func TestLargeBodyOverTLS(t *testing.T) {
	a := newAuthority(t)
	body := strings.Repeat("0123456789abcdef", 1<<18)
	o := testorigin.Start(t, testorigin.WithTLS(&tls.Config{Certificates: []tls.Certificate{a.issue(time.Hour, "origin.test")}}))
	o.Always(testorigin.Respond(200, body)...)
	if _, got := mustFetch(t, a.client(t, o), secure(), get("/")); got != body {
		t.Errorf("%d bytes, want %d", len(got), len(body))
	}
}
