package edge

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"pqfront/internal/edge/cachekey"
	"pqfront/internal/edge/cachestore"
	"pqfront/internal/edge/httpcache"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/httpfield"
)

// item is what the store keeps beside an object's bytes. It is never changed.
type item struct {
	httpcache.Object
	// failure is set when the object is the memory of a failing origin: the detailed
	// result type. The page of its cause is made anew for each viewer.
	failure string
	cause   respheaders.Cause
	// solitary marks a key whose object could not be stored: for a while its requests
	// are not held up for one another.
	solitary bool
}

func (it *item) size() int64 {
	n := int64(256)
	for _, f := range it.Header {
		n += int64(len(f.Name)+len(f.Value)) + 32
	}
	return n
}

type (
	entry = cachestore.Entry[*item]
	fill  = cachestore.Fill[*item]
)

// solitaryFor is how long a key stays marked as not storable. Long enough to spare busy
// keys the waiting, short enough to notice a change; every fetch renews or ends it.
const solitaryFor = 30 * time.Second

// obtain gets an object: from the cache, from a fetch that runs already, or from the origin.
func (x *exchange) obtain(ctx context.Context, w *wanted) *answer {
	if why, ok := w.rules.Usable(w.method); !ok {
		return x.pass(ctx, w, why)
	}
	key := x.key(w)
	seen := x.edge.store.Get(key)
	for {
		if a := x.useful(w, key, seen); a != nil {
			return a
		}
		x.slow = true
		alone := seen != nil && seen.Meta.solitary && seen.Meta.State(x.now) == httpcache.Fresh
		switch {
		case alone && w.header.Has("range"):
			return x.pass(ctx, w, httpcache.BypassRemembered)
		case alone || !w.rules.Collapses(w.cookies) || seen != nil && seen.Meta.FreshFor == 0:
			return x.lead(ctx, w, key, x.edge.store.Private(key), seen)
		}
		newer, f, lead := x.edge.store.Begin(key, seen)
		switch {
		case newer != nil:
			seen = newer
			continue
		case lead:
			return x.lead(ctx, w, key, f, seen)
		}
		if a := x.follow(ctx, w, f); a != nil {
			return a
		}
		if w.header.Has("range") {
			return x.pass(ctx, w, httpcache.BypassRemembered)
		}
		return x.lead(ctx, w, key, x.edge.store.Private(key), seen)
	}
}

func (x *exchange) key(w *wanted) []byte {
	in := cachekey.Input{
		Domain: x.site.Distribution.DomainName, Path: w.path, Query: w.query, HasQuery: w.hasQuery,
		Options: w.method == "OPTIONS", OldViewer: x.oldViewer(), Host: x.req.Authority, Header: w.header,
	}
	in.Added = x.addedFields(w)
	return cachekey.Append(x.keySpace[:0], &in, w.behavior.Cache)
}

// useful returns the answer when the entry can give it without asking the origin first.
func (x *exchange) useful(w *wanted, key []byte, e *entry) *answer {
	if e == nil || e.Meta.solitary || e.Meta.HeadOnly && w.method != "HEAD" {
		return nil
	}
	switch e.Meta.State(x.now) {
	case httpcache.Fresh:
		return x.fromCache(e.Meta, e.Body(), httpcache.Hit)
	case httpcache.Refreshable:
		x.refresh(w, key, e)
		return x.fromCache(e.Meta, e.Body(), httpcache.StaleWhileRevalidate)
	}
	return nil
}

// refresh fetches an object anew while viewers still get the old one.
func (x *exchange) refresh(w *wanted, key []byte, e *entry) {
	x.slow = true
	_, f, lead := x.edge.store.Begin(key, e)
	if !lead {
		return
	}
	y, v := *x, *w // the request is over before the refresh is
	req := *x.req
	req.Header = req.Header.Clone()
	y.req, v.header = &req, v.header.Clone()
	key = slices.Clone(key)
	if !x.edge.background(func(ctx context.Context) { y.lead(ctx, &v, key, f, e).drop() }) {
		f.Decline()
	}
}

// follow waits for a fetch that another request leads. nil = the object is not shared.
func (x *exchange) follow(ctx context.Context, w *wanted, f *fill) *answer {
	it, err := f.Wait(ctx)
	switch {
	case errors.Is(err, cachestore.ErrDeclined):
		return nil
	case err != nil:
		return x.failed(ctx, err)
	case it.HeadOnly && w.method != "HEAD":
		return nil
	}
	if e := f.Entry(); e != nil {
		return x.fromCache(e.Meta, e.Body(), httpcache.Joined)
	}
	r, ok := f.Open(ctx, 0, -1)
	if !ok {
		return nil
	}
	a := x.filling(it, r)
	a.result, a.age, a.reason = respheaders.Hit, it.Age(x.now), string(httpcache.Joined)
	a.judgeStatus()
	return a
}

