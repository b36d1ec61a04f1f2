package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// groups are the key exchange groups offered to origins: CloudFront's viewer-side list,
// post-quantum first. crypto/tls sends key shares for the first hybrid and X25519.
var groups = [...]tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}

// config offers what CloudFront offers to origins. The certificate is checked by
// verify, because two names are good where crypto/tls knows one.
func (p *pool) config(name string) *tls.Config {
	cfg := &tls.Config{
		ServerName:         name, // crypto/tls leaves IP addresses out of SNI
		MinVersion:         p.key.minTLS,
		MaxVersion:         tls.VersionTLS13,
		CurvePreferences:   slices.Clone(groups[:]),
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: p.sessions,
		InsecureSkipVerify: true, // VerifyConnection does it, resumed or not
		VerifyConnection: func(s tls.ConnectionState) error {
			return p.verifier.verify(s, name)
		},
	}
	if p.key.minTLS < tls.VersionTLS12 {
		cfg.CipherSuites = oldSuites()
	}
	return cfg
}

// verifier checks origins' certificates.
type verifier struct {
	roots  *x509.CertPool
	domain string
	now    func() time.Time
}

// verify wants a chain to a trusted root and a name that is the origin's domain or the
// Host that is forwarded (CloudFront: HTTP 502 status code (Bad Gateway), SSL/TLS
// negotiation failure between CloudFront and a custom origin server).
func (v *verifier) verify(s tls.ConnectionState, name string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the origin sent no certificate")
	}
	leaf := s.PeerCertificates[0]
	opt := x509.VerifyOptions{Roots: v.roots, Intermediates: x509.NewCertPool(), CurrentTime: v.now()}
	for _, c := range s.PeerCertificates[1:] {
		opt.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opt); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	err := leaf.VerifyHostname(name)
	if err != nil && leaf.VerifyHostname(v.domain) != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// oldSuites adds RSA key transport to Go's own list.
//
// Deviation: CloudFront: Supported protocols and ciphers between CloudFront and the
// origin: CloudFront offers it, and RC4-MD5, to every origin; we only to those whose
// settings allow TLS 1.1 or older, and never RC4: it has no forward secrecy.
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
