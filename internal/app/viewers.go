package app

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"pqfront/internal/edge/listen"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/edge/viewertls"
)

// viewers are the sockets that viewers come to.
type viewers struct {
	tls, plain *listen.Listener
	udp        *net.UDPConn
	drain      time.Duration
	limits     listen.Config // of each of them
}

// openViewers opens TCP and UDP on the HTTPS address, and TCP on the HTTP one.
func openViewers(c *Config, l *logs) (*viewers, error) {
	base := listen.Config{
		MaxConns: c.MaxConnections, MaxPerClient: c.MaxConnectionsPerViewer, ProxyFrom: c.ProxyFrom,
		DrainTimeout: max(c.Drain, time.Millisecond), // 0 would be its own default
		Observer:     l.refusedConnection, Logger: c.Logger,
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
	v := &viewers{drain: c.Drain, limits: base}
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
	q := &quicViewers{limits: v.limits, drain: v.drain, server: server, engine: engine}
	group.Go(func() error { return q.run(ctx, v.udp) })
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
