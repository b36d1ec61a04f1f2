package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/testnet"
)

// start runs l with handle until the test ends or stop is called; stop returns what
// Run returned.
func start(t *testing.T, l *Listener, handle func(context.Context, *Conn)) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- l.Run(ctx, handle) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() { stop() })
	return stop
}

func loopback(t *testing.T, cfg Config) *Listener {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	l, err := TCP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.AddrPort().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func echo(_ context.Context, c *Conn) { io.Copy(c, c) }

// hold keeps a connection until its viewer leaves.
func hold(_ context.Context, c *Conn) { io.Copy(io.Discard, c) }

func TestServe(t *testing.T) {
	l := loopback(t, Config{})
	var conn atomic.Pointer[Conn]
	stop := start(t, l, func(ctx context.Context, c *Conn) {
		conn.Store(c)
		echo(ctx, c)
	})
	c := dial(t, l)
	io.WriteString(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
		t.Fatalf("echo: %q, %v", got, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	s := conn.Load()
	if s.BytesIn() != 5 || s.BytesOut() != 5 || s.ID() != 1 || l.Open() != 0 {
		t.Errorf("in %d, out %d, id %d, open %d", s.BytesIn(), s.BytesOut(), s.ID(), l.Open())
	}
	if s.Viewer().String() != c.LocalAddr().String() || s.Local() != l.AddrPort() || s.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("viewer %s, local %s; client %s", s.Viewer(), s.Local(), c.LocalAddr())
	}
	if _, err := net.Dial("tcp", l.AddrPort().String()); err == nil {
		t.Error("the port is still open after Run")
	}
}

// refusals collects what the Observer is told.
func refusals() (func(Refusal), chan Refusal) {
	ch := make(chan Refusal, 100)
	return func(r Refusal) { ch <- r }, ch
}

func TestLimits(t *testing.T) {
	try := func(cfg Config, want Reason) {
		t.Helper()
		var told chan Refusal
		cfg.Observer, told = refusals()
		l := loopback(t, cfg)
		defer start(t, l, echo)()
		var kept []net.Conn
		for range 3 {
			c := dial(t, l)
			io.WriteString(c, "x")
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatalf("%s: a connection within the limit: %v", want, err)
			}
			kept = append(kept, c)
		}
		over := dial(t, l)
		if _, err := over.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the fourth connection was served", want)
		}
		if r := <-told; r.Reason != want || r.Peer.String() != over.LocalAddr().String() {
			t.Errorf("refusal %+v, want %s", r, want)
		}
		// A place becomes free.
		kept[0].Close()
		for {
			c := dial(t, l)
			io.WriteString(c, "x")
			_, err := io.ReadFull(c, make([]byte, 1))
			c.Close()
			if err == nil {
				break
			}
		}
		for _, c := range kept {
			c.Close()
		}
	}
	try(Config{MaxConns: 3}, TooManyConns)
	try(Config{MaxPerClient: 3}, TooManyPerClient)
}

func TestClientOf(t *testing.T) {
	same := func(a, b string, want bool) {
		t.Helper()
		if got := clientOf(netip.MustParseAddr(a)) == clientOf(netip.MustParseAddr(b)); got != want {
			t.Errorf("%s and %s one client: %v", a, b, got)
		}
	}
	same("192.0.2.1", "192.0.2.1", true)
	same("192.0.2.1", "192.0.2.2", false)
	same("2001:db8::1", "2001:db8::ffff:1", true)
	same("2001:db8:0:1::1", "2001:db8:0:2::1", false)
}

// TestDrain: handlers may finish; the late ones lose their connection.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := testnet.Listen()
		l := New(ln, Config{DrainTimeout: 10 * time.Second})
		var finished, cut atomic.Int32
		stop := start(t, l, func(ctx context.Context, c *Conn) {
			var first [1]byte
			c.Read(first[:])
			<-ctx.Done()
			if first[0] == 'q' { // quick
				time.Sleep(5 * time.Second)
				finished.Add(1)
				return
			}
			if _, err := c.Read(first[:]); err != nil {
				cut.Add(1)
			}
		})
		for _, kind := range []string{"q", "q", "s"} {
			c, err := ln.Dial()
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, kind)
		}
		synctest.Wait()
		if l.Open() != 3 {
			t.Fatalf("%d open", l.Open())
		}
		begin := time.Now()
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(begin); took != 10*time.Second || finished.Load() != 2 || cut.Load() != 1 || l.Open() != 0 {
			t.Errorf("drained in %v, %d finished, %d cut, %d open", took, finished.Load(), cut.Load(), l.Open())
		}
	})
}

