package tlspolicy

import "slices"

// named is one list with the name under which `pqfront policy show` prints it.
type named[T any] struct {
	name string
	list []T
}

// Lists of cipher suites, TLS 1.3 first, in server order. The order within one
// kind of certificate is documented; how ECDSA and RSA interleave is that of
// CloudFront's TLS library (CloudFront: Supported protocols and ciphers between
// viewers and CloudFront). AES128-CBC-SHA256 outranks AES256-GCM in the lists of
// 2014, 2016 and 2018: the order is copied, not improved.

func suites2014SSL() named[Suite] {
	// CloudFront: Supported protocols and ciphers between viewers and CloudFront:
	// the table ticks the ECDSA suites for SSLv3 too. They take their places in TLSv1.
	return named[Suite]{"suites-2014-ssl", append(suites2014().list, TLS_RSA_WITH_RC4_128_MD5)}
}

func suites2014() named[Suite] {
	return named[Suite]{"suites-2014", append(suites2016().list, TLS_RSA_WITH_3DES_EDE_CBC_SHA)}
}

func suites2016() named[Suite] {
	return named[Suite]{"suites-2016", []Suite{
		TLS_AES_128_GCM_SHA256,
		TLS_AES_256_GCM_SHA384,
		TLS_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384,
		TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		TLS_RSA_WITH_AES_128_GCM_SHA256,
		TLS_RSA_WITH_AES_256_GCM_SHA384,
		TLS_RSA_WITH_AES_128_CBC_SHA256,
		TLS_RSA_WITH_AES_256_CBC_SHA,
		TLS_RSA_WITH_AES_128_CBC_SHA,
	}}
}

func suites2018() named[Suite] {
	return named[Suite]{"suites-2018", []Suite{
		TLS_AES_128_GCM_SHA256,
		TLS_AES_256_GCM_SHA384,
		TLS_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384,
		TLS_RSA_WITH_AES_128_GCM_SHA256,
		TLS_RSA_WITH_AES_256_GCM_SHA384,
		TLS_RSA_WITH_AES_128_CBC_SHA256,
	}}
}

func suites2019() named[Suite] {
	return named[Suite]{"suites-2019", []Suite{
		TLS_AES_128_GCM_SHA256,
		TLS_AES_256_GCM_SHA384,
		TLS_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384,
		TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	}}
}

func suites2021() named[Suite] {
	return named[Suite]{"suites-2021", []Suite{
		TLS_AES_128_GCM_SHA256,
		TLS_AES_256_GCM_SHA384,
		TLS_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}}
}

func suites2025FIPS() named[Suite] {
	return named[Suite]{"suites-2025-fips", []Suite{
		TLS_AES_128_GCM_SHA256,
		TLS_AES_256_GCM_SHA384,
		TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}}
}

func suitesTLS13() named[Suite] {
	return named[Suite]{"suites-tls13", []Suite{
		TLS_AES_128_GCM_SHA256,
		TLS_AES_256_GCM_SHA384,
		TLS_CHACHA20_POLY1305_SHA256,
	}}
}

// Lists of key exchange groups, in server order.

func groupsG1() named[Group] {
	return named[Group]{"groups-pq-classical", []Group{
		X25519MLKEM768, SecP256r1MLKEM768, X25519, SecP256r1, SecP384r1,
	}}
}

// groupsG2 is G1 without plain X25519, which FIPS 140-3 does not approve alone.
func groupsG2() named[Group] {
	return named[Group]{"groups-pq-classical-fips", []Group{
		X25519MLKEM768, SecP256r1MLKEM768, SecP256r1, SecP384r1,
	}}
}

func groupsPQ() named[Group] {
	return named[Group]{"groups-pq", []Group{X25519MLKEM768, SecP256r1MLKEM768}}
}

func groupsPQStrict() named[Group] {
	return named[Group]{"groups-pq-strict", []Group{SecP384r1MLKEM1024, X25519MLKEM768, SecP256r1MLKEM768}}
}

// Lists of signature schemes, in server order.

func schemesA() named[Scheme] {
	return named[Scheme]{"schemes-a", append(schemesB().list, RSAPKCS1SHA1, ECDSASHA1)}
}

