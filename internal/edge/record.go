package edge

import (
	"context"
	"strconv"
	"strings"

	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/respheaders"
)

// record writes the access log's record of the request; there is one for every request.
func (x *exchange) record(ctx context.Context, a *answer) {
	r, now := x.req, x.edge.o.Now()
	x.rec = accesslog.Record{
		Time: now, Location: x.edge.o.Identity.POP(), RequestID: x.id,
		Scheme: r.Scheme, Proto: r.Proto.String(), Method: r.Method, Host: r.Authority, Path: r.Path, Query: r.Query,
		Referer: r.Header.Get("referer"), UserAgent: r.Header.Get("user-agent"),
		ForwardedFor: r.Header.Get("x-forwarded-for"),
		RequestBytes: r.HeadBytes, First: r.First,
		Status: a.status, ResponseBytes: x.sent.HeadBytes + x.sent.BodyBytes,
		ContentType: x.response.Header.Get("content-type"), ContentLength: -1, RangeStart: -1, RangeEnd: -1,
		ResultType: string(a.result), ResponseResult: string(x.began), Detailed: a.detailed,
		Taken:         now.Sub(x.start()),
		OriginAddress: x.facts.address, OriginTLS: x.facts.tls, OriginGroup: x.facts.group, OriginFirstByte: x.facts.firstByte,
		Reason: a.reason,
	}
	rec := &x.rec
	if r.Conn != nil {
		rec.ViewerIP, rec.ViewerPort, rec.TLS = r.Conn.Viewer.Addr().Unmap().String(), r.Conn.Viewer.Port(), r.Conn.TLS
	}
	if x.site != nil {
		rec.Distribution, rec.DistributionDomain = x.site.Distribution.ID, x.site.Distribution.DomainName
		if x.site.Distribution.Logging.IncludeCookies {
			rec.Cookie = r.Header.Joined("cookie")
		}
	}
	if x.behavior != nil {
		rec.Behavior = x.behavior.PathPattern
	}
	if rec.Detailed == "" {
		rec.Detailed = string(a.result)
	}
	if !x.sent.FirstByte.IsZero() {
		rec.FirstByte = x.sent.FirstByte.Sub(x.start())
	}
	if n, err := strconv.ParseInt(x.response.Header.Get("content-length"), 10, 64); err == nil {
		rec.ContentLength = n
	}
	if a.status == 206 {
		rec.RangeStart, rec.RangeEnd = rangeOf(x.response.Header.Get("content-range"))
	}
	if a.gone {
		rec.ResultType, rec.Detailed = string(respheaders.Error), detailClientComm
		if x.sent.HeadBytes == 0 {
			rec.Status = 0 // CloudFront: Standard log file fields, sc-status 000
		}
	}
	x.edge.o.Log(rec)
}

// rangeOf reads "bytes first-last/length"; -1, -1 for anything else.
func rangeOf(v string) (first, last int64) {
	v, ok := strings.CutPrefix(v, "bytes ")
	span, _, _ := strings.Cut(v, "/")
	a, b, ok2 := strings.Cut(span, "-")
	first, err := strconv.ParseInt(a, 10, 64)
	last, err2 := strconv.ParseInt(b, 10, 64)
	if !ok || !ok2 || err != nil || err2 != nil {
		return -1, -1
	}
	return first, last
}
