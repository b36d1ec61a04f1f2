package viewertls

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// TicketKeyLife is how long a key opens tickets. CloudFront's lifetime hints count
	// down from 24 hours after the birth in the key's name.
	TicketKeyLife = 24 * time.Hour
	// TicketKeyRotation is how long a key seals new tickets before a younger one does.
	// With half of the life, a ticket is good for at least 12 hours.
	TicketKeyRotation = TicketKeyLife / 2
	// maxTicketKeys bounds what Import takes in. A fleet in step has two or three.
	maxTicketKeys = 64
	// ticketNameLen is the length of a key's name in a ticket.
	ticketNameLen = 16
)

// TicketKey is one key for session tickets. It prints as its birth only.
type TicketKey struct {
	Birth  time.Time // to the millisecond; names the key
	Secret [32]byte
}

// name is the key's name in tickets: its birth in milliseconds, as ASCII, padded
// with NUL as CloudFront's tickets show it.
func (k *TicketKey) name() (n [ticketNameLen]byte) {
	copy(n[:], strconv.FormatInt(k.Birth.UnixMilli(), 10))
	return n
}

func (k *TicketKey) dead(now time.Time) bool { return !now.Before(k.Birth.Add(TicketKeyLife)) }

// String returns the key's name, never its secret.
func (k TicketKey) String() string { return "ticket key " + strconv.FormatInt(k.Birth.UnixMilli(), 10) }

// GoString keeps the secret out of %#v.
func (k TicketKey) GoString() string { return k.String() }

// LogValue keeps the secret out of logs.
func (k TicketKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ticketKeyJSON is a key's stored form.
type ticketKeyJSON struct {
	BirthMS int64  `json:"birth_ms"`
	Secret  []byte `json:"secret"` // base64
}

// MarshalJSON writes the key with its secret: the result belongs in a file that
// only its owner may read.
func (k TicketKey) MarshalJSON() ([]byte, error) {
	return json.Marshal(ticketKeyJSON{k.Birth.UnixMilli(), k.Secret[:]})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *TicketKey) UnmarshalJSON(b []byte) error {
	var j ticketKeyJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("ticket key: %w", err)
	}
	if len(j.Secret) != len(k.Secret) {
		return fmt.Errorf("ticket key %d: secret has %d bytes, want %d: delete the file to start with fresh keys", j.BirthMS, len(j.Secret), len(k.Secret))
	}
	k.Birth = time.UnixMilli(j.BirthMS)
	copy(k.Secret[:], j.Secret)
	return nil
}

// ringKey is a key as the ring keeps it, with what every ticket needs of it.
type ringKey struct {
	TicketKey
	id  [ticketNameLen]byte
	prk []byte // HKDF's pseudo-random key (RFC 5869, Section 2.2)
}

func newRingKey(k TicketKey) ringKey {
	prk, err := hkdf.Extract(sha256.New, k.Secret[:], nil)
	if err != nil { // only for hashes that FIPS 140 does not know
		panic("viewertls: HKDF with SHA-256: " + err.Error())
	}
	return ringKey{k, k.name(), prk}
}

// TicketKeys is the ring of keys that all listeners of a node share. It is safe for
// concurrent use; readers never wait.
type TicketKeys struct {
	mu   sync.Mutex                // serialises writers
	ring atomic.Pointer[[]ringKey] // youngest first; never changed in place
}

// NewTicketKeys returns a ring with one key born now.
func NewTicketKeys(now time.Time) *TicketKeys {
	k, _ := LoadTicketKeys(nil, now) // nothing to import, nothing to go wrong
	return k
}

// LoadTicketKeys returns a ring with the stored keys of an earlier run, and a new one
// if none of them may seal any more. The ring is good for use even with an error,
// which tells of stored keys that were left out.
func LoadTicketKeys(stored []TicketKey, now time.Time) (*TicketKeys, error) {
	k := &TicketKeys{}
	k.ring.Store(&[]ringKey{})
	err := k.Import(stored, now)
	k.Rotate(now)
	return k, err
}

