package tlspolicy

import (
	"fmt"
	"strings"
)

// kx is how a suite makes its shared secret.
type kx uint8

const (
	kxAny   kx = iota // TLS 1.3: the suite does not say
	kxECDHE           // ephemeral Diffie-Hellman, signed
	kxRSA             // the client encrypts a secret to the certificate's key
)

// auth is the kind of certificate that a suite asks for.
type auth uint8

const (
	authAny auth = iota
	authRSA
	authECDSA
)

// suiteInfo is what a cipher suite means.
type suiteInfo struct {
	id      Suite
	iana    string
	openssl string
	kx      kx
	auth    auth
	// min is the first version that has the suite; TLS 1.3 suites are good for TLS
	// 1.3 only, the others never for it.
	min  Version
	aead bool
	// fips: approved algorithms only (NIST SP 800-52 Rev. 2, Section 3.3.1); RSA key
	// transport is not since 2024 (NIST SP 800-131A Rev. 2, Section 6).
	fips bool
	sha1 bool // SHA-1 as the record's MAC
	md5  bool
	rc4  bool
}

// The cipher suites of all policies, by code point.
const (
	TLS_RSA_WITH_RC4_128_MD5                Suite = 0x0004
	TLS_RSA_WITH_3DES_EDE_CBC_SHA           Suite = 0x000A
	TLS_RSA_WITH_AES_128_CBC_SHA            Suite = 0x002F
	TLS_RSA_WITH_AES_256_CBC_SHA            Suite = 0x0035
	TLS_RSA_WITH_AES_128_CBC_SHA256         Suite = 0x003C
	TLS_RSA_WITH_AES_128_GCM_SHA256         Suite = 0x009C
	TLS_RSA_WITH_AES_256_GCM_SHA384         Suite = 0x009D
	TLS_AES_128_GCM_SHA256                  Suite = 0x1301
	TLS_AES_256_GCM_SHA384                  Suite = 0x1302
	TLS_CHACHA20_POLY1305_SHA256            Suite = 0x1303
	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA    Suite = 0xC009
	TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA    Suite = 0xC00A
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA      Suite = 0xC013
	TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA      Suite = 0xC014
	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 Suite = 0xC023
	TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384 Suite = 0xC024
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256   Suite = 0xC027
	TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384   Suite = 0xC028
	TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 Suite = 0xC02B
	TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 Suite = 0xC02C
	TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256   Suite = 0xC02F
	TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384   Suite = 0xC030

	TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   Suite = 0xCCA8
	TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 Suite = 0xCCA9
)

// Signalling values that travel in the list of cipher suites.
const (
	EmptyRenegotiationSCSV Suite = 0x00FF // RFC 5746, Section 3.3
	FallbackSCSV           Suite = 0x5600 // RFC 7507, Section 2
)

