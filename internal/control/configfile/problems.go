package configfile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"pqfront/internal/cdn"
)

// Problem is one thing that is wrong in a file. Its JSON form is that of
// `config check --json`.
type Problem struct {
	File    string `json:"file,omitempty"`
	Path    string `json:"path,omitempty"`   // JSON path, such as DistributionConfig.Aliases.Items[0]
	Line    int    `json:"line,omitempty"`   // from 1; 0 = no place in the file
	Column  int    `json:"column,omitempty"` // in bytes, from 1
	Message string `json:"message"`
	Code    string `json:"code"` // CloudFront's error code
}

// String returns file, path, message, code and place, in one line without characters that
// a terminal would obey: keys and names may hold any.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range [...]string{p.File, p.Path} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	fmt.Fprintf(&b, "%s [%s]", p.Message, p.Code)
	if p.Line > 0 {
		fmt.Fprintf(&b, " (line %d, column %d)", p.Line, p.Column)
	}
	return visible(b.String())
}

// visible escapes everything but printable characters and the space, as Go does.
func visible(s string) string {
	hidden := func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if hidden(r) {
			q := strconv.Quote(s[:n])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// Problems is Load's error: everything that is wrong in all files.
type Problems struct {
	List []Problem
}

// Error lists the problems, one a line.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, one := range p.List {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// file is one document under decoding.
type file struct {
	p        *parser
	name     string
	data     []byte
	root     *node
	problems []Problem
	offsets  []int // of problems, for their order
	dropped  int   // problems beyond keptProblems
	// base is the JSON path of the distribution and config that of its DistributionConfig.
	base, config string
	// assigned tells that id and domain name are made here and not in the file.
	assigned bool
}

// problem notes what is wrong at a place in the file; offset -1 = at none.
func (f *file) problem(path string, offset int, code, format string, args ...any) {
	if len(f.problems) == keptProblems {
		f.dropped++
		return
	}
	f.problems = append(f.problems, Problem{File: f.name, Path: path, Message: fmt.Sprintf(format, args...), Code: code})
	f.offsets = append(f.offsets, offset)
}

// unsupported refuses what would be unsafe, or of no use, to ignore.
func (f *file) unsupported(path string, offset int, format string, args ...any) {
	f.problem(path, offset, "UnsupportedOperation", format, args...)
}

// note tells of what has no effect here.
func (f *file) note(path, format string, args ...any) {
	f.p.notes = append(f.p.notes, Note{File: f.name, Path: path, Message: fmt.Sprintf(format, args...)})
}

// checked takes over what a constructor of cdn found in the object at path.
func (f *file) checked(path string, found []cdn.Problem) {
	for _, p := range found {
		full := joinPath(path, p.Field)
		f.problem(full, f.tree().locate(full), p.Code, "%s", p.Message)
	}
}

// distributionProblem is checked for a distribution's problem: id, name and tags are
// not in its DistributionConfig.
func (f *file) distributionProblem(p cdn.Problem) {
	base := f.config
	switch p.Field {
	case "Id", "DomainName":
		if base = f.base; f.assigned {
			p.Field, base = "CallerReference", f.config // what they are made from
		}
	case "Tags":
		base = f.base
	}
	f.checked(base, []cdn.Problem{p})
}

// finish hands the problems over to the parser, in the order of the file.
func (f *file) finish() {
	order := make([]int, len(f.problems))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(f.offsets[a], f.offsets[b]) })
	for n, i := range order {
		if n == maxProblems {
			f.p.problems = append(f.p.problems, Problem{File: f.name, Code: cdn.CodeInvalidArgument,
				Message: fmt.Sprintf("%d more problems are not listed: mend these first", len(order)-n+f.dropped)})
			break
		}
		one := f.problems[i]
		if f.offsets[i] >= 0 {
			one.Line, one.Column = position(f.data, f.offsets[i])
		}
		f.p.problems = append(f.p.problems, one)
	}
	f.problems, f.offsets, f.dropped = nil, nil, 0
	f.root = nil // thousands of files' trees would be too much
}

// tree returns the document's values, read again when they were let go.
func (f *file) tree() *node {
	if f.root == nil {
		f.root, _ = parseTree(f.data)
	}
	return f.root
}

func joinPath(a, b string) string {
	if a == "" || b == "" || b[0] == '[' {
		return a + b
	}
	return a + "." + b
}

// position turns an offset into line and column, from 1.
func position(data []byte, offset int) (line, column int) {
	offset = min(offset, len(data))
	line = 1
	for i, c := range data[:offset] {
		if c == '\n' {
			line++
			column = i + 1
		}
	}
	return line, offset - column + 1
}
