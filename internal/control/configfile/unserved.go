package configfile

import (
	"pqfront/internal/cdn"
)

// unserved decodes the members of a DistributionConfig that the edge does not act on:
// refused when that would be unsafe, noted when it only is a pity.
func (f *file) unserved(o *object, d *cdn.Distribution) {
	if d.WebACLID != "" {
		f.note(o.at("WebACLId"), "no web ACL is applied here: requests that it would block are served")
	}
	if d.PriceClass != cdn.DefaultPriceClass {
		f.note(o.at("PriceClass"), "is recorded only: every edge serves the distribution")
	}
	if !d.IPv6 {
		f.note(o.at("IsIPV6Enabled"), "false has no effect: the edge answers on the addresses that it listens on")
	}
	if o.str("ContinuousDeploymentPolicyId") != "" {
		f.note(o.at("ContinuousDeploymentPolicyId"), "there is no continuous deployment here: all requests get this distribution")
	}
	if o.boolean("Staging") {
		f.note(o.at("Staging"), "a staging distribution is served as any other, under its own names")
	}
	if o.str("AnycastIpListId") != "" {
		f.note(o.at("AnycastIpListId"), "has no effect: the edge answers on the addresses that it listens on")
	}
	if c := o.child("CacheTagConfig"); c != nil {
		c.need("HeaderName")
		c.str("HeaderName")
		f.note(c.path, "there is no invalidation by tags here")
		c.end()
	}
	f.tenants(o)
	f.viewerMTLS(o.child("ViewerMtlsConfig"))
	if c := o.child("ConnectionFunctionAssociation"); c != nil {
		f.unsupported(c.path, c.n.offset, "connection functions are not supported yet, and this one may refuse viewers: remove it, if all may connect")
	}
}

// tenants refuses the templates of multi-tenant distributions: they have no viewers of
// their own.
func (f *file) tenants(o *object) {
	switch mode := o.str("ConnectionMode"); mode {
	case "", "direct":
	case "tenant-only":
		f.unsupported(o.at("ConnectionMode"), o.offset("ConnectionMode"), "distribution tenants are not supported yet: use direct")
	default:
		f.problem(o.at("ConnectionMode"), o.offset("ConnectionMode"), cdn.CodeInvalidArgument, "%q is not known: use direct or tenant-only", mode)
	}
	if c := o.child("TenantConfig"); c != nil && len(c.n.members) > 0 {
		f.unsupported(c.path, c.n.offset, "distribution tenants are not supported yet: remove it")
	}
}

func (f *file) viewerMTLS(o *object) {
	if o == nil {
		return
	}
	switch mode := o.str("Mode"); mode {
	case "required":
		f.unsupported(o.at("Mode"), o.offset("Mode"), "client certificates of viewers are not supported yet, and without them everybody could connect: remove ViewerMtlsConfig, if that is meant")
	case "optional", "passthrough":
		f.note(o.path, "viewers are not asked for client certificates")
	case "":
	default:
		f.problem(o.at("Mode"), o.offset("Mode"), cdn.CodeInvalidArgument, "%q is not known: use required, optional or passthrough", mode)
	}
	if c := o.child("TrustStoreConfig"); c != nil {
		c.need("TrustStoreId")
		c.str("TrustStoreId")
		c.boolean("AdvertiseTrustStoreCaNames")
		c.boolean("IgnoreCertificateExpiry")
		c.end()
	}
	o.end()
}
