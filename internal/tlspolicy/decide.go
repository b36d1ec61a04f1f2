package tlspolicy

import "slices"

// Decide says what the handshake for o will agree on under p, or why it is
// refused. It is pure and does not allocate. p should be an effective policy when
// the outcome is to be executed (Policy.Effective).
//
// An outcome that is not refused is what crypto/tls does with a configuration
// narrowed to exactly it; what Decide cannot see are the contents of key shares
// and whether a ticket is ours.
func Decide(o *Offer, p *Policy, s Server) Outcome {
	version, reason := decideVersion(o, p)
	if reason != "" {
		return refuse(reason)
	}
	// RFC 7507, Section 3. The version is the hello's own, which a TLS 1.3 client
	// freezes at TLS 1.2.
	if slices.Contains(o.Suites, FallbackSCSV) && version < p.MaxVersion && o.LegacyVersion < p.MaxVersion {
		return refuse(ReasonInappropriateFallback)
	}
	if o.Renegotiation { // RFC 5746, Section 3.6
		return refuse(ReasonRenegotiation)
	}
	if version == TLSv1_3 {
		return decide13(o, p, s)
	}
	return decide12(o, p, s, version)
}

func refuse(r Reason) Outcome {
	_, alert := cloudFrontAlert(r)
	return Outcome{Refused: true, Reason: r, Alert: alert, Certificate: -1}
}

// decideVersion picks the highest version that both sides have.
func decideVersion(o *Offer, p *Policy) (Version, Reason) {
	floor := p.MinVersion
	if o.Transport == QUIC {
		floor = max(floor, TLSv1_3) // RFC 9001, Section 4.2
		for _, v := range o.SupportedVersions {
			if v < TLSv1_3 {
				return 0, ReasonVersionTooLow // RFC 9001, Section 4.2
			}
		}
	}
	for v := p.MaxVersion; v >= floor; v-- {
		if o.offersVersion(v) {
			return v, ""
		}
	}
	for v := floor - 1; v >= SSLv3; v-- {
		if o.offersVersion(v) {
			return 0, ReasonVersionTooLow
		}
	}
	if o.SupportedVersions == nil && o.LegacyVersion < floor {
		return 0, ReasonVersionTooLow
	}
	return 0, ReasonNoCommonVersion
}

// offersVersion reports whether the client offers v. Without supported_versions
// the hello's version is the highest offered, and never more than TLS 1.2
// (RFC 8446, Section 4.2.1).
func (o *Offer) offersVersion(v Version) bool {
	if o.SupportedVersions != nil {
		return slices.Contains(o.SupportedVersions, v)
	}
	return v <= min(o.LegacyVersion, TLSv1_2)
}

// decide13 decides a TLS 1.3 handshake.
func decide13(o *Offer, p *Policy, s Server) Outcome {
	if reason := check13(o); reason != "" {
		return refuse(reason)
	}
	out := Outcome{Version: TLSv1_3}
	if out.Suite = firstCommon13(p.Suites, o.Suites); out.Suite == 0 {
		return refuse(ReasonNoCommonSuite)
	}
	out.Group, out.HRR = decideGroup13(o, p)
	if out.Group == 0 {
		return refuse(ReasonNoCommonGroup)
	}
	if !out.HRR && !o.shareFits(out.Group) {
		return refuse(ReasonKeyShare)
	}
	var reason Reason
	if out.Certificate, out.Scheme, reason = decideCertificate13(o, p, s); reason != "" {
		return refuse(reason)
	}
	out.ALPN = decideALPN(o, s, TLSv1_3, out.Suite)
	if out.ALPN == "" && o.Transport == QUIC {
		return refuse(ReasonNoALPN) // RFC 9001, Section 8.1
	}
	return out
}

// check13 checks what a TLS 1.3 hello must and must not contain.
func check13(o *Offer) Reason {
	if len(o.Compression) != 1 || o.Compression[0] != 0 {
		return ReasonCompression // RFC 8446, Section 4.1.2
	}
	// Deviation: RFC 8446, Section 4.2.10: a server that does not take early data skips
	// it; over TCP, crypto/tls refuses it. None of our tickets allows any. Over QUIC it
	// is another packet, and only wrong without a ticket.
	if o.EarlyData && (o.Transport == TCP || o.PSKIdentities == 0) {
		return ReasonEarlyData
	}
	// RFC 8446, Section 9.2
	if !o.HasSchemes || !o.HasGroups || !o.HasKeyShare {
		return ReasonMissingExtension
	}
	if o.PSKIdentities > 0 && !o.HasPSKModes {
		return ReasonMissingExtension // RFC 8446, Section 4.2.9
	}
	// RFC 8446, Section 4.2.11. Without psk_dhe_ke no ticket is looked at.
	if o.PSKWithDHE && o.PSKIdentities != o.PSKBinders {
		return ReasonPSK
	}
	if o.Transport == QUIC && !o.QUICParameters {
		return ReasonMissingExtension // RFC 9001, Section 8.2
	}
	if o.Transport == TCP && o.QUICParameters {
		return ReasonUnexpectedExtension // RFC 9001, Section 8.2
	}
	return ""
}

