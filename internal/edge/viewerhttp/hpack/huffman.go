package hpack

import (
	"encoding/binary"
	"errors"
)

// huffmanLengths holds the code length in bits of every octet (RFC 7541, Appendix B).
// The code is canonical - codes of one length follow each other in the order of their
// symbols, shorter ones come first - so that the lengths say all.
var huffmanLengths = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
	28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
	5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
	6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
	24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
	21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
	19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	eos        = 256 // the symbol that must not occur (RFC 7541, Section 5.2)
	eosLength  = 30
	shortBits  = 8 // codes up to this length are found in one step
	minCodeLen = 5
)

// huffmanCode is the code in the forms that encoding and decoding want.
type huffmanCode struct {
	codes [256]uint32 // right-aligned
	// short maps the next 8 bits to symbol<<4 | length; 0 where the code is longer.
	short [1 << shortBits]uint16
	// For each length: its first code, how many it has, and where its symbols begin.
	first, count, start [eosLength + 1]uint32
	symbols             [257]uint16
}

var huffman = makeHuffmanCode()

func makeHuffmanCode() *huffmanCode {
	h := &huffmanCode{}
	var code, n uint32
	for length := uint8(minCodeLen); length <= eosLength; length++ {
		code <<= 1
		h.first[length], h.start[length] = code, n
		add := func(sym uint16) {
			if length <= shortBits {
				from := code << (shortBits - length)
				for i := from; i < from+1<<(shortBits-length); i++ {
					h.short[i] = sym<<4 | uint16(length)
				}
			}
			h.symbols[n] = sym
			code++
			n++
		}
		for sym, l := range huffmanLengths {
			if l == length {
				h.codes[sym] = code
				add(uint16(sym))
			}
		}
		if length == eosLength {
			add(eos)
		}
		h.count[length] = code - h.first[length]
	}
	return h
}

// HuffmanLen returns how many bytes AppendHuffman writes for s.
func HuffmanLen(s string) int {
	bits := 0
	for i := range len(s) {
		bits += int(huffmanLengths[s[i]])
	}
	return (bits + 7) / 8
}

// AppendHuffman appends the Huffman code of s, padded with ones (RFC 7541, Section 5.2).
func AppendHuffman(dst []byte, s string) []byte {
	var acc uint64
	var n uint8
	for i := range len(s) {
		length := huffmanLengths[s[i]]
		acc = acc<<length | uint64(huffman.codes[s[i]])
		if n += length; n >= 32 {
			n -= 32
			dst = binary.BigEndian.AppendUint32(dst, uint32(acc>>n))
		}
	}
	if pad := (8 - n%8) % 8; pad > 0 {
		acc = acc<<pad | (1<<pad - 1)
		n += pad
	}
	for n > 0 {
		n -= 8
		dst = append(dst, byte(acc>>n))
	}
	return dst
}

var (
	errEOS     = errors.New("the Huffman code holds the end symbol (RFC 7541, Section 5.2)")
	errPadding = errors.New("the Huffman code does not end in less than 8 bits of ones (RFC 7541, Section 5.2)")
)

// DecodeHuffman appends to dst what src stands for: at most 8/5 of its length.
func DecodeHuffman(dst, src []byte) ([]byte, error) {
	var acc uint64 // the next bits, left-aligned
	var n uint8    // how many of them are from src; the others are 0
	for {
		for n <= 56 && len(src) > 0 {
			acc |= uint64(src[0]) << (56 - n)
			n += 8
			src = src[1:]
		}
		sym, length := huffman.next(acc)
		if length > n {
			break
		}
		if sym == eos {
			return dst, errEOS
		}
		dst = append(dst, byte(sym))
		acc <<= length
		n -= length
	}
	// What is left is the start of the end symbol, ones only, and less than a byte.
	if n >= 8 || acc != ^(^uint64(0)>>n) {
		return dst, errPadding
	}
	return dst, nil
}

// next returns the symbol that the left-aligned bits begin with. Every sequence of
// 30 bits begins with one, because the code is complete.
func (h *huffmanCode) next(bits uint64) (sym uint16, length uint8) {
	if e := h.short[bits>>(64-shortBits)]; e != 0 {
		return e >> 4, uint8(e & 15)
	}
	for length = shortBits + 1; length < eosLength; length++ {
		if i := uint32(bits>>(64-length)) - h.first[length]; i < h.count[length] {
			return h.symbols[h.start[length]+i], length
		}
	}
	return h.symbols[h.start[eosLength]+uint32(bits>>(64-eosLength))-h.first[eosLength]], eosLength
}
