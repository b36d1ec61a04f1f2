package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

var wwwSite = site{alias: "www.example.org", policy: "TLSv1.2_2021"}

// threeKinds are viewers of the three HTTP versions.
func threeKinds(e *testEdge) map[string]*viewer {
	return map[string]*viewer{
		"h1": e.viewer("www.example.org", "h1"), "h2": e.viewer("www.example.org", "h2"), "h3": e.viewer3("www.example.org"),
	}
}

// freed wants all ports of an edge to be free.
func freed(t *testing.T, p Ports) {
	t.Helper()
	for _, addr := range []string{p.HTTPS, p.HTTP, p.API, p.Console} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("after the end: %v", err)
			continue
		}
		l.Close()
	}
	c, err := net.ListenPacket("udp", p.HTTPS)
	if err != nil {
		t.Errorf("after the end: %v", err)
		return
	}
	c.Close()
}

// TestDrain: an edge that is told to stop finishes what is in flight, takes on nothing
// new and gives everything back.
func TestDrain(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{wwwSite})
	viewers := threeKinds(e)
	downloads := map[string]*download{}
	for name, v := range viewers {
		d, err := v.begin("/gated/nostore/"+name, gatedBytes/2)
		if err != nil {
			t.Fatal(name, err)
		}
		downloads[name] = d
	}
	big, err := e.viewer("www.example.org", "h2").begin("/big", 1000)
	if err != nil {
		t.Fatal(err)
	}
	idle := e.dialTLS(t, "http/1.1")
	e.cancel()
	for _, addr := range []string{e.ports.HTTPS, e.ports.HTTP, e.ports.API, e.ports.Console} {
		until(t, addr+" to be closed", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return errors.Is(err, syscall.ECONNREFUSED)
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if c, err := quic.DialAddr(ctx, e.ports.HTTPS, e.clientTLS("www.example.org", "h3"), nil); err == nil {
		t.Error("a new QUIC connection was taken on")
		c.CloseWithError(0, "")
	} else if refused, ok := errors.AsType[*quic.TransportError](err); !ok || refused.ErrorCode != quic.ConnectionRefused {
		t.Errorf("a new QUIC connection: %v, want CONNECTION_REFUSED", err)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection got bytes")
	}
	select {
	case <-e.done:
		t.Fatal("Serve has returned with downloads in flight")
	default:
	}
	e.origin.open()
	downloads["big"] = big
	for name, d := range downloads {
		if err := d.finish(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.wait(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	freed(t, e.ports)
	// The log has all of them.
	served := map[any]bool{}
	for _, l := range lines(t, e.config.AccessLogJSON) {
		served[l["cs-uri-stem"]] = l["x-edge-result-type"] == "Miss"
	}
	for _, path := range []string{"/gated/nostore/h1", "/gated/nostore/h2", "/gated/nostore/h3", "/big"} {
		if !served[path] {
			t.Errorf("%s is not in the log as served", path)
		}
	}
}

// TestDrainEnds: viewers and operators that do not come to an end are not waited for
// longer than the drain time, and Serve succeeds all the same.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{wwwSite}, func(c *Config) { c.Drain = 100 * time.Millisecond })
	downloads := map[string]*download{}
	for name, v := range threeKinds(e) {
		d, err := v.begin("/gated/nostore/"+name, gatedBytes/2)
		if err != nil {
			t.Fatal(name, err)
		}
		downloads[name] = d
		if d, err = v.begin("/gated/shared", gatedBytes/2); err != nil {
			t.Fatal(name, err)
		}
		downloads[name+" of a fill"] = d
	}
	half := e.dial(t)
	half.Write([]byte("\x16\x03\x01"))
	silent, err := net.Dial("tcp", e.ports.API)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	e.health() // over another connection: this one is accepted, too
	e.cancel()
	if err := e.wait(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	freed(t, e.ports)
	for name, d := range downloads {
		err := d.finish()
		if err == nil {
			t.Errorf("%s: a download was completed that could not be", name)
		}
		// RFC 9000, Section 10.2: a viewer that is not told waits until its idle timeout.
		if err != nil && strings.HasPrefix(name, "h3") && !strings.Contains(err.Error(), "H3_NO_ERROR") {
			t.Errorf("%s: %v, want the connection closed with H3_NO_ERROR", name, err)
		}
	}
	until(t, "the origin to be let go", func() bool { return e.origin.waits.Load() == 0 })
}

// TestRestart: another start with the same state folder goes on with the same authority
// and the same ticket keys.
func TestRestart(t *testing.T) {
	t.Parallel()
	e := startEdge(t, []site{wwwSite})
	cache12, cache13 := tls.NewLRUClientSessionCache(1), tls.NewLRUClientSessionCache(1)
	resumes := func(want bool) {
		t.Helper()
		for _, v := range []*viewer{
			e.viewer("www.example.org", "h2", maxTLS12, func(c *tls.Config) { c.ClientSessionCache = cache12 }),
			e.viewer("www.example.org", "h2", minTLS13, func(c *tls.Config) { c.ClientSessionCache = cache13 }),
		} {
			if resp := v.asks(t, "www.example.org", 200); resp != nil && resp.TLS.DidResume != want {
				t.Errorf("version %#x: resumed %t, want %t", resp.TLS.Version, resp.TLS.DidResume, want)
			}
			v.close()
		}
	}
	kept := func() string {
		t.Helper()
		var all []byte
		for _, name := range []string{"ca.pem", "ticket-keys.json"} {
			text, err := os.ReadFile(filepath.Join(e.config.State, name))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		return string(all)
	}
	resumes(false)
	before := kept()
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(e.config.State, "ticket-keys.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the ticket keys' file: %v, %v", info.Mode(), err)
	}
	if err := os.Remove(e.config.PortsFile); err != nil {
		t.Fatal(err)
	}
	e.start()
	if kept() != before {
		t.Error("the authority or the ticket keys changed")
	}
	resumes(true)
}

// TestReady: when the ports file is there, everything is.
func TestReady(t *testing.T) {
	t.Parallel()
	var banner syncBuffer
	e := startEdge(t, []site{wwwSite}, func(c *Config) { c.Out = &banner })
	if h := e.health(); h.Generation != 1 || h.Version != "test" || h.LastError != "" {
		t.Errorf("%+v", h)
	}
	for _, v := range threeKinds(e) {
		v.asks(t, "www.example.org", 200)
	}
	for _, want := range []string{e.ports.HTTPS, e.ports.HTTP, e.ports.API, e.ports.Console, "www.example.org", "TLSv1.2_2021", "ca.pem"} {
		if !strings.Contains(banner.String(), want) {
			t.Errorf("the banner lacks %s:\n%s", want, banner.String())
		}
	}
}

// TestDoesNotStart: each error names the setting; nothing keeps running and no ports
// file says that it does.
func TestDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() }) // when the parallel subtests are over
	takenUDP, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { takenUDP.Close() })
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, []byte("not a folder"))
	f := func(name, want string, edit func(e *testEdge, c *Config)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, []site{wwwSite})
			writeFile(t, e.config.PortsFile, []byte("of an earlier run"))
			edit(e, e.config)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := Serve(ctx, e.config)
			if err == nil || !strings.Contains(err.Error(), want) || ctx.Err() != nil {
				t.Errorf("Serve: %v; want %s", err, want)
			}
			if _, err := os.Stat(e.config.PortsFile); err == nil {
				t.Error("there is a ports file")
			}
		})
	}
	f("https", "--https", func(_ *testEdge, c *Config) { c.HTTPS = taken.Addr().String() })
	f("quic", "--https", func(_ *testEdge, c *Config) { c.HTTPS = takenUDP.LocalAddr().String() })
	f("http", "--http", func(_ *testEdge, c *Config) { c.HTTP = taken.Addr().String() })
	f("api", "--api", func(_ *testEdge, c *Config) { c.API = taken.Addr().String() })
	f("console", "--console", func(_ *testEdge, c *Config) { c.Console = taken.Addr().String() })
	f("state", "--state", func(_ *testEdge, c *Config) { c.State = filepath.Join(file, "state") })
	f("ports-file", "--ports-file", func(_ *testEdge, c *Config) { c.PortsFile = filepath.Join(file, "ports.json") })
	f("ports-file-at-the-end", "--ports-file", func(_ *testEdge, c *Config) { c.PortsFile = filepath.Join(t.TempDir(), "no", "ports.json") })
	f("log", file, func(_ *testEdge, c *Config) { c.AccessLogJSON = filepath.Join(file, "access.jsonl") })
	f("keys", "ticket-keys.json", func(_ *testEdge, c *Config) {
		writeFile(t, filepath.Join(c.State, "ticket-keys.json"), []byte("{"))
	})
	f("certificate", "--cert", func(_ *testEdge, c *Config) { c.Certificates = []CertificateFile{{Chain: file, Key: file}} })
	f("default", "nobody", func(_ *testEdge, c *Config) { c.DefaultDistribution = "nobody" })
	f("resolve", "--resolve", func(_ *testEdge, c *Config) { c.Resolve = []string{"x"} })
	f("configuration", "MinimumProtocolVersion", func(e *testEdge, _ *Config) {
		e.write(site{alias: "www.example.org", policy: "TLSv9"})
	})
}

