// Package viewertls answers: given this ClientHello, which certificate and policy -
// and what was agreed?
//
// It reads the ClientHello itself, within limits of size and time, asks
// tlspolicy.Decide, and lets crypto/tls execute exactly that outcome: the connection
// gets a configuration that cannot come to another one. Refused clients are told so
// as CloudFront tells them. On QUIC the same decision is made in GetConfigForClient.
// Every attempt, successful or not, leaves one tlspolicy.Handshake.
//
// It does not accept connections, route requests or keep ticket keys on disk.
package viewertls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pqfront/internal/clienthello"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// The stages of a handshake, for tlspolicy.Handshake.Stage.
const (
	StageConnected = "connected" // nothing complete was received
	StageHello     = "hello"     // the ClientHello was read and parsed
	StageDecided   = "decided"   // an outcome was decided, the engine is at work
	StageDone      = "done"      // the handshake is complete
)

// The limits' defaults.
const (
	// DefaultMaxHelloBytes is what crypto/tls takes, too. Post-quantum hellos have some
	// 1,600 bytes.
	DefaultMaxHelloBytes = 64 << 10
	// DefaultHelloTime is for the whole ClientHello, however its bytes are spread.
	DefaultHelloTime = 5 * time.Second
	// DefaultHandshakeTime is for the whole handshake, hello included.
	DefaultHandshakeTime = 10 * time.Second
)

// Options configure a Server.
type Options struct {
	Snapshots *snapshot.Holder // required
	// Alerts tells which alerts refused clients get on TCP; the zero value is
	// CloudFront's. On QUIC they are always the standards'.
	Alerts tlspolicy.AlertProfile

	MaxHelloBytes int           // 0 = DefaultMaxHelloBytes
	HelloTime     time.Duration // 0 = DefaultHelloTime
	HandshakeTime time.Duration // 0 = DefaultHandshakeTime

	// TicketKeys are shared by all listeners of a node. nil = keys of this Server alone,
	// which nobody rotates: sessions then resume for a day.
	TicketKeys *TicketKeys
	Logger     *slog.Logger // nil = slog.Default()
	// Observer is told of every attempt once, when it has succeeded or failed. It must
	// not block. nil = nobody.
	Observer func(Attempt)
}

// Attempt is one handshake that came to its end, for the Observer.
type Attempt struct {
	// Handshake is the same value that travels with the connection.
	Handshake     *tlspolicy.Handshake
	Remote, Local netip.AddrPort
	// Offer is what the client offered; nil when no ClientHello was parsed. It is
	// valid, and not to be changed, during the call only. On QUIC its KeyShares are not
	// known, but for whether there was one for the group that was agreed on.
	Offer *tlspolicy.Offer
	// Generation is that of the snapshot which decided.
	Generation uint64
}

// RefusedError is Handshake's error: no connection came about.
type RefusedError struct {
	Reason tlspolicy.Reason
	Err    error // the cause, when there is one besides the reason
}

