package edge

import (
	"math/rand/v2"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/httpfield"
)

func (e *Edge) sample() float64 { return rand.Float64() * 100 }

func (x *exchange) oldViewer() bool { return x.req.Proto == viewerhttp.HTTP10 }

// start is when the request's first byte came.
func (x *exchange) start() time.Time {
	if x.req.Received.IsZero() {
		return x.now
	}
	return x.req.Received
}
func addsFields(s cdn.Selection) bool                      { return false }
func (x *exchange) addedFields(w *wanted) httpfield.Fields { return nil }
func (x *exchange) secret(w *wanted) bool                  { return false }
func (x *exchange) forward(w *wanted, h httpfield.Fields, o *snapshot.Origin) *origin.Request {
	return &origin.Request{Method: w.method, Path: w.path, Query: w.query, Header: h, Body: w.body, ContentLength: w.length, ViewerScheme: x.req.Scheme}
}
