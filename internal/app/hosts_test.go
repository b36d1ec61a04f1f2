package app

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
)

func aliases(names ...any) func(map[string]any) {
	return func(c map[string]any) {
		c["Aliases"] = map[string]any{"Quantity": len(names), "Items": names}
	}
}

// TestHosts: which distribution answers is the host's choice, not the server name's; but
// nobody gets past a stricter policy that way.
func TestHosts(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{
		{alias: "www.example.org", policy: "TLSv1.2_2021"},
		{alias: "other.example.org", policy: "TLSv1.3_2025"},
		{alias: "pq.example.org", policy: "PQFront_TLSv1.3_PQ_2026"},
		{alias: "wild", policy: "TLSv1.2_2021", edit: aliases("*.example.net", "*.deep.example.net")},
		{alias: "off", policy: "TLSv1.2_2021", edit: func(c map[string]any) {
			aliases("off.example.org")(c)
			c["Enabled"] = false
		}},
	})
	classical := func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }
	lax12 := e.viewer("www.example.org", "h2", maxTLS12)
	lax13 := e.viewer("www.example.org", "h2", minTLS13)
	laxX := e.viewer("www.example.org", "h1", minTLS13, classical)
	quicX := e.viewer3("www.example.org", classical)
	quicPQ := e.viewer3("www.example.org")
	for _, v := range []*viewer{lax12, lax13, laxX, quicX, quicPQ} {
		v.asks(t, "www.example.org", 200)
		v.asks(t, "unknown.example.org", 403)
		v.asks(t, "off.example.org", 403)
	}
	// RFC 9110, Section 15.5.20: only who might have connected there gets an answer.
	lax12.asks(t, "other.example.org", 421)
	lax12.asks(t, "pq.example.org", 421)
	lax13.asks(t, "other.example.org", 200)
	lax13.asks(t, "pq.example.org", 200) // X25519MLKEM768 was agreed on
	laxX.asks(t, "other.example.org", 200)
	laxX.asks(t, "pq.example.org", 421)
	quicX.asks(t, "pq.example.org", 421)
	quicPQ.asks(t, "pq.example.org", 200)
	lax12.asks(t, "any.example.net", 200)
	for _, v := range []*viewer{lax12, lax13, laxX, quicX, quicPQ} {
		if n := v.dials.Load(); n != 1 {
			t.Errorf("%s: %d connections", v.host, n)
		}
	}

	// Wildcards stand for one label or more, the most specific one wins.
	for _, name := range []string{"a.example.net", "a.deep.example.net"} {
		if state := e.accepts(t, name); state.PeerCertificates[0].VerifyHostname(name) != nil {
			t.Errorf("%s got a certificate for %v", name, state.PeerCertificates[0].DNSNames)
		}
		e.viewer(name, "h2").asks(t, name, 200)
	}
	for _, name := range []string{"example.net", "unknown.example.org", "off.example.org", ""} {
		_, err := e.handshake(name, func(c *tls.Config) { c.InsecureSkipVerify = true })
		if err == nil {
			t.Errorf("a handshake with the server name %q went well", name)
		}
	}
}

// TestDefaultDistribution: with one, viewers without a usable server name are served by
// it, under its policy.
func TestDefaultDistribution(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{
		{alias: "www.example.org", policy: "TLSv1.3_2025"}, {alias: "other.example.org", policy: "TLSv1.2_2021"},
	}, func(c *Config) { c.DefaultDistribution = "www.example.org" })
	for _, name := range []string{"", "unknown.example.org"} {
		trusting := func(c *tls.Config) { c.InsecureSkipVerify = true }
		state := e.accepts(t, name, trusting)
		if state.PeerCertificates[0].VerifyHostname("www.example.org") != nil {
			t.Errorf("server name %q: certificate for %v", name, state.PeerCertificates[0].DNSNames)
		}
		if _, err := e.handshake(name, trusting, maxTLS12); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("server name %q with TLS 1.2: %v", name, err)
		}
		v := e.viewer("www.example.org", "h2", trusting, func(c *tls.Config) { c.ServerName = name })
		if name == "" { // net/http would fill it in
			v = e.viewer("127.0.0.1", "h2", trusting)
		}
		v.asks(t, "www.example.org", 200)
		v.asks(t, "unknown.example.org", 403)
		v.asks(t, "other.example.org", 200)
	}
}

// TestHTTPVersions: HTTP/3 and HTTP/2 are advertised and served where HttpVersion says so.
func TestHTTPVersions(t *testing.T) {
	t.Parallel()
	version := func(v string) func(map[string]any) { return func(c map[string]any) { c["HttpVersion"] = v } }
	e := startEdge(t, []site{
		{alias: "www.example.org", policy: "TLSv1.2_2021", edit: version("http2and3")},
		{alias: "other.example.org", policy: "TLSv1.2_2021", edit: version("http2")},
		{alias: "pq.example.org", policy: "TLSv1.2_2021", edit: version("http1.1")},
	})
	port := e.ports.HTTPS[strings.LastIndexByte(e.ports.HTTPS, ':'):]
	f := func(host, alpn, altSvc string) {
		t.Helper()
		if state := e.accepts(t, host); state.NegotiatedProtocol != alpn {
			t.Errorf("%s: ALPN %q, want %q", host, state.NegotiatedProtocol, alpn)
		}
		resp := e.viewer(host, "h1").asks(t, host, 200)
		if resp != nil && resp.Header.Get("Alt-Svc") != altSvc {
			t.Errorf("%s: alt-svc %q, want %q", host, resp.Header.Get("Alt-Svc"), altSvc)
		}
	}
	f("www.example.org", "h2", `h3="`+port+`"; ma=86400`)
	f("other.example.org", "h2", "")
	f("pq.example.org", "http/1.1", "")
	e.viewer3("www.example.org").asks(t, "www.example.org", 200)
	for _, host := range []string{"other.example.org", "pq.example.org", "unknown.example.org"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		c, err := quic.DialAddr(ctx, e.ports.HTTPS, e.clientTLS(host, "h3"), nil)
		cancel()
		if err == nil {
			c.CloseWithError(0, "")
		}
		refused, ok := errors.AsType[*quic.TransportError](err)
		if !ok || !refused.Remote || !refused.ErrorCode.IsCryptoError() {
			t.Errorf("QUIC with %s: %v, want a CRYPTO_ERROR", host, err)
		}
	}
	until(t, "the refusals in the log", func() bool {
		reasons := map[string]int{}
		for _, l := range lines(t, e.config.ConnectionLog) {
			if l["tls-transport"] == "quic" {
				reasons[l["tls-refusal"].(string)]++
			}
		}
		return reasons["no_application_protocol"] == 2 && reasons["unknown_sni"] == 1
	})
}
