package app

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sync/errgroup"

	"pqfront/internal/edge/listen"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/edge/viewertls"
)

// quicNewPerSecond is how many new QUIC connections a second need no Retry: ours; two
// cores complete some 5,000 handshakes a second, a flood is well above.
const quicNewPerSecond = 4000

// viewers are the sockets that viewers come to.
type viewers struct {
	tls, plain *listen.Listener
	udp        *net.UDPConn
	drain      time.Duration
	quicIDs    atomic.Uint64
}

// openViewers opens TCP and UDP on the HTTPS address, and TCP on the HTTP one.
func openViewers(c *Config, l *logs) (*viewers, error) {
	base := listen.Config{
		MaxConns: c.MaxConnections, MaxPerClient: c.MaxConnectionsPerViewer, ProxyFrom: c.ProxyFrom,
		DrainTimeout: c.Drain, Observer: l.refusedConnection, Logger: c.Logger,
	}
	if base.MaxPerClient == 0 {
		base.MaxPerClient = c.MaxConnections
	}
	if err := listen.CheckFileLimit(c.MaxConnections); err != nil {
		c.Logger.Warn(err.Error())
	}
	https, http := base, base
	https.Addr, https.Flag = c.HTTPS, "--https"
	http.Addr, http.Flag = c.HTTP, "--http"
	v := &viewers{drain: c.Drain}
	var err error
	if v.tls, v.udp, err = listen.Pair(https); err != nil {
		return nil, err
	}
	if v.plain, err = listen.TCP(http); err != nil {
		return nil, errors.Join(err, v.tls.Close(), v.udp.Close())
	}
	return v, nil
}

// close closes sockets that were opened; those that ran are closed already.
func (v *viewers) close() error {
	v.tls.Close()
	v.plain.Close()
	v.udp.Close()
	return nil
}

// run serves viewers until ctx ends and those in flight are done or late.
func (v *viewers) run(ctx context.Context, server *viewertls.Server, engine *viewerhttp.Engine) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return v.tls.Run(ctx, func(ctx context.Context, c *listen.Conn) { serveTLS(ctx, c, server, engine) })
	})
	group.Go(func() error {
		return v.plain.Run(ctx, func(ctx context.Context, c *listen.Conn) {
			engine.ServeH1(ctx, c, &viewerhttp.Conn{ID: c.ID(), Viewer: c.Viewer(), Local: c.Local()})
		})
	})
	group.Go(func() error { return v.runQUIC(ctx, server, engine) })
	return group.Wait()
}

func serveTLS(ctx context.Context, c *listen.Conn, server *viewertls.Server, engine *viewerhttp.Engine) {
	conn, facts, err := server.Handshake(ctx, c)
	if err != nil {
		return // recorded by the observer, the connection is closed
	}
	info := &viewerhttp.Conn{ID: c.ID(), Viewer: c.Viewer(), Local: c.Local(), TLS: facts}
	if facts.ALPN == "h2" {
		engine.ServeH2(ctx, conn, info)
		return
	}
	engine.ServeH1(ctx, conn, info)
}

// runQUIC accepts QUIC connections; it waits for those in flight as the TCP listeners do.
func (v *viewers) runQUIC(ctx context.Context, server *viewertls.Server, engine *viewerhttp.Engine) error {
	transport := &quic.Transport{
		Conn: v.udp,
		ConnContext: func(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
			return server.QUICContext(ctx, info.RemoteAddr), nil
		},
		VerifySourceAddress: viewerhttp.RetryUnderLoad(quicNewPerSecond, nil),
	}
	defer transport.Close()
	l, err := transport.Listen(server.QUICConfig(), viewerhttp.QUICConfig())
	if err != nil {
		return err
	}
	defer l.Close()
	var conns sync.WaitGroup
	for {
		conn, err := l.Accept(ctx)
		if err != nil {
			waitAtMost(&conns, v.drain)
			return ignoreEnd(ctx, err)
		}
		conns.Go(func() { v.serveQUIC(ctx, conn, server, engine) })
	}
}

func (v *viewers) serveQUIC(ctx context.Context, conn *quic.Conn, server *viewertls.Server, engine *viewerhttp.Engine) {
	engine.ServeQUICConn(ctx, conn, &viewerhttp.Conn{
		ID:     v.quicIDs.Add(1),
		Viewer: addrPort(conn.RemoteAddr()),
		Local:  addrPort(conn.LocalAddr()),
		TLS:    server.FactsFor(conn.Context()),
	})
}

func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := udp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// waitAtMost waits for g, but no longer than d.
func waitAtMost(g *sync.WaitGroup, d time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Wait()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
