package cdn

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkOrigins: CloudFront: All distribution settings reference, Origin settings.
func (ps *problems) checkOrigins(d *Distribution, q Quotas) {
	switch n := len(d.Origins); {
	case n == 0:
		ps.add(CodeInvalidArgument, "Origins", "is empty: give at least one origin")
	case n > q.Origins:
		ps.add(CodeTooManyOrigins, "Origins", "%d origins: use at most %d", n, q.Origins)
	}
	seen := map[string]int{}
	for i := range d.Origins {
		o, field := &d.Origins[i], item("Origins", i)
		ps.required(field+".Id", o.ID, 128)
		if first, ok := seen[o.ID]; ok && o.ID != "" {
			ps.add(CodeInvalidArgument, field+".Id", "%q is there twice, first at %s: rename one", o.ID, item("Origins", first))
		} else {
			seen[o.ID] = i
		}
		ps.checkOrigin(field, o, q)
	}
}

func (ps *problems) checkOrigin(field string, o *Origin, q Quotas) {
	if why := hostNameError(o.DomainName); why != "" {
		ps.add(CodeInvalidArgument, field+".DomainName", "%q %s", o.DomainName, why)
	}
	switch {
	case o.Path == "":
	case o.Path[0] != '/':
		ps.add(CodeInvalidArgument, field+".OriginPath", "%q has no leading slash: begin it with one", o.Path)
	case strings.HasSuffix(o.Path, "/"):
		ps.add(CodeInvalidArgument, field+".OriginPath", "%q ends with a slash: leave the last slash out", o.Path)
	case len(o.Path) > 255:
		ps.add(CodeInvalidArgument, field+".OriginPath", "has %d characters: use at most 255", len(o.Path))
	case !isPathText(o.Path):
		ps.add(CodeInvalidArgument, field+".OriginPath", "%q has characters that a path cannot have: write them as percent escapes", o.Path)
	}
	ps.checkOriginHeaders(field+".CustomHeaders", o.Headers, q.OriginHeaders)
	ps.checkOriginKind(field, o, q)
	if o.ConnectionAttempts < 1 || o.ConnectionAttempts > 3 {
		ps.add(CodeInvalidArgument, field+".ConnectionAttempts", "is %d: use 1, 2 or 3", o.ConnectionAttempts)
	}
	ps.between(CodeInvalidArgument, field+".ConnectionTimeout", o.ConnectionTimeout, time.Second, 10*time.Second)
	if o.ShieldEnabled {
		if !isRegion(o.ShieldRegion) {
			ps.add(CodeInvalidArgument, field+".OriginShield.OriginShieldRegion", "%q is not a region: use one such as us-east-1", o.ShieldRegion)
		}
	}
}

// checkOriginKind checks the S3 or custom part.
func (ps *problems) checkOriginKind(field string, o *Origin, q Quotas) {
	var read time.Duration
	var readField string
	switch {
	case (o.S3 == nil) == (o.Custom == nil):
		ps.add(CodeInvalidArgument, field, "needs exactly one of S3OriginConfig and CustomOriginConfig: add or remove one")
		return
	case o.S3 != nil:
		read, readField = o.S3.ReadTimeout, field+".S3OriginConfig.OriginReadTimeout"
		ps.checkAccessIdentity(field, o)
	default:
		read, readField = o.Custom.ReadTimeout, field+".CustomOriginConfig.OriginReadTimeout"
		ps.checkCustomOrigin(field+".CustomOriginConfig", o.Custom, q)
	}
	ps.between(CodeInvalidOriginReadTimeout, readField, read, time.Second, q.OriginReadTimeout)
	if t := o.ResponseCompletionTimeout; t != 0 && (t < read || t < 0 || t > maxTTL) {
		ps.add(CodeInvalidArgument, field+".ResponseCompletionTimeout", "is %s, shorter than the OriginReadTimeout of %s or out of range: make it as long at least, or leave it out", seconds(t), seconds(read))
	}
}

