package viewerhttp

import (
	"context"
	"sync"
	"time"
)

// h2Context is the context of one request. What hooks into it is made only when
// somebody asks for Done, so that a hit from memory does not pay for it.
type h2Context struct {
	base context.Context // the server's values without its end

	mu     sync.Mutex // guards the rest
	inner  context.Context
	cancel context.CancelFunc
	over   bool
}

// Deadline implements context.Context.
func (k *h2Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (k *h2Context) Done() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inner == nil {
		k.inner, k.cancel = context.WithCancel(k.base)
		if k.over {
			k.cancel()
		}
	}
	return k.inner.Done()
}

// Err implements context.Context.
func (k *h2Context) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. With inner in place, contexts derived from this
// one find it and hook in without a goroutine.
func (k *h2Context) Value(key any) any {
	k.mu.Lock()
	inner := k.inner
	k.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return k.base.Value(key)
}

// end cancels the context.
func (k *h2Context) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	if k.cancel != nil {
		k.cancel()
	}
}
