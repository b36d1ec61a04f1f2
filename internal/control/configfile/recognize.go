package configfile

import (
	"bytes"
	"strings"

	"pqfront/internal/cdn"
)

// document decodes one file, whatever it is. It reports whether it is a distribution,
// a broken one included.
func (f *file) document() bool {
	f.data = bytes.TrimPrefix(f.data, []byte("\xef\xbb\xbf")) // RFC 8259, Section 8.1
	root, err := parseTree(f.data)
	if err != nil {
		f.problem("", err.offset, "MalformedInput", "%s", err.message)
		return true // nobody knows what it was
	}
	f.root = root
	o := f.object("", root)
	if o == nil {
		return true
	}
	switch {
	case o.holds("DistributionConfigWithTags"):
		f.withTags(o)
	case o.holds("Distribution"):
		f.getDistribution(o)
	case o.holds("DistributionConfig"):
		f.getDistributionConfig(o)
	case o.holds("CallerReference"), o.holds("DefaultCacheBehavior"), o.holds("Origins"):
		f.distribution(o, nil, nil)
	default:
		return f.policyDocument(o)
	}
	return true
}

// holds reports whether the object has a member, without asking for it.
func (o *object) holds(key string) bool { return o.n.get(key) != nil }

// wrapper reads what the CLI prints around an object.
func (o *object) wrapper() {
	o.skip("ETag", "Location", "ResponseMetadata")
	o.end()
}

// withTags decodes the input of create-distribution-with-tags.
func (f *file) withTags(o *object) {
	in := o.child("DistributionConfigWithTags")
	f.base = "DistributionConfigWithTags"
	in.need("DistributionConfig")
	f.distribution(in.child("DistributionConfig"), nil, in.tags())
	in.end()
	o.wrapper()
}

// getDistribution decodes the output of get-distribution.
func (f *file) getDistribution(o *object) {
	d := o.child("Distribution")
	f.base = "Distribution"
	d.need("Id", "DomainName", "DistributionConfig")
	d.skip("Status", "LastModifiedTime", "InProgressInvalidationBatches",
		"ActiveTrustedSigners", "ActiveTrustedKeyGroups", "AliasICPRecordals")
	f.distribution(d.child("DistributionConfig"), d, o.tags())
	d.end()
	o.wrapper()
}

// getDistributionConfig decodes the output of get-distribution-config, and tags
// beside it.
func (f *file) getDistributionConfig(o *object) {
	f.distribution(o.child("DistributionConfig"), nil, o.tags())
	o.wrapper()
}

// tags reads the shape of list-tags-for-resource.
func (o *object) tags() map[string]string {
	t := o.child("Tags")
	if t == nil {
		return nil
	}
	tags := map[string]string{}
	n := t.get("Items")
	if n != nil && t.f.isKind(t.at("Items"), n, kindArray) {
		for i, item := range n.items {
			c := t.f.object(index(t.at("Items"), i), item)
			if c == nil {
				continue
			}
			c.need("Key")
			key := c.str("Key")
			if _, twice := tags[key]; twice {
				t.f.problem(c.at("Key"), c.offset("Key"), cdn.CodeInvalidTagging, "%q is there twice: remove one", key)
			}
			tags[key] = c.str("Value")
			c.end()
		}
	}
	t.end()
	return tags
}

// policyDocument decodes the documents that are no distributions.
func (f *file) policyDocument(o *object) bool {
	switch {
	case o.holds("CachePolicy"):
		f.cachePolicy(o.child("CachePolicy"))
	case o.holds("OriginRequestPolicy"):
		f.originRequestPolicy(o.child("OriginRequestPolicy"))
	case o.holds("ResponseHeadersPolicy"):
		f.responseHeadersPolicy(o.child("ResponseHeadersPolicy"))
	case o.holds("OriginAccessControl"):
		f.originAccessControl(o.child("OriginAccessControl"))
	default:
		f.problem("", o.n.offset, cdn.CodeInvalidArgument, "%s", unknownShape(o.n))
		return true
	}
	o.wrapper()
	return false
}

// unknownShape says what to give instead of a document that is none of ours.
func unknownShape(n *node) string {
	for _, m := range n.members {
		switch {
		case strings.HasSuffix(m.key, "List"):
			return m.key + " is what a list command prints, which leaves much out: give the output of `aws cloudfront get-distribution-config --id ID` for each"
		case m.key == "CachePolicyConfig", m.key == "OriginRequestPolicyConfig",
			m.key == "ResponseHeadersPolicyConfig", m.key == "OriginAccessControlConfig":
			return m.key + " alone has no Id to be found by: give the output of the get command without -config"
		}
	}
	return "this is nothing that is known here: give what `aws cloudfront get-distribution-config` prints (or get-distribution, get-cache-policy, get-origin-request-policy, get-response-headers-policy, get-origin-access-control)"
}
