package cdn

import (
	"fmt"
)

// References finds policies by their ids, the managed ones included.
type References struct {
	CachePolicies           map[string]*CachePolicy
	OriginRequestPolicies   map[string]*OriginRequestPolicy
	ResponseHeadersPolicies map[string]*ResponseHeadersPolicy
	OriginAccessControls    map[string]*OriginAccessControl
}

// References returns the state's policies together with the managed ones.
func (s *State) References() *References {
	r := &References{
		CachePolicies:           map[string]*CachePolicy{},
		OriginRequestPolicies:   map[string]*OriginRequestPolicy{},
		ResponseHeadersPolicies: map[string]*ResponseHeadersPolicy{},
		OriginAccessControls:    s.OriginAccessControls,
	}
	for _, p := range managedCachePolicies() {
		r.CachePolicies[p.ID] = p
	}
	for _, p := range managedOriginRequestPolicies() {
		r.OriginRequestPolicies[p.ID] = p
	}
	for _, p := range managedResponseHeadersPolicies() {
		r.ResponseHeadersPolicies[p.ID] = p
	}
	for id, p := range s.CachePolicies {
		r.CachePolicies[id] = p
	}
	for id, p := range s.OriginRequestPolicies {
		r.OriginRequestPolicies[id] = p
	}
	for id, p := range s.ResponseHeadersPolicies {
		r.ResponseHeadersPolicies[id] = p
	}
	return r
}

// StateProblem is a problem of one distribution in the company of the others.
type StateProblem struct {
	Distribution *Distribution
	Problem
}

// Problems checks what no constructor can see: that ids and names are given once and
// that every reference has an end.
func (s *State) Problems() []StateProblem {
	var out []StateProblem
	refs := s.References()
	ids, callers, names := map[string]*Distribution{}, map[string]*Distribution{}, map[string]*Distribution{}
	for _, d := range s.Distributions {
		var ps problems
		if other := ids[d.ID]; other != nil {
			ps.add(CodeDistributionAlreadyExists, "Id", "%s is the id of another distribution, too%s: remove one of the two", d.ID, from(other))
		} else if other := callers[d.CallerReference]; other != nil {
			ps.add(CodeDistributionAlreadyExists, "CallerReference", "%q belongs to the distribution %s already%s: use a reference of its own", d.CallerReference, other.ID, from(other))
		}
		ids[d.ID], callers[d.CallerReference] = d, d
		ps.checkNames(d, names)
		ps.checkReferences(d, refs)
		for _, p := range ps {
			out = append(out, StateProblem{Distribution: d, Problem: p})
		}
	}
	return out
}

func from(d *Distribution) string {
	if d.Source == "" {
		return ""
	}
	return " (" + d.Source + ")"
}

// checkNames checks that nobody else has d's names; a name that only disabled
// distributions have in common is taken all the same, as in CloudFront.
func (ps *problems) checkNames(d *Distribution, taken map[string]*Distribution) {
	for i, name := range d.Names() {
		field := "DomainName"
		if i > 0 {
			field = item("Aliases", i-1)
		}
		if other := taken[name]; other != nil && other != d {
			ps.add(CodeCNAMEAlreadyExists, field, "%s is a name of the distribution %s already%s: remove it from one of the two", name, other.ID, from(other))
			continue
		}
		taken[name] = d
	}
}

func (ps *problems) checkReferences(d *Distribution, refs *References) {
	for i := range d.Origins {
		ps.checkAccessControl(&d.Origins[i], item("Origins", i), refs)
	}
	ps.checkPolicyIDs(&d.DefaultBehavior, "DefaultCacheBehavior", refs)
	for i := range d.Behaviors {
		ps.checkPolicyIDs(&d.Behaviors[i], item("CacheBehaviors", i), refs)
	}
}

func (ps *problems) checkAccessControl(o *Origin, field string, refs *References) {
	if o.AccessControlID == "" {
		return
	}
	field += ".OriginAccessControlId"
	switch c := refs.OriginAccessControls[o.AccessControlID]; {
	case c == nil:
		ps.add(CodeNoSuchOriginAccessControl, field, "there is no origin access control with the id %s: give its `get-origin-access-control` output, too", o.AccessControlID)
	case c.OriginType == "s3" && o.S3 == nil:
		ps.add(CodeInvalidOriginAccessControl, field, "the origin access control %s is for S3 origins and this is a custom one: use S3OriginConfig, or remove it", o.AccessControlID)
	case c.OriginType != "s3" && o.S3 != nil:
		ps.add(CodeInvalidOriginAccessControl, field, "the origin access control %s is for %s origins and this is an S3 one: use one of the type s3", o.AccessControlID, c.OriginType)
	}
}

func (ps *problems) checkPolicyIDs(b *Behavior, field string, refs *References) {
	missing := func(code, member, what, command, id string) {
		ps.add(code, field+"."+member, "%s", fmt.Sprintf("there is no %s with the id %s: give its `%s` output, too, or use a managed policy", what, id, command))
	}
	if id := b.CachePolicyID; id != "" && refs.CachePolicies[id] == nil {
		missing(CodeNoSuchCachePolicy, "CachePolicyId", "cache policy", "get-cache-policy", id)
	}
	if id := b.OriginRequestPolicyID; id != "" && refs.OriginRequestPolicies[id] == nil {
		missing(CodeNoSuchOriginRequestPolicy, "OriginRequestPolicyId", "origin request policy", "get-origin-request-policy", id)
	}
	if id := b.ResponseHeadersPolicyID; id != "" && refs.ResponseHeadersPolicies[id] == nil {
		missing(CodeNoSuchResponseHeadersPolicy, "ResponseHeadersPolicyId", "response headers policy", "get-response-headers-policy", id)
	}
}
