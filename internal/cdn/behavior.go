package cdn

import (
	"slices"
	"strings"
	"time"
)

// checkBehaviors: CloudFront: All distribution settings reference, Cache behavior
// settings.
func (ps *problems) checkBehaviors(d *Distribution, q Quotas) {
	d.DefaultBehavior.PathPattern = "*"
	ps.checkBehavior(d, "DefaultCacheBehavior", &d.DefaultBehavior)
	if n := len(d.Behaviors); n > q.Behaviors {
		ps.add(CodeTooManyCacheBehaviors, "CacheBehaviors", "%d cache behaviors: use at most %d", n, q.Behaviors)
	}
	seen := map[string]int{}
	for i := range d.Behaviors {
		b, field := &d.Behaviors[i], item("CacheBehaviors", i)
		ps.checkPattern(field+".PathPattern", b.PathPattern)
		if first, ok := seen[b.PathPattern]; ok {
			ps.add(CodeInvalidArgument, field+".PathPattern", "%q is there twice, first at %s: only the first would ever be used, remove one", b.PathPattern, item("CacheBehaviors", first))
		} else if b.PathPattern != "" {
			seen[b.PathPattern] = i
		}
		ps.checkBehavior(d, field, b)
	}
}

func (ps *problems) checkPattern(field, pattern string) {
	switch {
	case pattern == "":
		ps.add(CodeInvalidArgument, field, "is missing: give a path pattern such as images/*.jpg")
	case len(pattern) > 255:
		ps.add(CodeInvalidArgument, field, "has %d characters: use at most 255", len(pattern))
	case !isPatternText(pattern):
		ps.add(CodeInvalidArgument, field, "%q has characters that a path pattern cannot have: use letters, digits, _-.*$/~\"'@:+&? and percent escapes", pattern)
	}
}

func (ps *problems) checkBehavior(d *Distribution, field string, b *Behavior) {
	switch {
	case b.TargetOriginID == "":
		ps.add(CodeInvalidArgument, field+".TargetOriginId", "is missing: name an origin or origin group")
	case !d.hasTarget(b.TargetOriginID):
		ps.add(CodeNoSuchOrigin, field+".TargetOriginId", "there is no origin or origin group with the id %q: use one of Origins or OriginGroups", b.TargetOriginID)
	}
	ps.oneOf(CodeInvalidArgument, field+".ViewerProtocolPolicy", string(b.ViewerProtocol),
		string(AllowAll), string(HTTPSOnly), string(RedirectToHTTPS))
	ps.checkMethods(field+".AllowedMethods", b)
	switch {
	case b.CachePolicyID != "" && b.Legacy != nil:
		ps.add(CodeInvalidArgument, field+".ForwardedValues", "cannot go with a CachePolicyId: remove ForwardedValues, MinTTL, DefaultTTL and MaxTTL, or the CachePolicyId")
	case b.CachePolicyID == "" && b.Legacy == nil:
		ps.add(CodeInvalidArgument, field+".CachePolicyId", "is missing: name a cache policy such as 658327ea-f89d-4fab-a63d-7e88639e58f6 (Managed-CachingOptimized)")
	case b.Legacy != nil:
		ps.checkLegacy(d, field, b)
	}
}

// checkMethods: only three sets of methods are allowed and two are cached
// (CloudFront API Reference: AllowedMethods, CachedMethods).
func (ps *problems) checkMethods(field string, b *Behavior) {
	read := []string{"GET", "HEAD"}
	withOptions := []string{"GET", "HEAD", "OPTIONS"}
	all := []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
	if !sameSet(b.AllowedMethods, read) && !sameSet(b.AllowedMethods, withOptions) && !sameSet(b.AllowedMethods, all) {
		ps.add(CodeInvalidArgument, field, "%s is not a set of methods that can be allowed: use GET and HEAD; GET, HEAD and OPTIONS; or all of %s",
			listOrNothing(b.AllowedMethods), strings.Join(all, ", "))
		return
	}
	switch {
	case !sameSet(b.CachedMethods, read) && !sameSet(b.CachedMethods, withOptions):
		ps.add(CodeInvalidArgument, field+".CachedMethods", "%s is not a set of methods that can be cached: use GET and HEAD, or GET, HEAD and OPTIONS", listOrNothing(b.CachedMethods))
	case slices.Contains(b.CachedMethods, "OPTIONS") && !slices.Contains(b.AllowedMethods, "OPTIONS"):
		ps.add(CodeInvalidArgument, field+".CachedMethods", "has OPTIONS, which is not allowed: add it to AllowedMethods or remove it")
	}
}

func listOrNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// sameSet reports whether list has exactly the members of set, in any order.
func sameSet(list, set []string) bool {
	if len(list) != len(set) {
		return false
	}
	for _, s := range set {
		if !slices.Contains(list, s) {
			return false
		}
	}
	return true
}

// checkLegacy: CloudFront API Reference: ForwardedValues, CookiePreference.
func (ps *problems) checkLegacy(d *Distribution, field string, b *Behavior) {
	const most = 10
	l, values := b.Legacy, field+".ForwardedValues"
	if b.OriginRequestPolicyID != "" {
		ps.add(CodeInvalidArgument, field+".OriginRequestPolicyId", "needs a CachePolicyId: use a cache policy instead of ForwardedValues, or remove it")
	}
	ps.checkTTLs(field, l.MinTTL, l.DefaultTTL, l.MaxTTL)
	if len(l.QueryStringKeys) > 0 && !l.QueryString {
		ps.add(CodeInvalidQueryStringParameters, values+".QueryStringCacheKeys", "needs QueryString to be true: set it, or remove the keys")
	}
	if n := len(l.QueryStringKeys); n > most {
		ps.add(CodeTooManyQueryStringParameters, values+".QueryStringCacheKeys", "%d keys: use at most %d", n, most)
	}
	ps.checkLegacyHeaders(d, field, b)
	if ps.oneOf(CodeInvalidForwardCookies, values+".Cookies.Forward", l.Cookies.Behavior, "none", "whitelist", "all") {
		switch n := len(l.Cookies.Names); {
		case l.Cookies.Behavior == "whitelist" && n == 0:
			ps.add(CodeInvalidForwardCookies, values+".Cookies.WhitelistedNames", "is empty although Forward is whitelist: name a cookie, or use none")
		case l.Cookies.Behavior != "whitelist" && n > 0:
			ps.add(CodeInvalidForwardCookies, values+".Cookies.WhitelistedNames", "has names although Forward is %s: remove them, or use whitelist", l.Cookies.Behavior)
		case n > most:
			ps.add(CodeTooManyCookieNamesInWhiteList, values+".Cookies.WhitelistedNames", "%d names: use at most %d", n, most)
		}
	}
}

func (ps *problems) checkLegacyHeaders(d *Distribution, field string, b *Behavior) {
	const most = 10
	l, at := b.Legacy, field+".ForwardedValues.Headers"
	all := slices.Contains(l.Headers, "*")
	switch n := len(l.Headers); {
	case all && n > 1:
		ps.add(CodeInvalidArgument, at, "has * and names: * alone stands for all")
	case all && l.MinTTL != 0:
		ps.add(CodeInvalidArgument, field+".MinTTL", "must be 0 when all headers are forwarded: set it to 0")
	case n > most:
		ps.add(CodeTooManyHeadersInForwardedValues, at, "%d headers: use at most %d", n, most)
	}
	s3 := false
	if o := d.origin(b.TargetOriginID); o != nil {
		s3 = o.S3 != nil
	}
	for i, name := range l.Headers {
		switch {
		case name != "*" && !isToken(name):
			ps.add(CodeInvalidArgument, item(at, i), "%q is not a header's name: use letters, digits and hyphens", name)
		case s3 && (name == "*" || strings.EqualFold(name, "host")):
			// The bucket would be looked up by the viewer's Host.
			ps.add(CodeInvalidHeadersForS3Origin, item(at, i), "%q cannot be forwarded to an S3 origin: remove it", name)
		}
	}
}

// checkTTLs: MinTTL <= DefaultTTL <= MaxTTL (CloudFront: Manage how long content stays
// in the cache).
func (ps *problems) checkTTLs(field string, least, usual, most time.Duration) {
	prefix := field
	if prefix != "" {
		prefix += "."
	}
	inRange := true
	for _, t := range [...]struct {
		name string
		ttl  time.Duration
	}{{"MinTTL", least}, {"DefaultTTL", usual}, {"MaxTTL", most}} {
		if t.ttl < 0 || t.ttl > maxTTL {
			inRange = false
			ps.add(CodeInvalidArgument, prefix+t.name, "is not 0 seconds to 100 years (3153600000): correct it")
		}
	}
	if inRange && (least > usual || usual > most) {
		ps.add(CodeInvalidTTLOrder, prefix+"MinTTL", "MinTTL %s, DefaultTTL %s and MaxTTL %s are not in ascending order: correct one of them", seconds(least), seconds(usual), seconds(most))
	}
}
