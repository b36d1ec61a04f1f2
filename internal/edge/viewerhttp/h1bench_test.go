package viewerhttp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"pqfront/internal/httpfield"
)

// hit is a response as the corridor prepares it for an object in memory.
func hit(size int) *Response {
	return &Response{Status: 200, Bytes: make([]byte, size), Length: int64(size), Header: httpfield.Fields{
		{Name: "content-type", Value: "text/html"}, {Name: "content-length", Value: strconv.Itoa(size)},
		{Name: "date", Value: "Sun, 07 Sep 2025 13:31:28 GMT"}, {Name: "last-modified", Value: "Sat, 06 Sep 2025 12:00:00 GMT"},
		{Name: "etag", Value: `"8d777f385d3dfec8815d20f7496026dc"`}, {Name: "x-amz-server-side-encryption", Value: "AES256"},
		{Name: "accept-ranges", Value: "bytes"}, {Name: "server", Value: "AmazonS3"}, {Name: "x-cache", Value: "Hit from cloudfront"},
		{Name: "via", Value: "1.1 0123456789abcdef0123456789abcdef.cloudfront.net (CloudFront)"}, {Name: "x-amz-cf-pop", Value: "NRT12-P9"},
		{Name: "alt-svc", Value: `h3=":443"; ma=86400`}, {Name: "x-amz-cf-id", Value: "0123456789012345678901234567890123456789012345678901234=="},
		{Name: "age", Value: "1245"},
	}}
}

const benchRequest = "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Connection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n\r\n"

// loopConn gives the same request again and again, without a kernel.
type loopConn struct {
	bytesConn
	left int
	out  int64
}

func (c *loopConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return copy(p, benchRequest), nil
}

func (c *loopConn) Write(p []byte) (int, error) {
	c.out += int64(len(p))
	return len(p), nil
}

// BenchmarkH1Engine is the engine alone: parse, answer, no system calls.
func BenchmarkH1Engine(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10} {
		b.Run(strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
			r := hit(size)
			e := &Engine{Limits: Limits{RequestsPerConn: 1 << 60}, Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) { w.Respond(r) })}
			b.ReportAllocs()
			c := &loopConn{left: b.N}
			e.ServeH1(b.Context(), c, &Conn{})
			if c.out < int64(b.N*size) {
				b.Fatalf("%d bytes for %d requests", c.out, b.N)
			}
		})
	}
}

// BenchmarkH1Hit is a cached hit over loopback with a client that does next to
// nothing. cpu-us/op is user and system time of both ends; net/http's own server
// stands beside it for comparison.
func BenchmarkH1Hit(b *testing.B) {
	r1, r10 := hit(1<<10), hit(10<<10)
	byPath := handlerFunc(func(_ context.Context, r *Request, w Responder) {
		if r.Path == "/10" {
			w.Respond(r10)
			return
		}
		w.Respond(r1)
	})
	engine := &Engine{Limits: Limits{RequestsPerConn: 1 << 60}, Handler: byPath}
	serverTLS, clientTLS := testTLS(b, "http/1.1")
	plain := serveTCP(b, engine.ServeH1)
	secure := serveTCP(b, func(ctx context.Context, c net.Conn, info *Conn) {
		serveTLS(ctx, c, info, serverTLS, engine.ServeH1)
	})
	std := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := r1
		if req.URL.Path == "/10" {
			r = r10
		}
		for _, f := range r.Header {
			w.Header().Set(f.Name, f.Value)
		}
		w.Write(r.Bytes)
	})
	stdServer := &http.Server{Handler: std}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go stdServer.Serve(tls.NewListener(ln, serverTLS))
	b.Cleanup(func() { stdServer.Close() })

	bench := func(name, addr, path string, conf *tls.Config) {
		b.Run(name, func(b *testing.B) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			if conf != nil {
				conf = conf.Clone()
				conf.ServerName = "127.0.0.1"
				conn = tls.Client(conn, conf)
			}
			defer conn.Close()
			request := bytes.Replace([]byte(benchRequest), []byte("/index.html"), []byte(path), 1)
			br := bufio.NewReaderSize(conn, 32<<10)
			exchange := func() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				skipResponse(b, br)
			}
			exchange() // handshake and pools
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				exchange()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/1e3/float64(b.N), "cpu-us/op")
		})
	}
	bench("plain/1KiB", plain, "/1", nil)
	bench("plain/10KiB", plain, "/10", nil)
	bench("tls/1KiB", secure, "/1", clientTLS)
	bench("tls/10KiB", secure, "/10", clientTLS)
	bench("nethttp-tls/1KiB", ln.Addr().String(), "/1", clientTLS)
	bench("nethttp-tls/10KiB", ln.Addr().String(), "/10", clientTLS)
}

// skipResponse reads one response with a content length.
func skipResponse(b *testing.B, br *bufio.Reader) {
	n := -1
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) == 2 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			n = 0
			for _, d := range v[:len(v)-2] {
				n = 10*n + int(d-'0')
			}
		}
	}
	if k, err := br.Discard(n); err != nil {
		b.Fatal(k, err)
	}
}

// cpuTime is what this process used so far, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkH1Idle holds connections that have been served once and wait. It counts
// heap and stacks of both ends (the client's half is about the size of a tls.Conn), not
// the kernel's part.
func BenchmarkH1Idle(b *testing.B) {
	const conns = 500
	r := hit(1 << 10)
	e := &Engine{Handler: handlerFunc(func(_ context.Context, _ *Request, w Responder) { w.Respond(r) })}
	serverTLS, clientTLS := testTLS(b, "http/1.1")
	for _, secure := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "tls"}[secure], func(b *testing.B) {
			addr := serveTCP(b, func(ctx context.Context, c net.Conn, info *Conn) {
				if secure {
					serveTLS(ctx, c, info, serverTLS, e.ServeH1)
				} else {
					e.ServeH1(ctx, c, info)
				}
			})
			open := make([]net.Conn, conns)
			before := memory()
			for i := range open {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				open[i] = c
				defer c.Close()
			}
			for _, c := range open {
				if secure {
					c = tls.Client(c, &tls.Config{RootCAs: clientTLS.RootCAs, ServerName: "127.0.0.1"})
				}
				io.WriteString(c, benchRequest)
				skipResponse(b, bufio.NewReader(c))
			}
			time.Sleep(2 * parkAfter) // until all are parked; slower ones show in the figure
			for b.Loop() {
			}
			b.ReportMetric(float64(memory()-before)/conns, "B/conn")
		})
	}
}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
