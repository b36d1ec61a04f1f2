package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	large = 100 << 20
	// How much one sample does: enough to be far above the clock's grain, short enough
	// that neighbouring samples see the same machine.
	handshakesPerSample = 150
	hitsPerSample       = 1500
	// A server touches fresh memory until its first garbage collections; that cost is
	// paid once, not for each handshake.
	warmHandshakes = 1000
	atOnce         = 16
	// idleConns are held at once for the memory rows; freshRounds is how often.
	idleConns   = 1000
	freshRounds = 3
	idleSettles = 2 * time.Second // the edge drops buffers after 1 s
)

// cases are the rows. Handshakes come first: later the edge's cache holds 100 MiB, and
// a large heap spares it garbage collections that the bare server still has.
func cases() []measurement {
	return []measurement{
		{name: "handshake, P-256, X25519MLKEM768", unit: "us", bare: true, nginx: true, often: true, open: handshakes(tls.X25519MLKEM768, ecdsaHost, false)},
		{name: "handshake, P-256, X25519", unit: "us", bare: true, nginx: true, often: true, open: handshakes(tls.X25519, ecdsaHost, false)},
		{name: "handshake, RSA-2048, X25519MLKEM768", unit: "us", bare: true, nginx: true, often: true, open: handshakes(tls.X25519MLKEM768, rsaHost, false)},
		{name: "handshake, RSA-2048, X25519", unit: "us", bare: true, nginx: true, often: true, open: handshakes(tls.X25519, rsaHost, false)},
		{name: "handshake, resumed, X25519MLKEM768", unit: "us", bare: true, nginx: true, often: true, open: handshakes(tls.X25519MLKEM768, ecdsaHost, true)},
		{name: "handshake, resumed, X25519", unit: "us", bare: true, nginx: true, often: true, open: handshakes(tls.X25519, ecdsaHost, true)},
		{name: "hit, 1 KiB, h1", unit: "us", nginx: true, open: hits(1<<10, clientH1, 1)},
		{name: "hit, 1 KiB, h2", unit: "us", nginx: true, open: hits(1<<10, clientH2, 1)},
		{name: "hit, 1 KiB, h3", unit: "us", open: hits(1<<10, clientH3, 1)},
		{name: "hit, 10 KiB, h1", unit: "us", nginx: true, open: hits(10<<10, clientH1, 1)},
		{name: "hit, 10 KiB, h2", unit: "us", nginx: true, open: hits(10<<10, clientH2, 1)},
		{name: "hit, 10 KiB, h3", unit: "us", open: hits(10<<10, clientH3, 1)},
		{name: "hit, 1 KiB, h1, 16 connections", unit: "us", nginx: true, open: hits(1<<10, clientH1, atOnce)},
		{name: "hit, 1 KiB, h2, 16 at once", unit: "us", nginx: true, open: hits(1<<10, clientH2, atOnce)},
		{name: "hit, 1 KiB, h3, 16 at once", unit: "us", open: hits(1<<10, clientH3, atOnce)},
		{name: "100 MiB file, h1", unit: "GB/s", nginx: true, open: throughput(clientH1)},
		{name: "100 MiB file, h2", unit: "GB/s", nginx: true, open: throughput(clientH2)},
		{name: "100 MiB file, h3", unit: "GB/s", open: throughput(clientH3)},
		{name: "idle connection, h1", unit: "KiB", bare: true, nginx: true, fresh: true, open: idle(clientH1)},
		{name: "idle connection, h2", unit: "KiB", nginx: true, fresh: true, open: idle(clientH2)},
		{name: "idle connection, h3", unit: "KiB", fresh: true, open: idle(clientH3)},
	}
}

