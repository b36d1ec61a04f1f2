package snapshot

import (
	"slices"

	"pqfront/internal/tlspolicy"
)

// MayServe reports whether a connection that came to from by its server name may be
// answered by to, which the request's host names; from is nil when the server name is
// no site's any more. If it may not, the answer is
// 421 Misdirected Request (RFC 9110, Section 15.5.20).
//
// CloudFront's check against domain fronting asks for the same account behind both,
// and all distributions here have one owner (CloudFront: Use custom URLs by adding
// alternate domain names, Restrictions). But policies differ: whoever connects under
// a lax distribution's policy must not reach a strict one by its Host, so the
// handshake must be one that to's policy could have agreed on itself. Nor is a
// distribution served over an HTTP version that its owner has turned off.
//
// conn is nil for plain HTTP, which the viewer protocol policy judges, not this.
func MayServe(conn *tlspolicy.Handshake, from, to *Site) bool {
	if conn == nil || conn.Distribution == to.Distribution.ID {
		return true // also when the policy has become stricter since: open connections stay
	}
	if from == to && conn.Distribution == "" {
		return true
	}
	if conn.Transport == tlspolicy.QUIC && !to.TLS.ServesQUIC || conn.ALPN == "h2" && !to.Distribution.HTTP2 {
		return false
	}
	return allows(to.TLS.Effective, &conn.Outcome)
}

// allows reports whether every part of a handshake's outcome is in the policy.
func allows(p *tlspolicy.Policy, out *tlspolicy.Outcome) bool {
	if p == nil || out.Refused || out.Version < p.MinVersion || out.Version > p.MaxVersion {
		return false
	}
	if !slices.Contains(p.Suites, out.Suite) {
		return false
	}
	// Without a group the key exchange is RSA key transport, and the suite says so;
	// without a scheme nothing was signed in a way that policies name.
	if out.Group != 0 && !slices.Contains(p.Groups, out.Group) {
		return false
	}
	return out.Scheme == 0 || slices.Contains(p.Schemes, out.Scheme)
}
