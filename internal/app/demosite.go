package app

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pqfront/internal/atomicfile"
	"pqfront/internal/demo"
)

// demoSite is the demo's origin on a port of its own and its distributions' files.
type demoSite struct {
	files  []string
	addr   string // of the origin
	server *http.Server
	done   chan struct{}
}

// startDemo writes the demo's distributions into the state folder, where the owner can
// look at them and change them, and serves their origin.
func startDemo(state string) (*demoSite, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &demoSite{addr: l.Addr().String(), done: make(chan struct{})}
	if err := s.write(filepath.Join(state, "demo"), uint16(l.Addr().(*net.TCPAddr).Port)); err != nil {
		l.Close()
		return nil, err
	}
	s.server = &http.Server{Handler: demo.Origin(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() {
		defer close(s.done)
		s.server.Serve(l) // ends with ErrServerClosed, by close
	}()
	return s, nil
}

// write writes the distributions' files.
func (s *demoSite) write(dir string, port uint16) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, h := range demo.Hosts() {
		text, err := demo.Config(h, port)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, h.Alias+".json")
		if err := atomicfile.Write(path, text, 0o600); err != nil {
			return err
		}
		s.files = append(s.files, path)
	}
	return nil
}

// close ends the origin. The edge, its only client, has stopped already.
func (s *demoSite) close() error {
	err := s.server.Close()
	<-s.done
	if err != nil {
		return fmt.Errorf("stopping the demo's origin: %w", err)
	}
	return nil
}
