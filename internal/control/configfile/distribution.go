package configfile

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"pqfront/internal/cdn"
)

// distribution decodes a DistributionConfig; outer is the Distribution around it, nil
// when there is none.
func (f *file) distribution(o, outer *object, tags map[string]string) {
	if o == nil {
		return
	}
	f.config = o.path
	o.need("CallerReference", "Origins", "DefaultCacheBehavior", "Comment", "Enabled")
	d := cdn.Distribution{
		Source: f.name, Tags: tags,
		CallerReference: o.str("CallerReference"), Comment: o.str("Comment"), Enabled: o.boolean("Enabled"),
		Aliases: o.strings("Aliases"), DefaultRootObject: o.str("DefaultRootObject"),
		IPv6: o.boolean("IsIPV6Enabled"), WebACLID: o.str("WebACLId"),
		PriceClass: orDefault(o.str("PriceClass"), cdn.DefaultPriceClass),
	}
	f.identity(&d, outer)
	f.httpVersion(o, &d)
	o.objects("Origins", func(c *object) { d.Origins = append(d.Origins, origin(c)) })
	o.objects("OriginGroups", func(c *object) { d.OriginGroups = append(d.OriginGroups, originGroup(c)) })
	if c := o.child("DefaultCacheBehavior"); c != nil {
		d.DefaultBehavior = behavior(c)
		c.end()
	}
	o.objects("CacheBehaviors", func(c *object) {
		c.need("PathPattern")
		pattern := c.str("PathPattern")
		b := behavior(c)
		b.PathPattern = pattern
		d.Behaviors = append(d.Behaviors, b)
	})
	o.objects("CustomErrorResponses", func(c *object) { d.ErrorResponses = append(d.ErrorResponses, errorResponse(c)) })
	logging(o.child("Logging"), &d.Logging)
	f.restrictions(o, &d.Geo)
	viewerCertificate(o.child("ViewerCertificate"), &d.Viewer)
	f.unserved(o, &d)
	o.end()
	if len(f.problems) > 0 {
		// What cdn finds in a half-read value may not be so; what it finds besides is
		// wanted in the same run.
		f.restOf(d)
		return
	}
	checked, problems := cdn.NewDistribution(d, f.p.rules())
	for _, p := range problems {
		f.distributionProblem(p)
	}
	if checked != nil {
		f.p.state.Distributions = append(f.p.state.Distributions, checked)
		f.p.files[checked] = f
	}
}

// restOf adds what the constructor finds at places without a problem so far.
func (f *file) restOf(d cdn.Distribution) {
	had := len(f.problems)
	_, problems := cdn.NewDistribution(d, f.p.rules())
	for _, p := range problems {
		f.distributionProblem(p)
	}
	kept := had
	for i := had; i < len(f.problems); i++ {
		if overlaps(f.problems[:had], f.problems[i].Path) {
			continue
		}
		f.problems[kept], f.offsets[kept] = f.problems[i], f.offsets[i]
		kept++
	}
	f.problems, f.offsets = f.problems[:kept], f.offsets[:kept]
}

// overlaps reports whether a problem was found at path, above it or below it.
func overlaps(list []Problem, path string) bool {
	for _, p := range list {
		if within(p.Path, path) || within(path, p.Path) {
			return true
		}
	}
	return false
}

// within reports whether path is root or below it.
func within(path, root string) bool {
	if len(path) < len(root) || path[:len(root)] != root {
		return false
	}
	return len(path) == len(root) || path[len(root)] == '.' || path[len(root)] == '['
}

func orDefault(s, absent string) string {
	if s == "" {
		return absent
	}
	return s
}

// identity takes id, ARN and domain name from a get-distribution output, or makes ones
// from the caller reference that are the same at every start.
func (f *file) identity(d *cdn.Distribution, outer *object) {
	if outer != nil {
		d.ID, d.ARN, d.DomainName = outer.str("Id"), outer.str("ARN"), outer.str("DomainName")
	} else {
		f.assigned = true
		d.ID = "E" + letters("id", d.CallerReference, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
		d.DomainName = "d" + letters("domain", d.CallerReference, "0123456789abcdefghijklmnopqrstuvwxyz") + "." + f.p.o.DomainSuffix
	}
	if d.ARN == "" {
		d.ARN = "arn:aws:cloudfront::" + f.p.o.AccountID + ":distribution/" + d.ID
	}
}

// letters makes 13 letters of an alphabet from a reference, as many as CloudFront's
// ids and names have after their first one.
func letters(purpose, reference, alphabet string) string {
	sum := sha256.Sum256([]byte("pqfront " + purpose + "\x00" + reference))
	out := make([]byte, 13)
	hi, lo := binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])
	for i := range out {
		v := &hi
		if i >= 7 {
			v = &lo
		}
		out[i] = alphabet[*v%uint64(len(alphabet))]
		*v /= uint64(len(alphabet))
	}
	return string(out)
}

