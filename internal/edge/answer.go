package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"pqfront/internal/edge/cachestore"
	"pqfront/internal/edge/httpcache"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/httpfield"
)

// answer is what the viewer will get, before it is dressed with our own fields.
type answer struct {
	status int
	header httpfield.Fields   // the origin's, or those of a page of our own
	from   *snapshot.Behavior // that it came through, when that is not the request's own
	// object is set for what comes out of the cache or goes through it: conditions and
	// ranges are then answered here.
	object *httpcache.Object
	length int64 // of the body; -1 unknown

	// At most one of these is the body.
	bytes  []byte
	body   *cachestore.Body
	stream io.ReadCloser
	offset int64 // where the answer begins in body

	result   respheaders.Result // x-edge-result-type and x-cache
	detailed string             // x-edge-detailed-result-type; "" = as result
	age      int64              // -1 = no Age
	own      bool               // generated here: header is complete
	bare     bool               // no custom error page takes its place
	close    bool
	gone     bool   // the viewer went away before there was an answer
	reason   string // for the log
}

// The detailed result types that no cause and no failing origin names (CloudFront:
// Standard log file fields, x-edge-detailed-result-type).
const (
	detailError       = "Error"
	detailClientComm  = "ClientCommError"
	detailOriginError = "OriginError"
	detailOriginRead  = "OriginReadError"
)

// refuse is an error page of our own.
func (x *exchange) refuse(c respheaders.Cause) *answer {
	page := x.generated().Error(c, "")
	return &answer{status: page.Status, header: page.Header, bytes: page.Body, length: int64(len(page.Body)),
		own: true, age: -1, result: page.Result, detailed: c.Info().Detailed, reason: string(c)}
}

// redirect points the viewer to the same URL over HTTPS.
func (x *exchange) redirect() *answer {
	r := x.generated().RedirectHTTPS(x.httpsURL())
	return &answer{status: r.Status, header: r.Header, bytes: r.Body, length: int64(len(r.Body)),
		own: true, age: -1, result: r.Result, reason: "redirect to https"}
}

// failed is the answer to an error that the origin's side or the viewer's body caused.
func (x *exchange) failed(ctx context.Context, err error) *answer {
	c, detailed := causeOf(err)
	a := x.failedAs(c, detailed)
	a.reason = err.Error()
	switch {
	case ctx.Err() != nil:
		a.gone, a.detailed = true, detailClientComm
	case c == respheaders.InternalError: // no row: the viewer learns nothing, the operator all
		x.edge.o.Logger.Error("a request failed without a known cause", "err", err,
			"host", x.req.Authority, "path", x.req.Path, "id", x.id)
	}
	return a
}

func (x *exchange) failedAs(c respheaders.Cause, detailed string) *answer {
	a := x.refuse(c)
	if detailed != "" {
		a.detailed = detailed
	}
	return a
}

// causeOf is the one table from errors to answers. detailed is what the log says instead
// of the cause's own word; "" = that one.
func causeOf(err error) (c respheaders.Cause, detailed string) {
	if e, ok := errors.AsType[*viewerhttp.BodyError](err); ok {
		return respheaders.CauseOf(max(e.Status, 400)), ""
	}
	e, ok := errors.AsType[*origin.Error](err)
	if !ok {
		return respheaders.InternalError, ""
	}
	return originCause(e), string(e.Kind)
}

func originCause(e *origin.Error) respheaders.Cause {
	switch {
	case e.Kind == origin.KindRequest:
		return respheaders.BadRequest
	case e.Kind == origin.KindDNS:
		return respheaders.OriginDNS
	case e.Kind == origin.KindCredentials:
		return respheaders.OriginCredentials
	case e.Connecting && e.Status == 504:
		return respheaders.OriginConnectTimeout
	case e.Connecting && isTLS(e):
		return respheaders.OriginTLS
	case e.Connecting:
		return respheaders.OriginConnect
	case e.Status == 504:
		return respheaders.OriginTimeout
	case e.Kind == origin.KindInvalidResponse:
		return respheaders.OriginBadResponse
	case e.Kind == origin.KindHeaderTooBig:
		return respheaders.OriginHeadTooLarge
	}
	return respheaders.OriginClosed
}

// isTLS tells failures of the handshake from those of the network below it.
func isTLS(e *origin.Error) bool {
	_, network := errors.AsType[*net.OpError](e.Err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](e.Err)
	_, record := errors.AsType[tls.RecordHeaderError](e.Err)
	_, alert := errors.AsType[tls.AlertError](e.Err)
	return certificate || record || alert || !network
}

