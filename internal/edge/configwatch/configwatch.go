// Package configwatch answers: how does a new belief arrive?
//
// A Watcher hears from its sources that the configuration may have changed, loads and
// compiles it, and swaps the edge's snapshot. What does not compile leaves the edge as
// it is and is told with all its errors. It does not know what a configuration is
// made of: files today, a store tomorrow, both are a Source and a function.
package configwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"pqfront/internal/edge/snapshot"
)

const (
	// DefaultQuiet is how long nothing must change before a change is taken up: editors
	// and copies write in several steps.
	DefaultQuiet = 200 * time.Millisecond
	// maxQuiet bounds the wait when there is no end of changes, in quiets.
	maxQuiet = 10
)

// Source tells when the configuration may have changed.
type Source interface {
	// Run calls changed, saying why, until ctx ends. It returns nil then. Any other error
	// ends the Watcher.
	Run(ctx context.Context, changed func(why string)) error
}

// Options configure a Watcher.
type Options struct {
	Holder *snapshot.Holder // required
	// Load reads the configuration and compiles it; required. generation is what the
	// snapshot shall have. It is never called twice at a time.
	Load    func(ctx context.Context, generation uint64) (*snapshot.Snapshot, error)
	Sources []Source
	Quiet   time.Duration // 0 = DefaultQuiet
	Logger  *slog.Logger  // nil = slog.Default()
	// Observer is told of every attempt after it was made. nil = nobody.
	Observer func(Status)
}

// Status is what came of the attempts so far.
type Status struct {
	Generation uint64    // of the snapshot that is served; 0 = none yet
	Applied    time.Time // when it was
	Tried      time.Time // when the last attempt was made
	Why        string    // what it was made for
	Err        error     // what was wrong with it; nil when it was applied
}

// Healthy reports whether the newest configuration is the one that is served.
func (s Status) Healthy() bool { return s.Generation > 0 && s.Err == nil }

// Watcher keeps the snapshot of a Holder up to date.
type Watcher struct {
	o       Options
	wake    chan struct{} // holds one token when there is a reason
	loading sync.Mutex    // one load at a time

	mu     sync.Mutex
	status Status
	why    []string // reasons since the last attempt
}

// New returns a Watcher. Call Load once, then Run.
func New(o Options) (*Watcher, error) {
	if o.Holder == nil || o.Load == nil {
		return nil, errors.New("configwatch: Options.Holder and Options.Load must be set")
	}
	if o.Quiet < 0 {
		return nil, fmt.Errorf("configwatch: Options.Quiet is %s: use 0 for the default, or more", o.Quiet)
	}
	if o.Quiet == 0 {
		o.Quiet = DefaultQuiet
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Watcher{o: o, wake: make(chan struct{}, 1)}, nil
}

// Status returns what came of the attempts so far.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Load makes one attempt now and returns its error. why is for the log.
func (w *Watcher) Load(ctx context.Context, why string) error {
	w.loading.Lock()
	defer w.loading.Unlock()
	generation := w.Status().Generation + 1
	start := time.Now()
	snap, err := w.o.Load(ctx, generation)
	if err == nil && snap == nil {
		err = errors.New("the loader returned nothing")
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // not the configuration's fault
	}
	if err == nil {
		w.o.Holder.Store(snap)
	}
	w.report(w.note(why, generation, err), snap, time.Since(start))
	return err
}

// note updates the status.
func (w *Watcher) note(why string, generation uint64, err error) Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.status
	s.Why, s.Err, s.Tried = why, err, time.Now()
	if err == nil {
		s.Generation, s.Applied = generation, s.Tried
	}
	return *s
}

// report tells the log and the observer of an attempt.
func (w *Watcher) report(s Status, snap *snapshot.Snapshot, took time.Duration) {
	switch {
	case s.Err == nil:
		w.o.Logger.Info("configuration applied", "generation", s.Generation, "distributions", len(snap.Sites),
			"took", took.Round(time.Microsecond), "reason", s.Why)
	case s.Generation == 0:
		// Load's caller has the error, and nothing to fall back on.
		w.o.Logger.Debug("configuration refused, there is none to serve", "reason", s.Why, "problems", problems(s.Err))
	default:
		w.o.Logger.Error("configuration refused, the earlier one stays", "serving", s.Generation, "reason", s.Why, "problems", problems(s.Err))
	}
	if w.o.Observer != nil {
		w.o.Observer(s)
	}
}

// problems returns an error's lines: loaders report one problem in each.
func problems(err error) []string { return strings.Split(err.Error(), "\n") }

// Trigger asks Run for an attempt, as a source does.
func (w *Watcher) Trigger(why string) {
	w.mu.Lock()
	const most = 8 // reasons are for the log only
	if len(w.why) < most {
		known := false
		for _, have := range w.why {
			known = known || have == why
		}
		if !known {
			w.why = append(w.why, why)
		}
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // an attempt is due already
	}
}

// reasons returns and forgets why an attempt is due.
func (w *Watcher) reasons() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	why := strings.Join(w.why, ", ")
	w.why = nil
	return why
}

// Run makes an attempt whenever a source has seen a change and things have become
// quiet. It returns when ctx ends, with nil, or when a source fails.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sources sync.WaitGroup
	defer sources.Wait()
	defer cancel(nil) // before Wait
	for _, s := range w.o.Sources {
		sources.Go(func() {
			if err := s.Run(ctx, w.Trigger); err != nil && ctx.Err() == nil {
				cancel(&sourceError{err})
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return sourceFailure(ctx)
		case <-w.wake:
		}
		if !w.settle(ctx) {
			return sourceFailure(ctx)
		}
		_ = w.Load(ctx, w.reasons()) // told by report
	}
}

// sourceError is the cause of a context that a failed source has cancelled.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "watching the configuration: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func sourceFailure(ctx context.Context) error {
	if failed, ok := errors.AsType[*sourceError](context.Cause(ctx)); ok {
		return failed
	}
	return nil
}

// settle waits until nothing has changed for a while; false when ctx ended.
func (w *Watcher) settle(ctx context.Context) bool {
	deadline := time.NewTimer(maxQuiet * w.o.Quiet)
	defer deadline.Stop()
	quiet := time.NewTimer(w.o.Quiet)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-deadline.C:
			return true
		case <-quiet.C:
			return true
		case <-w.wake:
			quiet.Reset(w.o.Quiet)
		}
	}
}
