package clienthello

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"pqfront/internal/tlspolicy"
)

// JA3 returns the classic fingerprint: its text and the MD5 of it. Version, suites,
// extensions, groups and point formats in wire order, GREASE left out.
func (h *Hello) JA3() (text, sum string) {
	o := &h.Offer
	b := make([]byte, 0, 512)
	b = strconv.AppendUint(b, uint64(o.LegacyVersion), 10)
	b = appendDecimals(append(b, ','), o.Suites)
	b = appendDecimals(append(b, ','), h.Extensions)
	b = appendDecimals(append(b, ','), o.Groups)
	b = append(b, ',')
	for i, f := range o.PointFormats {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(f), 10)
	}
	digest := md5.Sum(b) // the fingerprint is defined so; nothing relies on it
	return string(b), hex.EncodeToString(digest[:])
}

func appendDecimals[T ~uint16](b []byte, list []T) []byte {
	first := true
	for _, v := range list {
		if tlspolicy.IsGREASE(uint16(v)) {
			continue
		}
		if !first {
			b = append(b, '-')
		}
		first = false
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return b
}

// JA4 returns the fingerprint of the JA4 TLS client method: transport, version, SNI,
// counts and first ALPN; a digest of the sorted suites; a digest of the sorted
// extensions and the signature schemes. GREASE is left out everywhere.
func (h *Hello) JA4() string {
	o := &h.Offer
	b := make([]byte, 0, 40)
	b = append(b, 't')
	if o.Transport == tlspolicy.QUIC {
		b[0] = 'q'
	}
	b = append(b, h.ja4Version()...)
	if h.HasSNI {
		b = append(b, 'd')
	} else {
		b = append(b, 'i')
	}
	suites := withoutGREASE(o.Suites)
	exts := withoutGREASE(h.Extensions)
	b = appendCount(b, len(suites))
	b = appendCount(b, len(exts))
	b = append(b, h.ja4ALPN()...)

	slices.Sort(suites)
	b = append(b, '_')
	b = appendDigest(b, appendHexes(nil, suites))

	// Server name and ALPN are in the first part already.
	exts = slices.DeleteFunc(exts, func(t uint16) bool { return t == extServerName || t == extALPN })
	slices.Sort(exts)
	c := appendHexes(nil, exts)
	if schemes := withoutGREASE(o.Schemes); len(schemes) > 0 {
		c = append(c, '_')
		c = appendHexes(c, schemes)
	}
	b = append(b, '_')
	return string(appendDigest(b, c))
}

// ja4Version returns the two characters for the highest version that is offered.
func (h *Hello) ja4Version() string {
	v := h.Offer.LegacyVersion
	if len(h.Offer.SupportedVersions) > 0 {
		v = 0
		for _, offered := range h.Offer.SupportedVersions {
			if !tlspolicy.IsGREASE(uint16(offered)) {
				v = max(v, offered)
			}
		}
	}
	switch v {
	case tlspolicy.TLSv1_3:
		return "13"
	case tlspolicy.TLSv1_2:
		return "12"
	case tlspolicy.TLSv1_1:
		return "11"
	case tlspolicy.TLSv1:
		return "10"
	case tlspolicy.SSLv3:
		return "s3"
	case 0x0002:
		return "s2"
	}
	return "00"
}

// ja4ALPN returns the first and last character of the first protocol; of its
// hexadecimal form when one of the two is not a letter or digit.
func (h *Hello) ja4ALPN() string {
	if len(h.Offer.ALPN) == 0 || h.Offer.ALPN[0] == "" {
		return "00"
	}
	p := h.Offer.ALPN[0]
	first, last := p[0], p[len(p)-1]
	if alphanumeric(first) && alphanumeric(last) {
		return string([]byte{first, last})
	}
	const digits = "0123456789abcdef"
	return string([]byte{digits[first>>4], digits[last&15]})
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func withoutGREASE[T ~uint16](list []T) []T {
	kept := make([]T, 0, len(list))
	for _, v := range list {
		if !tlspolicy.IsGREASE(uint16(v)) {
			kept = append(kept, v)
		}
	}
	return kept
}

// appendCount appends n with two digits; there are no more than 99.
func appendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, '0'+byte(n/10), '0'+byte(n%10))
}

// appendHexes appends the values with four hexadecimal digits, comma between.
func appendHexes[T ~uint16](b []byte, list []T) []byte {
	b = slices.Grow(b, 5*len(list))
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = hex.AppendEncode(b, []byte{byte(v >> 8), byte(v)})
	}
	return b
}

// appendDigest appends the first twelve digits of the text's SHA-256, zeros when
// there is no text.
func appendDigest(b, text []byte) []byte {
	if len(text) == 0 {
		return append(b, "000000000000"...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:6])
}
