package configfile

import (
	"time"

	"pqfront/internal/cdn"
)

// behavior decodes a cache behavior but for its path pattern.
func behavior(o *object) cdn.Behavior {
	o.need("TargetOriginId", "ViewerProtocolPolicy")
	b := cdn.Behavior{
		TargetOriginID: o.str("TargetOriginId"), ViewerProtocol: cdn.ViewerProtocol(o.str("ViewerProtocolPolicy")),
		AllowedMethods: []string{"HEAD", "GET"}, CachedMethods: []string{"HEAD", "GET"},
		CachePolicyID: o.str("CachePolicyId"), OriginRequestPolicyID: o.str("OriginRequestPolicyId"),
		ResponseHeadersPolicyID: o.str("ResponseHeadersPolicyId"), Compress: o.boolean("Compress"),
		RealtimeLogConfigARN: o.str("RealtimeLogConfigArn"),
	}
	if c := o.child("AllowedMethods"); c != nil {
		b.AllowedMethods = c.f.texts(c.at("Items"), c.items())
		if c.has("CachedMethods") {
			b.CachedMethods = c.strings("CachedMethods")
		}
		c.end()
	}
	legacy(o, &b)
	guards(o, &b)
	functions(o, &b)
	return b
}

// legacy decodes ForwardedValues and the TTLs beside them.
func legacy(o *object, b *cdn.Behavior) {
	c := o.child("ForwardedValues")
	if c == nil {
		for _, key := range [...]string{"MinTTL", "DefaultTTL", "MaxTTL"} {
			// Zeros beside a cache policy are a common way to say nothing.
			if o.integer(key, 0) != 0 {
				o.f.problem(o.at(key), o.offset(key), cdn.CodeInvalidArgument, "belongs to ForwardedValues, which is not there: the cache policy has its own, remove it")
			}
		}
		return
	}
	c.need("QueryString", "Cookies")
	o.need("MinTTL")
	l := &cdn.LegacyCaching{QueryString: c.boolean("QueryString")}
	l.MinTTL, l.DefaultTTL, l.MaxTTL = ttls(o)
	l.Headers = c.strings("Headers")
	l.QueryStringKeys = c.strings("QueryStringCacheKeys")
	if k := c.child("Cookies"); k != nil {
		k.need("Forward")
		l.Cookies = cdn.Selection{Behavior: k.str("Forward"), Names: k.strings("WhitelistedNames")}
		k.end()
	}
	c.end()
	b.Legacy = l
}

// ttls reads the three times to live; an absent one is the default, or as long as a
// smaller one demands (CloudFront API Reference: CachePolicyConfig).
func ttls(o *object) (least, usual, most time.Duration) {
	least = cdn.Seconds(o.integer("MinTTL", 0))
	usual, most = max(cdn.DefaultTTL, least), max(cdn.DefaultMaxTTL, least)
	if o.has("DefaultTTL") {
		usual = cdn.Seconds(o.integer("DefaultTTL", 0))
		most = max(most, usual)
	}
	if o.has("MaxTTL") {
		most = cdn.Seconds(o.integer("MaxTTL", 0))
	}
	return least, usual, most
}

// guards decodes what decides who may have an object: it is refused when it is on,
// because serving without it would give content away.
func guards(o *object, b *cdn.Behavior) {
	if c := o.child("TrustedSigners"); c != nil {
		c.need("Enabled")
		if c.boolean("Enabled") {
			o.f.unsupported(c.path, c.n.offset, "signed URLs and cookies are not supported yet, and without them the content would be open to all: disable it, if that is meant")
		}
		c.f.texts(c.at("Items"), c.items())
		c.end()
	}
	if c := o.child("TrustedKeyGroups"); c != nil {
		c.need("Enabled")
		b.TrustedKeyGroups = c.f.texts(c.at("Items"), c.items())
		if c.boolean("Enabled") {
			o.f.unsupported(c.path, c.n.offset, "signed URLs and cookies are not supported yet, and without them the content would be open to all: disable it, if that is meant")
		}
		c.end()
	}
	if o.str("FieldLevelEncryptionId") != "" {
		o.f.unsupported(o.at("FieldLevelEncryptionId"), o.offset("FieldLevelEncryptionId"), "field-level encryption is not supported yet, and without it the fields would reach the origin in the clear: remove it, if that is meant")
	}
	if o.boolean("SmoothStreaming") {
		o.f.note(o.at("SmoothStreaming"), "Smooth Streaming is not known here: its files are served as any others")
	}
	if b.RealtimeLogConfigARN != "" {
		o.f.note(o.at("RealtimeLogConfigArn"), "there are no real-time logs here: the edge writes its own access log")
	}
	if c := o.child("GrpcConfig"); c != nil {
		c.need("Enabled")
		if c.boolean("Enabled") {
			o.f.note(c.path, "gRPC is not supported yet: such requests are not passed on")
		}
		c.end()
	}
}

// functions decodes both kinds of associations. One on the way of a request may be
// what guards the content, so it is refused; one on the way back is noted.
func functions(o *object, b *cdn.Behavior) {
	for _, kind := range [...]struct{ list, arn string }{
		{"FunctionAssociations", "FunctionARN"}, {"LambdaFunctionAssociations", "LambdaFunctionARN"},
	} {
		o.objects(kind.list, func(c *object) {
			c.need(kind.arn, "EventType")
			if kind.list == "LambdaFunctionAssociations" {
				c.boolean("IncludeBody")
			}
			arn, event := c.str(kind.arn), c.str("EventType")
			switch event {
			case "viewer-request", "origin-request":
				o.f.unsupported(c.path, c.n.offset, "functions are not supported yet, and one at %s may decide who gets what: remove the association, if the content may be served without it", event)
			case "viewer-response", "origin-response":
				o.f.note(c.path, "functions are not run here: %s does nothing at %s", arn, event)
			case "":
			default:
				o.f.problem(c.at("EventType"), c.offset("EventType"), cdn.CodeInvalidArgument, "%q is not known: use viewer-request, viewer-response, origin-request or origin-response", event)
			}
			if _, twice := b.FunctionARNs[event]; twice {
				o.f.problem(c.at("EventType"), c.offset("EventType"), "InvalidFunctionAssociation", "%q has a function already: one function per event", event)
			}
			if b.FunctionARNs == nil {
				b.FunctionARNs = map[string]string{}
			}
			b.FunctionARNs[event] = arn
		})
	}
}
