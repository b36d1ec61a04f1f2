package viewerhttp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pqfront/internal/httpfield"
)

// startH2 is the mode "h2".
func startH2(t testing.TB, e *Engine) (http.RoundTripper, string) {
	serverTLS, clientTLS := testTLS(t, "h2")
	addr := serveTCP(t, func(ctx context.Context, conn net.Conn, info *Conn) {
		serveTLS(ctx, conn, info, serverTLS, e.ServeH2)
	})
	tr := &http.Transport{DisableCompression: true, TLSClientConfig: clientTLS, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr, "https://" + addr
}

// h2Answer makes a Handler of a function that returns the answer.
type h2Answer func(ctx context.Context, r *Request) *Response

func (f h2Answer) ServeViewer(ctx context.Context, r *Request, w Responder) { w.Respond(f(ctx, r)) }

func h2Text(status int, body string) *Response {
	return &Response{Status: status, Header: httpfield.Fields{{Name: "content-type", Value: "text/plain"}, {Name: "content-length", Value: strconv.Itoa(len(body))}},
		Bytes: []byte(body), Length: int64(len(body))}
}

// h2Content is what every body is the beginning of.
var h2Content = sync.OnceValue(func() []byte {
	b := make([]byte, 100<<20)
	for i := range b {
		b[i] = byte(i*7 + i>>9)
	}
	return b
})

// h2Blob is reproducible content of n bytes, not to be changed.
func h2Blob(n int) []byte { return h2Content()[:n:n] }

// h2OnlyReader hides every other method of a reader.
type h2OnlyReader struct{ io.Reader }

func (h2OnlyReader) Close() error { return nil }

var errH2Test = errors.New("test")

// h2PeerSite is the site that the other clients visit: /bytes/N, /stream/N (length
// known), /endless/N (unknown), /writer/N, /hash (of the request body), /echo.
func h2PeerSite(ctx context.Context, r *Request) *Response {
	_, kind, _ := strings.Cut(r.Path, "/")
	kind, arg, _ := strings.Cut(kind, "/")
	n, _ := strconv.Atoi(arg)
	h := httpfield.Fields{{Name: "content-type", Value: "application/octet-stream"}, {Name: "server", Value: "test"}}
	length := func() {
		h.Add("content-length", arg)
	}
	switch kind {
	case "bytes":
		length()
		return &Response{Status: 200, Header: h, Bytes: h2Blob(n), Length: int64(n)}
	case "stream":
		length()
		return &Response{Status: 200, Header: h, Stream: h2OnlyReader{bytes.NewReader(h2Blob(n))}, Length: int64(n)}
	case "endless":
		return &Response{Status: 200, Header: h, Stream: h2OnlyReader{bytes.NewReader(h2Blob(n))}, Length: -1}
	case "writer":
		length()
		return &Response{Status: 200, Header: h, Stream: struct {
			*bytes.Reader
			io.Closer
		}{bytes.NewReader(h2Blob(n)), io.NopCloser(nil)}, Length: int64(n)}
	case "short", "shortwriter", "long", "longwriter", "failing":
		length()
		more := map[string]int{"short": n - 1, "shortwriter": n - 1, "long": n + 1, "longwriter": n + 1, "failing": n / 2}[kind]
		var body io.Reader = bytes.NewReader(h2Blob(more))
		switch kind {
		case "shortwriter", "longwriter":
			return &Response{Status: 200, Header: h, Length: int64(n), Stream: struct {
				*bytes.Reader
				io.Closer
			}{body.(*bytes.Reader), io.NopCloser(nil)}}
		case "failing":
			body = io.MultiReader(body, iotest.ErrReader(errH2Test))
		}
		return &Response{Status: 200, Header: h, Stream: h2OnlyReader{body}, Length: int64(n)}
	case "sleep":
		time.Sleep(time.Second)
		return h2Text(200, "")
	case "wait":
		<-ctx.Done()
		return h2Text(503, "")
	case "fields":
		var b strings.Builder
		for _, f := range r.Header {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
		}
		return h2Text(200, b.String())
	case "hash":
		if r.Body == nil {
			r.Body = strings.NewReader("")
		}
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			var body *BodyError
			if errors.As(err, &body) {
				return h2Text(body.Status, string(body.Reason))
			}
			return h2Text(500, err.Error())
		}
		return h2Text(200, fmt.Sprintf("%d %x", n, sum.Sum(nil)))
	case "echo":
		return &Response{Status: 200, Header: h, Stream: h2OnlyReader{r.Body}, Length: -1}
	}
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
	}
	return h2Text(200, r.Method+" "+r.Authority+r.Path+"\n")
}

