package snapshot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"pqfront/internal/cdn"
	"pqfront/internal/tlspolicy"
)

// policy is a security policy that some distribution of the snapshot has.
type policy struct {
	nominal, effective *tlspolicy.Policy
	digest             [sha256.Size]byte // of the effective policy's content
	err                error
}

// policy looks a security policy up, once for all distributions that have it.
func (c *compiler) policy(name string) *policy {
	if p := c.policies[name]; p != nil {
		return p
	}
	p := &policy{}
	if p.nominal, p.err = tlspolicy.Lookup(name); p.err == nil {
		p.effective = p.nominal.Effective()
		p.digest = policyDigest(p.effective)
	}
	c.policies[name] = p
	return p
}

// policyDigest is the same for the same content, on every node and after a restart.
func policyDigest(p *tlspolicy.Policy) [sha256.Size]byte {
	var b []byte
	put := func(v uint16) { b = binary.BigEndian.AppendUint16(b, v) }
	b = append(b, "pqfront policy 1\x00"...)
	put(uint16(p.MinVersion))
	put(uint16(p.MaxVersion))
	put(uint16(len(p.Suites)))
	for _, s := range p.Suites {
		put(uint16(s))
	}
	put(uint16(len(p.Groups)))
	for _, g := range p.Groups {
		put(uint16(g))
	}
	put(uint16(len(p.Schemes)))
	for _, s := range p.Schemes {
		put(uint16(s))
	}
	return sha256.Sum256(b)
}

// ticketScope binds tickets to a distribution and to what its policy allows: after
// the policy is changed no older ticket resumes into it.
func ticketScope(id string, p *policy) [sha256.Size]byte {
	b := append([]byte("pqfront ticket scope 1\x00"), p.digest[:]...)
	return sha256.Sum256(append(b, id...))
}

// protocols are the lists of application protocols, shared by all sites.
type protocols struct{ http1, http2, http3 []string }

func newProtocols() protocols {
	return protocols{http1: []string{"http/1.1"}, http2: []string{"h2", "http/1.1"}, http3: []string{"h3"}}
}

// tls compiles what handshakes for d need.
func (c *compiler) tls(d *cdn.Distribution) *TLS {
	const field = "ViewerCertificate.MinimumProtocolVersion"
	p := c.policy(d.Viewer.SecurityPolicy)
	if p.err != nil {
		c.problem(d, field, cdn.CodeInvalidMinimumProtocolVersion, "%v", p.err)
		return &TLS{}
	}
	t := &TLS{Policy: p.nominal, Effective: p.effective, TicketScope: ticketScope(d.ID, p)}
	server := tlspolicy.Server{Certificates: c.certificates(d, t), ALPN: c.alpn.http1}
	if d.HTTP2 {
		server.ALPN = c.alpn.http2
	}
	t.TCP, t.QUIC = server, server
	t.QUIC.ALPN = c.alpn.http3
	t.ServesQUIC = d.HTTP3 && quicCapable(p.effective)
	return t
}

// quicCapable reports whether QUIC can honour the policy: it has TLS 1.3 only
// (RFC 9001, Section 4.2).
func quicCapable(p *tlspolicy.Policy) bool {
	return p.MaxVersion >= tlspolicy.TLSv1_3 && len(p.Groups) > 0 && slices.ContainsFunc(p.Suites, tlspolicy.Suite.TLS13)
}

// certificates fills t's certificates and returns them as decisions see them.
func (c *compiler) certificates(d *cdn.Distribution, t *TLS) []tlspolicy.Certificate {
	const field = "ViewerCertificate"
	var given []tls.Certificate
	if c.in.Certificates != nil {
		given = c.in.Certificates(d)
	}
	if len(given) == 0 {
		c.problem(d, field, cdn.CodeInvalidViewerCertificate, "there is no certificate for %s: give one with its key", strings.Join(d.Names(), ", "))
		return nil
	}
	facts := make([]tlspolicy.Certificate, 0, len(given))
	t.Certificates = make([]*tls.Certificate, 0, len(given))
	for i := range given {
		cert, fact, err := certificate(&given[i])
		if err != nil {
			c.problem(d, field, cdn.CodeInvalidViewerCertificate, "certificate %d: %v", i+1, err)
			continue
		}
		c.checkCoverage(d, i+1, cert.Leaf)
		t.Certificates = append(t.Certificates, cert)
		facts = append(facts, fact)
	}
	return facts
}

