package listen

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pqfront/internal/testnet"
)

// v2 builds a version 2 header.
func v2(command, family byte, body ...byte) string {
	b := append([]byte(proxyV2Sign), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return string(append(b, body...))
}

var (
	addrs4 = []byte{192, 0, 2, 7, 198, 51, 100, 9, 0x9c, 0x40, 0x01, 0xbb} // 192.0.2.7:40000 to 198.51.100.9:443
	addrs6 = mustHex("20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "9c4001bb")
)

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func withCRC(delta uint32) string {
	b := []byte(v2(0x21, 0x11, append(bytes.Clone(addrs4), 0x04, 0, 1, 'x', 0x03, 0, 4, 0, 0, 0, 0)...))
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))+delta)
	return string(b)
}

func TestParseProxy(t *testing.T) {
	const unknown = "-"
	good := func(header, src, dst string) {
		t.Helper()
		h, n, err := parseProxy([]byte(header + "GET /"))
		if err != nil || n != len(header) {
			t.Errorf("%q: length %d, %v", header, n, err)
			return
		}
		if src == unknown {
			if h.known {
				t.Errorf("%q: addresses %v", header, h)
			}
		} else if !h.known || h.src != netip.MustParseAddrPort(src) || h.dst != netip.MustParseAddrPort(dst) {
			t.Errorf("%q: %v", header, h)
		}
		for i := range len(header) {
			if _, _, err := parseProxy([]byte(header[:i])); !errors.Is(err, errMore) {
				t.Errorf("%q cut to %d bytes: %v, want errMore", header, i, err)
			}
		}
	}
	good("PROXY TCP4 192.0.2.7 198.51.100.9 40000 443\r\n", "192.0.2.7:40000", "198.51.100.9:443")
	good("PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n", "[2001:db8::1]:40000", "[2001:db8::2]:443")
	good("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0:0", "255.255.255.255:65535")
	good("PROXY UNKNOWN\r\n", unknown, "")
	good("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", unknown, "")
	good(v2(0x21, 0x11, addrs4...), "192.0.2.7:40000", "198.51.100.9:443")
	good(v2(0x21, 0x21, addrs6...), "[2001:db8::1]:40000", "[2001:db8::2]:443")
	good(v2(0x21, 0x11, append(bytes.Clone(addrs4), 0x01, 0, 2, 'h', '2', 0x04, 0, 0)...), "192.0.2.7:40000", "198.51.100.9:443")
	good(v2(0x20, 0x00), unknown, "")
	good(v2(0x20, 0x11, addrs4...), unknown, "")
	good(v2(0x21, 0x00, 1, 2, 3), unknown, "")
	good(withCRC(0), "192.0.2.7:40000", "198.51.100.9:443")

	bad := func(header, why string) {
		t.Helper()
		h, _, err := parseProxy([]byte(header))
		if err == nil || errors.Is(err, errMore) || !strings.Contains(err.Error(), why) || h.known {
			t.Errorf("%q: %v, %v; want an error with %q", header, h, err, why)
		}
	}
	bad("GET / HTTP/1.1\r\n", "did not send")
	bad("\x16\x03\x01", "did not send")
	bad("proxy TCP4 192.0.2.7 198.51.100.9 1 2\r\n", "did not send")
	bad("PROXY TCP4 192.0.2.7 198.51.100.9 1 2\n", "without carriage return")
	bad("PROXY \n", "without carriage return")
	bad("PROXY TCP4 192.0.2.7 198.51.100.9 1\r\n", "malformed line")
	bad("PROXY TCP4 192.0.2.7 198.51.100.9 1 2 3\r\n", "malformed line")
	bad("PROXY  TCP4 192.0.2.7 198.51.100.9 1 2\r\n", "malformed line")
	bad("PROXY UDP4 192.0.2.7 198.51.100.9 1 2\r\n", "malformed line")
	bad("PROXY tcp4 192.0.2.7 198.51.100.9 1 2\r\n", "malformed line")
	bad("PROXY TCP4 2001:db8::1 198.51.100.9 1 2\r\n", "malformed addresses")
	bad("PROXY TCP6 192.0.2.7 198.51.100.9 1 2\r\n", "malformed addresses")
	bad("PROXY TCP4 192.0.2.007 198.51.100.9 1 2\r\n", "malformed addresses")
	bad("PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "malformed addresses")
	bad("PROXY TCP4 192.0.2.7 198.51.100.9 65536 2\r\n", "malformed addresses")
	bad("PROXY TCP4 192.0.2.7 198.51.100.9 01 2\r\n", "malformed addresses")
	bad("PROXY TCP4 192.0.2.7 198.51.100.9 +1 2\r\n", "malformed addresses")
	bad("PROXY TCP4 192.0.2.7 198.51.100.9  2\r\n", "malformed addresses")
	bad("PROXY TCP4 "+strings.Repeat("1", 200), "107 bytes")
	bad(v2(0x22, 0x11, addrs4...), "command 0x22")
	bad(v2(0x11, 0x11, addrs4...), "command 0x11")
	bad(v2(0x21, 0x12, addrs4...), "no TCP connection")
	bad(v2(0x21, 0x31, addrs4...), "no TCP connection")
	bad(v2(0x21, 0x11, addrs4[:11]...), "cannot hold")
	bad(v2(0x21, 0x21, addrs4...), "cannot hold")
	bad(v2(0x21, 0x11, append(bytes.Clone(addrs4), 1, 0)...), "cut off")
	bad(v2(0x21, 0x11, append(bytes.Clone(addrs4), 1, 0, 1)...), "longer than the header")
	bad(v2(0x21, 0x11, append(bytes.Clone(addrs4), 3, 0, 1, 0)...), "wrong length")
	bad(withCRC(1), "checksum is wrong")
	bad(v2(0x21, 0x11)[:14]+"\xff\xff", "announced")
}

// TestProxyOverSockets: header and first bytes in one packet, in many, not at all.
func TestProxyOverSockets(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // testnet's clients
	serve := func(t *testing.T, cfg Config, write func(*testnet.Conn)) (viewer, local, data string, r Refusal) {
		ln := testnet.Listen()
		var told chan Refusal
		cfg.Observer, told = refusals()
		l := New(ln, cfg)
		stop := start(t, l, func(_ context.Context, c *Conn) {
			b, _ := io.ReadAll(c)
			viewer, local, data = c.Viewer().String(), c.Local().String(), string(b)
		})
		c, err := ln.Dial()
		if err != nil {
			t.Fatal(err)
		}
		write(c)
		io.ReadAll(c)
		if err := stop(); err != nil {
			t.Error(err)
		}
		select {
		case r = <-told:
		default:
		}
		return viewer, local, data, r
	}
	const header = "PROXY TCP4 203.0.113.5 198.51.100.9 40001 443\r\n"
	whole := func(s string) func(*testnet.Conn) {
		return func(c *testnet.Conn) {
			io.WriteString(c, s)
			c.CloseWrite()
		}
	}
	slow := func(s string, pause time.Duration) func(*testnet.Conn) {
		return func(c *testnet.Conn) {
			for _, b := range []byte(s) {
				time.Sleep(pause)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
			c.CloseWrite()
		}
	}
	check := func(name string, prefixes []netip.Prefix, write func(*testnet.Conn), viewer, local, data string, reason Reason) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, lo, d, r := serve(t, Config{ProxyFrom: prefixes}, write)
				if v != viewer || lo != local || d != data || r.Reason != reason {
					t.Errorf("viewer %q, local %q, data %q, refusal %+v", v, lo, d, r)
				}
			})
		})
	}
	const me, here = "192.0.2.1:40000", "192.0.2.80:443"
	check("one packet", trusted, whole(header+"hello"), "203.0.113.5:40001", "198.51.100.9:443", "hello", "")
	check("bytes", trusted, slow(header+"hello", time.Millisecond), "203.0.113.5:40001", "198.51.100.9:443", "hello", "")
	check("version 2", trusted, whole(v2(0x21, 0x21, addrs6...)+"hello"), "[2001:db8::1]:40000", "[2001:db8::2]:443", "hello", "")
	check("long version 2", trusted, whole(v2(0x21, 0x11, append(append(bytes.Clone(addrs4), 4, 0x0f, 0x00), make([]byte, 0xf00)...)...)+"hello"),
		"192.0.2.7:40000", "198.51.100.9:443", "hello", "")
	check("health check", trusted, whole(v2(0x20, 0)+"hello"), me, here, "hello", "")
	check("missing", trusted, whole("GET / HTTP/1.1\r\n"), "", "", "", BadProxyHeader)
	check("cut", trusted, whole("PROXY TCP4"), "", "", "", ProxyGone)
	check("too slow", trusted, slow(header, time.Second), "", "", "", ProxyTimeout)
	check("not trusted", nil, whole(header), me, here, header, "")
	check("others trusted", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, whole(header), me, here, header, "")
}

func FuzzProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.9 40000 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(0x21, 0x11, addrs4...)))
	f.Add([]byte(v2(0x21, 0x21, addrs6...)))
	f.Add([]byte(v2(0x20, 0x00)))
	f.Add([]byte(withCRC(0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseProxy(b)
		switch {
		case errors.Is(err, errMore):
			if len(b) >= proxyV2Head+proxyV2Most {
				t.Errorf("asks for more than %d bytes", len(b))
			}
		case err != nil:
			if h.known || n != 0 {
				t.Errorf("an error with a result: %v %d", h, n)
			}
		default:
			if n <= 0 || n > len(b) {
				t.Fatalf("length %d of %d", n, len(b))
			}
			if h.known && (!h.src.Addr().IsValid() || !h.dst.Addr().IsValid()) {
				t.Errorf("invalid addresses %v", h)
			}
			// What follows the header must not matter, and less must ask for more.
			if again, m, err := parseProxy(b[:n]); again != h || m != n || err != nil {
				t.Errorf("depends on what follows")
			}
			if _, _, err := parseProxy(b[:n-1]); !errors.Is(err, errMore) {
				t.Errorf("one byte less: %v", err)
			}
		}
	})
}