// Error says why the handshake failed.
func (e *RefusedError) Error() string {
	if e.Err == nil {
		return "TLS handshake refused: " + string(e.Reason)
	}
	return fmt.Sprintf("TLS handshake failed: %s: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// Server does the handshakes of all listeners of a node. It is safe for concurrent use.
type Server struct {
	holder        *snapshot.Holder
	alerts        tlspolicy.AlertProfile
	maxHello      int
	helloTime     time.Duration
	handshakeTime time.Duration
	tickets       *TicketKeys
	log           *slog.Logger
	observer      func(Attempt)

	configs atomic.Pointer[configs]
	pending sync.WaitGroup // QUIC attempts that are being ended (quic.go)
}

// New returns a Server. It also gives crypto/tls the process-wide order of TLS 1.3
// suites that CloudFront's policies have, so it must be called before any handshake.
func New(o Options) (*Server, error) {
	if o.Snapshots == nil {
		return nil, errors.New("viewertls: Options.Snapshots is nil: give the edge's snapshot holder")
	}
	if o.MaxHelloBytes < 0 || o.MaxHelloBytes > DefaultMaxHelloBytes {
		return nil, fmt.Errorf("viewertls: Options.MaxHelloBytes is %d: use 1 to %d, or 0 for the default", o.MaxHelloBytes, DefaultMaxHelloBytes)
	}
	if o.HelloTime < 0 || o.HandshakeTime < 0 {
		return nil, errors.New("viewertls: Options.HelloTime and HandshakeTime must not be negative")
	}
	forceServerSuiteOrder()
	s := &Server{
		holder: o.Snapshots, alerts: o.Alerts, maxHello: o.MaxHelloBytes, helloTime: o.HelloTime,
		handshakeTime: o.HandshakeTime, tickets: o.TicketKeys, log: o.Logger, observer: o.Observer,
	}
	if s.maxHello == 0 {
		s.maxHello = DefaultMaxHelloBytes
	}
	if s.helloTime == 0 {
		s.helloTime = DefaultHelloTime
	}
	if s.handshakeTime == 0 {
		s.handshakeTime = DefaultHandshakeTime
	}
	if s.tickets == nil {
		s.tickets = NewTicketKeys(time.Now())
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s, nil
}

// attempt is one handshake under way. Only facts outlives it.
type attempt struct {
	facts         *tlspolicy.Handshake
	offer         *tlspolicy.Offer
	snapshot      *snapshot.Snapshot
	site          *snapshot.Site
	remote, local netip.AddrPort
}

func newAttempt(tr tlspolicy.Transport, remote, local net.Addr) *attempt {
	return &attempt{
		facts: &tlspolicy.Handshake{
			Transport: tr, Stage: StageConnected, Started: time.Now(),
			Outcome: tlspolicy.Outcome{Certificate: -1},
		},
		remote: addrPort(remote), local: addrPort(local),
	}
}

// Handshake does the server's side of a TLS handshake on a new TCP connection. When
// ctx ends, so does the handshake. The record is never nil; its Stage is "done" when
// the handshake succeeded. With an error, which is a *RefusedError, the connection is
// closed already and the client was told what there is to tell.
//
// When the engine fails after the decision, the record keeps the decided outcome and
// has the reason and the engine's error besides.
func (s *Server) Handshake(ctx context.Context, conn net.Conn) (*tls.Conn, *tlspolicy.Handshake, error) {
	a := newAttempt(tlspolicy.TCP, conn.RemoteAddr(), conn.LocalAddr())
	// A deadline in the past wakes up whatever read or write is waiting.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	tlsConn, reason, err := s.handshake(ctx, conn, a)
	if !stop() {
		reason, err = tlspolicy.ReasonShutdown, context.Cause(ctx)
	}
	if reason == "" {
		conn.SetDeadline(time.Time{})
		a.facts.Stage = StageDone
		s.finish(a)
		return tlsConn, a.facts, nil
	}
	a.fail(reason, err)
	if silent := a.facts.Stage == StageDecided || reason == tlspolicy.ReasonShutdown || reason == tlspolicy.ReasonReset; silent {
		s.finish(a)
		conn.Close() // the engine has said what there is to say, or nobody listens
	} else {
		_, a.facts.Alert = s.alerts.Alert(reason)
		s.finish(a)
		s.refuse(conn, reason)
	}
	return nil, a.facts, &RefusedError{Reason: reason, Err: err}
}

// fail notes why an attempt failed.
func (a *attempt) fail(reason tlspolicy.Reason, err error) {
	a.facts.Reason = reason
	a.facts.Refused = a.facts.Stage != StageDecided
	if err != nil {
		a.facts.Err = err.Error()
	}
}

// handshake runs the steps; a is filled as far as they come.
func (s *Server) handshake(ctx context.Context, conn net.Conn, a *attempt) (*tls.Conn, tlspolicy.Reason, error) {
	conn.SetDeadline(a.facts.Started.Add(min(s.helloTime, s.handshakeTime)))
	if ctx.Err() != nil { // here and below: our deadline may have undone the context's
		return nil, tlspolicy.ReasonShutdown, context.Cause(ctx)
	}
	wire, hello, reason, err := s.readHello(conn)
	if reason != "" {
		return nil, reason, err
	}
	a.take(hello)
	if reason = s.decide(a); reason != "" {
		return nil, reason, nil
	}
	a.facts.Stage = StageDecided
	conn.SetDeadline(a.facts.Started.Add(s.handshakeTime))
	if ctx.Err() != nil {
		return nil, tlspolicy.ReasonShutdown, context.Cause(ctx)
	}
	cfg := s.config(a.snapshot, a.site.TLS, tlspolicy.TCP, &a.facts.Outcome, nil)
	tlsConn := tls.Server(&replayConn{Conn: conn, head: wire}, cfg)
	if err := tlsConn.Handshake(); err != nil {
		return nil, engineReason(err), err
	}
	cs := tlsConn.ConnectionState()
	a.facts.Resumed = cs.DidResume
	if diff := mismatch(&cs, a.facts); diff != "" {
		return nil, tlspolicy.ReasonPolicyBreach, s.breach(a, diff)
	}
	return tlsConn, "", nil
}

// breach reports that the engine did not do what was decided.
func (s *Server) breach(a *attempt, diff string) error {
	s.log.Error("a TLS handshake broke its policy and its connection is closed: please report this",
		"mismatch", diff, "transport", a.facts.Transport, "distribution", a.facts.Distribution,
		"policy", a.facts.Policy, "ja4", a.facts.JA4, "viewer", a.remote)
	return errors.New("the engine agreed on " + diff)
}

// take notes what a ClientHello says.
func (a *attempt) take(h *clienthello.Hello) {
	a.offer = &h.Offer
	a.facts.Stage, a.facts.HelloBytes, a.facts.ServerName = StageHello, h.Size, h.Offer.ServerName
	_, a.facts.JA3 = h.JA3()
	a.facts.JA4 = h.JA4()
}

// decide finds the site and what the handshake will come to; the reason when it is
// refused. The snapshot is loaded here, once for the connection.
func (s *Server) decide(a *attempt) tlspolicy.Reason {
	if a.snapshot = s.holder.Load(); a.snapshot == nil {
		return tlspolicy.ReasonNoConfiguration
	}
	var reason tlspolicy.Reason
	if a.site, reason = siteFor(a.snapshot, a.offer.ServerName); reason != "" {
		return reason
	}
	site := a.site.TLS
	a.facts.Policy, a.facts.Distribution = site.Effective.Name, a.site.Distribution.ID
	server := site.TCP
	if a.offer.Transport == tlspolicy.QUIC {
		server = site.QUIC
		if !site.ServesQUIC {
			server.ALPN = nil // there is no HTTP/3 here
		}
	}
	a.facts.Outcome = tlspolicy.Decide(a.offer, site.Effective, server)
	return a.facts.Reason
}

// siteFor returns the site that has this server name, or the default one.
func siteFor(snap *snapshot.Snapshot, name string) (*snapshot.Site, tlspolicy.Reason) {
	reason := tlspolicy.ReasonNoSNI
	if name != "" {
		if site, ok := snap.ByServerName(name); ok {
			return site, ""
		}
		reason = tlspolicy.ReasonUnknownSNI
	}
	if snap.Default != nil {
		return snap.Default, ""
	}
	return nil, reason
}

// finish closes the record and tells the observer.
func (s *Server) finish(a *attempt) {
	a.facts.Duration = time.Since(a.facts.Started)
	s.tell(a)
}

// tell tells the observer of a record that is closed.
func (s *Server) tell(a *attempt) {
	if s.observer == nil {
		return
	}
	at := Attempt{Handshake: a.facts, Remote: a.remote, Local: a.local, Offer: a.offer}
	if a.snapshot != nil {
		at.Generation = a.snapshot.Generation
	}
	s.observer(at)
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
