package listen

import (
	"net/netip"
	"sync"
)

// Gate counts what is open within the limits of a Config, for connections that a
// Listener does not accept: QUIC's. It is safe for concurrent use.
type Gate struct {
	most, perClient int

	mu      sync.Mutex // guards the rest
	open    int
	clients map[netip.Addr]int
}

// NewGate returns a gate with the limits of cfg.
func NewGate(cfg Config) *Gate {
	cfg = cfg.withDefaults()
	return &Gate{most: cfg.MaxConns, perClient: cfg.MaxPerClient, clients: map[netip.Addr]int{}}
}

// Enter lets one more in, or says why not. Who was let in must Leave with the same address.
func (g *Gate) Enter(a netip.Addr) (why Reason, ok bool) {
	client := clientOf(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.open >= g.most:
		return TooManyConns, false
	case g.clients[client] >= g.perClient:
		return TooManyPerClient, false
	}
	g.open++
	g.clients[client]++
	return "", true
}

// Leave undoes Enter.
func (g *Gate) Leave(a netip.Addr) {
	client := clientOf(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.clients[client]--; g.clients[client] == 0 {
		delete(g.clients, client)
	}
}

// Crowded reports whether half of the places are taken.
func (g *Gate) Crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open >= (g.most+1)/2
}
