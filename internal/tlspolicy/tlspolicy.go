// Package tlspolicy answers: what may a viewer negotiate under the security policy
// of this name, and what will this viewer negotiate?
//
// Policies are literals (policies.go). Decide is the one pure function that the live
// edge, the impact report, the prober and the console all use. The package does no
// I/O and does not know crypto/tls; what Go's engine cannot do is a property of the
// effective policy (Policy.Effective).
package tlspolicy

// Version is a TLS protocol version as on the wire.
type Version uint16

// The protocol versions.
const (
	SSLv3   Version = 0x0300
	TLSv1   Version = 0x0301
	TLSv1_1 Version = 0x0302
	TLSv1_2 Version = 0x0303
	TLSv1_3 Version = 0x0304
)

// Suite is a cipher suite's IANA code point.
type Suite uint16

// Group is a named group's (key exchange group's) IANA code point.
type Group uint16

// Scheme is a signature scheme's IANA code point.
type Scheme uint16

// Policy is a named security policy: a protocol part (versions and suites), a key
// exchange part (groups) and the signature schemes, each in server order.
type Policy struct {
	Name       string
	MinVersion Version
	MaxVersion Version
	Suites     []Suite // TLS 1.3 suites first
	Groups     []Group
	Schemes    []Scheme

	// Rank orders policies in lists, the strictest and newest first, from 1. The
	// order of CloudFront's API enumeration is not an order of strength.
	Rank    int
	Summary string // one line for lists
	// SuiteList, GroupList and SchemeList name the lists that the policy combines.
	SuiteList, GroupList, SchemeList string
}

// Offer is everything in a ClientHello that Decide looks at.
type Offer struct {
	Transport     Transport
	ServerName    string // lower-case; "" when absent
	LegacyVersion Version
	// SupportedVersions is the extension's list; nil when the extension is absent.
	SupportedVersions []Version
	Suites            []Suite
	Groups            []Group // supported_groups; nil when absent
	KeyShares         []Group // groups of the key shares, in order; nil when the extension is absent
	Schemes           []Scheme
	ALPN              []string
	HasGroups         bool
	HasKeyShare       bool
	HasSchemes        bool
	Compression       []byte // legacy_compression_methods
	PointFormats      []byte // ec_point_formats; nil when absent

	// KeyShareSizes holds the length of each key share, parallel to KeyShares; nil
	// when unknown, lengths are then not checked. The shares' content is the engine's
	// affair: a point off its curve fails the handshake after the decision.
	KeyShareSizes []int
	// QUICParameters tells that quic_transport_parameters was sent.
	QUICParameters bool
	EarlyData      bool // early_data was sent
	// Renegotiation tells of a renegotiation_info extension with content, which no
	// initial handshake may have.
	Renegotiation bool
	// PSKIdentities and PSKBinders count the entries of pre_shared_key; HasPSKModes
	// and PSKWithDHE tell of psk_key_exchange_modes and its psk_dhe_ke.
	PSKIdentities, PSKBinders int
	HasPSKModes, PSKWithDHE   bool
	// ExtendedMasterSecret and SessionTicket tell of these extensions (TLS 1.2 and
	// older); Ticket is the latter's content, not empty when the client resumes.
	ExtendedMasterSecret, SessionTicket bool
	Ticket                              []byte
}

// KeyType is the kind of public key in a server certificate.
type KeyType uint8

// The key types.
const (
	RSA KeyType = iota + 1
	ECDSAP256
	ECDSAP384
	ECDSAP521
	Ed25519
)

// Certificate is what Decide must know of a server certificate.
type Certificate struct {
	Key     KeyType
	RSABits int // modulus length; 0 unless Key is RSA
	// SignOnly tells that the private key cannot decrypt, so that RSA key transport
	// is impossible with it (an accelerated or remote signer).
	SignOnly bool
}

// Server is the server's side of a decision besides the policy.
type Server struct {
	Certificates []Certificate // in the distribution's order
	ALPN         []string      // in server order, e.g. h2, http/1.1 - or h3 on QUIC
}

// Alert is a TLS alert description as on the wire.
type Alert uint8

// Reason is why a handshake was refused. The values and what is sent for each are
// in reasons.go.
type Reason string

// Outcome is what a handshake will agree on, or why it is refused.
type Outcome struct {
	Refused bool
	Reason  Reason // "" when not refused
	Alert   Alert  // alert that is sent when refused, in CloudFront's profile

	Version     Version
	Suite       Suite
	Group       Group  // 0 with RSA key transport
	HRR         bool   // a HelloRetryRequest is sent first
	Scheme      Scheme // 0 with RSA key transport and below TLS 1.2
	Certificate int    // index into Server.Certificates
	ALPN        string // "" when none is agreed
}
