package origin

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// poolKey are the settings that all connections of a pool share. Name and port of the
// origin, not the viewer's Host, decide: a wildcard alias must not make endless pools.
type poolKey struct {
	secure    bool
	address   string // host:port to dial, after overrides
	domain    string // a name that the certificate may carry
	connect   time.Duration
	keepalive time.Duration
	minTLS    uint16
}

// pool is the connections to one origin.
type pool struct {
	key      poolKey
	opt      *Options
	verifier *verifier
	sessions tls.ClientSessionCache
	slots    chan struct{} // one for each connection in use
	used     time.Time     // guarded by the Client

	mu     sync.Mutex
	closed bool
	idle   map[string][]*conn // by server name, the newest last
	kept   int                // all of idle
}

// pool finds or makes the pool of p and drops pools that nobody has used for long.
func (c *Client) pool(p *plan) *pool {
	now := c.opt.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.pools[p.key]; ok {
		have.used = now
		return have
	}
	for k, old := range c.pools {
		if now.Sub(old.used) > poolLife {
			old.close()
			delete(c.pools, k)
		}
	}
	fresh := &pool{
		key: p.key, opt: &c.opt, used: now,
		verifier: &verifier{roots: c.roots, domain: p.key.domain, now: c.opt.Now},
		sessions: tls.NewLRUClientSessionCache(64),
		slots:    make(chan struct{}, c.opt.MaxConns),
		idle:     map[string][]*conn{},
	}
	c.pools[p.key] = fresh
	return fresh
}

// get hands out a connection for the server name: a kept one that is still good, unless
// fresh is wanted, or a new one. It fails with the dialer's error, or with
// errConnectTimeout when all of the origin's connections stay in use.
func (p *pool) get(ctx context.Context, name string, fresh bool) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.key.connect, errConnectTimeout)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for one of %d connections to %s: %w", cap(p.slots), p.key.address, context.Cause(ctx))
		}
	}
	for !fresh {
		c := p.take(name)
		if c == nil {
			break
		}
		if c.quiet() {
			c.reused = true
			return c, nil
		}
		c.nc.Close()
	}
	c, err := p.dial(ctx, name)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return c, nil
}

// take removes the newest idle connection for name, nil when there is none.
func (p *pool) take(name string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		list := p.idle[name]
		if len(list) == 0 {
			return nil
		}
		c := list[len(list)-1]
		p.remove(c)
		if c.expiry.Stop() { // else its timer is about to close it
			return c
		}
	}
}

// remove takes c out of idle; it reports false when it is not there.
func (p *pool) remove(c *conn) bool {
	list := p.idle[c.name]
	for i := range list {
		if list[i] != c {
			continue
		}
		list = append(list[:i], list[i+1:]...)
		p.kept--
		if p.idle[c.name] = list; len(list) == 0 {
			delete(p.idle, c.name)
		}
		return true
	}
	return false
}

// put takes a connection back; keep tells that its exchange ended cleanly.
func (p *pool) put(c *conn, keep bool) {
	defer func() { <-p.slots }()
	if !keep || !c.quiet() {
		c.nc.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.kept >= maxIdlePerPool || len(p.idle[c.name]) >= maxIdlePerName {
		c.nc.Close()
		return
	}
	p.idle[c.name] = append(p.idle[c.name], c)
	p.kept++
	c.expiry = time.AfterFunc(p.key.keepalive, func() { p.expire(c) })
}

func (p *pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(c)
	c.nc.Close()
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, list := range p.idle {
		for _, c := range list {
			c.expiry.Stop()
			c.nc.Close()
		}
	}
	p.idle, p.kept = map[string][]*conn{}, 0
}

// dial opens a connection within ctx.
func (p *pool) dial(ctx context.Context, name string) (*conn, error) {
	nc, err := p.opt.Dial(ctx, "tcp", p.key.address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", p.key.address, err)
	}
	if !p.key.secure {
		return newConn(nc, nil, name), nil
	}
	return p.handshake(ctx, nc, name)
}

func (p *pool) handshake(ctx context.Context, nc net.Conn, name string) (*conn, error) {
	tc := tls.Client(nc, p.config(name))
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS handshake with %s as %s: %w", p.key.address, name, err)
	}
	state := tc.ConnectionState()
	return newConn(tc, &state, name), nil
}
