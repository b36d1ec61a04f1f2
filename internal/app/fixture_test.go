package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"pqfront/internal/demo"
	"pqfront/internal/localca"
)

// patience bounds every wait of these tests. It is no claim about speed: the machine may
// be busy, and a test that waits so long has failed.
const patience = time.Minute

// ---- the origin ----

// gatedBytes is the length of /gated objects: half of it comes at once, the rest when the
// gate opens, so that whoever asks for one is in the middle of it until then.
const gatedBytes = 256 << 10

// bigBytes does not fit into the kernel's buffers of a connection.
const bigBytes = 8 << 20

// content is what the origin's objects hold: it tells its own positions.
var content = sync.OnceValue(func() []byte {
	b := make([]byte, 0, bigBytes+8)
	for len(b) < bigBytes {
		b = fmt.Appendf(b, "%07d\n", len(b))
	}
	return b[:bigBytes]
})

// useOriginCacheControl is the managed policy UseOriginCacheControlHeaders, whose minimum
// TTL is 0: that of CachingOptimized, 1 s, overrides no-store.
const useOriginCacheControl = "83da9c7e-98b4-4e11-a168-04f0df8e2c65"

// testOrigin serves /small, /big and /gated/...; what has "nostore" in its path may not
// be kept.
type testOrigin struct {
	server *httptest.Server
	gate   chan struct{}
	open   func() // the gate
	waits  atomic.Int64
}

func startOrigin(t *testing.T) *testOrigin {
	o := &testOrigin{gate: make(chan struct{})}
	o.open = sync.OnceFunc(func() { close(o.gate) })
	o.server = httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(func() {
		o.open()
		o.server.Close()
	})
	return o
}

func (o *testOrigin) serve(w http.ResponseWriter, r *http.Request) {
	cache := "max-age=3600"
	if strings.Contains(r.URL.Path, "nostore") {
		cache = "no-store"
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Content-Type", "application/octet-stream")
	switch {
	case strings.HasPrefix(r.URL.Path, "/gated"):
		w.Header().Set("Content-Length", strconv.Itoa(gatedBytes))
		w.Write(content()[:gatedBytes/2])
		http.NewResponseController(w).Flush()
		o.waits.Add(1)
		defer o.waits.Add(-1)
		select {
		case <-o.gate:
		case <-r.Context().Done():
			return
		}
		w.Write(content()[gatedBytes/2 : gatedBytes])
	case strings.HasPrefix(r.URL.Path, "/big"):
		w.Header().Set("Content-Length", strconv.Itoa(bigBytes))
		w.Write(content())
	default:
		fmt.Fprintf(w, "small: %s\n", r.URL.Path)
	}
}

func (o *testOrigin) port() uint16 {
	return uint16(o.server.Listener.Addr().(*net.TCPAddr).Port)
}

// ---- the edge ----

// site is one distribution, in a file of its own.
type site struct {
	alias, policy string
	edit          func(config map[string]any) // more changes to the DistributionConfig; may be nil
}

// testEdge is a whole edge in this process.
type testEdge struct {
	t      *testing.T
	dir    string // of the distributions
	config *Config
	origin *testOrigin
	ports  Ports
	roots  *x509.CertPool
	log    *syncBuffer
	reload chan os.Signal
	reopen chan os.Signal

	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Serve, when done is closed
}

// stateOnce is a state folder with a local CA; tests copy it, since making RSA keys takes
// long.
var stateOnce = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "pqfront-ca-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ca, err := localca.Open(dir, time.Now())
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, names := range [][]string{{"localhost", "127.0.0.1", "::1"}, {"www.example.org"}, {"other.example.org"}, {"pq.example.org"}} {
		for _, kind := range []localca.KeyKind{localca.P256, localca.RSA2048} {
			if _, _, err := ca.Leaf(kind, names, time.Now()); err != nil {
				return nil, err
			}
		}
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		files[rel], err = os.ReadFile(path)
		return err
	})
	return files, err
})

