package cachestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// data returns n bytes that tell their own position; nobody may write to them.
func data(n int) []byte { return pattern()[:n:n] }

var pattern = sync.OnceValue(func() []byte {
	b := make([]byte, 10<<20)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	return b
})

// put stores body under key the way the corridor does.
func put(t testing.TB, s *Store[string], key string, body []byte, known bool) *Entry[string] {
	t.Helper()
	_, f, lead := s.Begin([]byte(key), s.Get([]byte(key)))
	if !lead {
		t.Fatalf("%s: somebody else leads", key)
	}
	length := int64(-1)
	if known {
		length = int64(len(body))
	}
	if !f.Publish("meta of "+key, length) {
		return nil
	}
	if err := f.ReadFrom(context.Background(), bytes.NewReader(body)); err != nil {
		f.Fail(err)
		return nil
	}
	return f.Finish()
}

func read(t testing.TB, r *Reader) []byte {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBodiesComeBack(t *testing.T) {
	for _, n := range []int{0, 1, firstChunk - 1, firstChunk, firstChunk + 1, Contiguous, Contiguous + 1, 3*maxChunk + 17} {
		for _, known := range []bool{true, false} {
			s := New(Options[string]{})
			want := data(n)
			put(t, s, "k", want, known)
			e := s.Get([]byte("k"))
			if e == nil || e.Meta != "meta of k" || e.Body().Len() != int64(n) {
				t.Fatalf("%d %v: got %+v", n, known, e)
			}
			if got := read(t, e.Body().Open(0, int64(n))); !bytes.Equal(got, want) {
				t.Errorf("%d %v: the body differs", n, known)
			}
			if p, ok := e.Body().Bytes(); n <= Contiguous && (!ok || !bytes.Equal(p, want)) {
				t.Errorf("%d %v: a small body must be in one piece", n, known)
			}
			var w bytes.Buffer
			off, l := int64(n/3), int64(n/2)
			if _, err := e.Body().Open(off, l).WriteTo(&w); err != nil || !bytes.Equal(w.Bytes(), want[off:off+l]) {
				t.Errorf("%d %v: part %d+%d differs (%v)", n, known, off, l, err)
			}
			if waste := e.cost + e.body.cost - int64(n); waste > int64(n)/8+4096 {
				t.Errorf("%d %v: costs %d", n, known, e.cost+e.body.cost)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	s := New(Options[string]{Limit: 1 << 20, MaxObject: 100 << 10})
	if put(t, s, "known", data(200<<10), true) != nil {
		t.Error("a body of known length beyond the limit was stored")
	}
	for i := range 400 {
		put(t, s, fmt.Sprint(i), data(10<<10), i%2 == 0)
		if st := s.Stats(); st.Bytes > st.Limit {
			t.Fatalf("after %d: %+v", i, st)
		}
	}
	st := s.Stats()
	if st.Entries < 60 || st.Entries > 100 || st.Evicted == 0 || st.Fills != 0 {
		t.Errorf("%+v", st)
	}
	for i := range 400 {
		if e := s.Get([]byte(fmt.Sprint(i))); e != nil {
			s.Delete(e)
			s.Delete(e)
		}
	}
	if st := s.Stats(); st.Bytes != 0 || st.Entries != 0 {
		t.Errorf("empty, but %+v", st)
	}
}

// TestReadBodiesCount: viewers that read many large objects slowly must not hold more
// memory than the limit, though the objects are no longer stored.
func TestReadBodiesCount(t *testing.T) {
	s := New(Options[string]{Limit: 1 << 20, MaxObject: 300 << 10})
	put(t, s, "small", data(1000), true)
	var readers []*Reader
	for i := range 20 {
		_, f, _ := s.Begin(fmt.Append(nil, i), nil)
		if !f.Publish("m", 200<<10) {
			continue
		}
		r, _ := f.Open(t.Context(), 0, -1) // joined while it is filled
		if err := f.ReadFrom(t.Context(), bytes.NewReader(data(200<<10))); err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
		if e := f.Finish(); i%2 == 0 {
			readers = append(readers, e.Body().Open(0, 200<<10)) // and one after that
		}
	}
	st := s.Stats()
	if st.Bytes > st.Limit || st.Pinned != 5*200<<10 || len(readers) != 8 {
		t.Errorf("%d readers, %+v", len(readers), st)
	}
	if s.Get([]byte("small")) == nil {
		t.Error("an entry was evicted although that could not help")
	}
	for i, r := range readers {
		if i%2 == 0 {
			read(t, r)
		}
		r.Close()
		r.Close()
	}
	if st := s.Stats(); st.Pinned != 0 || st.Bytes > st.Limit {
		t.Errorf("nobody reads, but %+v", st)
	}
	if put(t, s, "new", data(200<<10), true) == nil {
		t.Error("there is room again, but nothing is stored")
	}
	e := s.Get([]byte("new"))
	e.Body().Hold()
	s.Delete(e)
	before := s.Stats()
	e.Body().Release()
	if st := s.Stats(); before.Pinned != 200<<10 || st.Pinned != 0 || st.Bytes != before.Bytes-200<<10 {
		t.Errorf("%+v, before %+v", st, before)
	}
}

// TestFailedBodiesCount: what a failed fill has read is paid for while somebody still
// reads it.
func TestFailedBodiesCount(t *testing.T) {
	s := New(Options[string]{})
	_, f, _ := s.Begin([]byte("k"), nil)
	f.Publish("m", 200<<10)
	r, _ := f.Open(t.Context(), 0, -1)
	other, _ := f.Open(t.Context(), 0, -1)
	f.Fail(io.ErrUnexpectedEOF)
	other.Close()
	if st := s.Stats(); st.Bytes < 200<<10 {
		t.Errorf("%+v", st)
	}
	if _, err := io.ReadAll(r); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if st := s.Stats(); st.Bytes != 0 {
		t.Errorf("%+v", st)
	}
	r.Close()
}

func TestUsedEntriesStay(t *testing.T) {
	s := New(Options[string]{Limit: 1 << 20})
	put(t, s, "hot", data(1000), true)
	for i := range 3000 {
		if s.Get([]byte("hot")) == nil {
			t.Fatalf("the hot entry went after %d others", i)
		}
		put(t, s, fmt.Sprint(i), data(2000), true)
	}
}

func TestOneFillForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options[string]{})
		key, want := []byte("k"), data(300<<10)
		_, f, lead := s.Begin(key, nil)
		if !lead {
			t.Fatal("the first does not lead")
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				e, g, lead := s.Begin(key, nil)
				if e != nil || lead || g != f {
					t.Errorf("%d: got %v %v", i, e, lead)
					return
				}
				meta, err := g.Wait(t.Context())
				r, ok := g.Open(t.Context(), 0, -1)
				if meta != "m" || err != nil || !ok {
					t.Errorf("%d: %q %v %v", i, meta, err, ok)
					return
				}
				if !bytes.Equal(read(t, r), want) {
					t.Errorf("%d: the body differs", i)
				}
			})
		}
		synctest.Wait() // all wait for the head
		f.Publish("m", -1)
		pr, pw := io.Pipe()
		wg.Go(func() {
			if err := f.ReadFrom(t.Context(), pr); err != nil {
				t.Error(err)
			}
			f.Finish()
		})
		for len(want) > 0 { // everybody reads along
			n := min(1+rand.IntN(9000), len(want))
			pw.Write(want[:n])
			want = want[n:]
		}
		want = data(300 << 10)
		late, ok := f.Open(t.Context(), 1000, 5) // joins mid-way
		if !ok || !bytes.Equal(read(t, late), want[1000:1005]) {
			t.Error("a late reader got something else")
		}
		pw.Close()
		wg.Wait()
		if e, _, _ := s.Begin(key, nil); e == nil || e.Body().Len() != int64(len(want)) {
			t.Error("not stored")
		}
	})
}

func TestFailuresAreNeverStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options[string]{})
		boom := errors.New("boom")
		fails := func(name string, length int64, body io.Reader, want error) {
			t.Helper()
			_, f, _ := s.Begin([]byte("k"), nil)
			f.Publish("m", length)
			r, _ := f.Open(t.Context(), 0, -1)
			done := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, r)
				done <- err
			}()
			err := f.ReadFrom(t.Context(), body)
			if err == nil {
				t.Fatalf("%s: no error", name)
			}
			f.Fail(err)
			if got := <-done; !errors.Is(got, want) {
				t.Errorf("%s: the follower sees %v", name, got)
			}
			if st := s.Stats(); st.Entries != 0 || st.Bytes != 0 || st.Fills != 0 {
				t.Errorf("%s: left behind %+v", name, st)
			}
		}
		fails("error", -1, io.MultiReader(bytes.NewReader(data(1000)), errReader{boom}), boom)
		fails("error, length known", 5000, io.MultiReader(bytes.NewReader(data(1000)), errReader{boom}), boom)
		fails("too short", 5000, bytes.NewReader(data(1000)), io.ErrUnexpectedEOF)
		fails("nothing", 1, bytes.NewReader(nil), io.ErrUnexpectedEOF)

		_, f, _ := s.Begin([]byte("k"), nil)
		f.Publish("m", 10)
		if err := f.ReadFrom(t.Context(), bytes.NewReader(data(11))); err == nil {
			t.Error("a body longer than announced was taken")
		}
		f.Fail(boom)

		_, f, _ = s.Begin([]byte("k"), nil)
		f.Fail(boom)
		if _, err := f.Wait(t.Context()); err != boom {
			t.Error(err)
		}
		_, f, _ = s.Begin([]byte("k"), nil)
		f.Decline()
		if _, err := f.Wait(t.Context()); err != ErrDeclined {
			t.Error(err)
		}
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// endless gives n bytes and counts how many were taken.
type endless struct {
	mu   sync.Mutex
	n    int
	all  []byte
	took int
}