func (ps *problems) checkAccessIdentity(field string, o *Origin) {
	id := o.S3.OriginAccessIdentity
	if id == "" {
		return
	}
	if name, ok := strings.CutPrefix(id, "origin-access-identity/cloudfront/"); !ok || !isID(name, "") {
		ps.add(CodeInvalidOriginAccessIdentity, field+".S3OriginConfig.OriginAccessIdentity", "%q is not an origin access identity: write it as origin-access-identity/cloudfront/ID, or leave it empty", id)
	}
	if o.AccessControlID != "" {
		ps.add(CodeIllegalOriginAccessConfiguration, field, "has an origin access control and an origin access identity: remove the identity")
	}
}

func (ps *problems) checkCustomOrigin(field string, c *CustomOrigin, q Quotas) {
	ps.checkPort(field+".HTTPPort", c.HTTPPort)
	ps.checkPort(field+".HTTPSPort", c.HTTPSPort)
	ps.oneOf(CodeInvalidArgument, field+".OriginProtocolPolicy", string(c.ProtocolPolicy),
		string(OriginHTTPOnly), string(OriginMatchViewer), string(OriginHTTPSOnly))
	if len(c.SSLProtocols) == 0 {
		ps.add(CodeInvalidArgument, field+".OriginSslProtocols", "is empty: name at least TLSv1.2")
	}
	for i, p := range c.SSLProtocols {
		ps.oneOf(CodeInvalidArgument, item(field+".OriginSslProtocols", i), p, "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2")
		if slices.Contains(c.SSLProtocols[:i], p) {
			ps.add(CodeInvalidArgument, item(field+".OriginSslProtocols", i), "%q is there twice: remove one", p)
		}
	}
	ps.between(CodeInvalidOriginKeepaliveTimeout, field+".OriginKeepaliveTimeout", c.KeepaliveTimeout, time.Second, q.OriginKeepaliveTimeout)
}

func (ps *problems) checkPort(field string, port int) {
	if port != 80 && port != 443 && (port < 1024 || port > 65535) {
		ps.add(CodeInvalidArgument, field, "is %d: use 80, 443 or 1024 to 65535", port)
	}
}

