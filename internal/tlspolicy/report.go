package tlspolicy

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Summary is one policy's line in a list.
type Summary struct {
	Rank       int             `json:"rank"`
	Name       string          `json:"name"`
	MinVersion string          `json:"min_version"`
	MaxVersion string          `json:"max_version"`
	Summary    string          `json:"summary"`
	Rules      map[string]bool `json:"rules"`
}

// Description is everything about one policy.
type Description struct {
	Summary
	Versions   []string     `json:"versions"`
	SuiteList  string       `json:"suite_list"`
	Suites     []Item       `json:"suites"`
	GroupList  string       `json:"group_list"`
	Groups     []Item       `json:"groups"`
	SchemeList string       `json:"scheme_list"`
	Schemes    []Item       `json:"schemes"`
	Broken     []BrokenRule `json:"broken_rules"`
	Gaps       []Missing    `json:"gaps"` // what the engine cannot do
}

// Item is one code point with its names.
type Item struct {
	Code    string `json:"code"` // e.g. 0xC02F
	Name    string `json:"name"`
	OpenSSL string `json:"openssl,omitempty"` // suites only
	PQ      bool   `json:"pq,omitempty"`      // groups only
}

// BrokenRule is a rule that a policy breaks, and with what.
type BrokenRule struct {
	Rule      string     `json:"rule"`
	Offenders []Offender `json:"offenders"`
}

// Summarize returns p's line in a list.
func Summarize(p *Policy) Summary {
	s := Summary{
		Rank: p.Rank, Name: p.Name, Summary: p.Summary, Rules: map[string]bool{},
		MinVersion: p.MinVersion.String(), MaxVersion: p.MaxVersion.String(),
	}
	for _, r := range Rules() {
		s.Rules[r.Name] = len(r.Check(p)) == 0
	}
	return s
}

// List returns the lines of all policies in rank order.
func List() []Summary {
	var list []Summary
	for _, p := range All() {
		list = append(list, Summarize(p))
	}
	return list
}

// Describe returns everything about p.
func Describe(p *Policy) Description {
	d := Description{
		Summary: Summarize(p), Versions: p.versionNames(),
		SuiteList: p.SuiteList, GroupList: p.GroupList, SchemeList: p.SchemeList,
		Suites: []Item{}, Groups: []Item{}, Schemes: []Item{}, Broken: []BrokenRule{}, Gaps: p.Gaps(),
	}
	for _, s := range p.Suites {
		d.Suites = append(d.Suites, suiteItem(s))
	}
	for _, g := range p.Groups {
		d.Groups = append(d.Groups, groupItem(g))
	}
	for _, s := range p.Schemes {
		d.Schemes = append(d.Schemes, schemeItem(s))
	}
	for _, r := range Rules() {
		if found := r.Check(p); len(found) > 0 {
			d.Broken = append(d.Broken, BrokenRule{r.Name, found})
		}
	}
	if d.Gaps == nil {
		d.Gaps = []Missing{}
	}
	return d
}

func (p *Policy) versionNames() []string {
	var names []string
	for v := p.MinVersion; v <= p.MaxVersion; v++ {
		names = append(names, v.String())
	}
	return names
}

func code(v uint16) string { return fmt.Sprintf("0x%04X", v) }

func suiteItem(s Suite) Item {
	return Item{Code: code(uint16(s)), Name: s.String(), OpenSSL: s.OpenSSL()}
}
func groupItem(g Group) Item   { return Item{Code: code(uint16(g)), Name: g.String(), PQ: g.PQ()} }
func schemeItem(s Scheme) Item { return Item{Code: code(uint16(s)), Name: s.String()} }

// Comparison is the difference between two policies.
type Comparison struct {
	A        string      `json:"a"`
	B        string      `json:"b"`
	Versions SetChange   `json:"versions"`
	Suites   SetChange   `json:"suites"`
	Groups   SetChange   `json:"groups"`
	Schemes  SetChange   `json:"schemes"`
	Rules    []RuleShift `json:"rules"`
}

// SetChange is the difference between two ordered lists.
type SetChange struct {
	OnlyA []string `json:"only_a"`
	OnlyB []string `json:"only_b"`
	// Reordered tells that what both have is in another order.
	Reordered bool `json:"reordered"`
}

// Same reports whether the two lists are equal.
func (c SetChange) Same() bool { return len(c.OnlyA)+len(c.OnlyB) == 0 && !c.Reordered }

// RuleShift is a rule that one of the two keeps and the other breaks.
type RuleShift struct {
	Rule   string `json:"rule"`
	AKeeps bool   `json:"a_keeps"`
	BKeeps bool   `json:"b_keeps"`
}

// Diff compares two policies as named.
func Diff(a, b *Policy) Comparison {
	c := Comparison{
		A: a.Name, B: b.Name,
		Versions: change(a.versionNames(), b.versionNames()),
		Suites:   change(namesOf(a.Suites), namesOf(b.Suites)),
		Groups:   change(namesOf(a.Groups), namesOf(b.Groups)),
		Schemes:  change(namesOf(a.Schemes), namesOf(b.Schemes)),
		Rules:    []RuleShift{},
	}
	for _, r := range Rules() {
		if keepsA, keepsB := len(r.Check(a)) == 0, len(r.Check(b)) == 0; keepsA != keepsB {
			c.Rules = append(c.Rules, RuleShift{r.Name, keepsA, keepsB})
		}
	}
	return c
}

