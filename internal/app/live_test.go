package app

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pqfront/internal/localca"
)

func maxTLS12(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
func minTLS13(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }

// handshake tries one with HTTP/2 on offer.
func (e *testEdge) handshake(name string, edit ...func(*tls.Config)) (*tls.ConnectionState, error) {
	config := e.clientTLS(name, "h2", "http/1.1")
	for _, f := range edit {
		f(config)
	}
	c, err := tls.Dial("tcp", e.ports.HTTPS, config)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	state := c.ConnectionState()
	return &state, nil
}

// refuses wants a TLS 1.2 client to be told protocol_version.
func (e *testEdge) refuses12(t *testing.T, name string) {
	t.Helper()
	_, err := e.handshake(name, maxTLS12)
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: protocol version not supported") {
		t.Errorf("a TLS 1.2 handshake with %s: %v, want alert protocol_version", name, err)
	}
}

func (e *testEdge) accepts(t *testing.T, name string, edit ...func(*tls.Config)) *tls.ConnectionState {
	t.Helper()
	state, err := e.handshake(name, edit...)
	if err != nil {
		t.Fatalf("a handshake with %s: %v", name, err)
	}
	return state
}

// TestPolicyChange tightens a policy while 200 HTTP/2 connections, and some of the other
// kinds, are in the middle of a download.
func TestPolicyChange(t *testing.T) {
	www := site{alias: "www.example.org", policy: "TLSv1.2_2021"}
	e := startEdge(t, []site{www, {alias: "other.example.org", policy: "TLSv1.2_2021"}})

	var viewers []*viewer
	var paths []string
	add := func(v *viewer, path string) { viewers, paths = append(viewers, v), append(paths, path) }
	for i := range 200 {
		edit := maxTLS12 // these would not be let in any more
		if i%2 == 1 {
			edit = minTLS13
		}
		path := "/gated/shared" // one fill for all
		if i%4 >= 2 {
			path = fmt.Sprintf("/gated/nostore/%d", i)
		}
		add(e.viewer("www.example.org", "h2", edit), path)
	}
	crowd := len(viewers)
	for i := range 5 {
		add(e.viewer("www.example.org", "h1", maxTLS12), fmt.Sprintf("/gated/nostore/h1/%d", i))
		add(e.viewer("www.example.org", "h1", minTLS13), "/gated/shared")
		add(e.viewer3("www.example.org"), fmt.Sprintf("/gated/nostore/h3/%d", i))
		add(e.viewer("www.example.org", "h1", maxTLS12), "/big") // held up by its reader
		add(e.viewer3("www.example.org"), "/big")
	}
	downloads := make([]*download, len(viewers))
	begin := func(from, to int) {
		t.Helper()
		if err := each(to-from, func(i int) (err error) {
			downloads[from+i], err = viewers[from+i].begin(paths[from+i], gatedBytes/2)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	begin(0, crowd)
	// Afterwards, because QUIC gives up soon on a busy machine, and the edge gives up viewers
	// that read nothing for 30 s.
	begin(crowd, len(viewers))
	// 100 over HTTP/2, 10 over the others, and the fill that all others share.
	if n := e.origin.waits.Load(); n != 111 {
		t.Errorf("the origin is in the middle of %d answers, want 111", n)
	}
	front := e.viewer("other.example.org", "h2", maxTLS12)
	front.asks(t, "other.example.org", 200)
	front.asks(t, "www.example.org", 200) // www's policy would have let it in

	www.policy = "TLSv1.3_2025"
	e.write(www)
	e.applied(2)
	e.refuses12(t, "www.example.org")
	if state := e.accepts(t, "www.example.org"); state.Version != tls.VersionTLS13 {
		t.Errorf("version %#x", state.Version)
	}
	if state := e.accepts(t, "other.example.org", maxTLS12); state.Version != tls.VersionTLS12 {
		t.Errorf("the other distribution: version %#x", state.Version)
	}

	e.origin.open()
	if err := each(len(viewers), func(i int) error { return downloads[i].finish() }); err != nil {
		t.Error(err)
	}
	// Open connections stay: they were made for this distribution.
	if err := each(len(viewers), func(i int) error {
		status, body, err := viewers[i].get("/small")
		if err != nil || status != 200 || body != "small: /small\n" {
			return fmt.Errorf("%d %q %w", status, body, err)
		}
		if n := viewers[i].dials.Load(); n != 1 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	// But one that was made for another is judged by the new policy.
	front.asks(t, "www.example.org", 421)
	if n := front.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	e.viewer("other.example.org", "h2", minTLS13).asks(t, "www.example.org", 200)
}

// TestBrokenFile: what is wrong stays out, all of it is told, and a good file mends it.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	www := site{alias: "www.example.org", policy: "TLSv1.2_2021"}
	e := startEdge(t, []site{www})
	stays := func(t *testing.T, want ...string) {
		t.Helper()
		until(t, "the refusal of "+want[0], func() bool { return strings.Contains(e.health().LastError, want[0]) })
		h := e.health()
		if h.Generation != 1 {
			t.Errorf("generation %d is served", h.Generation)
		}
		for _, w := range want {
			if !strings.Contains(h.LastError, w) || !strings.Contains(e.log.String(), w) {
				t.Errorf("%q is not in /healthz (%q) or not in the log", w, h.LastError)
			}
		}
		if state := e.accepts(t, "www.example.org", maxTLS12); state.Version != tls.VersionTLS12 {
			t.Errorf("version %#x", state.Version)
		}
		if status, _, err := e.viewer("www.example.org", "h2").get("/small"); status != 200 {
			t.Errorf("status %d, %v", status, err)
		}
	}
	broken := www
	broken.policy = "TLSv1.2_2020"
	broken.edit = func(c map[string]any) {
		c["DefaultCacheBehavior"].(map[string]any)["TargetOriginId"] = "nobody"
		c["HttpVersion"] = "http4"
	}
	e.write(broken)
	stays(t, "MinimumProtocolVersion", "nobody", "http4", "www.example.org.json")

	replace(t, e.file(www), []byte(`{"DistributionConfig": {"CallerReference": "x",`))
	stays(t, "unexpected end")

	if err := os.Remove(e.file(www)); err != nil {
		t.Fatal(err)
	}
	stays(t, "is a directory without *.json files")

	// A second file that claims the same name.
	e.write(www)
	e.applied(2)
	text, err := os.ReadFile(e.file(www))
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(e.dir, "twin.json"), []byte(strings.Replace(string(text), "pqfront-demo-www", "twin", 1)))
	until(t, "the refusal of the twin", func() bool { return strings.Contains(e.health().LastError, "is a name of the distribution") })

	if err := os.Remove(filepath.Join(e.dir, "twin.json")); err != nil {
		t.Fatal(err)
	}
	e.applied(3)
	www.policy = "TLSv1.3_2025"
	e.write(www)
	e.applied(4)
	e.refuses12(t, "www.example.org")
}

// TestSignal: SIGHUP asks for the files to be read again.
func TestSignal(t *testing.T) {
	t.Parallel()
	www := site{alias: "www.example.org", policy: "TLSv1.2_2021"}
	e := startEdge(t, []site{www})
	e.reload <- syscall.SIGHUP
	e.applied(2)
	replace(t, e.file(www), []byte("not JSON"))
	e.reload <- syscall.SIGHUP
	until(t, "the refusal", func() bool { return e.health().LastError != "" })
	e.reload <- syscall.SIGHUP
	if h := e.health(); h.Generation != 2 {
		t.Errorf("%+v", h)
	}
	e.accepts(t, "www.example.org", maxTLS12)
	www.policy = "TLSv1.3_2025"
	e.write(www)
	e.reload <- syscall.SIGHUP
	until(t, "recovery", func() bool { h := e.health(); return h.LastError == "" && h.Generation > 2 })
	e.refuses12(t, "www.example.org")
	if !strings.Contains(e.log.String(), "signal hangup") {
		t.Error("the log does not tell of the signal")
	}
}

// TestCertificateReplaced: the owner's certificate changes under a running edge.
func TestCertificateReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := CertificateFile{Chain: filepath.Join(dir, "chain.pem"), Key: filepath.Join(dir, "key.pem")}
	// issue makes a new certificate of the same authority: the names differ, so it is not
	// the stored one.
	issue := func(state string, names ...string) (chain, key []byte) {
		t.Helper()
		ca, err := localca.Open(state, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if chain, key, err = ca.Leaf(localca.P256, names, time.Now()); err != nil {
			t.Fatal(err)
		}
		return chain, key
	}
	e := newEdge(t, []site{{alias: "www.example.org", policy: "TLSv1.2_2021"}}, func(c *Config) {
		c.Certificates = []CertificateFile{files}
	})
	chain, key := issue(e.config.State, "www.example.org", "first.example.org")
	writeFile(t, files.Chain, chain)
	writeFile(t, files.Key, key)
	e.start()
	has := func(name string) {
		t.Helper()
		if names := e.accepts(t, "www.example.org").PeerCertificates[0].DNSNames; len(names) != 2 || names[0] != name {
			t.Errorf("the certificate has %v, want %s", names, name)
		}
	}
	has("first.example.org")
	open := e.viewer("www.example.org", "h2")
	open.asks(t, "www.example.org", 200)

	chain, key = issue(e.config.State, "www.example.org", "second.example.org")
	replace(t, files.Chain, chain) // the key is still the first one's
	until(t, "the mismatch", func() bool { return strings.Contains(e.health().LastError, "--key") })
	has("first.example.org")
	replace(t, files.Key, key)
	e.applied(2)
	has("second.example.org")
	open.asks(t, "www.example.org", 200)
	if n := open.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}

	// One that does not cover the alias is refused.
	chain, key = issue(e.config.State, "stranger.example.org")
	replace(t, files.Chain, chain)
	replace(t, files.Key, key)
	until(t, "the stranger", func() bool { return strings.Contains(e.health().LastError, "no --cert covers www.example.org") })
	has("second.example.org")
}

// TestTicketsAndChanges: a ticket outlives changes that do not concern the policy, and
// never resumes into a tightened one.
func TestTicketsAndChanges(t *testing.T) {
	t.Parallel()
	www := site{alias: "www.example.org", policy: "TLSv1.2_2021"}
	e := startEdge(t, []site{www})
	type client struct {
		name string
		edit []func(*tls.Config)
		h3   bool
	}
	clients := []*client{
		{name: "TLS 1.2", edit: []func(*tls.Config){maxTLS12}},
		{name: "TLS 1.3", edit: []func(*tls.Config){minTLS13}},
		{name: "QUIC", h3: true},
	}
	for _, c := range clients {
		cache := tls.NewLRUClientSessionCache(8)
		c.edit = append(c.edit, func(config *tls.Config) { config.ClientSessionCache = cache })
	}
	connect := func(generation string, want bool) {
		t.Helper()
		for _, c := range clients {
			v := e.viewer("www.example.org", "h2", c.edit...)
			if c.h3 {
				v = e.viewer3("www.example.org", c.edit...)
			}
			resp := v.asks(t, "www.example.org", 200)
			if resp == nil {
				continue
			}
			if resp.TLS.DidResume != want {
				t.Errorf("%s, %s: resumed %t, want %t", c.name, generation, resp.TLS.DidResume, want)
			}
			v.close()
		}
	}
	connect("first", false)
	connect("second", true)

	www.edit = func(c map[string]any) { c["Comment"] = "unrelated" }
	e.write(www)
	e.applied(2)
	connect("after an unrelated change", true)

	www.policy = "TLSv1.2_2025"
	e.write(www)
	e.applied(3)
	connect("after tightening", false)
	connect("under the new policy", true)

	www.policy = "TLSv1.3_2025"
	e.write(www)
	e.applied(4)
	e.refuses12(t, "www.example.org")
	clients = clients[1:]
	connect("after tightening again", false)
	connect("under the newest policy", true)
}

// localPort is the viewer's side of a connection.
func localPort(c net.Conn) int { return c.LocalAddr().(*net.TCPAddr).Port }
