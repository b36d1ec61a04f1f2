package cdn

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var updateManaged = flag.Bool("update-managed", false, "rewrite the snapshot of the managed policies")

// TestManagedSnapshot shows every managed policy as text, so that a change of one is a
// readable diff. -update-managed rewrites the snapshot.
func TestManagedSnapshot(t *testing.T) {
	var b strings.Builder
	sel := func(what string, s Selection) {
		fmt.Fprintf(&b, "  %s: %s %s\n", what, s.Behavior, strings.Join(s.Names, ", "))
	}
	for _, p := range ManagedCachePolicies() {
		fmt.Fprintf(&b, "cache %s %s\n  ttl: min %v default %v max %v\n  gzip %v brotli %v\n", p.ID, p.Name, p.MinTTL, p.DefaultTTL, p.MaxTTL, p.Gzip, p.Brotli)
		sel("headers", p.Headers)
		sel("cookies", p.Cookies)
		sel("query strings", p.QueryStrings)
	}
	for _, p := range ManagedOriginRequestPolicies() {
		fmt.Fprintf(&b, "origin request %s %s\n", p.ID, p.Name)
		sel("headers", p.Headers)
		sel("cookies", p.Cookies)
		sel("query strings", p.QueryStrings)
	}
	for _, p := range ManagedResponseHeadersPolicies() {
		fmt.Fprintf(&b, "response headers %s %s\n", p.ID, p.Name)
		if c := p.CORS; c != nil {
			fmt.Fprintf(&b, "  cors: origins %v headers %v methods %v expose %v max-age %d credentials %v override %v\n",
				c.AllowOrigins, c.AllowHeaders, c.AllowMethods, c.ExposeHeaders, c.MaxAge, c.AllowCredentials, c.OriginOverride)
		}
		s := p.Security
		for _, h := range []*OverridableHeader{s.XSSProtection, s.FrameOptions, s.ReferrerPolicy, s.ContentSecurityPolicy, s.ContentTypeOptions, s.StrictTransport} {
			if h != nil {
				fmt.Fprintf(&b, "  %s: %s (override %v)\n", h.Name, h.Value, h.Override)
			}
		}
		fmt.Fprintf(&b, "  server-timing: %v custom: %d remove: %d\n", p.ServerTimingSampling, len(p.Custom), len(p.Remove))
	}
	const file = "testdata/managed.txt"
	if *updateManaged {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs; refresh it with: go test ./internal/cdn -run Managed -update-managed\ngot:\n%s", file, b.String())
	}
}

// TestManagedIdentity: ids are UUIDs and given once; the managed policies obey the
// rules for policies of one's own, but for the number of headers.
func TestManagedIdentity(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	check := func(id, name string, managed bool) {
		if !form.MatchString(id) || seen[id] || seen[name] || !managed || !strings.HasPrefix(name, "Managed-") {
			t.Errorf("%s %s: malformed, twice or not managed", id, name)
		}
		seen[id], seen[name] = true, true
	}
	for _, p := range ManagedCachePolicies() {
		check(p.ID, p.Name, p.Managed)
		if _, problems := NewCachePolicy(*p, Rules{}); p.Name != "Managed-Amplify" && len(problems) > 0 {
			t.Errorf("%s: %v", p.Name, problems)
		}
	}
	for _, p := range ManagedOriginRequestPolicies() {
		check(p.ID, p.Name, p.Managed)
		if _, problems := NewOriginRequestPolicy(*p, Rules{}); len(p.Headers.Names) <= 10 && len(problems) > 0 {
			t.Errorf("%s: %v", p.Name, problems)
		}
	}
	for _, p := range ManagedResponseHeadersPolicies() {
		check(p.ID, p.Name, p.Managed)
		if _, problems := NewResponseHeadersPolicy(*p, Rules{}); len(problems) > 0 {
			t.Errorf("%s: %v", p.Name, problems)
		}
	}
	if len(seen) != 2*20 {
		t.Errorf("%d policies, want 20", len(seen)/2)
	}
}
