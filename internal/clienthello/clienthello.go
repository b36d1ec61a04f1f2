// Package clienthello answers: what does this ClientHello offer, and who sends hellos
// like it?
//
// Assembler puts the message together from the bytes of a TCP connection, Parse
// reads it into a tlspolicy.Offer, and JA3 and JA4 fingerprint it. The package
// judges syntax only, as crypto/tls does; tlspolicy.Decide judges the rest.
package clienthello

import (
	"fmt"

	"pqfront/internal/tlspolicy"
)

// MaxSize is the default limit of a ClientHello message: what crypto/tls takes. A
// hello with two post-quantum key shares has 3 KiB.
const MaxSize = 64 << 10

// Hello is one parsed ClientHello. Its byte slices are parts of the message.
type Hello struct {
	// Offer is what Decide looks at. Offer.Suites has all values as sent, GREASE and
	// signalling values included.
	Offer tlspolicy.Offer
	// Extensions holds the types of all extensions in wire order, GREASE included.
	Extensions []uint16
	SessionID  []byte
	Random     []byte
	Size       int  // of the message
	HasSNI     bool // the server_name extension is present
	OCSP       bool // status_request asks for a stapled OCSP response
	ECH        bool // encrypted_client_hello is present; GREASE ECH looks the same

	// Room for hellos of usual size, so that Parse allocates once.
	suites   [48]tlspolicy.Suite
	groups   [16]tlspolicy.Group
	shares   [4]tlspolicy.Group
	sizes    [4]int
	schemes  [32]tlspolicy.Scheme
	versions [8]tlspolicy.Version
	exts     [32]uint16
	alpn     [4]string
}

// Error is why bytes are no acceptable ClientHello.
type Error struct {
	Reason tlspolicy.Reason // one of the reasons about hellos
	Detail string           // which part is wrong and how
}

// Error names the part and what is wrong with it.
func (e *Error) Error() string {
	return fmt.Sprintf("reading ClientHello: %s: %s", e.Reason, e.Detail)
}

func malformed(detail string) *Error {
	return &Error{tlspolicy.ReasonMalformed, detail}
}

// Types of extensions that are read (IANA: TLS ExtensionType Values).
const (
	extServerName          = 0
	extStatusRequest       = 5
	extSupportedGroups     = 10
	extPointFormats        = 11
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSCT                 = 18
	extExtendedMasterKey   = 23
	extSessionTicket       = 35
	extPreSharedKey        = 41
	extEarlyData           = 42
	extSupportedVersions   = 43
	extCookie              = 44
	extPSKModes            = 45
	extSignatureAlgsCert   = 50
	extKeyShare            = 51
	extQUICParameters      = 57
	extECH                 = 0xFE0D
	extRenegotiationInfo   = 0xFF01
)

// Parse reads a complete ClientHello handshake message: the type byte, three bytes
// of length, and the body. msg must not be changed while the Hello is in use. The
// error is an *Error.
func Parse(transport tlspolicy.Transport, msg []byte) (*Hello, error) {
	// RFC 8446, Section 4
	if len(msg) < 4 {
		return nil, malformed("the message header is cut short")
	}
	if msg[0] != 1 {
		return nil, &Error{tlspolicy.ReasonUnexpectedMessage, fmt.Sprintf("handshake message of type %d", msg[0])}
	}
	if n := int(msg[1])<<16 | int(msg[2])<<8 | int(msg[3]); n != len(msg)-4 {
		return nil, malformed(fmt.Sprintf("the message says %d bytes and has %d", n, len(msg)-4))
	}
	h := &Hello{Size: len(msg)}
	h.Offer.Transport = transport
	if err := h.parseBody(reader(msg[4:])); err != nil {
		return nil, err
	}
	return h, nil
}

// parseBody reads the fields of RFC 8446, Section 4.1.2.
func (h *Hello) parseBody(r reader) error {
	version, ok1 := r.uint16()
	random, ok2 := r.bytes(32)
	id, ok3 := r.vector8()
	suites, ok4 := r.vector16()
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return malformed("the fixed fields are cut short")
	}
	if len(suites)%2 != 0 {
		return malformed("cipher_suites has an odd length")
	}
	compression, ok := r.vector8()
	if !ok {
		return malformed("legacy_compression_methods is cut short")
	}
	h.Random, h.SessionID = random, id
	h.Offer.LegacyVersion = tlspolicy.Version(version)
	h.Offer.Suites = appendUint16s(h.suites[:0], suites)
	h.Offer.Compression = compression
	if len(r) == 0 { // RFC 5246, Section 7.4.1.2: extensions may be missing altogether
		return nil
	}
	extensions, ok := r.vector16()
	if !ok || len(r) != 0 {
		return malformed("the extensions do not fill the rest of the message")
	}
	return h.parseExtensions(extensions)
}

