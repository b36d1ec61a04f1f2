// Package hpack answers: which header fields does an HTTP/2 field block stand for,
// and how are fields put into one?
//
// It is RFC 7541 for the server side of HTTP/2; the integer and Huffman codes are
// shared with QPACK. It does not judge what fields say: names and values are bytes
// here. Neither Decoder nor Encoder may be used by two goroutines at once.
package hpack

// Field is one decoded field line.
type Field struct {
	Name, Value string
	// Mark is what the Decoder's inspect function said of the field.
	Mark uint16
	// Sensitive tells that the sender asked never to index it (RFC 7541, Section 6.2.3).
	Sensitive bool
}