func namesOf[T fmt.Stringer](list []T) []string {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.String()
	}
	return names
}

func change(a, b []string) SetChange {
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
	}
	onlyA, onlyB := without(a, b), without(b, a)
	if onlyA == nil {
		onlyA = []string{}
	}
	if onlyB == nil {
		onlyB = []string{}
	}
	return SetChange{OnlyA: onlyA, OnlyB: onlyB, Reordered: !slices.Equal(without(a, onlyA), without(b, onlyB))}
}

// WriteList writes all policies as a table.
func WriteList(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tFLOOR\tFORWARD SECRET\tPQ\tFIPS\tNO SHA-1\tSUMMARY")
	for _, s := range List() {
		pq := "no"
		switch {
		case s.Rules["requires_pq"]:
			pq = "required"
		case s.Rules["offers_pq"]:
			pq = "offered"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.MinVersion,
			yesNo(s.Rules["forward_secret"]), pq, yesNo(s.Rules["fips_approved"]), yesNo(s.Rules["no_sha1"]), s.Summary)
	}
	return t.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// WriteShow writes everything about one policy.
func WriteShow(w io.Writer, p *Policy) error {
	d := Describe(p)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s: %s\n\n", d.Name, d.Summary.Summary)
	fmt.Fprintf(t, "Versions: %s\n\n", strings.Join(d.Versions, ", "))
	fmt.Fprintf(t, "Cipher suites, in server order (%s)\n", d.SuiteList)
	for _, s := range d.Suites {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", s.Code, s.Name, s.OpenSSL)
	}
	fmt.Fprintf(t, "\nKey exchange groups, in server order (%s)\n", d.GroupList)
	for _, g := range d.Groups {
		note := "classical"
		if g.PQ {
			note = "post-quantum, TLSv1.3 only"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", g.Code, g.Name, note)
	}
	fmt.Fprintf(t, "\nSignature schemes, in server order (%s)\n", d.SchemeList)
	for _, s := range d.Schemes {
		fmt.Fprintf(t, "  %s\t%s\n", s.Code, s.Name)
	}
	fmt.Fprintf(t, "\nRules\n")
	for _, r := range Rules() {
		fmt.Fprintf(t, "  %s\t%s\n", r.Text, verdict(r.Check(p)))
	}
	if len(d.Gaps) > 0 {
		fmt.Fprintf(t, "\nNamed, but not possible with this edge's TLS engine\n")
		for _, g := range d.Gaps {
			fmt.Fprintf(t, "  %s %s\t%s\n", g.Kind, g.Name, g.Reason)
		}
	}
	return t.Flush()
}

func verdict(found []Offender) string {
	if len(found) == 0 {
		return "yes"
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.Name
	}
	return "no: " + strings.Join(names, ", ")
}

// WriteDiff writes what changes from policy a to policy b.
func WriteDiff(w io.Writer, a, b *Policy) error {
	c := Diff(a, b)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", c.A, c.B)
	same := true
	for _, part := range []struct {
		title string
		SetChange
	}{
		{"versions", c.Versions}, {"cipher suites", c.Suites}, {"key exchange groups", c.Groups}, {"signature schemes", c.Schemes},
	} {
		if part.Same() {
			continue
		}
		same = false
		fmt.Fprintf(&out, "%s\n", part.title)
		for _, s := range part.OnlyA {
			fmt.Fprintf(&out, "  - %s\n", s)
		}
		for _, s := range part.OnlyB {
			fmt.Fprintf(&out, "  + %s\n", s)
		}
		if part.Reordered {
			fmt.Fprintf(&out, "  ~ what both have is in another order\n")
		}
	}
	for i, r := range c.Rules {
		if i == 0 {
			out.WriteString("rules\n")
		}
		fmt.Fprintf(&out, "  ~ %s: %s -> %s\n", r.Rule, yesNo(r.AKeeps), yesNo(r.BKeeps))
	}
	if same {
		out.WriteString("no difference in what may be negotiated\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// WriteReasons writes the reasons for refusals with what is sent for each.
func WriteReasons(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REASON\tCLOUDFRONT ALERT\tRFC ALERT\tRULE\tMEANING")
	for _, row := range reasonTable() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", row.reason,
			alertText(CloudFrontAlerts, row.reason), alertText(RFCAlerts, row.reason), row.rule, row.text)
	}
	return t.Flush()
}

func alertText(p AlertProfile, r Reason) string {
	level, alert := p.Alert(r)
	switch level {
	case NoAlert:
		return "-"
	case AlertWarning:
		return fmt.Sprintf("warning %s(%d)", alert, uint8(alert))
	}
	return fmt.Sprintf("fatal %s(%d)", alert, uint8(alert))
}