// fewExtensions is up to how many extensions a linear search for duplicates is the
// fastest; a longer list is searched with a map, so that it costs nothing special.
const fewExtensions = 32

func (h *Hello) parseExtensions(r reader) error {
	h.Extensions = h.exts[:0]
	var seen map[uint16]struct{}
	for len(r) > 0 {
		typ, ok1 := r.uint16()
		data, ok2 := r.vector16()
		if !ok1 || !ok2 {
			return malformed("the list of extensions is cut short")
		}
		// RFC 8446, Section 4.2: no two of the same type
		if seen == nil && len(h.Extensions) == fewExtensions {
			seen = make(map[uint16]struct{})
			for _, t := range h.Extensions {
				seen[t] = struct{}{}
			}
		}
		if duplicate(h.Extensions, seen, typ) {
			return malformed(fmt.Sprintf("extension %d appears twice", typ))
		}
		if seen != nil {
			seen[typ] = struct{}{}
		}
		h.Extensions = append(h.Extensions, typ)
		if typ == extPreSharedKey && len(r) != 0 {
			return malformed("pre_shared_key is not the last extension") // RFC 8446, Section 4.2.11
		}
		if !h.parseExtension(typ, data) {
			return malformed(fmt.Sprintf("extension %d breaks its syntax", typ))
		}
	}
	return nil
}

func duplicate(list []uint16, seen map[uint16]struct{}, typ uint16) bool {
	if seen != nil {
		_, found := seen[typ]
		return found
	}
	for _, t := range list {
		if t == typ {
			return true
		}
	}
	return false
}

// parseExtension reads one extension and reports whether its syntax is right.
// Unknown types are not looked into.
func (h *Hello) parseExtension(typ uint16, r reader) bool {
	o := &h.Offer
	switch typ {
	case extServerName:
		return h.parseServerName(r)
	case extStatusRequest: // RFC 6066, Section 8
		kind, ok1 := r.uint8()
		_, ok2 := r.vector16()
		_, ok3 := r.vector16()
		h.OCSP = kind == 1
		return ok1 && ok2 && ok3 && len(r) == 0
	case extSupportedGroups: // RFC 8446, Section 4.2.7
		o.HasGroups = true
		list, ok := r.list16()
		o.Groups = appendUint16s(h.groups[:0], list)
		return ok
	case extPointFormats: // RFC 8422, Section 5.1.2
		list, ok := r.vector8()
		o.PointFormats = list
		return ok && len(list) > 0 && len(r) == 0
	case extSignatureAlgorithms: // RFC 8446, Section 4.2.3
		o.HasSchemes = true
		list, ok := r.list16()
		o.Schemes = appendUint16s(h.schemes[:0], list)
		return ok
	case extSignatureAlgsCert: // RFC 8446, Section 4.2.3
		_, ok := r.list16()
		return ok
	case extALPN:
		return h.parseALPN(r)
	case extSCT, extExtendedMasterKey, extEarlyData:
		o.ExtendedMasterSecret = o.ExtendedMasterSecret || typ == extExtendedMasterKey // RFC 7627, Section 5.1
		o.EarlyData = o.EarlyData || typ == extEarlyData                               // RFC 8446, Section 4.2.10
		return len(r) == 0
	case extSessionTicket: // RFC 5077, Section 3.2
		o.SessionTicket, o.Ticket = true, r
	case extPreSharedKey:
		return h.parsePreSharedKey(r)
	case extSupportedVersions: // RFC 8446, Section 4.2.1
		list, ok := r.vector8()
		o.SupportedVersions = appendUint16s(h.versions[:0], list)
		return ok && len(list) > 0 && len(list)%2 == 0 && len(r) == 0
	case extCookie: // RFC 8446, Section 4.2.2
		cookie, ok := r.vector16()
		return ok && len(cookie) > 0 && len(r) == 0
	case extPSKModes: // RFC 8446, Section 4.2.9
		modes, ok := r.vector8()
		o.HasPSKModes = true
		for _, m := range modes {
			o.PSKWithDHE = o.PSKWithDHE || m == 1
		}
		return ok && len(r) == 0
	case extKeyShare:
		return h.parseKeyShares(r)
	case extQUICParameters: // RFC 9001, Section 8.2; the content is the transport's affair
		o.QUICParameters = true
	case extECH:
		h.ECH = true
		return parseECH(r)
	case extRenegotiationInfo: // RFC 5746, Section 3.2
		info, ok := r.vector8()
		o.Renegotiation = len(info) > 0
		return ok && len(r) == 0
	}
	return true
}

