package configfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is three times what CloudFront's shapes need.
const maxDepth = 32

// kind is the kind of a JSON value.
type kind string

const (
	kindObject kind = "an object"
	kindArray  kind = "a list"
	kindString kind = "a string"
	kindNumber kind = "a number"
	kindBool   kind = "true or false"
	kindNull   kind = "null"
)

// node is one JSON value with its place.
type node struct {
	kind    kind
	offset  int
	text    string // of strings and numbers
	truth   bool
	members []member
	items   []*node
}

type member struct {
	key    string
	offset int
	value  *node
}

// get returns a member's value, nil when there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return n.members[i].value
		}
	}
	return nil
}

// locate returns the offset of the value at a path, or of the last one above it that
// is there.
func (n *node) locate(path string) int {
	at := n
	for part := range strings.SplitSeq(path, ".") {
		name, index, _ := strings.Cut(part, "[")
		next := at
		if name != "" {
			next = at.get(name)
		}
		if i, err := strconv.Atoi(strings.TrimSuffix(index, "]")); next != nil && err == nil && index != "" {
			if i >= len(next.items) {
				return next.offset
			}
			next = next.items[i]
		}
		if next == nil {
			break
		}
		at = next
	}
	if at == nil {
		return -1
	}
	return at.offset
}

// syntaxError is a place where a document is not JSON as we take it.
type syntaxError struct {
	offset  int
	message string
}

// Error returns the message.
func (e *syntaxError) Error() string { return e.message }

// builder makes the tree of a document that encoding/json has found to be JSON.
type builder struct {
	data []byte
	dec  *json.Decoder
}

// parseTree reads one JSON document: no text after it, no key twice in an object
// (RFC 8259, Section 4), UTF-8 throughout (Section 8.1).
func parseTree(data []byte) (*node, *syntaxError) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &syntaxError{0, "the file is empty: put there what the AWS CLI prints"}
	}
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		return nil, &syntaxError{at, "the file is not UTF-8: convert it"}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		at := len(data)
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = max(0, int(e.Offset)-1)
		}
		return nil, &syntaxError{at, fmt.Sprintf("this is not JSON (%v): correct it", err)}
	}
	b := &builder{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	b.dec.UseNumber()
	return b.value(0)
}

// next returns the next token and where it begins.
func (b *builder) next() (json.Token, int, *syntaxError) {
	at := int(b.dec.InputOffset())
	for at < len(b.data) && strings.IndexByte(" \t\r\n:,", b.data[at]) >= 0 {
		at++
	}
	t, err := b.dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, at, &syntaxError{at, fmt.Sprintf("this is not JSON (%v): correct it", err)}
	}
	return t, at, nil
}

func (b *builder) value(depth int) (*node, *syntaxError) {
	t, at, err := b.next()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, &syntaxError{at, fmt.Sprintf("values are nested more than %d deep: this is no configuration", maxDepth)}
	}
	n := &node{offset: at}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			n.kind = kindObject
			return n, b.object(n, depth)
		}
		n.kind = kindArray
		return n, b.array(n, depth)
	case string:
		n.kind, n.text = kindString, t
	case json.Number:
		n.kind, n.text = kindNumber, t.String()
	case bool:
		n.kind, n.truth = kindBool, t
	default:
		n.kind = kindNull
	}
	return n, nil
}

func (b *builder) object(n *node, depth int) *syntaxError {
	first := map[string]int{}
	for b.dec.More() {
		t, at, err := b.next()
		if err != nil {
			return err
		}
		key, _ := t.(string) // encoding/json has checked that keys are strings
		if before, twice := first[key]; twice {
			line, column := position(b.data, before)
			return &syntaxError{at, fmt.Sprintf("the key %q is there twice in one object, first at line %d, column %d: remove one", key, line, column)}
		}
		first[key] = at
		value, err := b.value(depth + 1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{key: key, offset: at, value: value})
	}
	_, _, err := b.next() // }
	return err
}

func (b *builder) array(n *node, depth int) *syntaxError {
	for b.dec.More() {
		value, err := b.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, value)
	}
	_, _, err := b.next() // ]
	return err
}