func schemesB() named[Scheme] {
	return named[Scheme]{"schemes-b", []Scheme{
		RSAPSSPSSSHA256, RSAPSSPSSSHA384, RSAPSSPSSSHA512,
		RSAPSSRSAESHA256, RSAPSSRSAESHA384, RSAPSSRSAESHA512,
		RSAPKCS1SHA256, RSAPKCS1SHA384, RSAPKCS1SHA512, RSAPKCS1SHA224,
		ECDSASecP256r1SHA256, ECDSASecP384r1SHA384, ECDSASecP521r1SHA512, ECDSASHA224,
	}}
}

func schemesC() named[Scheme] {
	return named[Scheme]{"schemes-c", []Scheme{
		RSAPSSPSSSHA256, RSAPSSPSSSHA384, RSAPSSPSSSHA512,
		RSAPSSRSAESHA256, RSAPSSRSAESHA384, RSAPSSRSAESHA512,
		RSAPKCS1SHA256, RSAPKCS1SHA384, RSAPKCS1SHA512,
		ECDSASecP256r1SHA256, ECDSASecP384r1SHA384, ECDSASecP521r1SHA512,
	}}
}

// policies builds the table of all policies, the strictest first. A published
// name never changes its meaning. Names that AWS does not have start with PQFront_.
func policies() []*Policy {
	return ranked(
		policy("PQFront_TLSv1.3_PQ_Strict_2026", TLSv1_3, suitesTLS13(), groupsPQStrict(), schemesC(),
			"TLS 1.3 with post-quantum key exchange only, ML-KEM-1024 preferred"),
		policy("PQFront_TLSv1.3_PQ_2026", TLSv1_3, suitesTLS13(), groupsPQ(), schemesC(),
			"TLS 1.3 with post-quantum key exchange only"),
		policy("TLSv1.3_2025", TLSv1_3, suitesTLS13(), groupsG1(), schemesC(),
			"TLS 1.3 only; classical key exchange still accepted"),
		policy("TLSv1.2_2025", TLSv1_2, suites2025FIPS(), groupsG2(), schemesC(),
			"TLS 1.2 and 1.3, AES-GCM only: a FIPS 140-3 profile"),
		policy("TLSv1.2_2021", TLSv1_2, suites2021(), groupsG1(), schemesB(),
			"TLS 1.2 and 1.3, forward secret AEAD suites only"),
		policy("TLSv1.2_2019", TLSv1_2, suites2019(), groupsG1(), schemesB(),
			"TLS 1.2 and 1.3, forward secret suites, CBC-SHA2 included"),
		policy("TLSv1.2_2018", TLSv1_2, suites2018(), groupsG1(), schemesB(),
			"TLS 1.2 and 1.3, RSA key transport included, no SHA-1"),
		policy("TLSv1.1_2016", TLSv1_1, suites2016(), groupsG1(), schemesA(),
			"TLS 1.1 to 1.3, CBC-SHA1 and RSA key transport included"),
		policy("TLSv1_2016", TLSv1, suites2016(), groupsG1(), schemesA(),
			"TLS 1.0 to 1.3, CBC-SHA1 and RSA key transport included"),
		policy("TLSv1", TLSv1, suites2014(), groupsG1(), schemesA(),
			"TLS 1.0 to 1.3, 3DES included; forced with the default certificate"),
		policy("SSLv3", SSLv3, suites2014SSL(), groupsG1(), schemesA(),
			"SSL 3.0 to TLS 1.3, RC4 and 3DES included; dedicated addresses only"),
	)
}

// policy combines the three orthogonal parts. Every policy keeps TLS 1.3 switched
// on; only the floor moves (CloudFront: Supported protocols and ciphers between
// viewers and CloudFront).
func policy(name string, floor Version, s named[Suite], g named[Group], sig named[Scheme], summary string) *Policy {
	return &Policy{
		Name: name, MinVersion: floor, MaxVersion: TLSv1_3,
		Suites: s.list, Groups: g.list, Schemes: sig.list,
		Summary:   summary,
		SuiteList: s.name, GroupList: g.name, SchemeList: sig.name,
	}
}

// ranked numbers the policies in the order of the table.
func ranked(list ...*Policy) []*Policy {
	for i, p := range list {
		p.Rank = i + 1
	}
	return list
}

// All returns every policy in rank order. The caller may change the result.
func All() []*Policy { return policies() }

// Names returns the names of all policies in rank order.
func Names() []string {
	all := policies()
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return names
}

// clone returns a copy of p that shares nothing with it.
func (p *Policy) clone() *Policy {
	c := *p
	c.Suites = slices.Clone(p.Suites)
	c.Groups = slices.Clone(p.Groups)
	c.Schemes = slices.Clone(p.Schemes)
	return &c
}
