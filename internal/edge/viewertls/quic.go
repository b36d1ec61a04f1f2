package viewertls

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"pqfront/internal/clienthello"
	"pqfront/internal/tlspolicy"
)

// On QUIC the engine reads the ClientHello, and shows us its fields but neither its
// bytes nor its key shares. All that Decide and the fingerprints need is there, save
// which group the engine will take of those in question. Groups of one kind, post-
// quantum or classical, are therefore all given to the engine, which prefers one
// with a key share and then its own order; that is Decide's rule as long as the
// policy has the same order. Which group it was, and whether a HelloRetryRequest was
// needed, is known before the handshake is complete.
//
// Deviation: a policy with another order of groups (PQFront_TLSv1.3_PQ_Strict_2026)
// gets, on QUIC, its first common group even if the client sent a share for another
// one: a HelloRetryRequest more than on TCP, never a weaker group.

// quicAttempt is one QUIC handshake under way. Its context is the connection's.
type quicAttempt struct {
	mu       sync.Mutex
	attempt              // its facts are never changed after ended is set
	ended    bool        // the record is closed
	forget   func() bool // cancels the watch over the context
	settling []tlspolicy.Group
}

// quicAttemptKey is the context key of a connection's *quicAttempt.
type quicAttemptKey struct{}

// QUICContext is for quic.Transport.ConnContext: it opens the record of a new
// connection, which FactsFor finds again, and watches over its end.
func (s *Server) QUICContext(ctx context.Context, remote net.Addr) context.Context {
	q := &quicAttempt{attempt: *newAttempt(tlspolicy.QUIC, remote, nil)}
	s.pending.Add(1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget = context.AfterFunc(ctx, func() {
		defer s.pending.Done()
		s.endQUIC(q, quicReason(q, context.Cause(ctx)), context.Cause(ctx))
	})
	return context.WithValue(ctx, quicAttemptKey{}, q)
}

// FactsFor returns the record of the QUIC connection with this context
// (quic.Conn.Context), nil before the handshake is complete. The record is never
// changed after that.
func (s *Server) FactsFor(ctx context.Context) *tlspolicy.Handshake {
	q, _ := ctx.Value(quicAttemptKey{}).(*quicAttempt)
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.facts.Stage != StageDone {
		return nil
	}
	return q.facts
}

// Wait returns when the records of all QUIC connections whose contexts have ended
// are closed. Call it after the QUIC transport is closed.
func (s *Server) Wait() { s.pending.Wait() }

// QUICConfig returns the configuration for quic-go's listener. Connections are known
// to FactsFor when the transport's ConnContext is QUICContext.
func (s *Server) QUICConfig() *tls.Config {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"h3"},
		GetConfigForClient: s.quicConfigForClient,
	}
	// See buildConfig: only that quic-go need not make keys for each connection.
	cfg.SetSessionTicketKeys([][32]byte{{}})
	return cfg
}

// quicConfigForClient decides. A refusal is returned as the error whose alert the
// engine then closes the connection with, as CRYPTO_ERROR (RFC 9001, Section 4.8).
func (s *Server) quicConfigForClient(chi *tls.ClientHelloInfo) (*tls.Config, error) {
	q, _ := chi.Context().Value(quicAttemptKey{}).(*quicAttempt)
	if q == nil { // ConnContext is not set: nobody can ask for the record
		var remote net.Addr
		if chi.Conn != nil {
			remote = chi.Conn.RemoteAddr()
		}
		q = &quicAttempt{attempt: *newAttempt(tlspolicy.QUIC, remote, nil)}
	}
	cfg, reason := s.decideQUIC(q, chi)
	if reason != "" {
		s.endQUIC(q, reason, nil)
		return nil, quicRefusal(reason)
	}
	return cfg, nil
}

// decideQUIC decides and returns the configuration of this one connection.
func (s *Server) decideQUIC(q *quicAttempt, chi *tls.ClientHelloInfo) (*tls.Config, tlspolicy.Reason) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return nil, tlspolicy.ReasonAborted
	}
	if chi.Conn != nil {
		q.local = addrPort(chi.Conn.LocalAddr())
	}
	q.take(quicHello(chi))
	reason := s.decide(&q.attempt)
	q.offer.KeyShares = nil // those were assumed
	if reason != "" {
		_, q.facts.Alert = tlspolicy.RFCAlerts.Alert(reason)
		return nil, reason
	}
	q.facts.Stage = StageDecided
	q.settling = settleGroups(q.offer.Groups, q.site.TLS.Effective.Groups)

	shared := s.config(q.snapshot, q.site.TLS, tlspolicy.QUIC, &q.facts.Outcome, q.settling)
	cfg := shared.Clone()
	cfg.VerifyConnection = func(cs tls.ConnectionState) error { return s.verifyQUIC(q, &cs) }
	cfg.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		// The engine asks for the one ticket when the handshake is complete.
		s.endQUIC(q, "", nil)
		return shared.WrapSession(cs, ss)
	}
	return cfg, ""
}

// verifyQUIC completes the decision with what the engine settled and checks the
// rest. The engine calls it before the client's Finished, in full and in resumed
// handshakes.
func (s *Server) verifyQUIC(q *quicAttempt, cs *tls.ConnectionState) error {
	diff := q.settle(cs)
	if diff == "" {
		return nil
	}
	err := s.breach(&q.attempt, diff)
	s.endQUIC(q, tlspolicy.ReasonPolicyBreach, err)
	return errors.Join(tls.AlertError(tlspolicy.AlertInternalError), err)
}