// parseServerName reads RFC 6066, Section 3: at most one host name, without a
// trailing dot.
func (h *Hello) parseServerName(r reader) bool {
	h.HasSNI = true
	list, ok := r.vector16()
	if !ok || len(list) == 0 || len(r) != 0 {
		return false
	}
	for len(list) > 0 {
		kind, ok1 := list.uint8()
		name, ok2 := list.vector16()
		if !ok1 || !ok2 || len(name) == 0 {
			return false
		}
		if kind != 0 {
			continue
		}
		if h.Offer.ServerName != "" || name[len(name)-1] == '.' {
			return false
		}
		h.Offer.ServerName = lower(name)
	}
	return true
}

// lower returns name with its ASCII letters in lower case.
func lower(name []byte) string {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			b := append([]byte(nil), name...)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return string(name)
}

// parseALPN reads RFC 7301, Section 3.1.
func (h *Hello) parseALPN(r reader) bool {
	list, ok := r.vector16()
	if !ok || len(list) == 0 || len(r) != 0 {
		return false
	}
	h.Offer.ALPN = h.alpn[:0]
	for len(list) > 0 {
		proto, ok := list.vector8()
		if !ok || len(proto) == 0 {
			return false
		}
		h.Offer.ALPN = append(h.Offer.ALPN, protocolName(proto))
	}
	return true
}

// protocolName returns the protocol's name without allocating the usual ones.
func protocolName(b []byte) string {
	switch string(b) {
	case "h2":
		return "h2"
	case "http/1.1":
		return "http/1.1"
	case "h3":
		return "h3"
	}
	return string(b)
}

// parseKeyShares reads RFC 8446, Section 4.2.8. An empty list asks for a
// HelloRetryRequest.
func (h *Hello) parseKeyShares(r reader) bool {
	list, ok := r.vector16()
	if !ok || len(r) != 0 {
		return false
	}
	o := &h.Offer
	o.HasKeyShare, o.KeyShares, o.KeyShareSizes = true, h.shares[:0], h.sizes[:0]
	for len(list) > 0 {
		group, ok1 := list.uint16()
		share, ok2 := list.vector16()
		if !ok1 || !ok2 || len(share) == 0 {
			return false
		}
		o.KeyShares = append(o.KeyShares, tlspolicy.Group(group))
		o.KeyShareSizes = append(o.KeyShareSizes, len(share))
	}
	return true
}

// parsePreSharedKey reads RFC 8446, Section 4.2.11.
func (h *Hello) parsePreSharedKey(r reader) bool {
	identities, ok1 := r.vector16()
	binders, ok2 := r.vector16()
	if !ok1 || !ok2 || len(identities) == 0 || len(binders) == 0 || len(r) != 0 {
		return false
	}
	for len(identities) > 0 {
		label, ok1 := identities.vector16()
		_, ok2 := identities.bytes(4) // obfuscated_ticket_age
		if !ok1 || !ok2 || len(label) == 0 {
			return false
		}
		h.Offer.PSKIdentities++
	}
	for len(binders) > 0 {
		binder, ok := binders.vector8()
		if !ok || len(binder) == 0 {
			return false
		}
		h.Offer.PSKBinders++
	}
	return true
}

// parseECH reads RFC 9849, Section 5, of which we look at the shape only: the
// engine checks it too and would refuse a broken one. An empty extension passes there.
func parseECH(r reader) bool {
	if len(r) == 0 {
		return true
	}
	const outer, inner = 0, 1
	kind, _ := r.uint8()
	if kind == inner {
		return len(r) == 0
	}
	_, ok1 := r.bytes(2 + 2 + 1) // KDF, AEAD, config id
	_, ok2 := r.vector16()       // enc
	_, ok3 := r.vector16()       // payload
	return kind == outer && ok1 && ok2 && ok3
}
