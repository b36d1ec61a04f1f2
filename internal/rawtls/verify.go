package rawtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
)

// verify checks a signature of the server's key over message. In TLS 1.3 the scheme
// must be one that handshakes may use, on the scheme's curve (RFC 8446, Section 4.2.3).
func verify(leaf *x509.Certificate, version, scheme uint16, message, signature []byte) error {
	hash := map[byte]crypto.Hash{2: crypto.SHA1, 4: crypto.SHA256, 5: crypto.SHA384, 6: crypto.SHA512}[byte(scheme>>8)]
	pss := scheme>>8 == 8
	if pss {
		hash = map[uint16]crypto.Hash{0x0804: crypto.SHA256, 0x0805: crypto.SHA384, 0x0806: crypto.SHA512}[scheme]
	}
	if hash == 0 {
		return fmt.Errorf("unknown signature scheme %#04x", scheme)
	}
	h := newHash(hash)()
	h.Write(message)
	digest := h.Sum(nil)
	switch pub := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		switch {
		case pss:
			return rsa.VerifyPSS(pub, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		case scheme&0xFF == 1 && version < VersionTLS13:
			return rsa.VerifyPKCS1v15(pub, hash, digest, signature)
		}
	case *ecdsa.PublicKey:
		bound := map[uint16]elliptic.Curve{0x0403: elliptic.P256(), 0x0503: elliptic.P384(), 0x0603: elliptic.P521()}[scheme]
		if scheme&0xFF == 3 && (version < VersionTLS13 || bound == pub.Curve) {
			if !ecdsa.VerifyASN1(pub, digest, signature) {
				return fmt.Errorf("wrong ECDSA signature (%#04x)", scheme)
			}
			return nil
		}
	}
	return fmt.Errorf("scheme %#04x with a %T in version %#04x", scheme, leaf.PublicKey, version)
}

// verifyOld checks a signature of TLS 1.1 or 1.0, whose hash is fixed (RFC 4346,
// Section 7.4.3; RFC 8422, Section 5.4).
func verifyOld(leaf *x509.Certificate, message, signature []byte) error {
	s := sha1.Sum(message)
	switch pub := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		m := md5.Sum(message)
		return rsa.VerifyPKCS1v15(pub, crypto.MD5SHA1, append(m[:], s[:]...), signature)
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(pub, s[:], signature) {
			return nil
		}
	}
	return fmt.Errorf("wrong signature by a %T", leaf.PublicKey)
}