// certificate checks one certificate; its leaf is parsed when it is not yet.
func certificate(in *tls.Certificate) (*tls.Certificate, tlspolicy.Certificate, error) {
	var fact tlspolicy.Certificate
	cert := in
	if cert.Leaf == nil {
		if len(in.Certificate) == 0 {
			return nil, fact, fmt.Errorf("it is empty: give a chain, the leaf first")
		}
		leaf, err := x509.ParseCertificate(in.Certificate[0])
		if err != nil {
			return nil, fact, fmt.Errorf("its leaf cannot be read: %w", err)
		}
		parsed := *in
		parsed.Leaf = leaf
		cert = &parsed
	}
	switch pub := cert.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		_, decrypts := cert.PrivateKey.(crypto.Decrypter)
		fact = tlspolicy.Certificate{Key: tlspolicy.RSA, RSABits: pub.N.BitLen(), SignOnly: !decrypts}
	case *ecdsa.PublicKey:
		fact.Key = curve(pub.Curve)
	case ed25519.PublicKey:
		fact.Key = tlspolicy.Ed25519
	}
	if fact.Key == 0 {
		return nil, fact, fmt.Errorf("its key (%T) is of a kind that no security policy has: use RSA with 2048 bits, or ECDSA P-256", cert.Leaf.PublicKey)
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fact, fmt.Errorf("its private key is missing or cannot sign: give the key that belongs to it")
	}
	if pub, ok := cert.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(signer.Public()) {
		return nil, fact, fmt.Errorf("its private key belongs to another certificate: give the key that it was requested with")
	}
	return cert, fact, nil
}

// curve returns the key type of a curve, 0 for one that is not used in TLS.
func curve(c elliptic.Curve) tlspolicy.KeyType {
	switch c {
	case elliptic.P256():
		return tlspolicy.ECDSAP256
	case elliptic.P384():
		return tlspolicy.ECDSAP384
	case elliptic.P521():
		return tlspolicy.ECDSAP521
	}
	return 0
}

// checkCoverage checks that viewers will find each alias in the certificate, or with
// the default certificate the domain name. Every certificate must cover every alias,
// because a viewer may be given any of them.
func (c *compiler) checkCoverage(d *cdn.Distribution, number int, leaf *x509.Certificate) {
	if d.Viewer.Default && !covers(leaf, d.DomainName) {
		c.problem(d, "ViewerCertificate", cdn.CodeInvalidViewerCertificate, "certificate %d covers %s, but not the domain name %s: take one with it as a subject alternative name",
			number, nameList(leaf), d.DomainName)
	}
	for i, alias := range d.Aliases {
		if !covers(leaf, alias) {
			c.problem(d, fmt.Sprintf("Aliases.Items[%d]", i), cdn.CodeInvalidViewerCertificate, "certificate %d covers %s, but not the alternate domain name %s: take one with it as a subject alternative name, or remove the alias",
				number, nameList(leaf), alias)
		}
	}
}

// covers reports whether leaf is good for name: the name itself, or a wildcard for
// its first label. A wildcard alias is covered by the same wildcard only
// (RFC 9525, Section 6.3).
func covers(leaf *x509.Certificate, name string) bool {
	_, parent, _ := strings.Cut(name, ".")
	wildcard := parent != "" && !strings.HasPrefix(name, "*.")
	for _, san := range leaf.DNSNames {
		if equalName(san, name) {
			return true
		}
		if rest, ok := strings.CutPrefix(san, "*."); ok && wildcard && equalName(rest, parent) {
			return true
		}
	}
	return false
}

func equalName(a, b string) bool { return strings.EqualFold(strings.TrimSuffix(a, "."), b) }

func nameList(leaf *x509.Certificate) string {
	const most = 5
	if len(leaf.DNSNames) == 0 {
		return "no name"
	}
	names := strings.Join(leaf.DNSNames[:min(most, len(leaf.DNSNames))], ", ")
	if more := len(leaf.DNSNames) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", names, more)
	}
	return names
}