// newEdge makes an edge that is not started.
func newEdge(t *testing.T, sites []site, options ...func(*Config)) *testEdge {
	t.Helper()
	e := &testEdge{t: t, dir: t.TempDir(), origin: startOrigin(t), log: &syncBuffer{},
		reload: make(chan os.Signal, 1), reopen: make(chan os.Signal, 1)}
	state := t.TempDir()
	files, err := stateOnce()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		writeFile(t, filepath.Join(state, name), data)
	}
	e.config = &Config{
		State: state, Files: []string{e.dir},
		HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0", API: "127.0.0.1:0", Console: "127.0.0.1:0",
		PortsFile: filepath.Join(t.TempDir(), "ports.json"),
		Identity:  "cloudfront", AlertProfile: "cloudfront", CacheRAM: 64 << 20,
		Resolve:       []string{demo.OriginHost + "=" + e.origin.server.Listener.Addr().String()},
		AccessLogJSON: filepath.Join(state, "logs", "access.jsonl"),
		ConnectionLog: filepath.Join(state, "logs", "refused.jsonl"),
		// Both ends of the 2,000 connections are not in one process, but many are.
		MaxConnections: 4096, Drain: patience,
		Logger: slog.New(slog.NewTextHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Out:    io.Discard, Env: map[string]string{}, Reload: e.reload, ReopenLogs: e.reopen, Version: "test",
	}
	for _, s := range sites {
		e.write(s)
	}
	for _, o := range options {
		o(e.config)
	}
	return e
}

// startEdge starts an edge that ends with the test; that it ends well is checked.
func startEdge(t *testing.T, sites []site, options ...func(*Config)) *testEdge {
	t.Helper()
	e := newEdge(t, sites, options...)
	e.start()
	return e
}

// start runs Serve and returns when the ports file is there.
func (e *testEdge) start() {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel, e.done = cancel, make(chan struct{})
	go func() {
		defer close(e.done)
		e.err = Serve(ctx, e.config)
	}()
	e.t.Cleanup(func() {
		if err := e.stop(); err != nil {
			e.t.Errorf("Serve: %v", err)
		}
		if e.t.Failed() {
			e.t.Logf("log:\n%s", tail(e.log.String(), 8<<10))
		}
	})
	until(e.t, "the ports file", func() bool {
		select {
		case <-e.done:
			e.t.Fatalf("Serve: %v\n%s", e.err, e.log)
		default:
		}
		text, err := os.ReadFile(e.config.PortsFile)
		return err == nil && json.Unmarshal(text, &e.ports) == nil
	})
	e.roots = x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(e.config.State, "ca.pem"))
	if err != nil || !e.roots.AppendCertsFromPEM(pem) {
		e.t.Fatalf("the local CA's root: %v", err)
	}
}

// stop ends the edge and returns what Serve did.
func (e *testEdge) stop() error {
	e.origin.open()
	e.cancel()
	return e.wait()
}

// wait returns what Serve returned.
func (e *testEdge) wait() error {
	e.t.Helper()
	select {
	case <-e.done:
		return e.err
	case <-time.After(2 * patience):
		e.t.Fatal("Serve does not return")
		return nil
	}
}

func (e *testEdge) file(s site) string { return filepath.Join(e.dir, s.alias+".json") }

// write replaces a distribution's file as an editor does: a new file is renamed over it.
func (e *testEdge) write(s site) {
	e.t.Helper()
	text, err := demo.Config(demo.Host{Alias: s.alias, Policy: s.policy}, e.origin.port())
	if err != nil {
		e.t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		e.t.Fatal(err)
	}
	config := doc["DistributionConfig"].(map[string]any)
	nostore := maps.Clone(config["DefaultCacheBehavior"].(map[string]any))
	nostore["PathPattern"], nostore["CachePolicyId"] = "*nostore*", useOriginCacheControl
	config["CacheBehaviors"] = map[string]any{"Quantity": 1, "Items": []any{nostore}}
	if s.edit != nil {
		s.edit(config)
	}
	if text, err = json.Marshal(doc); err != nil {
		e.t.Fatal(err)
	}
	replace(e.t, e.file(s), text)
}

// health asks /healthz.
func (e *testEdge) health() Health {
	e.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + e.ports.API + "/healthz")
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	var h Health
	if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
		e.t.Fatal(err)
	}
	if resp.StatusCode != 200 || h.Status != "ok" {
		e.t.Errorf("health: %d %+v", resp.StatusCode, h)
	}
	return h
}

// applied waits until a generation is served and nothing is wrong with it.
func (e *testEdge) applied(generation uint64) {
	e.t.Helper()
	until(e.t, fmt.Sprintf("generation %d", generation), func() bool {
		h := e.health()
		return h.Generation == generation && h.LastError == ""
	})
}

// lines returns the JSON lines of a log so far.
func lines(t *testing.T, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, l)
	}
	return out
}

// logged waits for lines of a log about the viewer with this port.
func (e *testEdge) logged(t *testing.T, path string, port int) []map[string]any {
	t.Helper()
	var found []map[string]any
	until(t, fmt.Sprintf("a line about port %d in %s", port, filepath.Base(path)), func() bool {
		found = nil
		for _, l := range lines(t, path) {
			if l["c-port"] == float64(port) {
				found = append(found, l)
			}
		}
		return len(found) > 0
	})
	return found
}