// passedOn is an answer that goes from the origin to the viewer as it is.
func passedOn(resp *origin.Response, why httpcache.Reason) *answer {
	a := &answer{status: resp.Status, header: resp.Header, length: resp.Length, stream: resp.Body,
		age: -1, result: respheaders.Miss, reason: string(why)}
	a.judgeStatus()
	return a
}

// judgeStatus turns the result of an error into Error, cached or not
// (CloudFront: x-cache values of HTTP 4xx and 5xx answers).
func (a *answer) judgeStatus() {
	switch {
	case a.status >= 500:
		a.result, a.detailed = respheaders.Error, detailOriginError
	case a.status >= 400:
		a.result, a.detailed = respheaders.Error, detailError
	}
}

// newAnswer spares the first answer an allocation of its own.
func (x *exchange) newAnswer() *answer {
	if x.answered {
		return new(answer)
	}
	x.answered = true
	return &x.first
}

// fromCache is a stored object.
func (x *exchange) fromCache(it *item, body *cachestore.Body, why httpcache.Reason) *answer {
	if it.failure != "" {
		a := x.failedAs(it.cause, it.failure)
		a.reason = string(why)
		return a
	}
	a := x.newAnswer()
	*a = answer{status: it.Status, header: it.Header, object: &it.Object, length: it.Length, body: body,
		result: respheaders.Hit, age: it.Age(x.now), reason: string(why)}
	if !it.HeadOnly {
		a.length = body.Len()
	}
	a.judgeStatus()
	return a
}

// drop throws the answer's body away.
func (a *answer) drop() {
	if a.stream != nil {
		a.stream.Close()
		a.stream = nil
	}
	a.bytes, a.body = nil, nil
}

// customError replaces an error by the page that the distribution's owner made for it
// (CloudFront: Generate custom error responses).
func (x *exchange) customError(ctx context.Context, a *answer) *answer {
	if a.status < 400 || x.site == nil || x.misdirected || a.gone || a.bare || bypassesPages(a.result) {
		return a
	}
	d := x.site.Distribution
	for i := range d.ErrorResponses {
		r := &d.ErrorResponses[i]
		if r.ErrorCode != a.status || r.PagePath == "" {
			continue
		}
		a.drop()
		w := x.wantedPage(r.PagePath)
		page := x.obtain(ctx, w)
		page.from = w.behavior
		page.result, page.age = a.result, -1
		page.reason = fmt.Sprintf("%s; custom page for %d", a.reason, a.status)
		page.object = nil // the viewer's conditions and ranges were about another object
		if page.status >= 400 {
			// The page is not available: the viewer gets the status of the page's own
			// origin, and there is no second page for that.
			return page
		}
		page.detailed = a.detailed
		page.close = page.close || closesAfterPage(a.status)
		page.status = a.status
		if r.ResponseCode != 0 {
			page.status = r.ResponseCode
		}
		return page
	}
	return a
}

// bypassesPages: a 503 of these kinds is never replaced (CloudFront: Generate custom
// error responses).
func bypassesPages(r respheaders.Result) bool {
	return r == respheaders.CapacityExceeded || r == respheaders.LimitExceeded
}

// closesAfterPage: with a custom page the connection ends after these codes
// (CloudFront: Create a custom error page for specific HTTP status codes).
func closesAfterPage(status int) bool {
	switch status {
	case 400, 405, 414, 416, 500, 501:
		return true
	}
	return false
}

// wantedPage is the request for a custom error page: GET, through the first behavior
// whose pattern matches its path.
func (x *exchange) wantedPage(path string) *wanted {
	w := &wanted{behavior: x.site.Match(path), method: "GET", path: path}
	w.header = make(httpfield.Fields, 0, len(x.req.Header))
	for _, f := range x.req.Header {
		if !conditional(f.Name) && !strings.HasPrefix(f.Name, "content-") {
			w.header = append(w.header, f)
		}
	}
	w.setRules()
	return w
}

// ErrorPage is viewerhttp.Engine's hook: the page of a refusal that the corridor never sees.
func (e *Edge) ErrorPage(status int, reason viewerhttp.Reason) (httpfield.Fields, []byte) {
	page := respheaders.Generated{Identity: e.o.Identity, RequestID: e.ids.Next(), Now: e.o.Now()}.
		Error(respheaders.CauseOf(status), reason.Doc())
	return page.Header, page.Body
}
