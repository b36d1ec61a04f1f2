package edge

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/cachestore"
	"pqfront/internal/edge/httpcache"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/httpfield"
)

// respond answers conditions and ranges, adds our own fields and sends the response.
func (x *exchange) respond(ctx context.Context, a *answer, w viewerhttp.Responder) {
	x.selectPart(a)
	x.began = a.result
	x.response = viewerhttp.Response{
		Status: a.status, Header: x.dress(a), Bytes: a.bytes, Length: a.length, Close: a.close,
	}
	if a.body != nil {
		a.body.Hold() // a slow viewer keeps the bytes, whatever the cache does
		x.setBody(a)
	} else if a.stream != nil {
		x.response.Stream, x.response.Bytes = a.stream, nil
	}
	early := ctx.Err() != nil
	var err error
	x.sent, err = w.Respond(&x.response)
	if a.body != nil {
		a.body.Release()
	}
	if early { // whatever the connection took: nobody was there any more
		a.gone, x.sent.HeadBytes = true, 0
	}
	switch {
	case x.sent.ViewerGone, ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		a.gone = true
	case err != nil: // the body broke off
		a.reason += "; " + err.Error()
		a.result, a.detailed = respheaders.Error, detailOriginRead
		if e, ok := errors.AsType[*origin.Error](err); ok {
			a.detailed = string(e.Kind)
		}
	}
}

// setBody gives a stored body to the response: in one piece when it is held so.
func (x *exchange) setBody(a *answer) {
	if x.req.Method == "HEAD" {
		return
	}
	if p, ok := a.body.Bytes(); ok {
		x.response.Bytes = p[a.offset : a.offset+a.length]
		return
	}
	x.response.Stream = a.body.Open(a.offset, a.length)
}

// selectPart turns the answer into a 304, 206 or 416 where the viewer's conditions and
// range say so (RFC 9110, Section 13.2.2).
func (x *exchange) selectPart(a *answer) {
	if a.object == nil || x.req.Method != "GET" && x.req.Method != "HEAD" {
		return
	}
	if httpcache.NotModified(x.req.Header, a.object) {
		a.drop()
		a.status, a.length = 304, -1
		return
	}
	if x.req.Method == "HEAD" { // RFC 9110, Section 14.2: Range is for GET
		return
	}
	part, off, n := httpcache.Select(x.req.Header, a.object)
	switch part {
	case httpcache.Range:
		if s, ok := a.stream.(*cachestore.Reader); ok {
			s.Limit(off, n)
		}
		a.status, a.offset, a.length = 206, off, n
		a.header = append(a.header[:len(a.header):len(a.header)],
			httpfield.Field{Name: "content-range", Value: contentRange(off, n, a.object.Length)})
	case httpcache.Unsatisfiable:
		a.drop()
		page := x.refuse(respheaders.RangeNotSatisfiable)
		page.header.Add("content-range", "bytes */"+strconv.FormatInt(a.object.Length, 10)) // RFC 9110, Section 15.5.17
		page.reason = a.reason
		*a = *page
	}
}

// contentRange writes the field's value (RFC 9110, Section 14.4).
func contentRange(off, n, length int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, off, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, off+n-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, length, 10))
}

// generated is what answers of our own are made with.
func (x *exchange) generated() respheaders.Generated {
	return respheaders.Generated{
		Identity: x.edge.o.Identity, Viewer: x.viewer(), Policy: x.policy(), AltSvc: x.altSvc(),
		RequestID: x.id, Now: x.now, Timing: x.timing(),
	}
}

// dress composes the header of the response.
func (x *exchange) dress(a *answer) httpfield.Fields {
	if a.own {
		return a.header
	}
	in := respheaders.Input{
		Identity: x.edge.o.Identity, Viewer: x.viewer(), Policy: x.policy(),
		Status: a.status, Result: a.result, Origin: a.header,
		Length: a.length, Age: a.age, AltSvc: x.altSvc(), RequestID: x.id, Now: x.now, Timing: x.timing(),
	}
	if b := cmp.Or(a.from, x.behavior); b != nil {
		in.Forwarding = respheaders.Forwarding{Cache: b.Cache, Origin: b.OriginRequest}
	}
	return respheaders.Compose(in)
}

func (x *exchange) viewer() respheaders.Viewer {
	return respheaders.ViewerOf(x.req.Method, x.req.Scheme == "https", x.req.Header)
}

func (x *exchange) policy() *cdn.ResponseHeadersPolicy {
	if x.behavior == nil {
		return nil
	}
	return x.behavior.ResponseHeaders
}

// altSvc advertises HTTP/3, over plain HTTP as well (CloudFront: Supported HTTP versions).
func (x *exchange) altSvc() string {
	if x.site == nil || x.misdirected || x.site.TLS == nil || !x.site.TLS.ServesQUIC {
		return ""
	}
	return x.edge.altSvc
}

// timing is for Server-Timing, measured only where a policy may want it.
func (x *exchange) timing() respheaders.Timing {
	p := x.policy()
	if p == nil || p.ServerTimingSampling < 0 {
		return respheaders.Timing{}
	}
	t := respheaders.Timing{
		Sample: rand.Float64() * 100, // which requests are sampled is no secret
		DNS:    -1, Connect: -1, UpstreamFirstByte: -1, DownstreamFirstByte: x.edge.o.Now().Sub(x.start()),
	}
	if x.facts.firstByte > 0 {
		t.UpstreamFirstByte = x.facts.firstByte
	}
	return t
}
