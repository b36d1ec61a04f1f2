package app

import (
	"net"
	"testing"
	"time"
)

// TestDoorsHaveFewPlaces: connections to an operators' address beyond its places are
// closed at once, and one that ends makes room.
func TestDoorsHaveFewPlaces(t *testing.T) {
	e := startEdge(t, []site{{alias: "www.example.org", policy: "TLSv1.2_2021"}})
	var held []net.Conn
	for range doorConns {
		c, err := net.Dial("tcp", e.ports.API)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	answered := func() bool {
		c, err := net.Dial("tcp", e.ports.API)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		c.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n"))
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	}
	if answered() { // connections are accepted in their order, so this one finds no place
		t.Error("a connection beyond the places is served")
	}
	for _, c := range held {
		c.Close()
	}
	until(t, "a place", answered)
}
