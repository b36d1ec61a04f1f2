package accesslog

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func request(l *Log, path string) {
	r := record()
	r.Path = path
	l.Request(&r)
}

// stems returns the cs-uri-stem of each line of a standard log.
func stems(log string) (out []string) {
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "#") {
			out = append(out, strings.Split(line, "\t")[7])
		}
	}
	return out
}

func TestFlushesEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sub", "access.log")
		l := open(t, Options{Standard: File{Path: path}})
		request(l, "/1")
		if got := read(t, path); got != "" {
			t.Errorf("written before its time: %q", got)
		}
		time.Sleep(flushEvery + time.Millisecond)
		synctest.Wait()
		if got := stems(read(t, path)); fmt.Sprint(got) != "[/1]" {
			t.Errorf("after a second: %v", got)
		}
		if !strings.HasPrefix(read(t, path), "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) ") {
			t.Errorf("head: %.100q", read(t, path))
		}
		info, _ := os.Stat(path)
		if info.Mode().Perm()&^0o640 != 0 {
			t.Errorf("mode %v, want at most 0640", info.Mode())
		}
		request(l, "/2")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		request(l, "/late")
		if got := stems(read(t, path)); fmt.Sprint(got) != "[/1 /2]" {
			t.Errorf("after Close: %v", got)
		}
		if got := l.Stats(); got != (Stats{Written: 2, Dropped: 1}) {
			t.Errorf("stats %+v", got)
		}
	})
}

// TestContinues: a restart appends, and does not repeat the head.
func TestContinues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	for i := range 3 {
		l := open(t, Options{Standard: File{Path: path}})
		request(l, fmt.Sprint("/", i))
		l.Close()
	}
	log := read(t, path)
	if n := strings.Count(log, "#Version"); n != 1 || fmt.Sprint(stems(log)) != "[/0 /1 /2]" {
		t.Errorf("%d heads, %v", n, stems(log))
	}
}

func TestDropsWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var warned bytes.Buffer
		l := open(t, Options{Standard: File{Path: dir + "/s"}, JSON: File{Path: dir + "/j"}, QueueBytes: 8192,
			Logger: slog.New(slog.NewTextHandler(&warned, nil))})
		for i := range 100 {
			request(l, fmt.Sprint("/", i))
		}
		l.Flush()
		s, j := read(t, dir+"/s"), read(t, dir+"/j")
		kept := len(stems(s))
		if kept == 0 || kept == 100 {
			t.Fatalf("kept %d of 100", kept)
		}
		if want := fmt.Sprintf("#Remark: %d records were dropped", 100-kept); !strings.Contains(s, want) {
			t.Errorf("no %q in the standard log", want)
		}
		if want := fmt.Sprintf(`{"type":"dropped","records":%d}`, 101-strings.Count(j, "\n")); !strings.Contains(j, want) {
			t.Errorf("no %q in the JSON log", want)
		}
		if !strings.Contains(warned.String(), "records were dropped") {
			t.Errorf("warned: %s", warned.String())
		}
		request(l, "/again")
		l.Close()
		if got := stems(read(t, dir+"/s")); got[len(got)-1] != "/again" {
			t.Errorf("after the burst: %v", got)
		}
	})
}

