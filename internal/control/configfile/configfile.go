// Package configfile answers: what do these files, in the JSON that the AWS CLI
// prints, say that the edge shall serve?
//
// It reads the output of `aws cloudfront get-distribution-config` and
// `get-distribution`, and of `get-cache-policy`, `get-origin-request-policy`,
// `get-response-headers-policy` and `get-origin-access-control`, each recognized by
// its shape. It is strict: what it does not know, or knows and cannot honour safely,
// is an error with its place and the fix; what it takes without effect is a note. It
// does not write files.
package configfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pqfront/internal/cdn"
)

// The limits. A distribution of CloudFront's largest size has some 400 KiB as JSON.
const (
	// DefaultMaxFileBytes bounds one file.
	DefaultMaxFileBytes = 4 << 20
	// maxTotalBytes bounds all files together.
	maxTotalBytes = 512 << 20
	// maxProblems bounds what is reported of one file, keptProblems what is looked at
	// for it.
	maxProblems, keptProblems = 100, 1000
)

// Options say how files are read. The zero value is good for most.
type Options struct {
	// SecurityPolicy returns an error, with the fix, when no security policy has the
	// name. nil = names are not checked here.
	SecurityPolicy func(name string) error
	Quotas         cdn.Quotas
	// DomainSuffix is what the names of distributions that have none yet end with; "" =
	// cloudfront.net.
	DomainSuffix string
	// AccountID is the owner in the ARNs of distributions that have none yet; "" =
	// 000000000000.
	AccountID string
	// GeoDatabase tells that viewers' countries are known, so that geo restrictions can
	// be kept.
	GeoDatabase  bool
	MaxFileBytes int64 // 0 = DefaultMaxFileBytes
}

// Result is what the files say.
type Result struct {
	State cdn.State
	Notes []Note
	// Files are the files that were read, in the order of reading.
	Files []string
}

// Note is something that is taken as it stands but has no effect here.
type Note struct {
	File    string `json:"file"`
	Path    string `json:"path"` // JSON path
	Message string `json:"message"`
}

// String returns file, path and message.
func (n Note) String() string { return visible(n.File + ": " + n.Path + ": " + n.Message) }

// Document is one file's content.
type Document struct {
	Name string
	Data []byte
}

// Load reads files and directories, of the latter all *.json in the order of their
// names. The error is a *Problems that lists everything that is wrong in all of them.
func Load(paths []string, o Options) (*Result, error) {
	p := newParser(o)
	var docs []Document
	total := int64(0)
	for _, name := range p.expand(paths) {
		data, err := readFile(name, p.o.MaxFileBytes)
		if err != nil {
			p.problems = append(p.problems, Problem{File: name, Message: err.Error(), Code: codeFile})
			continue
		}
		if total += int64(len(data)); total > maxTotalBytes {
			p.problems = append(p.problems, Problem{File: name, Code: codeFile,
				Message: fmt.Sprintf("is where the files together have more than %d MiB: give fewer", maxTotalBytes>>20)})
			break
		}
		docs = append(docs, Document{Name: name, Data: data})
	}
	return p.parse(docs)
}

// Parse is Load for what was read already.
func Parse(docs []Document, o Options) (*Result, error) { return newParser(o).parse(docs) }

// codeFile is the code of problems with a file rather than its content.
const codeFile = "FileError"

// parser collects what the files say.
type parser struct {
	o        Options
	state    cdn.State
	notes    []Note
	problems []Problem
	files    map[*cdn.Distribution]*file // where a distribution is from
	sources  map[string]string           // kind and id of a policy -> file
}

func newParser(o Options) *parser {
	if o.DomainSuffix == "" {
		o.DomainSuffix = "cloudfront.net"
	}
	if o.AccountID == "" {
		o.AccountID = "000000000000"
	}
	if o.MaxFileBytes <= 0 {
		o.MaxFileBytes = DefaultMaxFileBytes
	}
	return &parser{
		o: o,
		state: cdn.State{
			CachePolicies:           map[string]*cdn.CachePolicy{},
			OriginRequestPolicies:   map[string]*cdn.OriginRequestPolicy{},
			ResponseHeadersPolicies: map[string]*cdn.ResponseHeadersPolicy{},
			OriginAccessControls:    map[string]*cdn.OriginAccessControl{},
		},
		files: map[*cdn.Distribution]*file{}, sources: map[string]string{},
	}
}

func (p *parser) rules() cdn.Rules {
	return cdn.Rules{Quotas: p.o.Quotas, SecurityPolicy: p.o.SecurityPolicy}
}

// parse decodes the documents and then checks them in each other's company.
func (p *parser) parse(docs []Document) (*Result, error) {
	distributions := 0
	result := &Result{}
	for i := range docs {
		f := &file{p: p, name: docs[i].Name, data: docs[i].Data}
		if f.document() {
			distributions++
		}
		f.finish()
		result.Files = append(result.Files, f.name)
	}
	if distributions == 0 && len(p.problems) == 0 {
		p.problems = append(p.problems, Problem{Code: cdn.CodeInvalidArgument,
			Message: "there is no distribution in the files: give what `aws cloudfront get-distribution-config` prints"})
	}
	p.checkState()
	if len(p.problems) > 0 {
		return nil, &Problems{List: p.problems}
	}
	result.State, result.Notes = p.state, p.notes
	return result, nil
}

// checkState checks references between the files. When a file could not be read, what
// it would have held is not reported as missing.
func (p *parser) checkState() {
	broken := len(p.problems) > 0
	for _, sp := range p.state.Problems() {
		if broken && strings.HasPrefix(sp.Code, "NoSuch") {
			continue
		}
		f := p.files[sp.Distribution]
		f.distributionProblem(sp.Problem)
		f.finish()
	}
}

// expand returns the files of paths, each once.
func (p *parser) expand(paths []string) []string {
	var files []string
	seen := map[string]bool{}
	add := func(name string) {
		if key := filepath.Clean(name); !seen[key] {
			seen[key] = true
			files = append(files, name)
		}
	}
	if len(paths) == 0 {
		p.problems = append(p.problems, Problem{Message: "no configuration file was named: give at least one", Code: codeFile})
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			p.problems = append(p.problems, Problem{File: path, Message: fileError(err), Code: codeFile})
		case !info.IsDir():
			add(path)
		default:
			names, err := jsonFiles(path)
			if err != nil {
				p.problems = append(p.problems, Problem{File: path, Message: fileError(err), Code: codeFile})
			} else if len(names) == 0 {
				p.problems = append(p.problems, Problem{File: path, Message: "is a directory without *.json files: put the configuration there, or name another one", Code: codeFile})
			}
			for _, name := range names {
				add(name)
			}
		}
	}
	return files
}

// jsonFiles lists a directory's *.json files in the order of their names, hidden ones,
// such as editors leave, not among them.
func jsonFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && e.Name()[0] != '.' && !e.IsDir() {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names, nil
}

// readFile reads at most limit bytes of a regular file.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, errors.New(fileError(err))
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for without end
		return nil, errors.New("is not a regular file: name one")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.New(fileError(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, errors.New(fileError(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("has more than %d bytes: split it, or raise the limit", limit)
	}
	return data, nil
}

func fileError(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Sprintf("cannot be read (%v): check its name and rights", err)
}
