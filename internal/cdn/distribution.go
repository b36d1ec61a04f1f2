package cdn

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// NewDistribution checks spec and returns it as a distribution; it takes over spec's
// slices and maps. It reports everything that is wrong at once, with fields as in
// CloudFront's DistributionConfig. What a client may leave out must be filled in
// (Default... constants). References to policies and to other distributions are
// checked by State.Problems.
func NewDistribution(spec Distribution, rules Rules) (*Distribution, []Problem) {
	d := &spec
	rules.Quotas = rules.Quotas.withDefaults()
	var ps problems
	ps.checkIdentity(d)
	ps.checkAliases(d, rules.Quotas.Aliases)
	ps.checkRootObject(d.DefaultRootObject)
	ps.checkOrigins(d, rules.Quotas)
	ps.checkOriginGroups(d, rules.Quotas.OriginGroups)
	ps.checkBehaviors(d, rules.Quotas)
	ps.checkErrorResponses(d.ErrorResponses)
	ps.checkGeo(&d.Geo)
	ps.checkViewer(d, rules.SecurityPolicy)
	ps.oneOf(CodeInvalidArgument, "PriceClass", d.PriceClass, "PriceClass_100", "PriceClass_200", "PriceClass_All", "None")
	ps.checkLogging(&d.Logging)
	ps.checkTags(d.Tags)
	if len(ps) > 0 {
		return nil, ps
	}
	return d, nil
}

// Names returns all names that the distribution is served under: its domain name and
// its aliases.
func (d *Distribution) Names() []string {
	names := make([]string, 0, 1+len(d.Aliases))
	return append(append(names, d.DomainName), d.Aliases...)
}

// ParseHTTPVersion reads the values of HttpVersion. HTTP/1 is always served.
func ParseHTTPVersion(s string) (http2, http3, ok bool) {
	switch s {
	case "http1.1":
		return false, false, true
	case "http2":
		return true, false, true
	case "http3":
		return false, true, true
	case "http2and3":
		return true, true, true
	}
	return false, false, false
}

// HTTPVersions returns the values of HttpVersion, for messages.
func HTTPVersions() []string { return []string{"http1.1", "http2", "http3", "http2and3"} }

func (ps *problems) checkIdentity(d *Distribution) {
	if len(d.ID) > 32 || !strings.HasPrefix(d.ID, "E") || !isID(d.ID, "") || d.ID != strings.ToUpper(d.ID) {
		ps.add(CodeInvalidArgument, "Id", "%q is not a distribution's id: use E and 13 upper-case letters or digits", d.ID)
	}
	if why := hostNameError(d.DomainName); why != "" {
		ps.add(CodeInvalidArgument, "DomainName", "%q %s", d.DomainName, why)
	}
	ps.required("CallerReference", d.CallerReference, 512)
	if n := utf8.RuneCountInString(d.Comment); n > 128 {
		ps.add(CodeInvalidArgument, "Comment", "has %d characters: use at most 128", n)
	}
}

func (ps *problems) checkAliases(d *Distribution, most int) {
	if n := len(d.Aliases); n > most {
		ps.add(CodeTooManyDistributionCNAMEs, "Aliases", "%d alternate domain names: use at most %d", n, most)
	}
	seen := make(map[string]int, len(d.Aliases))
	for i, alias := range d.Aliases {
		field := item("Aliases", i)
		if why := aliasError(alias); why != "" {
			ps.add(CodeInvalidArgument, field, "%q %s", alias, why)
			continue
		}
		if alias == d.DomainName {
			ps.add(CodeInvalidArgument, field, "%q is the distribution's own domain name: remove the alias", alias)
		}
		if first, ok := seen[alias]; ok {
			ps.add(CodeInvalidArgument, field, "%q is there twice, first at %s: remove one", alias, item("Aliases", first))
			continue
		}
		seen[alias] = i
	}
}

// checkRootObject: CloudFront: Specify a default root object.
func (ps *problems) checkRootObject(name string) {
	const code, field = CodeInvalidDefaultRootObject, "DefaultRootObject"
	switch {
	case strings.HasPrefix(name, "/"):
		ps.add(code, field, "%q begins with a slash: leave the slash out", name)
	case len(name) > 255:
		ps.add(code, field, "has %d characters: use at most 255", len(name))
	case !isPathText(name):
		ps.add(code, field, "%q has characters that a path cannot have: write them as percent escapes", name)
	}
}

// errorCodes are the statuses that can have a custom error response
// (CloudFront: HTTP 4xx and 5xx status codes that CloudFront caches).
func errorCodes() []int { return []int{400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504} }

