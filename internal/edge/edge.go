// Package edge answers: in what order do things happen to a viewer's request?
//
// It is the corridor: it loads the current snapshot once per request, walks a fixed table
// of steps and lets the rooms beside it answer their questions - which distribution and
// behavior (snapshot), what the key is (cachekey), whether it may be cached and is fresh
// (httpcache), where the bytes are (cachestore), how to get them (origin), what is added to
// the response (respheaders), what is said about it (accesslog). It opens no sockets.
package edge

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/cachestore"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/edge/viewerhttp"
)

// Fetcher gets objects from origins; *origin.Client is one.
type Fetcher interface {
	Fetch(ctx context.Context, t origin.Target, r *origin.Request) (*origin.Response, error)
}

// Options are an edge's surroundings. Snapshots and Origins are required.
type Options struct {
	Snapshots *snapshot.Holder
	Origins   Fetcher
	// Log takes the record of every request; it must not block and not keep the record.
	// nil: nothing is recorded.
	Log    func(*accesslog.Record)
	Logger *slog.Logger // what operators must know; nil: nothing
	// Identity is whose words the edge speaks.
	Identity *respheaders.Identity
	// HTTPSPort is where redirects to HTTPS point; 0 or 443 need no port in the URL.
	HTTPSPort uint16
	// QUICPort is advertised in alt-svc for sites that serve HTTP/3; 0 advertises nothing.
	QUICPort uint16
	// CacheBytes and CacheObjectBytes limit the memory cache; 0 means its defaults.
	CacheBytes, CacheObjectBytes int64
	Now                          func() time.Time // nil: time.Now
	Random                       io.Reader        // of request ids; nil: crypto/rand
}

// Edge is the viewer corridor. It implements viewerhttp.Handler.
type Edge struct {
	o      Options
	store  *cachestore.Store[*item]
	ids    *respheaders.RequestIDs
	via    string          // our name in Via, without the version
	altSvc string          // the field of sites that serve HTTP/3; "" = none
	life   context.Context // ends with Close; fills and refreshes run in it
	stop   context.CancelFunc

	exchanges sync.Pool // of *exchange

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup // fills and refreshes; Add only under mu and while not closed
}

// New returns an edge; Close must be called in the end.
func New(o Options) *Edge {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = func(*accesslog.Record) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Edge{o: o, store: cachestore.New(cachestore.Options[*item]{
		Limit: o.CacheBytes, MaxObject: o.CacheObjectBytes, MetaSize: (*item).size,
	}), ids: respheaders.NewRequestIDs(o.Random)}
	_, e.via, _ = strings.Cut(o.Identity.Via(), " ")
	if o.QUICPort != 0 {
		e.altSvc = `h3=":` + strconv.Itoa(int(o.QUICPort)) + `"; ma=86400`
	}
	e.life, e.stop = context.WithCancel(context.Background())
	return e
}

// Close ends the fetches that run for the cache and waits for them. Requests that still
// come are served, but nothing is stored any more.
func (e *Edge) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.work.Wait()
}

// background runs f in the edge's own life; false when the edge is closed.
func (e *Edge) background(f func(ctx context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.work.Go(func() { f(e.life) })
	return true
}

// Cache returns the cache's counts, for metrics.
func (e *Edge) Cache() cachestore.Stats { return e.store.Stats() }

// admission is the table of what a request must pass before any object is looked for.
// Each step returns the answer that ends the walk, nil to go on. The order is
// CloudFront's: nothing is told about a distribution before it is certain that this
// connection may have it, and the viewer protocol policy comes before the methods.
var admission = [...]func(*exchange) *answer{
	(*exchange).checkSize,
	(*exchange).findSite,
	(*exchange).checkFronting,
	(*exchange).checkLoop,
	(*exchange).findBehavior,
	(*exchange).checkProtocol,
	(*exchange).checkMethod,
	(*exchange).checkBody,
}

// ServeViewer implements viewerhttp.Handler: admission, object, error page, response,
// record.
func (e *Edge) ServeViewer(ctx context.Context, r *viewerhttp.Request, w viewerhttp.Responder) {
	x := e.newExchange(r)
	a := x.admit()
	if a == nil {
		a = x.obtain(ctx, x.wanted())
	}
	a = x.customError(ctx, a)
	x.respond(ctx, a, w)
	x.record(ctx, a)
	x.release()
}

func (x *exchange) admit() *answer {
	for _, step := range admission {
		if a := step(x); a != nil {
			return a
		}
	}
	return nil
}
