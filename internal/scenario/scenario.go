// Package scenario runs whole-edge scenarios: files in a small language that say what
// origins answer, what viewers ask, and what the viewers, the origins and the access log
// must then see. It is test support; the language is described in test/scenarios/README.md.
//
// Everything runs inside one synctest bubble: time stands still but for the waits that a
// scenario asks for, so that a day of a cached object's life takes no time.
package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/edge"
	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/snapshot"
)

// A Transport carries a scenario's requests to the edge: in process, or through one of
// the engines.
type Transport interface {
	// Do sends a request and returns the whole answer. ctx ends when the viewer leaves.
	Do(ctx context.Context, r *Request) (*Answer, error)
	Close()
}

// Mode is a way to reach the edge.
type Mode struct {
	Name string
	Open func(e *edge.Edge) Transport
}

// Run runs every scenario of dir in every mode.
func Run(t *testing.T, dir string, modes ...Mode) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s (%v)", dir, err)
	}
	for _, m := range modes {
		for _, f := range files {
			t.Run(m.Name+"/"+strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
				data, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Test(t, func(t *testing.T) { runOne(t, f, data, m) })
			})
		}
	}
}

// world is one scenario's surroundings.
type world struct {
	t         *testing.T
	file      string
	line      int
	files     map[string][]byte
	snapshots snapshot.Holder
	configs   map[string][]byte // by distribution id
	edge      *edge.Edge
	transport Transport
	mode      string
	origins   *origins
	last      *Answer

	mu   sync.Mutex
	logs []*accesslog.Record
}

func runOne(t *testing.T, file string, data []byte, m Mode) {
	script, files := parse(string(data))
	w := &world{t: t, file: file, files: files, configs: map[string][]byte{}, mode: m.Name}
	w.origins = newOrigins()
	client := origin.New(origin.Options{Dial: w.origins.dial, Now: time.Now})
	w.edge = edge.New(edge.Options{
		Snapshots: &w.snapshots, Origins: client,
		Identity: identity(), HTTPSPort: 443, QUICPort: 443,
		CacheBytes: 8 << 20, CacheObjectBytes: 1 << 20,
		Log: func(r *accesslog.Record) {
			w.mu.Lock()
			defer w.mu.Unlock()
			kept := *r
			w.logs = append(w.logs, &kept)
		},
	})
	w.transport = m.Open(w.edge)
	defer func() {
		w.transport.Close()
		w.edge.Close()
		client.Close()
		w.origins.close()
	}()
	for i, line := range strings.Split(script, "\n") {
		w.line = i + 1
		args, err := split(line)
		if err != nil {
			w.fatalf("%v", err)
		}
		if len(args) == 0 {
			continue
		}
		cmd, ok := commands[args[0]]
		if !ok {
			w.fatalf("unknown command %q", args[0])
		}
		if err := cmd(w, args[1:]); err != nil {
			w.fatalf("%s: %v", strings.TrimSpace(line), err)
		}
	}
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s:%d: %s", w.file, w.line, fmt.Sprintf(format, args...))
}

// split cuts a line into words; single quotes hold words together, "#" begins a comment.
func split(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	quoted, in := false, false
	for _, c := range line {
		switch {
		case c == '\'':
			quoted, in = !quoted, true
		case quoted:
			word.WriteRune(c)
		case c == '#' && !in:
			return out, nil
		case c == ' ' || c == '\t':
			if in {
				out = append(out, word.String())
				word.Reset()
				in = false
			}
		default:
			in = true
			word.WriteRune(c)
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if in {
		out = append(out, word.String())
	}
	return out, nil
}

var viewerAddress = netip.MustParseAddrPort("192.0.2.7:51234")

// parse splits a txtar file: the script, then sections that begin with "-- name --".
func parse(data string) (script string, files map[string][]byte) {
	files = map[string][]byte{}
	name := ""
	var part strings.Builder
	end := func() {
		if name == "" {
			script = part.String()
		} else {
			files[name] = []byte(part.String())
		}
		part.Reset()
	}
	for line := range strings.Lines(data) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(n, " --") {
			end()
			name = strings.TrimSuffix(n, " --")
			continue
		}
		part.WriteString(line)
	}
	end()
	return script, files
}
