package configfile

import (
	"pqfront/internal/cdn"
)

func origin(o *object) cdn.Origin {
	o.need("Id", "DomainName")
	out := cdn.Origin{
		ID: o.str("Id"), DomainName: o.str("DomainName"), Path: o.str("OriginPath"),
		ConnectionAttempts:        o.number("ConnectionAttempts", cdn.DefaultConnectionAttempts),
		ConnectionTimeout:         cdn.Seconds(o.integer("ConnectionTimeout", int64(cdn.DefaultConnectionTimeout.Seconds()))),
		ResponseCompletionTimeout: cdn.Seconds(o.integer("ResponseCompletionTimeout", 0)),
		AccessControlID:           o.str("OriginAccessControlId"),
	}
	o.objects("CustomHeaders", func(c *object) {
		c.need("HeaderName", "HeaderValue")
		out.Headers = append(out.Headers, cdn.CustomHeader{Name: c.str("HeaderName"), Value: c.str("HeaderValue")})
	})
	if c := o.child("S3OriginConfig"); c != nil {
		out.S3 = s3Origin(c)
	}
	if c := o.child("CustomOriginConfig"); c != nil {
		out.Custom = customOrigin(c)
	}
	if c := o.child("VpcOriginConfig"); c != nil {
		o.f.unsupported(c.path, c.n.offset, "VPC origins are not supported yet: give the origin's own name with CustomOriginConfig")
		out.Custom = nil
	}
	if c := o.child("OriginShield"); c != nil {
		c.need("Enabled")
		out.ShieldEnabled, out.ShieldRegion = c.boolean("Enabled"), c.str("OriginShieldRegion")
		if out.ShieldEnabled {
			o.f.note(c.path, "there is no further cache layer here: requests go to the origin directly")
		}
		c.end()
	}
	return out
}

func s3Origin(o *object) *cdn.S3Origin {
	s := &cdn.S3Origin{
		OriginAccessIdentity: o.str("OriginAccessIdentity"),
		ReadTimeout:          cdn.Seconds(o.integer("OriginReadTimeout", int64(cdn.DefaultReadTimeout.Seconds()))),
	}
	if s.OriginAccessIdentity != "" {
		o.f.note(o.at("OriginAccessIdentity"), "requests are not signed with an origin access identity: use an origin access control")
	}
	o.end()
	return s
}

func customOrigin(o *object) *cdn.CustomOrigin {
	o.need("HTTPPort", "HTTPSPort", "OriginProtocolPolicy")
	c := &cdn.CustomOrigin{
		HTTPPort: o.number("HTTPPort", 80), HTTPSPort: o.number("HTTPSPort", 443),
		ProtocolPolicy:   cdn.OriginProtocol(o.str("OriginProtocolPolicy")),
		SSLProtocols:     []string{"TLSv1.2"},
		ReadTimeout:      cdn.Seconds(o.integer("OriginReadTimeout", int64(cdn.DefaultReadTimeout.Seconds()))),
		KeepaliveTimeout: cdn.Seconds(o.integer("OriginKeepaliveTimeout", int64(cdn.DefaultKeepaliveTimeout.Seconds()))),
	}
	if o.has("OriginSslProtocols") {
		c.SSLProtocols = o.strings("OriginSslProtocols")
	}
	switch t := o.str("IpAddressType"); t {
	case "", "ipv4", "ipv6", "dualstack":
		if t != "" && t != "dualstack" {
			o.f.note(o.at("IpAddressType"), "is not kept to: the origin's addresses of both kinds are used")
		}
	default:
		o.f.problem(o.at("IpAddressType"), o.offset("IpAddressType"), cdn.CodeInvalidArgument, "%q is not known: use ipv4, ipv6 or dualstack", t)
	}
	if m := o.child("OriginMtlsConfig"); m != nil {
		o.f.unsupported(m.path, m.n.offset, "client certificates toward origins are not supported yet: remove it, if the origin does without")
	}
	o.end()
	return c
}
