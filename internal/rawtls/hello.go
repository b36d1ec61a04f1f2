// Package rawtls is a TLS client for tests: it sends any ClientHello, byte for byte
// as described, completes the handshake with a key schedule of its own, and tells
// what the server chose. It shares no handshake code with the edge or crypto/tls;
// both would otherwise be wrong together.
//
// It checks what the server does (signatures, Finished, choices that were offered)
// but no certificates, protects no secrets (its keys are reused), and has no time
// limits: the connection's deadline must be set. It is for tests only.
package rawtls

import (
	"encoding/binary"
	"slices"
)

// Protocol versions.
const (
	VersionTLS10 = 0x0301
	VersionTLS11 = 0x0302
	VersionTLS12 = 0x0303
	VersionTLS13 = 0x0304
)

// Extension types (IANA: TLS ExtensionType Values).
const (
	ExtServerName          = 0
	ExtStatusRequest       = 5
	ExtSupportedGroups     = 10
	ExtPointFormats        = 11
	ExtSignatureAlgorithms = 13
	ExtALPN                = 16
	ExtSCT                 = 18
	ExtPadding             = 21
	ExtExtendedMaster      = 23
	ExtCompressCertificate = 27
	ExtSessionTicket       = 35
	ExtPreSharedKey        = 41
	ExtEarlyData           = 42
	ExtSupportedVersions   = 43
	ExtCookie              = 44
	ExtPSKModes            = 45
	ExtKeyShare            = 51
	ExtQUICParameters      = 57
	ExtApplicationSettings = 17613
	ExtECH                 = 0xFE0D
	ExtRenegotiationInfo   = 0xFF01
)

// Extension is one extension as sent.
type Extension struct {
	Type uint16
	Data []byte
}

// Share is one key share as sent.
type Share struct {
	Group uint16
	Data  []byte
}

// Hello describes a ClientHello.
type Hello struct {
	Version     uint16 // legacy_version
	Random      [32]byte
	SessionID   []byte
	Suites      []uint16
	Compression []byte
	// Extensions in wire order; nil leaves out even the length of their list.
	Extensions []Extension
}

// Marshal returns the handshake message.
func (h *Hello) Marshal() []byte {
	b := []byte{1, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, h.Version)
	b = append(b, h.Random[:]...)
	b = append(b, Vector8(h.SessionID)...)
	b = append(b, Vector16(Uint16s(h.Suites...))...)
	b = append(b, Vector8(h.Compression)...)
	if h.Extensions != nil {
		var list []byte
		for _, e := range h.Extensions {
			list = binary.BigEndian.AppendUint16(list, e.Type)
			list = append(list, Vector16(e.Data)...)
		}
		b = append(b, Vector16(list)...)
	}
	n := len(b) - 4
	b[1], b[2], b[3] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

// Extension returns the data of the extension of type typ, and whether it is there.
func (h *Hello) Extension(typ uint16) ([]byte, bool) {
	for _, e := range h.Extensions {
		if e.Type == typ {
			return e.Data, true
		}
	}
	return nil, false
}

// retry returns the second hello: the same, with one key share and the cookie, if
// there is one (RFC 8446, Section 4.1.2).
func (h *Hello) retry(share Share, cookie []byte) *Hello {
	second := *h
	second.Extensions = slices.Clone(h.Extensions)
	for i, e := range second.Extensions {
		if e.Type == ExtKeyShare {
			second.Extensions[i] = KeyShares(share)
		}
	}
	if cookie != nil {
		second.Extensions = append(second.Extensions, Extension{ExtCookie, Vector16(cookie)})
	}
	return &second
}

// Vector8 returns b behind one byte of length.
func Vector8(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

// Vector16 returns b behind two bytes of length.
func Vector16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// Uint16s returns the values as on the wire.
func Uint16s(list ...uint16) []byte {
	b := make([]byte, 0, 2*len(list))
	for _, v := range list {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// ServerName returns the extension for one host name.
func ServerName(name string) Extension {
	return Extension{ExtServerName, Vector16(append([]byte{0}, Vector16([]byte(name))...))}
}

// SupportedVersions returns the extension.
func SupportedVersions(v ...uint16) Extension {
	return Extension{ExtSupportedVersions, Vector8(Uint16s(v...))}
}

// Groups returns the supported_groups extension.
func Groups(g ...uint16) Extension {
	return Extension{ExtSupportedGroups, Vector16(Uint16s(g...))}
}

// Schemes returns the signature_algorithms extension.
func Schemes(s ...uint16) Extension {
	return Extension{ExtSignatureAlgorithms, Vector16(Uint16s(s...))}
}

// KeyShares returns the extension.
func KeyShares(shares ...Share) Extension {
	var list []byte
	for _, s := range shares {
		list = binary.BigEndian.AppendUint16(list, s.Group)
		list = append(list, Vector16(s.Data)...)
	}
	return Extension{ExtKeyShare, Vector16(list)}
}

// ALPN returns the extension.
func ALPN(protos ...string) Extension {
	var list []byte
	for _, p := range protos {
		list = append(list, Vector8([]byte(p))...)
	}
	return Extension{ExtALPN, Vector16(list)}
}

// PointFormats returns the extension.
func PointFormats(f ...byte) Extension { return Extension{ExtPointFormats, Vector8(f)} }

// PSKModes returns the extension.
func PSKModes(m ...byte) Extension { return Extension{ExtPSKModes, Vector8(m)} }

// Padding returns the extension with n zero bytes.
func Padding(n int) Extension { return Extension{ExtPadding, make([]byte, n)} }
