// Package snapshot answers: what does this edge currently believe?
//
// Compile turns a cdn.State and its certificates into one immutable Snapshot with
// everything prepared - matchers, policies, certificates - so that no request ever
// meets a configuration error. Holder is the one atomic pointer to it.
package snapshot

import (
	"crypto/tls"
	"sync/atomic"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/route"
	"pqfront/internal/tlspolicy"
)

// Snapshot is one compiled configuration. It is never changed; it is loaded once
// per connection and once per request.
type Snapshot struct {
	Generation uint64 // counts successful compilations of this process, from 1
	Sites      []*Site
	// Default serves handshakes without a usable server name when configured; else nil.
	Default *Site

	hosts *route.Hosts // name -> index into Sites
}

// ByServerName returns the site of a TLS server name: the one with this alias or
// domain name, or with the most specific wildcard above it.
func (s *Snapshot) ByServerName(name string) (*Site, bool) {
	hosts := s.hosts
	if hosts == nil { // made by hand, by a test, and not by Compile
		hosts = &route.Hosts{}
		for i, site := range s.Sites {
			for _, n := range site.Distribution.Names() {
				_ = hosts.Add(n, i) // the first site keeps a name
			}
		}
	}
	if i := hosts.Lookup(name); i >= 0 {
		return s.Sites[i], true
	}
	return nil, false
}

// ByHost returns the site of a request's authority: a host with or without port.
// Which site serves a request is the host's choice only, not the server name's; see
// MayServe (CloudFront: Use custom URLs by adding alternate domain names).
func (s *Snapshot) ByHost(authority string) (*Site, bool) {
	return s.ByServerName(route.Hostname(authority))
}

// Site is one distribution, compiled.
type Site struct {
	Distribution *cdn.Distribution
	TLS          *TLS
	Behaviors    []*Behavior // in matching order; the default behavior is last

	paths *route.Paths // patterns of all behaviors but the default one
}

// Match returns the first behavior whose pattern matches path, the default one when
// none does. path is as the viewer sent it, without query.
func (s *Site) Match(path string) *Behavior {
	if i := s.paths.Match(path); i >= 0 {
		return s.Behaviors[i]
	}
	return s.Behaviors[len(s.Behaviors)-1]
}

// TLS is what a handshake for one distribution needs.
type TLS struct {
	Policy *tlspolicy.Policy // nominal, as named
	// Effective is Policy narrowed to what our engine can do; Decide gets this one.
	Effective    *tlspolicy.Policy
	Certificates []*tls.Certificate // parallel to Server.Certificates
	TCP, QUIC    tlspolicy.Server   // the server side of decisions per transport
	ServesQUIC   bool               // HTTP/3 is on and the policy allows TLS 1.3
	TicketScope  [32]byte           // digest of the distribution id and the policy's content; tickets are bound to it
}

// Behavior is one cache behavior with its references resolved.
type Behavior struct {
	*cdn.Behavior
	Cache           *cdn.CachePolicy           // legacy settings are turned into one as well
	OriginRequest   *cdn.OriginRequestPolicy   // nil = none
	ResponseHeaders *cdn.ResponseHeadersPolicy // nil = none
	Origins         []*Origin                  // one, or the two members of an origin group
	FailoverCodes   []int                      // of the origin group; nil = no group
}

// Origin is one origin with its references resolved.
type Origin struct {
	*cdn.Origin
	AccessControl *cdn.OriginAccessControl // nil = none
}

// Holder is the one pointer to the current snapshot. The zero value holds none.
type Holder struct {
	p atomic.Pointer[Snapshot]
}

// Load returns the current snapshot, nil before the first Store.
func (h *Holder) Load() *Snapshot { return h.p.Load() }

// Store makes s the current snapshot. Connections and requests that loaded the
// earlier one finish under it.
func (h *Holder) Store(s *Snapshot) { h.p.Store(s) }
