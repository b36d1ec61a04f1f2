// Package testorigin answers: what does the edge do when an origin does this?
//
// An Origin plays scripts, byte for byte: it delays, stalls, lies about lengths, resets.
// It records every request that arrives. Only tests import it. It listens on loopback,
// or in memory (Memory) so that it works inside testing/synctest.
package testorigin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Step is one thing that an origin does to a connection. It returns false to end it.
type Step func(c *Conn) bool

// Script is what an origin does after it has read a request.
type Script []Step

// Request is one request as it arrived.
type Request struct {
	Method, Target, Proto string
	Host                  string
	Lines                 []string // the field lines, raw and in order
	Header                http.Header
	Body                  []byte
	BodyErr               error
	Conn                  int // which connection, from 1
	TLS                   *tls.ConnectionState
}

// Conn is a connection as a Step sees it.
type Conn struct {
	net.Conn
	// Request is the one that is being answered, nil in a script of OnConnect.
	Request *Request
	ctx     context.Context
	in      *bufio.Reader
	readErr error
}

// Origin is a scripted origin.
type Origin struct {
	t      testing.TB
	listen net.Listener
	dial   func(context.Context) (net.Conn, error)
	tls    *tls.Config
	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup

	mu        sync.Mutex
	paths     map[string]Script
	queue     []queued // played before paths, one per request
	fallback  Script
	onConnect Script
	requests  []*Request
	conns     int
	open      map[net.Conn]bool
}

// queued is a script for one request.
type queued struct {
	steps Script
	early bool
}

// Option changes how an Origin is made.
type Option func(*Origin)

// WithTLS makes the origin speak TLS.
func WithTLS(c *tls.Config) Option { return func(o *Origin) { o.tls = c } }

// InMemory makes the origin reachable by its Dial only.
func InMemory() Option {
	return func(o *Origin) {
		l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		o.listen, o.dial = l, l.dial
	}
}

// Start starts an origin that ends with the test. It answers everything with 404 until
// it is told otherwise.
func Start(t testing.TB, options ...Option) *Origin {
	t.Helper()
	o := &Origin{t: t, paths: map[string]Script{}, fallback: Respond(404, ""), open: map[net.Conn]bool{}}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	for _, f := range options {
		f(o)
	}
	if o.listen == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o.listen = l
		o.dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		}
	}
	o.wg.Go(o.accept)
	t.Cleanup(o.Close)
	return o
}

// Close ends the origin and waits for all its connections.
func (o *Origin) Close() {
	o.cancel()
	o.listen.Close()
	o.mu.Lock()
	for c := range o.open {
		c.Close()
	}
	o.mu.Unlock()
	o.wg.Wait()
}

// Addr is the address to connect to.
func (o *Origin) Addr() string { return o.listen.Addr().String() }

// Dial connects to the origin, whatever address is asked for.
func (o *Origin) Dial(ctx context.Context, _, _ string) (net.Conn, error) { return o.dial(ctx) }

// On sets the script for a path (the target without its query).
func (o *Origin) On(path string, steps ...Step) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.paths[path] = steps
}

// Always sets the script for all paths without one.
func (o *Origin) Always(steps ...Step) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fallback = steps
}

// Next queues a script for one request, before those of On and Always.
func (o *Origin) Next(steps ...Step) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, queued{steps: steps})
}

// NextEarly is Next, but the script is played before the request's body is read. It
// must end the connection.
func (o *Origin) NextEarly(steps ...Step) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, queued{steps: steps, early: true})
}

// OnConnect sets a script that is played before a connection's first request is read.
func (o *Origin) OnConnect(steps ...Step) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.onConnect = steps
}

// Requests returns what has arrived so far.
func (o *Origin) Requests() []*Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*Request(nil), o.requests...)
}

// Last returns the newest request; the test fails when there is none.
func (o *Origin) Last() *Request {
	o.t.Helper()
	all := o.Requests()
	if len(all) == 0 {
		o.t.Fatal("no request has reached the origin")
	}
	return all[len(all)-1]
}

// Count returns how many requests have arrived.
func (o *Origin) Count() int { return len(o.Requests()) }

// Conns returns how many connections have been accepted.
func (o *Origin) Conns() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conns
}

func (o *Origin) accept() {
	for {
		nc, err := o.listen.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns++
		id := o.conns
		o.open[nc] = true
		o.mu.Unlock()
		if o.ctx.Err() != nil {
			nc.Close()
		}
		o.wg.Go(func() {
			o.serve(nc, id)
			nc.Close()
			o.mu.Lock()
			delete(o.open, nc)
			o.mu.Unlock()
		})
	}
}

