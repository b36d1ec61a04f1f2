package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/viewerhttp"
)

// TestManyViewersAtOnce lets viewers with ranges, conditions and little patience ask a
// whimsical origin: bodies with and without length, that break off, that may not be
// stored, errors, revalidations. Whatever a viewer gets must be (a part of) the object
// that it asked for, and everything is answered and recorded once. It is for the race
// detector as well.
func TestManyViewersAtOnce(t *testing.T) {
	var records atomic.Int64
	e := New(Options{
		Identity: testIdentity(t), CacheBytes: 4 << 20, CacheObjectBytes: 1 << 20,
		Log: func(*accesslog.Record) { records.Add(1) },
		Snapshots: site(t, func(d *cdn.Distribution) {
			d.DefaultBehavior.CachePolicyID = ""
			d.DefaultBehavior.Legacy = &cdn.LegacyCaching{Cookies: cdn.Selection{Behavior: "none"}, MaxTTL: time.Hour, DefaultTTL: 20 * time.Millisecond}
		}),
		Origins: fakeOrigin(whimsical),
	})
	const viewers, each = 16, 150
	var wg sync.WaitGroup
	for v := range viewers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(v), 7))
			for range each {
				ask(t, e, rng)
			}
		})
	}
	wg.Wait()
	e.Close()
	if n := records.Load(); n != viewers*each {
		t.Errorf("%d records of %d requests", n, viewers*each)
	}
	if st := e.Cache(); st.Fills != 0 || st.Bytes > st.Limit || st.Pinned != 0 {
		t.Errorf("%+v", st)
	}
}

// bodyOf is the object at a path such as /7/40000: so many bytes of its own pattern.
func bodyOf(path string) string { return bodies()[path] }

var bodies = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for i := range 4 {
		for _, n := range bodySizes {
			path := fmt.Sprintf("/%d/%d", i, n)
			var b strings.Builder
			for j := 0; b.Len() < n; j++ {
				fmt.Fprintf(&b, "%s %06d|", path, j)
			}
			all[path] = b.String()[:n]
		}
	}
	return all
})

var bodySizes = [...]int{100, 5000, 70000, 300000, 1200000}

func whimsical(ctx context.Context, r *origin.Request) (*origin.Response, error) {
	time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	body := bodyOf(r.Path)
	etag := fmt.Sprintf("%q", r.Path)
	resp := object(body, "etag: "+etag)
	switch rand.IntN(8) {
	case 0:
		resp.Header.Add("cache-control", "no-store")
	case 1:
		resp.Length = -1
	case 2:
		resp.Length = -1
		resp.Header.Add("cache-control", "max-age=0")
	case 3:
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(body[:len(body)/2]), errReader{io.ErrUnexpectedEOF}))
	case 4:
		return nil, &origin.Error{Kind: origin.KindComm, Status: 504, Origin: "o", Err: errors.New("whim")}
	case 5:
		resp.Header.Add("cache-control", "max-age=0, stale-while-revalidate=1")
	}
	switch {
	case r.Header.Get("if-none-match") == etag:
		resp.Status, resp.Length, resp.Body = 304, 0, io.NopCloser(strings.NewReader(""))
	case r.Header.Get("range") == "bytes=10-19":
		resp.Status, resp.Length, resp.Body = 206, 10, io.NopCloser(strings.NewReader(body[10:20]))
	case r.Method == "HEAD":
		resp.Body = io.NopCloser(strings.NewReader(""))
	}
	return resp, nil
}

func ask(t *testing.T, e *Edge, rng *rand.Rand) {
	r := request(fmt.Sprintf("/%d/%d", rng.IntN(4), bodySizes[rng.IntN(len(bodySizes))]))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	switch rng.IntN(8) {
	case 0:
		r.Method = "HEAD"
	case 1, 2:
		r.Header.Add("range", "bytes=10-19")
	case 3:
		r.Header.Add("if-none-match", fmt.Sprintf("%q", r.Path))
	case 4:
		time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, cancel)
	}
	w := responder{}
	e.ServeViewer(ctx, r, &w)
	want := bodyOf(r.Path)
	switch {
	case w.calls != 1:
		t.Errorf("%s answered %d times", r.Path, w.calls)
	case w.err != nil || ctx.Err() != nil || w.status >= 400 || w.status == 304 || r.Method == "HEAD":
	case w.status == 206 && string(w.body) == want[10:20]:
	case w.status == 200 && string(w.body) == want:
	default:
		t.Errorf("%s %s %s: %d with %d bytes that are not its own", r.Method, r.Path, r.Header.Get("range"), w.status, len(w.body))
	}
}

var _ viewerhttp.Responder = (*responder)(nil)
