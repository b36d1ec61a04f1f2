package rawtls

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"slices"
)

// pHash is P_hash (RFC 5246, Section 5).
func pHash(newHash func() hash.Hash, secret, seed []byte, n int) []byte {
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(newHash, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// prf is the PRF of the version: RFC 5246, Section 5, or RFC 2246, Section 5.
func prf(version uint16, h crypto.Hash, secret []byte, label string, seed []byte, n int) []byte {
	seed = append([]byte(label), seed...)
	if version == VersionTLS12 {
		return pHash(newHash(h), secret, seed, n)
	}
	half := (len(secret) + 1) / 2
	out := pHash(md5.New, secret[:half], seed, n)
	subtle.XORBytes(out, out, pHash(sha1.New, secret[len(secret)-half:], seed, n))
	return out
}

// sessionHash is the hash of the messages so far, as Finished and the extended master
// secret use it.
func (c *Client) sessionHash(s *suite) []byte {
	if c.result.Version == VersionTLS12 {
		return c.transcript(s.hash)
	}
	all := bytes.Join(c.log, nil)
	m, d := md5.Sum(all), sha1.Sum(all)
	return append(m[:], d[:]...)
}

// run12 continues after a ServerHello that chose TLS 1.2 or older.
func (c *Client) run12(sh *serverHello) error {
	t, ok := c.t.(*recordTransport)
	if !ok {
		return fmt.Errorf("version %#04x on a transport without records", sh.version)
	}
	s := suiteOf(sh.suite)
	if s.aead != nil && sh.version < VersionTLS12 {
		return fmt.Errorf("suite %#04x in version %#04x", sh.suite, sh.version)
	}
	if err := c.setALPN(sh.extensions); err != nil {
		return err
	}
	_, c.result.EMS = sh.extensions[ExtExtendedMaster]
	_, c.result.SNIAck = sh.extensions[ExtServerName]
	premaster, exchange, err := c.readServerFlight12(s, sh)
	if err != nil {
		return err
	}
	if err := c.send(append([]byte{16, 0, byte(len(exchange) >> 8), byte(len(exchange))}, exchange...)); err != nil {
		return err
	}
	randoms := slices.Concat(c.Hello.Random[:], sh.random)
	master := prf(sh.version, s.hash, premaster, "master secret", randoms, 48)
	if c.result.EMS { // RFC 7627, Section 4
		master = prf(sh.version, s.hash, premaster, "extended master secret", c.sessionHash(s), 48)
	}
	client, server, err := keys12(s, sh.version, master, slices.Concat(sh.random, c.Hello.Random[:]))
	if err != nil {
		return err
	}
	if err := t.writeRecord(recordCCS, []byte{1}); err != nil {
		return err
	}
	t.out, t.outSeq = client, 0
	verifyData := prf(sh.version, s.hash, master, "client finished", c.sessionHash(s), 12)
	if err := c.send(append([]byte{20, 0, 0, 12}, verifyData...)); err != nil {
		return err
	}
	return c.finish12(t, s, sh, master, server)
}

// finish12 reads the server's ticket, if announced, and its Finished, then waits
// for the end of the connection.
func (c *Client) finish12(t *recordTransport, s *suite, sh *serverHello, master []byte, server protection) error {
	if _, announced := sh.extensions[ExtSessionTicket]; announced {
		body, err := c.read(4) // RFC 5077, Section 3.3
		if err != nil {
			return err
		}
		r := &parser{b: body}
		c.result.Lifetime, c.result.Ticket = r.uint32(), r.vector16()
		if c.result.Tickets++; !r.done() {
			return errors.New("malformed NewSessionTicket")
		}
	}
	if err := t.readCCS(server); err != nil {
		return err
	}
	want := prf(sh.version, s.hash, master, "server finished", c.sessionHash(s), 12)
	got, err := c.read(20)
	if err != nil {
		return err
	}
	if !hmac.Equal(got, want) {
		return errors.New("the server's Finished is wrong")
	}
	if c.After != nil {
		if err := c.After(); err != nil {
			return err
		}
	}
	if _, err := t.ReadMessage(); !closed(t, err) {
		return fmt.Errorf("after the handshake: %w", err)
	}
	return nil
}

// readServerFlight12 reads the server's messages up to ServerHelloDone. It returns
// the premaster secret and the body of the client's key exchange.
func (c *Client) readServerFlight12(s *suite, sh *serverHello) (premaster, exchange []byte, err error) {
	body, err := c.read(11)
	if err != nil {
		return nil, nil, err
	}
	r := &parser{b: body}
	list := &parser{b: r.bytes(r.uint24())}
	var chain [][]byte
	for len(list.b) > 0 && !list.bad {
		chain = append(chain, list.bytes(list.uint24()))
	}
	if !r.done() || list.bad {
		return nil, nil, errors.New("malformed Certificate")
	}
	if err := c.setChain(chain); err != nil {
		return nil, nil, err
	}
	_, isRSA := c.leaf.PublicKey.(*rsa.PublicKey)
	if isRSA == s.ecdsa {
		return nil, nil, fmt.Errorf("suite %#04x with a %T", sh.suite, c.leaf.PublicKey)
	}
	if _, stapled := sh.extensions[ExtStatusRequest]; stapled {
		if _, err := c.read(22); err != nil {
			return nil, nil, err
		}
	}
	if s.rsaKX {
		premaster, exchange, err = c.transportKey()
	} else {
		premaster, exchange, err = c.exchangeKeys(sh)
	}
	if err != nil {
		return nil, nil, err
	}
	if done, err := c.read(14); err != nil || len(done) != 0 {
		return nil, nil, fmt.Errorf("ServerHelloDone of % x: %w", done, err)
	}
	return premaster, exchange, nil
}

// transportKey encrypts a premaster secret to the server's key (RFC 5246, Section 7.4.7.1).
func (c *Client) transportKey() (premaster, exchange []byte, err error) {
	premaster = make([]byte, 48)
	rand.Read(premaster)
	copy(premaster, Uint16s(c.Hello.Version))
	encrypted, err := rsa.EncryptPKCS1v15(rand.Reader, c.leaf.PublicKey.(*rsa.PublicKey), premaster)
	return premaster, Vector16(encrypted), err
}

// exchangeKeys reads the ServerKeyExchange, checks its signature, and answers it
// (RFC 8422, Section 5.4).
func (c *Client) exchangeKeys(sh *serverHello) (premaster, exchange []byte, err error) {
	body, err := c.read(12)
	if err != nil {
		return nil, nil, err
	}
	r := &parser{b: body}
	kind, group, point := r.byte(), r.uint16(), r.vector8()
	params := body[:len(body)-len(r.b)]
	if kind != 3 || !c.groupOffered(group) || r.bad {
		return nil, nil, fmt.Errorf("ServerKeyExchange of kind %d with group %#04x", kind, group)
	}
	c.result.Group = group
	signed := slices.Concat(c.Hello.Random[:], sh.random, params)
	if sh.version < VersionTLS12 {
		if signature := r.vector16(); !r.done() {
			err = errors.New("malformed ServerKeyExchange")
		} else {
			err = verifyOld(c.leaf, signed, signature)
		}
	} else {
		scheme, signature := r.uint16(), r.vector16()
		c.result.Scheme = scheme
		if !r.done() || !c.schemeOffered(scheme) {
			err = fmt.Errorf("ServerKeyExchange with scheme %#04x", scheme)
		} else {
			err = verify(c.leaf, sh.version, scheme, signed, signature)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ServerKeyExchange: %w", err)
	}
	key, err := c.Keys(group)
	if err != nil {
		return nil, nil, err
	}
	premaster, err = key.secret(point)
	return premaster, Vector8(key.Share().Data), err
}

// keys12 expands the master secret into both directions' protection (RFC 5246,
// Section 6.3).
func keys12(s *suite, version uint16, master, randoms []byte) (client, server protection, err error) {
	macLen, ivLen := 0, s.ivLen
	if s.aead == nil {
		macLen = s.mac.Size()
	}
	block := &parser{b: prf(version, s.hash, master, "key expansion", randoms, 2*(macLen+s.keyLen+ivLen))}
	clientMAC, serverMAC := block.bytes(macLen), block.bytes(macLen)
	clientKey, serverKey := block.bytes(s.keyLen), block.bytes(s.keyLen)
	clientIV, serverIV := block.bytes(ivLen), block.bytes(ivLen)
	if client, err = protection12(s, clientMAC, clientKey, clientIV); err != nil {
		return nil, nil, err
	}
	server, err = protection12(s, serverMAC, serverKey, serverIV)
	return client, server, err
}

func protection12(s *suite, mac, key, iv []byte) (protection, error) {
	if s.aead == nil {
		block, err := s.block(key)
		return &cbc{block: block, iv: iv, mac: s.mac, macKey: mac}, err
	}
	aead, err := s.aead(key)
	if len(iv) == 12 {
		return &chacha12{aead13{aead, iv}}, err
	}
	return &gcm12{aead, iv}, err
}
