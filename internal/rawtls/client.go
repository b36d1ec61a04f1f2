package rawtls

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Transport carries handshake messages: TLS records (Dial) or a test's own for QUIC.
type Transport interface {
	ReadMessage() ([]byte, error)
	WriteMessage(msg []byte) error
	// Hello tells which version the server chose, before anything protected is read.
	Hello(version uint16) error
	// Secrets switches both directions to a TLS 1.3 level's secrets: first those of
	// the handshake, then those of application data.
	Secrets(level Level, suite uint16, client, server []byte) error
	// Alert returns the record of the alert that ended reading, nil when none came.
	Alert() []byte
}

// Level is an encryption level of TLS 1.3.
type Level int

// The levels.
const (
	LevelHandshake Level = iota + 1
	LevelApplication
)

// Result is what the server chose, or how it refused.
type Result struct {
	// Alert is the record of the alert with which the server refused, as on the wire;
	// all else is zero then, but for what a HelloRetryRequest told.
	Alert []byte

	Version  uint16
	Suite    uint16
	Group    uint16 // 0 with RSA key transport
	HRR      bool
	Scheme   uint16 // 0 with RSA key transport and below TLS 1.2
	Chain    [][]byte
	ALPN     string
	Sentinel uint16 // the version that the downgrade marker stands for, 0 without one
	EMS      bool   // extended_master_secret was agreed on
	Tickets  int    // NewSessionTicket messages
	// Lifetime and MaxEarlyData are the last ticket's.
	Lifetime     uint32
	MaxEarlyData uint32
	Ticket       []byte
	SNIAck       bool
}

// Client does one handshake.
type Client struct {
	Hello *Hello
	// Keys hold the key pairs for the shares in the hello, and those for a
	// HelloRetryRequest and for ECDHE before TLS 1.3.
	Keys func(group uint16) (*KeyPair, error)
	// After is called when the handshake is complete, before tickets are read; may be nil.
	After func() error

	t      Transport
	result Result
	leaf   *x509.Certificate
	log    [][]byte // the handshake messages so far, for the transcript
}

// downgrade markers at the end of a server's random (RFC 8446, Section 4.1.3).
const (
	marker12 = "DOWNGRD\x01"
	marker11 = "DOWNGRD\x00"
)

// retryRandom is the random of a HelloRetryRequest (RFC 8446, Section 4.1.3).
var retryRandom = []byte{
	0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
}

// Handshake runs the handshake over t. The error tells of a server that broke the
// protocol or went away; a refusal by alert is a Result with Alert set.
func (c *Client) Handshake(t Transport) (*Result, error) {
	c.t = t
	err := c.run()
	if alert := t.Alert(); alert != nil && errors.Is(err, ErrAlert) {
		return &Result{Alert: alert, HRR: c.result.HRR}, nil
	}
	if err != nil {
		return nil, err
	}
	return &c.result, nil
}

// serverHello is a parsed ServerHello or HelloRetryRequest.
type serverHello struct {
	version, suite uint16
	random         []byte
	compression    byte
	extensions     map[uint16][]byte
}

func (c *Client) run() error {
	if err := c.send(c.Hello.Marshal()); err != nil {
		return err
	}
	sh, err := c.readServerHello()
	if err != nil {
		return err
	}
	c.result.Version, c.result.Suite = sh.version, sh.suite
	if err := c.t.Hello(sh.version); err != nil {
		return err
	}
	if sh.version == VersionTLS13 {
		return c.run13(sh)
	}
	switch string(sh.random[24:]) {
	case marker12:
		c.result.Sentinel = VersionTLS12
	case marker11:
		c.result.Sentinel = VersionTLS11
	}
	return c.run12(sh)
}

// send writes a message and notes it for the transcript.
func (c *Client) send(msg []byte) error {
	c.log = append(c.log, msg)
	return c.t.WriteMessage(msg)
}

