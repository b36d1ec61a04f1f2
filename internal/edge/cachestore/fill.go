package cachestore

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrDeclined is what waiting for a fill returns when its bytes are not to be shared;
// the caller must get its own.
var ErrDeclined = errors.New("cachestore: the object is not shared")

// ErrAbandoned ends a fill that cannot be stored and that nobody reads any more.
var ErrAbandoned = errors.New("cachestore: nobody reads the fill any more")

// Fill is one object on its way into the store. One goroutine leads it: Publish once the
// description is known, then ReadFrom, then Finish - or Decline, Renew or Fail. Anybody
// may Wait for it and Open it.
type Fill[M any] struct {
	store  *Store[M]
	key    string
	shared bool

	s stream // its mutex guards the fields below as well

	published bool
	ended     bool
	meta      M
	length    int64 // -1 = unknown
	reserved  int64
	chunkCost int64 // the part of reserved that pays for chunks
	entry     *Entry[M]
	fixed     *Body // of Renew, instead of the stream
	err       error // of Decline and Fail
	wanting   int   // the leader, until Leave, and those who wait
	abandon   func()
}

func (s *Store[M]) newFill(key string) *Fill[M] {
	return &Fill[M]{store: s, key: key, length: -1, wanting: 1, s: stream{readers: map[*Reader]struct{}{}, account: &s.account}}
}