// between checks a duration of whole seconds.
func (ps *problems) between(code, field string, d, least, most time.Duration) {
	if d < least || d > most {
		ps.add(code, field, "is %s: use %s to %s seconds", seconds(d), seconds(least), seconds(most))
	}
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// isRegion: the model's pattern of OriginShieldRegion, [a-z]{2}-[a-z]+-\d.
func isRegion(s string) bool {
	part := strings.Split(s, "-")
	return len(s) <= 32 && len(part) == 3 && len(part[0]) == 2 && len(part[1]) > 0 && len(part[2]) == 1 &&
		strings.Trim(part[0]+part[1], "abcdefghijklmnopqrstuvwxyz") == "" && part[2] >= "0" && part[2] <= "9"
}

// The limits of custom headers (CloudFront: Quotas, Quotas on headers).
const (
	maxHeaderName  = 256
	maxHeaderValue = 1783
	maxHeaderBytes = 10240
)

// checkOriginHeaders: CloudFront: Add custom headers to origin requests.
func (ps *problems) checkOriginHeaders(field string, headers []CustomHeader, most int) {
	if n := len(headers); n > most {
		ps.add(CodeTooManyOriginCustomHeaders, field, "%d headers: use at most %d", n, most)
	}
	total := 0
	seen := map[string]int{}
	for i, h := range headers {
		at := item(field, i)
		total += len(h.Name) + len(h.Value)
		lower := strings.ToLower(h.Name)
		switch {
		case !isToken(h.Name):
			ps.add(CodeInvalidArgument, at+".HeaderName", "%q is not a header's name: use letters, digits and hyphens", h.Name)
		case isForbiddenOriginHeader(lower):
			ps.add(CodeInvalidArgument, at+".HeaderName", "%q cannot be a custom header: remove it", h.Name)
		default:
			if first, ok := seen[lower]; ok {
				ps.add(CodeInvalidArgument, at+".HeaderName", "%q is there twice, first at %s: remove one", h.Name, item(field, first))
			} else {
				seen[lower] = i
			}
		}
		ps.longest(at+".HeaderName", h.Name, maxHeaderName)
		if !isFieldValue(h.Value) { // values may be secrets: never repeat them
			ps.add(CodeInvalidArgument, at+".HeaderValue", "has control characters or spaces around it: remove them")
		}
		ps.longest(at+".HeaderValue", h.Value, maxHeaderValue)
	}
	if total > maxHeaderBytes {
		ps.add(CodeInvalidArgument, field, "names and values have %d characters together: use at most %d", total, maxHeaderBytes)
	}
}

// isForbiddenOriginHeader: CloudFront: Add custom headers to origin requests, Custom
// headers that CloudFront can't add to origin requests.
func isForbiddenOriginHeader(lower string) bool {
	switch lower {
	case "cache-control", "connection", "content-length", "cookie", "host",
		"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
		"max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"range", "request-range", "te", "trailer", "transfer-encoding", "upgrade", "via", "x-real-ip":
		return true
	}
	return strings.HasPrefix(lower, "x-amz-") || strings.HasPrefix(lower, "x-edge-")
}

// failoverCodes are the statuses that an origin group can fail over for
// (CloudFront: Optimize high availability with CloudFront origin failover).
func failoverCodes() []int { return []int{400, 403, 404, 416, 429, 500, 502, 503, 504} }

func (ps *problems) checkOriginGroups(d *Distribution, most int) {
	if n := len(d.OriginGroups); n > most {
		ps.add(CodeTooManyOriginGroups, "OriginGroups", "%d origin groups: use at most %d", n, most)
	}
	seen := map[string]int{}
	for i := range d.OriginGroups {
		g, field := &d.OriginGroups[i], item("OriginGroups", i)
		ps.required(field+".Id", g.ID, 128)
		if first, ok := seen[g.ID]; ok {
			ps.add(CodeInvalidArgument, field+".Id", "%q is there twice, first at %s: rename one", g.ID, item("OriginGroups", first))
		} else if g.ID != "" && d.origin(g.ID) != nil {
			ps.add(CodeInvalidArgument, field+".Id", "%q is the id of an origin, too: rename one", g.ID)
		}
		seen[g.ID] = i
		ps.checkMembers(d, field+".Members", g.Members)
		ps.checkFailoverCodes(field+".FailoverCriteria.StatusCodes", g.StatusCodes)
	}
}

func (ps *problems) checkMembers(d *Distribution, field string, members []string) {
	if len(members) != 2 {
		ps.add(CodeInvalidArgument, field, "has %d members: give exactly two, the primary origin first", len(members))
	}
	for i, id := range members {
		switch {
		case d.origin(id) == nil:
			ps.add(CodeNoSuchOrigin, item(field, i)+".OriginId", "there is no origin with the id %q: use one of Origins", id)
		case slices.Contains(members[:i], id):
			ps.add(CodeInvalidArgument, item(field, i)+".OriginId", "%q is there twice: name two different origins", id)
		}
	}
}

func (ps *problems) checkFailoverCodes(field string, codes []int) {
	if len(codes) == 0 {
		ps.add(CodeInvalidArgument, field, "is empty: give at least one status code")
	}
	for i, c := range codes {
		switch {
		case !slices.Contains(failoverCodes(), c):
			ps.add(CodeInvalidArgument, item(field, i), "%d cannot fail over: use %s", c, orNumbers(failoverCodes()))
		case slices.Contains(codes[:i], c):
			ps.add(CodeInvalidArgument, item(field, i), "%d is there twice: remove one", c)
		}
	}
}

// origin returns the origin with this id, nil when there is none.
func (d *Distribution) origin(id string) *Origin {
	for i := range d.Origins {
		if d.Origins[i].ID == id {
			return &d.Origins[i]
		}
	}
	return nil
}

// hasTarget reports whether a behavior can name id.
func (d *Distribution) hasTarget(id string) bool {
	return d.origin(id) != nil || slices.ContainsFunc(d.OriginGroups, func(g OriginGroup) bool { return g.ID == id })
}

func orNumbers(list []int) string {
	text := make([]string, len(list))
	for i, n := range list {
		text[i] = strconv.Itoa(n)
	}
	return orList(text)
}
