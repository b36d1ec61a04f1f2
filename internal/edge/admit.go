package edge

import (
	"slices"
	"strconv"
	"strings"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/edge/viewerhttp"
)

// maxURL is CloudFront's limit on a URL's length (CloudFront: Quotas). The engines have
// the same one; this is for what reaches the corridor otherwise.
const maxURL = 8192

// maxChained is how many distributions may be passed before this one
// (CloudFront: Quotas, Chained distributions: 2).
const maxChained = 2

func (x *exchange) checkSize() *answer {
	if len(x.req.Path)+1+len(x.req.Query) > maxURL {
		a := x.refuse(respheaders.URLTooLong)
		a.close = true // CloudFront: Quotas: the connection ends
		return a
	}
	return nil
}

// findSite: the Host alone decides, not the server name of the handshake
// (CloudFront: Use custom URLs by adding alternate domain names).
func (x *exchange) findSite() *answer {
	x.snap = x.edge.o.Snapshots.Load()
	if x.snap == nil {
		return x.refuse(respheaders.Capacity)
	}
	site, ok := x.snap.ByHost(x.req.Authority) // disabled distributions are not in the snapshot
	if !ok {
		return x.refuse(respheaders.UnknownHost)
	}
	x.site = site
	return nil
}

// checkFronting: a connection that another distribution's policy let in must be one that
// this distribution's policy would have let in, too.
func (x *exchange) checkFronting() *answer {
	h := x.req.Conn.TLS
	if h == nil {
		return nil
	}
	from, ok := x.snap.ByServerName(h.ServerName)
	if !ok {
		from = x.snap.Default
	}
	if snapshot.MayServe(h, from, x.site) {
		return nil
	}
	x.misdirected = true
	return x.refuse(respheaders.Misdirected)
}

// checkLoop counts the distributions that the request came through already
// (CloudFront: Quotas: at most 2 chained, then 403).
func (x *exchange) checkLoop() *answer {
	if via := x.req.Header.Joined("via"); strings.Count(via, "("+x.edge.o.Identity.Server()+")") >= maxChained {
		a := x.refuse(respheaders.ForwardingLoop)
		a.bare = true // to get a page would be another turn of the loop
		return a
	}
	return nil
}

// findBehavior: the default root object stands for "/" only
// (CloudFront: Specify a default root object).
func (x *exchange) findBehavior() *answer {
	if root := x.site.Distribution.DefaultRootObject; x.path == "/" && root != "" {
		x.path += strings.TrimPrefix(root, "/")
	}
	x.behavior = x.site.Match(x.path)
	return nil
}

// checkProtocol is the viewer protocol policy
// (CloudFront: Require HTTPS for communication between viewers and CloudFront).
func (x *exchange) checkProtocol() *answer {
	if x.req.Scheme == "https" || x.behavior.ViewerProtocol == cdn.AllowAll {
		return nil
	}
	if x.behavior.ViewerProtocol == cdn.HTTPSOnly {
		return x.refuse(respheaders.HTTPSOnly)
	}
	switch x.req.Method {
	case "GET", "HEAD":
		return x.redirect()
	case "DELETE", "OPTIONS", "PATCH", "POST", "PUT":
		if x.req.Proto >= viewerhttp.HTTP11 { // HTTP/1.0 does not know 307
			return x.redirect()
		}
	}
	return x.refuse(respheaders.HTTPSOnly)
}

// httpsURL is the request's own URL with https and the port that speaks it.
func (x *exchange) httpsURL() string {
	host := x.req.Authority
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	if p := x.edge.o.HTTPSPort; p != 0 && p != 443 {
		host += ":" + strconv.Itoa(int(p))
	}
	u := "https://" + host + x.req.Path
	if x.req.HasQuery {
		u += "?" + x.req.Query
	}
	return u
}

// checkMethod (CloudFront: All distribution settings reference, Allowed HTTP methods).
// TRACE and CONNECT are never allowed.
func (x *exchange) checkMethod() *answer {
	if x.req.Path == "*" { // asks about the server, not about an object: there is no key for it
		return x.refuse(respheaders.BadRequest)
	}
	if m := x.req.Method; m != "TRACE" && m != "CONNECT" && slices.Contains(x.behavior.AllowedMethods, m) {
		return nil
	}
	return x.refuse(respheaders.MethodNotAllowed)
}

// checkBody: a GET with a body is refused
// (CloudFront: Request and response behavior for custom origins, GET requests that include a body).
func (x *exchange) checkBody() *answer {
	if (x.req.Method == "GET" || x.req.Method == "HEAD") && x.req.Body != nil && x.req.ContentLength != 0 {
		a := x.refuse(respheaders.BodyNotAllowed)
		a.close = true // the body is not read
		return a
	}
	return nil
}
