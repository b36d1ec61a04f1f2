package cli

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pqfront":      func() { os.Exit(Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) },
		"pqfront-wait": waitForFile,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(e *testscript.Env) error {
		e.Setenv("HOME", e.WorkDir)
		return nil
	}})
}

func TestParseSize(t *testing.T) {
	f := func(in string, want int64) {
		t.Helper()
		if got, err := parseSize(in); got != want || (err != nil) != (want < 0) {
			if want >= 0 || err == nil {
				t.Errorf("%q: %d, %v; want %d", in, got, err, want)
			}
		}
	}
	f("0", 0)
	f("4096", 4096)
	f("512KiB", 512<<10)
	f("256 MiB", 256<<20)
	f("2GiB", 2<<30)
	f("", -1)
	f("1MB", -1)
	f("-1", -1)
	f("99999999999GiB", -1)
}

// waitForFile waits at most 20 s for a file to appear.
func waitForFile() {
	for range 400 {
		if _, err := os.Stat(os.Args[1]); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	os.Exit(1)
}
