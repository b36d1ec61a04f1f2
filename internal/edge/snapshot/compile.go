package snapshot

import (
	"crypto/tls"
	"fmt"
	"strings"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/route"
)

// Input is what a snapshot is compiled from.
type Input struct {
	State cdn.State
	// Certificates returns a distribution's certificates in its order, RSA and ECDSA
	// side by side when it has both. It is asked once for each enabled distribution.
	Certificates func(*cdn.Distribution) []tls.Certificate
	// Default is the id or a name of the distribution that serves handshakes without a
	// usable server name; "" = those are refused.
	Default    string
	Generation uint64
}

// Problem is one reason why a State is not a Snapshot.
type Problem struct {
	Distribution string // its id; "" when the problem is of none
	Source       string // where the distribution was read from
	cdn.Problem
}

// Error is Compile's error: all problems at once.
type Error struct {
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// String returns the source or id, field and message.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range [...]string{p.Source, p.Distribution, p.Field} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	b.WriteString(p.Message)
	return b.String()
}

// compiler holds what is shared between the sites of one snapshot.
type compiler struct {
	in       *Input
	refs     *cdn.References
	policies map[string]*policy
	alpn     protocols
	out      *Snapshot
	problems []Problem
}

// Compile prepares everything that serving State needs. The error, an *Error, lists
// all that is wrong. Disabled distributions are left out.
func Compile(in Input) (*Snapshot, error) {
	c := &compiler{
		in: &in, refs: in.State.References(), policies: map[string]*policy{}, alpn: newProtocols(),
		out: &Snapshot{Generation: in.Generation, hosts: &route.Hosts{}},
	}
	for _, d := range in.State.Distributions {
		if d.Enabled {
			c.add(d)
		}
	}
	if in.Default != "" {
		c.setDefault(in.Default)
	}
	if len(c.problems) > 0 {
		return nil, &Error{Problems: c.problems}
	}
	return c.out, nil
}

func (c *compiler) problem(d *cdn.Distribution, field, code, format string, args ...any) {
	p := Problem{Problem: cdn.Problem{Field: field, Message: fmt.Sprintf(format, args...), Code: code}}
	if d != nil {
		p.Distribution, p.Source = d.ID, d.Source
	}
	c.problems = append(c.problems, p)
}

// add compiles one distribution.
func (c *compiler) add(d *cdn.Distribution) {
	site := &Site{Distribution: d, TLS: c.tls(d)}
	index := len(c.out.Sites)
	c.out.Sites = append(c.out.Sites, site)
	c.addName(d, index, "DomainName", d.DomainName)
	for i, alias := range d.Aliases {
		c.addName(d, index, fmt.Sprintf("Aliases.Items[%d]", i), alias)
	}
	origins := c.origins(d)
	patterns := make([]string, 0, len(d.Behaviors))
	for i := range d.Behaviors {
		b := &d.Behaviors[i]
		patterns = append(patterns, b.PathPattern)
		site.Behaviors = append(site.Behaviors, c.behavior(d, b, fmt.Sprintf("CacheBehaviors.Items[%d]", i), origins))
	}
	site.Behaviors = append(site.Behaviors, c.behavior(d, &d.DefaultBehavior, "DefaultCacheBehavior", origins))
	var err error
	if site.paths, err = route.NewPaths(patterns); err != nil {
		c.problem(d, "CacheBehaviors", cdn.CodeInvalidArgument, "%v", err)
	}
}

func (c *compiler) addName(d *cdn.Distribution, index int, field, name string) {
	err := c.out.hosts.Add(name, index)
	if taken, ok := err.(*route.TakenError); ok {
		other := c.out.Sites[taken.Site].Distribution
		c.problem(d, field, cdn.CodeCNAMEAlreadyExists, "%s is a name of distribution %s already: remove it from one of the two", name, other.ID)
		return
	}
	if err != nil {
		c.problem(d, field, cdn.CodeInvalidArgument, "%v", err)
	}
}

func (c *compiler) setDefault(name string) {
	for _, site := range c.out.Sites {
		if site.Distribution.ID == name {
			c.out.Default = site
			return
		}
	}
	if site, ok := c.out.ByServerName(name); ok {
		c.out.Default = site
		return
	}
	c.problem(nil, "", cdn.CodeNoSuchDistribution, "the default distribution %q is not among the enabled distributions: give the id or a name of one of them", name)
}

// origins resolves the origins of d by their ids.
func (c *compiler) origins(d *cdn.Distribution) map[string]*Origin {
	byID := make(map[string]*Origin, len(d.Origins))
	for i := range d.Origins {
		o := &Origin{Origin: &d.Origins[i]}
		if o.AccessControlID != "" {
			o.AccessControl = c.refs.OriginAccessControls[o.AccessControlID]
			if o.AccessControl == nil {
				c.dangling(d, fmt.Sprintf("Origins.Items[%d].OriginAccessControlId", i), cdn.CodeNoSuchOriginAccessControl, "origin access control", o.AccessControlID)
			}
		}
		byID[o.ID] = o
	}
	return byID
}

