package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// udpBufferBytes is what QUIC needs to take bursts at a few hundred Mbit/s without
// loss; quic-go asks for the same.
const udpBufferBytes = 7 << 20

// pairTries bounds the search for a port that is free for TCP and for UDP.
const pairTries = 50

// UDP opens a socket for QUIC.
func UDP(cfg Config) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: control(cfg)}
	pc, err := lc.ListenPacket(context.Background(), "udp", cfg.Addr)
	if err != nil {
		return nil, explain(cfg, err)
	}
	conn := pc.(*net.UDPConn) // what ListenPacket returns for "udp"
	enlarge(cfg.withDefaults(), conn)
	return conn, nil
}

// Pair opens TCP and UDP on the same address and port, as HTTP/3 beside HTTP/2
// needs. Port 0 becomes one that is free for both.
func Pair(cfg Config) (*Listener, *net.UDPConn, error) {
	for try := 1; ; try++ {
		tcp, err := TCP(cfg)
		if err != nil {
			return nil, nil, err
		}
		host, port, _ := net.SplitHostPort(cfg.Addr) // TCP took it, so it is well-formed
		same := cfg
		same.Addr = net.JoinHostPort(host, strconv.Itoa(int(tcp.AddrPort().Port())))
		udp, err := UDP(same)
		if err == nil {
			return tcp, udp, nil
		}
		tcp.Close()
		if port != "0" && port != "" || try == pairTries || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, err
		}
	}
}

// UDPAddrPort returns the real address of a socket of UDP or Pair.
func UDPAddrPort(conn *net.UDPConn) netip.AddrPort { return addrPort(conn.LocalAddr()) }

// enlarge asks for large buffers and says so when the system gives less.
func enlarge(cfg Config, conn *net.UDPConn) {
	_ = conn.SetReadBuffer(udpBufferBytes) // judged by the result
	_ = conn.SetWriteBuffer(udpBufferBytes)
	got := 0
	if raw, err := conn.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { got = readBufferOf(fd) })
	}
	if 0 < got && got < udpBufferBytes {
		cfg.Logger.Warn("the system limits the UDP receive buffer; HTTP/3 loses packets in bursts. Raise it with: sysctl -w net.core.rmem_max="+
			strconv.Itoa(udpBufferBytes)+" net.core.wmem_max="+strconv.Itoa(udpBufferBytes),
			"address", conn.LocalAddr().String(), "bytes", got)
	}
}

// control sets what must be set before binding. Go sets SO_REUSEADDR by itself.
func control(cfg Config) func(network, address string, c syscall.RawConn) error {
	if !cfg.ReusePort {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if ctrlErr := c.Control(func(fd uintptr) { err = setReusePort(fd) }); ctrlErr != nil {
			return ctrlErr
		}
		return err
	}
}

// explain turns the error of opening a socket into one that says what to do.
func explain(cfg Config, err error) error {
	flag := cfg.Flag
	if flag == "" {
		flag = "the listen address"
	}
	what := "listening on " + cfg.Addr
	if network := networkOf(err); network != "" {
		what += " (" + network + ")"
	}
	var addrErr *net.AddrError
	var dnsErr *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: another program uses that address; stop it, or set %s to another port: %w", what, flag, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: ports below 1024 need a right that this process lacks; set %s to a port from 1024 on, or grant CAP_NET_BIND_SERVICE: %w", what, flag, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine does not have that address; set %s to one that it has, or leave the host empty for all: %w", what, flag, err)
	case errors.As(err, &addrErr):
		return fmt.Errorf("%s: set %s to host:port, like 127.0.0.1:8443: %w", what, flag, err)
	case errors.As(err, &dnsErr):
		return fmt.Errorf("%s: the host or port is unknown; set %s to host:port, like 127.0.0.1:8443: %w", what, flag, err)
	}
	return fmt.Errorf("%s (%s): %w", what, flag, err)
}

func networkOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return strings.ToUpper(strings.TrimRight(op.Net, "46"))
	}
	return ""
}

// spareFiles are files besides connections: logs, certificates, state, the cache.
const spareFiles = 256

// CheckFileLimit reports whether conns connections of viewers, each with one to an
// origin at worst, fit into this process's limit of open files.
func CheckFileLimit(conns int) error {
	limit, err := fileLimit()
	if err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	if need := uint64(2*conns + spareFiles); limit < need {
		return fmt.Errorf("the limit of open files is %d, but %d connections may need %d (one to the viewer, one to the origin, %d others): raise it with ulimit -n or LimitNOFILE=, or lower the maximum of connections to %d",
			limit, conns, need, spareFiles, max(0, (int64(limit)-spareFiles)/2))
	}
	return nil
}
