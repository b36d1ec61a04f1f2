package tlspolicy

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// modern is what a browser with post-quantum key exchange offers over TCP.
func modern() Offer {
	return Offer{
		ServerName:        "a.example",
		LegacyVersion:     TLSv1_2,
		SupportedVersions: []Version{0x1A1A, TLSv1_3, TLSv1_2},
		Suites:            []Suite{0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035},
		Groups:            []Group{0x3A3A, X25519MLKEM768, X25519, SecP256r1, SecP384r1},
		KeyShares:         []Group{0x3A3A, X25519MLKEM768, X25519},
		KeyShareSizes:     []int{1, 1216, 32},
		Schemes:           []Scheme{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
		ALPN:              []string{"h2", "http/1.1"},
		HasGroups:         true, HasKeyShare: true, HasSchemes: true,
		Compression:  []byte{0},
		PointFormats: []byte{0},
	}
}

// mutation alters an offer.
type mutation = func(*Offer)

func versions(v ...Version) mutation { return func(o *Offer) { o.SupportedVersions = v } }

// legacy makes a hello without supported_versions, as clients up to TLS 1.2 send it.
func legacy(v Version) mutation {
	return func(o *Offer) {
		o.LegacyVersion, o.SupportedVersions = v, nil
		o.HasKeyShare, o.KeyShares, o.KeyShareSizes = false, nil, nil
	}
}
func offered(s ...Suite) mutation     { return func(o *Offer) { o.Suites = s } }
func groups(g ...Group) mutation      { return func(o *Offer) { o.Groups = g } }
func noGroups(o *Offer)               { o.Groups, o.HasGroups = nil, false }
func shares(g ...Group) mutation      { return func(o *Offer) { o.KeyShares, o.KeyShareSizes = g, nil } }
func noShares(o *Offer)               { o.KeyShares, o.KeyShareSizes, o.HasKeyShare = nil, nil, false }
func schemes(s ...Scheme) mutation    { return func(o *Offer) { o.Schemes = s } }
func noSchemes(o *Offer)              { o.Schemes, o.HasSchemes = nil, false }
func alpn(p ...string) mutation       { return func(o *Offer) { o.ALPN = p } }
func compression(b ...byte) mutation  { return func(o *Offer) { o.Compression = b } }
func pointFormats(b ...byte) mutation { return func(o *Offer) { o.PointFormats = b } }
func shareSizes(n ...int) mutation    { return func(o *Offer) { o.KeyShareSizes = n } }

// quic makes the hello one of HTTP/3.
func quic(o *Offer) {
	o.Transport, o.QUICParameters = QUIC, true
	o.SupportedVersions, o.ALPN = []Version{0x1A1A, TLSv1_3}, []string{"h3"}
}

var (
	rsa2048 = Certificate{Key: RSA, RSABits: 2048}
	rsa1024 = Certificate{Key: RSA, RSABits: 1024}
	rsaSign = Certificate{Key: RSA, RSABits: 2048, SignOnly: true}
	p256    = Certificate{Key: ECDSAP256}
	p384    = Certificate{Key: ECDSAP384}
	onlyRSA = []Certificate{rsa2048}
	onlyEC  = []Certificate{p256}
	both    = []Certificate{rsa2048, p256}
)

// outcome writes an outcome on one line.
func outcome(o Outcome) string {
	if o.Refused {
		return fmt.Sprintf("%s alert %d", o.Reason, o.Alert)
	}
	retry := ""
	if o.HRR {
		retry = " HRR"
	}
	return fmt.Sprintf("%v %04X %04X%s %04X cert%d %q", o.Version, uint16(o.Suite), uint16(o.Group), retry, uint16(o.Scheme), o.Certificate, o.ALPN)
}

func TestDecide(t *testing.T) {
	check := func(name string, certs []Certificate, want string, changes ...mutation) {
		t.Helper()
		p, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		o := modern()
		for _, c := range changes {
			c(&o)
		}
		s := Server{Certificates: certs, ALPN: []string{"h2", "http/1.1"}}
		if o.Transport == QUIC {
			s.ALPN = []string{"h3"}
		}
		if got := outcome(Decide(&o, p.Effective(), s)); got != want {
			t.Errorf("%s: got  %s\nwant %s", name, got, want)
		}
	}
	const (
		tls10 = "TLSv1_2016"
		y2018 = "TLSv1.2_2018"
		y2019 = "TLSv1.2_2019"
		y2021 = "TLSv1.2_2021"
		fips  = "TLSv1.2_2025"
		y2025 = "TLSv1.3_2025"
		pq    = "PQFront_TLSv1.3_PQ_2026"
		pq5   = "PQFront_TLSv1.3_PQ_Strict_2026"
	)

	// Version: the highest that both sides have (RFC 8446, Section 4.2.1).
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`)
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, versions(TLSv1_2))
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2))
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_3)) // never TLS 1.3 without the extension
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(0x0402))
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, func(o *Offer) { o.LegacyVersion = TLSv1 }) // the extension wins
	check(y2025, onlyRSA, "version_too_low alert 70", versions(TLSv1_2))
	check(y2025, onlyRSA, "version_too_low alert 70", legacy(TLSv1_2))
	check(y2021, onlyRSA, "version_too_low alert 70", versions(TLSv1_1, TLSv1))
	check(y2021, onlyRSA, "version_too_low alert 70", legacy(TLSv1_1))
	check(y2021, onlyRSA, "version_too_low alert 70", legacy(0x0002))
	check(tls10, onlyRSA, "version_too_low alert 70", legacy(SSLv3))
	check("SSLv3", onlyRSA, "version_too_low alert 70", legacy(SSLv3)) // what the engine cannot do
	check("TLSv1.1_2016", onlyRSA, "version_too_low alert 70", legacy(TLSv1))
	check(y2021, onlyRSA, "no_common_version alert 70", versions(0x0305, 0x7F1C, 0x2A2A))
	check(tls10, onlyRSA, `TLSv1.1 C013 001D 0000 cert0 "http/1.1"`, versions(TLSv1_1))
	check(tls10, onlyRSA, `TLSv1 C013 001D 0000 cert0 "http/1.1"`, legacy(TLSv1))

	// TLS_FALLBACK_SCSV (RFC 7507, Section 3)
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, offered(0x1301, FallbackSCSV))
	check(y2021, onlyRSA, "inappropriate_fallback alert 0", legacy(TLSv1_2), offered(0xC02F, FallbackSCSV))
	check(y2021, onlyRSA, "inappropriate_fallback alert 0", versions(TLSv1_2), offered(0xC02F, FallbackSCSV))
	check(tls10, onlyRSA, "inappropriate_fallback alert 0", legacy(TLSv1), offered(0xC013, FallbackSCSV))

	// Compression: only null in TLS 1.3 (RFC 8446, Section 4.1.2), at least null before.
	check(y2021, onlyRSA, "bad_compression_methods alert 0", compression(1, 0))
	check(y2021, onlyRSA, "bad_compression_methods alert 0", compression())
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), compression(1, 0))
	check(y2021, onlyRSA, "bad_compression_methods alert 0", legacy(TLSv1_2), compression(1))

	// Renegotiation, early data (RFC 5746, Section 3.6; RFC 8446, Section 4.2.10)
	check(y2021, onlyRSA, "unexpected_renegotiation_info alert 0", func(o *Offer) { o.Renegotiation = true })
	check(y2021, onlyRSA, "unexpected_renegotiation_info alert 0", legacy(TLSv1_2), func(o *Offer) { o.Renegotiation = true })
	check(y2021, onlyRSA, "unexpected_early_data alert 0", func(o *Offer) { o.EarlyData = true })
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, versions(TLSv1_2), func(o *Offer) { o.EarlyData = true })

	// TLS 1.3 suites: our order, filtered by the policy, whatever the client prefers.
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, offered(0x1303, 0x1302, 0x1301))
	check(y2021, onlyRSA, `TLSv1.3 1302 11EC 0804 cert0 "h2"`, offered(0x1303, 0x1302))
	check(y2021, onlyRSA, `TLSv1.3 1303 11EC 0804 cert0 "h2"`, offered(0x1303))
	check(fips, onlyRSA, `TLSv1.3 1302 11EC 0804 cert0 "h2"`, offered(0x1303, 0x1302))
	check(fips, onlyRSA, "no_common_suite alert 0", offered(0x1303))
	check(y2021, onlyRSA, "no_common_suite alert 0", offered(0x1304, 0xC02F)) // TLS 1.3 stays TLS 1.3
	check(y2021, onlyRSA, "no_common_suite alert 0", offered())

	// Groups: post-quantum first, even with a HelloRetryRequest; then a share that was sent.
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC HRR 0804 cert0 "h2"`, shares(X25519))
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC HRR 0804 cert0 "h2"`, shares())
	check(y2025, onlyRSA, `TLSv1.3 1301 11EB 0804 cert0 "h2"`, groups(X25519, X25519MLKEM768, SecP256r1MLKEM768), shares(X25519, SecP256r1MLKEM768))
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, groups(SecP256r1MLKEM768, X25519MLKEM768), shares(SecP256r1MLKEM768, X25519MLKEM768))
	check(y2025, onlyRSA, `TLSv1.3 1301 11EB HRR 0804 cert0 "h2"`, groups(SecP256r1, SecP256r1MLKEM768), shares(SecP256r1))
	check(y2025, onlyRSA, `TLSv1.3 1301 001D 0804 cert0 "h2"`, groups(X25519), shares(X25519))
	check(y2025, onlyRSA, `TLSv1.3 1301 0018 0804 cert0 "h2"`, groups(SecP384r1, X25519), shares(SecP384r1)) // no retry for a better curve
	check(y2025, onlyRSA, `TLSv1.3 1301 0017 0804 cert0 "h2"`, groups(SecP384r1, SecP256r1), shares(SecP384r1, SecP256r1))
	check(y2025, onlyRSA, `TLSv1.3 1301 001D HRR 0804 cert0 "h2"`, groups(SecP384r1, X25519), shares())
	check(y2025, onlyRSA, `TLSv1.3 1301 001D HRR 0804 cert0 "h2"`, groups(X25519, SecP521r1), shares(SecP521r1))
	check(y2025, onlyRSA, "no_common_group alert 0", groups(SecP521r1), shares(SecP521r1)) // the article's experiment
	check(y2025, onlyRSA, "no_common_group alert 0", groups(X448, FFDHE2048), shares())
	check(y2025, onlyRSA, `TLSv1.3 1301 0017 HRR 0804 cert0 "h2"`, groups(SecP256r1), shares(X25519)) // a share that is not listed does not count
	check(fips, onlyRSA, `TLSv1.3 1301 0017 HRR 0804 cert0 "h2"`, groups(X25519, SecP256r1), shares(X25519))
	check(fips, onlyRSA, "no_common_group alert 0", groups(X25519), shares(X25519))
	check(pq, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`)
	check(pq, onlyRSA, "no_common_group alert 0", groups(X25519, SecP256r1), shares(X25519))
	check(pq, onlyRSA, "no_common_group alert 0", groups(SecP384r1MLKEM1024), shares(SecP384r1MLKEM1024))
	check(pq5, onlyRSA, `TLSv1.3 1301 11ED 0804 cert0 "h2"`, groups(X25519MLKEM768, SecP384r1MLKEM1024), shares(X25519MLKEM768, SecP384r1MLKEM1024))
	check(pq5, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, groups(X25519MLKEM768, SecP384r1MLKEM1024), shares(X25519MLKEM768)) // a sent post-quantum share is good enough

	// Key shares: the length of the one that is used (RFC 8446, Section 4.2.8).
	check(y2025, onlyRSA, "bad_key_share alert 0", shareSizes(1, 1215, 32))
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, shareSizes(1, 1216, 31))
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, shareSizes()) // unknown
	check(y2025, onlyRSA, "bad_key_share alert 0", groups(X25519), shares(X25519, X25519), shareSizes(31, 32))
	check(y2025, onlyRSA, `TLSv1.3 1301 001D 0804 cert0 "h2"`, groups(X25519), shares(X25519, X25519), shareSizes(32, 31))

	// Mandatory extensions (RFC 8446, Section 9.2, Section 4.2.9), binders (4.2.11)
	check(y2025, onlyRSA, "missing_extension alert 0", noSchemes)
	check(y2025, onlyRSA, "missing_extension alert 0", noGroups)
	check(y2025, onlyRSA, "missing_extension alert 0", noShares)
	check(y2025, onlyRSA, "missing_extension alert 0", func(o *Offer) { o.PSKIdentities, o.PSKBinders = 1, 1 })
	check(y2025, onlyRSA, "bad_pre_shared_key alert 0", func(o *Offer) { o.PSKIdentities, o.PSKBinders, o.HasPSKModes, o.PSKWithDHE = 2, 1, true, true })
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, func(o *Offer) { o.PSKIdentities, o.PSKBinders, o.HasPSKModes = 2, 1, true })
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, func(o *Offer) { o.PSKIdentities, o.PSKBinders, o.HasPSKModes = 1, 1, true })
	check(y2025, onlyRSA, "unexpected_extension alert 0", func(o *Offer) { o.QUICParameters = true })

	// Signature schemes: our order, what fits the key (RFC 8446, Section 4.2.3).
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, schemes(0x0806, 0x0805, 0x0804))
	check(y2025, onlyRSA, `TLSv1.3 1301 11EC 0806 cert0 "h2"`, schemes(0x0401, 0x0806))
	check(y2025, onlyRSA, "no_common_signature_scheme alert 0", schemes(0x0401, 0x0403)) // PKCS #1 is no TLS 1.3 handshake signature
	check(y2025, onlyRSA, "no_common_signature_scheme alert 0", schemes(0x0809))         // needs another kind of key
	check(y2025, onlyEC, `TLSv1.3 1301 11EC 0403 cert0 "h2"`)
	check(y2025, onlyEC, "no_common_signature_scheme alert 0", schemes(0x0503, 0x0804)) // bound to its curve in TLS 1.3
	check(y2025, []Certificate{p384}, `TLSv1.3 1301 11EC 0503 cert0 "h2"`)
	check(y2025, []Certificate{{Key: ECDSAP521}}, `TLSv1.3 1301 11EC 0603 cert0 "h2"`, schemes(0x0603))
	check(y2025, []Certificate{{Key: Ed25519}}, "no_common_signature_scheme alert 0", schemes(Ed25519Scheme))
	check(y2025, []Certificate{rsa1024}, "no_common_signature_scheme alert 0", schemes(0x0806)) // 128 bytes, 130 needed
	check(y2025, []Certificate{rsa1024}, `TLSv1.3 1301 11EC 0805 cert0 "h2"`, schemes(0x0806, 0x0805))
	check(y2021, []Certificate{rsa1024}, `TLSv1.2 C02F 001D 0601 cert0 "h2"`, legacy(TLSv1_2), schemes(0x0806, 0x0601))
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), schemes(0x0401, 0x0804)) // PSS first in TLS 1.2 too
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0401 cert0 "h2"`, legacy(TLSv1_2), schemes(0x0501, 0x0401))
	check(y2021, onlyEC, `TLSv1.2 C02B 001D 0503 cert0 "h2"`, legacy(TLSv1_2), schemes(0x0503)) // not bound in TLS 1.2
	check(y2021, onlyRSA, "no_common_signature_scheme alert 0", legacy(TLSv1_2), schemes(0x0301, 0x0201))
	check(tls10, onlyRSA, `TLSv1.2 009C 0000 0000 cert0 "http/1.1"`, legacy(TLSv1_2), schemes(0x0201)) // RSA key transport signs nothing
	check(tls10, onlyRSA, `TLSv1.2 009C 0000 0000 cert0 "http/1.1"`, legacy(TLSv1_2), noSchemes)       // SHA-1 by default (RFC 5246, Section 7.4.1.4.1)
	check(y2021, onlyRSA, "no_common_signature_scheme alert 0", legacy(TLSv1_2), noSchemes)
	check(tls10, onlyRSA, `TLSv1.1 C013 001D 0000 cert0 "http/1.1"`, legacy(TLSv1_1), noSchemes)

	// Certificates: ECDSA first in TLS 1.3; the suite's in TLS 1.2.
	check(y2025, both, `TLSv1.3 1301 11EC 0403 cert1 "h2"`)
	check(y2025, both, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, schemes(0x0804, 0x0503))
	check(y2025, []Certificate{rsa2048, p384, p256}, `TLSv1.3 1301 11EC 0503 cert1 "h2"`)
	check(y2025, []Certificate{rsa2048, p384, p256}, `TLSv1.3 1301 11EC 0403 cert2 "h2"`, schemes(0x0403, 0x0804))
	check(y2021, both, `TLSv1.2 C02B 001D 0403 cert1 "h2"`, legacy(TLSv1_2))
	check(y2021, both, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), offered(0xC030, 0xC02C, 0xC02F))
	check(y2021, both, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), schemes(0x0804)) // RFC 5246, Section 7.4.3
	check(y2021, onlyEC, "no_certificate alert 0", legacy(TLSv1_2), offered(0xC02F))
	check(y2021, onlyRSA, "no_certificate alert 0", legacy(TLSv1_2), offered(0xC02B))
	check(y2021, nil, "no_certificate alert 0")
	check(y2021, nil, "no_certificate alert 0", legacy(TLSv1_2))
	check(y2018, []Certificate{rsaSign}, "no_certificate alert 0", legacy(TLSv1_2), offered(0x009C))
	check(y2018, []Certificate{rsaSign, rsa2048}, `TLSv1.2 009C 0000 0000 cert1 "http/1.1"`, legacy(TLSv1_2), offered(0x009C))
	check(tls10, []Certificate{{Key: Ed25519}}, "no_certificate alert 0", legacy(TLSv1), offered(0xC009))

	// TLS 1.2 and older: our order of suites, the version's, not the client's.
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), offered(0xCCA8, 0xC030, 0xC02F))
	check(y2019, onlyRSA, `TLSv1.2 C027 001D 0804 cert0 "http/1.1"`, legacy(TLSv1_2), offered(0xC028, 0xC027)) // C028 is beyond the engine
	check(y2018, onlyRSA, `TLSv1.2 C027 001D 0804 cert0 "http/1.1"`, legacy(TLSv1_2), offered(0xC030, 0xC027)) // copied, not improved
	check(y2021, onlyRSA, "no_common_suite alert 0", legacy(TLSv1_2), offered(0xC013, 0x009C, 0x1301))
	check(tls10, onlyRSA, `TLSv1 0035 0000 0000 cert0 "http/1.1"`, legacy(TLSv1), offered(0x009C, 0x002F, 0x0035))
	check(tls10, onlyRSA, "no_common_suite alert 0", legacy(TLSv1), offered(0xC02F, 0x000A))
	check("TLSv1", onlyRSA, `TLSv1 000A 0000 0000 cert0 "http/1.1"`, legacy(TLSv1), offered(0x000A))
	check("SSLv3", onlyRSA, "no_common_suite alert 0", legacy(TLSv1), offered(0x0004))

	// Curves before TLS 1.3: our order, classical ones only; none without the extension.
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), groups(SecP384r1, SecP256r1, X25519))
	check(y2021, onlyRSA, `TLSv1.2 C02F 0018 0804 cert0 "h2"`, legacy(TLSv1_2), groups(X25519MLKEM768, SecP384r1))
	check(fips, onlyRSA, `TLSv1.2 C02F 0017 0804 cert0 "h2"`, legacy(TLSv1_2))
	check(y2021, onlyRSA, "no_common_group alert 0", legacy(TLSv1_2), groups(X25519MLKEM768, SecP521r1))
	check(y2021, onlyRSA, "no_common_group alert 0", legacy(TLSv1_2), noGroups)
	check(tls10, onlyRSA, `TLSv1.2 009C 0000 0000 cert0 "http/1.1"`, legacy(TLSv1_2), noGroups)

	// Point formats (RFC 8422, Section 5.1.2); TLS 1.3 has none.
	check(y2021, onlyRSA, "no_common_point_format alert 0", legacy(TLSv1_2), pointFormats(1, 2))
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), pointFormats(2, 0))
	check(y2021, onlyRSA, `TLSv1.2 C02F 001D 0804 cert0 "h2"`, legacy(TLSv1_2), pointFormats())
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, pointFormats(1))

	// ALPN: our order; nothing in common is no reason to refuse over TCP.
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h2"`, alpn("http/1.1", "h2"))
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "http/1.1"`, alpn("http/1.1"))
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 ""`, alpn())
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 ""`, alpn("spdy/3", "h3"))
	check(tls10, onlyRSA, `TLSv1.1 C013 001D 0000 cert0 ""`, legacy(TLSv1_1), alpn("h2")) // RFC 9113, Section 9.2

	// QUIC: TLS 1.3 only, parameters and a protocol are a must (RFC 9001).
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h3"`, quic)
	check(pq, onlyEC, `TLSv1.3 1301 11EC HRR 0403 cert0 "h3"`, quic, shares(X25519))
	check(y2021, onlyRSA, "version_too_low alert 70", quic, versions(TLSv1_3, TLSv1_2)) // RFC 9001, Section 4.2
	check(y2021, onlyRSA, "version_too_low alert 70", quic, legacy(TLSv1_2))
	check(y2021, onlyRSA, "missing_extension alert 0", quic, func(o *Offer) { o.QUICParameters = false }) // RFC 9001, Section 8.2
	check(y2021, onlyRSA, "no_application_protocol alert 0", quic, alpn("h2"))                            // RFC 9001, Section 8.1
	check(y2021, onlyRSA, "no_application_protocol alert 0", quic, alpn())
	check(y2021, onlyRSA, "unexpected_early_data alert 0", quic, func(o *Offer) { o.EarlyData = true })
	check(y2021, onlyRSA, `TLSv1.3 1301 11EC 0804 cert0 "h3"`, quic, func(o *Offer) { o.EarlyData, o.PSKIdentities, o.PSKBinders, o.HasPSKModes = true, 1, 1, true })
}

