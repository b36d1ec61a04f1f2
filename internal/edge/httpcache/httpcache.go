// Package httpcache answers: may this response be stored, is this stored one still fresh,
// and what does it answer?
//
// It is pure - now is an argument - and holds CloudFront's rules where they differ from
// RFC 9111 (CloudFront: Manage how long content stays in the cache). It keeps no bytes and
// no keys; package cachestore does that.
package httpcache

import (
	"time"

	"pqfront/internal/httpfield"
)

// Reason names what became of a request or a response in the cache. The values are one
// enum for log, metrics and tests.
type Reason string

// What a lookup came to.
const (
	Hit                  Reason = "hit"
	Miss                 Reason = "miss"
	Joined               Reason = "joined-fill" // another request was fetching it already
	Expired              Reason = "expired"
	Revalidated          Reason = "revalidated"
	StaleWhileRevalidate Reason = "stale-while-revalidate"
	StaleIfError         Reason = "stale-if-error"
)

// Why the cache was not asked.
const (
	BypassMethod     Reason = "bypass-method"
	BypassDisabled   Reason = "bypass-caching-disabled"
	BypassRemembered Reason = "bypass-not-storable-before"
)

// Why a response was stored or not.
const (
	Stored              Reason = "stored"
	NotNoStore          Reason = "not-stored-no-store"
	NotNoCache          Reason = "not-stored-no-cache"
	NotPrivate          Reason = "not-stored-private"
	NotStatus           Reason = "not-stored-status"
	NotStatusUnexplicit Reason = "not-stored-status-without-max-age"
	NotPartial          Reason = "not-stored-partial"
	NotVary             Reason = "not-stored-vary-star"
	NotAuthorization    Reason = "not-stored-authorization"
	NotTooLarge         Reason = "not-stored-too-large"
	NotUseful           Reason = "not-stored-no-lifetime"
)

// Rules are what a cache behavior and its origin say about caching.
type Rules struct {
	MinTTL, DefaultTTL, MaxTTL time.Duration
	Options                    bool // answers to OPTIONS are cached
	// S3 tells that the origin is a bucket: an error is then kept for a second at least
	// (CloudFront: Control how long CloudFront caches errors).
	S3 bool
}

// Usable reports whether a request of this method may be answered from the cache at all,
// and why not.
func (r *Rules) Usable(method string) (Reason, bool) {
	switch {
	case method != "GET" && method != "HEAD" && !(method == "OPTIONS" && r.Options):
		return BypassMethod, false
	case r.MaxTTL <= 0:
		return BypassDisabled, false
	}
	return Miss, true
}

// Response is an answer from an origin that may be stored.
type Response struct {
	Status int
	Header httpfield.Fields
	Length int64 // -1 unknown
	Method string
	// Authorization tells that the request to the origin carried credentials that are
	// not in the cache key.
	Authorization bool
	// ErrorMin is the distribution's error caching minimum TTL for Status.
	ErrorMin time.Duration
}

// Object is a stored response without its bytes. It is not changed once made.
type Object struct {
	Status   int
	Header   httpfield.Fields // as to be sent, without Age and what is for one viewer only
	Length   int64            // of the body; -1 while it is not known
	HeadOnly bool             // came from HEAD: there is no body to answer GET with

	Received time.Time     // when the response came, or was last validated
	AgeThen  time.Duration // the age it had then already
	FreshFor time.Duration // how long after Received it is fresh
	// StaleError bounds how long after that it may stand in for a failing origin:
	// negative = without bound. StaleAsync bounds stale-while-revalidate.
	StaleError, StaleAsync time.Duration

	ETag, LastModified string
}

// State is how usable a stored object is.
type State uint8

// The states.
const (
	Fresh State = iota
	// Refreshable: expired, but it may be served once more while it is fetched anew.
	Refreshable
	// Stale: it must be validated or fetched before it is served.
	Stale
)

// State returns how usable the object is at now.
func (o *Object) State(now time.Time) State {
	since := now.Sub(o.Received)
	switch {
	case since < o.FreshFor:
		return Fresh
	case o.StaleAsync > 0 && since-o.FreshFor < o.StaleAsync:
		return Refreshable
	}
	return Stale
}

// StandsIn reports whether the expired object may be served because the origin fails
// (unreachable, or 5xx).
func (o *Object) StandsIn(now time.Time) bool {
	return o.Status < 400 && (o.StaleError < 0 || now.Sub(o.Received)-o.FreshFor < o.StaleError)
}

// Age is the value of the Age field at now, in seconds.
//
// Deviation: RFC 9111, Section 4.2.3: the origin's Date takes no part; CloudFront counts
// from when it fetched the object.
func (o *Object) Age(now time.Time) int64 {
	// now may be a little earlier: that of a request which waited for the object
	return int64((o.AgeThen + max(0, now.Sub(o.Received))) / time.Second)
}

// Judge decides whether resp is stored. The object is valid when the reason is Stored.
func Judge(resp *Response, r *Rules, now time.Time) (Object, Reason) {
	cc := parseCacheControl(resp.Header)
	if why := storable(resp, r, &cc); why != Stored {
		return Object{}, why
	}
	o := Object{
		Status: resp.Status, Length: resp.Length, HeadOnly: resp.Method == "HEAD",
		Received: now, AgeThen: ageField(resp.Header),
		ETag: resp.Header.Get("etag"), LastModified: resp.Header.Get("last-modified"),
	}
	o.Header = make(httpfield.Fields, 0, len(resp.Header))
	for _, f := range resp.Header {
		if f.Name != "age" && !cc.withholds(f.Name) {
			o.Header = append(o.Header, f)
		}
	}
	if resp.Status >= 400 {
		o.FreshFor = errorTTL(resp, r, &cc, now)
		if o.FreshFor == 0 {
			return Object{}, NotUseful
		}
		return o, Stored
	}
	o.FreshFor = ttl(resp.Header, r, &cc, o.AgeThen, now)
	o.StaleError, o.StaleAsync = staleness(r, &cc)
	if o.FreshFor == 0 && o.StaleError < 0 {
		// Deviation: CloudFront: Manage how long content stays in the cache: what has no
		// life of its own stands in for a failing origin only if the origin has said so. It
		// may have been one viewer's answer.
		o.StaleError = 0
	}
	if o.FreshFor == 0 && o.StaleError == 0 && o.StaleAsync == 0 && o.ETag == "" && o.LastModified == "" {
		return Object{}, NotUseful
	}
	return o, Stored
}

