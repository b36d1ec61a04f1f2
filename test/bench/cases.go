package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// measurement is one row: measure returns the number in unit.
type measurement struct {
	name, unit string
	baseline   bool // bare crypto/tls can do it, too
	measure    func(context.Context, *server) (float64, error)
}

const large = 100 << 20

func cases() []measurement {
	return []measurement{
		{"handshake, P-256, X25519MLKEM768", "us", true, handshakes(tls.X25519MLKEM768, ecdsaHost, false)},
		{"handshake, P-256, X25519", "us", true, handshakes(tls.X25519, ecdsaHost, false)},
		{"handshake, RSA-2048, X25519MLKEM768", "us", true, handshakes(tls.X25519MLKEM768, rsaHost, false)},
		{"handshake, RSA-2048, X25519", "us", true, handshakes(tls.X25519, rsaHost, false)},
		{"handshake, resumed, X25519MLKEM768", "us", true, handshakes(tls.X25519MLKEM768, ecdsaHost, true)},
		{"hit, 1 KiB, h1", "us", false, hits(1<<10, clientH1)},
		{"hit, 1 KiB, h2", "us", false, hits(1<<10, clientH2)},
		{"hit, 1 KiB, h3", "us", false, hits(1<<10, clientH3)},
		{"hit, 10 KiB, h1", "us", false, hits(10<<10, clientH1)},
		{"hit, 10 KiB, h2", "us", false, hits(10<<10, clientH2)},
		{"hit, 10 KiB, h3", "us", false, hits(10<<10, clientH3)},
		{"100 MiB file, h1", "GB/s", false, throughput(clientH1)},
		{"100 MiB file, h2", "GB/s", false, throughput(clientH2)},
		{"idle TLS connection, h1", "KiB", true, idle},
	}
}

func (s *server) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: ecdsaHost, RootCAs: s.roots}
}

// warm puts every object into the cache.
func warm(ctx context.Context, s *server) error {
	c := clientH1(s)
	defer c.close()
	for range 2 {
		for _, n := range []int{1 << 10, 10 << 10, large} {
			if err := c.get(ctx, n); err != nil {
				return fmt.Errorf("warming the cache: %w", err)
			}
		}
	}
	return nil
}

// perOp runs f n times and returns the server's CPU microseconds per run.
func perOp(s *server, n int, f func() error) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	for range n {
		if err := f(); err != nil {
			return 0, err
		}
	}
	time.Sleep(20 * time.Millisecond) // let the server finish what follows the last answer
	after, err := s.cpu()
	return float64((after - before).Microseconds()) / float64(n), err
}

// handshakes measures full or resumed TLS 1.3 handshakes with one group; the site's
// only certificate is RSA or P-256.
func handshakes(group tls.CurveID, site string, resumed bool) func(context.Context, *server) (float64, error) {
	return func(_ context.Context, s *server) (float64, error) {
		config := s.tlsConfig()
		config.ServerName = site
		config.CurvePreferences = []tls.CurveID{group}
		config.MinVersion = tls.VersionTLS13
		config.NextProtos = []string{"http/1.1"}
		if resumed {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		}
		dial := func() error { return handshake(s.addr, config) }
		for range 20 { // warm the server's paths, and have the first ticket
			if err := dial(); err != nil {
				return 0, err
			}
		}
		return perOp(s, 1000, dial)
	}
}

func handshake(addr string, config *tls.Config) error {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	c := tls.Client(raw, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	// The ticket comes with the first read; the deadline ends that read.
	c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
	c.Read(make([]byte, 1))
	return nil
}

// client is one kept connection.
type client struct {
	get   func(ctx context.Context, size int) error
	close func()
}

func path(size int) string { return fmt.Sprintf("/%d.bin", size) }

// clientH1 reads answers by hand: net/http's client would be the slower end.
func clientH1(s *server) client {
	var conn *tls.Conn
	var r *bufio.Reader
	get := func(ctx context.Context, size int) error {
		if conn == nil {
			raw, err := net.Dial("tcp", s.addr)
			if err != nil {
				return err
			}
			config := s.tlsConfig()
			config.NextProtos = []string{"http/1.1"}
			conn, r = tls.Client(raw, config), nil
			r = bufio.NewReaderSize(conn, 64<<10)
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path(size), ecdsaHost); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if err := check(resp, size); err != nil {
			return err
		}
		if resp.Close { // the edge ends a connection after so many requests
			conn.Close()
			conn = nil
		}
		return nil
	}
	return client{get, func() {
		if conn != nil {
			conn.Close()
		}
	}}
}

func clientH2(s *server) client {
	config := s.tlsConfig()
	t := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.addr)
	}}
	return client{roundTrips(t), t.CloseIdleConnections}
}

func clientH3(s *server) client {
	t := &http3.Transport{TLSClientConfig: s.tlsConfig(), Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
		return quic.DialAddr(ctx, s.addr, tc, qc)
	}}
	return client{roundTrips(t), func() { t.Close() }}
}

func roundTrips(t http.RoundTripper) func(context.Context, int) error {
	return func(ctx context.Context, size int) error {
		r, err := http.NewRequestWithContext(ctx, "GET", "https://"+ecdsaHost+path(size), nil)
		if err != nil {
			return err
		}
		resp, err := t.RoundTrip(r)
		if err != nil {
			return err
		}
		return check(resp, size)
	}
}

// check reads an answer to its end; anything but a whole object makes the numbers void.
func check(resp *http.Response, size int) error {
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 || n != int64(size) {
		return fmt.Errorf("%s with %d of %d bytes", resp.Status, n, size)
	}
	return nil
}

// hits measures cached objects on one kept connection.
func hits(size int, dial func(*server) client) func(context.Context, *server) (float64, error) {
	return func(ctx context.Context, s *server) (float64, error) {
		c := dial(s)
		defer c.close()
		get := func() error { return c.get(ctx, size) }
		for range 200 {
			if err := get(); err != nil {
				return 0, err
			}
		}
		return perOp(s, 5000, get)
	}
}

// throughput measures the large file: gigabytes (10^9 bytes) per CPU second.
func throughput(dial func(*server) client) func(context.Context, *server) (float64, error) {
	return func(ctx context.Context, s *server) (float64, error) {
		c := dial(s)
		defer c.close()
		us, err := perOp(s, 5, func() error { return c.get(ctx, large) })
		if err != nil {
			return 0, err
		}
		return float64(large) / us / 1000, nil
	}
}

// idle measures the resident memory of a TLS connection that has had one request (one
// handshake at the baseline) and now waits.
func idle(ctx context.Context, s *server) (float64, error) {
	const n = 2000
	before, err := s.rss()
	if err != nil {
		return 0, err
	}
	for range n {
		raw, err := net.Dial("tcp", s.addr)
		if err != nil {
			return 0, err
		}
		defer raw.Close()
		config := s.tlsConfig()
		config.NextProtos = []string{"http/1.1"}
		c := tls.Client(raw, config)
		if err := c.HandshakeContext(ctx); err != nil {
			return 0, err
		}
		if s.origin == nil {
			continue // the baseline speaks no HTTP
		}
		if _, err := fmt.Fprintf(c, "HEAD %s HTTP/1.1\r\nHost: %s\r\n\r\n", path(1<<10), ecdsaHost); err != nil {
			return 0, err
		}
		if _, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "HEAD"}); err != nil {
			return 0, err
		}
	}
	time.Sleep(3 * time.Second) // garbage of the handshakes goes
	after, err := s.rss()
	return float64(after-before) / n / 1024, err
}