// anyOffer draws offers from small alphabets, so that intersections are neither
// rare nor certain.
func anyOffer(t *rapid.T) Offer {
	subset := func(label string, all []uint16) []uint16 {
		return rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID).Draw(t, label)
	}
	var suiteCodes []uint16
	for i := range suites {
		suiteCodes = append(suiteCodes, uint16(suites[i].id))
	}
	o := Offer{
		Transport:     Transport(rapid.IntRange(0, 9).Draw(t, "transport") / 9),
		LegacyVersion: Version(rapid.Uint16Range(0x02FF, 0x0305).Draw(t, "legacy")),
		Suites:        as[Suite](subset("suites", append(suiteCodes, 0x5600, 0x0A0A, 0x1304))),
		Groups:        as[Group](subset("groups", []uint16{0x17, 0x18, 0x19, 0x1D, 0x11EB, 0x11EC, 0x11ED, 0x2A2A})),
		KeyShares:     as[Group](subset("shares", []uint16{0x17, 0x18, 0x19, 0x1D, 0x11EB, 0x11EC, 0x11ED, 0x2A2A})),
		Schemes:       as[Scheme](subset("schemes", []uint16{0x201, 0x203, 0x301, 0x401, 0x403, 0x501, 0x503, 0x601, 0x603, 0x804, 0x805, 0x806, 0x807, 0x809})),
		ALPN:          rapid.SliceOfDistinct(rapid.SampledFrom([]string{"h2", "http/1.1", "h3"}), rapid.ID).Draw(t, "alpn"),
		HasGroups:     rapid.IntRange(0, 9).Draw(t, "hasGroups") > 0,
		HasSchemes:    rapid.IntRange(0, 9).Draw(t, "hasSchemes") > 0,
		HasKeyShare:   rapid.IntRange(0, 9).Draw(t, "hasShares") > 0,
		Compression:   []byte{0},
	}
	if rapid.IntRange(0, 3).Draw(t, "hasVersions") > 0 {
		o.SupportedVersions = as[Version](subset("versions", []uint16{0x300, 0x301, 0x302, 0x303, 0x304, 0x1A1A}))
	}
	o.QUICParameters = o.Transport == QUIC
	return o
}

