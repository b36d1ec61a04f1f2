package edge

import (
	"io"
	"slices"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/httpcache"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/httpfield"
)

// exchange is one request on its way through the corridor: the one holder of what is
// known of it.
type exchange struct {
	edge *Edge
	req  *viewerhttp.Request
	now  time.Time // when it entered
	id   string    // x-amz-cf-id

	snap     *snapshot.Snapshot
	site     *snapshot.Site     // nil until found
	behavior *snapshot.Behavior // nil until found
	// misdirected: nothing of the distribution is shown, not even its error pages; the
	// log still tells its owner.
	misdirected bool
	path        string // the request's, or that of the default root object

	facts facts              // about the origin
	began respheaders.Result // the answer's result when it began

	// Kept here so that a hit costs no allocations of its own for them.
	response viewerhttp.Response
	sent     viewerhttp.Sent
	want     wanted
	first    answer
	answered bool // first is taken
	slow     bool // more than a hit: somebody else may know of this exchange
	rec      accesslog.Record
	keySpace [256]byte
}

// facts are what the log says about the origin's side.
type facts struct {
	address, tls, group string
	firstByte           time.Duration
}

func (e *Edge) newExchange(r *viewerhttp.Request) *exchange {
	x, _ := e.exchanges.Get().(*exchange)
	if x == nil {
		x = new(exchange)
	}
	x.edge, x.req, x.now, x.id, x.path = e, r, e.o.Now(), e.ids.Next(), r.Path
	return x
}

// release gives the exchange of a mere hit back for another request. Those that went
// further are left to the garbage collector: they cost more anyway.
func (x *exchange) release() {
	if x.slow {
		return
	}
	e := x.edge
	*x = exchange{}
	e.exchanges.Put(x)
}

// wanted is one object that the corridor is after: the viewer's, or an error page.
type wanted struct {
	behavior *snapshot.Behavior
	method   string
	path     string
	query    string
	hasQuery bool
	header   httpfield.Fields // the viewer's
	body     io.Reader
	length   int64
	rules    httpcache.Rules
	cookies  bool // cookies reach the origin
	// secret tells that the last fetch carried credentials that are not in the key.
	secret bool
}

func (x *exchange) wanted() *wanted {
	r := x.req
	w := &x.want
	*w = wanted{
		behavior: x.behavior, method: r.Method, path: x.path, query: r.Query, hasQuery: r.HasQuery,
		header: r.Header, body: r.Body, length: r.ContentLength,
	}
	w.setRules()
	if r.Body != nil {
		// Content is no part of the key, so it must not choose what others get. Only
		// OPTIONS comes here with content and a method that is cached.
		w.rules.Options = false
	}
	return w
}

// setRules takes the caching rules out of the behavior.
func (w *wanted) setRules() {
	b := w.behavior
	w.rules = httpcache.Rules{
		MinTTL: b.Cache.MinTTL, DefaultTTL: b.Cache.DefaultTTL, MaxTTL: b.Cache.MaxTTL,
		Options: slices.Contains(b.CachedMethods, "OPTIONS"),
		S3:      len(b.Origins) > 0 && b.Origins[0].S3 != nil,
	}
	w.cookies = takesCookies(b.Cache.Cookies) || b.OriginRequest != nil && takesCookies(b.OriginRequest.Cookies)
}

func takesCookies(s cdn.Selection) bool { return s.Behavior != "" && s.Behavior != "none" }

// isGet tells that the viewer wants (the head of) an object.
func (w *wanted) isGet() bool { return w.method == "GET" || w.method == "HEAD" }

// errorMin is the distribution's error caching minimum for status; 10 s unless it says
// otherwise (CloudFront: Control how long CloudFront caches errors).
func (x *exchange) errorMin(status int) time.Duration {
	for i := range x.site.Distribution.ErrorResponses {
		if r := &x.site.Distribution.ErrorResponses[i]; r.ErrorCode == status {
			return r.CachingMin
		}
	}
	return 10 * time.Second
}
