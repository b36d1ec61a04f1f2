package viewertls

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"pqfront/internal/rawtls"
	"pqfront/internal/tlspolicy"
)

// generated is one ClientHello, as bytes to be sent and as the offer that it is. The
// two are written down side by side, so that neither comes from parsing the other.
type generated struct {
	hello *rawtls.Hello
	offer tlspolicy.Offer
	// wild marks hellos with a server name that no site has, or none.
	wild bool
}

// generator draws hellos. It mixes what real clients send with what no sane one would.
type generator struct {
	r    *rand.Rand
	keys *keyRing
	quic bool
}

// keyRing holds one key pair per group; they are not secret and may be used again.
type keyRing map[uint16]*rawtls.KeyPair

func newKeyRing() keyRing {
	ring := keyRing{}
	for _, g := range []uint16{rawtls.X25519, rawtls.P256, rawtls.P384, rawtls.P521, rawtls.X25519MLKEM768, rawtls.SecP256r1MLKEM768, rawtls.SecP384r1MLKEM1024} {
		ring[g] = must(rawtls.NewKeyPair(g))
	}
	return ring
}

func (k keyRing) get(g uint16) (*rawtls.KeyPair, error) {
	if key, ok := k[g]; ok {
		return key, nil
	}
	return nil, fmt.Errorf("no key pair for group %#04x", g)
}

// one reports true once in n times.
func (g *generator) one(n int) bool { return g.r.IntN(n) == 0 }

