package viewerhttp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	oracle "golang.org/x/net/http2/hpack"

	"pqfront/internal/httpfield"
)

// hitHandler answers from memory with the fields that CloudFront sends for a hit.
func hitHandler(size int) Handler {
	res := &Response{Status: 200, Bytes: make([]byte, size), Length: int64(size), Header: httpfield.Fields{
		{Name: "content-type", Value: "text/html"},
		{Name: "content-length", Value: strconv.Itoa(size)},
		{Name: "date", Value: "Mon, 21 Oct 2013 20:13:21 GMT"},
		{Name: "last-modified", Value: "Mon, 21 Oct 2013 20:13:21 GMT"},
		{Name: "etag", Value: `"0123456789abcdef0123456789abcdef"`},
		{Name: "accept-ranges", Value: "bytes"},
		{Name: "server", Value: "AmazonS3"},
		{Name: "x-cache", Value: "Hit from cloudfront"},
		{Name: "via", Value: "1.1 0123456789abcdef0123456789abcdef.cloudfront.net (CloudFront)"},
		{Name: "x-amz-cf-pop", Value: "NRT12-P9"},
		{Name: "alt-svc", Value: `h3=":443"; ma=86400`},
		{Name: "x-amz-cf-id", Value: "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR=="},
		{Name: "age", Value: "123"},
	}}
	return handlerFunc(func(_ context.Context, _ *Request, w Responder) { w.Respond(res) })
}

// benchPeer is a client that costs as little as possible, so that the numbers are
// the server's: requests are ready-made blocks, answers are only counted.
type benchPeer struct {
	conn  net.Conn
	in    *bufio.Reader
	block []byte // a request whose fields are all in the table
	out   []byte
	id    uint32
	owed  int
}

