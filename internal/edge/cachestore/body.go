package cachestore

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// Contiguous is the size up to which a stored body is one slice, so that a response
	// can be written in one piece.
	Contiguous = 64 << 10
	// firstChunk and maxChunk bound the pieces of a body whose length is not known:
	// each chunk is twice the one before.
	firstChunk = 16 << 10
	maxChunk   = 1 << 20
	// window is how far a fill that cannot be stored runs ahead of its slowest reader, and
	// windowChunk its pieces: nothing of it is part of the store's limit.
	window      = 512 << 10
	windowChunk = 64 << 10
)

// ErrClosed is what a closed Reader returns.
var ErrClosed = errors.New("cachestore: reader is closed")

// Body is the complete bytes of an entry. It counts for the store's limit as long as it
// is stored or read: slow readers of objects that were evicted must not add up to more
// memory than there is.
type Body struct {
	chunks  [][]byte
	size    int64
	cost    int64
	account *account
	// state is how many readers there are, and how many times bodyStored the entries.
	state atomic.Int64
}

const bodyStored = 1 << 32

func newBody(chunks [][]byte, size int64, a *account) *Body {
	b := &Body{chunks: chunks, size: size, account: a}
	for _, c := range chunks {
		b.cost += int64(cap(c))
	}
	return b
}

// Hold keeps the body within the store's limit while somebody uses Bytes; Release must
// follow. Readers do it by themselves.
func (b *Body) Hold() { b.hold(1) }

// Release ends Hold.
func (b *Body) Release() { b.hold(-1) }

// hold adds readers, or removes one with -1. The account changes with the first and the
// last.
func (b *Body) hold(n int64) {
	now := b.state.Add(n)
	before := now - n
	was, is := before%bodyStored > 0, now%bodyStored > 0
	if was == is {
		return
	}
	change := b.cost
	if was {
		change = -change
	}
	b.account.pinned.Add(change)
	if now < bodyStored {
		b.account.used.Add(change)
	}
}

func (b *Body) pinned() bool { return b.state.Load()%bodyStored > 0 }

// store and unstore tell that an entry with the body comes and goes.
func (b *Body) store() {
	if b.state.Add(bodyStored) == bodyStored {
		b.account.used.Add(b.cost)
	}
}

func (b *Body) unstore() {
	if b.state.Add(-bodyStored) == 0 {
		b.account.used.Add(-b.cost)
	}
}

// Len returns the number of bytes.
func (b *Body) Len() int64 { return b.size }

// Bytes returns the whole body when it is held in one piece, which is always so up to
// Contiguous bytes. It must not be modified.
func (b *Body) Bytes() (p []byte, ok bool) {
	switch len(b.chunks) {
	case 0:
		return nil, true
	case 1:
		return b.chunks[0], true
	}
	return nil, false
}

// Open returns a reader of n bytes from off on, which must lie inside the body.
func (b *Body) Open(off, n int64) *Reader {
	b.Hold()
	return &Reader{body: b, left: n, skip: off, in: true}
}

// stream is a body that is still growing.
type stream struct {
	mu      sync.Mutex
	chunks  [][]byte // chunks[0] is number dropped
	dropped int
	size    int64 // bytes written so far
	done    bool  // no more bytes will come
	err     error // why, when they ended early
	// windowed tells that what every reader has passed is thrown away.
	windowed bool
	readers  map[*Reader]struct{}
	wake     chan struct{} // closed at the next change; nil when nobody waits

	account *account
	whole   *Body // what became of it; every reader holds it
	debt    int64 // what was not stored is paid for until the last reader has left
}

// leave takes a reader out; the caller holds mu.
func (s *stream) leave(r *Reader) {
	if _, ok := s.readers[r]; !ok {
		return
	}
	delete(s.readers, r)
	if s.whole != nil {
		s.whole.Release()
	}
	if s.windowed {
		s.changed()
	}
	s.settle()
}

// settle pays the debt when nobody is left to need the bytes; the caller holds mu.
func (s *stream) settle() {
	if len(s.readers) == 0 {
		s.account.used.Add(-s.debt)
		s.debt = 0
	}
}

