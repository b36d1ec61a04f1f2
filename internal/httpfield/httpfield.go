// Package httpfield answers: which header fields does a message carry, and in
// which order?
//
// Use it wherever a request or response travels inside the edge. net/http's
// Header map forgets the order that CloudFront keeps and that viewers see; a
// Fields list keeps it. Names are always lower-case here; the HTTP/1.1 engine
// writes them in Title-Case. The package does not parse or write any wire form.
package httpfield

import "strings"

// Field is one header field line. Name is lower-case ASCII; Value has no
// leading or trailing white space (RFC 9110, Section 5.5).
type Field struct {
	Name, Value string
}

// Fields is an ordered list of header field lines. The same name may occur more
// than once. The zero value is an empty list.
type Fields []Field

// Get returns the value of the first field called name (lower-case), or "".
func (f Fields) Get(name string) string {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value
		}
	}
	return ""
}

// Has reports whether a field called name (lower-case) is present.
func (f Fields) Has(name string) bool {
	for i := range f {
		if f[i].Name == name {
			return true
		}
	}
	return false
}

// Count returns how many lines are called name (lower-case).
func (f Fields) Count(name string) int {
	n := 0
	for i := range f {
		if f[i].Name == name {
			n++
		}
	}
	return n
}

// Joined returns all values of name (lower-case) combined with ", " as RFC 9110,
// Section 5.3 allows, or "" when there is none.
func (f Fields) Joined(name string) string {
	var first string
	var rest []string
	n := 0
	for i := range f {
		if f[i].Name != name {
			continue
		}
		n++
		if n == 1 {
			first = f[i].Value
			continue
		}
		rest = append(rest, f[i].Value)
	}
	if n <= 1 {
		return first
	}
	return first + ", " + strings.Join(rest, ", ")
}

// Add appends a field line at the end.
func (f *Fields) Add(name, value string) {
	*f = append(*f, Field{Name: name, Value: value})
}

// Set replaces the first line called name in its place and removes the others;
// without such a line it appends one.
func (f *Fields) Set(name, value string) {
	out := (*f)[:0]
	done := false
	for _, x := range *f {
		if x.Name != name {
			out = append(out, x)
			continue
		}
		if !done {
			out = append(out, Field{Name: name, Value: value})
			done = true
		}
	}
	if !done {
		out = append(out, Field{Name: name, Value: value})
	}
	*f = out
}

// Del removes every line called name.
func (f *Fields) Del(name string) {
	out := (*f)[:0]
	for _, x := range *f {
		if x.Name != name {
			out = append(out, x)
		}
	}
	*f = out
}

// Clone returns a list that shares nothing with f.
func (f Fields) Clone() Fields {
	if f == nil {
		return nil
	}
	return append(make(Fields, 0, len(f)+8), f...)
}

// Title returns the HTTP/1.1 spelling of a lower-case field name: the first
// letter and every letter after a hyphen in upper case (CloudFront: captures in
// the developer guide show X-Amz-Cf-Pop over HTTP/1.1 and x-amz-cf-pop over HTTP/2).
func Title(name string) string { return string(AppendTitle(nil, name)) }

// AppendTitle appends Title(name) to b.
func AppendTitle(b []byte, name string) []byte {
	switch name {
	// Names that RFC 9110 and everybody else spell in their own way.
	case "etag":
		return append(b, "ETag"...)
	case "www-authenticate":
		return append(b, "WWW-Authenticate"...)
	case "x-xss-protection":
		return append(b, "X-XSS-Protection"...)
	}
	start := len(b)
	b = append(b, name...)
	upper := true
	for i, c := range b[start:] {
		if upper && 'a' <= c && c <= 'z' {
			b[start+i] = c - 'a' + 'A'
		}
		upper = c == '-'
	}
	return b
}
