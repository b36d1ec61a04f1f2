package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// kind tells how a value is written.
type kind uint8

const (
	none    kind = iota // "-" in lines, left out of JSON
	text                // foreign text: escaped everywhere
	integer             //
	seconds             // microseconds, written as seconds with three decimals
	date                // unix microseconds, YYYY-MM-DD in UTC
	clock               // unix microseconds, HH:MM:SS in UTC
	status              // three digits
	yesno               // 0 or 1
)

// value is the content of one field, not yet formatted, so that a record costs no
// allocations of its own.
type value struct {
	kind kind
	s    string
	n    int64
}

func str(s string) value {
	if s == "" {
		return value{}
	}
	return value{kind: text, s: s}
}

func num(n int64) value { return value{kind: integer, n: n} }

// count is a number that is absent below zero.
func count(n int64) value {
	if n < 0 {
		return value{}
	}
	return num(n)
}

func secs(d time.Duration) value { return value{kind: seconds, n: d.Microseconds()} }

// someSecs is a duration that is absent when zero.
func someSecs(d time.Duration) value {
	if d == 0 {
		return value{}
	}
	return secs(d)
}

func truth(b bool) value {
	if b {
		return value{kind: yesno, n: 1}
	}
	return value{kind: yesno}
}

// appendLine appends v as it stands in a standard log line.
func (v value) appendLine(b []byte) []byte {
	switch v.kind {
	case text:
		return appendEscaped(b, v.s)
	case integer, yesno:
		return strconv.AppendInt(b, v.n, 10)
	case seconds:
		return appendSeconds(b, v.n)
	case date:
		return time.UnixMicro(v.n).UTC().AppendFormat(b, time.DateOnly)
	case clock:
		return time.UnixMicro(v.n).UTC().AppendFormat(b, time.TimeOnly)
	case status:
		// 000: the viewer closed before there was an answer (CloudFront: Standard log
		// file fields, sc-status).
		b = append(b, byte('0'+v.n/100%10), byte('0'+v.n/10%10), byte('0'+v.n%10))
		return b
	}
	return append(b, '-')
}

// appendJSON appends v as a JSON value.
func (v value) appendJSON(b []byte) []byte {
	switch v.kind {
	case text:
		return appendQuoted(b, v.s)
	case integer, status:
		return strconv.AppendInt(b, v.n, 10)
	case yesno:
		return strconv.AppendBool(b, v.n == 1)
	case seconds:
		return appendSeconds(b, v.n)
	case date, clock:
		b = append(b, '"')
		return append(v.appendLine(b), '"')
	}
	return append(b, "null"...)
}

func appendSeconds(b []byte, micros int64) []byte {
	if micros < 0 {
		micros = 0 // a clock that was set back
	}
	ms := (micros + 500) / 1000
	b = strconv.AppendInt(b, ms/1000, 10)
	ms %= 1000
	return append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

// escapes marks what is percent-encoded in standard log lines: code points 0-32, 127
// and above, and the characters that RFC 1738, Section 2.2 calls unsafe
// (CloudFront: Standard log file fields, URL encoding). "%" is among them, so that
// the encoding can be undone.
var escapes = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c <= ' ' || c >= 0x7f
	}
	for _, c := range `"#%'<>[\]^` + "`{|}~" {
		t[c] = true
	}
	return t
}()

const hexDigits = "0123456789ABCDEF"

func appendEscaped(b []byte, s string) []byte {
	start := 0
	for i := range len(s) {
		if c := s[i]; escapes[c] {
			b = append(b, s[start:i]...)
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
			start = i + 1
		}
	}
	return append(b, s[start:]...)
}

// appendQuoted appends a JSON string (RFC 8259, Section 7). Broken UTF-8 becomes
// U+FFFD; line separators are escaped for tools that split on them.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
			if (r != utf8.RuneError || size > 1) && r != '\u2028' && r != '\u2029' && r != '\u0085' {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == utf8.RuneError:
			b = append(b, `\ufffd`...)
		default:
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		}
		i += size
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
