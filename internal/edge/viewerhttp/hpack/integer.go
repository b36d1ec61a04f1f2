package hpack

import "errors"

// maxInteger bounds every integer that is read: nothing in a field block or a
// table is nearly as large (RFC 7541, Section 5.1 demands a limit).
const maxInteger = 1<<28 - 1

var (
	errTruncated = errors.New("the block ends in the middle of a representation")
	errInteger   = errors.New("an integer is too large or padded with zeros (RFC 7541, Section 5.1)")
)

// AppendInt appends i as an integer with a prefix of the given number of bits,
// whose other bits are those of first (RFC 7541, Section 5.1; also RFC 9204, Section 4.1.1).
func AppendInt(dst []byte, first byte, prefix uint8, i uint64) []byte {
	full := uint64(1)<<prefix - 1
	if i < full {
		return append(dst, first|byte(i))
	}
	dst = append(dst, first|byte(full))
	for i -= full; i >= 128; i >>= 7 {
		dst = append(dst, byte(i)|0x80)
	}
	return append(dst, byte(i))
}

// ReadInt reads an integer with a prefix of the given number of bits from the
// start of b and returns what follows it.
func ReadInt(b []byte, prefix uint8) (uint64, []byte, error) {
	if len(b) == 0 {
		return 0, nil, errTruncated
	}
	full := uint64(1)<<prefix - 1
	i := uint64(b[0]) & full
	b = b[1:]
	if i < full {
		return i, b, nil
	}
	for shift := 0; ; shift += 7 {
		if len(b) == 0 {
			return 0, nil, errTruncated
		}
		if shift > 21 { // four bytes hold all that maxInteger allows; more are zeros or too much
			return 0, nil, errInteger
		}
		i += uint64(b[0]&0x7f) << shift
		last := b[0]&0x80 == 0
		b = b[1:]
		if last {
			if i > maxInteger {
				return 0, nil, errInteger
			}
			return i, b, nil
		}
	}
}
