package cdn

import (
	"strings"
	"unicode/utf8"
)

// NewCachePolicy checks spec and returns it as a cache policy. It reports everything
// that is wrong at once, with fields as in CloudFront's CachePolicyConfig.
func NewCachePolicy(spec CachePolicy, rules Rules) (*CachePolicy, []Problem) {
	const params = "ParametersInCacheKeyAndForwardedToOrigin"
	p, most := &spec, rules.Quotas.withDefaults().PolicyItems
	var ps problems
	ps.checkPolicyIdentity(p.ID, p.Name, p.Comment)
	ps.checkTTLs("", p.MinTTL, p.DefaultTTL, p.MaxTTL)
	ps.checkSelection(selection{
		field: params + ".HeadersConfig", kind: "Header", list: "Headers", sel: &p.Headers,
		behaviors: []string{"none", "whitelist"}, most: most, code: CodeTooManyHeadersInCachePolicy,
	})
	for i, name := range p.Headers.Names {
		if isOriginRequestOnly(name) {
			ps.add(CodeInvalidArgument, item(params+".HeadersConfig.Headers", i), "%q cannot be in a cache policy: put it into an origin request policy", name)
		}
	}
	ps.checkSelection(selection{
		field: params + ".CookiesConfig", kind: "Cookie", list: "Cookies", sel: &p.Cookies,
		behaviors: []string{"none", "whitelist", "allExcept", "all"}, most: most, code: CodeTooManyCookiesInCachePolicy,
	})
	ps.checkSelection(selection{
		field: params + ".QueryStringsConfig", kind: "QueryString", list: "QueryStrings", sel: &p.QueryStrings,
		behaviors: []string{"none", "whitelist", "allExcept", "all"}, most: most, code: CodeTooManyQueryStringsInCachePolicy,
	})
	if len(ps) > 0 {
		return nil, ps
	}
	return p, nil
}

// isOriginRequestOnly: CloudFront: Add CloudFront request headers.
func isOriginRequestOnly(name string) bool {
	switch strings.ToLower(name) {
	case "cloudfront-viewer-tls", "cloudfront-viewer-ja3-fingerprint", "cloudfront-viewer-ja4-fingerprint",
		"cloudfront-viewer-address", "cloudfront-viewer-asn":
		return true
	}
	return false
}

// NewOriginRequestPolicy checks spec and returns it as an origin request policy. It
// reports everything that is wrong at once, with fields as in CloudFront's
// OriginRequestPolicyConfig.
func NewOriginRequestPolicy(spec OriginRequestPolicy, rules Rules) (*OriginRequestPolicy, []Problem) {
	p, most := &spec, rules.Quotas.withDefaults().PolicyItems
	var ps problems
	ps.checkPolicyIdentity(p.ID, p.Name, p.Comment)
	ps.checkSelection(selection{
		field: "HeadersConfig", kind: "Header", list: "Headers", sel: &p.Headers,
		behaviors: []string{"none", "whitelist", "allViewer", "allViewerAndWhitelistCloudFront", "allExcept"},
		most:      most, code: CodeTooManyHeadersInOriginRequestPolicy,
	})
	if p.Headers.Behavior == "allViewerAndWhitelistCloudFront" {
		for i, name := range p.Headers.Names {
			if !strings.HasPrefix(strings.ToLower(name), "cloudfront-") {
				ps.add(CodeInvalidArgument, item("HeadersConfig.Headers", i), "%q is not one of CloudFront's headers: remove it, all of the viewer's are sent anyway", name)
			}
		}
	}
	ps.checkSelection(selection{
		field: "CookiesConfig", kind: "Cookie", list: "Cookies", sel: &p.Cookies,
		behaviors: []string{"none", "whitelist", "all", "allExcept"}, most: most, code: CodeTooManyCookiesInOriginRequestPolicy,
	})
	ps.checkSelection(selection{
		field: "QueryStringsConfig", kind: "QueryString", list: "QueryStrings", sel: &p.QueryStrings,
		behaviors: []string{"none", "whitelist", "all", "allExcept"}, most: most, code: CodeTooManyQueryStringsInOriginRequest,
	})
	if len(ps) > 0 {
		return nil, ps
	}
	return p, nil
}

