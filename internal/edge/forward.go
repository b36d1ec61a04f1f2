package edge

import (
	"strings"
	"time"

	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/httpfield"
)

// forward makes the request to an origin. header is the viewer's, with the conditions
// that are right for this fetch.
func (x *exchange) forward(w *wanted, header httpfield.Fields) *origin.Request {
	rules := x.forwarding(w)
	r := &origin.Request{
		Method: w.method, Path: w.path, Query: origin.ForwardedQuery(w.query, rules),
		Header: origin.ForwardedHeader(header, rules),
		Body:   w.body, ContentLength: w.length, ViewerScheme: x.req.Scheme,
	}
	if rules.ForwardsHost() {
		r.Host = x.req.Authority
	}
	w.secret = r.Header.Has("authorization") && !keyHasHeader(w, "authorization")
	return r
}

// forwarding is what decides which parts of the request the origin sees.
func (x *exchange) forwarding(w *wanted) origin.Rules {
	b := w.behavior
	return origin.Rules{
		Cache: b.Cache, OriginRequest: b.OriginRequest, Legacy: b.Legacy != nil,
		Method: w.method, OptionsCached: w.rules.Options, Viewer: x.originViewer(),
		RequestID: x.id, Via: x.edge.via,
	}
}

func (x *exchange) originViewer() origin.Viewer {
	v := origin.Viewer{
		Address: x.req.Conn.Viewer, Scheme: x.req.Scheme,
		HTTPVersion: strings.TrimPrefix(x.req.Proto.String(), "HTTP/"),
	}
	h := x.req.Conn.TLS
	if h == nil {
		return v
	}
	v.TLSVersion, v.Cipher, v.JA3, v.JA4 = h.Version.String(), h.Suite.OpenSSL(), h.JA3, h.JA4
	switch {
	case !x.req.First:
		v.Handshake = "connectionReused"
	case h.Resumed:
		v.Handshake = "sessionResumed"
	default:
		v.Handshake = "fullHandshake"
	}
	return v
}

func keyHasHeader(w *wanted, name string) bool {
	if w.behavior.Cache.Headers.Behavior != "whitelist" {
		return false
	}
	for _, n := range w.behavior.Cache.Headers.Names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// addedFields are the CloudFront-... fields that are part of the key; nil when none is.
func (x *exchange) addedFields(w *wanted) httpfield.Fields {
	for _, n := range w.behavior.Cache.Headers.Names {
		if len(n) > 11 && strings.EqualFold(n[:11], "cloudfront-") {
			rules := x.forwarding(w)
			return rules.Added(w.header)
		}
	}
	return nil
}

func (x *exchange) oldViewer() bool { return x.req.Proto == viewerhttp.HTTP10 }

// start is when the request's first byte came.
func (x *exchange) start() time.Time {
	if x.req.Received.IsZero() {
		return x.now
	}
	return x.req.Received
}
