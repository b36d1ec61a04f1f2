package viewertls

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"pqfront/internal/clienthello"
	"pqfront/internal/tlspolicy"
)

const (
	recordAlert = 21
	// readSize is the buffer that a connection holds while we wait for its hello. A
	// usual post-quantum hello fits.
	readSize = 2048
)

// readHello reads the ClientHello within the deadline that is set on conn. It returns
// all bytes that it took off the wire, for the engine to read them again.
func (s *Server) readHello(conn net.Conn) (wire []byte, h *clienthello.Hello, reason tlspolicy.Reason, err error) {
	as := clienthello.Assembler{Max: s.maxHello}
	buf := make([]byte, readSize)
	for {
		n, readErr := conn.Read(buf)
		msg, err := as.Feed(buf[:n])
		if err != nil {
			return nil, nil, helloReason(err), err
		}
		if msg != nil {
			h, err := clienthello.Parse(tlspolicy.TCP, msg)
			if err != nil {
				return nil, nil, helloReason(err), err
			}
			return as.Wire(), h, "", nil
		}
		if readErr != nil {
			reason, err := readReason(readErr, &as)
			return nil, nil, reason, err
		}
	}
}

// helloReason returns the reason in an error of clienthello.
func helloReason(err error) tlspolicy.Reason {
	if e, ok := errors.AsType[*clienthello.Error](err); ok {
		return e.Reason
	}
	return tlspolicy.ReasonMalformed
}

// readReason tells why reading the hello came to nothing.
func readReason(err error, as *clienthello.Assembler) (tlspolicy.Reason, error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return tlspolicy.ReasonTimeout, as.End()
	case errors.Is(err, syscall.ECONNRESET):
		return tlspolicy.ReasonReset, err
	case errors.Is(err, io.EOF):
		return tlspolicy.ReasonIncomplete, as.End()
	}
	return tlspolicy.ReasonIncomplete, err
}

// engineReason tells why the engine gave up: time, the client, or else.
func engineReason(err error) tlspolicy.Reason {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return tlspolicy.ReasonHandshakeTimeout
	}
	op, ok := errors.AsType[*net.OpError](err)
	if ok && op.Op == "remote error" { // crypto/tls: the client sent an alert
		return tlspolicy.ReasonAborted
	}
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, gone) {
			return tlspolicy.ReasonAborted
		}
	}
	return tlspolicy.ReasonEngine
}

// replayConn gives the engine the bytes that were read before it, then the connection.
type replayConn struct {
	net.Conn
	head []byte
}

// Read reads the head first and lets go of it when it is read.
func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.head) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.head)
	if c.head = c.head[n:]; len(c.head) == 0 {
		c.head = nil
	}
	return n, nil
}

// CloseWrite ends our side of the connection, where the transport can.
func (c *replayConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn returns the connection below, for socket options.
func (c *replayConn) NetConn() net.Conn { return c.Conn }
