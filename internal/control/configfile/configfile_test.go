package configfile

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pqfront/internal/cdn"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// golden compares got with a committed file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./internal/control/configfile -update rewrites it):\n%s", path, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d:\nwant %s\n got %s", i+1, a, b)
		}
	}
	return ""
}

func policyNames(names ...string) func(string) error {
	return func(name string) error {
		if slices.Contains(names, name) {
			return nil
		}
		return fmt.Errorf("unknown security policy %q", name)
	}
}

func testOptions() Options {
	return Options{SecurityPolicy: policyNames("TLSv1", "TLSv1.2_2021", "TLSv1.3_2025", "PQFront_TLSv1.3_PQ_2026")}
}

// richFiles is one distribution with all that it refers to, as the AWS CLI prints it.
func richFiles() []string {
	var files []string
	for _, name := range []string{"rich", "cache-policy", "response-headers-policy", "origin-access-control", "origin-request-policy"} {
		files = append(files, filepath.Join("testdata", name+".json"))
	}
	return files
}

func TestRichFile(t *testing.T) {
	r, err := Load(richFiles(), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	state, err := json.MarshalIndent(r.State, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "rich.state.json.txt", string(state)+"\n")
	var notes strings.Builder
	for _, n := range r.Notes {
		fmt.Fprintln(&notes, n)
	}
	golden(t, "rich.notes.txt", notes.String())
}

// TestShapes: the same distribution in each of the shapes that clients print is the
// same value but for its identity.
func TestShapes(t *testing.T) {
	inner := minimal()
	load := func(text string) *cdn.Distribution {
		t.Helper()
		r, err := Parse([]Document{{Name: "a.json", Data: []byte(text)}}, testOptions())
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		return r.State.Distributions[0]
	}
	want := load(inner)
	if want.ID[0] != 'E' || len(want.ID) != 14 || !strings.HasSuffix(want.DomainName, ".cloudfront.net") || len(want.DomainName) != len("d111111abcdef8.cloudfront.net") {
		t.Errorf("id %q and name %q do not have CloudFront's form", want.ID, want.DomainName)
	}
	same := func(text string) {
		t.Helper()
		got := load(text)
		if a, b := asJSON(t, got), asJSON(t, want); a != b {
			t.Errorf("differs from the bare config:\n%s", firstDifference(b, a))
		}
	}
	same(`{"ETag":"E1","DistributionConfig":` + inner + `}`)
	same(`{"DistributionConfig":` + inner + `}`)
	same("\xef\xbb\xbf" + inner)
	same(strings.ReplaceAll(inner, `"Comment": ""`, `"Comment": "", "WebACLId": null, "Aliases": {"Quantity": 0}, "OriginGroups": {"Quantity": 0, "Items": null}`))

	tagged := load(`{"DistributionConfigWithTags":{"DistributionConfig":` + inner + `,"Tags":{"Items":[{"Key":"pqfront:x","Value":"1"}]}}}`)
	if tagged.Tags["pqfront:x"] != "1" {
		t.Errorf("tags = %v", tagged.Tags)
	}
	named := load(`{"ETag":"E1","Distribution":{"Id":"EDFDVBD6EXAMPL","ARN":"arn:aws:cloudfront::123456789012:distribution/EDFDVBD6EXAMPL",` +
		`"Status":"Deployed","LastModifiedTime":"2025-09-07T13:00:00Z","InProgressInvalidationBatches":0,"DomainName":"d111111abcdef8.cloudfront.net",` +
		`"ActiveTrustedSigners":{"Enabled":false,"Quantity":0},"ActiveTrustedKeyGroups":{"Enabled":false,"Quantity":0},"AliasICPRecordals":[],` +
		`"DistributionConfig":` + inner + `},"Tags":{"Items":[]}}`)
	if named.ID != "EDFDVBD6EXAMPL" || named.DomainName != "d111111abcdef8.cloudfront.net" || named.ARN != "arn:aws:cloudfront::123456789012:distribution/EDFDVBD6EXAMPL" {
		t.Errorf("identity = %q %q %q", named.ID, named.DomainName, named.ARN)
	}
}

// TestDerivedIdentity: ids and names must not change from one version to the next.
func TestDerivedIdentity(t *testing.T) {
	r, err := Parse([]Document{{Name: "a.json", Data: []byte(minimal())}}, Options{DomainSuffix: "cdn.example", AccountID: "123456789012"})
	if err != nil {
		t.Fatal(err)
	}
	d := r.State.Distributions[0]
	got := d.ID + " " + d.DomainName + " " + d.ARN
	const want = "EX06156V2KERQN dwclx44hsvk77t.cdn.example arn:aws:cloudfront::123456789012:distribution/EX06156V2KERQN"
	if got != want {
		t.Errorf("identity = %s, want %s", got, want)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// minimal is the smallest distribution that CloudFront takes.
func minimal() string {
	return `{
  "CallerReference": "ref-1",
  "Comment": "",
  "Enabled": true,
  "Origins": {"Quantity": 1, "Items": [
    {"Id": "o", "DomainName": "origin.example.org",
     "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}}
  ]},
  "DefaultCacheBehavior": {
    "TargetOriginId": "o",
    "ViewerProtocolPolicy": "allow-all",
    "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"
  }
}`
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("b.json", strings.Replace(minimal(), "ref-1", "ref-b", 1))
	write("a.json", strings.Replace(minimal(), "ref-1", "ref-a", 1))
	write(".hidden.json", "{")
	write("readme.txt", "no JSON")
	r, err := Load([]string{dir, filepath.Join(dir, "a.json")}, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, d := range r.State.Distributions {
		order = append(order, d.CallerReference+" "+filepath.Base(d.Source))
	}
	if got := strings.Join(order, ", "); got != "ref-a a.json, ref-b b.json" {
		t.Errorf("order = %s", got)
	}
}

func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n) }
	if err := os.WriteFile(name("large.json"), make([]byte, 2000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := testOptions()
	o.MaxFileBytes = 1000
	f := func(want string, paths ...string) {
		t.Helper()
		_, err := Load(paths, o)
		if err == nil {
			t.Errorf("Load(%v) succeeded", paths)
			return
		}
		if got := strings.ReplaceAll(err.Error(), dir+"/", ""); got != want {
			t.Errorf("Load(%v)\n got %s\nwant %s", paths, got, want)
		}
	}
	f("no configuration file was named: give at least one [FileError]")
	f("none.json: cannot be read (no such file or directory): check its name and rights [FileError]", name("none.json"))
	f("large.json: has more than 1000 bytes: split it, or raise the limit [FileError]", name("large.json"))
	f("empty: is a directory without *.json files: put the configuration there, or name another one [FileError]", name("empty"))
	f("/dev/null: is not a regular file: name one [FileError]", "/dev/null")
	f("none.json: cannot be read (no such file or directory): check its name and rights [FileError]\n"+
		"large.json: has more than 1000 bytes: split it, or raise the limit [FileError]", name("none.json"), name("large.json"))
}

// TestProblemsJSON is the form of `config check --json`.
func TestProblemsJSON(t *testing.T) {
	_, err := Parse([]Document{{Name: "a.json", Data: []byte(strings.Replace(minimal(), `"https-only"`, `"ftp"`, 1))}}, testOptions())
	problems, ok := errors.AsType[*Problems](err)
	if !ok {
		t.Fatalf("error is %T", err)
	}
	got, _ := json.Marshal(problems.List)
	const want = `[{"file":"a.json","path":"Origins.Items[0].CustomOriginConfig.OriginProtocolPolicy","line":7,"column":87,` +
		`"message":"\"ftp\" is not known: use http-only, match-viewer or https-only","code":"InvalidArgument"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestManyProblems: a file that is nothing but problems costs bounded time and text.
func TestManyProblems(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"CallerReference":"x"`)
	for i := range 50_000 {
		fmt.Fprintf(&b, `,"k%d":1`, i)
	}
	b.WriteString("}")
	_, err := Parse([]Document{{Name: "a.json", Data: []byte(b.String())}}, testOptions())
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || !strings.Contains(lines[maxProblems], "more problems are not listed") {
		t.Errorf("%d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile("testdata/rich.json")
	if err != nil {
		b.Fatal(err)
	}
	var docs []Document
	for _, f := range richFiles()[1:] {
		d, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		docs = append(docs, Document{Name: f, Data: d})
	}
	docs = append(docs, Document{Name: "rich.json", Data: data})
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(docs, testOptions()); err != nil {
			b.Fatal(err)
		}
	}
}