// filling is the answer out of a fill that still runs.
func (x *exchange) filling(it *item, r *cachestore.Reader) *answer {
	a := &answer{status: it.Status, header: it.Header, object: &it.Object, length: it.Length, stream: r,
		result: respheaders.Miss, age: -1, reason: string(httpcache.Stored)}
	if it.AgeThen > 0 {
		a.age = it.Age(x.now) // RFC 9111, Section 5.1: from the cache of somebody else
	}
	a.judgeStatus()
	return a
}

// pass goes to the origin and straight back, past the cache.
func (x *exchange) pass(ctx context.Context, w *wanted, why httpcache.Reason) *answer {
	x.slow = true
	resp, err := x.fetch(ctx, w, w.header)
	if err != nil {
		return x.failed(ctx, err)
	}
	return passedOn(resp, why)
}

// lead fetches the object for everybody who waits for the fill, and brings the fill to
// its end. old is what is stored, unusable as it is; it may be nil.
func (x *exchange) lead(ctx context.Context, w *wanted, key []byte, f *fill, old *entry) *answer {
	ended := false
	defer func() {
		if !ended { // a panic, which the engine survives: those who wait must not wait for ever
			f.Fail(errPanic)
		}
	}()
	a := x.leadOn(ctx, w, key, f, old)
	ended = true
	return a
}

var errPanic = errors.New("the request that fetched the object has failed")

func (x *exchange) leadOn(ctx context.Context, w *wanted, key []byte, f *fill, old *entry) *answer {
	// Deviation: CloudFront: Request and response behavior for custom origins, Dropped
	// viewer connections: what has begun to come is stored also when this viewer leaves,
	// for others may have joined. Before that the origin is let go when nobody is left:
	// viewers who cancel all they ask for must not keep its connections.
	defer context.AfterFunc(ctx, f.Leave)()
	header := unconditional(w.header)
	validates := old != nil && !old.Meta.solitary && old.Meta.failure == "" && old.Meta.Status < 400 &&
		(!old.Meta.HeadOnly || w.method == "HEAD")
	if validates {
		header = append(header, old.Meta.Validators()...)
	}
	resp, err := x.fetchFor(f, w, header)
	if err == nil && resp.Status == 304 && validates {
		it, ok := x.renewed(w, old, resp)
		resp.Body.Close()
		if ok {
			e := f.Renew(old, it)
			a := x.fromCache(e.Meta, e.Body(), httpcache.Revalidated)
			a.result, a.age = respheaders.RefreshHit, -1
			return a
		}
		resp, err = x.fetchFor(f, w, unconditional(w.header)) // it is about something else: get it whole
	}
	if errors.Is(err, errAbandoned) {
		f.Decline()
		return x.failed(ctx, err)
	}
	failing := err != nil || resp.Status >= 500 && resp.Status <= 504
	if failing && old != nil && !old.Meta.solitary && old.Meta.StandsIn(x.now) && (!old.Meta.HeadOnly || w.method == "HEAD") {
		return x.standIn(f, old, resp, err)
	}
	if err != nil {
		return x.remember(ctx, w, f, err)
	}
	return x.keep(ctx, w, key, f, old, resp)
}

var errAbandoned = errors.New("all viewers who wanted the object have left")

// fetchFor fetches for those who want the fill's object, in the edge's own life.
func (x *exchange) fetchFor(f *fill, w *wanted, header httpfield.Fields) (*origin.Response, error) {
	ctx, cancel := context.WithCancelCause(x.edge.life)
	f.OnAbandon(func() { cancel(errAbandoned) })
	resp, err := x.fetch(ctx, w, header)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &endingBody{resp.Body, func() { cancel(nil) }}
	return resp, nil
}

// endingBody ends the context that it was fetched in.
type endingBody struct {
	io.ReadCloser
	end func()
}