// Rotate drops dead keys and makes a new one when the current one has sealed long
// enough. It reports whether there is a new key, so that the caller stores it.
func (k *TicketKeys) Rotate(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	ring := slices.DeleteFunc(slices.Clone(*k.ring.Load()), func(key ringKey) bool { return key.dead(now) })
	current := sealing(ring, now)
	fresh := current == nil || !now.Before(current.Birth.Add(TicketKeyRotation))
	if fresh {
		key := TicketKey{Birth: now.Truncate(time.Millisecond)}
		for slices.ContainsFunc(ring, func(o ringKey) bool { return o.id == key.name() }) {
			key.Birth = key.Birth.Add(time.Millisecond)
		}
		rand.Read(key.Secret[:]) // never fails: crypto/rand ends the process instead
		ring = append(ring, newRingKey(key))
		sortKeys(ring)
	}
	k.ring.Store(&ring)
	return fresh
}

// NextRotation is when Rotate will make a new key.
func (k *TicketKeys) NextRotation(now time.Time) time.Time {
	current := sealing(*k.ring.Load(), now)
	if current == nil {
		return now
	}
	return current.Birth.Add(TicketKeyRotation)
}

// Run rotates the keys in time until ctx ends. changed, which may be nil, is called
// after each rotation that made a key, to store or share the ring.
func (k *TicketKeys) Run(ctx context.Context, changed func()) error {
	for {
		now := time.Now()
		if k.Rotate(now) && changed != nil {
			changed()
		}
		timer := time.NewTimer(max(k.NextRotation(now).Sub(now), time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// Export returns the keys, youngest first, for a file or for the fleet.
func (k *TicketKeys) Export() []TicketKey {
	ring := *k.ring.Load()
	keys := make([]TicketKey, len(ring))
	for i := range ring {
		keys[i] = ring[i].TicketKey
	}
	return keys
}

// Import adds keys of an earlier run or of another node. The youngest born by now
// seals; a key born later already opens tickets, so a fleet can hand it out before
// any node uses it. Dead keys and known ones are skipped.
func (k *TicketKeys) Import(keys []TicketKey, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	ring := slices.Clone(*k.ring.Load())
	var errs []error
	for _, key := range keys {
		key.Birth = key.Birth.Truncate(time.Millisecond)
		i := slices.IndexFunc(ring, func(o ringKey) bool { return o.id == key.name() })
		switch {
		case i >= 0 && ring[i].Secret != key.Secret:
			errs = append(errs, fmt.Errorf("importing %v: another key with this birth is in use", key))
		case key.Birth.After(now.Add(TicketKeyLife)):
			errs = append(errs, fmt.Errorf("importing %v: it is born more than %v from now: check the clocks", key, TicketKeyLife))
		case i >= 0 || key.dead(now):
		case len(ring) >= maxTicketKeys:
			errs = append(errs, fmt.Errorf("importing %v: more than %d ticket keys", key, maxTicketKeys))
		default:
			ring = append(ring, newRingKey(key))
		}
	}
	sortKeys(ring)
	k.ring.Store(&ring)
	return errors.Join(errs...)
}

// current returns the key that seals, nil when all are dead.
func (k *TicketKeys) current(now time.Time) *ringKey { return sealing(*k.ring.Load(), now) }

// named returns the living key of this name, nil when there is none.
func (k *TicketKeys) named(name [ticketNameLen]byte, now time.Time) *ringKey {
	ring := *k.ring.Load()
	for i := range ring {
		if ring[i].id == name && !ring[i].dead(now) {
			return &ring[i]
		}
	}
	return nil
}

// sealing returns the youngest key of ring that is born and alive.
func sealing(ring []ringKey, now time.Time) *ringKey {
	for i := range ring {
		if !ring[i].Birth.After(now) && !ring[i].dead(now) {
			return &ring[i]
		}
	}
	return nil
}

func sortKeys(ring []ringKey) {
	slices.SortStableFunc(ring, func(a, b ringKey) int { return cmp.Compare(b.Birth.UnixMilli(), a.Birth.UnixMilli()) })
}
