package configfile

import (
	"strconv"
	"strings"

	"pqfront/internal/cdn"
)

// object reads the members of one JSON object and remembers which were asked for:
// the others are unknown. A nil object, one that is not there, has no members.
type object struct {
	f     *file
	path  string
	n     *node
	asked []string
}

// object takes a value as an object; nil, with a problem, when it is none.
func (f *file) object(path string, n *node) *object {
	if n == nil || !f.isKind(path, n, kindObject) {
		return nil
	}
	return &object{f: f, path: path, n: n}
}

func (f *file) isKind(path string, n *node, want kind) bool {
	if n.kind == want {
		return true
	}
	f.problem(path, n.offset, cdn.CodeInvalidArgument, "is %s: it must be %s", n.kind, want)
	return false
}

// at is the JSON path of a member.
func (o *object) at(key string) string {
	if o == nil {
		return key
	}
	return joinPath(o.path, key)
}

// offset is the place of a member, or of the object without it.
func (o *object) offset(key string) int {
	if o == nil {
		return -1
	}
	if n := o.n.get(key); n != nil {
		return n.offset
	}
	return o.n.offset
}

// get returns a member's value. Null is the same as absent.
func (o *object) get(key string) *node {
	if o == nil {
		return nil
	}
	o.asked = append(o.asked, key)
	n := o.n.get(key)
	if n != nil && n.kind == kindNull {
		return nil
	}
	return n
}

func (o *object) has(key string) bool { return o.get(key) != nil }

// skip names members that say nothing to an edge.
func (o *object) skip(keys ...string) {
	if o != nil {
		o.asked = append(o.asked, keys...)
	}
}

// need reports the required members that are absent.
func (o *object) need(keys ...string) {
	if o == nil {
		return
	}
	for _, key := range keys {
		if !o.has(key) {
			o.f.problem(o.at(key), o.n.offset, cdn.CodeInvalidArgument, "is missing: add it")
		}
	}
}

// str returns a string; "" stands for an absent one, too, as in CloudFront.
func (o *object) str(key string) string {
	n := o.get(key)
	if n == nil || !o.f.isKind(o.at(key), n, kindString) {
		return ""
	}
	return n.text
}

func (o *object) boolean(key string) bool {
	n := o.get(key)
	return n != nil && o.f.isKind(o.at(key), n, kindBool) && n.truth
}

// integer returns a whole number, absent when there is none.
func (o *object) integer(key string, absent int64) int64 {
	n := o.get(key)
	if n == nil {
		return absent
	}
	return o.f.whole(o.at(key), n, absent)
}

func (f *file) whole(path string, n *node, absent int64) int64 {
	if !f.isKind(path, n, kindNumber) {
		return absent
	}
	v, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil {
		f.problem(path, n.offset, cdn.CodeInvalidArgument, "%.40s is not a whole number of 64 bits: correct it", n.text)
		return absent
	}
	return v
}

// number returns a whole number as an int; what does not fit becomes one that no rule
// allows.
func (o *object) number(key string, absent int) int {
	return clamp(o.integer(key, int64(absent)))
}

func clamp(v int64) int { return int(min(max(v, -1<<31), 1<<31-1)) }

// float returns a number.
func (o *object) float(key string) float64 {
	n := o.get(key)
	if n == nil || !o.f.isKind(o.at(key), n, kindNumber) {
		return 0
	}
	v, err := strconv.ParseFloat(n.text, 64)
	if err != nil {
		o.f.problem(o.at(key), n.offset, cdn.CodeInvalidArgument, "%s is not a number that can be used: correct it", n.text)
	}
	return v
}

// child returns the object in a member, nil when there is none.
func (o *object) child(key string) *object {
	n := o.get(key)
	if n == nil {
		return nil
	}
	return o.f.object(o.at(key), n)
}

// list returns the items of a list in a member, CloudFront's pair of Quantity and
// Items.
func (o *object) list(key string) []*node {
	c := o.child(key)
	items := c.items()
	c.end()
	return items
}

// items returns the Items of a list and checks its Quantity.
func (o *object) items() []*node {
	if o == nil {
		return nil
	}
	o.need("Quantity")
	var items []*node
	if n := o.get("Items"); n != nil && o.f.isKind(o.at("Items"), n, kindArray) {
		items = n.items
	}
	if n := o.get("Quantity"); n != nil {
		if q := o.f.whole(o.at("Quantity"), n, int64(len(items))); q != int64(len(items)) {
			o.f.problem(o.at("Quantity"), n.offset, cdn.CodeInconsistentQuantities, "is %d, but there are %d Items: make them equal", q, len(items))
		}
	}
	return items
}

// strings returns a list of strings.
func (o *object) strings(key string) []string {
	items := o.list(key)
	if len(items) == 0 {
		return nil
	}
	return o.f.texts(joinPath(o.at(key), "Items"), items)
}

// texts takes values as strings; path is that of the list.
func (f *file) texts(path string, items []*node) []string {
	var out []string
	for i, n := range items {
		if at := index(path, i); f.isKind(at, n, kindString) {
			out = append(out, n.text)
		}
	}
	return out
}

// objects calls decode for each object in a list.
func (o *object) objects(key string, decode func(*object)) {
	path := joinPath(o.at(key), "Items")
	for i, n := range o.list(key) {
		if c := o.f.object(index(path, i), n); c != nil {
			decode(c)
			c.end()
		}
	}
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// end reports the members that nobody asked for.
func (o *object) end() {
	if o == nil {
		return
	}
	for _, m := range o.n.members {
		if known(o.asked, m.key) {
			continue
		}
		if len(o.f.problems) == keptProblems { // a hint costs time
			o.f.dropped++
			continue
		}
		hint := "remove it"
		if near := nearest(m.key, o.asked); near != "" {
			hint = "did you mean " + near + "?"
		}
		o.f.problem(o.at(m.key), m.offset, cdn.CodeInvalidArgument, "is not known: %s", hint)
	}
}

func known(list []string, key string) bool {
	for _, k := range list {
		if k == key {
			return true
		}
	}
	return false
}

// nearest returns the known key that was probably meant, "" when none is near.
func nearest(key string, keys []string) string {
	best, least := "", 1+len(key)/3
	for _, k := range keys {
		if d := distance(strings.ToLower(key), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace to turn a into b.
func distance(a, b string) int {
	const longest = 64 // no known key has as many
	if len(a) > longest {
		return longest
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