// read returns the body of the next message, which must be of the type, and notes it.
func (c *Client) read(typ byte) ([]byte, error) {
	msg, err := c.t.ReadMessage()
	if err != nil {
		return nil, fmt.Errorf("waiting for message %d: %w", typ, err)
	}
	if msg[0] != typ {
		return nil, fmt.Errorf("message %d came instead of %d", msg[0], typ)
	}
	c.log = append(c.log, msg)
	return msg[4:], nil
}

// readServerHello reads RFC 8446, Section 4.1.3 and checks that the server chose from
// what was offered.
func (c *Client) readServerHello() (*serverHello, error) {
	body, err := c.read(2)
	if err != nil {
		return nil, err
	}
	r := &parser{b: body}
	sh := &serverHello{version: r.uint16(), random: r.bytes(32)}
	sessionID := r.vector8()
	sh.suite = r.uint16()
	sh.compression = r.byte()
	if len(r.b) > 0 {
		sh.extensions = r.extensions()
	}
	if !r.done() {
		return nil, fmt.Errorf("malformed ServerHello % x", body)
	}
	if v, ok := sh.extensions[ExtSupportedVersions]; ok {
		if len(v) != 2 || sh.version != VersionTLS12 {
			return nil, fmt.Errorf("supported_versions of % x", v)
		}
		sh.version = binary.BigEndian.Uint16(v)
	}
	switch {
	case !slices.Contains(c.Hello.Suites, sh.suite):
		return nil, fmt.Errorf("suite %#04x was not offered", sh.suite)
	case sh.compression != 0:
		return nil, fmt.Errorf("compression %d", sh.compression)
	case sh.version == VersionTLS13 && !bytes.Equal(sessionID, c.Hello.SessionID):
		return nil, errors.New("the session id is not echoed")
	case suiteOf(sh.suite) == nil:
		return nil, fmt.Errorf("suite %#04x is unknown", sh.suite)
	case (sh.suite>>8 == 0x13) != (sh.version == VersionTLS13):
		return nil, fmt.Errorf("suite %#04x in version %#04x", sh.suite, sh.version)
	case !c.offersVersion(sh.version):
		return nil, fmt.Errorf("version %#04x was not offered", sh.version)
	}
	return sh, c.checkExtensions(sh.extensions)
}

// checkExtensions checks that the server answers only what was asked (RFC 8446,
// Section 4.2); renegotiation_info may be asked for by a suite (RFC 5746, Section 3.6).
func (c *Client) checkExtensions(extensions map[uint16][]byte) error {
	for typ := range extensions {
		if _, asked := c.Hello.Extension(typ); asked || typ == ExtCookie {
			continue
		}
		if typ == ExtRenegotiationInfo && slices.Contains(c.Hello.Suites, 0x00FF) {
			continue
		}
		return fmt.Errorf("extension %d was not asked for", typ)
	}
	return nil
}

func (c *Client) offersVersion(v uint16) bool {
	if list, ok := c.Hello.Extension(ExtSupportedVersions); ok {
		for l := list[min(1, len(list)):]; len(l) >= 2; l = l[2:] {
			if binary.BigEndian.Uint16(l) == v {
				return true
			}
		}
		return false
	}
	return v <= min(c.Hello.Version, VersionTLS12)
}

// parseChain reads the certificates of a message and parses the leaf.
func (c *Client) setChain(chain [][]byte) error {
	if len(chain) == 0 {
		return errors.New("an empty certificate chain")
	}
	c.result.Chain = chain
	var err error
	c.leaf, err = x509.ParseCertificate(chain[0])
	return err
}

