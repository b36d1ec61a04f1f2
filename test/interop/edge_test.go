// Package interop holds real clients against a real edge: the product's binary in a
// process of its own, curl and OpenSSL and GnuTLS and Chromium in theirs.
//
// It runs under `make interop` (PQFRONT_INTEROP=1). A client that cannot be found fails
// the run when CI=true and is a visible skip elsewhere.
package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"pqfront/internal/localca"
)

// site is the article's host under a name that nobody owns.
const site = "www.non-97.localhost"

// object is the article's page: 12 bytes.
const object = "Hello world\n"

// edge is one running pqfront.
type edge struct {
	t     *testing.T
	dir   string // state folder, config file and log
	ports struct{ HTTPS, HTTP, API, Console string }
	cmd   *exec.Cmd
	log   *lockedBuffer
	conf  string // the distribution's file
	s3    *httptest.Server
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func needInterop(t *testing.T) {
	t.Helper()
	if os.Getenv("PQFRONT_INTEROP") == "" {
		t.Skip("real clients run under `make interop`")
	}
}

// missing is what a test does without its tool.
func missing(t *testing.T, tool string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not here (%v), and CI must not skip", tool, err)
	}
	t.Skipf("%s is not here: %v", tool, err)
}

// start runs an edge with the article's site under policy. keys are the kinds of
// certificate that it serves.
func start(t *testing.T, policy string, keys ...localca.KeyKind) *edge {
	t.Helper()
	needInterop(t)
	binary, err := filepath.Abs("../../bin/pqfront")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	e := &edge{t: t, dir: shareDir(t), log: &lockedBuffer{}}
	e.conf = filepath.Join(e.dir, "distribution.json")
	e.s3 = httptest.NewServer(http.HandlerFunc(bucket))
	t.Cleanup(e.s3.Close)
	e.writeConfig(policy)

	args := []string{"serve", "--state", e.dir, "-f", e.conf, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--api", "127.0.0.1:0", "--console", "127.0.0.1:0", "--ports-file", filepath.Join(e.dir, "ports.json"),
		"--pop", "NRT12-P9", "--drain", "2s",
		"--resolve", "bucket.s3.ap-northeast-1.amazonaws.com=" + e.s3.Listener.Addr().String(),
		"--origin-endpoint", "s3=" + e.s3.URL}
	ca, err := localca.Open(e.dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range keys {
		chain, key, err := ca.Leaf(kind, []string{site}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Join(e.dir, "leaf-"+string(kind))
		for name, text := range map[string][]byte{base + ".pem": chain, base + ".key": key} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args = append(args, "--cert", base+".pem", "--key", base+".key")
	}
	e.cmd = exec.Command(binary, args...)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- e.cmd.Wait() }()
	t.Cleanup(func() { e.stop(gone) })
	e.waitReady(gone)
	return e
}

func (e *edge) stop(gone <-chan error) {
	e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-gone:
		if err != nil {
			e.t.Errorf("pqfront ended with %v", err)
		}
	case <-time.After(15 * time.Second):
		e.cmd.Process.Kill()
		e.t.Error("pqfront did not stop within 15 s of SIGTERM")
	}
	if e.t.Failed() {
		e.t.Logf("pqfront's log:\n%s", e.log)
	}
}

func (e *edge) waitReady(gone chan error) {
	e.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-gone:
			gone <- err
			e.t.Fatalf("pqfront ended at once: %v\n%s", err, e.log)
		default:
		}
		text, err := os.ReadFile(filepath.Join(e.dir, "ports.json"))
		if err == nil && json.Unmarshal(text, &e.ports) == nil {
			return
		}
	}
	e.t.Fatalf("pqfront was not ready within 20 s\n%s", e.log)
}

// port is the TLS port.
func (e *edge) port() string {
	_, port, err := net.SplitHostPort(e.ports.HTTPS)
	if err != nil {
		e.t.Fatal(err)
	}
	return port
}

