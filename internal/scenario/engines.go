package scenario

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
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"pqfront/internal/edge"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/httpfield"
	"pqfront/internal/testnet"
	"pqfront/internal/tlspolicy"
)

// The modes that go through the engines: bytes on a connection, in memory. HTTP/2 and
// HTTP/3 viewers use HTTP/1 for http URLs and where a scenario asks for HTTP/1.0.
var (
	HTTP1 = Mode{Name: "h1", Open: func(e *edge.Edge) Transport { return newEngines(e, (*engines).doH1) }}
	HTTP2 = Mode{Name: "h2", Open: func(e *edge.Edge) Transport { return newEngines(e, (*engines).doH2) }}
	HTTP3 = Mode{Name: "h3", Open: func(e *edge.Edge) Transport { return newEngines(e, (*engines).doH3) }}
)

// engines serves the edge and asks it, with a connection for each request.
type engines struct {
	engine *viewerhttp.Engine
	do     func(*engines, context.Context, *Request) (*Answer, error)
	cert   tls.Certificate
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup
	ids    atomic.Uint64
}

func newEngines(e *edge.Edge, do func(*engines, context.Context, *Request) (*Answer, error)) *engines {
	s := &engines{do: do, engine: &viewerhttp.Engine{Handler: e, ErrorPage: e.ErrorPage}}
	cert, err := selfSigned()
	if err != nil {
		panic(err)
	}
	s.cert = cert
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Close implements Transport.
func (s *engines) Close() {
	s.stop()
	s.work.Wait()
}

// Do implements Transport.
func (s *engines) Do(ctx context.Context, r *Request) (*Answer, error) {
	var a *Answer
	var err error
	if r.URL.Scheme == "http" || r.Old {
		a, err = s.doH1(ctx, r)
	} else {
		a, err = s.do(s, ctx, r)
	}
	if ctx.Err() != nil { // the viewer has left: what it got does not matter
		return &Answer{Err: ctx.Err()}, nil
	}
	return a, err
}

func (s *engines) conn(r *Request) *viewerhttp.Conn {
	return &viewerhttp.Conn{ID: s.ids.Add(1), Viewer: viewerAddress, TLS: handshake(r)}
}

// doH1 writes and reads HTTP/1 by hand, so that nothing is added and the order is seen.
func (s *engines) doH1(ctx context.Context, r *Request) (*Answer, error) {
	client, server := testnet.Pipe()
	info := s.conn(r)
	s.work.Go(func() { s.engine.ServeH1(s.ctx, server, info) })
	defer client.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })()
	s.work.Go(func() { io.Copy(client, strings.NewReader(h1Text(r))) }) // fails when the server answers early
	br := bufio.NewReader(client)
	head, fields, err := readHead(br)
	if err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(head), br)), &http.Request{Method: r.Method})
	if err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, head)
	}
	a := &Answer{Status: resp.StatusCode, Header: fields, Closed: resp.Close}
	a.Body, a.Err = io.ReadAll(resp.Body)
	return a, nil
}

func h1Text(r *Request) string {
	version := "1.1"
	if r.Old {
		version = "1.0"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), version, r.URL.Host)
	for _, f := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", httpfield.Title(f.Name), f.Value)
	}
	switch {
	case !r.HasBody:
		b.WriteString("\r\n")
	case r.Streaming:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(r.Body), r.Body)
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.Body), r.Body)
	}
	return b.String()
}

// readHead reads up to the empty line and returns the bytes and the fields.
func readHead(br *bufio.Reader) ([]byte, httpfield.Fields, error) {
	var head []byte
	var fields httpfield.Fields
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return nil, nil, err
		}
		head = append(head, line...)
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return head, fields, nil
		}
		if name, value, ok := strings.Cut(line, ": "); ok {
			fields.Add(strings.ToLower(name), value)
		}
	}
}

// doH2 lets net/http ask.
func (s *engines) doH2(ctx context.Context, r *Request) (*Answer, error) {
	tr := &http.Transport{
		DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: r.SNI},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := testnet.Pipe()
			info := s.conn(r)
			s.work.Go(func() { s.serveH2(server, info) })
			return client, nil
		},
	}
	defer tr.CloseIdleConnections()
	return roundTrip(ctx, tr, r)
}

func (s *engines) serveH2(conn net.Conn, info *viewerhttp.Conn) {
	tc := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}, NextProtos: []string{"h2"}})
	if tc.HandshakeContext(s.ctx) != nil {
		conn.Close()
		return
	}
	s.engine.ServeH2(s.ctx, tc, info)
}

// doH3 lets quic-go's HTTP/3 client ask, over datagrams in memory.
func (s *engines) doH3(ctx context.Context, r *Request) (*Answer, error) {
	clientSide, serverSide := packetPipe()
	server := &quic.Transport{Conn: serverSide}
	client := &quic.Transport{Conn: clientSide}
	ln, err := server.Listen(&tls.Config{Certificates: []tls.Certificate{s.cert}, NextProtos: []string{"h3"}}, viewerhttp.QUICConfig())
	if err != nil {
		return nil, err
	}
	served := make(chan struct{})
	connCtx, endConn := context.WithCancel(s.ctx)
	s.work.Go(func() {
		defer close(served)
		qc, err := ln.Accept(connCtx)
		if err != nil {
			return
		}
		info := s.conn(r)
		info.TLS.Transport, info.TLS.ALPN = tlspolicy.QUIC, "h3"
		s.engine.ServeQUICConn(connCtx, qc, info)
	})
	tr := &http3.Transport{
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true, ServerName: r.SNI, NextProtos: []string{"h3"}},
		Dial: func(ctx context.Context, _ string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			return client.DialEarly(ctx, serverSide.LocalAddr(), tc, qc)
		},
	}
	a, err := roundTrip(ctx, tr, r)
	tr.Close()
	endConn()
	<-served
	return a, errors.Join(err, ln.Close(), client.Close(), server.Close(), clientSide.Close(), serverSide.Close())
}

// roundTrip asks through net/http's interface, whose header has no order.
func roundTrip(ctx context.Context, tr http.RoundTripper, r *Request) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header["User-Agent"] = []string{""} // not net/http's own
	for _, f := range r.Header {
		name := http.CanonicalHeaderKey(f.Name)
		if name == "User-Agent" {
			req.Header.Del(name)
		}
		req.Header.Add(name, f.Value)
	}
	if r.HasBody {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(r.Body)), int64(len(r.Body))
		if r.Streaming {
			req.ContentLength = -1
		}
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Unordered: true}
	for name, values := range resp.Header {
		for _, v := range values {
			a.Header.Add(strings.ToLower(name), v)
		}
	}
	a.Body, a.Err = io.ReadAll(resp.Body)
	return a, nil
}