func (o *Origin) serve(nc net.Conn, id int) {
	c := &Conn{Conn: nc, ctx: o.ctx}
	o.mu.Lock()
	first := o.onConnect
	o.mu.Unlock()
	if !play(first, c) {
		return
	}
	var state *tls.ConnectionState
	if o.tls != nil {
		tc := tls.Server(nc, o.tls)
		if err := tc.HandshakeContext(o.ctx); err != nil {
			return
		}
		s := tc.ConnectionState()
		state, c.Conn = &s, tc
	}
	c.in = bufio.NewReader(c.Conn)
	for {
		r, body, err := readRequest(c.in)
		if err != nil {
			return
		}
		r.Conn, r.TLS = id, state
		c.Request = r
		script := o.take(r)
		if !script.early {
			r.Body, r.BodyErr = io.ReadAll(body)
		}
		o.mu.Lock()
		o.requests = append(o.requests, r)
		o.mu.Unlock()
		if !play(script.steps, c) || r.BodyErr != nil {
			return
		}
	}
}

// take finds the script for r.
func (o *Origin) take(r *Request) queued {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		s := o.queue[0]
		o.queue = o.queue[1:]
		return s
	}
	path, _, _ := strings.Cut(r.Target, "?")
	if s, ok := o.paths[path]; ok {
		return queued{steps: s}
	}
	return queued{steps: o.fallback}
}

func play(s Script, c *Conn) bool {
	for _, step := range s {
		if !step(c) {
			return false
		}
	}
	return true
}

// readRequest keeps the field lines as they are, which net/http would not.
func readRequest(in *bufio.Reader) (*Request, io.Reader, error) {
	var raw bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			return nil, nil, err
		}
		if line == "\r\n" {
			break
		}
		if raw.Len() > 1<<20 {
			return nil, nil, errors.New("request head over 1 MiB")
		}
	}
	lines := strings.Split(strings.TrimSuffix(raw.String(), "\r\n\r\n"), "\r\n")
	first := strings.SplitN(lines[0], " ", 3)
	if len(first) != 3 {
		return nil, nil, fmt.Errorf("request line %q", lines[0])
	}
	// net/http would refuse targets that we want to see: it gets "/".
	plain := first[0] + " / " + first[2] + "\r\n" + strings.Join(lines[1:], "\r\n") + "\r\n\r\n"
	hr, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(plain), in)))
	if err != nil {
		return nil, nil, err
	}
	r := &Request{Method: first[0], Target: first[1], Proto: hr.Proto, Host: hr.Host, Lines: lines[1:], Header: hr.Header}
	return r, hr.Body, nil
}

// Send writes raw bytes.
func Send(raw string) Step {
	return func(c *Conn) bool {
		_, err := io.WriteString(c.Conn, raw)
		return err == nil
	}
}

// Sendf writes formatted bytes made from the request.
func Sendf(f func(r *Request) string) Step {
	return func(c *Conn) bool { return Send(f(c.Request))(c) }
}

// Respond writes a whole response with its Content-Length; field lines are raw,
// without line ends. A response to HEAD goes without the body.
func Respond(status int, body string, lines ...string) Script {
	return Script{func(c *Conn) bool {
		var b strings.Builder
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
		for _, l := range lines {
			b.WriteString(l + "\r\n")
		}
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
		if c.Request == nil || c.Request.Method != "HEAD" {
			b.WriteString(body)
		}
		return Send(b.String())(c)
	}}
}

// Wait does nothing for d.
func Wait(d time.Duration) Step {
	return func(c *Conn) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-c.ctx.Done():
			return false
		}
	}
}

// Stall does nothing until the origin ends or the other side closes.
func Stall(c *Conn) bool {
	in := io.Reader(c.Conn)
	if c.in != nil {
		in = c.in
	}
	io.Copy(io.Discard, in)
	return false
}

// Block does nothing, not even read, until the origin ends.
func Block(c *Conn) bool {
	<-c.ctx.Done()
	return false
}

// Until waits for ch.
func Until(ch <-chan struct{}) Step {
	return func(c *Conn) bool {
		select {
		case <-ch:
			return true
		case <-c.ctx.Done():
			return false
		}
	}
}

// Close ends the connection in order.
func Close(*Conn) bool { return false }

// Reset ends the connection with a TCP RST.
func Reset(c *Conn) bool {
	nc := c.Conn
	if tc, ok := nc.(*tls.Conn); ok {
		nc = tc.NetConn()
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
	return false
}

// pipeListener is a listener in memory, safe inside a synctest bubble.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: l.Addr(), Err: errors.New("connection refused")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "memory" }