// TestLogsCannotBeWritten: a full disk, or a folder that is gone, costs lines and
// nothing else; when it is mended the log goes on.
func TestLogsCannotBeWritten(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	full := filepath.Join(t.TempDir(), "full")
	if err := os.Symlink("/dev/full", full); err != nil { // the device itself is nobody's to rename
		t.Fatal(err)
	}
	e := startEdge(t, []site{wwwSite}, func(c *Config) { c.AccessLog, c.ConnectionLog = full, full })
	neighbour(t, e)
	v := e.viewer("www.example.org", "h2")
	v.asks(t, "www.example.org", 200)
	c := e.dial(t)
	c.Write([]byte("junk that is refused, and the refusal cannot be written down"))
	c.Read(make([]byte, 1))
	until(t, "the complaint", func() bool { return strings.Contains(e.log.String(), "no space left on device") })

	dir := filepath.Dir(e.config.AccessLogJSON)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, []byte("a file in the folder's place"))
	e.reopen <- syscall.SIGUSR1
	until(t, "the complaint", func() bool {
		v.asks(t, "www.example.org", 200)
		return strings.Contains(e.log.String(), "not a directory")
	})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, "the log to go on", func() bool {
		v.asks(t, "www.example.org", 200)
		info, err := os.Stat(e.config.AccessLogJSON)
		return err == nil && info.Size() > 0
	})
}