// Publish makes the description known to everybody who waits and opens the body for
// reading. length is the body's length, -1 when unknown. It reports false, and declines
// the fill, when the body is too large for the store or there is no room for it.
func (f *Fill[M]) Publish(meta M, length int64) bool {
	cost := f.store.metaCost(f.key, meta)
	if length > f.store.maxObject || !f.store.reserve(cost+max(length, 0)) {
		f.Decline()
		return false
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.ended { // nobody wanted it
		f.store.release(cost + max(length, 0))
		return false
	}
	f.meta, f.length, f.published = meta, length, true
	f.reserved = cost + max(length, 0)
	f.s.changed()
	return true
}

// ReadFrom copies the body out of r until its end. It is called at most once. When the
// body turns out not to fit, it goes on without storing for those who already read.
func (f *Fill[M]) ReadFrom(ctx context.Context, r io.Reader) error {
	for {
		space, err := f.space(ctx)
		if err != nil {
			return err
		}
		n, err := r.Read(space)
		if n > 0 {
			if f.length >= 0 && f.s.size >= f.length {
				return fmt.Errorf("the body goes on after its %d bytes", f.length)
			}
			f.commit(n)
		}
		switch {
		case err == io.EOF && f.length >= 0 && f.s.size < f.length:
			return fmt.Errorf("the body ended after %d of %d bytes: %w", f.s.size, f.length, io.ErrUnexpectedEOF)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// probe is the room in which a body of known length must meet its end.
const probe = 1

// space returns room for the next bytes. Only the leader changes size and chunks, so it
// may look at them without the lock.
func (f *Fill[M]) space(ctx context.Context) ([]byte, error) {
	if n := len(f.s.chunks); n > 0 {
		if last := f.s.chunks[n-1]; len(last) < cap(last) {
			return last[len(last):cap(last)], nil
		}
	}
	size := int64(firstChunk)
	switch n := len(f.s.chunks); {
	case f.length >= 0 && f.s.size < f.length:
		size = min(f.length-f.s.size, maxChunk)
	case f.length >= 0:
		return make([]byte, probe), nil
	case n > 0:
		size = min(2*int64(cap(f.s.chunks[n-1])), maxChunk)
	}
	if f.length < 0 && !f.s.windowed && (f.s.size+1 > f.store.maxObject || !f.store.reserve(size)) {
		f.unstore()
	} else if f.length < 0 && !f.s.windowed {
		f.s.mu.Lock()
		f.reserved += size
		f.chunkCost += size
		f.s.mu.Unlock()
	}
	if f.s.windowed {
		size = windowChunk
		if err := f.throttle(ctx); err != nil {
			return nil, err
		}
	}
	chunk := make([]byte, 0, size)
	f.s.mu.Lock()
	f.s.chunks = append(f.s.chunks, chunk)
	f.s.mu.Unlock()
	return chunk[:size], nil
}

// commit tells that n bytes of the last space are filled.
func (f *Fill[M]) commit(n int) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	last := len(f.s.chunks) - 1
	c := f.s.chunks[last]
	f.s.chunks[last] = c[:len(c)+n]
	f.s.size += int64(n)
	f.s.changed()
}

// unstore turns the fill into a mere pipe: nobody new can join it.
func (f *Fill[M]) unstore() {
	f.detach()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.windowed = true
}

// throttle waits until the slowest reader is close behind.
func (f *Fill[M]) throttle(ctx context.Context) error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for {
		freed := min(f.s.drop(), f.chunkCost)
		f.chunkCost -= freed
		f.reserved -= freed
		f.store.release(freed)
		if len(f.s.readers) == 0 {
			return ErrAbandoned
		}
		if f.s.ahead() < window {
			return nil
		}
		if err := f.s.wait(ctx); err != nil {
			return err
		}
	}
}

// Finish ends the fill well and stores it. It returns the entry, nil when the object
// was not storable after all.
func (f *Fill[M]) Finish() *Entry[M] {
	sh := f.store.shardOf([]byte(f.key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.fills[f.key] == f {
		delete(sh.fills, f.key)
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.ended {
		return f.entry
	}
	f.ended, f.s.done = true, true
	defer f.s.changed()
	if f.s.windowed {
		f.owe()
		return nil
	}
	e := f.store.newEntry(f.key, f.meta, f.compact())
	f.s.whole = e.body
	e.body.hold(int64(len(f.s.readers)))
	f.store.insert(sh, e)
	f.store.account.used.Add(e.cost - f.reserved) // the body has its own account now
	f.entry = e
	return e
}

// owe releases what was reserved when the last reader has left; the caller holds the lock.
func (f *Fill[M]) owe() {
	f.s.debt = f.reserved
	f.s.settle()
}

// compact returns the body in as few bytes as it needs; the caller holds the lock.
// Readers keep the chunks that they are in.
func (f *Fill[M]) compact() *Body {
	var chunks [][]byte
	if f.s.size <= Contiguous && len(f.s.chunks) > 1 {
		one := make([]byte, 0, f.s.size)
		for _, c := range f.s.chunks {
			one = append(one, c...)
		}
		return newBody([][]byte{one}, f.s.size, &f.store.account)
	}
	for _, c := range f.s.chunks {
		if len(c) == 0 {
			continue
		}
		if cap(c)-len(c) > len(c)/8 {
			c = append(make([]byte, 0, len(c)), c...)
		}
		chunks = append(chunks, c)
	}
	return newBody(chunks, f.s.size, &f.store.account)
}

// Renew ends the fill with the bytes of an earlier entry under a new description.
func (f *Fill[M]) Renew(old *Entry[M], meta M) *Entry[M] {
	e := f.store.newEntry(f.key, meta, old.body)
	e.uses.Store(old.uses.Load())
	f.store.account.used.Add(e.cost) // no reserve: old's cost, nearly the same, is released below
	sh := f.store.shardOf([]byte(f.key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.fills[f.key] == f {
		delete(sh.fills, f.key)
	}
	f.store.insert(sh, e)
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.meta, f.fixed, f.entry, f.published, f.ended = meta, old.body, e, true, true
	f.s.done = true
	f.s.changed()
	return e
}

// Decline ends the fill before its body: those who wait get ErrDeclined.
func (f *Fill[M]) Decline() { f.end(ErrDeclined) }

// Fail ends the fill with an error that everybody who waits or reads gets.
func (f *Fill[M]) Fail(err error) { f.end(err) }

func (f *Fill[M]) end(err error) {
	f.detach()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.ended {
		return
	}
	f.ended, f.err = true, err
	f.s.done, f.s.err = true, err
	f.owe()
	f.s.changed()
}

func (f *Fill[M]) detach() {
	sh := f.store.shardOf([]byte(f.key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.fills[f.key] == f {
		delete(sh.fills, f.key)
	}
}

// OnAbandon has stop called when nobody wants the object any more before it is published:
// the leader has left, and nobody waits. The fill is declined then. A later stop takes
// the place of an earlier one.
func (f *Fill[M]) OnAbandon(stop func()) {
	f.s.mu.Lock()
	gone := f.ended && f.wanting == 0
	f.abandon = stop
	f.s.mu.Unlock()
	if gone {
		stop()
	}
}

// Leave says that the leader itself does not want the object any more; once.
func (f *Fill[M]) Leave() {
	f.s.mu.Lock()
	f.wanting--
	last := f.wanting == 0 && !f.published
	f.s.mu.Unlock()
	if last {
		f.giveUp()
	}
}

// giveUp declines the fill if still nobody wants it. Whoever finds it later gets his own.
func (f *Fill[M]) giveUp() {
	sh := f.store.shardOf([]byte(f.key))
	sh.mu.Lock()
	f.s.mu.Lock()
	last := f.wanting == 0 && !f.published && !f.ended
	var stop func()
	if last {
		if sh.fills[f.key] == f {
			delete(sh.fills, f.key)
		}
		f.ended, f.err = true, ErrDeclined
		f.s.done, f.s.err = true, ErrDeclined
		f.s.changed()
		stop = f.abandon
	}
	f.s.mu.Unlock()
	sh.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Wait returns the description once it is published, ErrDeclined, the error of Fail, or
// the cause of ctx's end.
func (f *Fill[M]) Wait(ctx context.Context) (M, error) {
	var none M
	f.s.mu.Lock()
	f.wanting++
	var err error
	for err == nil && !f.published && !f.ended {
		err = f.s.wait(ctx)
	}
	f.wanting--
	last := f.wanting == 0 && !f.published && !f.ended
	published, meta := f.published, f.meta
	if err == nil && !published {
		err = f.err
	}
	f.s.mu.Unlock()
	if last {
		f.giveUp()
	}
	if err != nil {
		return none, err
	}
	return meta, nil
}

// Entry returns the stored entry, nil while the fill runs or when it was not stored.
func (f *Fill[M]) Entry() *Entry[M] {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return f.entry
}

// Open returns a reader of n bytes from off on (n negative = to the end) of a published
// fill; ok is false when its beginning is no longer there and the caller must get its own.
func (f *Fill[M]) Open(ctx context.Context, off, n int64) (r *Reader, ok bool) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.fixed != nil {
		if n < 0 {
			n = f.fixed.size - off
		}
		return f.fixed.Open(off, n), true
	}
	if f.s.windowed {
		return nil, false
	}
	r = &Reader{s: &f.s, ctx: ctx, skip: off, left: n}
	f.s.readers[r] = struct{}{}
	return r, true
}

// Shared reports whether others may have joined the fill.
func (f *Fill[M]) Shared() bool { return f.shared }
