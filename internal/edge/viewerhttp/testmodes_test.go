package viewerhttp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pqfront/internal/tlspolicy"
)

// mode is one way for a viewer to reach the engine.
type mode struct {
	name string
	// start serves e on loopback until the test ends and returns a client for it and
	// the address, like "https://127.0.0.1:40123".
	start func(t testing.TB, e *Engine) (client http.RoundTripper, base string)
}

// modes are all of them. A new engine adds its line here and is judged by every
// test that calls run.
func modes() []mode {
	return []mode{
		{"h1", startH1},
		{"h1tls", startH1TLS},
		{"h2", startH2},
		{"h3", startH3},
	}
}

// run runs f once for each mode; without modes, for all.
func run(t *testing.T, f func(t *testing.T, m mode), only ...mode) {
	t.Helper()
	if len(only) == 0 {
		only = modes()
	}
	for _, m := range only {
		t.Run(m.name, func(t *testing.T) { f(t, m) })
	}
}

// handlerFunc makes a function a Handler.
type handlerFunc func(ctx context.Context, r *Request, w Responder)

func (f handlerFunc) ServeViewer(ctx context.Context, r *Request, w Responder) { f(ctx, r, w) }

func startH1(t testing.TB, e *Engine) (http.RoundTripper, string) {
	addr := serveTCP(t, func(ctx context.Context, conn net.Conn, info *Conn) { e.ServeH1(ctx, conn, info) })
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr, "http://" + addr
}

func startH1TLS(t testing.TB, e *Engine) (http.RoundTripper, string) {
	serverTLS, clientTLS := testTLS(t, "http/1.1")
	addr := serveTCP(t, func(ctx context.Context, conn net.Conn, info *Conn) {
		serveTLS(ctx, conn, info, serverTLS, e.ServeH1)
	})
	tr := &http.Transport{DisableCompression: true, TLSClientConfig: clientTLS}
	t.Cleanup(tr.CloseIdleConnections)
	return tr, "https://" + addr
}

// serveTLS shakes hands and hands the connection on.
func serveTLS(ctx context.Context, conn net.Conn, info *Conn, conf *tls.Config, serve func(context.Context, net.Conn, *Conn)) {
	tc := tls.Server(conn, conf)
	if tc.HandshakeContext(ctx) != nil {
		conn.Close()
		return
	}
	withTLS := *info
	withTLS.TLS = &tlspolicy.Handshake{ServerName: tc.ConnectionState().ServerName, Stage: "done"}
	serve(ctx, tc, &withTLS)
}

// serveTCP accepts on loopback until the test ends, and waits for every connection.
func serveTCP(t testing.TB, serve func(context.Context, net.Conn, *Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var ids atomic.Uint64
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(ctx, conn, testConn(conn, ids.Add(1))) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		cancel()
		all.Wait()
	})
	return ln.Addr().String()
}

func testConn(conn net.Conn, id uint64) *Conn {
	info := &Conn{ID: id}
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		info.Viewer = a.AddrPort()
	}
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		info.Local = a.AddrPort()
	}
	return info
}

// testTLS makes a certificate for 127.0.0.1 and the two ends' configurations.
func testTLS(t testing.TB, alpn ...string) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}},
		NextProtos:   alpn, DynamicRecordSizingDisabled: true,
	}
	client = &tls.Config{RootCAs: pool, NextProtos: alpn}
	return server, client
}
