package cdn

// The managed policies, for References.

func managedCachePolicies() []*CachePolicy                     { return nil }
func managedOriginRequestPolicies() []*OriginRequestPolicy     { return nil }
func managedResponseHeadersPolicies() []*ResponseHeadersPolicy { return nil }