func as[T ~uint16](list []uint16) []T {
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = T(v)
	}
	return out
}

func anyServer(t *rapid.T) Server {
	kinds := []Certificate{rsa2048, rsa1024, p256, p384}
	return Server{
		Certificates: rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 3).Draw(t, "certificates"),
		ALPN:         rapid.SampledFrom([][]string{{"h2", "http/1.1"}, {"http/1.1"}, {"h3"}, nil}).Draw(t, "serverALPN"),
	}
}

func anyPolicy(t *rapid.T) *Policy {
	p := rapid.SampledFrom(All()).Draw(t, "policy")
	if rapid.Bool().Draw(t, "effective") {
		return p.Effective()
	}
	return p
}

// TestIntersection: whatever is agreed on, both sides offered, and it fits together.
func TestIntersection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, p, s := anyOffer(t), anyPolicy(t), anyServer(t)
		before := fmt.Sprint(o, *p, s)
		out := Decide(&o, p, s)
		if out != Decide(&o, p, s) || fmt.Sprint(o, *p, s) != before {
			t.Fatal("Decide is not pure")
		}
		if out.Refused {
			if out.Reason == "" || out.Version != 0 || out.Suite != 0 || out.ALPN != "" {
				t.Fatalf("half refused: %+v", out)
			}
			if _, want := CloudFrontAlerts.Alert(out.Reason); out.Alert != want {
				t.Fatalf("alert %v, want %v", out.Alert, want)
			}
			return
		}
		info := out.Suite.info()
		cert := s.Certificates[out.Certificate]
		switch {
		case out.Version < p.MinVersion || out.Version > p.MaxVersion || !o.offersVersion(out.Version):
			t.Fatal("version")
		case !slices.Contains(o.Suites, out.Suite) || !slices.Contains(p.Suites, out.Suite):
			t.Fatal("suite")
		case (out.Version == TLSv1_3) != out.Suite.TLS13() || info.min > out.Version:
			t.Fatal("suite of another version")
		case out.Group != 0 && (!slices.Contains(o.Groups, out.Group) || !slices.Contains(p.Groups, out.Group)):
			t.Fatal("group")
		case (out.Group == 0) != (info.kx == kxRSA):
			t.Fatal("group without need, or need without group")
		case out.Group.PQ() && out.Version < TLSv1_3:
			t.Fatal("post-quantum group before TLS 1.3")
		case out.HRR && (out.Version < TLSv1_3 || slices.Contains(o.KeyShares, out.Group)):
			t.Fatal("needless HelloRetryRequest")
		case !out.HRR && out.Version == TLSv1_3 && !slices.Contains(o.KeyShares, out.Group):
			t.Fatal("missing HelloRetryRequest")
		case (out.Scheme == 0) != (info.kx == kxRSA || out.Version < TLSv1_2):
			t.Fatal("scheme without need, or need without scheme")
		case out.Scheme != 0 && (!slices.Contains(o.schemes12(), out.Scheme) || !slices.Contains(p.Schemes, out.Scheme) || !cert.canSign(out.Scheme, out.Version)):
			t.Fatal("scheme")
		case info.auth == authRSA && cert.Key != RSA || info.auth == authECDSA && cert.Key == RSA:
			t.Fatal("certificate of the wrong kind")
		case out.ALPN != "" && (!slices.Contains(o.ALPN, out.ALPN) || !slices.Contains(s.ALPN, out.ALPN)):
			t.Fatal("ALPN")
		case o.Transport == QUIC && (out.Version != TLSv1_3 || out.ALPN == ""):
			t.Fatal("QUIC")
		}
	})
}