func (e *endless) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.took == e.n {
		return 0, io.EOF
	}
	n := copy(p, e.all[e.took:])
	e.took += n
	return n, nil
}

func (e *endless) taken() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.took
}

// TestTooLargeOnTheWay: a body of unknown length that outgrows the store goes on as a
// pipe with a bounded window and ends when its last reader leaves.
func TestTooLargeOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options[string]{Limit: 4 << 20, MaxObject: 1 << 20})
		const size = 10 << 20
		src := &endless{n: size, all: data(size)}
		_, f, _ := s.Begin([]byte("k"), nil)
		f.Publish("m", -1)
		r, _ := f.Open(t.Context(), 0, -1)
		gone, _ := f.Open(t.Context(), 0, -1)
		done := make(chan error)
		go func() { done <- f.ReadFrom(t.Context(), src) }()
		synctest.Wait()
		if n := src.taken(); n > 6<<20 {
			t.Errorf("%d bytes were taken while nobody read", n)
		}
		if _, ok := f.Open(t.Context(), 0, -1); ok {
			t.Error("joined a pipe whose beginning may be gone")
		}
		if _, g, lead := s.Begin([]byte("k"), nil); !lead {
			t.Error("the key is not free for a new fill")
		} else {
			g.Decline()
		}
		gone.Close() // the slowest reader leaves: the other goes on alone
		got := make([]byte, 6<<20)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, src.all[:len(got)]) {
			t.Fatal("the pipe's bytes differ", err)
		}
		if n := src.taken(); n > len(got)+4<<20 {
			t.Errorf("%d bytes taken for %d read", n, len(got))
		}
		if st := s.Stats(); st.Bytes > 2<<20 {
			t.Errorf("the pipe still pays for what it dropped: %+v", st)
		}
		r.Close()
		err := <-done
		if err != ErrAbandoned {
			t.Errorf("after the last reader left: %v", err)
		}
		f.Fail(err)
		if st := s.Stats(); st.Bytes != 0 || st.Entries != 0 {
			t.Errorf("%+v", st)
		}

		// And with a reader who stays, all of it arrives.
		src = &endless{n: size, all: src.all}
		_, f, _ = s.Begin([]byte("k"), nil)
		f.Publish("m", -1)
		r, _ = f.Open(t.Context(), 0, -1)
		go func() {
			err := f.ReadFrom(t.Context(), src)
			if f.Finish() != nil {
				t.Error("stored")
			}
			done <- err
		}()
		if !bytes.Equal(read(t, r), src.all) {
			t.Error("the body differs")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Bytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestReadersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options[string]{})
		_, f, _ := s.Begin([]byte("k"), nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { _, err := f.Wait(ctx); done <- err }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		f.Publish("m", 100)
		r, _ := f.Open(ctx, 0, 100)
		go func() { _, err := io.ReadAll(r); done <- err }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		r.Close()
		if _, err := r.Read(make([]byte, 1)); err != ErrClosed {
			t.Error(err)
		}
		f.Fail(io.ErrUnexpectedEOF)
	})
}

