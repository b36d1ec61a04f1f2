// Package listen answers: how does a connection or a datagram come in?
//
// It opens the sockets, accepts viewers within limits, finds out their addresses
// (PROXY protocol), counts what they transfer and lets them finish when the process
// stops. It knows nothing of TLS or HTTP: a handler gets each connection as it is.
package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Config says how to listen. The zero value of every field but Addr is useful.
type Config struct {
	// Addr is host:port; port 0 picks a free one.
	Addr string
	// Flag is the setting that Addr came from ("--https"), for error messages.
	Flag string
	// MaxConns bounds the open connections of this listener: 10,000. Beyond it,
	// connections are accepted and closed at once, so that viewers need not wait to
	// be told.
	MaxConns int
	// MaxPerClient bounds those of one client, that is one IPv4 address or one IPv6
	// /64 network: 1,000. Ours; large companies share an address.
	MaxPerClient int
	// ReusePort lets several processes share the port (SO_REUSEPORT).
	ReusePort bool
	// ProxyFrom are the load balancers in front of us. A connection from there must
	// begin with a PROXY protocol header, version 1 or 2; one from elsewhere must not.
	ProxyFrom []netip.Prefix
	// ProxyTimeout is how long that header may take: 5 s.
	ProxyTimeout time.Duration
	// DrainTimeout is how long connections may go on after the listener is told to
	// stop: 30 s.
	DrainTimeout time.Duration
	// Observer is told of each connection that no handler saw. It must not block.
	Observer func(Refusal)
	Logger   *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = 10000
	}
	if c.MaxPerClient == 0 {
		c.MaxPerClient = 1000
	}
	if c.ProxyTimeout == 0 {
		c.ProxyTimeout = 5 * time.Second
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Reason names why a connection was refused.
type Reason string

// The reasons; logs and metrics carry them as they stand here.
const (
	TooManyConns     Reason = "too-many-connections"
	TooManyPerClient Reason = "too-many-connections-of-client"
	BadProxyHeader   Reason = "bad-proxy-header"
	ProxyTimeout     Reason = "proxy-header-timeout"
	ProxyGone        Reason = "proxy-gone"
)

// Refusal is a connection that was closed before a handler saw it.
type Refusal struct {
	Peer   netip.AddrPort // who connected: the viewer, or the load balancer for it
	Reason Reason
	Err    error // details, for PROXY headers
	At     time.Time
}

// Listener accepts connections. Make one with TCP, Pair or New.
type Listener struct {
	ln  net.Listener
	cfg Config

	mu      sync.Mutex // guards the rest
	lastID  uint64
	open    map[*Conn]struct{}
	clients map[netip.Addr]int
}

// TCP opens a listener.
func TCP(cfg Config) (*Listener, error) {
	// No TCP keep-alive probes: every wait on a viewer has its own, shorter timeout, and
	// setting them up costs four system calls for each connection.
	lc := net.ListenConfig{KeepAlive: -1, Control: control(cfg)}
	ln, err := lc.Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, explain(cfg, err)
	}
	return New(ln, cfg), nil
}

// New makes a Listener of one that is open already.
func New(ln net.Listener, cfg Config) *Listener {
	return &Listener{ln: ln, cfg: cfg.withDefaults(), open: map[*Conn]struct{}{}, clients: map[netip.Addr]int{}}
}

// AddrPort returns the real address, with the port that port 0 became.
func (l *Listener) AddrPort() netip.AddrPort { return addrPort(l.ln.Addr()) }

// Open returns how many connections are open.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Close closes the socket of a Listener that is not running.
func (l *Listener) Close() error { return l.ln.Close() }

// Run accepts connections and calls handle for each, in its own goroutine. When ctx
// ends it stops accepting and waits for the handlers, whose context has ended as
// well; those that take longer than Config.DrainTimeout get their connections closed.
// It returns when all handlers have, with nil, or with the error that ended accepting.
func (l *Listener) Run(ctx context.Context, handle func(context.Context, *Conn)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		l.ln.Close()
	})
	var handlers sync.WaitGroup
	err := l.accept(ctx, func(c *Conn) {
		handlers.Go(func() { l.serve(ctx, c, handle) })
	})
	if ctx.Err() != nil {
		err = nil // it is we who closed the socket
	}
	cancel()
	if !stop() {
		<-closed
	}
	l.drain(&handlers)
	return err
}

