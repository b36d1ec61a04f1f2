package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"
)

// The PROXY protocol, as HAProxy's document "The PROXY protocol, Versions 1 & 2"
// defines it. Section numbers below are that document's.

const (
	proxyV1Most = 107 // bytes with the line end (Section 2.1)
	proxyV2Head = 16
	// proxyV2Most bounds addresses and extensions of version 2; the field could say
	// 65,535, load balancers send less than 500.
	proxyV2Most = 4096
)

const (
	proxyV1Sign = "PROXY "
	proxyV2Sign = "\r\n\r\n\x00\r\nQUIT\n"
)

// errMore means that a header has begun well but is not complete.
var errMore = errors.New("the PROXY header is incomplete")

// proxyHeader is what a header says. Known is false for UNKNOWN, LOCAL and UNSPEC:
// the connection is then the load balancer's own, and its addresses are the real ones.
type proxyHeader struct {
	known    bool
	src, dst netip.AddrPort
}

// readProxyHeader reads the header that c must begin with and takes its addresses.
func (c *Conn) readProxyHeader(timeout time.Duration) (Reason, error) {
	c.Conn.SetReadDeadline(time.Now().Add(timeout))
	buf := make([]byte, 0, 512)
	for {
		h, n, err := parseProxy(buf)
		if err == nil {
			if h.known {
				c.viewer, c.local = h.src, h.dst
			}
			if n < len(buf) {
				c.pending = buf[n:]
			}
			c.Conn.SetReadDeadline(time.Time{})
			return "", nil
		}
		if !errors.Is(err, errMore) {
			return BadProxyHeader, err
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, proxyV2Head+proxyV2Most), buf...)
		}
		n, err = c.Conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return ProxyTimeout, err
		case err == nil:
			err = io.ErrNoProgress
			fallthrough
		default:
			return ProxyGone, err
		}
	}
}

// parseProxy parses the header at the start of b and returns its length. errMore
// asks for more bytes; it is never returned for a b that holds a longest header.
func parseProxy(b []byte) (proxyHeader, int, error) {
	switch {
	case bytes.HasPrefix(b, []byte(proxyV2Sign)):
		return parseProxyV2(b)
	case bytes.HasPrefix(b, []byte(proxyV1Sign)):
		return parseProxyV1(b)
	case strings.HasPrefix(proxyV2Sign, string(b)) || strings.HasPrefix(proxyV1Sign, string(b)):
		return proxyHeader{}, 0, errMore
	}
	return proxyHeader{}, 0, errors.New("a trusted load balancer did not send a PROXY header")
}

// parseProxyV1 reads "PROXY TCP4 source destination port port" (Section 2.1).
func parseProxyV1(b []byte) (h proxyHeader, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), proxyV1Most)], '\n')
	switch {
	case end < 0 && len(b) >= proxyV1Most:
		return h, 0, errors.New("PROXY version 1: no line end within 107 bytes")
	case end < 0:
		return h, 0, errMore
	case b[end-1] != '\r':
		return h, 0, errors.New("PROXY version 1: line feed without carriage return")
	}
	line := string(b[len(proxyV1Sign) : end-1])
	f := strings.Split(line, " ")
	if f[0] == "UNKNOWN" {
		return h, end + 1, nil // the rest of the line is to be ignored
	}
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return h, 0, fmt.Errorf("PROXY version 1: malformed line %q", line)
	}
	var ok [2]bool
	h.known = true
	h.src, ok[0] = proxyV1Addr(f[1], f[3], f[0] == "TCP4")
	h.dst, ok[1] = proxyV1Addr(f[2], f[4], f[0] == "TCP4")
	if !ok[0] || !ok[1] {
		return proxyHeader{}, 0, fmt.Errorf("PROXY version 1: malformed addresses in %q", line)
	}
	return h, end + 1, nil
}

func proxyV1Addr(host, port string, want4 bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is4() != want4 || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	n := 0
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' || i == 5 {
			return netip.AddrPort{}, false
		}
		n = 10*n + int(port[i]-'0')
	}
	if port == "" || n > 65535 || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}

// parseProxyV2 reads the binary form (Section 2.2).
func parseProxyV2(b []byte) (h proxyHeader, n int, err error) {
	if len(b) < proxyV2Head {
		return h, 0, errMore
	}
	command, family := b[12], b[13]
	size := int(binary.BigEndian.Uint16(b[14:16]))
	if size > proxyV2Most {
		return h, 0, fmt.Errorf("PROXY version 2: %d bytes announced, at most %d are read", size, proxyV2Most)
	}
	// 0x20 is version 2 and LOCAL, 0x21 version 2 and PROXY; the family's low half must
	// be STREAM or UNSPEC.
	addrs := 0
	switch {
	case command != 0x20 && command != 0x21:
		return h, 0, fmt.Errorf("PROXY version 2: version and command 0x%02x", command)
	case family == 0x11: // TCP over IPv4
		addrs = 12
	case family == 0x21: // TCP over IPv6
		addrs = 36
	case family != 0x00 && command == 0x21:
		return h, 0, fmt.Errorf("PROXY version 2: family and protocol 0x%02x are no TCP connection", family)
	}
	if size < addrs {
		return h, 0, fmt.Errorf("PROXY version 2: %d bytes cannot hold the addresses", size)
	}
	if len(b) < proxyV2Head+size {
		return h, 0, errMore
	}
	if command == 0x20 || family == 0x00 {
		return h, proxyV2Head + size, nil // what follows is to be skipped
	}
	body := b[proxyV2Head : proxyV2Head+size]
	h.known = true
	h.src, h.dst = proxyV2Addrs(body[:addrs])
	if err := checkTLVs(b[:proxyV2Head+size], proxyV2Head+addrs); err != nil {
		return proxyHeader{}, 0, err
	}
	return h, proxyV2Head + size, nil
}

func proxyV2Addrs(b []byte) (src, dst netip.AddrPort) {
	n := (len(b) - 4) / 2 // of one address; two ports follow the two addresses
	s, _ := netip.AddrFromSlice(b[:n])
	d, _ := netip.AddrFromSlice(b[n : 2*n])
	ports := b[2*n:]
	return netip.AddrPortFrom(s.Unmap(), binary.BigEndian.Uint16(ports)),
		netip.AddrPortFrom(d.Unmap(), binary.BigEndian.Uint16(ports[2:]))
}

// checkTLVs checks that the extensions from offset at fill the header exactly, and
// the checksum where there is one (Section 2.2.4: a receiver must verify it).
func checkTLVs(header []byte, at int) error {
	const typeCRC32C = 0x03
	for i := at; i < len(header); {
		if len(header) < i+3 {
			return errors.New("PROXY version 2: an extension is cut off")
		}
		n := int(binary.BigEndian.Uint16(header[i+1:]))
		if len(header) < i+3+n {
			return errors.New("PROXY version 2: an extension is longer than the header")
		}
		if header[i] == typeCRC32C {
			if n != 4 {
				return errors.New("PROXY version 2: a checksum of a wrong length")
			}
			copied := bytes.Clone(header)
			clear(copied[i+3 : i+7])
			if crc32.Checksum(copied, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(header[i+3:]) {
				return errors.New("PROXY version 2: the checksum is wrong")
			}
		}
		i += 3 + n
	}
	return nil
}