// storable is the part of Judge that says no.
func storable(resp *Response, r *Rules, cc *cacheControl) Reason {
	if why, ok := r.Usable(resp.Method); !ok {
		return why
	}
	explicit := cc.has(maxAge) || cc.has(sMaxAge)
	refuses := cc.refusal()
	switch resp.Status {
	case 200, 203, 204, 300, 301, 302, 303:
	case 206: // we ask for whole objects; a part that comes all the same has no place here
		return NotPartial
	case 404, 410, 414, 501:
		if refuses != Stored { // even if the minimum TTL is above 0
			return refuses
		}
	case 500, 502, 503, 504: // CloudFront: no-store, no-cache and private do not count here
		refuses = Stored
	case 400, 403, 405, 412, 415:
		if !explicit {
			return NotStatusUnexplicit
		}
		refuses = Stored
	case 307, 308:
		if !explicit && !resp.Header.Has("expires") {
			return NotStatusUnexplicit
		}
	default: // 416, and what CloudFront's tables do not name
		if resp.Status >= 300 || !explicit {
			return NotStatus
		}
	}
	switch {
	case refuses != Stored && r.MinTTL <= 0:
		return refuses
	case r.MinTTL <= 0 && varyStar(resp.Header):
		// CloudFront stores it but fetches it anew each time, unconditionally; that looks
		// the same from outside (CloudFront: Request and response behavior for custom origins).
		return NotVary
	case resp.Authorization && !cc.has(public) && !cc.has(sMaxAge) && !cc.has(mustRevalidate):
		// Deviation: CloudFront: Configure CloudFront to forward the Authorization header:
		// it stores such a response; here RFC 9111, Section 3.5 is obeyed, for the response
		// may be for the one who holds the credentials.
		return NotAuthorization
	}
	return Stored
}

// ttl is CloudFront's table of origin header x MinTTL (CloudFront: Manage how long
// content stays in the cache, Specify the amount of time).
func ttl(h httpfield.Fields, r *Rules, cc *cacheControl, age time.Duration, now time.Time) time.Duration {
	if cc.refusal() != Stored {
		return r.MinTTL // storable has seen that it is above 0
	}
	t, ok := explicitTTL(h, cc, age, now)
	if !ok {
		t = r.DefaultTTL
	}
	return max(min(t, r.MaxTTL), r.MinTTL)
}

// explicitTTL is what the origin asks for: s-maxage before max-age before Expires.
func explicitTTL(h httpfield.Fields, cc *cacheControl, age time.Duration, now time.Time) (time.Duration, bool) {
	switch {
	case cc.has(sMaxAge):
		return max(0, cc.sMaxAge-age), true
	case cc.has(maxAge):
		return max(0, cc.maxAge-age), true
	case h.Has("expires"):
		at, ok := parseDate(h.Get("expires"))
		if !ok {
			return 0, true // RFC 9111, Section 5.3: an invalid date, such as "0", is in the past
		}
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// errorTTL is how long an error is kept: what the origin says, but the error caching
// minimum at least (CloudFront: Control how long CloudFront caches errors).
func errorTTL(resp *Response, r *Rules, cc *cacheControl, now time.Time) time.Duration {
	t, ok := explicitTTL(resp.Header, cc, 0, now)
	if !ok || cc.refusal() != Stored {
		t = 0
	}
	t = max(min(t, r.MaxTTL), resp.ErrorMin)
	if r.S3 {
		t = max(t, time.Second)
	}
	return t
}

// staleness is how long beyond its life an object may be used. Without stale-if-error an
// origin that fails is covered for without bound (CloudFront: Manage how long content
// stays in the cache, stale-if-error). must-revalidate forbids both (RFC 9111, Section 5.2.2.2).
func staleness(r *Rules, cc *cacheControl) (onError, async time.Duration) {
	if cc.has(mustRevalidate) {
		return 0, 0
	}
	onError = -1
	if cc.has(staleIfError) {
		onError = min(cc.staleIfError, r.MaxTTL)
	}
	if cc.has(staleWhileRevalidate) {
		async = min(cc.staleWhileRevalidate, r.MaxTTL)
	}
	return onError, async
}

// Collapses reports whether concurrent requests for the object may share one fetch,
// as far as its settings tell (CloudFront: Request and response behavior for custom
// origins, Simultaneous requests for the same object).
func (r *Rules) Collapses(cookiesForwarded bool) bool {
	return !cookiesForwarded && r.MaxTTL > 0
}

// Extended returns o with its life prolonged to d after now: an object that stands in for
// a failing origin is not tried again before. The bound of stale-if-error does not move.
func (o Object) Extended(now time.Time, d time.Duration) Object {
	until := max(o.FreshFor, now.Add(d).Sub(o.Received))
	if o.StaleError >= 0 {
		end := o.FreshFor + o.StaleError
		until = min(until, end)
		o.StaleError = end - until
	}
	o.FreshFor = until
	return o
}
