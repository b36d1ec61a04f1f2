// Package localca answers: which certificate proves these names on this machine?
//
// It keeps a small certification authority in the state directory: one root that the
// owner may trust, an RSA and a P-256 intermediate, and the leaf certificates that it
// issued. Use it for names that no public authority vouches for: the demo, local work,
// CI. It is not a public authority and never leaves the machine.
package localca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pqfront/internal/atomicfile"
)

// Lifetimes. A leaf lives as long as a public certificate of 2026 may (CA/Browser
// Forum ballot SC-081v3: 200 days) so that nothing local hides a renewal problem, and
// is issued anew when a third of that is left.
const (
	rootLife  = 10 * 365 * 24 * time.Hour
	interLife = 5 * 365 * 24 * time.Hour
	leafLife  = 200 * 24 * time.Hour
	renewAt   = leafLife / 3
	backdate  = time.Hour // for clocks that are a little behind
)

// KeyKind is the kind of key of a leaf and of the intermediate that signs it.
type KeyKind string

// The kinds of key. An RSA leaf hangs from the RSA intermediate so that viewers
// without ECDSA can check the whole chain.
const (
	RSA2048 KeyKind = "rsa"
	P256    KeyKind = "ecdsa"
)

// CA is an opened authority.
type CA struct {
	dir      string
	root     *pair
	inters   map[KeyKind]*pair
	rootPath string
}

type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Open reads the authority in dir (the state directory) or makes one at first use. The
// root is dir/ca.pem; keys are in dir/ca, readable by their owner only.
func Open(dir string, now time.Time) (*CA, error) {
	ca := &CA{dir: dir, rootPath: filepath.Join(dir, "ca.pem"), inters: map[KeyKind]*pair{}}
	if err := os.MkdirAll(filepath.Join(dir, "ca"), 0o700); err != nil {
		return nil, fmt.Errorf("making the local CA's folder: %w", err)
	}
	var err error
	ca.root, err = ca.loadOrMake("root", ca.rootPath, RSA2048, nil, rootLife, now)
	if err != nil {
		return nil, fmt.Errorf("local CA root: %w", err)
	}
	for _, kind := range []KeyKind{RSA2048, P256} {
		path := filepath.Join(dir, "ca", string(kind)+"-intermediate.pem")
		ca.inters[kind], err = ca.loadOrMake(string(kind)+"-intermediate", path, kind, ca.root, interLife, now)
		if err != nil {
			return nil, fmt.Errorf("local CA %s intermediate: %w", kind, err)
		}
	}
	return ca, nil
}

// RootPath is the file of the root certificate (PEM).
func (ca *CA) RootPath() string { return ca.rootPath }

// Root is the root certificate.
func (ca *CA) Root() *x509.Certificate { return ca.root.cert }

// Leaf returns PEM of a chain (leaf, intermediate) and its private key for names (host
// names, wildcards, IP addresses),
// issued now or read from the state directory when it was issued for the same names
// before and still has a third of its life.
func (ca *CA) Leaf(kind KeyKind, names []string, now time.Time) (chainPEM, keyPEM []byte, err error) {
	if len(names) == 0 {
		return nil, nil, errors.New("issuing a certificate: no names given")
	}
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	base := filepath.Join(ca.dir, "certs", leafFile(kind, names))
	chainPEM, keyPEM, err = readLeaf(base)
	if err == nil && ca.usable(kind, chainPEM, names, now) {
		return chainPEM, keyPEM, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("reading the certificate for %s: %w", names[0], err)
	}
	return ca.issue(kind, names, base, now)
}

// leafFile names a leaf after its kind, first name and all names' digest.
func leafFile(kind KeyKind, names []string) string {
	h := sha256.New()
	for _, n := range names {
		fmt.Fprintf(h, "%s\n", n)
	}
	first := []byte(names[0])
	for i, c := range first {
		if c == '*' || c == '/' || c == os.PathSeparator {
			first[i] = '_'
		}
	}
	return fmt.Sprintf("%s-%s-%s", first, hex.EncodeToString(h.Sum(nil)[:4]), kind)
}

func readLeaf(base string) (chain, key []byte, err error) {
	if chain, err = os.ReadFile(base + ".pem"); err != nil {
		return nil, nil, err
	}
	key, err = os.ReadFile(base + ".key")
	return chain, key, err
}

