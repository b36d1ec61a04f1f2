package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// client is one kept connection.
type client struct {
	get     func(ctx context.Context, size int) error
	connect func(ctx context.Context) error // only the handshake
	close   func()
	// parallel makes a client for so many goroutines; nil: this one is good for many.
	parallel func(s *server, n int) client
}

func path(size int) string { return fmt.Sprintf("/%d.bin", size) }

// h1 is an HTTP/1.1 connection that is read by hand: net/http's client would cost more
// than the server. It dials anew when the server ends it, as servers do after some
// thousand requests.
type h1 struct {
	s    *server
	conn *tls.Conn
	r    *bufio.Reader
}

func clientH1(s *server) client {
	h := &h1{s: s}
	return client{get: h.get, connect: h.connect, close: h.close, parallel: poolH1}
}

// poolH1 is n connections for n goroutines.
func poolH1(s *server, n int) client {
	free := make(chan *h1, n)
	for range n {
		free <- &h1{s: s}
	}
	return client{
		get: func(ctx context.Context, size int) error {
			h := <-free
			defer func() { free <- h }()
			return h.get(ctx, size)
		},
		close: func() {
			for range n {
				(<-free).close()
			}
		},
	}
}

func (h *h1) connect(ctx context.Context) error {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.s.addr)
	if err != nil {
		return err
	}
	config := h.s.tlsConfig(ecdsaHost)
	config.NextProtos = []string{"http/1.1"}
	h.conn = tls.Client(raw, config)
	return h.conn.HandshakeContext(ctx)
}

func (h *h1) get(ctx context.Context, size int) error {
	if h.conn == nil {
		if err := h.connect(ctx); err != nil {
			return err
		}
		h.r = bufio.NewReaderSize(h.conn, 16<<10)
	}
	h.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(h.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path(size), ecdsaHost); err != nil {
		return err
	}
	resp, err := http.ReadResponse(h.r, nil)
	if err != nil {
		return err
	}
	if err := check(resp, size); err != nil {
		return err
	}
	if resp.Close {
		h.close()
	}
	return nil
}

func (h *h1) close() {
	if h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
}

func clientH2(s *server) client {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	t := &http.Transport{TLSClientConfig: s.tlsConfig(ecdsaHost), Protocols: &protocols, MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.addr)
		}}
	return client{get: roundTrips(t), close: t.CloseIdleConnections}
}

func clientH3(s *server) client {
	t := &http3.Transport{TLSClientConfig: s.tlsConfig(ecdsaHost), Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
		return quic.DialAddr(ctx, s.addr, tc, qc)
	}}
	return client{get: roundTrips(t), close: func() { t.Close() }}
}

func roundTrips(t http.RoundTripper) func(context.Context, int) error {
	return func(ctx context.Context, size int) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+ecdsaHost+path(size), nil)
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
	n, err := io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || n != int64(size) {
		return fmt.Errorf("%s with %d of %d bytes", resp.Status, n, size)
	}
	return nil
}
