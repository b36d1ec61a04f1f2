package app

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pqfront/internal/cdn"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/tlspolicy"
)

var update = flag.Bool("update", false, "rewrite the reference pages in docs/reference")

// TestReferencePages keeps docs/reference equal to the tables that it is made from. This
// room may see all of them.
func TestReferencePages(t *testing.T) {
	for name, page := range map[string]func(*bytes.Buffer) error{
		"security-policies.md": policyPage,
		"refusals.md":          refusalPage,
		"error-pages.md":       errorPage,
		"managed-policies.md":  managedPage,
	} {
		var b bytes.Buffer
		fmt.Fprintf(&b, "<!-- Made from tables by `go test ./internal/app -run TestReferencePages -update`. Do not edit. -->\n\n")
		if err := page(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("../../docs/reference", name)
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, b.Bytes()) {
			t.Errorf("%s is not what the tables say (%v): run go test ./internal/app -run TestReferencePages -update", path, err)
		}
	}
}

// cell makes text safe within a table.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

func policyPage(b *bytes.Buffer) error {
	b.WriteString("# Security policies\n\nThe strictest first. `pqfront policy show NAME` and `pqfront policy diff A B` print the same.\n\n```\n")
	if err := tlspolicy.WriteList(b); err != nil {
		return err
	}
	b.WriteString("```\n")
	for _, p := range tlspolicy.All() {
		fmt.Fprintf(b, "\n## %s\n\n```\n", p.Name)
		if err := tlspolicy.WriteShow(b, p); err != nil {
			return err
		}
		b.WriteString("```\n")
	}
	return nil
}

func refusalPage(b *bytes.Buffer) error {
	b.WriteString("# Refusals\n\nThe reasons in the log of refusals, `tls-refusal` for handshakes and `reason` for requests.\n\n## Handshakes\n\n```\n")
	if err := tlspolicy.WriteReasons(b); err != nil {
		return err
	}
	b.WriteString("```\n\n## Requests\n\n| reason | meaning |\n|---|---|\n")
	for _, r := range viewerhttp.Reasons() {
		fmt.Fprintf(b, "| `%s` | %s |\n", r.Reason, cell(r.Doc))
	}
	return nil
}

func errorPage(b *bytes.Buffer) error {
	b.WriteString("# Error pages\n\nThe answers that the edge makes itself.\n\n| cause | status | x-cache | x-edge-detailed-result-type | sentence |\n|---|---|---|---|---|\n")
	for _, c := range respheaders.Causes() {
		fmt.Fprintf(b, "| `%s` | %d | %s | %s | %s |\n", c.Cause, c.Status, c.Result, c.Detailed, cell(c.Sentence))
	}
	return nil
}

func managedPage(b *bytes.Buffer) error {
	b.WriteString("# Managed policies\n\nBuilt in under CloudFront's ids.\n\n## Cache policies\n\n| name | id | min / default / max TTL | gzip, Brotli | headers | cookies | query strings |\n|---|---|---|---|---|---|---|\n")
	for _, p := range cdn.ManagedCachePolicies() {
		fmt.Fprintf(b, "| %s | %s | %.0f / %.0f / %.0f s | %t, %t | %s | %s | %s |\n", p.Name, p.ID, p.MinTTL.Seconds(), p.DefaultTTL.Seconds(), p.MaxTTL.Seconds(),
			p.Gzip, p.Brotli, selection(p.Headers), selection(p.Cookies), selection(p.QueryStrings))
	}
	b.WriteString("\n## Origin request policies\n\n| name | id | headers | cookies | query strings |\n|---|---|---|---|---|\n")
	for _, p := range cdn.ManagedOriginRequestPolicies() {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", p.Name, p.ID, selection(p.Headers), selection(p.Cookies), selection(p.QueryStrings))
	}
	b.WriteString("\n## Response headers policies\n\n| name | id | adds |\n|---|---|---|\n")
	for _, p := range cdn.ManagedResponseHeadersPolicies() {
		fmt.Fprintf(b, "| %s | %s | %s |\n", p.Name, p.ID, strings.Join(adds(p), "; "))
	}
	return nil
}

func selection(s cdn.Selection) string {
	if len(s.Names) == 0 {
		return s.Behavior
	}
	return s.Behavior + ": " + strings.Join(s.Names, ", ")
}

// adds lists the fields of a response headers policy with their values.
func adds(p *cdn.ResponseHeadersPolicy) []string {
	var out []string
	sec := p.Security
	for _, h := range []*cdn.OverridableHeader{sec.XSSProtection, sec.FrameOptions, sec.ReferrerPolicy, sec.ContentSecurityPolicy, sec.ContentTypeOptions, sec.StrictTransport} {
		if h == nil {
			continue
		}
		text := h.Name + ": " + h.Value
		if h.Override {
			text += " (overrides)"
		}
		out = append(out, text)
	}
	if c := p.CORS; c != nil {
		out = append(out, "CORS for "+strings.Join(c.AllowOrigins, ", ")+", methods "+strings.Join(c.AllowMethods, ", "))
	}
	return out
}