// firstCommon13 returns the first TLS 1.3 suite of ours that the client offers.
func firstCommon13(ours, theirs []Suite) Suite {
	for _, s := range ours {
		if s.TLS13() && slices.Contains(theirs, s) {
			return s
		}
	}
	return 0
}

// decideGroup13 picks the group: a post-quantum one wins even at the price of a
// HelloRetryRequest; within its kind one with a key share wins; then our order.
// A key share for a group that the client does not list does not count.
func decideGroup13(o *Offer, p *Policy) (Group, bool) {
	for _, pq := range [...]bool{true, false} {
		var retry Group
		for _, g := range p.Groups {
			if g.PQ() != pq || !slices.Contains(o.Groups, g) {
				continue
			}
			if slices.Contains(o.KeyShares, g) {
				return g, false
			}
			if retry == 0 {
				retry = g
			}
		}
		if retry != 0 {
			return retry, true
		}
	}
	return 0, false
}

// shareFits reports whether the first key share for g has g's length. Of several
// for one group, which is forbidden, the engine takes the first.
func (o *Offer) shareFits(g Group) bool {
	i := slices.Index(o.KeyShares, g)
	return i < 0 || i >= len(o.KeyShareSizes) || o.KeyShareSizes[i] == g.shareSize()
}

// decideCertificate13 picks the certificate and its scheme: ECDSA first, because
// its signature costs a small part of an RSA one.
func decideCertificate13(o *Offer, p *Policy, s Server) (int, Scheme, Reason) {
	if len(s.Certificates) == 0 {
		return 0, 0, ReasonNoCertificate
	}
	for _, rsa := range [...]bool{false, true} {
		for i := range s.Certificates {
			c := &s.Certificates[i]
			if (c.Key == RSA) != rsa {
				continue
			}
			if scheme := decideScheme(o.Schemes, p.Schemes, c, TLSv1_3); scheme != 0 {
				return i, scheme, ""
			}
		}
	}
	return 0, 0, ReasonNoCommonScheme
}

// decide12 decides a handshake of TLS 1.2 or older: the first suite of ours for
// which everything that it needs was offered too. RFC 5246, Section 7.4.3 demands
// to check candidates against signature_algorithms before selecting them.
func decide12(o *Offer, p *Policy, s Server, version Version) Outcome {
	if !slices.Contains(o.Compression, 0) {
		return refuse(ReasonCompression) // RFC 5246, Section 7.4.1.2
	}
	if len(o.PointFormats) > 0 && !slices.Contains(o.PointFormats, 0) {
		return refuse(ReasonPointFormats) // RFC 8422, Section 5.1.2
	}
	group := decideGroup12(o, p)
	reason, depth := ReasonNoCommonSuite, 0
	for _, suite := range p.Suites {
		info := suite.info()
		if info == nil || info.kx == kxAny || info.min > version || !slices.Contains(o.Suites, suite) {
			continue
		}
		cert, scheme, why, d := decideSuite12(o, p, s, version, info, group)
		if why == "" {
			out := Outcome{Version: version, Suite: suite, Scheme: scheme, Certificate: cert}
			if info.kx == kxECDHE {
				out.Group = group
			}
			out.ALPN = decideALPN(o, s, version, suite)
			return out
		}
		if d > depth { // the candidate that came furthest explains best
			reason, depth = why, d
		}
	}
	return refuse(reason)
}

// decideGroup12 picks the curve in our order. A client that lists no groups gets
// none.
//
// Deviation: CloudFront takes P-256 for a client without supported_groups;
// crypto/tls then only does RSA key transport.
func decideGroup12(o *Offer, p *Policy) Group {
	for _, g := range p.Groups {
		if !g.PQ() && slices.Contains(o.Groups, g) {
			return g
		}
	}
	return 0
}

// decideSuite12 looks for a certificate, curve and scheme for one suite. When
// something is missing it says what, and how far it came.
func decideSuite12(o *Offer, p *Policy, s Server, v Version, info *suiteInfo, group Group) (int, Scheme, Reason, int) {
	reason, depth := ReasonNoCertificate, 1
	for i := range s.Certificates {
		c := &s.Certificates[i]
		if !c.fits(info) {
			continue
		}
		if info.kx == kxRSA {
			return i, 0, "", 0
		}
		if group == 0 {
			reason, depth = ReasonNoCommonGroup, 2
			continue
		}
		if v < TLSv1_2 { // the signature's hash is fixed (RFC 4346, Section 7.4.3)
			if c.Key != Ed25519 {
				return i, 0, "", 0
			}
			continue
		}
		if scheme := decideScheme(o.schemes12(), p.Schemes, c, v); scheme != 0 {
			return i, scheme, "", 0
		}
		reason, depth = ReasonNoCommonScheme, 3
	}
	return 0, 0, reason, depth
}