// checkPolicyIdentity checks what the three kinds of policies have in common.
func (ps *problems) checkPolicyIdentity(id, name, comment string) {
	if !isID(id, "-") || len(id) > 64 {
		ps.add(CodeInvalidArgument, "Id", "%q is not a policy's id: use what CloudFront gave it, such as 658327ea-f89d-4fab-a63d-7e88639e58f6", id)
	}
	if !isID(name, "-_") || len(name) > 128 {
		ps.add(CodeInvalidArgument, "Name", "%q is not a policy's name: use 1 to 128 letters, digits, hyphens and underscores", name)
	}
	if n := utf8.RuneCountInString(comment); n > 128 {
		ps.add(CodeInvalidArgument, "Comment", "has %d characters: use at most 128", n)
	}
}

// selection is one choice of headers, cookies or query strings to check.
type selection struct {
	field, kind, list string
	sel               *Selection
	behaviors         []string
	most              int
	code              string // when there are more names
}

// checkSelection: CloudFront: Understand cache policies, Cache key settings;
// CloudFront: Quotas, Quotas on policies.
func (ps *problems) checkSelection(s selection) {
	const maxNames = 1024
	list := s.field + "." + s.list
	if !ps.oneOf(CodeInvalidArgument, s.field+"."+s.kind+"Behavior", s.sel.Behavior, s.behaviors...) {
		return
	}
	wants := false
	switch s.sel.Behavior {
	case "whitelist", "allExcept", "allViewerAndWhitelistCloudFront":
		wants = true
	}
	n := len(s.sel.Names)
	switch {
	case wants && n == 0:
		ps.add(CodeInvalidArgument, list, "is empty although the behavior is %s: give at least one name", s.sel.Behavior)
	case !wants && n > 0:
		ps.add(CodeInvalidArgument, list, "has names although the behavior is %s: remove them, or use whitelist", s.sel.Behavior)
	case n > s.most:
		ps.add(s.code, list, "%d names: use at most %d", n, s.most)
	}
	total := 0
	seen := make(map[string]int, n)
	for i, name := range s.sel.Names {
		total += len(name)
		key := name
		if s.kind == "Header" {
			key = strings.ToLower(name)
		}
		switch first, twice := seen[key]; {
		case s.kind == "QueryString" && (name == "" || strings.ContainsAny(name, "&=# ")),
			s.kind != "QueryString" && !isToken(name):
			ps.add(CodeInvalidArgument, item(list, i), "%q cannot be a name: correct it", name)
		case twice:
			ps.add(CodeInvalidArgument, item(list, i), "%q is there twice, first at %s: remove one", name, item(list, first))
		default:
			seen[key] = i
		}
	}
	if total > maxNames {
		ps.add(CodeInvalidArgument, list, "the names have %d characters together: use at most %d", total, maxNames)
	}
}

// NewOriginAccessControl checks spec and returns it as an origin access control. It
// reports everything that is wrong at once, with fields as in CloudFront's
// OriginAccessControlConfig.
func NewOriginAccessControl(spec OriginAccessControl) (*OriginAccessControl, []Problem) {
	c := &spec
	var ps problems
	if !isID(c.ID, "-") || len(c.ID) > 64 {
		ps.add(CodeInvalidArgument, "Id", "%q is not the id of an origin access control: use what CloudFront gave it", c.ID)
	}
	ps.required("Name", c.Name, 64)
	if n := utf8.RuneCountInString(c.Description); n > 256 {
		ps.add(CodeInvalidArgument, "Description", "has %d characters: use at most 256", n)
	}
	ps.oneOf(CodeInvalidArgument, "SigningProtocol", c.SigningProtocol, "sigv4")
	ps.oneOf(CodeInvalidArgument, "SigningBehavior", c.SigningBehavior, "always", "never", "no-override")
	ps.oneOf(CodeInvalidArgument, "OriginAccessControlOriginType", c.OriginType, "s3", "mediastore", "mediapackagev2", "lambda")
	if len(ps) > 0 {
		return nil, ps
	}
	return c, nil
}
