package app

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"pqfront/internal/edge/listen"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/edge/viewertls"
)

// quicNewPerSecond is how many new QUIC connections a second need no Retry: ours; two
// cores complete some 5,000 handshakes a second, a flood is well above.
const quicNewPerSecond = 4000

// RFC 9114, Section 8.1.
const (
	h3NoError       = 0x100 // nothing is wrong about a connection that ends
	h3ExcessiveLoad = 0x107
)

var (
	errStopping = errors.New("the edge is stopping")
	errFull     = errors.New("there are too many connections")
)

// quicViewers serves the viewers of one UDP socket. It does for QUIC what listen.Listener
// does for TCP.
type quicViewers struct {
	limits  listen.Config // MaxConns and MaxPerClient; Observer is told of refusals
	drain   time.Duration
	server  *viewertls.Server
	engine  *viewerhttp.Engine
	places  *listen.Gate // of connections, handshakes included
	serving *listen.Gate // of their requests, which may outlive them

	work sync.WaitGroup
	mu   sync.Mutex // guards the rest
	ids  uint64
	open map[*quic.Conn]struct{}
}

// run accepts connections until ctx ends, and then waits for those in flight, within the
// drain time.
func (v *quicViewers) run(ctx context.Context, socket *net.UDPConn) error {
	v.open = map[*quic.Conn]struct{}{}
	v.places, v.serving = listen.NewGate(v.limits), listen.NewGate(v.limits)
	flooded := viewerhttp.RetryUnderLoad(quicNewPerSecond, nil)
	transport := &quic.Transport{
		Conn: socket,
		ConnContext: func(conn context.Context, info *quic.ClientInfo) (context.Context, error) {
			if ctx.Err() != nil {
				return nil, errStopping // is told with CONNECTION_REFUSED, so that viewers go elsewhere at once
			}
			return v.admit(conn, info)
		},
		// Forged addresses can take half of the places at most.
		VerifySourceAddress: func(a net.Addr) bool { return flooded(a) || v.places.Crowded() },
	}
	defer transport.Close()
	l, err := transport.Listen(v.server.QUICConfig(), viewerhttp.QUICConfig())
	if err != nil {
		return err
	}
	defer l.Close()
	for {
		conn, err := l.Accept(ctx)
		if err != nil {
			v.end(ctx, l)
			return ignoreEnd(ctx, err)
		}
		id := v.enter(conn)
		v.work.Go(func() { v.serve(ctx, conn, id) })
	}
}

// admit gives a new connection a place, which it has until its end, or refuses it.
func (v *quicViewers) admit(conn context.Context, info *quic.ClientInfo) (context.Context, error) {
	viewer := addrPort(info.RemoteAddr)
	if !v.enterGate(v.places, viewer) {
		return nil, errFull
	}
	context.AfterFunc(conn, func() { v.places.Leave(viewer.Addr()) })
	return v.server.QUICContext(conn, info.RemoteAddr), nil
}

func (v *quicViewers) enterGate(g *listen.Gate, viewer netip.AddrPort) bool {
	why, ok := g.Enter(viewer.Addr())
	if !ok && v.limits.Observer != nil {
		v.limits.Observer(listen.Refusal{Peer: viewer, Reason: why, At: time.Now()})
	}
	return ok
}

// enter notes an open connection and numbers it, from 1.
func (v *quicViewers) enter(conn *quic.Conn) (id uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ids++
	v.open[conn] = struct{}{}
	return v.ids
}

func (v *quicViewers) serve(ctx context.Context, conn *quic.Conn, id uint64) {
	defer func() {
		v.mu.Lock()
		delete(v.open, conn)
		v.mu.Unlock()
	}()
	viewer := addrPort(conn.RemoteAddr())
	if !v.enterGate(v.serving, viewer) {
		conn.CloseWithError(h3ExcessiveLoad, "")
		return
	}
	defer v.serving.Leave(viewer.Addr())
	v.engine.ServeQUICConn(ctx, conn, &viewerhttp.Conn{
		ID:     id,
		Viewer: viewer,
		Local:  addrPort(conn.LocalAddr()),
		TLS:    v.server.FactsFor(conn.Context()),
	})
}

// end waits for the connections in flight and closes those that are late.
func (v *quicViewers) end(ctx context.Context, l *quic.Listener) {
	accepting, stop := context.WithCancel(context.WithoutCancel(ctx))
	var closer sync.WaitGroup
	closer.Go(func() { // of handshakes that were under way
		for {
			conn, err := l.Accept(accepting)
			if err != nil {
				return
			}
			conn.CloseWithError(h3NoError, "")
		}
	})
	late := time.AfterFunc(v.drain, v.closeAll)
	v.work.Wait()
	late.Stop()
	stop()
	closer.Wait()
}

// closeAll closes all connections. The transport's end would not tell their viewers.
func (v *quicViewers) closeAll() {
	v.mu.Lock()
	late := make([]*quic.Conn, 0, len(v.open))
	for conn := range v.open {
		late = append(late, conn)
	}
	v.mu.Unlock()
	for _, conn := range late {
		conn.CloseWithError(h3NoError, "")
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := udp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
