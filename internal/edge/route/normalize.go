package route

// plain reports whether path is in normal form already, as nearly all are. It may
// say no to one that is.
func plain(path string) bool {
	if path == "" {
		return false
	}
	for i := range len(path) {
		switch path[i] {
		case '%':
			return false
		case '.':
			if i == 0 || path[i-1] == '/' {
				return false
			}
		}
	}
	return true
}

// Normalize appends the normal form of an absolute path to dst: escapes of
// unreserved letters undone, others with upper-case digits, dot segments removed.
// Empty segments stay, they are segments. It is for comparing paths only
// (RFC 3986, Section 6.2.2).
func Normalize(dst []byte, path string) []byte {
	base := len(dst)
	dst = decodeUnreserved(dst, path)
	return dst[:base+removeDotSegments(dst[base:])]
}

// decodeUnreserved appends s with its escapes of unreserved letters undone and the
// digits of the others in upper case (RFC 3986, Sections 6.2.2.1 and 6.2.2.2). What is
// no escape stays as it is.
func decodeUnreserved(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '%' || i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			dst = append(dst, c)
			continue
		}
		if d := unhex(s[i+1])<<4 | unhex(s[i+2]); isUnreserved(d) {
			dst = append(dst, d)
		} else {
			dst = append(dst, '%', upper(s[i+1]), upper(s[i+2]))
		}
		i += 2
	}
	return dst
}

// removeDotSegments removes "." and ".." from b in place and returns the new length
// (RFC 3986, Section 5.2.4). The result of an absolute path is an absolute path.
func removeDotSegments(b []byte) int {
	out := 0
	for in := 0; in < len(b); {
		// b[in:] begins with the slash of the next segment; a relative path lacks the first.
		end := in
		if b[in] == '/' {
			end++
		}
		start := end
		for end < len(b) && b[end] != '/' {
			end++
		}
		segment := b[start:end]
		last := end == len(b)
		switch {
		case string(segment) == ".", string(segment) == "..":
			if len(segment) == 2 {
				for out > 0 {
					out--
					if b[out] == '/' {
						break
					}
				}
			}
			if last { // /a/. is /a/
				b[out] = '/'
				out++
			}
		default:
			out += copy(b[out:], b[in:end])
		}
		in = end
	}
	return out
}

func isUnreserved(c byte) bool { // RFC 3986, Section 2.3
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'f' {
		return c - 0x20
	}
	return c
}