// goroutines waits for their number to come down to n, and tells what they are if not.
func goroutines(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for runtime.NumGoroutine() > n {
		if time.Now().After(deadline) {
			var b bytes.Buffer
			pprof.Lookup("goroutine").WriteTo(&b, 1)
			t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), n, b.String())
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestNothingIsLeft: Serve gives back all goroutines, also after faults, after drains
// that were cut, and when it could not start. It is not parallel, because it counts.
func TestNothingIsLeft(t *testing.T) {
	t.Run("warm up", func(t *testing.T) { startEdge(t, []site{wwwSite}).health() }) // what the process itself starts once
	before := runtime.NumGoroutine()
	for _, drain := range []time.Duration{patience, 50 * time.Millisecond} {
		t.Run(fmt.Sprint(drain), func(t *testing.T) {
			e := startEdge(t, []site{wwwSite}, func(c *Config) { c.Drain = drain })
			for name, v := range threeKinds(e) {
				if _, err := v.begin("/gated/nostore/"+name, gatedBytes/2); err != nil {
					t.Error(err)
				}
				if _, err := v.begin("/gated/shared", gatedBytes/2); err != nil {
					t.Error(err)
				}
			}
			e.dial(t).Write([]byte("\x16\x03\x01"))
			e.dialTLS(t, "h2")
			e.dialH2(t)
			if drain < patience {
				e.cancel()
				if err := e.wait(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Run("no start", func(t *testing.T) {
		e := newEdge(t, []site{wwwSite})
		e.config.Console = e.origin.server.Listener.Addr().String()
		if err := Serve(t.Context(), e.config); err == nil {
			t.Error("Serve started on a port that is taken")
		}
		e.config.Files, e.config.API = nil, e.config.Console // the demo has been started by then
		if err := Serve(t.Context(), e.config); err == nil {
			t.Error("Serve started on a port that is taken")
		}
	})
	goroutines(t, before)
}

// TestDemo: what a first start serves.
func TestDemo(t *testing.T) {
	t.Parallel()
	var banner syncBuffer
	e := newEdge(t, nil, func(c *Config) { c.Files, c.Resolve, c.Out = nil, nil, &banner })
	e.start()
	v := e.viewer("tls13.localhost", "h2")
	if status, _, err := v.get("/"); status != 200 {
		t.Errorf("/: %d, %v", status, err)
	}
	resp, err := v.Do(v.request("/large.bin"))
	if err != nil || resp.StatusCode != 200 || resp.ContentLength != 100<<20 {
		t.Fatalf("/large.bin: %v, %v", resp, err)
	}
	resp.Body.Close()
	e.refuses12(t, "tls13.localhost")
	if !strings.Contains(banner.String(), "curl --cacert") {
		t.Errorf("the banner has nothing to try:\n%s", banner.String())
	}
}
