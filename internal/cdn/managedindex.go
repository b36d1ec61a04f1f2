package cdn

// The managed policies, for References.

func managedCachePolicies() []*CachePolicy                 { return ManagedCachePolicies() }
func managedOriginRequestPolicies() []*OriginRequestPolicy { return ManagedOriginRequestPolicies() }
func managedResponseHeadersPolicies() []*ResponseHeadersPolicy {
	return ManagedResponseHeadersPolicies()
}
