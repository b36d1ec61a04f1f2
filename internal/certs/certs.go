// Package certs answers: does this chain fit this key, which names does it cover,
// and when does it end?
//
// It is pure: PEM bytes and the time in, a checked Certificate or an error that
// names the part and the fix out. It does not fetch, renew or revoke anything, and
// it does not ask whether a chain ends at a root that viewers trust.
package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits of a chain. CloudFront's and ours are the same where it has one.
const (
	// maxPEM bounds what is read at all: a chain of maxChain large certificates has a
	// quarter of it.
	maxPEM = 1 << 20
	// maxChain is more than any public CA sends; crypto/tls clients stop at a similar depth.
	maxChain = 10
	// The sizes of RSA keys that CloudFront takes (CloudFront: Requirements for using
	// SSL/TLS certificates with CloudFront, Key types and sizes).
	minRSABits, maxRSABits = 1024, 4096
)

// Kind is the kind of a certificate's public key.
type Kind uint8

// The kinds that are accepted.
const (
	RSA Kind = iota + 1
	ECDSAP256
	ECDSAP384
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case RSA:
		return "RSA"
	case ECDSAP256:
		return "ECDSA P-256"
	case ECDSAP384:
		return "ECDSA P-384"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Certificate is a chain with its key, checked. It is never changed.
type Certificate struct {
	leaf   *x509.Certificate
	chain  []*x509.Certificate
	signer crypto.Signer
	kind   Kind
	bits   int
	names  []string
	notes  []string
}

// Part is the file or field that an error is about.
type Part string

// The parts.
const (
	PartChain Part = "certificate chain"
	PartKey   Part = "private key"
)

// Error is why a chain and key are refused: the part, what is wrong, what to do.
type Error struct {
	Part    Part
	Problem string
	Fix     string
}

// Error names the part, the problem and the fix.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s; %s", e.Part, e.Problem, e.Fix)
}

func chainError(fix, format string, args ...any) error {
	return &Error{PartChain, fmt.Sprintf(format, args...), fix}
}

func keyError(fix, format string, args ...any) error {
	return &Error{PartKey, fmt.Sprintf(format, args...), fix}
}

// Parse checks a PEM chain, leaf first, and its PEM key. It returns all that is
// wrong at once, joined; each part is an *Error.
func Parse(chainPEM, keyPEM []byte, now time.Time) (*Certificate, error) {
	chain, chainErr := parseChain(chainPEM)
	signer, keyErr := parseKey(keyPEM)
	if chainErr != nil || keyErr != nil {
		return nil, errors.Join(chainErr, keyErr)
	}
	c := &Certificate{leaf: chain[0], signer: signer}
	var errs []error
	if err := c.checkKey(); err != nil {
		errs = append(errs, err)
	}
	if err := c.checkChain(chain); err != nil {
		errs = append(errs, err)
	}
	for _, cert := range chain {
		if err := checkTime(cert, now); err != nil {
			errs = append(errs, err)
		}
	}
	if err := c.readNames(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// parseChain reads the CERTIFICATE blocks.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	const fix = "give the leaf first, then its intermediates, each as a CERTIFICATE block"
	if len(data) > maxPEM {
		return nil, chainError(fix, "%d bytes, more than %d", len(data), maxPEM)
	}
	var chain []*x509.Certificate
	rest := data
	for n := 1; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // combined files are common; the key is given apart
		}
		if block.Type != "CERTIFICATE" {
			return nil, chainError(fix, "block %d is a %s", n, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, chainError(fix, "block %d cannot be read: %v", n, err)
		}
		if len(chain) == maxChain {
			return nil, chainError("leave out what does not belong to this chain", "more than %d certificates", maxChain)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, chainError(fix, "no PEM certificate found%s", derHint(data))
	}
	if len(bytes.TrimSpace(rest)) > 0 && bytes.Contains(rest, []byte("-----BEGIN")) {
		return nil, chainError(fix, "the last PEM block is damaged")
	}
	return chain, nil
}

// derHint recognizes binary files, the usual mistake.
func derHint(data []byte) string {
	if len(data) > 1 && data[0] == 0x30 {
		return " (this is DER; `openssl x509 -inform der` converts it)"
	}
	return ""
}

// parseKey reads the first private key block: PKCS #8, PKCS #1 or SEC 1.
func parseKey(data []byte) (crypto.Signer, error) {
	const fix = "give one unencrypted PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY block"
	if len(data) > maxPEM {
		return nil, keyError(fix, "%d bytes, more than %d", len(data), maxPEM)
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, keyError(fix, "no PEM private key found%s", derHint(data))
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, keyError("decrypt it with `openssl pkey` first", "the key is protected by a passphrase")
		}
		key, err := parseKeyBlock(block)
		switch {
		case err != nil: // never repeat what the parser saw: it is a secret
			return nil, keyError(fix, "the %s block cannot be read", block.Type)
		case key != nil:
			return key, nil
		}
	}
}

// parseKeyBlock returns nil, nil for blocks that hold no key.
func parseKeyBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default: // EC PARAMETERS, a chain in the same file
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%T cannot sign", key)
	}
	return signer, nil
}