// handshakes measures full or resumed TLS 1.3 handshakes with one group; the site's
// only certificate is RSA or P-256. It counts everything that a connection costs which
// is opened and closed and carries no request.
func handshakes(group tls.CurveID, host string, resumed bool) func(context.Context, *server) (*sampler, error) {
	return func(_ context.Context, s *server) (*sampler, error) {
		config := s.tlsConfig(host)
		config.CurvePreferences = []tls.CurveID{group}
		config.MinVersion = tls.VersionTLS13
		config.NextProtos = []string{"http/1.1"}
		if resumed {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		}
		dial := func(resumes bool) error { return handshake(s.addr, config, group, resumes) }
		warm := 20
		if !s.warm {
			warm, s.warm = warmHandshakes, true
		}
		for i := range warm { // this also gets the first ticket
			if err := dial(resumed && i > 0); err != nil {
				return nil, err
			}
		}
		return &sampler{close: func() {}, sample: func(context.Context) (float64, error) {
			return perOp(s, handshakesPerSample, func() error {
				for range handshakesPerSample {
					if err := dial(resumed); err != nil {
						return err
					}
				}
				return nil
			})
		}}, nil
	}
}

// handshake opens a connection, says goodbye and reads until the server has closed it,
// which takes the ticket as well.
func handshake(addr string, config *tls.Config, group tls.CurveID, resumes bool) error {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(raw, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	if cs := c.ConnectionState(); cs.CurveID != group || cs.DidResume != resumes {
		return fmt.Errorf("the handshake agreed on %v and resumed: %t; wanted %v, %t", cs.CurveID, cs.DidResume, group, resumes)
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("the server did not close the connection cleanly: %w", err)
	}
	return nil
}

// hits measures cached objects on kept connections, so many at once.
func hits(size int, dial func(*server) client, at int) func(context.Context, *server) (*sampler, error) {
	return func(ctx context.Context, s *server) (*sampler, error) {
		c := dial(s)
		if at > 1 && c.parallel != nil {
			c.close()
			c = c.parallel(s, at)
		}
		get := func() error { return c.get(ctx, size) }
		for range 200 { // the object comes into the cache, the windows open
			if err := get(); err != nil {
				c.close()
				return nil, err
			}
		}
		return &sampler{close: c.close, sample: func(ctx context.Context) (float64, error) {
			return perOp(s, hitsPerSample, func() error { return spread(hitsPerSample, at, get) })
		}}, nil
	}
}

// spread calls f n times from so many goroutines.
func spread(n, goroutines int, f func() error) error {
	if goroutines == 1 {
		for range n {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make(chan error, goroutines)
	for i := range goroutines {
		mine := n / goroutines
		if i < n%goroutines {
			mine++
		}
		go func() { errs <- spread(mine, 1, f) }()
	}
	var first error
	for range goroutines {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// throughput measures the large file: gigabytes (10^9 bytes) per CPU second.
func throughput(dial func(*server) client) func(context.Context, *server) (*sampler, error) {
	return func(ctx context.Context, s *server) (*sampler, error) {
		c := dial(s)
		for range 2 {
			if err := c.get(ctx, large); err != nil {
				c.close()
				return nil, err
			}
		}
		return &sampler{close: c.close, sample: func(ctx context.Context) (float64, error) {
			us, err := perOp(s, 1, func() error { return c.get(ctx, large) })
			return float64(large) / us / 1000, err
		}}, nil
	}
}

// idle measures the resident memory of a connection that has had one request (one
// handshake at the bare server) and now waits.
func idle(dial func(*server) client) func(context.Context, *server) (*sampler, error) {
	return func(ctx context.Context, s *server) (*sampler, error) {
		one := func() (client, error) {
			c := dial(s)
			if s.bare {
				return c, c.connect(ctx)
			}
			return c, c.get(ctx, 1<<10)
		}
		var open []client
		all := &sampler{close: func() {
			for _, c := range open {
				c.close()
			}
		}}
		for range 50 { // what the server makes once
			c, err := one()
			c.close()
			if err != nil {
				return nil, err
			}
		}
		all.sample = func(context.Context) (float64, error) {
			before, err := s.rss()
			if err != nil {
				return 0, err
			}
			for range idleConns {
				c, err := one()
				if err != nil {
					c.close()
					return 0, err
				}
				open = append(open, c)
			}
			time.Sleep(idleSettles)
			after, err := s.rss()
			return float64(after-before) / idleConns / 1024, err
		}
		return all, nil
	}
}
