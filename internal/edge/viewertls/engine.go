package viewertls

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// maxConfigs bounds the prebuilt configurations of one snapshot: some hundred for
// each policy in use. Beyond it they are built for one connection each.
const maxConfigs = 4096

// configKey names a configuration: the parts of an outcome that narrow crypto/tls.
// HelloRetryRequest does not, and the TLS 1.3 suite cannot (suiteorder.go).
type configKey struct {
	site *snapshot.TLS
	// groups is the one group on TCP; on QUIC the engine picks among several (quic.go).
	group       tlspolicy.Group
	groups      string
	transport   tlspolicy.Transport
	version     tlspolicy.Version
	suite       tlspolicy.Suite
	scheme      tlspolicy.Scheme
	certificate int
	alpn        string
}

// configs holds the configurations built for one snapshot. It goes with it.
type configs struct {
	snapshot *snapshot.Snapshot
	built    sync.Map // configKey -> *tls.Config
	count    atomic.Int64
}

// configsFor returns the configurations of snap, forgetting those of an earlier
// snapshot. Handshakes under an older snapshot, which are few, may rebuild some.
func (s *Server) configsFor(snap *snapshot.Snapshot) *configs {
	c := s.configs.Load()
	if c != nil && c.snapshot == snap {
		return c
	}
	fresh := &configs{snapshot: snap}
	if s.holder.Load() == snap && s.configs.CompareAndSwap(c, fresh) {
		return fresh
	}
	if c = s.configs.Load(); c != nil && c.snapshot == snap {
		return c
	}
	return fresh
}

// config returns the configuration with which crypto/tls can only come to out.
func (s *Server) config(snap *snapshot.Snapshot, site *snapshot.TLS, tr tlspolicy.Transport, out *tlspolicy.Outcome, groups []tlspolicy.Group) *tls.Config {
	key := configKey{site: site, group: out.Group, transport: tr, version: out.Version,
		scheme: out.Scheme, certificate: out.Certificate, alpn: out.ALPN}
	if out.Version < tlspolicy.TLSv1_3 {
		key.suite = out.Suite
	}
	if len(groups) > 0 {
		key.group, key.groups = 0, groupString(groups)
	}
	c := s.configsFor(snap)
	if built, ok := c.built.Load(key); ok {
		return built.(*tls.Config)
	}
	cfg := s.buildConfig(site, tr, out, groups)
	if c.count.Add(1) > maxConfigs {
		c.count.Add(-1)
		return cfg
	}
	if built, loaded := c.built.LoadOrStore(key, cfg); loaded {
		c.count.Add(-1)
		return built.(*tls.Config)
	}
	return cfg
}

// buildConfig narrows crypto/tls to out. The result is shared and never changed.
func (s *Server) buildConfig(site *snapshot.TLS, tr tlspolicy.Transport, out *tlspolicy.Outcome, groups []tlspolicy.Group) *tls.Config {
	cert := *site.Certificates[out.Certificate]
	if out.Scheme != 0 {
		cert.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.SignatureScheme(out.Scheme)}
	}
	binding := &sessionBinding{scope: site.TicketScope, transport: tr, version: out.Version, suite: out.Suite, group: out.Group}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   uint16(out.Version),
		// Small records for the first 128 KiB of a connection would let a viewer begin to
		// decrypt a little earlier, for four writes to the kernel where one is enough for
		// 10 KiB: crypto/tls writes each record by itself.
		DynamicRecordSizingDisabled: true,
		// The policy's highest version, not the outcome's: from it crypto/tls knows that
		// a handshake is a downgrade and marks the server's random
		// (RFC 8446, Section 4.1.3).
		MaxVersion: uint16(site.Effective.MaxVersion),
		WrapSession: func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			return binding.seal(s.tickets, cs.ServerName, ss, time.Now())
		},
		UnwrapSession: func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
			return binding.open(s.tickets, cs.ServerName, ticket, time.Now()), nil
		},
	}
	if out.Version < tlspolicy.TLSv1_3 {
		cfg.CipherSuites = []uint16{uint16(out.Suite)}
	}
	if len(groups) == 0 && out.Group != 0 {
		groups = []tlspolicy.Group{out.Group}
	}
	for _, g := range groups {
		cfg.CurvePreferences = append(cfg.CurvePreferences, tls.CurveID(g))
	}
	if out.ALPN != "" {
		cfg.NextProtos = []string{out.ALPN}
	}
	// Never used, since tickets are wrapped above. With keys set, crypto/tls does not
	// make its own for each copy of the configuration (quic-go copies it).
	var unused [32]byte
	rand.Read(unused[:])
	cfg.SetSessionTicketKeys([][32]byte{unused})
	return cfg
}

// mismatch says how an engine's result differs from the decision; "" when it is the
// same. The signature scheme is not told by crypto/tls; it had no choice.
func mismatch(cs *tls.ConnectionState, f *tlspolicy.Handshake) string {
	switch {
	case cs.Version != uint16(f.Version):
		return fmt.Sprintf("version %#04x, decided %#04x", cs.Version, uint16(f.Version))
	case cs.CipherSuite != uint16(f.Suite):
		return fmt.Sprintf("suite %#04x, decided %#04x", cs.CipherSuite, uint16(f.Suite))
	case uint16(cs.CurveID) != uint16(f.Group):
		return fmt.Sprintf("group %#04x, decided %#04x", uint16(cs.CurveID), uint16(f.Group))
	case cs.HelloRetryRequest != f.HRR:
		return fmt.Sprintf("HelloRetryRequest %t, decided %t", cs.HelloRetryRequest, f.HRR)
	case cs.NegotiatedProtocol != f.ALPN:
		return fmt.Sprintf("ALPN %q, decided %q", cs.NegotiatedProtocol, f.ALPN)
	case lower(cs.ServerName) != f.ServerName:
		return fmt.Sprintf("server name %q, decided for %q", cs.ServerName, f.ServerName)
	}
	return ""
}

// lower returns name with its ASCII letters in lower case, as clienthello does: what
// else a client may put into a server name stays as it is.
func lower(name string) string {
	for i := range len(name) {
		if 'A' <= name[i] && name[i] <= 'Z' {
			b := []byte(name)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return name
}

func groupString(groups []tlspolicy.Group) string {
	b := make([]byte, 0, 2*len(groups))
	for _, g := range groups {
		b = append(b, byte(g>>8), byte(g))
	}
	return string(b)
}

// engineOrder is the order in which crypto/tls prefers groups of one kind; it
// ignores the order of Config.CurvePreferences. TestEngineGroupOrder checks it.
func engineOrder() []tlspolicy.Group {
	return []tlspolicy.Group{
		tlspolicy.X25519MLKEM768, tlspolicy.SecP256r1MLKEM768, tlspolicy.SecP384r1MLKEM1024,
		tlspolicy.X25519, tlspolicy.SecP256r1, tlspolicy.SecP384r1, tlspolicy.SecP521r1,
	}
}

// inEngineOrder reports whether the engine prefers groups in the same order.
func inEngineOrder(groups []tlspolicy.Group) bool {
	order := engineOrder()
	last := -1
	for _, g := range groups {
		i := slices.Index(order, g)
		if i <= last {
			return false
		}
		last = i
	}
	return true
}
