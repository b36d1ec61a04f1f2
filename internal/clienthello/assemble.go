package clienthello

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"pqfront/internal/tlspolicy"
)

// Assembler puts a ClientHello message together from the bytes of a TCP connection,
// however they are cut into reads and TLS records. It keeps all bytes, so that the
// engine can be given them again. The zero value is ready, with the limit MaxSize.
type Assembler struct {
	// Max limits the message's size; 0 means MaxSize. The bytes on the wire may be
	// twice as many, which leaves room for small records but not for absurd ones.
	Max int

	wire []byte // all bytes fed
	next int    // where in wire the next record starts
	msg  []byte // the message so far
	err  error
	done bool
}

const (
	recordHeader  = 5
	maxRecord     = 1 << 14 // RFC 8446, Section 5.1
	typeAlert     = 21
	typeHandshake = 22
	helloType     = 1
)

// Wire returns all bytes fed so far, those behind the message included.
func (a *Assembler) Wire() []byte { return a.wire }

// Feed takes the next bytes from the wire. It returns the complete message once it
// is there, nil while more bytes are needed, and an *Error as soon as it is clear
// that no acceptable ClientHello will come. After that it must not be called again.
func (a *Assembler) Feed(p []byte) ([]byte, error) {
	if a.err != nil || a.done {
		return nil, a.err
	}
	a.wire = append(a.wire, p...)
	msg, err := a.advance()
	a.err, a.done = err, msg != nil
	return msg, err
}

// End says why the hello is incomplete when the connection ends now.
func (a *Assembler) End() error {
	if a.err != nil {
		return a.err
	}
	return &Error{tlspolicy.ReasonIncomplete, fmt.Sprintf("the connection ended after %d bytes", len(a.wire))}
}

func (a *Assembler) limit() int {
	if a.Max > 0 {
		return a.Max
	}
	return MaxSize
}

// advance takes the complete records off wire.
func (a *Assembler) advance() ([]byte, error) {
	for {
		rest := a.wire[a.next:]
		if len(rest) == 0 {
			return nil, nil
		}
		if rest[0] != typeHandshake {
			return nil, a.notHandshake(rest)
		}
		if len(rest) < recordHeader {
			return nil, nil
		}
		n, err := checkHeader(rest)
		if err != nil {
			return nil, err
		}
		if a.next+recordHeader+n > 2*a.limit()+recordHeader {
			return nil, a.tooLarge("its records are larger than twice the limit")
		}
		if err := a.peek(rest[recordHeader:min(len(rest), recordHeader+n)]); err != nil {
			return nil, err
		}
		if len(rest) < recordHeader+n {
			return nil, nil
		}
		a.msg = append(a.msg, rest[recordHeader:recordHeader+n]...)
		a.next += recordHeader + n
		if msg, err := a.complete(); msg != nil || err != nil {
			return msg, err
		}
	}
}

// notHandshake says what comes instead of a handshake record, nil when more bytes are
// needed to tell.
func (a *Assembler) notHandshake(rest []byte) error {
	if a.next > 0 {
		return &Error{tlspolicy.ReasonUnexpectedMessage, fmt.Sprintf("record of type %d within the hello", rest[0])}
	}
	return foreign(rest)
}

// checkHeader judges a handshake record's header and returns the record's length.
func checkHeader(rest []byte) (int, error) {
	// The version must be ignored (RFC 8446, Section 5.1), but none was ever this high.
	if rest[1] >= 0x10 {
		return 0, &Error{tlspolicy.ReasonNotTLS, fmt.Sprintf("record version %d.%d", rest[1], rest[2])}
	}
	n := int(binary.BigEndian.Uint16(rest[3:]))
	if n == 0 { // RFC 8446, Section 5.1: handshake fragments are not empty
		return 0, &Error{tlspolicy.ReasonUnexpectedMessage, "empty handshake record"}
	}
	if n > maxRecord {
		return 0, malformed(fmt.Sprintf("record of %d bytes, more than %d", n, maxRecord))
	}
	return n, nil
}

