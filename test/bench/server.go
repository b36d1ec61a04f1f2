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

// site is what all servers serve: certificates, and an origin for the edge.
type site struct {
	dir    string
	ca     *localca.CA
	roots  *x509.CertPool
	origin *httptest.Server
}

func hosts() map[string]localca.KeyKind {
	return map[string]localca.KeyKind{ecdsaHost: localca.P256, rsaHost: localca.RSA2048}
}

func newSite() (*site, error) {
	dir, err := os.MkdirTemp("", "pqfront-bench-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir, origin: httptest.NewServer(http.HandlerFunc(files)), roots: x509.NewCertPool()}
	if err := s.write(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) close() {
	s.origin.Close()
	os.RemoveAll(s.dir)
}

// write puts certificates and distributions into the folder.
func (s *site) write() error {
	var err error
	if s.ca, err = localca.Open(s.dir, time.Now()); err != nil {
		return err
	}
	s.roots.AddCert(s.ca.Root())
	port := uint16(s.origin.Listener.Addr().(*net.TCPAddr).Port)
	for name, kind := range hosts() {
		conf, err := demo.Config(demo.Host{Alias: name, Policy: "TLSv1.2_2021"}, port)
		if err != nil {
			return err
		}
		chain, key, err := s.ca.Leaf(kind, []string{name}, time.Now())
		if err != nil {
			return err
		}
		base := filepath.Join(s.dir, name)
		for file, text := range map[string][]byte{base + ".json": conf, base + ".pem": chain, base + ".key": key} {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
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

// server is a process under measurement.
type server struct {
	name    string
	bare    bool // it speaks no HTTP
	warm    bool // it has had enough handshakes to measure them
	cmd     *exec.Cmd
	addr    string // TLS, TCP and QUIC
	roots   *x509.CertPool
	log     bytes.Buffer
	cleanup func()
}

func (s *server) tlsConfig(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: s.roots}
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
	if s.cleanup != nil {
		s.cleanup()
	}
}

// said is what the server wrote to standard error, for a measurement that failed.
func (s *server) said() string {
	if s.log.Len() == 0 {
		return ""
	}
	return "\n" + strings.TrimSpace(s.log.String())
}

// lean keeps garbage below a tenth of the live memory, so that resident memory tells what
// is in use; with Go's default it may be twice that.
const lean = "GOGC=10"

// startEdge runs pqfront as its users do, logs included; env is added to its environment.
func startEdge(ctx context.Context, st *site, binary string, env ...string) (*server, error) {
	ports := filepath.Join(st.dir, "ports.json")
	os.Remove(ports) // of an earlier run
	args := []string{"serve", "--state", st.dir, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0", "--console", "127.0.0.1:0",
		"--cache-ram", "512MiB", "--drain", "1s", "--log-level", "warn", "--ports-file", ports,
		"--resolve", demo.OriginHost + "=" + st.origin.Listener.Addr().String()}
	for name := range hosts() {
		base := filepath.Join(st.dir, name)
		args = append(args, "-f", base+".json", "--cert", base+".pem", "--key", base+".key")
	}
	s := &server{name: "pqfront", roots: st.roots, cmd: exec.CommandContext(ctx, binary, args...)}
	s.cmd.Stdout, s.cmd.Stderr = io.Discard, &s.log
	s.cmd.Env = append(os.Environ(), env...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 600 {
		var p struct{ HTTPS string }
		if text, err := os.ReadFile(ports); err == nil && json.Unmarshal(text, &p) == nil && p.HTTPS != "" {
			s.addr = p.HTTPS
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("pqfront was not ready within 30 s: %s", &s.log)
}

// startBare runs this program again as a bare crypto/tls server with the same
// certificates.
func startBare(ctx context.Context, st *site, env ...string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{name: "bare crypto/tls", bare: true, roots: st.roots, cmd: exec.CommandContext(ctx, self, "bare", st.dir)}
	s.cmd.Stderr = os.Stderr
	s.cmd.Env = append(os.Environ(), env...)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	buf := make([]byte, 64)
	n, err := out.Read(buf)
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("starting the bare server: %w", err)
	}
	s.addr = strings.TrimSpace(string(buf[:n]))
	return s, nil
}

// serveBare is the other side of startBare: it answers handshakes and reads.
func serveBare(args []string) error {
	if len(args) != 1 {
		return errors.New("bare needs the folder of the certificates")
	}
	config := &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	for name := range hosts() {
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
			t := tls.Server(c, config)
			defer t.Close()
			if t.Handshake() == nil {
				t.Read(make([]byte, 1))
			}
		}()
	}
}

// processes are the server's process and its children (nginx's workers).
func (s *server) processes() []int {
	pid := s.cmd.Process.Pid
	all := []int{pid}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return all
	}
	for _, f := range stats {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid ...: the name may hold anything (proc(5)).
		rest := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(rest) > 1 && rest[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// cpu is the server's CPU time so far, as the scheduler counts it: in nanoseconds, not
// in ticks.
func (s *server) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range s.processes() {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(tasks) == 0 {
			return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, errors.Join(err, errors.New("no /proc/PID/task/*/schedstat")))
		}
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
	}
	return sum, nil
}

// rss is the server's resident memory in bytes.
func (s *server) rss() (int64, error) {
	var sum int64
	for _, pid := range s.processes() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, err
		}
		pages := strings.Fields(string(text))
		if len(pages) < 2 {
			return 0, fmt.Errorf("unexpected statm %q", text)
		}
		n, err := strconv.ParseInt(pages[1], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n * int64(os.Getpagesize())
	}
	return sum, nil
}
