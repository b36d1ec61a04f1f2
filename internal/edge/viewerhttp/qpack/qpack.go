// Package qpack answers: which header fields does an HTTP/3 field section stand for,
// and how are fields put into one?
//
// It is RFC 9204 with the static table only: we announce a dynamic table of no
// bytes, and use none of the peer's. That costs some bytes on the wire and saves
// what makes QPACK hard: no stream ever waits for another, and a section is all
// there is to know. It does not judge what fields say: names and values are bytes here.
package qpack

import (
	"errors"
	"fmt"

	"pqfront/internal/edge/viewerhttp/hpack"
)

// Field is one decoded field line.
type Field struct {
	Name, Value string
	// Sensitive tells that the sender asked never to index it (RFC 9204, Section 4.5.4).
	Sensitive bool
}

// Limits bounds what a section may decode to.
type Limits struct {
	Bytes int // names, values and 32 for each line (RFC 9114, Section 4.2.2)
	Lines int
}

// ErrBytes and ErrLines tell that a section is above the limits. It is well-formed as
// far as it was read; the fields before the limit are returned with the error.
var (
	ErrBytes = errors.New("the field section is larger than allowed")
	ErrLines = errors.New("the field section has more lines than allowed")
)

// Errors of sections that cannot be decoded: the connection must end with
// QPACK_DECOMPRESSION_FAILED (RFC 9204, Section 2.2).
var (
	errDynamic = errors.New("the section refers to a dynamic table, which we do not have (RFC 9204, Section 3.2.3)")
	errBase    = errors.New("the base is negative (RFC 9204, Section 4.5.1.2)")
	errStatic  = errors.New("no entry of the static table has this index (RFC 9204, Section 3.1)")
	errShort   = errors.New("the section ends in the middle of a representation")
)

const lineCost = 32

// Decoder decodes sections. Its memory is used again by the next call; the strings
// are not. It may not be used by two goroutines at once.
type Decoder struct {
	fields []Field
	text   []byte // what was literal; all fields of a section share one string
	marks  []mark
}

// mark says where in text the literals of a field stand; a negative start means that
// the string is already there.
type mark struct{ name, nameEnd, value, valueEnd int32 }

// Decode decodes one complete field section. The list is good until the next call.
func (d *Decoder) Decode(section []byte, lim Limits) ([]Field, error) {
	d.fields, d.text, d.marks = d.fields[:0], d.text[:0], d.marks[:0]
	err := d.decode(section, lim)
	if err != nil && !errors.Is(err, ErrBytes) && !errors.Is(err, ErrLines) {
		return nil, err
	}
	text := string(d.text)
	for i, m := range d.marks {
		if m.name >= 0 {
			d.fields[i].Name = text[m.name:m.nameEnd]
		}
		if m.value >= 0 {
			d.fields[i].Value = text[m.value:m.valueEnd]
		}
	}
	return d.fields, err
}

// Release lets go of the strings of the last section and of buffers beyond the usual.
func (d *Decoder) Release() {
	clear(d.fields)
	if cap(d.fields) > 64 || cap(d.text) > 4096 {
		*d = Decoder{}
	}
}

func (d *Decoder) decode(b []byte, lim Limits) error {
	b, err := prefix(b)
	size := 0
	for err == nil && len(b) > 0 {
		if len(d.fields) == lim.Lines {
			return ErrLines
		}
		textBefore := len(d.text)
		if b, err = d.line(b); err != nil {
			break
		}
		f, m := &d.fields[len(d.fields)-1], d.marks[len(d.marks)-1]
		size += lineCost + len(f.Name) + len(f.Value) + int(m.nameEnd-m.name) + int(m.valueEnd-m.value)
		if size > lim.Bytes {
			d.fields, d.marks, d.text = d.fields[:len(d.fields)-1], d.marks[:len(d.marks)-1], d.text[:textBefore]
			return ErrBytes
		}
	}
	return err
}

