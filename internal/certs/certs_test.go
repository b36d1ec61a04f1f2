package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// issuer is a certificate that can sign others.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func issue(t testing.TB, name string, key crypto.Signer, by *issuer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert, key}
}

func ca(c *x509.Certificate) { c.IsCA = true; c.KeyUsage = x509.KeyUsageCertSign }

func names(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = list }
}

func p256(t testing.TB) crypto.Signer { return ec(t, elliptic.P256()) }

func ec(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemCerts(list ...*issuer) []byte {
	var out []byte
	for _, i := range list {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})...)
	}
	return out
}

func pemKey(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestParse(t *testing.T) {
	root := issue(t, "root", p256(t), nil, ca)
	middle := issue(t, "middle", p256(t), root, ca)
	stranger := issue(t, "stranger", p256(t), nil, ca)
	twin := issue(t, "middle", p256(t), stranger, ca) // the same name, another key
	leaf := issue(t, "leaf", p256(t), middle, names("a.example", "*.b.example"))
	key := pemKey(t, leaf.key)
	oldMiddle := issue(t, "middle", middle.key, root, func(c *x509.Certificate) { ca(c); c.NotAfter = now.Add(-time.Minute) })

	good := func(chain, key []byte) *Certificate {
		t.Helper()
		c, err := Parse(chain, key, now)
		if err != nil {
			t.Errorf("Parse: %v", err)
		}
		return c
	}
	bad := func(chain, key []byte, part Part, want string) {
		t.Helper()
		_, err := Parse(chain, key, now)
		var e *Error
		if err == nil || !errors.As(err, &e) || !strings.Contains(err.Error(), string(part)) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse: %v, want a %s error with %q", err, part, want)
		}
	}

	good(pemCerts(leaf), key)
	good(pemCerts(leaf, middle), key)
	good(append(pemCerts(leaf, middle), key...), append(pemCerts(leaf), key...)) // combined files
	if c := good(pemCerts(leaf, middle, root), key); len(c.TLS().Certificate) != 2 || len(c.Notes()) != 1 {
		t.Errorf("with its root: %d certificates sent, notes %q; want 2 and one note", len(c.TLS().Certificate), c.Notes())
	}

	bad(pemCerts(leaf, root), key, PartChain, "issued by CN=middle")
	bad(pemCerts(middle, leaf), key, PartChain, "put the leaf first")
	bad(pemCerts(leaf, root, middle), key, PartChain, "put the leaf first")
	bad(pemCerts(leaf, twin), key, PartChain, "is not signed by certificate 2")
	bad(pemCerts(leaf, oldMiddle), key, PartChain, "expired on")
	bad(pemCerts(leaf), pemKey(t, middle.key), PartKey, "does not belong to the first certificate")
	bad(nil, key, PartChain, "no PEM certificate found")
	bad(leaf.cert.Raw, key, PartChain, "this is DER")
	bad([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key, PartChain, "block 1 cannot be read")
	bad(append(pemCerts(leaf), "-----BEGIN CERTIFICATE-----\nAAAA"...), key, PartChain, "damaged")
	bad(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST"}), key, PartChain, "block 1 is a CERTIFICATE REQUEST")
	bad(pemCerts(leaf, middle, root, root, root, root, root, root, root, root, root), key, PartChain, "more than 10")
	bad(make([]byte, maxPEM+1), key, PartChain, "more than 1048576")
	bad(pemCerts(leaf), nil, PartKey, "no PEM private key found")
	bad(pemCerts(leaf), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), PartKey, "cannot be read")
	bad(pemCerts(leaf), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY"}), PartKey, "passphrase")
	bad(pemCerts(root), pemKey(t, root.key), PartChain, "covers no name")
	bad(nil, nil, PartKey, "no PEM certificate found") // both at once

	early := issue(t, "early", p256(t), nil, func(c *x509.Certificate) { c.DNSNames = []string{"x"}; c.NotBefore = now.Add(time.Hour) })
	bad(pemCerts(early), pemKey(t, early.key), PartChain, "valid from")
	late := issue(t, "late", p256(t), nil, func(c *x509.Certificate) { c.DNSNames = []string{"x"}; c.NotAfter = now.Add(-time.Second) })
	bad(pemCerts(late), pemKey(t, late.key), PartChain, "expired on 2026-11-25 11:59:59")
}

func TestKeyKinds(t *testing.T) {
	check := func(key crypto.Signer, kind Kind, bits int, decrypt bool) {
		t.Helper()
		leaf := issue(t, "leaf", key, nil, names("a.example"))
		c, err := Parse(pemCerts(leaf), pemKey(t, key), now)
		if err != nil {
			t.Errorf("%v: %v", kind, err)
			return
		}
		if c.Kind() != kind || c.Bits() != bits || c.CanDecrypt() != decrypt {
			t.Errorf("got %v %d %v, want %v %d %v", c.Kind(), c.Bits(), c.CanDecrypt(), kind, bits, decrypt)
		}
		if _, ok := c.TLS().PrivateKey.(crypto.Signer); !ok || c.TLS().Leaf == nil {
			t.Error("TLS() lacks the key or the leaf")
		}
	}
	refused := func(key crypto.Signer, want string) {
		t.Helper()
		leaf := issue(t, "leaf", key, nil, names("a.example"))
		if _, err := Parse(pemCerts(leaf), pemKey(t, key), now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse: %v, want %q", err, want)
		}
	}
	// CloudFront: Requirements for using SSL/TLS certificates with CloudFront, Key types and sizes
	check(rsaKey(t, 1024), RSA, 1024, true)
	check(rsaKey(t, 2048), RSA, 2048, true)
	check(p256(t), ECDSAP256, 256, false)
	check(ec(t, elliptic.P384()), ECDSAP384, 384, false)
	refused(ec(t, elliptic.P521()), "ECDSA key on P-521")
	for bits, ok := range map[int]bool{1023: false, 1024: true, 3072: true, 4096: true, 4097: false} {
		pub := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), uint(bits-1)), E: 65537} // not worth generating
		c := Certificate{leaf: &x509.Certificate{PublicKey: pub}, signer: publicOnly{pub}}
		if err := c.checkKey(); (err == nil) != ok {
			t.Errorf("RSA key of %d bits: %v", bits, err)
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	refused(ed, "Ed25519")
}

// publicOnly is a key of which only the public half exists.
type publicOnly struct{ pub crypto.PublicKey }

func (k publicOnly) Public() crypto.PublicKey { return k.pub }

func (k publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// TestKeyForms: RSA PRIVATE KEY and EC PRIVATE KEY blocks, with EC PARAMETERS before.
func TestKeyForms(t *testing.T) {
	rk := rsaKey(t, 1024).(*rsa.PrivateKey)
	leaf := issue(t, "leaf", rk, nil, names("a.example"))
	if _, err := Parse(pemCerts(leaf), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rk)}), now); err != nil {
		t.Error(err)
	}
	ek := p256(t).(*ecdsa.PrivateKey)
	der, err := x509.MarshalECPrivateKey(ek)
	if err != nil {
		t.Fatal(err)
	}
	leaf = issue(t, "leaf", ek, nil, names("a.example"))
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}})
	key = append(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})...)
	if _, err := Parse(pemCerts(leaf), key, now); err != nil {
		t.Error(err)
	}
}

