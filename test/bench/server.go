package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pqfront/internal/demo"
	"pqfront/internal/localca"
)

// The measured sites, both under TLSv1.2_2021: one has a P-256 certificate, one RSA-2048.
const (
	ecdsaHost = "ecdsa.bench.localhost"
	rsaHost   = "rsa.bench.localhost"
)

var kinds = map[string]localca.KeyKind{ecdsaHost: localca.P256, rsaHost: localca.RSA2048}

// server is a process under measurement.
type server struct {
	cmd    *exec.Cmd
	addr   string // TLS, TCP and QUIC
	dir    string
	roots  *x509.CertPool
	origin *httptest.Server
	log    bytes.Buffer
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
	if s.origin != nil {
		s.origin.Close()
	}
	os.RemoveAll(s.dir)
}

// startEdge runs pqfront with the site and an origin that has files of set sizes.
func startEdge(ctx context.Context, binary string) (*server, error) {
	dir, err := os.MkdirTemp("", "pqfront-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, origin: httptest.NewServer(http.HandlerFunc(files))}
	port := uint16(s.origin.Listener.Addr().(*net.TCPAddr).Port)
	args := []string{"serve", "--state", dir, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0", "--console", "127.0.0.1:0",
		"--cache-ram", "512MiB", "--log-level", "warn", "--resolve", demo.OriginHost + "=" + s.origin.Listener.Addr().String()}
	ca, err := localca.Open(dir, time.Now())
	if err != nil {
		return nil, err
	}
	for name, kind := range kinds {
		conf, err := demo.Config(demo.Host{Alias: name, Policy: "TLSv1.2_2021"}, port)
		if err != nil {
			return nil, err
		}
		chain, key, err := ca.Leaf(kind, []string{name}, time.Now())
		if err != nil {
			return nil, err
		}
		base := filepath.Join(dir, name)
		for file, text := range map[string][]byte{base + ".json": conf, base + ".pem": chain, base + ".key": key} {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				return nil, err
			}
		}
		args = append(args, "-f", base+".json", "--cert", base+".pem", "--key", base+".key")
	}
	ports := filepath.Join(dir, "ports.json")
	s.cmd = exec.CommandContext(ctx, binary, append(args, "--ports-file", ports)...)
	s.cmd.Stdout, s.cmd.Stderr = io.Discard, &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		var p struct{ HTTPS string }
		if text, err := os.ReadFile(ports); err == nil && json.Unmarshal(text, &p) == nil && p.HTTPS != "" {
			s.addr = p.HTTPS
			s.roots = x509.NewCertPool()
			s.roots.AddCert(ca.Root())
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("pqfront was not ready within 10 s: %s", &s.log)
}

// files is the origin: /N.bin has N bytes.
func files(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".bin"))
	if err != nil || n > 1<<30 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Etag", `"bench"`)
	w.Header().Set("Content-Length", strconv.Itoa(n))
	block := make([]byte, 64<<10)
	for n > 0 && r.Method != http.MethodHead {
		k := min(n, len(block))
		if _, err := w.Write(block[:k]); err != nil {
			return
		}
		n -= k
	}
}

// startBare runs this program again as a bare crypto/tls server with the edge's own
// certificates.
func startBare(ctx context.Context, edge *server) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pqfront-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, roots: edge.roots}
	s.cmd = exec.CommandContext(ctx, self, "bare", edge.dir)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	buf := make([]byte, 64)
	n, err := out.Read(buf)
	s.addr = strings.TrimSpace(string(buf[:n]))
	return s, err
}

// serveBare is the other side of startBare: it answers handshakes and reads.
func serveBare(args []string) error {
	if len(args) != 1 {
		return errors.New("bare needs the edge's state folder")
	}
	config := &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	for name := range kinds {
		base := filepath.Join(args[0], name)
		pair, err := tls.LoadX509KeyPair(base+".pem", base+".key")
		if err != nil {
			return err
		}
		config.Certificates = append(config.Certificates, pair)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			t := tls.Server(c, config)
			if t.Handshake() == nil {
				t.Read(make([]byte, 1))
			}
		}()
	}
}

// cpu is the process's CPU time so far.
func (s *server) cpu() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("reading the CPU time of process %d: %v", s.cmd.Process.Pid, err)
	}
	var sum time.Duration
	for _, f := range tasks {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended between the two calls
		}
		ns, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// rss is the process's resident memory in bytes.
func (s *server) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages := strings.Fields(string(text))
	if len(pages) < 2 {
		return 0, fmt.Errorf("unexpected statm %q", text)
	}
	n, err := strconv.ParseInt(pages[1], 10, 64)
	return n * int64(os.Getpagesize()), err
}
