// Package cachestore answers: where are the bytes, who is filling them, and what goes
// first when there is no room?
//
// It knows keys, bytes and an opaque description (M) per entry, and no HTTP. Bodies live
// in memory as lists of chunks. At most one shared Fill runs per key; everybody who wants
// the key meanwhile reads from it while it grows. A fill that fails is never stored.
package cachestore

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Options are a store's limits. Zero values mean the defaults.
type Options[M any] struct {
	// Limit is how many bytes entries and running fills may take together; 256 MiB.
	Limit int64
	// MaxObject is the largest body that is stored; half of Limit.
	MaxObject int64
	// MetaSize tells what a description costs in bytes; nil counts 1 KiB each.
	MetaSize func(M) int64
}

const (
	defaultLimit = 256 << 20
	// shards is the number of independently locked parts. 64 keeps two requests from
	// meeting on one lock on machines of up to a few dozen cores.
	shards = 64
	// entryOverhead is what an entry costs besides key, body and description: the Entry,
	// its Body and chunk list, and its place in the map; measured on amd64, rounded up.
	entryOverhead = 512
	defaultMeta   = 1 << 10
	// maxUses caps the use counter of an entry: it survives that many passes of the hand.
	maxUses = 3
)

// Store is a bounded map from keys to entries.
type Store[M any] struct {
	limit, maxObject int64
	metaSize         func(M) int64
	seed             maphash.Seed
	account          account
	evicted          atomic.Uint64
	hand             atomic.Uint32 // the shard whose turn it is to give up an entry
	shard            [shards]shard[M]
}

// shard is one part of the store: its entries in a ring in the order of their arrival
// (the "second chance" order), and the fills that run.
type shard[M any] struct {
	mu      sync.RWMutex
	entries map[string]*Entry[M]
	fills   map[string]*Fill[M]
	ring    Entry[M] // sentinel; ring.next is the oldest
}

// account is what the bytes of a store come to.
type account struct {
	used   atomic.Int64 // by entries, running fills, and bodies that are being read
	pinned atomic.Int64 // of it, by bodies that are being read: evicting them frees nothing
}

// Entry is one stored object. It never changes.
type Entry[M any] struct {
	Meta M
	body *Body
	key  string
	cost int64 // of key and description; the body has its own

	uses       atomic.Uint32
	prev, next *Entry[M] // guarded by the shard's mutex
}

// Body returns the entry's bytes.
func (e *Entry[M]) Body() *Body { return e.body }

// New returns an empty store.
func New[M any](o Options[M]) *Store[M] {
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	if o.MaxObject <= 0 || o.MaxObject > o.Limit {
		o.MaxObject = o.Limit / 2
	}
	if o.MetaSize == nil {
		o.MetaSize = func(M) int64 { return defaultMeta }
	}
	s := &Store[M]{limit: o.Limit, maxObject: o.MaxObject, metaSize: o.MetaSize, seed: maphash.MakeSeed()}
	for i := range s.shard {
		sh := &s.shard[i]
		sh.entries, sh.fills = map[string]*Entry[M]{}, map[string]*Fill[M]{}
		sh.ring.prev, sh.ring.next = &sh.ring, &sh.ring
	}
	return s
}

// Get returns the entry under key, nil when there is none.
func (s *Store[M]) Get(key []byte) *Entry[M] {
	sh := s.shardOf(key)
	sh.mu.RLock()
	e := sh.entries[string(key)]
	sh.mu.RUnlock()
	if e != nil {
		if n := e.uses.Load(); n < maxUses {
			e.uses.Store(n + 1) // a lost count between two readers does not matter
		}
	}
	return e
}

// Begin joins or starts the shared fill of key. seen is what the caller got from Get and
// found unusable. The answer is one of: a newer entry than seen, to be judged again; a
// running fill (lead false); a new fill (lead true), which the caller must bring to an
// end with Finish, Renew, Decline or Fail.
func (s *Store[M]) Begin(key []byte, seen *Entry[M]) (e *Entry[M], f *Fill[M], lead bool) {
	sh := s.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e = sh.entries[string(key)]; e != nil && e != seen {
		return e, nil, false
	}
	if f = sh.fills[string(key)]; f != nil {
		return nil, f, false
	}
	f = s.newFill(string(key))
	f.shared = true
	sh.fills[f.key] = f
	return nil, f, true
}

// Private returns a fill that nobody else can join: its entry replaces whatever is under
// key when it finishes.
func (s *Store[M]) Private(key []byte) *Fill[M] { return s.newFill(string(key)) }