// RFC 9525, Section 6.3
func TestCovers(t *testing.T) {
	key := p256(t)
	leaf := issue(t, "common.example", key, nil, func(c *x509.Certificate) {
		c.DNSNames = []string{"a.example", "*.B.example", "*.c.d.example"}
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	})
	c, err := Parse(pemCerts(leaf), pemKey(t, key), now)
	if err != nil {
		t.Fatal(err)
	}
	check := func(host string, want bool) {
		t.Helper()
		if got := c.Covers(host); got != want {
			t.Errorf("Covers(%q) = %v", host, got)
		}
	}
	check("a.example", true)
	check("A.Example", true)
	check("a.example.", true)
	check("b.example", false)
	check("x.b.example", true)
	check("X.B.EXAMPLE", true)
	check("y.x.b.example", false)
	check(".b.example", false)
	check("*.b.example", true)  // an alias that is the same wildcard
	check("*.a.example", false) // a wildcard is more than one name
	check("*.c.d.example", true)
	check("x.d.example", false)
	check("127.0.0.1", true)
	check("::1", true)
	check("127.0.0.2", false)
	check("common.example", false) // RFC 9525, Section 2: the common name does not count
	check("", false)
	check("example", false)
}

// TestHandshake: what Parse accepts, crypto/tls serves.
func TestHandshake(t *testing.T) {
	root := issue(t, "root", p256(t), nil, ca)
	middle := issue(t, "middle", p256(t), root, ca)
	leaf := issue(t, "leaf", p256(t), middle, names("a.example"))
	c, err := Parse(pemCerts(leaf, middle, root), pemKey(t, leaf.key), now)
	if err != nil {
		t.Fatal(err)
	}
	client, server := net.Pipe()
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(server, &tls.Config{Certificates: []tls.Certificate{*c.TLS()}}).Handshake()
	}()
	config := &tls.Config{RootCAs: roots, ServerName: "a.example", Time: func() time.Time { return now }}
	if err := tls.Client(client, config).Handshake(); err != nil {
		t.Error(err)
	}
	client.Close()
	<-done
}

func FuzzParse(f *testing.F) {
	leaf := issue(f, "leaf", p256(f), nil, names("a.example"))
	f.Add(pemCerts(leaf), pemKey(f, leaf.key))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"), []byte{0x30, 0x82})
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		c, err := Parse(chain, key, now)
		if (c == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", c, err)
		}
		if c != nil {
			c.Covers(string(key))
			c.TLS()
		}
	})
}