// TestMonotone: what is taken out of a policy is never agreed on again; and taking
// out what was not agreed on changes nothing but, perhaps, by refusing less.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, p, s := anyOffer(t), anyPolicy(t), anyServer(t)
		out := Decide(&o, p, s)
		if out.Refused {
			return
		}
		without := func(change func(*Policy)) Outcome {
			q := p.clone()
			change(q)
			return Decide(&o, q, s)
		}
		drop := func(suite Suite, group Group, scheme Scheme) func(*Policy) {
			return func(q *Policy) {
				q.Suites = slices.DeleteFunc(q.Suites, func(x Suite) bool { return x == suite })
				q.Groups = slices.DeleteFunc(q.Groups, func(x Group) bool { return x == group })
				q.Schemes = slices.DeleteFunc(q.Schemes, func(x Scheme) bool { return x == scheme })
			}
		}
		if next := without(drop(out.Suite, 0, 0)); next.Suite == out.Suite {
			t.Fatal("a removed suite was agreed on")
		}
		if next := without(drop(0, out.Group, 0)); out.Group != 0 && next.Group == out.Group {
			t.Fatal("a removed group was agreed on")
		}
		if next := without(drop(0, 0, out.Scheme)); out.Scheme != 0 && next.Scheme == out.Scheme {
			t.Fatal("a removed scheme was agreed on")
		}
		if next := without(func(q *Policy) { q.MinVersion = out.Version + 1 }); q13(p, out) && next.Version == out.Version {
			t.Fatal("a version below the floor was agreed on")
		}
		other := rapid.SampledFrom(p.Suites).Draw(t, "unused suite")
		if next := without(drop(other, 0, 0)); other != out.Suite && next != out {
			t.Fatalf("removing %v changed %+v to %+v", other, out, next)
		}
		group := rapid.SampledFrom(p.Groups).Draw(t, "unused group")
		if next := without(drop(0, group, 0)); group != out.Group && out.Group != 0 && next != out {
			t.Fatalf("removing %v changed %+v to %+v", group, out, next)
		}
	})
}