// peek judges the message's header as soon as it is there, before its body is awaited.
func (a *Assembler) peek(fragment []byte) error {
	var head [4]byte
	n := copy(head[:], a.msg)
	n += copy(head[n:], fragment)
	if n > 0 && head[0] != helloType {
		return &Error{tlspolicy.ReasonUnexpectedMessage, fmt.Sprintf("handshake message of type %d", head[0])}
	}
	if n == len(head) {
		if size := int(head[1])<<16 | int(head[2])<<8 | int(head[3]); size > a.limit() {
			return a.tooLarge(fmt.Sprintf("it says %d bytes", size))
		}
	}
	return nil
}

// complete returns the message when all of it is there.
func (a *Assembler) complete() ([]byte, error) {
	if len(a.msg) < 4 {
		return nil, nil
	}
	size := 4 + (int(a.msg[1])<<16 | int(a.msg[2])<<8 | int(a.msg[3]))
	if len(a.msg) > size {
		// No message of ours answers before the hello is processed, so nothing may
		// follow it (RFC 8446, Section 5.1).
		return nil, &Error{tlspolicy.ReasonUnexpectedMessage, "a handshake message follows the hello in its record"}
	}
	if len(a.msg) < size {
		return nil, nil
	}
	return a.msg, nil
}

func (a *Assembler) tooLarge(detail string) error {
	return &Error{tlspolicy.ReasonTooLarge, fmt.Sprintf("%s, the limit is %d", detail, a.limit())}
}

// foreign says what bytes are that do not start with a handshake record, nil when
// more are needed to tell.
func foreign(b []byte) error {
	if method, sure := httpMethod(b); method != "" {
		if !sure {
			return nil
		}
		return &Error{tlspolicy.ReasonHTTP, "a plain HTTP request, " + method}
	}
	if b[0]&0x80 != 0 { // RFC 5246, Appendix E.2: two bytes of length, the first bit set
		if len(b) < 5 {
			return nil
		}
		if b[2] == helloType && (b[3] == 0 && b[4] == 2 || b[3] == 3) {
			return &Error{tlspolicy.ReasonSSLv2, fmt.Sprintf("an SSL 2.0 hello for version %d.%d", b[3], b[4])}
		}
		return &Error{tlspolicy.ReasonNotTLS, fmt.Sprintf("first bytes % x", b[:5])}
	}
	if b[0] >= 20 && b[0] <= 24 && b[0] != typeHandshake {
		if len(b) < 3 {
			return nil
		}
		if b[1] == 3 && b[2] <= 4 {
			what := "a record of type %d instead of a hello"
			if b[0] == typeAlert {
				what = "an alert (record type %d) instead of a hello"
			}
			return &Error{tlspolicy.ReasonUnexpectedMessage, fmt.Sprintf(what, b[0])}
		}
	}
	return &Error{tlspolicy.ReasonNotTLS, fmt.Sprintf("first bytes % x", b[:min(len(b), 5)])}
}

// httpMethods are the methods that a request on the wrong port may start with
// (RFC 9110, Section 9.3, RFC 5789), and HTTP/2's preface (RFC 9113, Section 3.4).
const httpMethods = "GET HEAD POST PUT DELETE OPTIONS CONNECT TRACE PATCH PRI "

// httpMethod returns the method that b starts with; sure is false while b is only
// the beginning of one.
func httpMethod(b []byte) (method string, sure bool) {
	for rest := []byte(httpMethods); len(rest) > 0; {
		end := bytes.IndexByte(rest, ' ') + 1
		m := rest[:end]
		rest = rest[end:]
		if bytes.HasPrefix(b, m) {
			return string(m[:end-1]), true
		}
		if bytes.HasPrefix(m, b) {
			return string(m[:end-1]), false
		}
	}
	return "", false
}