// prefix reads Required Insert Count and Base (RFC 9204, Section 4.5.1).
func prefix(b []byte) ([]byte, error) {
	required, b, err := hpack.ReadInt(b, 8)
	if err != nil {
		return nil, err
	}
	if required != 0 {
		return nil, errDynamic
	}
	if len(b) == 0 {
		return nil, errShort
	}
	negative := b[0]&0x80 != 0
	if _, b, err = hpack.ReadInt(b, 7); err != nil {
		return nil, err
	}
	if negative {
		return nil, errBase // 0 - delta - 1
	}
	return b, nil
}

// line decodes one field line.
func (d *Decoder) line(b []byte) ([]byte, error) {
	var f Field
	m := mark{-1, -1, -1, -1}
	var err error
	switch first := b[0]; {
	case first&0x80 != 0: // indexed, Section 4.5.2
		if first&0x40 == 0 {
			return nil, errDynamic
		}
		var i uint64
		if i, b, err = hpack.ReadInt(b, 6); err != nil {
			return nil, err
		}
		if i >= uint64(len(staticTable)) {
			return nil, errStatic
		}
		f.Name, f.Value = staticTable[i].name, staticTable[i].value
	case first&0x40 != 0: // literal with name reference, Section 4.5.4
		if first&0x10 == 0 {
			return nil, errDynamic
		}
		f.Sensitive = first&0x20 != 0
		var i uint64
		if i, b, err = hpack.ReadInt(b, 4); err != nil {
			return nil, err
		}
		if i >= uint64(len(staticTable)) {
			return nil, errStatic
		}
		f.Name = staticTable[i].name
		if m.value, m.valueEnd, b, err = d.str(b, 7); err != nil {
			return nil, err
		}
	case first&0x20 != 0: // literal with literal name, Section 4.5.6
		f.Sensitive = first&0x10 != 0
		if m.name, m.nameEnd, b, err = d.str(b, 3); err != nil {
			return nil, err
		}
		if m.value, m.valueEnd, b, err = d.str(b, 7); err != nil {
			return nil, err
		}
	default: // with post-base index, Sections 4.5.3 and 4.5.5
		return nil, errDynamic
	}
	d.fields = append(d.fields, f)
	d.marks = append(d.marks, m)
	return b, nil
}

// str reads a string whose length has a prefix of so many bits, below the Huffman bit
// (RFC 9204, Section 4.1.2), into text.
func (d *Decoder) str(b []byte, bits uint8) (start, end int32, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, errShort
	}
	huffman := b[0]&(1<<bits) != 0
	n, b, err := hpack.ReadInt(b, bits)
	if err != nil {
		return 0, 0, nil, err
	}
	if n > uint64(len(b)) {
		return 0, 0, nil, errShort
	}
	start = int32(len(d.text))
	if huffman {
		if d.text, err = hpack.DecodeHuffman(d.text, b[:n]); err != nil {
			return 0, 0, nil, fmt.Errorf("a string: %w", err)
		}
	} else {
		d.text = append(d.text, b[:n]...)
	}
	return start, int32(len(d.text)), b[n:], nil
}

// AppendPrefix begins a section that needs no dynamic table.
func AppendPrefix(dst []byte) []byte { return append(dst, 0, 0) }

// AppendField appends one field line. sensitive asks everybody on the way never to
// index it.
func AppendField(dst []byte, name, value string, sensitive bool) []byte {
	never := byte(0)
	if sensitive {
		never = 1
	}
	if entries := staticNames[name]; len(entries) > 0 {
		for _, i := range entries {
			if staticTable[i].value == value && !sensitive {
				return hpack.AppendInt(dst, 0xc0, 6, uint64(i))
			}
		}
		dst = hpack.AppendInt(dst, 0x50|never<<5, 4, uint64(entries[0]))
		return appendString(dst, 0, 7, value)
	}
	dst = appendString(dst, 0x20|never<<4, 3, name)
	return appendString(dst, 0, 7, value)
}

// appendString appends a string, in Huffman code where that is shorter.
func appendString(dst []byte, first byte, bits uint8, s string) []byte {
	if n := hpack.HuffmanLen(s); n < len(s) {
		dst = hpack.AppendInt(dst, first|1<<bits, bits, uint64(n))
		return hpack.AppendHuffman(dst, s)
	}
	dst = hpack.AppendInt(dst, first, bits, uint64(len(s)))
	return append(dst, s...)
}
