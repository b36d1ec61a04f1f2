package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// door is a small HTTP server for operators: the API's or the console's address. It
// takes TLS (certificate of the local CA) and plain HTTP on one port: until the API has
// callers to authenticate, nothing that it says is a secret.
type door struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// newDoor makes a door on l. config is for the connections that start with a TLS record.
func newDoor(name string, l net.Listener, handler http.Handler, config *tls.Config, log *slog.Logger) *door {
	return &door{
		name:     name,
		listener: &eitherListener{Listener: l, config: config, places: make(chan struct{}, doorConns)},
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       30 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       60 * time.Second,
			MaxHeaderBytes:    32 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
}

// doorGrace is how long requests in flight may go on when the door closes.
const doorGrace = 2 * time.Second

// run serves until ctx ends, then lets requests in flight finish, for a moment.
func (d *door) run(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), doorGrace)
		defer cancel()
		if d.server.Shutdown(grace) != nil {
			d.server.Close() // somebody holds a connection and says nothing: no reason to fail
		}
	})
	err := d.server.Serve(d.listener)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// doorConns is how many connections a door has at once: ours, for some operators and
// their health checks. More would only take the viewers' file descriptors away.
const doorConns = 256

// eitherListener gives connections that speak TLS or plain HTTP, as their first byte says.
// Those beyond its places are closed at once.
type eitherListener struct {
	net.Listener
	config *tls.Config
	places chan struct{}
}

// Accept returns at once; the first byte is awaited by whoever reads the connection.
func (l *eitherListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &eitherConn{Conn: c, config: l.config, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			c.Close()
		}
	}
}

// eitherConn finds out at its first Read what it speaks. Only net/http's one reader
// goroutine reads it, and writes come after the first read; but it may be closed at any
// time.
type eitherConn struct {
	net.Conn
	config *tls.Config
	inner  atomic.Pointer[net.Conn]
	leave  func() // gives the place back
}

// recordHandshake is the first byte of a TLS connection: a record of type handshake
// (RFC 8446, Section 5.1). No HTTP request begins with it.
const recordHandshake = 22

// Read implements net.Conn.
func (c *eitherConn) Read(p []byte) (int, error) {
	inner := c.inner.Load()
	if inner == nil {
		r := bufio.NewReaderSize(c.Conn, 512)
		first, err := r.Peek(1)
		if err != nil {
			return 0, err
		}
		var conn net.Conn = &readAhead{c.Conn, r}
		if first[0] == recordHandshake {
			conn = tls.Server(conn, c.config)
		}
		inner = &conn
		c.inner.Store(inner)
	}
	return (*inner).Read(p)
}

// Write implements net.Conn.
func (c *eitherConn) Write(p []byte) (int, error) {
	inner := c.inner.Load()
	if inner == nil {
		return 0, net.ErrClosed // nothing is said before the peer has spoken
	}
	return (*inner).Write(p)
}

// Close implements net.Conn.
func (c *eitherConn) Close() error {
	defer c.leave()
	if inner := c.inner.Load(); inner != nil {
		return (*inner).Close()
	}
	return c.Conn.Close()
}

// readAhead is a connection of which some bytes were read already.
type readAhead struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (c *readAhead) Read(p []byte) (int, error) { return c.r.Read(p) }

// Health is what GET /healthz answers.
type Health struct {
	Status     string `json:"status"`               // "ok" or "starting"
	Generation uint64 `json:"generation"`           // of the snapshot that is served
	Version    string `json:"version,omitempty"`    // of the process
	LastError  string `json:"last_error,omitempty"` // of the newest configuration, when it was refused
}

// apiHandler answers /healthz; health says how the edge is.
func apiHandler(health func() Health) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := health()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if h.Status != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(h)
	})
	return mux
}
