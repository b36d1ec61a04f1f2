package accesslog

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// File is one log file and how it is rotated. The current lines are always in Path;
// a rotated file is called Path.YYYY-MM-DD-HH.<unique>, with .gz when compressed,
// after the form of CloudFront's own log files (CloudFront: Standard logging (legacy), File name format).
type File struct {
	Path     string
	MaxBytes int64         // rotate before the file grows beyond; 0 = never
	Every    time.Duration // rotate when such a period begins, in UTC; 0 = never
	Keep     int           // how many rotated files stay; 0 = all
	Gzip     bool          // compress rotated files
}

const (
	filePerm = 0o640 // addresses of people: not for everybody
	dirPerm  = 0o750
)

// logFile is the open file. It is used by one goroutine at a time; compression of
// rotated files has goroutines of its own, for which close waits.
type logFile struct {
	conf   File
	head   []byte
	logger *slog.Logger

	f       *os.File // nil after an error: the next write opens it again
	regular bool     // pipes and devices are neither measured nor rotated
	size    int64
	period  time.Time // the period of Every in which the file was begun
	last    int64     // the last rotated name's unique part

	tidying sync.Mutex // one at a time
	tidiers sync.WaitGroup
}

func openLogFile(conf File, head []byte, logger *slog.Logger, now time.Time) (*logFile, error) {
	if conf.MaxBytes < 0 || conf.Every < 0 || conf.Keep < 0 {
		return nil, errors.New("size, period and number of kept files must not be negative")
	}
	l := &logFile{conf: conf, head: head, logger: logger}
	if err := os.MkdirAll(filepath.Dir(conf.Path), dirPerm); err != nil {
		return nil, err
	}
	if err := l.open(now); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *logFile) open(now time.Time) error {
	f, err := os.OpenFile(l.conf.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, filePerm)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.regular, l.size = f, info.Mode().IsRegular(), info.Size()
	l.period = l.periodOf(now)
	if l.regular && l.size > 0 {
		l.period = l.periodOf(info.ModTime()) // an older run's file is rotated in its turn
	}
	return nil
}

func (l *logFile) periodOf(t time.Time) time.Time {
	if l.conf.Every == 0 {
		return time.Time{}
	}
	return t.UTC().Truncate(l.conf.Every)
}

// write appends whole lines, rotating where that is due.
func (l *logFile) write(batch []byte, now time.Time) error {
	if len(batch) == 0 {
		return nil
	}
	if l.f == nil {
		if err := l.open(now); err != nil {
			return err
		}
	}
	if l.due(int64(len(batch)), now) {
		if err := l.rotate(now); err != nil {
			return err
		}
	}
	if l.size == 0 && len(l.head) > 0 {
		if err := l.append(l.head); err != nil {
			return err
		}
	}
	return l.append(batch)
}

func (l *logFile) due(more int64, now time.Time) bool {
	if !l.regular || l.size == 0 {
		return false
	}
	return l.conf.MaxBytes > 0 && l.size+more > l.conf.MaxBytes ||
		l.conf.Every > 0 && l.periodOf(now).After(l.period)
}

func (l *logFile) append(b []byte) error {
	n, err := l.f.Write(b)
	if err == nil {
		l.size += int64(n)
		return nil
	}
	if l.regular && n > 0 {
		// Half a line would spoil the next one as well.
		err = errors.Join(err, l.f.Truncate(l.size))
	}
	return errors.Join(err, l.drop())
}

// drop closes the file; the next write opens it again.
func (l *logFile) drop() error {
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// reopen lets the next write open Path anew, which others may have renamed.
func (l *logFile) reopen() {
	if err := l.drop(); err != nil {
		l.logger.Error("access log: closing for reopen", "file", l.conf.Path, "error", err)
	}
}

func (l *logFile) rotate(now time.Time) error {
	if err := l.drop(); err != nil {
		return err
	}
	// Milliseconds make the name unique and keep names in the order of time.
	l.last = max(l.last+1, now.UnixMilli())
	name := l.conf.Path + "." + now.UTC().Format("2006-01-02-15") + "." + strconv.FormatInt(l.last, 36)
	if err := os.Rename(l.conf.Path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.tidiers.Go(l.tidy)
	return l.open(now)
}

func (l *logFile) close() error {
	err := l.drop()
	l.tidiers.Wait()
	return err
}

// tidy compresses rotated files and removes those that are too many. Its errors are
// logged: they do not disturb the current file.
func (l *logFile) tidy() {
	l.tidying.Lock()
	defer l.tidying.Unlock()
	names, err := l.rotated()
	if err != nil {
		l.logger.Error("access log: listing rotated files", "file", l.conf.Path, "error", err)
		return
	}
	if extra := len(names) - l.conf.Keep; l.conf.Keep > 0 && extra > 0 {
		for _, n := range names[:extra] {
			if err := os.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
				l.logger.Error("access log: removing a rotated file", "error", err)
			}
		}
		names = names[extra:]
	}
	if !l.conf.Gzip {
		return
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".gz") {
			continue
		}
		if err := compress(n); err != nil {
			l.logger.Error("access log: compressing a rotated file", "error", err)
		}
	}
}

// rotated lists our rotated files, the oldest first, by their exact form, so that
// nobody else's file is ever removed.
func (l *logFile) rotated() ([]string, error) {
	dir, base := filepath.Split(l.conf.Path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	type file struct {
		name string
		born int64
	}
	var found []file
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base+".")
		if !ok || !e.Type().IsRegular() {
			continue
		}
		hour, unique, _ := strings.Cut(strings.TrimSuffix(rest, ".gz"), ".")
		if _, err := time.Parse("2006-01-02-15", hour); err != nil {
			continue
		}
		born, err := strconv.ParseInt(unique, 36, 64)
		if err != nil {
			continue
		}
		found = append(found, file{filepath.Join(dir, e.Name()), born})
	}
	slices.SortFunc(found, func(a, b file) int { return cmp.Compare(a.born, b.born) })
	names := make([]string, len(found))
	for i := range found {
		names[i] = found[i].name
	}
	return names, nil
}

// compress replaces name by name.gz. A crash in between leaves name, and a .tmp that
// the next attempt overwrites.
func compress(name string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := name + ".tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(tmp)
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err = io.Copy(z, in); err != nil {
		return err
	}
	if err = z.Close(); err != nil {
		return err
	}
	if err = out.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp, name+".gz"); err != nil {
		return err
	}
	return os.Remove(name)
}