// usable tells whether a stored leaf can still be served.
func (ca *CA) usable(kind KeyKind, chainPEM []byte, names []string, now time.Time) bool {
	block, _ := pem.Decode(chainPEM)
	if block == nil {
		return false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || now.Before(leaf.NotBefore) || leaf.NotAfter.Sub(now) < renewAt {
		return false
	}
	have := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		have = append(have, ip.String())
	}
	slices.Sort(have)
	return slices.Equal(have, names) && leaf.CheckSignatureFrom(ca.inters[kind].cert) == nil
}

func (ca *CA) issue(kind KeyKind, names []string, base string, now time.Time) (chainPEM, keyPEM []byte, err error) {
	key, err := newKey(kind)
	if err != nil {
		return nil, nil, err
	}
	tmpl, err := template(names[0], now, leafLife)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
			continue
		}
		tmpl.DNSNames = append(tmpl.DNSNames, n)
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	if kind == RSA2048 {
		tmpl.KeyUsage |= x509.KeyUsageKeyEncipherment // RSA key transport of the old policies
	}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	inter := ca.inters[kind]
	der, err := x509.CreateCertificate(rand.Reader, tmpl, inter.cert, key.Public(), inter.key)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate for %s: %w", names[0], err)
	}
	chainPEM = append(certPEM(der), certPEM(inter.cert.Raw)...)
	if keyPEM, err = privatePEM(key); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o700); err != nil {
		return nil, nil, err
	}
	// The key first: a chain without its key would be taken for a finished leaf.
	if err := atomicfile.Write(base+".key", keyPEM, 0o600); err != nil {
		return nil, nil, err
	}
	return chainPEM, keyPEM, atomicfile.Write(base+".pem", chainPEM, 0o644)
}

// loadOrMake reads a CA certificate and its key or, when neither is there, makes them.
func (ca *CA) loadOrMake(name, certPath string, kind KeyKind, parent *pair, life time.Duration, now time.Time) (*pair, error) {
	keyPath := filepath.Join(ca.dir, "ca", name+".key")
	p, err := loadPair(certPath, keyPath)
	if err == nil {
		if now.After(p.cert.NotAfter) {
			return nil, fmt.Errorf("%s ended on %s: move %s away and start again to make a new CA",
				certPath, p.cert.NotAfter.Format(time.DateOnly), filepath.Join(ca.dir, "ca"))
		}
		if parent != nil && p.cert.CheckSignatureFrom(parent.cert) != nil {
			return nil, fmt.Errorf("%s is not signed by %s: move %s away and start again to make a new CA",
				certPath, ca.rootPath, filepath.Join(ca.dir, "ca"))
		}
		return p, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return makePair(name, certPath, keyPath, kind, parent, life, now)
}

func loadPair(certPath, keyPath string) (*pair, error) {
	keyText, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, err
	}
	certText, err := os.ReadFile(certPath)
	if err != nil {
		return nil, err
	}
	cb, _ := pem.Decode(certText)
	kb, _ := pem.Decode(keyText)
	if cb == nil || kb == nil {
		return nil, fmt.Errorf("%s or %s is not PEM", certPath, keyPath)
	}
	cert, err := x509.ParseCertificate(cb.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certPath, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(kb.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyPath, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that cannot sign", keyPath)
	}
	if pub, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s does not fit %s", keyPath, certPath)
	}
	return &pair{cert, signer}, nil
}

func makePair(name, certPath, keyPath string, kind KeyKind, parent *pair, life time.Duration, now time.Time) (*pair, error) {
	key, err := newKey(kind)
	if err != nil {
		return nil, err
	}
	tmpl, err := template("pqfront local CA "+name, now, life)
	if err != nil {
		return nil, err
	}
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	signer := &pair{tmpl, key}
	if parent != nil {
		tmpl.MaxPathLenZero = true
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer.cert, key.Public(), signer.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyText, err := privatePEM(key)
	if err != nil {
		return nil, err
	}
	// The key first: Open takes a missing key for "not made yet".
	if err := atomicfile.Write(keyPath, keyText, 0o600); err != nil {
		return nil, err
	}
	return &pair{cert, key}, atomicfile.Write(certPath, certPEM(der), 0o644)
}

func template(commonName string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	if len(commonName) > 64 { // RFC 5280, Appendix A: ub-common-name
		commonName = commonName[:64]
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"pqfront local CA"}, CommonName: commonName},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(life),
	}, nil
}

func newKey(kind KeyKind) (crypto.Signer, error) {
	if kind == P256 {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func privatePEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
