package tlspolicy

// Rule is a claim that a policy may keep or break.
type Rule struct {
	Name string `json:"name"` // for tables and JSON
	Text string `json:"text"` // what is claimed
	// Check returns what breaks the claim; nothing when it holds.
	Check func(*Policy) []Offender `json:"-"`
}

// Offender is one item of a policy that breaks a rule.
type Offender struct {
	Kind Kind   `json:"kind"`
	Code uint16 `json:"code,omitempty"` // 0: the policy as a whole
	Name string `json:"name"`
}

// Rules returns the rules in the order of reports.
func Rules() []Rule {
	return []Rule{
		{"forward_secret", "every suite's key exchange is ephemeral", ForwardSecret},
		{"offers_pq", "post-quantum key exchange is possible", OffersPQ},
		{"requires_pq", "nothing but post-quantum key exchange is possible", RequiresPQ},
		{"fips_approved", "suites and groups are FIPS-approved", FIPSApproved},
		{"no_sha1", "SHA-1 authenticates nothing", NoSHA1},
	}
}

// ForwardSecret returns the suites whose key exchange is not ephemeral.
func ForwardSecret(p *Policy) []Offender {
	return p.suitesWhere(func(i *suiteInfo) bool { return i.kx == kxRSA })
}

// OffersPQ returns one offender when no handshake under p can be post-quantum.
func OffersPQ(p *Policy) []Offender {
	for _, g := range p.Groups {
		if g.PQ() && p.MaxVersion >= TLSv1_3 { // PQ groups exist in TLS 1.3 only
			return nil
		}
	}
	return []Offender{{Kind: KindGroup, Name: "no post-quantum group"}}
}

// RequiresPQ returns everything that lets a client connect without post-quantum key
// exchange: old versions, classical groups.
func RequiresPQ(p *Policy) []Offender {
	found := OffersPQ(p)
	for v := p.MinVersion; v <= p.MaxVersion && v < TLSv1_3; v++ {
		found = append(found, Offender{KindVersion, uint16(v), v.String()})
	}
	for _, g := range p.Groups {
		if !g.PQ() {
			found = append(found, Offender{KindGroup, uint16(g), g.String()})
		}
	}
	return found
}

// FIPSApproved returns the suites and groups that are not approved (NIST SP 800-52
// Rev. 2, Section 3.3.1; NIST SP 800-56A Rev. 3, Appendix D). A hybrid with ML-KEM is
// approved whatever its classical part (NIST SP 800-56C Rev. 2, Section 2).
func FIPSApproved(p *Policy) []Offender {
	found := p.suitesWhere(func(i *suiteInfo) bool { return !i.fips })
	for _, g := range p.Groups {
		if !g.PQ() && g != SecP256r1 && g != SecP384r1 && g != SecP521r1 {
			found = append(found, Offender{KindGroup, uint16(g), g.String()})
		}
	}
	return found
}

// NoSHA1 returns where SHA-1 (or worse, MD5) authenticates records or handshakes: suites,
// signature schemes, and versions that sign with SHA-1 whatever the schemes say.
func NoSHA1(p *Policy) []Offender {
	var found []Offender
	for v := p.MinVersion; v < TLSv1_2; v++ {
		found = append(found, Offender{KindVersion, uint16(v), v.String()})
	}
	found = append(found, p.suitesWhere(func(i *suiteInfo) bool { return i.sha1 || i.md5 })...)
	for _, s := range p.Schemes {
		if s == RSAPKCS1SHA1 || s == ECDSASHA1 {
			found = append(found, Offender{KindScheme, uint16(s), s.String()})
		}
	}
	return found
}

func (p *Policy) suitesWhere(bad func(*suiteInfo) bool) []Offender {
	var found []Offender
	for _, s := range p.Suites {
		if i := s.info(); i == nil || bad(i) {
			found = append(found, Offender{KindSuite, uint16(s), s.OpenSSL()})
		}
	}
	return found
}
