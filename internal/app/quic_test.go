package app

import (
	"testing"
	"time"
)

// TestQUICConnectionsAreLimited: --max-connections holds for QUIC as well. A viewer
// beyond it is refused before the handshake, and one who leaves makes room.
func TestQUICConnectionsAreLimited(t *testing.T) {
	const most = 4
	e := startEdge(t, []site{{alias: "www.example.org", policy: "TLSv1.2_2021"}}, func(c *Config) { c.MaxConnections = most })
	var in []*viewer
	for range most {
		v := e.viewer3("www.example.org")
		v.asks(t, "www.example.org", 200)
		in = append(in, v)
	}
	beyond := e.viewer3("www.example.org")
	beyond.Timeout = 10 * time.Second
	if status, _, err := beyond.get("/small"); err == nil {
		t.Errorf("connection %d is served: %d", most+1, status)
	}
	in[0].asks(t, "www.example.org", 200) // those who are in do not notice
	until(t, "the refusal in the log", func() bool {
		for _, l := range lines(t, e.config.ConnectionLog) {
			if l["reason"] == "too-many-connections" {
				return true
			}
		}
		return false
	})
	in[1].close()
	until(t, "a free place", func() bool {
		v := e.viewer3("www.example.org")
		defer v.close()
		status, _, err := v.get("/small")
		return err == nil && status == 200
	})
}