// Close implements io.Closer.
func (b *endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// renewed is the stored object after a 304.
func (x *exchange) renewed(w *wanted, old *entry, resp *origin.Response) (*item, bool) {
	o, ok := old.Meta.Merge(resp.Header, &w.rules, w.secret, x.edge.o.Now())
	return &item{Object: o}, ok
}

// standIn serves an expired object because the origin fails, and leaves the origin alone
// for the error caching minimum (CloudFront: Control how long CloudFront caches errors).
func (x *exchange) standIn(f *fill, old *entry, resp *origin.Response, err error) *answer {
	status := 0
	if err == nil {
		status = resp.Status
		resp.Body.Close()
	} else {
		c, _ := causeOf(err)
		status = c.Info().Status
	}
	e := f.Renew(old, &item{Object: old.Meta.Extended(x.edge.o.Now(), x.errorMin(status))})
	return x.fromCache(e.Meta, e.Body(), httpcache.StaleIfError)
}

// remember answers a failed fetch and keeps the failure for the error caching minimum, so
// that an origin in trouble is not asked by every viewer.
func (x *exchange) remember(ctx context.Context, w *wanted, f *fill, err error) *answer {
	a := x.failed(ctx, err)
	if _, ok := errors.AsType[*origin.Error](err); !ok {
		f.Fail(err)
		return a
	}
	c, detailed := causeOf(err)
	status := c.Info().Status
	o, why := httpcache.Judge(&httpcache.Response{Status: status, Method: w.method, ErrorMin: x.errorMin(status)},
		&w.rules, x.edge.o.Now())
	if why != httpcache.Stored || !f.Publish(&item{Object: o, failure: detailed, cause: c}, 0) {
		f.Fail(err)
		return a
	}
	f.Finish()
	return a
}

// keep stores the response if it may be stored, and answers with it in any case.
func (x *exchange) keep(ctx context.Context, w *wanted, key []byte, f *fill, old *entry, resp *origin.Response) *answer {
	now := x.edge.o.Now()
	o, why := httpcache.Judge(&httpcache.Response{
		Status: resp.Status, Header: resp.Header, Length: resp.Length, Method: w.method,
		Authorization: w.secret, ErrorMin: x.errorMin(resp.Status),
	}, &w.rules, now)
	it := &item{Object: o}
	if why == httpcache.Stored && o.FreshFor == 0 && f.Shared() {
		f.Decline() // storable, but everybody must ask for it anew
		f = x.edge.store.Private(key)
	}
	length := resp.Length
	if w.method == "HEAD" {
		length = 0
	}
	if why == httpcache.Stored && !f.Publish(it, length) {
		if ctx.Err() != nil { // at the last moment; this says nothing about the object
			resp.Body.Close()
			return x.failed(ctx, errAbandoned)
		}
		why = httpcache.NotTooLarge
	} else if why != httpcache.Stored {
		f.Decline()
	}
	if why != httpcache.Stored {
		return x.unkept(ctx, w, key, old, resp, why)
	}
	r, _ := f.Open(ctx, 0, -1)
	a := x.filling(it, r)
	if len(it.Header)+resp.Header.Count("age") < len(resp.Header) {
		a.header = resp.Header.Clone() // something in it is for this viewer only
		a.header.Del("age")
	}
	e, body := x.edge, resp.Body // not x: its request may be over before the fill is
	if !e.background(func(life context.Context) { e.fill(life, f, it, body) }) {
		resp.Body.Close()
		f.Fail(errClosed)
	}
	return a
}

var errClosed = errors.New("the edge is shutting down")

// unkept passes a response on that was not stored.
func (x *exchange) unkept(ctx context.Context, w *wanted, key []byte, old *entry, resp *origin.Response, why httpcache.Reason) *answer {
	if resp.Status < 400 {
		x.edge.markSolitary(key, x.edge.o.Now())
		if w.header.Has("range") && w.method == "GET" && resp.Status == 200 {
			resp.Body.Close() // the viewer wants a part, and we cannot keep the whole
			return x.pass(ctx, w, why)
		}
	}
	resp.Body = whileThere(ctx, resp.Body)
	return passedOn(resp, why)
}

// whileThere ends body when ctx does. It was fetched for everybody, but turned out to be
// this viewer's alone: when it leaves, the origin is let go.
func whileThere(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	return &viewersBody{body: body, ctx: ctx, stop: context.AfterFunc(ctx, func() { body.Close() })}
}

type viewersBody struct {
	body io.ReadCloser
	ctx  context.Context
	stop func() bool
}

// Read implements io.Reader.
func (b *viewersBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx) // it is we who closed it
	}
	return n, err
}

// Close implements io.Closer.
func (b *viewersBody) Close() error {
	b.stop()
	return b.body.Close()
}

// markSolitary remembers that the object under key cannot be stored.
func (e *Edge) markSolitary(key []byte, now time.Time) {
	f := e.store.Private(key)
	if f.Publish(&item{Object: httpcache.Object{Received: now, FreshFor: solitaryFor}, solitary: true}, 0) {
		f.Finish()
	}
}

// fill copies a body into the store.
func (e *Edge) fill(ctx context.Context, f *fill, it *item, body io.ReadCloser) {
	defer body.Close()
	if err := f.ReadFrom(ctx, body); err != nil {
		f.Fail(err)
		return
	}
	stored := f.Finish()
	if stored == nil || it.Length >= 0 {
		return
	}
	whole := *it // its length is known now, so that ranges can be answered
	whole.Length = stored.Body().Len()
	e.store.Update(stored, &whole)
}

// conditional tells whether a request field must not reach the origin when the whole
// object is wanted for the cache.
func conditional(name string) bool {
	switch name {
	case "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since":
		return true
	}
	return false
}

func unconditional(h httpfield.Fields) httpfield.Fields {
	out := make(httpfield.Fields, 0, len(h)+2)
	for _, f := range h {
		if !conditional(f.Name) {
			out = append(out, f)
		}
	}
	return out
}
