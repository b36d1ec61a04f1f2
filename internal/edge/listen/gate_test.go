package listen

import (
	"net/netip"
	"testing"
)

func TestGate(t *testing.T) {
	g := NewGate(Config{MaxConns: 4, MaxPerClient: 2})
	enter := func(addr string, want Reason) {
		t.Helper()
		if why, ok := g.Enter(netip.MustParseAddr(addr)); why != want || ok != (want == "") {
			t.Errorf("%s: %q %t, want %q", addr, why, ok, want)
		}
	}
	crowded := func(want bool) {
		t.Helper()
		if g.Crowded() != want {
			t.Errorf("crowded: %t", !want)
		}
	}
	enter("192.0.2.1", "")
	crowded(false)
	enter("192.0.2.1", "")
	crowded(true)
	enter("192.0.2.1", TooManyPerClient)
	enter("2001:db8::1", "")
	enter("2001:db8::2", "") // the same network
	enter("2001:db8::3", TooManyConns)
	enter("192.0.2.2", TooManyConns)
	g.Leave(netip.MustParseAddr("192.0.2.1"))
	enter("2001:db8::3", TooManyPerClient)
	enter("192.0.2.2", "")
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"} {
		g.Leave(netip.MustParseAddr(a))
	}
	crowded(false)
	if len(g.clients) != 0 || g.open != 0 {
		t.Errorf("empty, but %+v", g)
	}
}