// changed wakes everybody who waits; the caller holds mu.
func (s *stream) changed() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

// wait releases mu until the next change or the end of ctx.
func (s *stream) wait(ctx context.Context) error {
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	ch := s.wake
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drop frees the chunks that every reader has passed and returns their cost.
func (s *stream) drop() int64 {
	least := s.dropped + len(s.chunks)
	for r := range s.readers {
		least = min(least, r.chunk)
	}
	var freed int64
	for s.dropped < least && len(s.chunks) > 1 { // the last chunk is being written
		freed += int64(cap(s.chunks[0]))
		s.chunks[0] = nil
		s.chunks = s.chunks[1:]
		s.dropped++
	}
	return freed
}

// ahead returns how many bytes are kept beyond the chunk that the slowest reader is in.
func (s *stream) ahead() int64 {
	var n int64
	for _, c := range s.chunks[min(1, len(s.chunks)):] {
		n += int64(len(c))
	}
	return n
}

// Reader reads a part of a body, complete or growing. It is used by one goroutine.
type Reader struct {
	body *Body
	s    *stream // instead of body
	ctx  context.Context

	chunk int // number of the current chunk; guarded by s.mu when s is set
	at    int // offset inside of it
	skip  int64
	left  int64 // bytes still wanted; negative = all
	in    bool  // it holds body
	ended bool
}

// next returns bytes to be consumed, at most the rest of one chunk.
func (r *Reader) next() ([]byte, error) {
	switch {
	case r.ended:
		return nil, ErrClosed
	case r.left == 0:
		r.leave()
		return nil, io.EOF
	case r.s == nil:
		p, _ := r.cut(r.body.chunks, 0)
		if p == nil {
			r.leave()
			return nil, io.EOF
		}
		return p, nil
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for {
		was := r.chunk
		p, moved := r.cut(r.s.chunks, r.s.dropped)
		if moved && r.s.windowed && was != r.chunk {
			r.s.changed() // the writer may wait for us
		}
		if p != nil {
			return p, nil
		}
		if r.s.done {
			r.s.leave(r)
			if r.s.err != nil {
				return nil, r.s.err
			}
			return nil, io.EOF
		}
		if err := r.s.wait(r.ctx); err != nil {
			return nil, err
		}
	}
}

// cut returns the unread bytes of the current chunk, moving on to the next when it is
// used up; nil when there is nothing yet. moved tells that the position changed.
func (r *Reader) cut(chunks [][]byte, dropped int) (p []byte, moved bool) {
	for i := r.chunk - dropped; i < len(chunks); i = r.chunk - dropped {
		p = chunks[i][r.at:]
		if n := min(int64(len(p)), r.skip); n > 0 {
			r.skip -= n
			r.at += int(n)
			p, moved = p[n:], true
		}
		if len(p) > 0 {
			if r.left >= 0 && int64(len(p)) > r.left {
				p = p[:r.left]
			}
			return p, moved
		}
		if i == len(chunks)-1 {
			return nil, moved // a growing chunk, or the end
		}
		r.chunk, r.at, moved = r.chunk+1, 0, true
	}
	return nil, moved
}

// Limit narrows a reader that nothing was read from to n bytes from off on.
func (r *Reader) Limit(off, n int64) { r.skip, r.left = off, n }

func (r *Reader) consumed(n int) {
	r.at += n
	if r.left >= 0 {
		r.left -= int64(n)
	}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.next()
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	r.consumed(n)
	return n, nil
}

// WriteTo implements io.WriterTo without copying.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		b, err := r.next()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(b)
		r.consumed(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// Close implements io.Closer. A fill that nobody stores and nobody reads any more stops.
func (r *Reader) Close() error {
	if r.ended {
		return nil
	}
	r.ended = true
	r.leave()
	return nil
}

// leave lets go of the bytes.
func (r *Reader) leave() {
	if r.s != nil {
		r.s.mu.Lock()
		r.s.leave(r)
		r.s.mu.Unlock()
	} else if r.in {
		r.in = false
		r.body.Release()
	}
}
