package app

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pqfront/internal/rawtls"
)

// idleVariable asks the test binary to be the other end of the idle connections, so that
// their memory is not counted: "ADDRESS ROOTS COUNT".
const idleVariable = "PQFRONT_TEST_IDLE_VIEWERS"

// TestMain lets the test binary be a client of its own.
func TestMain(m *testing.M) {
	if spec := os.Getenv(idleVariable); spec != "" {
		if err := idleViewers(spec); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

// idleViewers opens connections, half of them HTTP/2 and half HTTP/1.1, asks once on each,
// and asks again on each when a line comes in. It says so on standard output.
func idleViewers(spec string) error {
	parts := strings.Fields(spec)
	count, err := strconv.Atoi(parts[2])
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(parts[1])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cache := tls.NewLRUClientSessionCache(2)
	clients := make([]*http.Client, count)
	dials := make([]int, count)
	for i := range clients {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ClientSessionCache: cache}, Protocols: new(http.Protocols),
			Dial: func(network, _ string) (net.Conn, error) {
				dials[i]++
				return net.Dial(network, parts[0])
			}}
		tr.Protocols.SetHTTP2(i%2 == 0)
		tr.Protocols.SetHTTP1(i%2 == 1)
		clients[i] = &http.Client{Transport: tr, Timeout: patience}
	}
	ask := func() error {
		errs := make([]error, count)
		var wg sync.WaitGroup
		next := make(chan int)
		for range 8 {
			wg.Go(func() {
				for i := range next {
					resp, err := clients[i].Get("https://www.example.org/small")
					if err != nil {
						errs[i] = err
						continue
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || resp.StatusCode != 200 || string(body) != "small: /small\n" || dials[i] != 1 {
						errs[i] = fmt.Errorf("%d: %s %q over connection %d, %v", i, resp.Status, body, dials[i], err)
					}
				}
			})
		}
		for i := range clients {
			next <- i
		}
		close(next)
		wg.Wait()
		return errors.Join(errs...)
	}
	in := bufio.NewScanner(os.Stdin)
	for {
		if err := ask(); err != nil {
			return err
		}
		fmt.Println("done")
		if !in.Scan() {
			return nil
		}
	}
}

// memory is what the heap and the goroutines' stacks hold after a collection.
func memory() int64 {
	var m runtime.MemStats
	for range 2 { // the second one takes what sync.Pools have kept
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestIdleConnections: 2,000 of them are cheap, and still good for use. It is not
// parallel, because it measures.
func TestIdleConnections(t *testing.T) {
	count := 2000
	if raceEnabled {
		count = 300
	}
	e := startEdge(t, []site{wwwSite})
	warm := e.viewer("www.example.org", "h2")
	warm.asks(t, "www.example.org", 200)
	before := memory()

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", idleVariable, e.ports.HTTPS, filepath.Join(e.config.State, "ca.pem"), count))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill() // it has ended, or it hangs
		cmd.Wait()
	})
	said := bufio.NewScanner(stdout)
	done := func(what string) {
		t.Helper()
		if !said.Scan() || said.Text() != "done" {
			t.Fatalf("%s: %s", what, said.Text())
		}
	}
	done("opening")
	time.Sleep(2 * time.Second) // for a moment they keep their buffers
	const most = 64 << 10       // generous; the benchmark tells what it is
	each := (memory() - before) / int64(count)
	t.Logf("an idle connection holds %d bytes", each)
	if each > most {
		t.Errorf("an idle connection holds %d bytes, want %d at most", each, most)
	}
	warm.asks(t, "www.example.org", 200)
	fmt.Fprintln(stdin, "again")
	done("using them again")
	stdin.Close()
	if said.Scan() {
		t.Error(said.Text())
	}
}

// TestHalfHellos: what waits for the rest of its hello holds what it has sent, no more.
func TestHalfHellos(t *testing.T) {
	e := startEdge(t, []site{wwwSite})
	e.viewer("www.example.org", "h2").asks(t, "www.example.org", 200)
	h, _ := hello(t, largestHello, rawtls.ServerName("www.example.org"))
	wire := records(h.Marshal())
	before := memory()
	const count = 200
	for range count {
		if _, err := e.dial(t).Write(wire[:60<<10]); err != nil {
			t.Fatal(err)
		}
	}
	each := (memory() - before) / count
	t.Logf("half a hello of 60 KiB holds %d bytes", each)
	if each > 192<<10 {
		t.Errorf("half a hello of 60 KiB holds %d bytes", each)
	}
	until(t, "all of them to be refused", func() bool {
		n := 0
		for _, l := range lines(t, e.config.ConnectionLog) {
			if l["tls-refusal"] == "hello_timeout" {
				n++
			}
		}
		return n == count
	})
	if each := (memory() - before) / count; each > 16<<10 {
		t.Errorf("a refused connection leaves %d bytes", each)
	}
}