// TestAbandoned: a fill that nobody wants is over before its lead notices.
func TestAbandoned(t *testing.T) {
	s := New(Options[string]{})
	_, f, _ := s.Begin([]byte("k"), nil)
	stopped := 0
	f.OnAbandon(func() { stopped++ })
	f.Leave()
	if _, err := f.Wait(t.Context()); err != ErrDeclined || stopped != 1 {
		t.Errorf("%v, stopped %d times", err, stopped)
	}
	f.OnAbandon(func() { stopped++ }) // the lead's next attempt is stopped at once
	if f.Publish("m", 10) || stopped != 2 {
		t.Errorf("published, or stopped %d times", stopped)
	}
	f.Fail(io.ErrUnexpectedEOF)
	if st := s.Stats(); st.Bytes != 0 || st.Fills != 0 {
		t.Errorf("%+v", st)
	}
	_, f, lead := s.Begin([]byte("k"), nil)
	f.OnAbandon(func() { t.Error("stopped after it was published") })
	if !lead || !f.Publish("m", 1) {
		t.Fatal("not leading")
	}
	f.Leave()
	if err := f.ReadFrom(t.Context(), bytes.NewReader([]byte("x"))); err != nil || f.Finish() == nil {
		t.Error(err)
	}
}

func TestRenewAndUpdate(t *testing.T) {
	s := New(Options[string]{})
	old := put(t, s, "k", data(5000), true)
	before := s.Stats().Bytes
	_, f, lead := s.Begin([]byte("k"), old)
	if !lead {
		t.Fatal("not leading")
	}
	e := f.Renew(old, "new meta")
	if m, err := f.Wait(t.Context()); m != "new meta" || err != nil || f.Entry() != e {
		t.Error(m, err)
	}
	r, ok := f.Open(t.Context(), 10, -1)
	if !ok || !bytes.Equal(read(t, r), data(5000)[10:]) {
		t.Error("the bytes differ")
	}
	if s.Get([]byte("k")) != e || s.Stats().Bytes != before {
		t.Errorf("%+v, before %d", s.Stats(), before)
	}
	u := s.Update(e, "third")
	if got := s.Get([]byte("k")); got != u || got.Meta != "third" || s.Stats().Bytes != before {
		t.Errorf("%+v", s.Stats())
	}
	if s.Update(old, "late"); s.Get([]byte("k")) != u {
		t.Error("an update of an entry that is gone was stored")
	}
	p := s.Private([]byte("k"))
	p.Publish("private", 3)
	if err := p.ReadFrom(t.Context(), bytes.NewReader([]byte("abc"))); err != nil {
		t.Fatal(err)
	}
	if s.Get([]byte("k")) != u {
		t.Error("a private fill shows before its end")
	}
	p.Finish()
	if got := s.Get([]byte("k")); got.Meta != "private" || s.Stats().Entries != 1 {
		t.Error(got.Meta)
	}
}

