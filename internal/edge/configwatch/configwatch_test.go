package configwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/edge/snapshot"
)

// pulse is a Source that the test drives.
type pulse chan string

func (p pulse) Run(ctx context.Context, changed func(string)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case why := <-p:
			changed(why)
		}
	}
}

// loader counts loads; its next result is set by the test.
type loader struct {
	mu          sync.Mutex
	err         error
	generations []uint64
}

func (l *loader) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *loader) load(_ context.Context, generation uint64) (*snapshot.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generations = append(l.generations, generation)
	if l.err != nil {
		return nil, l.err
	}
	return &snapshot.Snapshot{Generation: generation}, nil
}

func (l *loader) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.generations)
}

// run starts Run and returns what stops it and gives its error.
func run(ctx context.Context, w *Watcher) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestSettlesAndCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p, holder := &loader{}, make(pulse), &snapshot.Holder{}
		w, err := New(Options{Holder: holder, Load: l.load, Sources: []Source{p}, Logger: quietLog(), Quiet: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t.Context(), w)
		for range 3 {
			p <- "a"
			time.Sleep(900 * time.Millisecond)
		}
		synctest.Wait()
		if l.count() != 0 {
			t.Fatalf("%d loads before it was quiet", l.count())
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if l.count() != 1 || holder.Load().Generation != 1 || w.Status().Why != "a" {
			t.Fatalf("%d loads, status %+v", l.count(), w.Status())
		}
		// Without end of changes a load happens all the same.
		start := time.Now()
		for l.count() == 1 && time.Since(start) < time.Minute {
			p <- "b"
			time.Sleep(500 * time.Millisecond)
		}
		if waited := time.Since(start); waited > 11*time.Second {
			t.Errorf("waited %s", waited)
		}
		if err := stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestBrokenKeepsTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var seen []Status
		l, p, holder := &loader{}, make(pulse), &snapshot.Holder{}
		w, err := New(Options{Holder: holder, Load: l.load, Sources: []Source{p},
			Logger: slog.New(slog.NewTextHandler(&log, nil)), Observer: func(s Status) { seen = append(seen, s) }})
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("a.json: x: is wrong\nb.json: y: is wrong, too")
		l.fail(broken)
		if err := w.Load(t.Context(), "start"); !errors.Is(err, broken) || holder.Load() != nil || w.Status().Healthy() {
			t.Fatalf("first load: %v, %+v", err, w.Status())
		}
		l.fail(nil)
		if err := w.Load(t.Context(), "start"); err != nil || !w.Status().Healthy() {
			t.Fatalf("second load: %v, %+v", err, w.Status())
		}
		good := holder.Load()
		applied := w.Status().Applied
		stop := run(t.Context(), w)
		time.Sleep(time.Minute)

		l.fail(broken)
		p <- "signal hangup"
		time.Sleep(time.Second)
		synctest.Wait()
		s := w.Status()
		if holder.Load() != good || s.Healthy() || s.Generation != 1 || !errors.Is(s.Err, broken) || !s.Applied.Equal(applied) || !s.Tried.After(applied) {
			t.Fatalf("after a broken one: %+v", s)
		}
		if text := log.String(); !strings.Contains(text, "the earlier one stays") || !strings.Contains(text, "a.json: x: is wrong") || !strings.Contains(text, "b.json: y: is wrong, too") {
			t.Errorf("log = %s", text)
		}
		l.fail(nil)
		p <- "signal hangup"
		time.Sleep(time.Second)
		synctest.Wait()
		if s := w.Status(); holder.Load().Generation != 2 || !s.Healthy() || s.Generation != 2 {
			t.Fatalf("after a good one: %+v", s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if fmt.Sprint(l.generations) != "[1 1 2 2]" || len(seen) != 4 {
			t.Errorf("generations %v, %d observed", l.generations, len(seen))
		}
	})
}

// failing is a Source that breaks.
type failing struct{ err error }

func (f failing) Run(context.Context, func(string)) error { return f.err }

func TestSourceFails(t *testing.T) {
	broken := errors.New("the store is gone")
	l := &loader{}
	w, err := New(Options{Holder: &snapshot.Holder{}, Load: l.load, Sources: []Source{failing{broken}, make(pulse)}, Logger: quietLog()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "watching the configuration") {
		t.Errorf("Run = %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Holder: &snapshot.Holder{}}, {Holder: &snapshot.Holder{}, Load: (&loader{}).load, Quiet: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) succeeded", o)
		}
	}
	w, err := New(Options{Holder: &snapshot.Holder{}, Logger: quietLog(),
		Load: func(context.Context, uint64) (*snapshot.Snapshot, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Load(t.Context(), "start"); err == nil || w.Status().Healthy() {
		t.Error("a loader that returns nothing passed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.o.Load = func(ctx context.Context, _ uint64) (*snapshot.Snapshot, error) { return nil, ctx.Err() }
	if err := w.Load(ctx, "start"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled load = %v", err)
	}
}

func TestSignals(t *testing.T) {
	ch := make(chan os.Signal, 1)
	got := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Signals(ch).Run(ctx, func(why string) { got <- why }) }()
	ch <- syscall.SIGHUP
	if why := <-got; why != "signal hangup" {
		t.Errorf("why = %q", why)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// watched is a real directory with a Files source over it.
type watched struct {
	t       *testing.T
	dir     string
	changes chan string
}

// watchFiles runs Files over names in a new directory that setup has filled. It has
// returned when the source has looked at the directory.
func watchFiles(t *testing.T, o FilesOptions, setup func(*watched), names ...string) *watched {
	t.Helper()
	w := &watched{t: t, dir: t.TempDir(), changes: make(chan string, 1000)}
	setup(w)
	var paths []string
	for _, n := range names {
		paths = append(paths, filepath.Join(w.dir, n))
	}
	o.Logger = quietLog()
	f := NewFiles(paths, o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, func(why string) { w.changes <- strings.ReplaceAll(why, w.dir+"/", "") }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return w
}

func (w *watched) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

// expect waits for a change of which text is a part; others, of which there may be
// some, are passed over.
func (w *watched) expect(text string) {
	w.t.Helper()
	end := time.After(20 * time.Second)
	for {
		select {
		case why := <-w.changes:
			if strings.Contains(why, text) {
				return
			}
		case <-end:
			w.t.Fatalf("no change with %q", text)
		}
	}
}

// each runs a test with the system's notifications and with looking only.
func each(t *testing.T, test func(*testing.T, FilesOptions)) {
	t.Run("notified", func(t *testing.T) { test(t, FilesOptions{Poll: time.Hour}) })
	t.Run("polling", func(t *testing.T) { test(t, FilesOptions{Poll: 20 * time.Millisecond, PollOnly: true}) })
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, o FilesOptions) {
		w := watchFiles(t, o, func(w *watched) { w.write("a.json", "1"); w.write("other.json", "1") }, "a.json", "late.json")
		w.write("a.json", "22")
		w.expect("a.json")
		// An editor writes beside the file and renames.
		w.write("a.json~tmp", "333")
		w.do(os.Rename(w.path("a.json~tmp"), w.path("a.json")))
		w.expect("a.json changed")
		w.do(os.Remove(w.path("a.json")))
		w.expect("a.json is gone")
		w.write("a.json", "4444")
		w.expect("a.json")
		w.write("late.json", "1")
		w.expect("late.json")
		w.do(os.Chmod(w.path("late.json"), 0o600))
		w.write("a.json", "55555") // a sign that the first was seen or not
		w.expect("a.json")
		for len(w.changes) > 0 {
			if why := <-w.changes; strings.Contains(why, "other") {
				t.Errorf("a file that is not watched: %s", why)
			}
		}
	})
}

func TestDirectory(t *testing.T) {
	each(t, func(t *testing.T, o FilesOptions) {
		w := watchFiles(t, o, func(w *watched) { w.do(os.Mkdir(w.path("d"), 0o755)); w.write("d/a.json", "1") }, "d")
		w.write("d/b.json", "1")
		w.expect("d/b.json appeared")
		w.write("d/.swap", "1")
		w.write("d/a.json", "22")
		w.expect("d/a.json")
		w.do(os.RemoveAll(w.path("d")))
		w.expect("is gone")
		// It comes back as another directory.
		w.do(os.Mkdir(w.path("d"), 0o755))
		w.write("d/c.json", "1")
		w.expect("appeared")
		w.write("d/c.json", "22")
		w.expect("d/c.json")
		for len(w.changes) > 0 {
			if why := <-w.changes; strings.Contains(why, ".swap") {
				t.Errorf("an editor's hidden file: %s", why)
			}
		}
	})
}

// TestSymlinkSwap: as Kubernetes replaces mounted configuration.
func TestSymlinkSwap(t *testing.T) {
	each(t, func(t *testing.T, o FilesOptions) {
		w := watchFiles(t, o, func(w *watched) {
			for _, d := range []string{"v1", "v2"} {
				w.do(os.Mkdir(w.path(d), 0o755))
				w.write(d+"/a.json", d)
			}
			w.do(os.Symlink("v1", w.path("..data")))
			w.do(os.Symlink("..data/a.json", w.path("a.json")))
		}, "a.json")
		w.do(os.Symlink("v2", w.path("..tmp")))
		w.do(os.Rename(w.path("..tmp"), w.path("..data")))
		w.expect("a.json changed")
	})
}

// TestChangeBeforeRun: what changes between NewFiles and Run is not missed.
func TestChangeBeforeRun(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.json")
	if err := os.WriteFile(name, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := NewFiles([]string{name}, FilesOptions{Poll: time.Hour, Logger: quietLog()})
	if err := os.WriteFile(name, []byte("22"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var why string
	err := f.Run(ctx, func(w string) { why = w; cancel() })
	if err != nil || why != name+" changed" {
		t.Errorf("Run = %v, why %q", err, why)
	}
}

// TestRealSwap: files, watcher and holder together.
func TestRealSwap(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("good 1")
	results := make(chan Status, 100)
	holder := &snapshot.Holder{}
	w, err := New(Options{
		Holder: holder, Logger: quietLog(), Quiet: 10 * time.Millisecond, Observer: func(s Status) { results <- s },
		Load: func(_ context.Context, generation uint64) (*snapshot.Snapshot, error) {
			data, err := os.ReadFile(name)
			if err == nil && !strings.HasPrefix(string(data), "good") {
				err = fmt.Errorf("a.json: %q is wrong", data)
			}
			return &snapshot.Snapshot{Generation: generation}, err
		},
		Sources: []Source{NewFiles([]string{name}, FilesOptions{Logger: quietLog()})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Load(t.Context(), "start"); err != nil {
		t.Fatal(err)
	}
	<-results
	stop := run(t.Context(), w)
	until := func(what string, is func(Status) bool) {
		t.Helper()
		end := time.After(20 * time.Second)
		for {
			select {
			case s := <-results:
				if is(s) {
					return
				}
			case <-end:
				t.Fatalf("never %s: %+v", what, w.Status())
			}
		}
	}
	write("bad 2")
	until("broken", func(s Status) bool { return s.Err != nil && strings.Contains(s.Err.Error(), `"bad 2" is wrong`) })
	if holder.Load().Generation != 1 {
		t.Errorf("generation %d is served", holder.Load().Generation)
	}
	write("good 3")
	until("mended", func(s Status) bool { return s.Healthy() && s.Generation >= 2 })
	if holder.Load().Generation < 2 {
		t.Errorf("generation %d is served", holder.Load().Generation)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