// settle takes over what the engine settled; it returns how that differs from the
// decision.
func (q *quicAttempt) settle(cs *tls.ConnectionState) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return ""
	}
	if g := tlspolicy.Group(cs.CurveID); slices.Contains(q.settling, g) {
		q.facts.Group = g
	}
	q.facts.HRR, q.facts.Resumed = cs.HelloRetryRequest, cs.DidResume
	if q.offer.KeyShares = []tlspolicy.Group{}; !cs.HelloRetryRequest {
		q.offer.KeyShares = append(q.offer.KeyShares, q.facts.Group)
	}
	return mismatch(cs, q.facts)
}

// quicRefusal is the error for which the engine sends the reason's alert. There is
// no warning close_notify on QUIC, so the alert is the standards' in every profile.
func quicRefusal(reason tlspolicy.Reason) error {
	_, alert := tlspolicy.RFCAlerts.Alert(reason)
	return &RefusedError{Reason: reason, Err: tls.AlertError(alert)}
}

// endQUIC closes the record, once: "" is success. It lets go of what only the
// handshake needs, and tells the observer when the record can no longer change.
func (s *Server) endQUIC(q *quicAttempt, reason tlspolicy.Reason, err error) {
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return
	}
	q.ended = true
	if reason == "" {
		q.facts.Stage = StageDone
	} else {
		q.fail(reason, err)
	}
	q.facts.Duration = time.Since(q.facts.Started)
	ended, forget := q.attempt, q.forget
	q.offer, q.snapshot, q.site, q.settling, q.forget = nil, nil, nil, nil, nil
	q.mu.Unlock()

	if forget != nil && forget() {
		s.pending.Done()
	}
	s.tell(&ended)
}

// quicReason tells why a QUIC connection ended before its handshake was complete.
func quicReason(q *quicAttempt, cause error) tlspolicy.Reason {
	q.mu.Lock()
	defer q.mu.Unlock()
	var timeout interface{ Timeout() bool }
	late := errors.As(cause, &timeout) && timeout.Timeout()
	switch {
	case q.facts.Stage == StageConnected && late:
		return tlspolicy.ReasonTimeout
	case q.facts.Stage == StageConnected:
		return tlspolicy.ReasonIncomplete
	case late:
		return tlspolicy.ReasonHandshakeTimeout
	}
	// quic-go writes so what the peer said; its types are not for this room.
	if cause != nil && strings.Contains(cause.Error(), "(remote)") {
		return tlspolicy.ReasonAborted
	}
	return tlspolicy.ReasonEngine
}

// settleGroups returns the groups among which the engine may choose: the common ones
// of the best kind, when its order is the policy's; else the first.
func settleGroups(theirs, ours []tlspolicy.Group) []tlspolicy.Group {
	var pq, classical []tlspolicy.Group
	for _, g := range ours {
		switch {
		case !slices.Contains(theirs, g):
		case g.PQ():
			pq = append(pq, g)
		default:
			classical = append(classical, g)
		}
	}
	groups := pq
	if len(groups) == 0 {
		groups = classical
	}
	if !inEngineOrder(groups) {
		groups = groups[:1]
	}
	return groups
}

// quicHello turns what the engine shows of a ClientHello into what Decide and the
// fingerprints look at. A share of the right size is assumed for every group, since
// the engine judges the shares itself.
func quicHello(chi *tls.ClientHelloInfo) *clienthello.Hello {
	h := &clienthello.Hello{Extensions: chi.Extensions, HasSNI: slices.Contains(chi.Extensions, extServerName)}
	o := &h.Offer
	o.Transport = tlspolicy.QUIC
	o.ServerName = lower(chi.ServerName)
	o.LegacyVersion = tlspolicy.TLSv1_2 // RFC 8446, Section 4.1.2: frozen
	o.Compression = []byte{0}
	o.Suites = convert[tlspolicy.Suite](chi.CipherSuites)
	o.Groups = convert[tlspolicy.Group](chi.SupportedCurves)
	o.KeyShares = o.Groups
	o.Schemes = convert[tlspolicy.Scheme](chi.SignatureSchemes)
	o.ALPN = chi.SupportedProtos
	o.PointFormats = chi.SupportedPoints
	for _, ext := range chi.Extensions {
		switch ext {
		case extSupportedGroups:
			o.HasGroups = true
		case extSignatureAlgorithms:
			o.HasSchemes = true
		case extKeyShare:
			o.HasKeyShare = true
		case extPSKModes:
			o.HasPSKModes = true
		case extPreSharedKey: // how many, the engine checks
			o.PSKIdentities, o.PSKBinders = 1, 1
		case extQUICParameters:
			o.QUICParameters = true
		case extSupportedVersions:
			// Without the extension the engine makes up a list.
			o.SupportedVersions = convert[tlspolicy.Version](chi.SupportedVersions)
		}
	}
	return h
}

// The extensions whose presence tells something (IANA: TLS ExtensionType Values).
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extSignatureAlgorithms = 13
	extPreSharedKey        = 41
	extSupportedVersions   = 43
	extPSKModes            = 45
	extKeyShare            = 51
	extQUICParameters      = 57
)

func convert[To, From ~uint16](from []From) []To {
	to := make([]To, len(from))
	for i, v := range from {
		to[i] = To(v)
	}
	return to
}