// checkKey checks that the key is of an accepted kind and belongs to the leaf.
//
// Deviation: CloudFront takes ECDSA P-256 only; P-384 is accepted as well.
func (c *Certificate) checkKey() error {
	const fix = "use RSA with 2048 bits, or ECDSA P-256"
	switch pub := c.leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		c.kind, c.bits = RSA, pub.N.BitLen()
		if c.bits < minRSABits || c.bits > maxRSABits {
			return chainError(fix, "RSA key of %d bits, not %d to %d", c.bits, minRSABits, maxRSABits)
		}
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			c.kind = ECDSAP256
		case elliptic.P384():
			c.kind = ECDSAP384
		default:
			return chainError(fix, "ECDSA key on %s", pub.Curve.Params().Name)
		}
		c.bits = pub.Curve.Params().BitSize
	case ed25519.PublicKey:
		return chainError(fix, "Ed25519 key, which no security policy accepts")
	default:
		return chainError(fix, "key of type %T", pub)
	}
	if !samePublicKey(c.leaf.PublicKey, c.signer.Public()) {
		return keyError("give the key that the certificate was requested with, and the leaf as the first certificate",
			"it does not belong to the first certificate (%s)", subject(c.leaf))
	}
	return nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// checkChain checks that each certificate is issued by the next one, and leaves the
// root out of what is sent: viewers have it, and it costs a packet.
func (c *Certificate) checkChain(chain []*x509.Certificate) error {
	for i, cert := range chain[:len(chain)-1] {
		issuer := chain[i+1]
		if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
			return chainError(orderFix(chain), "certificate %d (%s) is issued by %s, but %s follows",
				i+1, subject(cert), cert.Issuer, subject(issuer))
		}
		if err := cert.CheckSignatureFrom(issuer); err != nil && !errors.Is(err, x509.ErrUnsupportedAlgorithm) {
			var insecure x509.InsecureAlgorithmError
			if !errors.As(err, &insecure) {
				return chainError("get the intermediate that signed it from the CA",
					"certificate %d (%s) is not signed by certificate %d (%s): %v", i+1, subject(cert), i+2, subject(issuer), err)
			}
		}
	}
	if c.leaf.IsCA && len(chain) > 1 {
		return chainError(orderFix(chain), "the first certificate (%s) is a CA's", subject(c.leaf))
	}
	last := chain[len(chain)-1]
	if len(chain) > 1 && bytes.Equal(last.RawIssuer, last.RawSubject) {
		chain = chain[:len(chain)-1]
		c.notes = append(c.notes, fmt.Sprintf("the root (%s) is not sent", subject(last)))
	}
	c.chain = chain
	return nil
}

// orderFix tells whether sorting would help: when every issuer is somewhere in the file.
func orderFix(chain []*x509.Certificate) string {
	var missing []string
	for i, cert := range chain {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			continue
		}
		found := slices.ContainsFunc(chain, func(other *x509.Certificate) bool {
			return bytes.Equal(cert.RawIssuer, other.RawSubject)
		})
		// The top of a chain without its root has its issuer elsewhere.
		if !found && i < len(chain)-1 {
			missing = append(missing, cert.Issuer.String())
		}
	}
	if len(missing) > 1 {
		return "add the missing intermediates: " + strings.Join(missing, ", ")
	}
	return "put the leaf first and each certificate before its issuer"
}

func checkTime(cert *x509.Certificate, now time.Time) error {
	if now.After(cert.NotAfter) {
		return chainError("renew it", "the certificate (%s) expired on %s", subject(cert), cert.NotAfter.UTC().Format(time.DateTime))
	}
	if now.Before(cert.NotBefore) {
		return chainError("wait, or set the clock", "the certificate (%s) is valid from %s only", subject(cert), cert.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}

func subject(cert *x509.Certificate) string {
	if s := cert.Subject.String(); s != "" {
		return s
	}
	if len(cert.DNSNames) > 0 {
		return cert.DNSNames[0]
	}
	return "serial " + cert.SerialNumber.String()
}

// readNames collects the names that the leaf covers. The common name does not
// count (RFC 9525, Section 2).
func (c *Certificate) readNames() error {
	for _, name := range c.leaf.DNSNames {
		c.names = append(c.names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	for _, ip := range c.leaf.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			c.names = append(c.names, addr.Unmap().String())
		}
	}
	if len(c.names) == 0 {
		return chainError("request it with the names as subject alternative names",
			"the certificate (%s) covers no name", subject(c.leaf))
	}
	return nil
}

// Covers reports whether the certificate is good for host: the name itself, or a
// wildcard for exactly its first label (RFC 9525, Section 6.3). A host that is a
// wildcard, as an alias may be, is covered by the same wildcard only.
func (c *Certificate) Covers(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" {
		return false
	}
	if slices.Contains(c.names, host) {
		return true
	}
	label, parent, found := strings.Cut(host, ".")
	return found && label != "" && label != "*" && parent != "" && slices.Contains(c.names, "*."+parent)
}

// Names returns the names that the certificate covers, in its order.
func (c *Certificate) Names() []string { return slices.Clone(c.names) }

// Notes returns what was put right silently, for the operator.
func (c *Certificate) Notes() []string { return slices.Clone(c.notes) }

// NotAfter returns when the certificate ends.
func (c *Certificate) NotAfter() time.Time { return c.leaf.NotAfter }

// Leaf returns the parsed leaf. It must not be changed.
func (c *Certificate) Leaf() *x509.Certificate { return c.leaf }

// Kind returns the kind of key.
func (c *Certificate) Kind() Kind { return c.kind }

// Bits returns the modulus length of an RSA key and the field size of an ECDSA key.
func (c *Certificate) Bits() int { return c.bits }

// CanDecrypt reports whether the key can do RSA key transport.
func (c *Certificate) CanDecrypt() bool {
	_, ok := c.signer.(crypto.Decrypter)
	return ok && c.kind == RSA
}

// TLS returns the certificate in crypto/tls's form: the chain without its root.
func (c *Certificate) TLS() *tls.Certificate {
	out := &tls.Certificate{PrivateKey: c.signer, Leaf: c.leaf}
	for _, cert := range c.chain {
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	return out
}