func (l *Listener) drain(handlers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		handlers.Wait()
	}()
	timer := time.NewTimer(l.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
	}
	l.mu.Lock()
	late := make([]*Conn, 0, len(l.open))
	for c := range l.open {
		late = append(late, c)
	}
	l.mu.Unlock()
	l.cfg.Logger.Warn("closing connections that did not finish in time", "count", len(late),
		"address", l.AddrPort().String(), "drain_timeout", l.cfg.DrainTimeout)
	for _, c := range late {
		c.Close()
	}
	<-done
}

// Backing off from an accept that fails for a while, as net/http does.
const backoffMin, backoffMax = 5 * time.Millisecond, time.Second

func (l *Listener) accept(ctx context.Context, start func(*Conn)) error {
	backoff := time.Duration(0)
	for {
		nc, err := l.ln.Accept()
		switch {
		case err == nil:
			backoff = 0
			if c := l.admit(nc); c != nil {
				start(c)
			}
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ECONNABORTED):
			continue // that viewer left while it was waiting
		case !temporary(err):
			return fmt.Errorf("accepting on %s: %w", l.ln.Addr(), err)
		}
		if backoff == 0 {
			l.cfg.Logger.Error("cannot accept connections for the moment; if files have run out, raise the limit (ulimit -n, LimitNOFILE=) or lower the maximum of connections",
				"address", l.ln.Addr().String(), "err", err)
		}
		backoff = min(max(2*backoff, backoffMin), backoffMax)
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
	}
}

// temporary reports whether err is about resources that come back.
func temporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit makes a Conn, or closes nc when there are too many already.
func (l *Listener) admit(nc net.Conn) *Conn {
	c := &Conn{Conn: nc, peer: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr())}
	c.viewer = c.peer
	l.mu.Lock()
	full := len(l.open) >= l.cfg.MaxConns
	if !full {
		l.lastID++
		c.id = l.lastID
		l.open[c] = struct{}{}
	}
	l.mu.Unlock()
	if full {
		l.refuse(c, TooManyConns, nil)
		nc.Close()
		return nil
	}
	return c
}

func (l *Listener) refuse(c *Conn, why Reason, err error) {
	if l.cfg.Observer != nil {
		l.cfg.Observer(Refusal{Peer: c.peer, Reason: why, Err: err, At: time.Now()})
	}
}

// serve runs the handler of one connection. Its panic is our bug, but no reason to
// take all other viewers down.
func (l *Listener) serve(ctx context.Context, c *Conn, handle func(context.Context, *Conn)) {
	defer func() {
		if p := recover(); p != nil {
			l.cfg.Logger.Error("connection handler panicked", "panic", fmt.Sprint(p),
				"viewer", c.viewer.String(), "stack", string(debug.Stack()))
		}
		c.Close()
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
	}()
	if l.proxied(c.peer.Addr()) {
		if why, err := c.readProxyHeader(l.cfg.ProxyTimeout); err != nil {
			l.refuse(c, why, err)
			return
		}
	}
	client := clientOf(c.viewer.Addr())
	if !l.enter(client) {
		l.refuse(c, TooManyPerClient, nil)
		return
	}
	defer l.leave(client)
	handle(ctx, c)
}

func (l *Listener) proxied(peer netip.Addr) bool {
	for _, p := range l.cfg.ProxyFrom {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// clientOf is what counts as one client: whoever has an IPv6 address commands its
// whole /64 network (RFC 4291, Section 2.5.4).
func clientOf(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a // the zero Addr
	}
	return p.Addr()
}

func (l *Listener) enter(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[client] >= l.cfg.MaxPerClient {
		return false
	}
	l.clients[client]++
	return true
}

func (l *Listener) leave(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

// addrPort turns an address of the net package into ours, IPv4 as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