// fits reports whether the certificate's key is of the kind that the suite names.
func (c *Certificate) fits(info *suiteInfo) bool {
	if info.auth == authRSA {
		return c.Key == RSA && (info.kx != kxRSA || !c.SignOnly)
	}
	return c.Key != RSA
}

// defaultSchemes12 is what a TLS 1.2 client without signature_algorithms is taken
// to accept (RFC 5246, Section 7.4.1.4.1).
var defaultSchemes12 = [...]Scheme{RSAPKCS1SHA1, ECDSASHA1}

func (o *Offer) schemes12() []Scheme {
	if o.HasSchemes {
		return o.Schemes
	}
	return defaultSchemes12[:]
}

// decideScheme picks the first scheme of ours that the client offers and that the
// key can make, 0 when there is none.
func decideScheme(theirs, ours []Scheme, c *Certificate, v Version) Scheme {
	for _, s := range ours {
		if c.canSign(s, v) && slices.Contains(theirs, s) {
			return s
		}
	}
	return 0
}

// canSign reports whether the key can make signatures of scheme s in version v.
func (c *Certificate) canSign(s Scheme, v Version) bool {
	if c.Key == RSA {
		if v >= TLSv1_3 && !s.rsaPSS() {
			return false // RFC 8446, Section 4.2.3: PKCS #1 is for certificates only
		}
		need := s.minRSABytes()
		return need > 0 && (c.RSABits+7)/8 >= need
	}
	if c.Key == Ed25519 {
		return s == Ed25519Scheme
	}
	if v >= TLSv1_3 { // RFC 8446, Section 4.2.3: bound to the curve
		switch c.Key {
		case ECDSAP256:
			return s == ECDSASecP256r1SHA256
		case ECDSAP384:
			return s == ECDSASecP384r1SHA384
		case ECDSAP521:
			return s == ECDSASecP521r1SHA512
		}
		return false
	}
	switch s { // RFC 8446, Section 4.2.3: not bound to a curve in TLS 1.2
	case ECDSASecP256r1SHA256, ECDSASecP384r1SHA384, ECDSASecP521r1SHA512, ECDSASHA224, ECDSASHA1:
		return true
	}
	return false
}

func (s Scheme) rsaPSS() bool {
	return s == RSAPSSRSAESHA256 || s == RSAPSSRSAESHA384 || s == RSAPSSRSAESHA512
}

// minRSABytes is the smallest modulus that s fits into, 0 when an rsaEncryption key
// cannot make s at all. rsa_pss_pss needs a key of its own kind.
func (s Scheme) minRSABytes() int {
	switch s {
	// RFC 8017, Section 9.1.1: twice the hash and two bytes, salt as long as the hash
	case RSAPSSRSAESHA256:
		return 2*32 + 2
	case RSAPSSRSAESHA384:
		return 2*48 + 2
	case RSAPSSRSAESHA512:
		return 2*64 + 2
	// RFC 8017, Section 9.2: prefix, hash and eleven bytes
	case RSAPKCS1SHA224:
		return 19 + 28 + 11
	case RSAPKCS1SHA256:
		return 19 + 32 + 11
	case RSAPKCS1SHA384:
		return 19 + 48 + 11
	case RSAPKCS1SHA512:
		return 19 + 64 + 11
	case RSAPKCS1SHA1:
		return 15 + 20 + 11
	}
	return 0
}

// decideALPN picks the protocol in our order; "" when there is none in common,
// which ends only QUIC handshakes.
func decideALPN(o *Offer, s Server, v Version, suite Suite) string {
	for _, proto := range s.ALPN {
		if proto == "h2" && !allowsHTTP2(v, suite) {
			continue
		}
		if slices.Contains(o.ALPN, proto) {
			return proto
		}
	}
	return ""
}

// allowsHTTP2 reports whether HTTP/2 may run over this version and suite: TLS 1.2 or
// newer (RFC 9113, Section 9.2), and not a suite that clients may refuse with
// INADEQUATE_SECURITY (RFC 9113, Appendix A), of ours all but the ephemeral AEAD ones.
func allowsHTTP2(v Version, suite Suite) bool {
	if v != TLSv1_2 {
		return v == TLSv1_3
	}
	info := suite.info()
	return info != nil && info.aead && info.kx == kxECDHE
}