// setALPN checks and notes the protocol that the server chose (RFC 7301, Section 3.1).
func (c *Client) setALPN(extensions map[uint16][]byte) error {
	data, ok := extensions[ExtALPN]
	if !ok {
		return nil
	}
	r := &parser{b: data}
	list := &parser{b: r.vector16()}
	proto := string(list.vector8())
	if !r.done() || !list.done() {
		return fmt.Errorf("ALPN of % x", data)
	}
	offered, _ := c.Hello.Extension(ExtALPN)
	for l := (&parser{b: offered[2:]}); len(l.b) > 0 && !l.bad; {
		if string(l.vector8()) == proto {
			c.result.ALPN = proto
			return nil
		}
	}
	return fmt.Errorf("ALPN %q was not offered", proto)
}

// groupOffered reports whether supported_groups has g.
func (c *Client) groupOffered(g uint16) bool {
	list, _ := c.Hello.Extension(ExtSupportedGroups)
	for l := list[min(2, len(list)):]; len(l) >= 2; l = l[2:] {
		if binary.BigEndian.Uint16(l) == g {
			return true
		}
	}
	return false
}

// schemeOffered reports whether signature_algorithms has s.
func (c *Client) schemeOffered(s uint16) bool {
	list, _ := c.Hello.Extension(ExtSignatureAlgorithms)
	for l := list[min(2, len(list)):]; len(l) >= 2; l = l[2:] {
		if binary.BigEndian.Uint16(l) == s {
			return true
		}
	}
	return false
}

// Over returns the transport of TLS records over rw. A net.Pipe is no good for rw: a
// server may write while the client does, so there must be a buffer between them (Pipe).
func Over(rw io.ReadWriter) Transport {
	return &recordTransport{recordConn{r: bufio.NewReader(rw), w: rw}}
}

type recordTransport struct{ recordConn }

func (t *recordTransport) Hello(version uint16) error {
	t.version = version
	return nil
}

func (t *recordTransport) Alert() []byte { return t.alert }

func (t *recordTransport) Secrets(_ Level, id uint16, client, server []byte) error {
	if len(t.pending) > 0 {
		return errors.New("a handshake message spans a change of keys") // RFC 8446, Section 5.1
	}
	s := suiteOf(id)
	for _, side := range []struct {
		secret []byte
		p      *protection
		seq    *uint64
	}{{client, &t.out, &t.outSeq}, {server, &t.in, &t.inSeq}} {
		if side.secret == nil {
			continue
		}
		aead, err := s.aead(expandLabel(s.hash, side.secret, "key", nil, s.keyLen))
		if err != nil {
			return err
		}
		*side.p, *side.seq = &aead13{aead, expandLabel(s.hash, side.secret, "iv", nil, 12)}, 0
	}
	return nil
}

// Random fills a hello's random.
func Random() (r [32]byte) {
	rand.Read(r[:])
	return r
}

// parser takes values off a message; bad is set once there are not enough bytes.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) bytes(n int) []byte {
	if n > len(p.b) {
		p.bad, p.b = true, nil
		return make([]byte, n)
	}
	v := p.b[:n:n]
	p.b = p.b[n:]
	return v
}

func (p *parser) byte() byte       { return p.bytes(1)[0] }
func (p *parser) uint16() uint16   { return binary.BigEndian.Uint16(p.bytes(2)) }
func (p *parser) uint32() uint32   { return binary.BigEndian.Uint32(p.bytes(4)) }
func (p *parser) uint24() int      { return int(p.byte())<<16 | int(p.uint16()) }
func (p *parser) vector8() []byte  { return p.bytes(int(p.byte())) }
func (p *parser) vector16() []byte { return p.bytes(int(p.uint16())) }
func (p *parser) done() bool       { return !p.bad && len(p.b) == 0 }

// extensions takes a list of extensions, none of them twice.
func (p *parser) extensions() map[uint16][]byte {
	list := &parser{b: p.vector16()}
	found := map[uint16][]byte{}
	for len(list.b) > 0 && !list.bad {
		typ := list.uint16()
		if _, twice := found[typ]; twice {
			p.bad = true
		}
		found[typ] = list.vector16()
	}
	p.bad = p.bad || list.bad
	return found
}