// flaky is a listener whose Accept fails as told.
type flaky struct {
	net.Listener
	errs []error
}

func (f *flaky) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
	}
	return f.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := testnet.Listen()
		l := New(&flaky{ln, []error{syscall.EMFILE, syscall.ECONNABORTED, syscall.ENFILE, syscall.ENOBUFS}}, Config{})
		stop := start(t, l, echo)
		c, err := ln.Dial()
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		io.WriteString(c, "x")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 5*time.Millisecond+10*time.Millisecond+20*time.Millisecond {
			t.Errorf("served after %v of backing off", took)
		}
		c.Close()
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	bad := errors.New("broken socket")
	l := New(&flaky{testnet.Listen(), []error{bad}}, Config{})
	if err := l.Run(t.Context(), echo); !errors.Is(err, bad) {
		t.Errorf("Run on a broken socket: %v", err)
	}
}

func TestHandlerPanic(t *testing.T) {
	l := loopback(t, Config{})
	first := true
	var mu sync.Mutex
	start(t, l, func(ctx context.Context, c *Conn) {
		mu.Lock()
		panicking := first
		first = false
		mu.Unlock()
		if panicking {
			panic("our bug")
		}
		echo(ctx, c)
	})
	if _, err := dial(t, l).Read(make([]byte, 1)); err == nil {
		t.Error("the connection of a panicking handler stayed open")
	}
	c := dial(t, l)
	io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

func TestPair(t *testing.T) {
	for range 20 {
		tcp, udp, err := Pair(Config{Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if tcp.AddrPort() != UDPAddrPort(udp) || tcp.AddrPort().Port() == 0 {
			t.Errorf("TCP on %s, UDP on %s", tcp.AddrPort(), UDPAddrPort(udp))
		}
		tcp.Close()
		udp.Close()
	}
	// A fixed port is not exchanged for another one.
	tcp, taken, err := Pair(Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	tcp.Close()
	defer taken.Close()
	_, _, err = Pair(Config{Addr: UDPAddrPort(taken).String(), Flag: "--https"})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "(UDP)") {
		t.Errorf("Pair on a taken UDP port: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	says := func(err error, words ...string) {
		t.Helper()
		if err == nil {
			t.Error("no error")
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
	l := loopback(t, Config{})
	defer l.Close()
	_, err := TCP(Config{Addr: l.AddrPort().String(), Flag: "--https"})
	says(err, l.AddrPort().String(), "another program uses that address", "set --https to another port")
	cfg := Config{Addr: "127.0.0.1:443", Flag: "--https"}
	says(explain(cfg, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EACCES}),
		"listening on 127.0.0.1:443 (TCP)", "ports below 1024", "--https", "CAP_NET_BIND_SERVICE")
	_, err = TCP(Config{Addr: "192.0.2.1:0", Flag: "--https"})
	says(err, "192.0.2.1", "does not have that address", "--https")
	_, err = TCP(Config{Addr: "8443", Flag: "--https"})
	says(err, "listening on 8443", "set --https to host:port")
	_, err = TCP(Config{Addr: "127.0.0.1:http-nonsense", Flag: "--https"})
	says(err, "set --https to host:port")
	says(CheckFileLimit(1<<40), "limit of open files", "ulimit -n", "lower the maximum")
	if err := CheckFileLimit(1); err != nil {
		t.Error(err)
	}
}

func TestReusePort(t *testing.T) {
	a := loopback(t, Config{ReusePort: true})
	defer a.Close()
	b, err := TCP(Config{Addr: a.AddrPort().String(), ReusePort: true})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}