func TestRotatesBySize(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	stranger := path + ".2026-01-01-00.backup!"
	os.WriteFile(stranger, nil, 0o600)
	l := open(t, Options{Standard: File{Path: path, MaxBytes: 1500, Keep: 3, Gzip: true}})
	for i := range 20 {
		request(l, fmt.Sprint("/", i))
		l.Flush()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := l.standard.file.rotated()
	if err != nil || len(names) != 3 {
		t.Fatalf("rotated: %v, %v", names, err)
	}
	var all []string
	for _, n := range names {
		if !strings.HasSuffix(n, ".gz") {
			t.Errorf("%s is not compressed", n)
			continue
		}
		f, _ := os.Open(n)
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		f.Close()
		if err != nil || !strings.HasPrefix(string(text), "#Version: 1.0\n") || len(text) > 1500 {
			t.Errorf("%s: %d bytes, %v", n, len(text), err)
		}
		all = append(all, stems(string(text))...)
	}
	all = append(all, stems(read(t, path))...)
	for i, s := range all {
		if want := fmt.Sprint("/", 20-len(all)+i); s != want {
			t.Errorf("line %d from the end is %s, want %s: %v", len(all)-i, s, want, all)
			break
		}
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
	if left, _ := filepath.Glob(dir + "/*.tmp"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRotatesByTime(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 59, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, Options{Standard: File{Path: path, Every: time.Hour}, Now: func() time.Time { return now }})
	step := func(path string, d time.Duration) {
		now = now.Add(d)
		request(l, path)
		l.Flush()
	}
	step("/9a", 0)
	step("/9b", 30*time.Second)
	step("/10a", time.Minute)
	step("/12a", 2*time.Hour)
	names, _ := l.standard.file.rotated()
	l.Close()
	if len(names) != 2 {
		t.Fatalf("rotated: %v", names)
	}
	if !strings.HasPrefix(filepath.Base(names[0]), "access.log.2026-11-25-10.") {
		t.Errorf("name %s", names[0])
	}
	got := fmt.Sprint(stems(read(t, names[0])), stems(read(t, names[1])), stems(read(t, path)))
	if got != "[/9a /9b] [/10a] [/12a]" {
		t.Errorf("got %s", got)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := open(t, Options{Standard: File{Path: path}})
	defer l.Close()
	request(l, "/1")
	l.Flush()
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	request(l, "/2")
	l.Flush()
	l.Reopen()
	request(l, "/3")
	l.Flush()
	if got := fmt.Sprint(stems(read(t, path+".moved")), stems(read(t, path))); got != "[/1 /2] [/3]" {
		t.Errorf("got %s", got)
	}
}

// TestDiskFull uses the device that is always full: serving goes on, the error is
// reported once a minute, and what comes after is written.
func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	l := open(t, Options{Standard: File{Path: path}, Now: func() time.Time { return now },
		Logger: slog.New(slog.NewTextHandler(&said, nil))})
	for range 5 {
		request(l, "/lost")
		l.Flush()
	}
	if n := strings.Count(said.String(), "records are lost"); n != 1 {
		t.Errorf("reported %d times: %s", n, said.String())
	}
	now = now.Add(quietFor)
	request(l, "/lost")
	l.Flush()
	if n := strings.Count(said.String(), "records are lost"); n != 2 {
		t.Errorf("reported %d times after a minute", n)
	}
	os.Remove(path)
	request(l, "/kept")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := stems(read(t, path)); fmt.Sprint(got) != "[/kept]" {
		t.Errorf("after the fault: %v", got)
	}
	if got := l.Stats(); got != (Stats{Written: 1, Failed: 6}) {
		t.Errorf("stats %+v", got)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(Options{Standard: File{Path: dir}, JSON: File{Path: dir + "/j", MaxBytes: -1}})
	if err == nil || !strings.Contains(err.Error(), "standard access log") || !strings.Contains(err.Error(), "JSON access log") {
		t.Errorf("got %v, want both problems", err)
	}
}

// TestConcurrent: lines of many goroutines stay whole, none is lost.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Standard: File{Path: dir + "/s", MaxBytes: 100 << 10}, JSON: File{Path: dir + "/j"}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				if ctx.Err() != nil {
					return
				}
				request(l, fmt.Sprintf("/%d/%d", g, i))
				if i%50 == 0 {
					l.Reopen()
				}
			}
		})
	}
	wg.Wait()
	l.Close()
	names, _ := l.standard.file.rotated()
	n := len(stems(read(t, dir+"/s")))
	for _, name := range names {
		n += len(stems(read(t, name)))
	}
	if n != 1600 || strings.Count(read(t, dir+"/j"), "\n") != 1600 {
		t.Errorf("%d standard lines, %d JSON lines, want 1600", n, strings.Count(read(t, dir+"/j"), "\n"))
	}
}
