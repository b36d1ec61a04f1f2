package clienthello

import "encoding/binary"

// reader takes values off the front of a message. Each method reports whether
// there were enough bytes.
type reader []byte

func (r *reader) uint8() (uint8, bool) {
	if len(*r) < 1 {
		return 0, false
	}
	v := (*r)[0]
	*r = (*r)[1:]
	return v, true
}

func (r *reader) uint16() (uint16, bool) {
	if len(*r) < 2 {
		return 0, false
	}
	v := binary.BigEndian.Uint16(*r)
	*r = (*r)[2:]
	return v, true
}

func (r *reader) bytes(n int) ([]byte, bool) {
	if len(*r) < n {
		return nil, false
	}
	v := (*r)[:n:n]
	*r = (*r)[n:]
	return v, true
}

// vector8 takes a vector with one byte of length (RFC 8446, Section 3.4).
func (r *reader) vector8() (reader, bool) {
	n, ok := r.uint8()
	if !ok {
		return nil, false
	}
	return r.bytes(int(n))
}

// vector16 takes a vector with two bytes of length.
func (r *reader) vector16() (reader, bool) {
	n, ok := r.uint16()
	if !ok {
		return nil, false
	}
	return r.bytes(int(n))
}

// list16 takes all of r as one vector of 16-bit values that may not be empty.
func (r *reader) list16() (reader, bool) {
	list, ok := r.vector16()
	return list, ok && len(list) > 0 && len(list)%2 == 0 && len(*r) == 0
}

// appendUint16s appends the 16-bit values in b, of which an odd last byte is left out.
func appendUint16s[T ~uint16](to []T, b []byte) []T {
	for ; len(b) >= 2; b = b[2:] {
		to = append(to, T(binary.BigEndian.Uint16(b)))
	}
	return to
}
