package tlspolicy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnknown is what errors.Is finds in Lookup's error when no policy has the name.
var ErrUnknown = errors.New("unknown security policy")

// UnknownError is Lookup's error for a name that no policy has. It is ErrUnknown.
type UnknownError struct {
	Name  string
	Close []string // names that may have been meant, best first; may be empty
}

// Error says which name is unknown, what may have been meant and how to see all.
func (e *UnknownError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %q", ErrUnknown, e.Name)
	if len(e.Close) > 0 {
		fmt.Fprintf(&b, ": did you mean %s?", strings.Join(e.Close, " or "))
	}
	b.WriteString(" (`pqfront policy list` shows all)")
	return b.String()
}

// Unwrap makes errors.Is(err, ErrUnknown) work.
func (e *UnknownError) Unwrap() error { return ErrUnknown }

// ErrDeprecated is Lookup's error for a name that was published once and is no
// longer served.
type ErrDeprecated struct {
	Name   string
	Use    string // the policy to use instead
	Reason string // why it was withdrawn
}

// Error says what to use instead.
func (e *ErrDeprecated) Error() string {
	return fmt.Sprintf("security policy %q is deprecated (%s): use %s", e.Name, e.Reason, e.Use)
}

// deprecated returns the names that were published once and are no longer served.
// There is none yet; a withdrawn policy moves here from the table.
func deprecated() []ErrDeprecated { return nil }

// Lookup returns the policy of this name: *UnknownError (ErrUnknown) when there is
// none, *ErrDeprecated when there was one. Names are case-sensitive, as AWS's are.
func Lookup(name string) (*Policy, error) {
	return lookup(policies(), deprecated(), name)
}

func lookup(list []*Policy, withdrawn []ErrDeprecated, name string) (*Policy, error) {
	for _, p := range list {
		if p.Name == name {
			return p, nil
		}
	}
	for _, d := range withdrawn {
		if d.Name == name {
			return nil, &d
		}
	}
	return nil, &UnknownError{Name: name, Close: closeNames(list, name)}
}

// closeNames returns up to three names at a small distance from name, best first.
func closeNames(list []*Policy, name string) []string {
	type near struct {
		name string
		d    int
	}
	var found []near
	for _, p := range list {
		d := distance(strings.ToLower(name), strings.ToLower(p.Name))
		// Up to two letters of five wrong is still likely to be a slip.
		if d <= len(p.Name)*2/5 {
			found = append(found, near{p.Name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.d - b.d })
	var names []string
	for _, n := range found[:min(len(found), 3)] {
		names = append(names, n.name)
	}
	return names
}

// distance is the number of letters to insert, delete or replace to turn a into b.
// Names longer than any policy's are not worth the work.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := diagonal
			if a[i-1] != b[j-1] {
				replace++
			}
			diagonal = row[j]
			row[j] = min(replace, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
