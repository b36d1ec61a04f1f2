package viewerhttp

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// h1Context is the context of one request. Finding out that a viewer went away takes
// a goroutine that reads from the connection; it is started only when somebody
// asks for Done, so that a hit from memory does not pay for it.
type h1Context struct {
	base context.Context // the server's values
	x    *exchange

	mu       sync.Mutex // guards the rest
	inner    context.Context
	cancel   context.CancelFunc
	atEnd    bool          // the body is read: what comes next belongs to the next request
	over     bool          // the request is
	watching chan struct{} // closed when the watcher has ended; nil without one
}

// Deadline implements context.Context.
func (k *h1Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (k *h1Context) Done() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inner == nil {
		k.inner, k.cancel = context.WithCancel(k.base)
		if k.over {
			k.cancel()
		}
		k.watch()
	}
	return k.inner.Done()
}

// Err implements context.Context.
func (k *h1Context) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inner != nil {
		return k.inner.Err()
	}
	if k.over {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. With inner in place, contexts derived from this
// one find it and hook in without a goroutine.
func (k *h1Context) Value(key any) any {
	k.mu.Lock()
	inner := k.inner
	k.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return k.base.Value(key)
}

// bodyDone tells that the request's last byte is read.
func (k *h1Context) bodyDone() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.atEnd = true
	if k.inner != nil {
		k.watch()
	}
}

// watch starts the watcher when there is reason to and nothing against it. From
// then until end, the connection's read side is the watcher's.
func (k *h1Context) watch() {
	c := k.x.c
	if !k.atEnd || k.over || k.watching != nil || c.readErr != nil {
		return
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	c.setReadBy(time.Time{})
	k.watching = make(chan struct{})
	go func() {
		defer close(k.watching)
		// Pipelined requests may come; beyond a full buffer nobody looks.
		for c.w < len(c.buf) {
			if err := c.fill(); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					c.readErr = err
					k.cancel()
				}
				return
			}
		}
	}()
}

// end cancels the context and waits for the watcher.
func (k *h1Context) end() {
	k.mu.Lock()
	k.over = true
	cancel, watching := k.cancel, k.watching
	k.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if watching != nil {
		k.x.c.conn.SetReadDeadline(aLongTimeAgo)
		<-watching
		k.x.c.readBy = aLongTimeAgo
	}
}
