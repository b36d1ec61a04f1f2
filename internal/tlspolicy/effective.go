package tlspolicy

// Kind is what part of a policy an item belongs to.
type Kind string

// The kinds, in the order of reports.
const (
	KindVersion Kind = "version"
	KindSuite   Kind = "suite"
	KindGroup   Kind = "group"
	KindScheme  Kind = "scheme"
)

// Missing is one item that a policy names and our engine cannot do.
type Missing struct {
	Kind   Kind   `json:"kind"`
	Code   uint16 `json:"code"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Effective returns p narrowed to what our engine, Go's crypto/tls, can do. It
// keeps the name and the order. The live edge decides with it.
func (p *Policy) Effective() *Policy {
	e := p.clone()
	for e.MinVersion < e.MaxVersion && versionGap(e.MinVersion) != "" {
		e.MinVersion++
	}
	e.Suites = keep(e.Suites, suiteGap)
	e.Groups = keep(e.Groups, groupGap)
	e.Schemes = keep(e.Schemes, schemeGap)
	return e
}

// keep returns the items for which gap has nothing to say.
func keep[T any](list []T, gap func(T) string) []T {
	kept := list[:0]
	for _, item := range list {
		if gap(item) == "" {
			kept = append(kept, item)
		}
	}
	return kept
}

// Gaps returns what p names and the engine cannot do, each with the reason. It is
// the difference between p and p.Effective().
func (p *Policy) Gaps() []Missing {
	var gaps []Missing
	for v := p.MinVersion; v <= p.MaxVersion; v++ {
		if why := versionGap(v); why != "" {
			gaps = append(gaps, Missing{KindVersion, uint16(v), v.String(), why})
		}
	}
	for _, s := range p.Suites {
		if why := suiteGap(s); why != "" {
			gaps = append(gaps, Missing{KindSuite, uint16(s), s.String(), why})
		}
	}
	for _, g := range p.Groups {
		if why := groupGap(g); why != "" {
			gaps = append(gaps, Missing{KindGroup, uint16(g), g.String(), why})
		}
	}
	for _, s := range p.Schemes {
		if why := schemeGap(s); why != "" {
			gaps = append(gaps, Missing{KindScheme, uint16(s), s.String(), why})
		}
	}
	return gaps
}

func versionGap(v Version) string {
	if v == SSLv3 {
		return "crypto/tls has no SSL 3.0 (RFC 7568 forbids it)"
	}
	return ""
}

func suiteGap(s Suite) string {
	switch s {
	case TLS_RSA_WITH_RC4_128_MD5:
		return "crypto/tls has no RC4-MD5 (RFC 7465 forbids RC4)"
	case TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384:
		return "crypto/tls has no CBC suite with HMAC-SHA-384"
	}
	if s.info() == nil {
		return "crypto/tls does not know this suite"
	}
	return ""
}

func groupGap(g Group) string {
	if g.shareSize() == 0 {
		return "crypto/tls does not know this group"
	}
	return ""
}

func schemeGap(s Scheme) string {
	switch s {
	case RSAPSSPSSSHA256, RSAPSSPSSSHA384, RSAPSSPSSSHA512:
		return "crypto/tls does not sign with id-RSASSA-PSS keys, and certificates have rsaEncryption keys"
	case RSAPKCS1SHA224, ECDSASHA224:
		return "crypto/tls has no SHA-224 signatures"
	case RSAPKCS1SHA1, ECDSASHA1:
		return "crypto/tls signs with SHA-1 in TLS 1.2 only under GODEBUG tlssha1=1 (RFC 9155 forbids it)"
	}
	if s.minRSABytes() > 0 {
		return ""
	}
	switch s {
	case ECDSASecP256r1SHA256, ECDSASecP384r1SHA384, ECDSASecP521r1SHA512, Ed25519Scheme:
		return ""
	}
	return "crypto/tls does not know this scheme"
}
