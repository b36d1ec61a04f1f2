package configwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// DefaultPoll is how often files are looked at when the system does not tell of their
// changes: network file systems do not, and what a symbolic link leads to may be
// anywhere.
const DefaultPoll = 5 * time.Second

// FilesOptions configure Files.
type FilesOptions struct {
	Poll time.Duration // 0 = DefaultPoll
	// PollOnly does without the system's notifications.
	PollOnly bool
	Logger   *slog.Logger // nil = slog.Default()
}

// Files is a Source that watches files and directories, of the latter what lies
// directly in them. It compares with how things were at NewFiles.
type Files struct {
	paths []string
	o     FilesOptions
	seen  view
}

// NewFiles looks at the paths and returns a Files. Call it before the configuration is
// loaded for the first time, so that no change falls between the two. Paths that are
// not there are waited for.
func NewFiles(paths []string, o FilesOptions) *Files {
	if o.Poll <= 0 {
		o.Poll = DefaultPoll
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	f := &Files{o: o}
	for _, p := range paths {
		f.paths = append(f.paths, filepath.Clean(p))
	}
	f.seen = look(f.paths)
	return f
}

// Run implements Source.
func (f *Files) Run(ctx context.Context, changed func(why string)) error {
	var events chan fsnotify.Event
	var failures chan error
	watcher := f.watcher()
	if watcher != nil {
		defer watcher.Close()
		events, failures = watcher.Events, watcher.Errors
	}
	tick := time.NewTicker(f.o.Poll)
	defer tick.Stop()
	// What changed between NewFiles and the watch is found by the first comparison.
	for first := true; ; first = false {
		f.subscribe(watcher)
		if f.compare(changed) && first {
			f.o.Logger.Debug("the configuration files changed while the edge started")
		}
		if !f.wait(ctx, tick.C, events, failures, changed) {
			return nil
		}
	}
}

// wait returns true when it is time to compare, false when ctx ended.
func (f *Files) wait(ctx context.Context, tick <-chan time.Time, events <-chan fsnotify.Event, failures <-chan error, changed func(string)) bool {
	select {
	case <-ctx.Done():
		return false
	case <-tick:
	case err := <-failures: // also when the queue of events ran over
		f.o.Logger.Warn("file notifications failed, files are compared instead", "error", err)
	case e := <-events:
		// A file of the same length may be written twice within the clock's resolution,
		// so an event counts even if nothing else tells.
		if e.Has(fsnotify.Write) && f.covers(e.Name) {
			changed(e.Name + " was written")
		}
	}
	return true
}

// watcher opens the system's notifications, nil when there are none to be had.
func (f *Files) watcher() *fsnotify.Watcher {
	if f.o.PollOnly {
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		f.o.Logger.Warn("file notifications are not to be had, files are looked at now and then", "every", f.o.Poll, "error", err)
		return nil
	}
	return w
}

// subscribe watches the directories of the paths, not the files: editors put a new
// file in the place of the old one. It is repeated, because a directory that was
// removed and came back is another one.
func (f *Files) subscribe(w *fsnotify.Watcher) {
	if w == nil {
		return
	}
	watched := w.WatchList()
	for _, dir := range f.directories() {
		if slices.Contains(watched, dir) {
			continue
		}
		if err := w.Add(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			f.o.Logger.Debug("a directory is not watched, its files are looked at now and then", "directory", dir, "every", f.o.Poll, "error", err)
		}
	}
}

// directories returns what to watch: the directories of files and of what they are
// links to, and directories themselves.
func (f *Files) directories() []string {
	var dirs []string
	add := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, p := range f.paths {
		add(filepath.Dir(p))
		real, err := filepath.EvalSymlinks(p)
		if err != nil {
			continue
		}
		if info, err := os.Stat(real); err == nil && info.IsDir() {
			add(p)
		} else {
			add(filepath.Dir(real))
		}
	}
	return dirs
}

// covers reports whether an event's file is one of the paths or lies in one of them.
func (f *Files) covers(name string) bool {
	name = filepath.Clean(name)
	if slices.Contains(f.paths, name) {
		return true
	}
	return slices.Contains(f.paths, filepath.Dir(name)) && !hidden(name)
}

// compare looks again and reports whether something is different.
func (f *Files) compare(changed func(why string)) bool {
	now := look(f.paths)
	why := now.difference(f.seen)
	f.seen = now
	if why != "" {
		changed(why)
	}
	return why != ""
}

// view is how the files were at one time.
type view map[string]os.FileInfo

// look notes the state of the paths and of what lies in those that are directories.
func look(paths []string) view {
	v := view{}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		v[p] = info
		if !info.IsDir() {
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := filepath.Join(p, e.Name())
			if hidden(name) {
				continue
			}
			if info, err := os.Stat(name); err == nil && !info.IsDir() {
				v[name] = info
			}
		}
	}
	return v
}

// hidden files are what editors leave while they write.
func hidden(name string) bool { return filepath.Base(name)[0] == '.' }

// difference says what is different from an earlier view, all of it; "" when nothing is.
func (v view) difference(before view) string {
	var what []string
	for _, name := range v.names() {
		old, had := before[name]
		switch {
		case !had:
			what = append(what, name+" appeared")
		case !same(old, v[name]):
			what = append(what, name+" changed")
		}
	}
	for _, name := range before.names() {
		if _, has := v[name]; !has {
			what = append(what, name+" is gone")
		}
	}
	const most = 5 // it is for the log only
	if more := len(what) - most; more > 0 {
		what = append(what[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(what, ", ")
}

func (v view) names() []string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// same compares what a changed file betrays itself by. Of a directory only its rights
// count: what lies in it is looked at itself, hidden files are not.
func same(a, b os.FileInfo) bool {
	if a.IsDir() && b.IsDir() {
		return a.Mode() == b.Mode()
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode() && os.SameFile(a, b)
}