func (ps *problems) checkErrorResponses(list []ErrorResponse) {
	seen := map[int]int{}
	for i, r := range list {
		field := item("CustomErrorResponses", i)
		if !slices.Contains(errorCodes(), r.ErrorCode) {
			ps.add(CodeInvalidErrorCode, field+".ErrorCode", "%d cannot have a custom response: use %s", r.ErrorCode, orNumbers(errorCodes()))
		} else if first, ok := seen[r.ErrorCode]; ok {
			ps.add(CodeInvalidArgument, field+".ErrorCode", "%d is there twice, first at %s: remove one", r.ErrorCode, item("CustomErrorResponses", first))
		} else {
			seen[r.ErrorCode] = i
		}
		ps.checkErrorPage(field, &r)
		if r.CachingMin < 0 || r.CachingMin > maxTTL {
			ps.add(CodeInvalidArgument, field+".ErrorCachingMinTTL", "is not 0 seconds to 100 years: correct it")
		}
	}
}

// checkErrorPage: a page and the status that it is sent with go together
// (CloudFront: Create a custom error page for specific HTTP status codes).
func (ps *problems) checkErrorPage(field string, r *ErrorResponse) {
	if r.ResponseCode != 0 && r.ResponseCode != 200 && !slices.Contains(errorCodes(), r.ResponseCode) {
		ps.add(CodeInvalidResponseCode, field+".ResponseCode", "%d cannot be sent with a custom page: use 200, %s", r.ResponseCode, orNumbers(errorCodes()))
	}
	switch {
	case r.PagePath == "" && r.ResponseCode != 0:
		ps.add(CodeInvalidArgument, field+".ResponsePagePath", "is missing although there is a ResponseCode: give both or none")
	case r.PagePath != "" && r.ResponseCode == 0:
		ps.add(CodeInvalidArgument, field+".ResponseCode", "is missing although there is a ResponsePagePath: give both or none")
	}
	switch {
	case r.PagePath == "":
	case r.PagePath[0] != '/':
		ps.add(CodeInvalidArgument, field+".ResponsePagePath", "%q has no leading slash: begin it with one", r.PagePath)
	case len(r.PagePath) > 4096:
		ps.add(CodeInvalidArgument, field+".ResponsePagePath", "has %d characters: use at most 4096", len(r.PagePath))
	case !isPathText(r.PagePath):
		ps.add(CodeInvalidArgument, field+".ResponsePagePath", "%q has characters that a path cannot have: write them as percent escapes", r.PagePath)
	}
}

// checkGeo: CloudFront: Restrict the geographic distribution of your content.
func (ps *problems) checkGeo(g *GeoRestriction) {
	const field = "Restrictions.GeoRestriction"
	if !ps.oneOf(CodeInvalidGeoRestrictionParameter, field+".RestrictionType", g.Type, "none", "whitelist", "blacklist") {
		return
	}
	switch {
	case g.Type == "none" && len(g.Countries) > 0:
		ps.add(CodeInvalidGeoRestrictionParameter, field, "has countries although its type is none: remove them, or use whitelist or blacklist")
	case g.Type != "none" && len(g.Countries) == 0:
		ps.add(CodeInvalidGeoRestrictionParameter, field, "has no country although its type is %s: name one, or use none", g.Type)
	}
	seen := map[string]bool{}
	for i, c := range g.Countries {
		if len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' {
			ps.add(CodeInvalidLocationCode, item(field, i), "%q is no country: use two upper-case letters (ISO 3166-1)", c)
		} else if seen[c] {
			ps.add(CodeInvalidGeoRestrictionParameter, item(field, i), "%q is there twice: remove one", c)
		}
		seen[c] = true
	}
}

// checkLogging: CloudFront: Configure standard logging (legacy).
func (ps *problems) checkLogging(l *Logging) {
	if l.Enabled && l.Bucket == "" {
		ps.add(CodeInvalidArgument, "Logging.Bucket", "is missing although logging is enabled: name a bucket such as logs.s3.amazonaws.com, or disable it")
	}
	if l.Bucket != "" && (!strings.HasSuffix(l.Bucket, ".amazonaws.com") || !strings.Contains(l.Bucket, ".s3")) {
		ps.add(CodeInvalidArgument, "Logging.Bucket", "%q is not a bucket's domain name: write it as logs.s3.amazonaws.com", l.Bucket)
	}
	if strings.HasPrefix(l.Prefix, "/") {
		ps.add(CodeInvalidArgument, "Logging.Prefix", "%q begins with a slash: leave the slash out", l.Prefix)
	}
	ps.longest("Logging.Prefix", l.Prefix, 256)
}

// checkTags: CloudFront: Tag a distribution, Tag restrictions.
func (ps *problems) checkTags(tags map[string]string) {
	if len(tags) > 50 {
		ps.add(CodeInvalidTagging, "Tags", "%d tags: use at most 50", len(tags))
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		switch n := utf8.RuneCountInString(key); {
		case n < 1 || n > 128:
			ps.add(CodeInvalidTagging, "Tags", "the key %q has %d characters: use 1 to 128", key, n)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			ps.add(CodeInvalidTagging, "Tags", "the key %q begins with aws:, which is reserved: rename it", key)
		}
		if n := utf8.RuneCountInString(value); n > 256 {
			ps.add(CodeInvalidTagging, "Tags", "the value of %q has %d characters: use at most 256", key, n)
		}
	}
}