// ---- viewers ----

// clientTLS is a viewer's TLS configuration.
func (e *testEdge) clientTLS(name string, protos ...string) *tls.Config {
	return &tls.Config{RootCAs: e.roots, ServerName: name, NextProtos: protos}
}

// viewer is a client with connections of its own to the edge.
type viewer struct {
	http.Client
	t     *testing.T
	host  string
	close func()
	dials atomic.Int64
	// port is the local port of the newest TCP connection.
	port atomic.Int64
}

// viewer returns an HTTP/2 or HTTP/1.1 client.
func (e *testEdge) viewer(host, proto string, edit ...func(*tls.Config)) *viewer {
	v := &viewer{t: e.t, host: host}
	config := e.clientTLS(host)
	for _, f := range edit {
		f(config)
	}
	tr := &http.Transport{TLSClientConfig: config, Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			v.dials.Add(1)
			c, err := new(net.Dialer).DialContext(ctx, network, e.ports.HTTPS)
			if err == nil {
				v.port.Store(int64(c.LocalAddr().(*net.TCPAddr).Port))
			}
			return c, err
		}}
	tr.Protocols.SetHTTP2(proto == "h2")
	tr.Protocols.SetHTTP1(proto == "h1")
	v.Transport, v.close = tr, tr.CloseIdleConnections
	e.t.Cleanup(v.close)
	return v
}

// viewer3 returns an HTTP/3 client.
func (e *testEdge) viewer3(host string, edit ...func(*tls.Config)) *viewer {
	v := &viewer{t: e.t, host: host}
	config := e.clientTLS(host)
	for _, f := range edit {
		f(config)
	}
	tr := &http3.Transport{TLSClientConfig: config, QUICConfig: &quic.Config{MaxIdleTimeout: patience},
		Dial: func(ctx context.Context, _ string, tlsConfig *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
			v.dials.Add(1)
			return quic.DialAddr(ctx, e.ports.HTTPS, tlsConfig, quicConfig)
		}}
	v.Transport, v.close = tr, func() { tr.Close() }
	e.t.Cleanup(v.close)
	return v
}

// request makes a GET request to the viewer's host.
func (v *viewer) request(path string) *http.Request {
	r, err := http.NewRequest("GET", "https://"+v.host+path, nil)
	if err != nil {
		panic(err)
	}
	return r
}

// get returns the status and the body of a GET request.
func (v *viewer) get(path string) (int, string, error) {
	resp, err := v.Do(v.request(path))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// asks wants a status of /small with another Host.
func (v *viewer) asks(t *testing.T, host string, want int) *http.Response {
	t.Helper()
	r := v.request("/small")
	r.Host = host
	resp, err := v.Do(r)
	if err != nil {
		t.Errorf("connected to %s, asking for %s: %v", v.host, host, err)
		return nil
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != want {
		t.Errorf("connected to %s, asking for %s: %d, want %d", v.host, host, resp.StatusCode, want)
	}
	return resp
}

// download is one that is under way.
type download struct {
	body io.ReadCloser
	got  int // how much of it was read and was right
	want int
}

// begin asks for an object and reads the first n bytes of it.
func (v *viewer) begin(path string, n int) (*download, error) {
	resp, err := v.Do(v.request(path))
	if err != nil {
		return nil, err
	}
	v.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	d := &download{body: resp.Body, want: int(resp.ContentLength)}
	return d, d.read(n)
}

// read reads n more bytes and compares them.
func (d *download) read(n int) error {
	buf := make([]byte, n)
	k, err := io.ReadFull(d.body, buf)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", d.got+k, err)
	}
	if !bytes.Equal(buf, content()[d.got:d.got+n]) {
		return fmt.Errorf("wrong content within bytes %d to %d", d.got, d.got+n)
	}
	d.got += n
	return nil
}

// finish reads the rest, to the end.
func (d *download) finish() error {
	defer d.body.Close()
	if err := d.read(d.want - d.got); err != nil {
		return err
	}
	if n, err := d.body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the end: %d bytes, %v", n, err)
	}
	return nil
}

// ---- odds and ends ----

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// each runs f for 0 to n-1, all at once, and returns their errors.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				errs[i] = fmt.Errorf("%d: %w", i, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts a new file in the place of path.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	dir, name := filepath.Split(path)
	tmp := filepath.Join(dir, "."+name+".new")
	writeFile(t, tmp, data)
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written so far.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