// TestH2NetHTTPClient has another implementation fetch and send, many at once.
func TestH2NetHTTPClient(t *testing.T) {
	e := &Engine{Handler: h2Answer(h2PeerSite), Observer: func(r Rejection) {
		if r.Reason != ReasonSilent { // the client dials more often than it needs
			t.Errorf("refused: %+v", r)
		}
	}}
	tr, base := startH2(t, e)
	client := &http.Client{Transport: tr}
	want := h2Blob(10 << 20)
	do := func(method, path string, body io.Reader) string {
		r, err := http.NewRequest(method, base+path, body)
		if err != nil {
			t.Error(err)
			return ""
		}
		got, err := client.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return ""
		}
		defer got.Body.Close()
		content, err := io.ReadAll(got.Body)
		if err != nil || got.ProtoMajor != 2 || got.StatusCode != 200 {
			t.Errorf("%s %s: HTTP/%d, %d, %d bytes, %v", method, path, got.ProtoMajor, got.StatusCode, len(content), err)
		}
		return string(content)
	}
	do("GET", "/", nil)
	var wg sync.WaitGroup
	for i, path := range []string{"/bytes/10485760", "/stream/10485760", "/endless/10485760", "/writer/10485760", "/bytes/0", "/bytes/1",
		"/stream/0", "/endless/0", "/bytes/16384", "/bytes/65535", "/bytes/65536", "/stream/65537", "/endless/16385", "/writer/100"} {
		wg.Go(func() {
			n, _ := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
			if do("GET", path, nil) != string(want[:n]) {
				t.Errorf("%s: not what was expected", path)
			}
		})
		wg.Go(func() {
			size := []int{2, 1, 300_000, 5 << 20}[i%4]
			if got := do("POST", "/hash", bytes.NewReader(want[:size])); got != fmt.Sprintf("%d %x", size, sha256.Sum256(want[:size])) {
				t.Errorf("upload of %d: %s", size, got)
			}
		})
		wg.Go(func() {
			size := 200_000 + i
			if do("POST", "/echo", io.MultiReader(bytes.NewReader(want[:size]))) != string(want[:size]) {
				t.Errorf("echo of %d: not what was sent", size)
			}
		})
	}
	wg.Wait()
}

var h2ServeAt = flag.String("h2.serve", "", "`address` at which TestH2Serve serves over TLS, for clients that are started by hand (h2spec, h2load, curl)")
var h2ServeFor = flag.Duration("h2.serve-for", time.Minute, "how long TestH2Serve serves")

// TestH2Serve is no test but a server for other people's clients.
func TestH2Serve(t *testing.T) {
	if *h2ServeAt == "" {
		t.Skip("serves only with -h2.serve")
	}
	serverTLS, _ := testTLS(t, "h2")
	l, err := net.Listen("tcp", *h2ServeAt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *h2ServeFor)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	e := &Engine{Handler: h2Answer(h2PeerSite), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Observer: func(r Rejection) { fmt.Printf("refused: %s %s %q %s\n", r.Reason, r.Method, r.Authority, r.Path) }}
	var all sync.WaitGroup
	defer all.Wait()
	for id := uint64(1); ; id++ {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() { serveTLS(ctx, conn, testConn(conn, id), serverTLS, e.ServeH2) })
	}
}
