package configfile

import (
	"strings"
	"testing"
)

// TestProblemsAreHarmless: no key, value or file name makes a line of its own or moves
// the cursor of a terminal.
func TestProblemsAreHarmless(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("a.json: Größe: 名前 \"x\" 'y' \\", "a.json: Größe: 名前 \"x\" 'y' \\")
	f("\x1b[31mred\n2: ok", `\x1b[31mred\n2: ok`)
	f("a\u202eb\u2028c\u0085\x7f\xff", `a\u202eb\u2028c\u0085\x7f\xff`)

	const hostile = "\\u001b[2J\\nEA: all is well\\u202e"
	_, err := Parse([]Document{{Name: "a\x1b\n.json", Data: []byte(`{"DistributionConfig": {"` + hostile + `": 1,
		"Comment": 9` + strings.Repeat("9", 500) + `, "Origins": {"Quantity": 1` + strings.Repeat("0", 500) + `}}}`)}}, Options{})
	problems, ok := err.(*Problems)
	if !ok || len(problems.List) == 0 {
		t.Fatal(err)
	}
	for _, p := range problems.List {
		line := p.String()
		if strings.ContainsAny(line, "\x1b\n\u202e") || len(line) > 400 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
}
