package rawtls

import (
	"bytes"
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// expandLabel is HKDF-Expand-Label (RFC 8446, Section 7.1).
func expandLabel(hash crypto.Hash, secret []byte, label string, context []byte, n int) []byte {
	info := Uint16s(uint16(n))
	info = append(info, Vector8([]byte("tls13 "+label))...)
	info = append(info, Vector8(context)...)
	out, err := hkdf.Expand(newHash(hash), secret, string(info), n)
	if err != nil {
		panic(err) // the lengths are ours
	}
	return out
}

func extract(hash crypto.Hash, secret, salt []byte) []byte {
	out, err := hkdf.Extract(newHash(hash), secret, salt)
	if err != nil {
		panic(err)
	}
	return out
}

// transcript is the hash of the messages so far.
func (c *Client) transcript(hash crypto.Hash) []byte {
	h := newHash(hash)()
	for _, msg := range c.log {
		h.Write(msg)
	}
	return h.Sum(nil)
}

// schedule13 is the state of the key schedule (RFC 8446, Section 7.1).
type schedule13 struct {
	hash   crypto.Hash
	secret []byte
}

// derive is Derive-Secret over a transcript hash.
func (s *schedule13) derive(label string, transcript []byte) []byte {
	return expandLabel(s.hash, s.secret, label, transcript, s.hash.Size())
}

// next mixes in the next input.
func (s *schedule13) next(input []byte) {
	empty := newHash(s.hash)().Sum(nil)
	s.secret = extract(s.hash, input, s.derive("derived", empty))
}

// run13 continues after a ServerHello that chose TLS 1.3.
func (c *Client) run13(sh *serverHello) error {
	if bytes.Equal(sh.random, retryRandom) {
		var err error
		if sh, err = c.retry13(sh); err != nil {
			return err
		}
	}
	hash := suiteOf(sh.suite).hash
	shared, err := c.sharedSecret13(sh)
	if err != nil {
		return err
	}
	zeros := make([]byte, hash.Size())
	s := &schedule13{hash, extract(hash, zeros, zeros)}
	s.next(shared)
	hello := c.transcript(hash)
	clientHS, serverHS := s.derive("c hs traffic", hello), s.derive("s hs traffic", hello)
	if err := c.t.Secrets(LevelHandshake, sh.suite, clientHS, serverHS); err != nil {
		return err
	}
	if err := c.readServerFlight13(hash, serverHS); err != nil {
		return err
	}
	s.next(zeros)
	finished := c.transcript(hash)
	clientApp, serverApp := s.derive("c ap traffic", finished), s.derive("s ap traffic", finished)
	mac := finishedMAC13(hash, clientHS, finished)
	if err := c.send(append([]byte{20, 0, 0, byte(len(mac))}, mac...)); err != nil {
		return err
	}
	if err := c.t.Secrets(LevelApplication, sh.suite, clientApp, serverApp); err != nil {
		return err
	}
	return c.readTickets13()
}

func finishedMAC13(hash crypto.Hash, secret, transcript []byte) []byte {
	h := hmac.New(newHash(hash), expandLabel(hash, secret, "finished", nil, hash.Size()))
	h.Write(transcript)
	return h.Sum(nil)
}

// retry13 answers a HelloRetryRequest and returns the ServerHello after it.
func (c *Client) retry13(hrr *serverHello) (*serverHello, error) {
	c.result.HRR = true
	selected := hrr.extensions[ExtKeyShare]
	if len(selected) != 2 {
		return nil, fmt.Errorf("HelloRetryRequest with key_share % x", selected)
	}
	group := binary.BigEndian.Uint16(selected)
	if !c.groupOffered(group) {
		return nil, fmt.Errorf("HelloRetryRequest for group %#04x, which was not offered", group)
	}
	shares, _ := c.Hello.Extension(ExtKeyShare)
	for l := (&parser{b: shares[2:]}); len(l.b) > 0 && !l.bad; l.vector16() {
		if l.uint16() == group {
			return nil, fmt.Errorf("HelloRetryRequest for group %#04x, whose share was sent", group)
		}
	}
	var cookie []byte
	if data, ok := hrr.extensions[ExtCookie]; ok {
		cookie = (&parser{b: data}).vector16()
	}
	key, err := c.Keys(group)
	if err != nil {
		return nil, err
	}
	// RFC 8446, Section 4.4.1: the first hello is replaced by its hash.
	hash := suiteOf(hrr.suite).hash
	h := newHash(hash)()
	h.Write(c.log[0])
	sum := h.Sum(nil)
	c.log[0] = append([]byte{254, 0, 0, byte(len(sum))}, sum...)

	c.Hello = c.Hello.retry(key.Share(), cookie)
	if err := c.send(c.Hello.Marshal()); err != nil {
		return nil, err
	}
	sh, err := c.readServerHello()
	if err != nil {
		return nil, err
	}
	if sh.suite != hrr.suite || sh.version != hrr.version || bytes.Equal(sh.random, retryRandom) {
		return nil, errors.New("the ServerHello does not fit its HelloRetryRequest")
	}
	if share := sh.extensions[ExtKeyShare]; len(share) < 2 || binary.BigEndian.Uint16(share) != group {
		return nil, errors.New("the ServerHello has another group than its HelloRetryRequest")
	}
	return sh, nil
}

// sharedSecret13 computes the shared secret from the server's key share.
func (c *Client) sharedSecret13(sh *serverHello) ([]byte, error) {
	r := &parser{b: sh.extensions[ExtKeyShare]}
	group, share := r.uint16(), r.vector16()
	if !r.done() {
		return nil, errors.New("malformed key_share in the ServerHello")
	}
	if !c.groupOffered(group) {
		return nil, fmt.Errorf("group %#04x was not offered", group)
	}
	sent, _ := c.Hello.Extension(ExtKeyShare)
	found := false
	for l := (&parser{b: sent[2:]}); len(l.b) > 0 && !l.bad; l.vector16() {
		found = found || l.uint16() == group
	}
	if !found {
		return nil, fmt.Errorf("no share of group %#04x was sent", group)
	}
	c.result.Group = group
	key, err := c.Keys(group)
	if err != nil {
		return nil, err
	}
	return key.secret(share)
}

// readServerFlight13 reads EncryptedExtensions, Certificate, CertificateVerify and
// Finished, and checks them.
func (c *Client) readServerFlight13(hash crypto.Hash, secret []byte) error {
	ee, err := c.read(8)
	if err != nil {
		return err
	}
	r := &parser{b: ee}
	extensions := r.extensions()
	if !r.done() {
		return errors.New("malformed EncryptedExtensions")
	}
	if err := errors.Join(c.checkExtensions(extensions), c.setALPN(extensions)); err != nil {
		return err
	}
	_, c.result.SNIAck = extensions[ExtServerName]

	body, err := c.read(11)
	if err != nil {
		return err
	}
	r = &parser{b: body}
	context := r.vector8()
	list := &parser{b: r.bytes(r.uint24())}
	var chain [][]byte
	for len(list.b) > 0 && !list.bad {
		chain = append(chain, list.bytes(list.uint24()))
		list.extensions()
	}
	if !r.done() || list.bad || len(context) > 0 {
		return errors.New("malformed Certificate")
	}
	if err := c.setChain(chain); err != nil {
		return err
	}

	signed := c.transcript(hash)
	if body, err = c.read(15); err != nil {
		return err
	}
	r = &parser{b: body}
	scheme, signature := r.uint16(), r.vector16()
	if !r.done() || !c.schemeOffered(scheme) {
		return fmt.Errorf("CertificateVerify with scheme %#04x", scheme)
	}
	c.result.Scheme = scheme
	// RFC 8446, Section 4.4.3
	message := slices.Concat(bytes.Repeat([]byte{0x20}, 64), []byte("TLS 1.3, server CertificateVerify\x00"), signed)
	if err := verify(c.leaf, VersionTLS13, scheme, message, signature); err != nil {
		return fmt.Errorf("CertificateVerify: %w", err)
	}

	want := finishedMAC13(hash, secret, c.transcript(hash))
	got, err := c.read(20)
	if err != nil {
		return err
	}
	if !hmac.Equal(got, want) {
		return errors.New("the server's Finished is wrong")
	}
	return nil
}

// readTickets13 reads NewSessionTicket messages up to the end of the connection.
func (c *Client) readTickets13() error {
	if c.After != nil {
		if err := c.After(); err != nil {
			return err
		}
	}
	for {
		msg, err := c.t.ReadMessage()
		if closed(c.t, err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after the handshake: %w", err)
		}
		r := &parser{b: msg[4:]}
		lifetime := r.uint32()
		r.uint32() // ticket_age_add
		r.vector8()
		ticket := r.vector16()
		extensions := r.extensions()
		if msg[0] != 4 || !r.done() {
			return fmt.Errorf("message %d after the handshake", msg[0])
		}
		c.result.Tickets++
		c.result.Lifetime, c.result.Ticket = lifetime, ticket
		if early, ok := extensions[ExtEarlyData]; ok && len(early) == 4 {
			c.result.MaxEarlyData = binary.BigEndian.Uint32(early)
		}
	}
}

// closed reports whether err is an orderly end: close_notify.
func closed(t Transport, err error) bool {
	alert := t.Alert()
	return errors.Is(err, ErrAlert) && len(alert) == 7 && alert[6] == 0 || errors.Is(err, ErrEnd)
}

// ErrEnd is what a Transport without alerts returns when the server is done.
var ErrEnd = fmt.Errorf("rawtls: end of messages: %w", io.EOF)