// TestAgainstAMap runs random operations against the store and against a plain map: what
// the store has must be what the map has, and its accounts must balance.
func TestAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Options[string]{Limit: 300 << 10, MaxObject: 100 << 10})
		model := map[string]string{}
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"})
		n := 0
		var readers []*Reader
		t.Repeat(map[string]func(*rapid.T){
			"read": func(t *rapid.T) {
				if e := s.Get([]byte(key.Draw(t, "key"))); e != nil {
					readers = append(readers, e.Body().Open(0, e.Body().Len()))
				}
			},
			"leave": func(t *rapid.T) {
				if len(readers) > 0 {
					readers[0].Close()
					readers = readers[1:]
				}
			},
			"put": func(t *rapid.T) {
				k := key.Draw(t, "key")
				n++
				_, f, _ := s.Begin([]byte(k), s.Get([]byte(k)))
				size := rapid.IntRange(0, 120<<10).Draw(t, "size")
				length := int64(size)
				if rapid.Bool().Draw(t, "unknown") {
					length = -1
				}
				meta := fmt.Sprint(k, n)
				if !f.Publish(meta, length) {
					return
				}
				if rapid.IntRange(0, 3).Draw(t, "fail") == 0 {
					f.Fail(io.ErrUnexpectedEOF)
					return
				}
				if err := f.ReadFrom(context.Background(), bytes.NewReader(data(size))); err != nil {
					f.Fail(err)
					return
				}
				if f.Finish() != nil {
					model[k] = meta
				}
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if e := s.Get([]byte(k)); e != nil && e.Meta != model[k] {
					t.Fatalf("%s: have %s, want %s", k, e.Meta, model[k])
				}
			},
			"delete": func(t *rapid.T) {
				if e := s.Get([]byte(key.Draw(t, "key"))); e != nil {
					s.Delete(e)
				}
			},
			"": func(t *rapid.T) {
				var sum int64
				bodies := map[*Body]bool{}
				for k := range model {
					if e := s.Get([]byte(k)); e != nil {
						sum += e.cost + e.body.cost
						bodies[e.body] = true
					}
				}
				var pinned int64
				read := map[*Body]bool{}
				for _, r := range readers {
					if b := r.body; !read[b] {
						read[b] = true
						pinned += b.cost
						if !bodies[b] {
							sum += b.cost
						}
					}
				}
				if st := s.Stats(); st.Bytes != sum || st.Pinned != pinned || st.Bytes > st.Limit || st.Fills != 0 {
					t.Fatalf("%+v, entries cost %d", st, sum)
				}
			},
		})
	})
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	s := New(Options[string]{Limit: 1 << 20, MaxObject: 200 << 10})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 300 {
				key := []byte{byte('a' + rng.IntN(10))}
				size := int(key[0]-'a'+1) * 15 << 10
				e := s.Get(key)
				if e == nil {
					var f *Fill[string]
					var lead bool
					e, f, lead = s.Begin(key, nil)
					if lead {
						if f.Publish("m", int64(size)) {
							if err := f.ReadFrom(t.Context(), bytes.NewReader(data(size))); err != nil {
								t.Error(err)
							}
							f.Finish()
						}
						continue
					}
					if f != nil {
						if _, err := f.Wait(t.Context()); err != nil {
							continue
						}
						if r, ok := f.Open(t.Context(), 0, -1); ok && !bytes.Equal(read(t, r), data(size)) {
							t.Error("the body differs")
						}
						continue
					}
				}
				if !bytes.Equal(read(t, e.Body().Open(0, int64(size))), data(size)) {
					t.Error("the body differs")
				}
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Bytes > st.Limit || st.Fills != 0 || st.Pinned != 0 {
		t.Errorf("%+v", st)
	}
}

func BenchmarkGet(b *testing.B) {
	s := New(Options[string]{})
	put(b, s, "d111.cloudfront.net/index.html", data(1024), true)
	key := []byte("d111.cloudfront.net/index.html")
	b.ReportAllocs()
	for b.Loop() {
		if s.Get(key) == nil {
			b.Fatal("gone")
		}
	}
}

func BenchmarkFill1MiB(b *testing.B) {
	s := New(Options[string]{Limit: 64 << 20})
	body := data(1 << 20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		put(b, s, fmt.Sprint(i), body, true)
	}
}