func (c *compiler) dangling(d *cdn.Distribution, field, code, what, id string) {
	c.problem(d, field, code, "there is no %s with the id %s", what, id)
}

// behavior resolves the references of one cache behavior.
func (c *compiler) behavior(d *cdn.Distribution, b *cdn.Behavior, field string, origins map[string]*Origin) *Behavior {
	out := &Behavior{Behavior: b}
	out.Origins, out.FailoverCodes = c.target(d, b, field, origins)
	if b.Legacy != nil {
		out.Cache, out.OriginRequest = legacyPolicies(b)
	} else if out.Cache = c.refs.CachePolicies[b.CachePolicyID]; out.Cache == nil {
		c.dangling(d, field+".CachePolicyId", cdn.CodeNoSuchCachePolicy, "cache policy", b.CachePolicyID)
	}
	if id := b.OriginRequestPolicyID; id != "" {
		if out.OriginRequest = c.refs.OriginRequestPolicies[id]; out.OriginRequest == nil {
			c.dangling(d, field+".OriginRequestPolicyId", cdn.CodeNoSuchOriginRequestPolicy, "origin request policy", id)
		}
	}
	if id := b.ResponseHeadersPolicyID; id != "" {
		if out.ResponseHeaders = c.refs.ResponseHeadersPolicies[id]; out.ResponseHeaders == nil {
			c.dangling(d, field+".ResponseHeadersPolicyId", cdn.CodeNoSuchResponseHeadersPolicy, "response headers policy", id)
		}
	}
	return out
}

// target resolves a behavior's target: an origin, or the members of an origin group.
func (c *compiler) target(d *cdn.Distribution, b *cdn.Behavior, field string, origins map[string]*Origin) ([]*Origin, []int) {
	if o := origins[b.TargetOriginID]; o != nil {
		return []*Origin{o}, nil
	}
	for i := range d.OriginGroups {
		g := &d.OriginGroups[i]
		if g.ID != b.TargetOriginID {
			continue
		}
		var members []*Origin
		for _, id := range g.Members {
			if o := origins[id]; o != nil {
				members = append(members, o)
			}
		}
		if len(members) != len(g.Members) || len(members) == 0 {
			c.problem(d, fmt.Sprintf("OriginGroups.Items[%d].Members", i), cdn.CodeNoSuchOrigin, "the members %s are not all origins of the distribution", strings.Join(g.Members, ", "))
		}
		return members, g.StatusCodes
	}
	c.problem(d, field+".TargetOriginId", cdn.CodeNoSuchOrigin, "there is no origin or origin group with the id %q in the distribution", b.TargetOriginID)
	return nil, nil
}

// legacyPolicies turns a behavior's own cache settings into the policies that do the
// same (CloudFront: Values that you specify, Cache based on selected request headers).
func legacyPolicies(b *cdn.Behavior) (*cdn.CachePolicy, *cdn.OriginRequestPolicy) {
	l := b.Legacy
	cache := &cdn.CachePolicy{
		Name:   "legacy cache settings",
		MinTTL: l.MinTTL, DefaultTTL: l.DefaultTTL, MaxTTL: l.MaxTTL,
		// Whether the viewer takes gzip is always in the key and sent to the origin, but
		// never Brotli (CloudFront: Request and response behavior for custom origins,
		// Compression).
		Gzip:    true,
		Headers: cdn.Selection{Behavior: "none"}, Cookies: l.Cookies,
		QueryStrings: cdn.Selection{Behavior: "none"},
	}
	// What is in the key is sent to the origin, too; more than that needs a policy.
	send := &cdn.OriginRequestPolicy{
		Name:    cache.Name,
		Headers: cdn.Selection{Behavior: "none"}, Cookies: cdn.Selection{Behavior: "none"},
		QueryStrings: cdn.Selection{Behavior: "none"},
	}
	needed := false
	switch {
	case len(l.Headers) == 1 && l.Headers[0] == "*":
		// All headers are forwarded and nothing is cached.
		cache.MinTTL, cache.DefaultTTL, cache.MaxTTL, cache.Gzip = 0, 0, 0, false
		send.Headers.Behavior, needed = "allViewer", true
	case len(l.Headers) > 0:
		cache.Headers = cdn.Selection{Behavior: "whitelist", Names: l.Headers}
	}
	switch {
	case l.QueryString && len(l.QueryStringKeys) > 0:
		// The keys alone count for the cache, but the origin sees all of the query.
		cache.QueryStrings = cdn.Selection{Behavior: "whitelist", Names: l.QueryStringKeys}
		send.QueryStrings.Behavior, needed = "all", true
	case l.QueryString:
		cache.QueryStrings.Behavior = "all"
	}
	if !needed {
		send = nil
	}
	return cache, send
}
