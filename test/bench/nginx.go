package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// nginxConf serves the same bytes from files, which the kernel keeps in memory, with
// what nginx's users would set: open files cached, sendfile, a buffered log, and as many
// requests per connection as the edge allows.
const nginxConf = `daemon off;
pid {{.Dir}}/nginx.pid;
error_log stderr warn;
worker_processes {{.Workers}};
{{if .Root}}user root;
{{end}}events { worker_connections 8192; }
http {
  access_log {{.Dir}}/nginx.log combined buffer=64k flush=1s;
  client_body_temp_path {{.Dir}}/t1; proxy_temp_path {{.Dir}}/t2; fastcgi_temp_path {{.Dir}}/t3;
  uwsgi_temp_path {{.Dir}}/t4; scgi_temp_path {{.Dir}}/t5;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=64 inactive=1h;
  open_file_cache_valid 1h;
  keepalive_requests 10000;
  keepalive_timeout 300s;
  http2 on;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ecdh_curve X25519MLKEM768:X25519:prime256v1;
  ssl_session_timeout 1d;
  root {{.Dir}}/files;
{{range .Hosts}}  server {
    listen {{$.Addr}} ssl;
    server_name {{.}};
    ssl_certificate {{$.Dir}}/{{.}}.pem;
    ssl_certificate_key {{$.Dir}}/{{.}}.key;
  }
{{end}}}
`

// nginxPlace is an nginx and where its files must lie.
type nginxPlace struct {
	root string // "" or the folder that it is locked into
	path string // inside of root
}

// findNginx follows -nginx, $PATH, $PEERS_DIR.
func findNginx(flag string) (nginxPlace, error) {
	if flag == "none" {
		return nginxPlace{}, errors.New("not wanted (-nginx none)")
	}
	if flag != "" {
		return nginxPlace{path: flag}, nil
	}
	if p, err := exec.LookPath("nginx"); err == nil {
		return nginxPlace{path: p}, nil
	}
	root := os.Getenv("PEERS_DIR")
	if root == "" {
		return nginxPlace{}, errors.New("none in $PATH; give -nginx PATH, or PEERS_DIR, a Debian 13 root that has one")
	}
	if os.Getuid() != 0 {
		return nginxPlace{}, errors.New("the one in PEERS_DIR can be run by root only")
	}
	if _, err := os.Stat(filepath.Join(root, "usr/sbin/nginx")); err != nil {
		return nginxPlace{}, fmt.Errorf("PEERS_DIR has none: %w", err)
	}
	return nginxPlace{root: root, path: "/usr/sbin/nginx"}, nil
}

func (p nginxPlace) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // its workers must end, too
	if p.root != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root}
		cmd.Dir = "/"
	}
	return cmd
}

// startNginx runs nginx with the site's certificates and files. note is its version, or
// why there is none, which is an error only for an nginx that was asked for.
func startNginx(ctx context.Context, st *site, flag string) (s *server, note string, err error) {
	place, err := findNginx(flag)
	if err != nil {
		return nil, "not measured: " + err.Error(), nil
	}
	s, note, err = place.start(ctx, st)
	if err != nil && flag == "" {
		return nil, "not measured: " + err.Error(), nil
	}
	return s, note, err
}

func (p nginxPlace) start(ctx context.Context, st *site) (*server, string, error) {
	version, err := p.command(ctx, "-V").CombinedOutput()
	if err != nil {
		return nil, "", fmt.Errorf("running %s -V: %w", p.path, err)
	}
	dir, err := os.MkdirTemp(filepath.Join(p.root, os.TempDir()), "pqfront-bench-nginx-")
	if err != nil {
		return nil, "", err
	}
	s := &server{name: "nginx", roots: st.roots, cleanup: func() { os.RemoveAll(dir) }}
	inside := strings.TrimPrefix(dir, strings.TrimSuffix(p.root, "/"))
	if err := s.prepareNginx(st, dir, inside); err != nil {
		s.cleanup()
		return nil, "", err
	}
	s.cmd = p.command(ctx, "-c", inside+"/nginx.conf", "-p", inside)
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		s.cleanup()
		return nil, "", err
	}
	if err := s.awaitNginx(); err != nil {
		s.stop()
		return nil, "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(s.log.Bytes()))
	}
	return s, describeNginx(string(version)), nil
}

// prepareNginx writes configuration, certificates and files into dir, which nginx sees
// as inside.
func (s *server) prepareNginx(st *site, dir, inside string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port, most likely free still when nginx takes it
	if err != nil {
		return err
	}
	s.addr = l.Addr().String()
	l.Close()
	var names []string
	for name := range hosts() {
		names = append(names, name)
		for _, end := range []string{".pem", ".key"} {
			text, err := os.ReadFile(filepath.Join(st.dir, name+end))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name+end), text, 0o600); err != nil {
				return err
			}
		}
	}
	var conf bytes.Buffer
	err = template.Must(template.New("nginx.conf").Parse(nginxConf)).Execute(&conf, map[string]any{
		"Dir": inside, "Addr": s.addr, "Hosts": names, "Root": os.Getuid() == 0, "Workers": "auto",
	})
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o700); err != nil {
		return err
	}
	for _, n := range []int64{1 << 10, 10 << 10, large} {
		name := filepath.Join(dir, "files", path(int(n)))
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, n)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "nginx.conf"), conf.Bytes(), 0o600)
}

// awaitNginx waits for the first handshake, which must be post-quantum.
func (s *server) awaitNginx() error {
	var err error
	for range 100 {
		config := s.tlsConfig(ecdsaHost)
		config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768}
		var c *tls.Conn
		if c, err = tls.Dial("tcp", s.addr, config); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("nginx completes no handshake with X25519MLKEM768: %w", err)
}

// describeNginx takes the versions out of nginx -V.
func describeNginx(v string) string {
	var parts []string
	for line := range strings.Lines(v) {
		if rest, ok := strings.CutPrefix(line, "nginx version: "); ok {
			parts = append(parts, strings.TrimSpace(rest))
		}
		if rest, ok := strings.CutPrefix(line, "built with "); ok {
			parts = append(parts, strings.TrimSpace(rest))
		}
	}
	return strings.Join(parts, ", ")
}
