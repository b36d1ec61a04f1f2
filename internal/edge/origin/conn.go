package origin

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// longAgo is a deadline that has passed whatever the clock says.
var longAgo = time.Unix(1, 0)

// lastWords is how long an answer may still come after a request could not be sent: an
// origin that refuses an upload answers and closes.
const lastWords = time.Second

// conn is a connection to an origin. One exchange has it at a time; nobody reads it in
// between.
type conn struct {
	nc     net.Conn
	tls    *tls.ConnectionState // nil without TLS
	br     *bufio.Reader        // reads through conn.Read
	name   string               // the server name that was asked for
	reused bool
	expiry *time.Timer // while idle
	seen   int64       // bytes read in this exchange

	mu          sync.Mutex
	timeout     time.Duration // for each read and write
	uploading   bool          // the origin has nothing to answer yet: reads have no deadline
	interrupted bool          // the exchange's context has ended
}

func newConn(nc net.Conn, state *tls.ConnectionState, name string) *conn {
	c := &conn{nc: nc, tls: state, name: name}
	c.br = bufio.NewReaderSize(c, 4<<10)
	return c
}

// begin prepares c for one exchange.
func (c *conn) begin(timeout time.Duration, uploading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen, c.timeout, c.uploading, c.interrupted = 0, timeout, uploading, false
}

// Read implements io.Reader. The origin's clock runs only here, from packet to packet:
// a viewer who takes long is not its fault.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.deadline(c.nc.SetReadDeadline, true); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	c.seen += int64(n)
	return n, err
}

// Write implements io.Writer.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.deadline(c.nc.SetWriteDeadline, false); err != nil {
		return 0, err
	}
	return c.nc.Write(p)
}

func (c *conn) deadline(set func(time.Time) error, read bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		return os.ErrDeadlineExceeded
	}
	if read && c.uploading {
		return set(time.Time{})
	}
	return set(time.Now().Add(c.timeout))
}

// uploaded starts the wait for the answer.
func (c *conn) uploaded(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uploading = false
	switch _, viewer := errors.AsType[*viewerError](err); {
	case c.interrupted:
	case err == nil:
		c.nc.SetReadDeadline(time.Now().Add(c.timeout))
	case viewer, isTimeout(err):
		c.interrupted = true
		c.nc.SetDeadline(longAgo)
	default:
		c.timeout = min(c.timeout, lastWords)
		c.nc.SetReadDeadline(time.Now().Add(c.timeout))
	}
}

// interrupt ends all reads and writes, those under way too.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	c.nc.SetDeadline(longAgo)
}

// quiet reports whether c is open and nothing has come that nobody asked for: neither
// the origin's farewell nor bytes beyond the last response, which would be taken for the
// answer to the next request. It does not wait.
func (c *conn) quiet() bool {
	if c.br.Buffered() > 0 || c.nc.SetReadDeadline(longAgo) != nil {
		return false
	}
	// With its time over, this Read gives only what TLS has decrypted already.
	var one [1]byte
	if n, err := c.nc.Read(one[:]); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	return socketQuiet(c.nc)
}

// plainConn is the connection below TLS.
func plainConn(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return nc
}