// suites is the table of the cipher suites that a policy may name.
var suites = [...]suiteInfo{
	{id: TLS_AES_128_GCM_SHA256, iana: "TLS_AES_128_GCM_SHA256", openssl: "TLS_AES_128_GCM_SHA256", min: TLSv1_3, aead: true, fips: true},
	{id: TLS_AES_256_GCM_SHA384, iana: "TLS_AES_256_GCM_SHA384", openssl: "TLS_AES_256_GCM_SHA384", min: TLSv1_3, aead: true, fips: true},
	{id: TLS_CHACHA20_POLY1305_SHA256, iana: "TLS_CHACHA20_POLY1305_SHA256", openssl: "TLS_CHACHA20_POLY1305_SHA256", min: TLSv1_3, aead: true},
	{id: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", openssl: "ECDHE-ECDSA-AES128-GCM-SHA256", kx: kxECDHE, auth: authECDSA, min: TLSv1_2, aead: true, fips: true},
	{id: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", openssl: "ECDHE-RSA-AES128-GCM-SHA256", kx: kxECDHE, auth: authRSA, min: TLSv1_2, aead: true, fips: true},
	{id: TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", openssl: "ECDHE-ECDSA-AES256-GCM-SHA384", kx: kxECDHE, auth: authECDSA, min: TLSv1_2, aead: true, fips: true},
	{id: TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", openssl: "ECDHE-RSA-AES256-GCM-SHA384", kx: kxECDHE, auth: authRSA, min: TLSv1_2, aead: true, fips: true},
	{id: TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", openssl: "ECDHE-ECDSA-CHACHA20-POLY1305", kx: kxECDHE, auth: authECDSA, min: TLSv1_2, aead: true},
	{id: TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", openssl: "ECDHE-RSA-CHACHA20-POLY1305", kx: kxECDHE, auth: authRSA, min: TLSv1_2, aead: true},
	{id: TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, iana: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", openssl: "ECDHE-ECDSA-AES128-SHA256", kx: kxECDHE, auth: authECDSA, min: TLSv1_2, fips: true},
	{id: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, iana: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", openssl: "ECDHE-RSA-AES128-SHA256", kx: kxECDHE, auth: authRSA, min: TLSv1_2, fips: true},
	{id: TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, iana: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", openssl: "ECDHE-ECDSA-AES128-SHA", kx: kxECDHE, auth: authECDSA, min: SSLv3, sha1: true, fips: true},
	{id: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, iana: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", openssl: "ECDHE-RSA-AES128-SHA", kx: kxECDHE, auth: authRSA, min: SSLv3, sha1: true, fips: true},
	{id: TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384, iana: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", openssl: "ECDHE-ECDSA-AES256-SHA384", kx: kxECDHE, auth: authECDSA, min: TLSv1_2, fips: true},
	{id: TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384, iana: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", openssl: "ECDHE-RSA-AES256-SHA384", kx: kxECDHE, auth: authRSA, min: TLSv1_2, fips: true},
	{id: TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, iana: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", openssl: "ECDHE-ECDSA-AES256-SHA", kx: kxECDHE, auth: authECDSA, min: SSLv3, sha1: true, fips: true},
	{id: TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, iana: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", openssl: "ECDHE-RSA-AES256-SHA", kx: kxECDHE, auth: authRSA, min: SSLv3, sha1: true, fips: true},
	{id: TLS_RSA_WITH_AES_128_GCM_SHA256, iana: "TLS_RSA_WITH_AES_128_GCM_SHA256", openssl: "AES128-GCM-SHA256", kx: kxRSA, auth: authRSA, min: TLSv1_2, aead: true},
	{id: TLS_RSA_WITH_AES_256_GCM_SHA384, iana: "TLS_RSA_WITH_AES_256_GCM_SHA384", openssl: "AES256-GCM-SHA384", kx: kxRSA, auth: authRSA, min: TLSv1_2, aead: true},
	{id: TLS_RSA_WITH_AES_128_CBC_SHA256, iana: "TLS_RSA_WITH_AES_128_CBC_SHA256", openssl: "AES128-SHA256", kx: kxRSA, auth: authRSA, min: TLSv1_2},
	{id: TLS_RSA_WITH_AES_256_CBC_SHA, iana: "TLS_RSA_WITH_AES_256_CBC_SHA", openssl: "AES256-SHA", kx: kxRSA, auth: authRSA, min: SSLv3, sha1: true},
	{id: TLS_RSA_WITH_AES_128_CBC_SHA, iana: "TLS_RSA_WITH_AES_128_CBC_SHA", openssl: "AES128-SHA", kx: kxRSA, auth: authRSA, min: SSLv3, sha1: true},
	{id: TLS_RSA_WITH_3DES_EDE_CBC_SHA, iana: "TLS_RSA_WITH_3DES_EDE_CBC_SHA", openssl: "DES-CBC3-SHA", kx: kxRSA, auth: authRSA, min: SSLv3, sha1: true},
	{id: TLS_RSA_WITH_RC4_128_MD5, iana: "TLS_RSA_WITH_RC4_128_MD5", openssl: "RC4-MD5", kx: kxRSA, auth: authRSA, min: SSLv3, md5: true, rc4: true},
}

// info returns what s means, nil when no policy knows it.
func (s Suite) info() *suiteInfo {
	for i := range suites {
		if suites[i].id == s {
			return &suites[i]
		}
	}
	return nil
}

// String returns the suite's IANA name, or its code point.
func (s Suite) String() string {
	switch s {
	case EmptyRenegotiationSCSV:
		return "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"
	case FallbackSCSV:
		return "TLS_FALLBACK_SCSV"
	}
	if i := s.info(); i != nil {
		return i.iana
	}
	return hex16(uint16(s))
}

// OpenSSL returns the name that OpenSSL and the AWS documentation use, or the code point.
func (s Suite) OpenSSL() string {
	if i := s.info(); i != nil {
		return i.openssl
	}
	return s.String()
}

// TLS13 reports whether s is a suite of TLS 1.3, which names neither key exchange
// nor signature.
func (s Suite) TLS13() bool { return s>>8 == 0x13 }

// String returns the name that the policies are written with, e.g. "TLSv1.2".
func (v Version) String() string {
	switch v {
	case SSLv3:
		return "SSLv3"
	case TLSv1:
		return "TLSv1"
	case TLSv1_1:
		return "TLSv1.1"
	case TLSv1_2:
		return "TLSv1.2"
	case TLSv1_3:
		return "TLSv1.3"
	}
	return hex16(uint16(v))
}

// The key exchange groups that policies name, and those that appear in logs.
const (
	SecP256r1          Group = 0x0017
	SecP384r1          Group = 0x0018
	SecP521r1          Group = 0x0019
	X25519             Group = 0x001D
	X448               Group = 0x001E
	FFDHE2048          Group = 0x0100
	FFDHE3072          Group = 0x0101
	SecP256r1MLKEM768  Group = 0x11EB
	X25519MLKEM768     Group = 0x11EC
	SecP384r1MLKEM1024 Group = 0x11ED
)

// String returns the group's name as the AWS documentation writes it, or its code point.
func (g Group) String() string {
	switch g {
	case SecP256r1:
		return "secp256r1"
	case SecP384r1:
		return "secp384r1"
	case SecP521r1:
		return "secp521r1"
	case X25519:
		return "x25519"
	case X448:
		return "x448"
	case FFDHE2048:
		return "ffdhe2048"
	case FFDHE3072:
		return "ffdhe3072"
	case SecP256r1MLKEM768:
		return "SecP256r1MLKEM768"
	case X25519MLKEM768:
		return "X25519MLKEM768"
	case SecP384r1MLKEM1024:
		return "SecP384r1MLKEM1024"
	case 0x6399:
		return "X25519Kyber768Draft00"
	}
	return hex16(uint16(g))
}

// PQ reports whether g is a hybrid with ML-KEM, safe against a quantum computer.
func (g Group) PQ() bool {
	return g == X25519MLKEM768 || g == SecP256r1MLKEM768 || g == SecP384r1MLKEM1024
}

// shareSize returns the length of a client's key share of g, 0 when g is unknown.
func (g Group) shareSize() int {
	const mlkem768, mlkem1024 = 1184, 1568 // encapsulation keys
	switch g {
	case X25519:
		return 32
	case SecP256r1:
		return 65
	case SecP384r1:
		return 97
	case SecP521r1:
		return 133
	case X25519MLKEM768:
		return mlkem768 + 32
	case SecP256r1MLKEM768:
		return 65 + mlkem768
	case SecP384r1MLKEM1024:
		return 97 + mlkem1024
	}
	return 0
}

// The signature schemes that policies name, and those that appear in logs.
const (
	RSAPKCS1SHA1         Scheme = 0x0201
	ECDSASHA1            Scheme = 0x0203
	RSAPKCS1SHA224       Scheme = 0x0301
	ECDSASHA224          Scheme = 0x0303
	RSAPKCS1SHA256       Scheme = 0x0401
	ECDSASecP256r1SHA256 Scheme = 0x0403
	RSAPKCS1SHA384       Scheme = 0x0501
	ECDSASecP384r1SHA384 Scheme = 0x0503
	RSAPKCS1SHA512       Scheme = 0x0601
	ECDSASecP521r1SHA512 Scheme = 0x0603
	RSAPSSRSAESHA256     Scheme = 0x0804
	RSAPSSRSAESHA384     Scheme = 0x0805
	RSAPSSRSAESHA512     Scheme = 0x0806
	Ed25519Scheme        Scheme = 0x0807
	Ed448Scheme          Scheme = 0x0808
	RSAPSSPSSSHA256      Scheme = 0x0809
	RSAPSSPSSSHA384      Scheme = 0x080A
	RSAPSSPSSSHA512      Scheme = 0x080B
)

// String returns the scheme's IANA name, or its code point.
func (s Scheme) String() string {
	switch s {
	case RSAPKCS1SHA1:
		return "rsa_pkcs1_sha1"
	case ECDSASHA1:
		return "ecdsa_sha1"
	case RSAPKCS1SHA224:
		return "rsa_pkcs1_sha224"
	case ECDSASHA224:
		return "ecdsa_sha224"
	case RSAPKCS1SHA256:
		return "rsa_pkcs1_sha256"
	case ECDSASecP256r1SHA256:
		return "ecdsa_secp256r1_sha256"
	case RSAPKCS1SHA384:
		return "rsa_pkcs1_sha384"
	case ECDSASecP384r1SHA384:
		return "ecdsa_secp384r1_sha384"
	case RSAPKCS1SHA512:
		return "rsa_pkcs1_sha512"
	case ECDSASecP521r1SHA512:
		return "ecdsa_secp521r1_sha512"
	case RSAPSSRSAESHA256:
		return "rsa_pss_rsae_sha256"
	case RSAPSSRSAESHA384:
		return "rsa_pss_rsae_sha384"
	case RSAPSSRSAESHA512:
		return "rsa_pss_rsae_sha512"
	case Ed25519Scheme:
		return "ed25519"
	case Ed448Scheme:
		return "ed448"
	case RSAPSSPSSSHA256:
		return "rsa_pss_pss_sha256"
	case RSAPSSPSSSHA384:
		return "rsa_pss_pss_sha384"
	case RSAPSSPSSSHA512:
		return "rsa_pss_pss_sha512"
	}
	return hex16(uint16(s))
}

// String returns the key type's name.
func (k KeyType) String() string {
	switch k {
	case RSA:
		return "RSA"
	case ECDSAP256:
		return "ECDSA P-256"
	case ECDSAP384:
		return "ECDSA P-384"
	case ECDSAP521:
		return "ECDSA P-521"
	case Ed25519:
		return "Ed25519"
	}
	return fmt.Sprintf("key type %d", uint8(k))
}

// IsGREASE reports whether v is one of the reserved values that clients sprinkle in
// to keep servers tolerant (RFC 8701, Section 2).
func IsGREASE(v uint16) bool {
	return v&0x0F0F == 0x0A0A && v>>8 == v&0xFF
}

// hex16 writes a code point that has no name.
func hex16(v uint16) string {
	if IsGREASE(v) {
		return "GREASE " + strings.ToUpper(fmt.Sprintf("%04x", v))
	}
	return fmt.Sprintf("0x%04X", v)
}