// q13 reports whether the policy has room for a higher floor.
func q13(p *Policy, out Outcome) bool { return out.Version < p.MaxVersion }

// TestPQWins: with a policy that offers it, a client that lists a post-quantum group
// of ours never gets a classical one in TLS 1.3.
func TestPQWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, p, s := anyOffer(t), anyPolicy(t), anyServer(t)
		out := Decide(&o, p, s)
		common := slices.ContainsFunc(p.Groups, func(g Group) bool { return g.PQ() && slices.Contains(o.Groups, g) })
		if !out.Refused && out.Version == TLSv1_3 && common != out.Group.PQ() {
			t.Fatalf("common post-quantum group: %v, agreed on %v", common, out.Group)
		}
		if !out.Refused && len(RequiresPQ(p)) == 0 && !out.Group.PQ() {
			t.Fatal("a policy that requires post-quantum key exchange agreed on another")
		}
	})
}

func TestDecideDoesNotAllocate(t *testing.T) {
	o := modern()
	p, _ := Lookup("TLSv1_2016")
	s := Server{Certificates: both, ALPN: []string{"h2", "http/1.1"}}
	if n := testing.AllocsPerRun(100, func() { Decide(&o, p, s) }); n != 0 {
		t.Errorf("TLS 1.3: %v allocations", n)
	}
	legacy(TLSv1_2)(&o)
	if n := testing.AllocsPerRun(100, func() { Decide(&o, p, s) }); n != 0 {
		t.Errorf("TLS 1.2: %v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	p, _ := Lookup("TLSv1_2016")
	s := Server{Certificates: both, ALPN: []string{"h2", "http/1.1"}}
	run := func(name string, changes ...mutation) {
		o := modern()
		for _, c := range changes {
			c(&o)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decide(&o, p, s)
			}
		})
	}
	run("tls13")
	run("tls12", legacy(TLSv1_2))
	run("refused", legacy(TLSv1_2), offered(0x1301, 0x1302, 0xC0FF))
}