func newBenchPeer(b *testing.B, conn net.Conn, scheme string) *benchPeer {
	b.Helper()
	p := &benchPeer{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), id: 1}
	var buf bytes.Buffer
	enc := oracle.NewEncoder(&buf)
	encode := func() []byte {
		buf.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", scheme}, {":authority", "www.example.com"}, {":path", "/some/image.png"},
			{"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, {"accept", "image/avif,image/webp,*/*;q=0.5"},
			{"accept-language", "en-US,en;q=0.5"}, {"accept-encoding", "gzip, deflate, br, zstd"}, {"referer", "https://www.example.com/"}} {
			enc.WriteField(oracle.HeaderField{Name: f[0], Value: f[1]})
		}
		return bytes.Clone(buf.Bytes())
	}
	out := append([]byte(h2Preface), appendH2Frame(nil, 6, h2Settings, 0, 0)...)
	out = appendH2Setting(out, h2SetInitialWindow, h2MaxWindow)
	out = appendH2WindowUpdate(out, 0, h2MaxWindow-h2FirstWindow)
	out = append(out, appendH2Frame(nil, 0, h2Settings, h2FlagAck, 0)...)
	first := encode()
	p.block = encode()
	p.out = append(appendH2Frame(out, len(first), h2Headers, 5, p.id), first...)
	p.id += 2
	p.flush(b)
	p.await(b, 1)
	return p
}

func (p *benchPeer) ask() {
	p.out = append(appendH2Frame(p.out, len(p.block), h2Headers, 5, p.id), p.block...)
	p.id += 2
}

func (p *benchPeer) flush(b *testing.B) {
	if _, err := p.conn.Write(p.out); err != nil {
		b.Fatal(err)
	}
	p.out = p.out[:0]
}

// await reads until n streams have ended.
func (p *benchPeer) await(b *testing.B, n int) {
	for n > 0 {
		head, err := p.in.Peek(h2HeaderLen)
		if err != nil {
			b.Fatal(err)
		}
		f := parseH2Frame(head)
		p.in.Discard(h2HeaderLen + f.length)
		switch {
		case f.typ == h2GoAway || f.typ == h2RSTStream:
			last, _ := p.in.Peek(min(8, p.in.Buffered()))
			b.Fatalf("frame type %d: %x", f.typ, last)
		case f.typ == h2Data || f.typ == h2Headers:
			if f.typ == h2Data {
				p.owed += f.length
			}
			if f.has(h2FlagEndStream) {
				n--
			}
		}
	}
	if p.owed > 1<<30 {
		p.out = appendH2WindowUpdate(p.out, 0, uint32(p.owed))
		p.owed = 0
	}
}

// BenchmarkH2Hit measures both ends of a connection in one process, as the client
// costs little: over TLS on loopback and over a socket pair, one request at a time
// and 32 at once.
func BenchmarkH2Hit(b *testing.B) {
	for _, over := range []string{"pipe", "tls"} {
		for _, size := range []int{1 << 10, 10 << 10} {
			for _, at := range []int{1, 32} {
				b.Run(fmt.Sprintf("%s/%dKiB/x%d", over, size>>10, at), func(b *testing.B) {
					// Far more requests than a connection may have in real life.
					e := &Engine{Handler: hitHandler(size), Limits: Limits{RequestsPerConn: 1 << 30}}
					p := benchDial(b, e, over)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					b.ResetTimer()
					used := cpuTime(b)
					for i := 0; i < b.N; {
						n := min(at, b.N-i)
						for range n {
							p.ask()
						}
						p.flush(b)
						p.await(b, n)
						i += n
					}
					// Of both ends together; steadier than the time on a busy machine.
					b.ReportMetric(float64(cpuTime(b)-used)/float64(b.N), "cpu-ns/op")
				})
			}
		}
	}
}

func benchDial(b *testing.B, e *Engine, over string) *benchPeer {
	b.Helper()
	scheme := "http"
	if over == "tls" {
		scheme = "https"
	}
	return newBenchPeer(b, benchDialer(b, e, over)(), scheme)
}

// benchDialer serves e and returns a function that connects to it.
func benchDialer(b *testing.B, e *Engine, over string) func() net.Conn {
	serverTLS, clientTLS := testTLS(b, "h2")
	addr := serveTCP(b, func(ctx context.Context, conn net.Conn, info *Conn) {
		if over == "tls" {
			serveTLS(ctx, conn, info, serverTLS, e.ServeH2)
		} else {
			e.ServeH2(ctx, conn, info)
		}
	})
	return func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		if over == "tls" {
			conn = tls.Client(conn, &tls.Config{RootCAs: clientTLS.RootCAs, ServerName: "127.0.0.1", NextProtos: clientTLS.NextProtos})
		}
		return conn
	}
}

// BenchmarkH2Download is 10 MiB over TLS, from memory and from a Stream.
func BenchmarkH2Download(b *testing.B) {
	const size = 10 << 20
	body := make([]byte, size)
	for _, kind := range []string{"bytes", "stream", "writer"} {
		b.Run(kind, func(b *testing.B) {
			e := &Engine{Limits: Limits{RequestsPerConn: 1 << 30}, Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) {
				res := &Response{Status: 200, Length: size}
				switch kind {
				case "bytes":
					res.Bytes = body
				case "stream":
					res.Stream = h2OnlyReader{bytes.NewReader(body)}
				case "writer":
					res.Stream = struct {
						*bytes.Reader
						io.Closer
					}{bytes.NewReader(body), io.NopCloser(nil)}
				}
				w.Respond(res)
			})}
			p := benchDial(b, e, "tls")
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				p.ask()
				p.flush(b)
				p.await(b, 1)
			}
		})
	}
}

// BenchmarkH2Idle holds connections that have been served once and wait. It counts
// heap and stacks of both ends, not the kernel's part.
func BenchmarkH2Idle(b *testing.B) {
	const conns = 500
	for _, over := range []string{"pipe", "tls"} {
		b.Run(over, func(b *testing.B) {
			dial := benchDialer(b, &Engine{Handler: hitHandler(1 << 10)}, over)
			open := make([]net.Conn, conns)
			before := memory()
			for i := range open {
				open[i] = newBenchPeer(b, dial(), map[string]string{"pipe": "http", "tls": "https"}[over]).conn
			}
			time.Sleep(4 * time.Second) // until all rest; slower ones show in the figure
			for b.Loop() {
			}
			b.ReportMetric(float64(memory()-before)/conns, "B/conn")
			for _, c := range open {
				c.Close()
			}
		})
	}
}