// writeConfig replaces the distribution's file as an editor does.
func (e *edge) writeConfig(policy string) {
	e.t.Helper()
	tmpl, err := template.ParseFiles("testdata/distribution.json")
	if err != nil {
		e.t.Fatal(err)
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, map[string]string{"Alias": site, "Policy": policy}); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(e.conf+".new", text.Bytes(), 0o644); err != nil {
		e.t.Fatal(err)
	}
	if err := os.Rename(e.conf+".new", e.conf); err != nil {
		e.t.Fatal(err)
	}
}

// bucket answers as the article's S3 bucket did.
func bucket(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "AmazonS3")
	w.Header().Set("X-Amz-Id-2", "opaque")
	w.Header().Set("X-Amz-Request-Id", "opaque")
	if !strings.HasSuffix(r.URL.Path, "/index.html") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("X-Amz-Server-Side-Encryption", "AES256")
	w.Header().Set("Etag", `"f0ef7081e1539ac00ef5b761b4fb01b3"`)
	w.Header().Set("Content-Type", "text/html")
	http.ServeContent(w, r, "", time.Date(2025, 9, 7, 13, 26, 5, 0, time.UTC), strings.NewReader(object))
}

// shareDir is a temporary folder that the clients' root sees under the same path as
// /share/NAME.
func shareDir(t *testing.T) string {
	t.Helper()
	root := peersDir(t)
	if err := os.MkdirAll(filepath.Join(root, "share"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(filepath.Join(root, "share"), "edge-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// inside is a file of the share as the clients' root sees it.
func inside(t *testing.T, path string) string {
	return strings.TrimPrefix(path, peersDir(t))
}

func peersDir(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("./peers", "setup").Output()
	if err != nil {
		missing(t, "the clients' root (test/interop/peers)", err)
	}
	return strings.TrimSpace(string(out))
}

// peer runs a client of the Debian 13 root and returns what it printed, both streams
// in one, and its exit code.
func peer(t *testing.T, stdin string, args ...string) (string, int) {
	t.Helper()
	return command(t, stdin, "./peers", append([]string{"run"}, args...)...)
}

// command runs a client with a bound on its time.
func command(t *testing.T, stdin, name string, args ...string) (string, int) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, name, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second // a client behind a wrapper may outlive it and keep the pipe
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %s: took more than 30 s\n%s", name, strings.Join(args, " "), &out)
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("%s: %v", name, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// curl runs curl 8.14 with HTTP/3 against the site.
func (e *edge) curl(path string, args ...string) (string, int) {
	e.t.Helper()
	url := "https://" + site + ":" + e.port() + path
	return peer(e.t, "", append([]string{"curl", "-sS", "-o", "/dev/null", "-v", "--no-progress-meter", "--max-time", "20",
		"--cacert", inside(e.t, filepath.Join(e.dir, "ca.pem")),
		"--resolve", site + ":" + e.port() + ":127.0.0.1", url}, args...)...)
}

// sClient runs openssl s_client of OpenSSL 3.5 against the site.
func (e *edge) sClient(args ...string) (string, int) {
	e.t.Helper()
	return peer(e.t, "", append([]string{"openssl", "s_client", "-connect", "127.0.0.1:" + e.port(), "-servername", site,
		"-CAfile", inside(e.t, filepath.Join(e.dir, "ca.pem"))}, args...)...)
}

// hold makes s_client stay until the ticket has arrived: it sends a request and reads
// the answer to its end.
func (e *edge) hold(args ...string) (string, int) {
	e.t.Helper()
	request := fmt.Sprintf("GET /index.html HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", site)
	return peer(e.t, request, append([]string{"openssl", "s_client", "-ign_eof", "-connect", "127.0.0.1:" + e.port(), "-servername", site,
		"-CAfile", inside(e.t, filepath.Join(e.dir, "ca.pem"))}, args...)...)
}

// eventually waits for a change that the edge makes by itself.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("not within 10 s: %s", what)
}

var _ io.Writer = (*lockedBuffer)(nil)
