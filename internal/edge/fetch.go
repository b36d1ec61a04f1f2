package edge

import (
	"context"
	"errors"
	"slices"

	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/httpfield"
)

// fetch asks the behavior's origin and, in an origin group, the second one when the
// first fails (CloudFront: Optimize high availability with CloudFront origin failover).
// Every request begins with the first origin: nothing is remembered about its health.
func (x *exchange) fetch(ctx context.Context, w *wanted, header httpfield.Fields) (*origin.Response, error) {
	b := w.behavior
	last := len(b.Origins) - 1
	for i, o := range b.Origins {
		resp, err := x.fetchFrom(ctx, w, header, o)
		if i == last || !failsOver(w) || !slices.Contains(b.FailoverCodes, failoverCode(resp, err)) {
			return resp, err
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	return nil, errors.New("the cache behavior has no origin")
}

// failsOver: only requests that may be repeated do; OPTIONS only where it is cached.
func failsOver(w *wanted) bool {
	return w.isGet() || w.method == "OPTIONS" && w.rules.Options
}

// failoverCode is what an origin group's list of status codes must contain for the second
// origin to be asked: the response's own, 503 when there was no connection, 504 when
// there was no answer in time; 0 when the viewer or we ourselves are at fault.
func failoverCode(resp *origin.Response, err error) int {
	if err == nil {
		return resp.Status
	}
	e, ok := errors.AsType[*origin.Error](err)
	switch {
	case !ok:
		return 0
	case e.Connecting:
		return 503
	}
	return e.Status
}

func (x *exchange) fetchFrom(ctx context.Context, w *wanted, header httpfield.Fields, o *snapshot.Origin) (*origin.Response, error) {
	resp, err := x.edge.o.Origins.Fetch(ctx, origin.Target{Origin: o.Origin, AccessControl: o.AccessControl}, x.forward(w, header))
	if err != nil {
		return nil, err
	}
	x.facts = facts{address: resp.Facts.Address, tls: resp.Facts.TLSVersion, group: resp.Facts.Group, firstByte: resp.Facts.FirstByte}
	return resp, nil
}