// Update gives an entry another description, keeping its bytes. It returns the new entry;
// when old is no longer what is stored, nothing changes in the store.
func (s *Store[M]) Update(old *Entry[M], meta M) *Entry[M] {
	e := s.newEntry(old.key, meta, old.body)
	e.uses.Store(old.uses.Load())
	sh := s.shardOf([]byte(old.key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.entries[old.key] == old {
		s.account.used.Add(e.cost)
		s.insert(sh, e)
	}
	return e
}

// Delete removes e if it is still what is stored under its key.
func (s *Store[M]) Delete(e *Entry[M]) {
	sh := s.shardOf([]byte(e.key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.entries[e.key] == e {
		s.remove(sh, e)
	}
}

// Stats is a view of the store for metrics.
type Stats struct {
	Entries, Fills int
	Bytes, Limit   int64
	Pinned         int64 // of Bytes: bodies that are being read
	Evicted        uint64
}

// Stats counts.
func (s *Store[M]) Stats() Stats {
	st := Stats{Bytes: s.account.used.Load(), Pinned: s.account.pinned.Load(), Limit: s.limit, Evicted: s.evicted.Load()}
	for i := range s.shard {
		sh := &s.shard[i]
		sh.mu.RLock()
		st.Entries += len(sh.entries)
		st.Fills += len(sh.fills)
		sh.mu.RUnlock()
	}
	return st
}

// MaxObject returns the largest body that is stored.
func (s *Store[M]) MaxObject() int64 { return s.maxObject }

func (s *Store[M]) shardOf(key []byte) *shard[M] {
	return &s.shard[maphash.Bytes(s.seed, key)%shards]
}

func (s *Store[M]) newEntry(key string, meta M, b *Body) *Entry[M] {
	return &Entry[M]{Meta: meta, body: b, key: key, cost: s.metaCost(key, meta)}
}

func (s *Store[M]) metaCost(key string, meta M) int64 {
	return entryOverhead + int64(len(key)) + s.metaSize(meta)
}

// insert stores e, whose cost, but for the body's, is already reserved.
func (s *Store[M]) insert(sh *shard[M], e *Entry[M]) {
	e.body.store() // before the old entry goes: it may have the same body
	if old := sh.entries[e.key]; old != nil {
		s.remove(sh, old)
	}
	sh.link(e)
}

// remove takes e out. Its body is paid for as long as somebody reads it.
func (s *Store[M]) remove(sh *shard[M], e *Entry[M]) {
	sh.unlink(e)
	s.account.used.Add(-e.cost)
	e.body.unstore()
}

func (sh *shard[M]) link(e *Entry[M]) {
	sh.entries[e.key] = e
	sh.pushBack(e)
}

func (sh *shard[M]) pushBack(e *Entry[M]) {
	e.prev, e.next = sh.ring.prev, &sh.ring
	e.prev.next, e.next.prev = e, e
}

func (sh *shard[M]) unlink(e *Entry[M]) {
	delete(sh.entries, e.key)
	sh.take(e)
}

func (sh *shard[M]) take(e *Entry[M]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}

// reserve claims n bytes, evicting entries for it; false when even an empty store would
// not have them. What is being read is not evicted: that would not free its bytes.
func (s *Store[M]) reserve(n int64) bool {
	if s.account.used.Add(n) <= s.limit {
		return true
	}
	if s.account.pinned.Load()+n > s.limit { // others need not go for nothing
		s.release(n)
		return false
	}
	for idle := 0; s.account.used.Load() > s.limit; {
		if s.sweep(&s.shard[s.hand.Add(1)%shards]) {
			idle = 0
			continue
		}
		if idle++; idle == shards {
			s.release(n)
			return false
		}
	}
	return true
}

func (s *Store[M]) release(n int64) { s.account.used.Add(-n) }

// sweep passes the hand over one shard: it removes the oldest entry that nobody reads and
// that was not used since the hand last came by, and takes a use from those before it.
// false = there was nothing to do.
func (s *Store[M]) sweep(sh *shard[M]) (progress bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for n := len(sh.entries); n > 0; n-- { // one round: a lone hot entry is not used up in one go
		e := sh.ring.next
		u := e.uses.Load()
		if u > 0 {
			e.uses.Store(u - 1)
			progress = true
		}
		if u > 0 || e.body.pinned() {
			sh.take(e)
			sh.pushBack(e)
			continue
		}
		s.remove(sh, e)
		s.evicted.Add(1)
		return true
	}
	return progress
}
