package viewertls

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// Certificates for tests, made once in a process.
var (
	testRSA   = sync.OnceValue(func() *tls.Certificate { return makeCertificate(newRSA(2048)) })
	testECDSA = sync.OnceValue(func() *tls.Certificate { return makeCertificate(newECDSA(elliptic.P256())) })
)

func newRSA(bits int) crypto.Signer { return must(rsa.GenerateKey(rand.Reader, bits)) }

func newECDSA(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func makeCertificate(key crypto.Signer) *tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames: []string{"*.example", "*.sub.example", "*.net"}, BasicConstraintsValid: true, IsCA: true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

// testSite is a compiled site as snapshot.Compile makes them: under the named policy,
// for the names, with the certificates.
func testSite(tb testing.TB, policy string, names []string, certs ...*tls.Certificate) *snapshot.Site {
	tb.Helper()
	p, err := tlspolicy.Lookup(policy)
	if err != nil {
		tb.Fatal(err)
	}
	var described []tlspolicy.Certificate
	for _, c := range certs {
		described = append(described, describe(c))
	}
	id := "E" + names[0]
	return &snapshot.Site{
		Distribution: &cdn.Distribution{ID: id, DomainName: "d" + names[0] + ".net", Aliases: names},
		TLS: &snapshot.TLS{
			Policy: p, Effective: p.Effective(), Certificates: certs,
			TCP:         tlspolicy.Server{Certificates: described, ALPN: []string{"h2", "http/1.1"}},
			QUIC:        tlspolicy.Server{Certificates: described, ALPN: []string{"h3"}},
			ServesQUIC:  true,
			TicketScope: sha256.Sum256([]byte(id + fmt.Sprintf("%+v", *p))),
		},
	}
}

// compiled is a snapshot made by snapshot.Compile, of one distribution.
func compiled(tb testing.TB, policy, name string, certs ...*tls.Certificate) *snapshot.Holder {
	tb.Helper()
	d := &cdn.Distribution{
		ID: "E0000000000001", DomainName: "d0000000000001.net", Aliases: []string{name}, Enabled: true, HTTP2: true, HTTP3: true,
		Origins:         []cdn.Origin{{ID: "o", DomainName: "origin.example", Custom: &cdn.CustomOrigin{}}},
		DefaultBehavior: cdn.Behavior{PathPattern: "*", TargetOriginID: "o", Legacy: &cdn.LegacyCaching{}},
		Viewer:          cdn.ViewerCertificate{SecurityPolicy: policy},
	}
	var given []tls.Certificate
	for _, c := range certs {
		given = append(given, *c)
	}
	snap, err := snapshot.Compile(snapshot.Input{
		State:        cdn.State{Distributions: []*cdn.Distribution{d}},
		Certificates: func(*cdn.Distribution) []tls.Certificate { return given }, Generation: 1,
	})
	if err != nil {
		tb.Fatal(err)
	}
	holder := &snapshot.Holder{}
	holder.Store(snap)
	return holder
}

func describe(c *tls.Certificate) tlspolicy.Certificate {
	switch pub := c.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return tlspolicy.Certificate{Key: tlspolicy.RSA, RSABits: pub.N.BitLen()}
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P384():
			return tlspolicy.Certificate{Key: tlspolicy.ECDSAP384}
		case elliptic.P521():
			return tlspolicy.Certificate{Key: tlspolicy.ECDSAP521}
		}
		return tlspolicy.Certificate{Key: tlspolicy.ECDSAP256}
	}
	return tlspolicy.Certificate{Key: tlspolicy.Ed25519}
}

// edgeFixture is a Server behind a loopback listener, with all that it observed.
type edgeFixture struct {
	tb     testing.TB
	server *Server
	holder *snapshot.Holder
	addr   string
	log    *logBuffer

	mu       sync.Mutex
	attempts []tlspolicy.Handshake
	arrived  *sync.Cond
}

// newEdge starts a Server for the sites; it answers every completed handshake with
// an echo and stops with the test.
func newEdge(tb testing.TB, o Options, sites ...*snapshot.Site) *edgeFixture {
	tb.Helper()
	e := &edgeFixture{tb: tb, holder: &snapshot.Holder{}, log: &logBuffer{}}
	e.arrived = sync.NewCond(&e.mu)
	e.swap(sites...)
	o.Snapshots, o.Observer = e.holder, e.observe
	o.Logger = slog.New(slog.NewTextHandler(e.log, nil))
	server, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	e.server = server
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	e.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(tb.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { e.serve(ctx, conn) })
		}
	})
	tb.Cleanup(func() {
		ln.Close()
		cancel()
		wg.Wait()
		if text := e.log.String(); text != "" {
			tb.Errorf("the server logged:\n%s", text)
		}
	})
	return e
}

func (e *edgeFixture) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	c, facts, err := e.server.Handshake(ctx, conn)
	if refused, ok := errors.AsType[*RefusedError](err); err != nil && (!ok || refused.Reason != facts.Reason) {
		e.tb.Errorf("Handshake returned %v for %+v", err, facts)
	}
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	io.Copy(c, c)
	c.Close()
}

func (e *edgeFixture) swap(sites ...*snapshot.Site) {
	next := &snapshot.Snapshot{Generation: 1, Sites: sites}
	if old := e.holder.Load(); old != nil {
		next.Generation, next.Default = old.Generation+1, old.Default
	}
	e.holder.Store(next)
}

