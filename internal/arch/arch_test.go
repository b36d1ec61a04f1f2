// Package arch checks the arrows between the rooms: who may import whom. The rules
// are docs/architecture.md, "Import rules". The test reads the sources itself, not
// `go list`, so that the test cache notices a changed import.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is what one package may import besides the standard library.
type room struct {
	ours  []string // rooms of ours, relative to pqfront/internal
	third []string // module path prefixes of other people's code
}

// anything marks a room that may import every other room of ours.
const anything = "*"

// rooms is the table of arrows. A new arrow is a change here, in the same commit,
// with a sentence that says why.
var rooms = map[string]room{
	// Hall: nouns and rules. Only the standard library, and never each other, but that
	// clienthello gives its result in tlspolicy's terms.
	"internal/cdn":         {},
	"internal/tlspolicy":   {},
	"internal/certs":       {},
	"internal/sigv4":       {},
	"internal/httpfield":   {},
	"internal/clienthello": {ours: []string{"tlspolicy"}},

	// Viewer corridor: neighbours do not know each other.
	"internal/edge/listen": {},
	"internal/edge/viewertls": {ours: []string{"tlspolicy", "clienthello",
		"edge/snapshot"}}, // the handshake asks the current snapshot
	"internal/edge/viewerhttp": {ours: []string{"httpfield", "tlspolicy", "edge/viewerhttp/hpack", "edge/viewerhttp/qpack"},
		third: []string{"github.com/quic-go/"}},
	"internal/edge/viewerhttp/hpack": {},                                        // sub-rooms of viewerhttp
	"internal/edge/viewerhttp/qpack": {ours: []string{"edge/viewerhttp/hpack"}}, // same Huffman code (RFC 9204, Section 4.1.2)
	"internal/edge/route":            {},
	"internal/edge/cachekey":         {ours: []string{"cdn", "httpfield"}},
	"internal/edge/httpcache":        {ours: []string{"cdn", "httpfield"}},
	"internal/edge/cachestore":       {},
	"internal/edge/origin":           {ours: []string{"cdn", "httpfield", "sigv4", "tlspolicy"}},
	"internal/edge/respheaders":      {ours: []string{"cdn", "httpfield"}},
	"internal/edge/accesslog":        {ours: []string{"tlspolicy"}},
	"internal/edge/snapshot": {ours: []string{"cdn", "tlspolicy", "certs",
		"edge/route"}}, // matchers are compiled here
	"internal/edge/configwatch": {ours: []string{"edge/snapshot"},
		third: []string{"github.com/fsnotify/"}},
	"internal/edge": {ours: []string{"cdn", "httpfield", "tlspolicy",
		"edge/snapshot", "edge/route", "edge/cachekey", "edge/httpcache", "edge/cachestore",
		"edge/origin", "edge/respheaders", "edge/accesslog", "edge/viewerhttp"}},

	// Change corridor.
	"internal/control/configfile": {ours: []string{"cdn"}},

	// Aside and wiring.
	"internal/atomicfile": {},
	"internal/localca":    {ours: []string{"atomicfile"}},
	"internal/demo":       {},
	"internal/app":        {ours: []string{anything}, third: []string{"golang.org/x/sync/", "github.com/quic-go/"}},
	"internal/cli": {ours: []string{"app", "tlspolicy", "control/configfile"},
		third: []string{"github.com/alecthomas/kong"}},
	"cmd/pqfront": {ours: []string{"cli"}},
}

// testOnly are rooms that only tests, and each other, may import.
var testOnly = []string{"testnet", "testorigin", "rawtls", "scenario"}

func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	for file, imports := range productFiles(t, "../..") {
		dir := filepath.ToSlash(filepath.Dir(file))
		if isTestOnly(dir) {
			continue
		}
		r, known := rooms[dir]
		if !known {
			t.Errorf("%s: the package %s is not in the table of rooms (internal/arch): give it a row", file, dir)
			continue
		}
		seen[dir] = true
		for _, path := range imports {
			if why := r.refuses(dir, path); why != "" {
				t.Errorf("%s imports %s: %s", file, path, why)
			}
		}
	}
	for dir := range rooms {
		if _, err := os.Stat(filepath.Join("../..", dir)); err == nil && !seen[dir] {
			t.Errorf("%s has a row but no Go file", dir)
		}
	}
}

// TestCorridorsApart states the one rule that no row of the table may break.
func TestCorridorsApart(t *testing.T) {
	for dir, r := range rooms {
		for _, o := range r.ours {
			if strings.HasPrefix(dir, "internal/edge") && strings.HasPrefix(o, "control") ||
				strings.HasPrefix(dir, "internal/control") && strings.HasPrefix(o, "edge") {
				t.Errorf("the row of %s lets it import %s: the two corridors meet only at the store", dir, o)
			}
		}
	}
}

// refuses says why this room may not import path; "" when it may.
func (r room) refuses(dir, path string) string {
	first, _, _ := strings.Cut(path, "/")
	switch {
	case path == "pqfront":
		return "the module has no root package"
	case first == "pqfront":
		ours := strings.TrimPrefix(path, "pqfront/internal/")
		if isTestOnly("internal/" + ours) {
			return "only tests may import it"
		}
		if ours == "app" && dir != "internal/cli" || ours == "cli" && dir != "cmd/pqfront" {
			return "only cli imports app, only cmd imports cli"
		}
		if slices.Contains(r.ours, ours) || slices.Contains(r.ours, anything) {
			return ""
		}
		return "no such arrow in the table (internal/arch)"
	case strings.Contains(first, "."):
		if slices.ContainsFunc(r.third, func(p string) bool { return strings.HasPrefix(path, p) }) {
			return ""
		}
		return "this room may not use that library (internal/arch)"
	}
	return "" // standard library
}

func isTestOnly(dir string) bool {
	return slices.ContainsFunc(testOnly, func(n string) bool {
		return dir == "internal/"+n || strings.HasPrefix(dir, "internal/"+n+"/")
	})
}

// productFiles returns the imports of every non-test Go file of this module.
func productFiles(t *testing.T, root string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "testdata" {
				if err == nil {
					err = filepath.SkipDir
				}
				return err
			}
			if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(root, p)
			imports := []string{}
			for _, im := range f.Imports {
				path, _ := strconv.Unquote(im.Path.Value)
				imports = append(imports, path)
			}
			out[rel] = imports
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Fatal("found no Go files: the check would pass on nothing")
	}
	return out
}
