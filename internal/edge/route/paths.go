package route

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// maxPattern is the longest path pattern
// (CloudFront: All distribution settings reference, Path pattern).
const maxPattern = 255

// Paths finds the first of some path patterns that matches a path. The zero value
// has no patterns.
type Paths struct {
	patterns []Pattern
}

// NewPaths compiles patterns; their order is that of matching.
func NewPaths(patterns []string) (*Paths, error) {
	p := &Paths{patterns: make([]Pattern, 0, len(patterns))}
	var errs []error
	for i, text := range patterns {
		compiled, err := NewPattern(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("pattern %d: %w", i, err))
		}
		p.patterns = append(p.patterns, compiled)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Match returns the number of the first pattern that matches path, -1 when none
// does. path is a request's path as the viewer sent it, without query; it is
// normalized for the comparison only. Paths of unusual form and more than 1 KiB cost
// an allocation, all others none.
func (p *Paths) Match(path string) int {
	if p == nil || len(p.patterns) == 0 {
		return -1
	}
	if plain(path) {
		return p.match(path)
	}
	return p.matchNormalized(path)
}

// matchNormalized is apart from Match, so that usual paths do not pay for the buffer.
//
//go:noinline
func (p *Paths) matchNormalized(path string) int {
	var buf [1024]byte
	b := Normalize(buf[:0], path)
	// The bytes are not changed any more, and the string does not outlive this call.
	return p.match(unsafe.String(unsafe.SliceData(b), len(b)))
}

func (p *Paths) match(path string) int {
	for i := range p.patterns {
		if p.patterns[i].match(path) {
			return i
		}
	}
	return -1
}

// Pattern is one compiled path pattern: * stands for any number of bytes, ? for
// exactly one, letters for themselves with their case
// (CloudFront: All distribution settings reference, Path pattern).
type Pattern struct {
	head string // before the first *
	// middle are the pieces between the stars and tail is what follows the last one.
	// They count only when star is set.
	middle []string
	tail   string
	star   bool
}

// NewPattern compiles a path pattern. The leading slash is optional; escapes of
// unreserved letters are undone, as they are in paths.
func NewPattern(text string) (Pattern, error) {
	if text == "" {
		return Pattern{}, errors.New("the path pattern is empty: use * for every path")
	}
	if len(text) > maxPattern {
		return Pattern{}, fmt.Errorf("the path pattern has %d letters: use at most %d", len(text), maxPattern)
	}
	text = string(decodeUnreserved(nil, text))
	// A leading * may stand for the slash, too.
	if text[0] != '/' && text[0] != '*' {
		text = "/" + text
	}
	head, rest, star := strings.Cut(text, "*")
	p := Pattern{head: head, star: star}
	if !star {
		return p, nil
	}
	pieces := strings.Split(rest, "*")
	last := len(pieces) - 1
	p.tail = pieces[last]
	for _, piece := range pieces[:last] {
		if piece != "" {
			p.middle = append(p.middle, piece)
		}
	}
	return p, nil
}

// Match reports whether p matches path, normalized for the comparison.
func (p *Pattern) Match(path string) bool {
	one := Paths{patterns: []Pattern{*p}}
	return one.Match(path) == 0
}

// match takes the leftmost place for every piece between stars: if any choice of
// places fits, that one does, so nothing is ever tried twice.
func (p *Pattern) match(path string) bool {
	if !p.star {
		return len(path) == len(p.head) && hasPiece(path, p.head)
	}
	if len(path) < len(p.head)+len(p.tail) || !hasPiece(path, p.head) {
		return false
	}
	end := len(path) - len(p.tail)
	if !hasPiece(path[end:], p.tail) {
		return false
	}
	path = path[len(p.head):end]
	for _, piece := range p.middle {
		at := indexPiece(path, piece)
		if at < 0 {
			return false
		}
		path = path[at+len(piece):]
	}
	return true
}

// hasPiece reports whether s, which is not shorter, begins with piece.
func hasPiece(s, piece string) bool {
	for i := range len(piece) {
		if piece[i] != '?' && piece[i] != s[i] {
			return false
		}
	}
	return true
}

// indexPiece returns the first place of piece in s, -1 when there is none.
func indexPiece(s, piece string) int {
	if strings.IndexByte(piece, '?') < 0 {
		return strings.Index(s, piece)
	}
	if len(s) < len(piece) {
		return -1
	}
	return shiftAnd(s, piece)
}

// words is how many 64-bit words have a bit for each letter of a pattern.
const words = (maxPattern + 1 + 63) / 64

// shiftAnd searches with one bit for each letter of piece: bit i is set as long as
// the letters read last match piece up to i (Baeza-Yates and Gonnet, "A new approach
// to text searching"). Its time does not depend on what the two look like.
func shiftAnd(s, piece string) int {
	var accepts [256][words]uint64
	var any [words]uint64
	for i := range len(piece) {
		if bit := uint64(1) << (i % 64); piece[i] == '?' {
			any[i/64] |= bit
		} else {
			accepts[piece[i]][i/64] |= bit
		}
	}
	last := len(piece) - 1
	var state [words]uint64
	for i := range len(s) {
		carry := uint64(1)
		mask := &accepts[s[i]]
		for w := range state {
			shifted := state[w]<<1 | carry
			carry = state[w] >> 63
			state[w] = shifted & (mask[w] | any[w])
		}
		if state[last/64]>>(last%64)&1 != 0 {
			return i - last
		}
	}
	return -1
}