func (e *edgeFixture) observe(a Attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attempts = append(e.attempts, *a.Handshake)
	e.arrived.Broadcast()
}

// next waits for the n-th attempt, from 0.
func (e *edgeFixture) next(n int) tlspolicy.Handshake {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.attempts) <= n {
		e.arrived.Wait()
	}
	return e.attempts[n]
}

// last waits for as many attempts as were started and returns the latest.
func (e *edgeFixture) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.attempts)
}

// dial does a client's handshake and returns both sides' view of it.
func (e *edgeFixture) dial(c *tls.Config) (*tls.Conn, tlspolicy.Handshake, error) {
	e.tb.Helper()
	n := e.count()
	raw, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.tb.Fatal(err)
	}
	e.tb.Cleanup(func() { raw.Close() })
	conn := tls.Client(raw, c)
	err = conn.Handshake()
	return conn, e.next(n), err
}

// echo sends a word through and back: session tickets that came before are read.
func echo(tb testing.TB, c *tls.Conn) {
	tb.Helper()
	if _, err := c.Write([]byte("ping")); err != nil {
		tb.Fatal(err)
	}
	var b [4]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "ping" {
		tb.Fatalf("echo: %q, %v", b, err)
	}
}

// client is a client configuration for the server name.
func client(name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}
}

type logBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = nil
}

// rawHello writes ClientHellos that no library's client would send.
type rawHello struct {
	name     string
	versions []uint16 // nil = TLS 1.3
	suites   []uint16 // nil = the three of TLS 1.3
	groups   []uint16 // nil = x25519
	schemes  []uint16 // nil = ECDSA P-256, RSA-PSS and PKCS #1 with SHA-256
	noShare  bool     // no key share; else of x25519 and P-256, when they are among the groups
	padding  int      // bytes of a padding extension
	extra    []byte   // extensions, encoded
}

// message is the handshake message.
func (h *rawHello) message() []byte {
	versions, suites, groups := h.versions, h.suites, h.groups
	if versions == nil {
		versions = []uint16{0x0304}
	}
	if suites == nil {
		suites = []uint16{0x1301, 0x1302, 0x1303}
	}
	if groups == nil {
		groups = []uint16{29}
	}
	schemes := h.schemes
	if schemes == nil {
		schemes = []uint16{0x0403, 0x0804, 0x0401}
	}
	var ext []byte
	add := func(typ uint16, body []byte) {
		ext = binary.BigEndian.AppendUint16(ext, typ)
		ext = append(binary.BigEndian.AppendUint16(ext, uint16(len(body))), body...)
	}
	if h.name != "" {
		add(0, vector16(append([]byte{0}, vector16([]byte(h.name))...)))
	}
	add(10, vector16(uint16s(groups)))
	add(13, vector16(uint16s(schemes)))
	add(43, append([]byte{byte(2 * len(versions))}, uint16s(versions)...))
	var shares []byte
	for group, curve := range map[uint16]ecdh.Curve{29: ecdh.X25519(), 23: ecdh.P256()} {
		if slices.Contains(groups, group) && !h.noShare {
			point := must(curve.GenerateKey(rand.Reader)).PublicKey().Bytes()
			shares = append(append(shares, 0, byte(group)), vector16(point)...)
		}
	}
	add(51, vector16(shares))
	if h.padding > 0 {
		add(21, make([]byte, h.padding))
	}
	ext = append(ext, h.extra...)

	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(append(body, 32), make([]byte, 32)...)
	body = append(body, vector16(uint16s(suites))...)
	body = append(body, 1, 0)
	body = append(body, vector16(ext)...)
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// record is the message in records of at most 16 KiB.
func (h *rawHello) record() []byte { return records(h.message(), 1<<14) }

func records(msg []byte, size int) []byte {
	var out []byte
	for chunk := range slices.Chunk(msg, size) {
		out = append(append(out, 22, 3, 1), vector16(chunk)...)
	}
	return out
}

func vector16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func uint16s(list []uint16) []byte {
	var b []byte
	for _, v := range list {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// retryGroup is the group that a HelloRetryRequest at the start of b asks for.
func retryGroup(b []byte) tlspolicy.Group {
	// record 5, header 4, version 2, random 32, session id 33, suite 2, compression 1,
	// then the extensions' length
	const extensions = 5 + 4 + 2 + 32 + 33 + 2 + 1 + 2
	for rest := b[min(len(b), extensions):]; len(rest) >= 4; {
		typ, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if rest = rest[4:]; len(rest) < n {
			break
		}
		if typ == 51 && n == 2 {
			return tlspolicy.Group(binary.BigEndian.Uint16(rest))
		}
		rest = rest[n:]
	}
	return 0
}

// exchange sends bytes to the edge and returns all that came back up to the end of
// the connection or of the server's first flight, and the server's record.
func (e *edgeFixture) exchange(b []byte) ([]byte, tlspolicy.Handshake) {
	e.tb.Helper()
	n := e.count()
	conn := must(net.Dial("tcp", e.addr))
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(b); err != nil {
		e.tb.Fatal(err)
	}
	reply := make([]byte, 64<<10)
	size, err := io.ReadAtLeast(conn, reply, 8) // an alert alone has seven bytes
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		e.tb.Errorf("the connection did not end in order: %v", err)
	}
	conn.Close()
	return reply[:size], e.next(n)
}