// subset draws a non-empty part of list in random order; each element with
// probability 1/n.
func subset[T any](g *generator, list []T, n int) []T {
	var out []T
	for _, v := range list {
		if g.one(n) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		out = append(out, list[g.r.IntN(len(list))])
	}
	g.r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// grease is a reserved value (RFC 8701, Section 2).
func (g *generator) grease() uint16 { return uint16(g.r.IntN(16))*0x1010 + 0x0A0A }

var (
	suites13     = []uint16{0x1301, 0x1302, 0x1303, 0x1304, 0x1305}
	suites12     = []uint16{0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC023, 0xC027, 0xC024, 0xC028, 0xC009, 0xC013, 0xC00A, 0xC014, 0x009C, 0x009D, 0x003C, 0x003D, 0x0035, 0x002F, 0x000A, 0x0004, 0x0005, 0xC012, 0x009E, 0xC011, 0xC0AC}
	sharedGroups = []uint16{0x11EC, 0x11EB, 0x11ED, 0x001D, 0x0017, 0x0018, 0x0019}
	otherGroups  = []uint16{0x001E, 0x0100, 0x0101, 0x6399, 0x0016}
	allSchemes   = []uint16{0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0809, 0x080A, 0x080B, 0x0807, 0x0808, 0x0301, 0x0303, 0x0201, 0x0203, 0x0904}
	protocols    = []string{"h2", "http/1.1", "h3", "spdy/3.1", "\x0a\x0a"}
)

// draw returns a hello for a site's name.
func (g *generator) draw(name string) *generated {
	h := &rawtls.Hello{Version: rawtls.VersionTLS12, Compression: []byte{0}}
	for i := range h.Random {
		h.Random[i] = byte(g.r.Uint32())
	}
	out := &generated{hello: h}
	if g.quic {
		out.offer.Transport = tlspolicy.QUIC
	}
	g.serverName(out, name)
	g.versions(out)
	g.suites(out)
	g.groupsAndShares(out)
	g.schemes(out)
	g.protocols(out)
	g.legacyFields(out)
	g.otherExtensions(out)
	g.r.Shuffle(len(h.Extensions), func(i, j int) { h.Extensions[i], h.Extensions[j] = h.Extensions[j], h.Extensions[i] })
	if !g.one(4) {
		g.preSharedKey(out)
	}
	return out
}

func (g *generator) add(out *generated, e rawtls.Extension) {
	out.hello.Extensions = append(out.hello.Extensions, e)
}

func (g *generator) serverName(out *generated, name string) {
	switch g.r.IntN(40) {
	case 0:
		out.wild = true
		return
	case 1:
		out.wild, name = true, "nobody."+name+".test"
	case 2:
		name = strings.ToUpper(name)
	}
	out.offer.ServerName = strings.ToLower(name)
	g.add(out, rawtls.ServerName(name))
}

// versions draws supported_versions, or the version of a client that has none.
func (g *generator) versions(out *generated) {
	o := &out.offer
	var list []uint16
	switch {
	case g.quic && !g.one(20):
		list = []uint16{0x0304}
	case g.one(4): // TLS 1.2 or older
		o.LegacyVersion = tlspolicy.Version(0x0300 + g.r.IntN(5))
		if g.one(2) {
			o.LegacyVersion = tlspolicy.TLSv1_2
		}
		out.hello.Version = uint16(o.LegacyVersion)
		return
	case g.one(3):
		list = subset(g, []uint16{0x0304, 0x0303, 0x0302, 0x0301, 0x0300, 0x0305, 0x7F1C}, 2)
	default:
		list = []uint16{0x0304, 0x0303}
	}
	if g.one(2) {
		list = append([]uint16{g.grease()}, list...)
	}
	if g.one(30) {
		out.hello.Version = 0x0301 + uint16(g.r.IntN(4))
	}
	o.LegacyVersion = tlspolicy.Version(out.hello.Version)
	o.SupportedVersions = convert[tlspolicy.Version](list)
	g.add(out, rawtls.SupportedVersions(list...))
}

func (g *generator) suites(out *generated) {
	list := append(subset(g, suites13, 2), subset(g, suites12, 1+g.r.IntN(6))...)
	if g.one(3) { // the client's preference must not matter, so it is mixed up
		g.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	if g.one(2) {
		list = append([]uint16{g.grease()}, list...)
	}
	if g.one(5) {
		list = append(list, 0x00FF)
	}
	if g.one(25) {
		list = slices.Insert(list, g.r.IntN(len(list)+1), 0x5600)
	}
	out.hello.Suites = list
	out.offer.Suites = convert[tlspolicy.Suite](list)
}

func (g *generator) groupsAndShares(out *generated) {
	o := &out.offer
	list := subset(g, sharedGroups, 1+g.r.IntN(4))
	if g.one(3) {
		list = append(list, subset(g, otherGroups, 3)...)
	}
	if g.one(2) {
		list = append([]uint16{g.grease()}, list...)
	}
	if !g.one(25) {
		o.HasGroups, o.Groups = true, convert[tlspolicy.Group](list)
		g.add(out, rawtls.Groups(list...))
	}
	if o.SupportedVersions == nil && !g.one(5) || g.one(40) {
		return // clients up to TLS 1.2 have no key shares
	}
	shares := g.shares(list)
	o.HasKeyShare, o.KeyShares, o.KeyShareSizes = true, []tlspolicy.Group{}, []int{}
	for _, s := range shares {
		o.KeyShares = append(o.KeyShares, tlspolicy.Group(s.Group))
		o.KeyShareSizes = append(o.KeyShareSizes, len(s.Data))
	}
	g.add(out, rawtls.KeyShares(shares...))
}

// shares draws key shares: mostly one or two of the listed groups, sometimes of
// others, twice the same, or with a wrong length.
func (g *generator) shares(groups []uint16) []rawtls.Share {
	var shares []rawtls.Share
	if g.one(8) {
		return nil // asks for a HelloRetryRequest
	}
	candidates := groups
	if g.one(10) {
		candidates = sharedGroups
	}
	for _, group := range candidates {
		switch key, err := g.keys.get(group); {
		case err == nil && g.one(2):
			shares = append(shares, key.Share())
		case tlspolicy.IsGREASE(group):
			shares = append(shares, rawtls.Share{Group: group, Data: []byte{0}})
		}
	}
	if len(shares) > 0 && g.one(20) {
		shares = append(shares, shares[g.r.IntN(len(shares))])
	}
	if len(shares) > 0 && g.one(20) {
		i := g.r.IntN(len(shares))
		data := slices.Clone(shares[i].Data)
		if shares[i].Data = append(data, 0); g.one(2) && len(data) > 1 {
			shares[i].Data = data[:len(data)-1]
		}
	}
	return shares
}

func (g *generator) schemes(out *generated) {
	if g.one(25) {
		return
	}
	list := subset(g, allSchemes, 1+g.r.IntN(5))
	if g.one(10) {
		list = append(list, g.grease())
	}
	out.offer.HasSchemes, out.offer.Schemes = true, convert[tlspolicy.Scheme](list)
	g.add(out, rawtls.Schemes(list...))
}

func (g *generator) protocols(out *generated) {
	list := subset(g, protocols, 2)
	switch {
	case g.quic && !g.one(10):
		list = append(list, "h3")
		list = slices.Compact(list)
		if i := slices.Index(list, "h3"); i < len(list)-1 { // once is enough
			list = list[:len(list)-1]
		}
	case g.one(3):
		return
	case g.one(2):
		list = []string{"h2", "http/1.1"}
	}
	out.offer.ALPN = list
	g.add(out, rawtls.ALPN(list...))
}

// legacyFields draws what TLS 1.3 has frozen: compression, point formats, session id.
func (g *generator) legacyFields(out *generated) {
	if g.one(30) {
		out.hello.Compression = [][]byte{{0, 1}, {1, 0}, {1}, {}}[g.r.IntN(4)]
	}
	out.offer.Compression = out.hello.Compression
	if g.one(2) {
		formats := []byte{0}
		if g.one(5) {
			formats = [][]byte{{0, 1, 2}, {2, 1, 0}, {1}, {1, 2}}[g.r.IntN(4)]
		}
		out.offer.PointFormats = formats
		g.add(out, rawtls.PointFormats(formats...))
	}
	if n := []int{0, 32, 32, 7}[g.r.IntN(4)]; !g.quic || g.one(20) {
		out.hello.SessionID = make([]byte, n)
	}
}

func (g *generator) otherExtensions(out *generated) {
	o := &out.offer
	if g.one(2) {
		o.ExtendedMasterSecret = true
		g.add(out, rawtls.Extension{Type: rawtls.ExtExtendedMaster})
	}
	if g.one(2) {
		o.SessionTicket, o.Ticket = true, []byte{}
		if g.one(4) {
			o.Ticket = []byte("not a ticket of ours")
		}
		g.add(out, rawtls.Extension{Type: rawtls.ExtSessionTicket, Data: o.Ticket})
	}
	if g.one(3) {
		info := []byte{0}
		if g.one(20) {
			info = []byte{2, 1, 2}
		}
		o.Renegotiation = len(info) > 1
		g.add(out, rawtls.Extension{Type: rawtls.ExtRenegotiationInfo, Data: info})
	}
	if g.one(60) {
		o.EarlyData = true
		g.add(out, rawtls.Extension{Type: rawtls.ExtEarlyData})
	}
	if g.quic != g.one(40) { // over QUIC mostly there, over TCP mostly not
		o.QUICParameters = true
		g.add(out, rawtls.Extension{Type: rawtls.ExtQUICParameters, Data: []byte{}})
	}
	for _, e := range []rawtls.Extension{
		{Type: rawtls.ExtStatusRequest, Data: []byte{1, 0, 0, 0, 0}},
		{Type: rawtls.ExtSCT}, rawtls.Padding(g.r.IntN(300)),
		{Type: rawtls.ExtCompressCertificate, Data: []byte{2, 0, 2}},
		{Type: rawtls.ExtECH, Data: []byte{0, 0, 1, 0, 1, 7, 0, 1, 9, 0, 1, 9}},
		{Type: 50, Data: []byte{0, 2, 4, 3}}, // signature_algorithms_cert
	} {
		if g.one(5) {
			g.add(out, e)
		}
	}
	if g.one(2) {
		g.add(out, rawtls.Extension{Type: g.grease()})
	}
}

// preSharedKey draws psk_key_exchange_modes and, last of all extensions, tickets
// that are not ours.
func (g *generator) preSharedKey(out *generated) {
	o := &out.offer
	if !g.one(10) {
		modes := []byte{1}
		if g.one(8) {
			modes = [][]byte{{0}, {0, 1}, {}}[g.r.IntN(3)]
		}
		o.HasPSKModes, o.PSKWithDHE = true, slices.Contains(modes, 1)
		g.add(out, rawtls.PSKModes(modes...))
	}
	if !g.one(6) {
		return
	}
	o.PSKIdentities, o.PSKBinders = 1+g.r.IntN(2), 1
	if !g.one(4) {
		o.PSKBinders = o.PSKIdentities
	}
	var identities, binders []byte
	for range o.PSKIdentities {
		identities = append(append(identities, rawtls.Vector16([]byte("ticket"))...), 1, 2, 3, 4)
	}
	for range o.PSKBinders {
		binders = append(binders, rawtls.Vector8(make([]byte, 32))...)
	}
	g.add(out, rawtls.Extension{Type: rawtls.ExtPreSharedKey, Data: append(rawtls.Vector16(identities), rawtls.Vector16(binders)...)})
}