func (f *file) httpVersion(o *object, d *cdn.Distribution) {
	value := orDefault(o.str("HttpVersion"), cdn.DefaultHTTPVersion)
	var ok bool
	if d.HTTP2, d.HTTP3, ok = cdn.ParseHTTPVersion(value); !ok {
		f.problem(o.at("HttpVersion"), o.offset("HttpVersion"), cdn.CodeInvalidArgument, "%q is not known: use %s", value, "http1.1, http2, http3 or http2and3")
	}
}

func originGroup(o *object) cdn.OriginGroup {
	o.need("Id", "FailoverCriteria", "Members")
	g := cdn.OriginGroup{ID: o.str("Id")}
	if c := o.child("FailoverCriteria"); c != nil {
		c.need("StatusCodes")
		path := joinPath(c.at("StatusCodes"), "Items")
		for i, n := range c.list("StatusCodes") {
			g.StatusCodes = append(g.StatusCodes, clamp(o.f.whole(index(path, i), n, 0)))
		}
		c.end()
	}
	o.objects("Members", func(c *object) {
		c.need("OriginId")
		g.Members = append(g.Members, c.str("OriginId"))
	})
	switch s := o.str("SelectionCriteria"); s {
	case "", "default":
	case "media-quality-based":
		o.f.note(o.at("SelectionCriteria"), "media quality is not measured here: the primary origin is always tried first")
	default:
		o.f.problem(o.at("SelectionCriteria"), o.offset("SelectionCriteria"), cdn.CodeInvalidArgument, "%q is not known: use default or media-quality-based", s)
	}
	return g
}

func errorResponse(o *object) cdn.ErrorResponse {
	o.need("ErrorCode")
	r := cdn.ErrorResponse{
		ErrorCode: o.number("ErrorCode", 0), PagePath: o.str("ResponsePagePath"),
		CachingMin: cdn.Seconds(o.integer("ErrorCachingMinTTL", int64(cdn.DefaultErrorCachingMinTTL.Seconds()))),
	}
	if text := o.str("ResponseCode"); text != "" {
		code, err := strconv.Atoi(text)
		if err != nil || code <= 0 {
			o.f.problem(o.at("ResponseCode"), o.offset("ResponseCode"), cdn.CodeInvalidResponseCode, "%q is not a status: use one such as \"200\"", text)
		}
		r.ResponseCode = code
	}
	return r
}

func logging(o *object, l *cdn.Logging) {
	if o == nil {
		return
	}
	l.Enabled, l.IncludeCookies = o.boolean("Enabled"), o.boolean("IncludeCookies")
	l.Bucket, l.Prefix = o.str("Bucket"), o.str("Prefix")
	if l.Enabled {
		o.f.note(o.path, "logs are not delivered to %s: the edge writes its own access log", l.Bucket)
	}
	o.end()
}

func (f *file) restrictions(o *object, g *cdn.GeoRestriction) {
	g.Type = "none"
	r := o.child("Restrictions")
	if r == nil {
		return
	}
	r.need("GeoRestriction")
	if c := r.child("GeoRestriction"); c != nil {
		c.need("RestrictionType")
		g.Type = c.str("RestrictionType")
		g.Countries = f.texts(c.at("Items"), c.items())
		if g.Type != "" && g.Type != "none" && !f.p.o.GeoDatabase {
			f.unsupported(c.at("RestrictionType"), c.offset("RestrictionType"), "%s needs a database of viewers' countries, which is not supported yet: use none, if all countries may be served", g.Type)
		}
		c.end()
	}
	r.end()
}

func viewerCertificate(o *object, v *cdn.ViewerCertificate) {
	if o == nil {
		v.Default = true
		return
	}
	v.Default = o.boolean("CloudFrontDefaultCertificate")
	v.ACMARN, v.IAMID = o.str("ACMCertificateArn"), o.str("IAMCertificateId")
	v.SupportMethod, v.SecurityPolicy = o.str("SSLSupportMethod"), o.str("MinimumProtocolVersion")
	// The two are older names for the certificate, which CloudFront still prints.
	source, certificate := o.str("CertificateSource"), o.str("Certificate")
	if !v.Default && v.ACMARN == "" && v.IAMID == "" {
		switch source {
		case "acm":
			v.ACMARN = certificate
		case "iam":
			v.IAMID = certificate
		case "cloudfront":
			v.Default = true
		}
	}
	if v.SupportMethod == "vip" && !v.Default {
		o.f.note(o.at("SSLSupportMethod"), "there are no dedicated IP addresses here: viewers without SNI reach the default distribution only")
	}
	o.end()
}
