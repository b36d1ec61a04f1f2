package rawtls

import (
	"bytes"
	"crypto"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Record types.
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
)

// protection is one direction's record protection.
type protection interface {
	// seal returns the protected record body for a header with seq, type and version.
	seal(seq uint64, typ byte, version uint16, plain []byte) []byte
	open(seq uint64, typ byte, version uint16, body []byte) ([]byte, error)
}

// recordConn reads and writes records and handshake messages.
type recordConn struct {
	r       io.Reader
	w       io.Writer
	version uint16 // 0 until known
	in, out protection
	inSeq   uint64
	outSeq  uint64
	pending []byte // handshake bytes that are not consumed yet
	alert   []byte // the record of the alert that came, as on the wire
}

// ErrAlert is what a Transport returns when an alert arrives; its Alert method has it.
var ErrAlert = errors.New("the server sent an alert")

// readRecord returns the next record's type and plaintext; alerts are errors.
func (c *recordConn) readRecord() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	typ, n := head[0], int(binary.BigEndian.Uint16(head[3:]))
	if n > 1<<14+2048 {
		return 0, nil, fmt.Errorf("a record of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return 0, nil, fmt.Errorf("a record ends early: %w", err)
	}
	wire := append(head[:], body...)
	if typ == recordCCS && c.version == VersionTLS13 {
		if !bytes.Equal(body, []byte{1}) {
			return 0, nil, fmt.Errorf("change_cipher_spec of % x", body)
		}
		return typ, nil, nil
	}
	recordVersion := min(c.version, VersionTLS12)
	if c.version != 0 && binary.BigEndian.Uint16(head[1:]) != recordVersion {
		return 0, nil, fmt.Errorf("record version % x, want %#04x", head[1:3], recordVersion)
	}
	if c.in != nil {
		plain, err := c.in.open(c.inSeq, typ, recordVersion, body)
		if err != nil {
			return 0, nil, fmt.Errorf("opening record %d of type %d: %w", c.inSeq, typ, err)
		}
		c.inSeq++
		if body = plain; c.version == VersionTLS13 { // RFC 8446, Section 5.4
			body = bytes.TrimRight(plain, "\x00")
			if typ != recordData || len(body) == 0 {
				return 0, nil, fmt.Errorf("protected record of type %d", typ)
			}
			typ, body = body[len(body)-1], body[:len(body)-1]
		}
	}
	if typ == recordAlert {
		if len(body) != 2 {
			return 0, nil, fmt.Errorf("an alert of %d bytes", len(body))
		}
		c.alert = wire
		if c.in != nil {
			c.alert = append([]byte{recordAlert, 3, 3, 0, 2}, body...)
		}
		return typ, body, ErrAlert
	}
	return typ, body, nil
}

// ReadMessage returns the next handshake message, header included.
func (c *recordConn) ReadMessage() ([]byte, error) {
	for {
		if len(c.pending) >= 4 {
			n := 4 + (int(c.pending[1])<<16 | int(c.pending[2])<<8 | int(c.pending[3]))
			if len(c.pending) >= n {
				msg := c.pending[:n:n]
				c.pending = c.pending[n:]
				return msg, nil
			}
		}
		typ, body, err := c.readRecord()
		switch {
		case err != nil:
			return nil, err
		case typ == recordCCS && c.version == VersionTLS13:
		case typ != recordHandshake:
			return nil, fmt.Errorf("record of type %d instead of a handshake message", typ)
		default:
			c.pending = append(c.pending, body...)
		}
	}
}

// readCCS reads a change_cipher_spec (TLS 1.2 and older) and switches to p.
func (c *recordConn) readCCS(p protection) error {
	typ, body, err := c.readRecord()
	if err != nil {
		return err
	}
	if typ != recordCCS || !bytes.Equal(body, []byte{1}) || len(c.pending) > 0 {
		return fmt.Errorf("record of type %d instead of change_cipher_spec", typ)
	}
	c.in, c.inSeq = p, 0
	return nil
}

func (c *recordConn) writeRecord(typ byte, plain []byte) error {
	version := min(c.version, VersionTLS12)
	if c.version == 0 {
		version = VersionTLS10 // RFC 8446, Section 5.1: an initial hello may say so
	}
	body := plain
	if c.out != nil {
		if c.version == VersionTLS13 {
			plain, typ = append(bytes.Clone(plain), typ), recordData
		}
		body = c.out.seal(c.outSeq, typ, version, plain)
		c.outSeq++
	}
	_, err := c.w.Write(append(append([]byte{typ}, Uint16s(version, uint16(len(body)))...), body...))
	return err
}

// WriteMessage writes one handshake message.
func (c *recordConn) WriteMessage(msg []byte) error {
	for len(msg) > 0 {
		n := min(len(msg), 1<<14)
		if err := c.writeRecord(recordHandshake, msg[:n]); err != nil {
			return err
		}
		msg = msg[n:]
	}
	return nil
}

// aead13 is the protection of TLS 1.3 (RFC 8446, Section 5.2).
type aead13 struct {
	aead cipher.AEAD
	iv   []byte
}

func (p *aead13) nonce(seq uint64) []byte {
	nonce := bytes.Clone(p.iv)
	for i := range 8 {
		nonce[len(nonce)-8+i] ^= byte(seq >> (56 - 8*i))
	}
	return nonce
}

func (p *aead13) seal(seq uint64, typ byte, version uint16, plain []byte) []byte {
	header := append([]byte{typ}, Uint16s(version, uint16(len(plain)+p.aead.Overhead()))...)
	return p.aead.Seal(nil, p.nonce(seq), plain, header)
}

func (p *aead13) open(seq uint64, typ byte, version uint16, body []byte) ([]byte, error) {
	header := append([]byte{typ}, Uint16s(version, uint16(len(body)))...)
	return p.aead.Open(nil, p.nonce(seq), body, header)
}

// additional12 is what TLS 1.2's AEADs, and the MAC of all older records, authenticate
// besides the data (RFC 5246, Section 6.2.3).
func additional12(seq uint64, typ byte, version uint16, n int) []byte {
	return append(append(binary.BigEndian.AppendUint64(nil, seq), typ), Uint16s(version, uint16(n))...)
}

// gcm12 is AES-GCM of TLS 1.2, with eight bytes of explicit nonce (RFC 5288, Section 3).
type gcm12 struct {
	aead cipher.AEAD
	salt []byte
}

func (p *gcm12) seal(seq uint64, typ byte, version uint16, plain []byte) []byte {
	explicit := binary.BigEndian.AppendUint64(nil, seq)
	nonce := append(bytes.Clone(p.salt), explicit...)
	return p.aead.Seal(explicit, nonce, plain, additional12(seq, typ, version, len(plain)))
}

func (p *gcm12) open(seq uint64, typ byte, version uint16, body []byte) ([]byte, error) {
	if len(body) < 8+16 {
		return nil, errors.New("too short")
	}
	nonce := append(bytes.Clone(p.salt), body[:8]...)
	return p.aead.Open(nil, nonce, body[8:], additional12(seq, typ, version, len(body)-8-16))
}

// chacha12 is ChaCha20-Poly1305 of TLS 1.2 (RFC 7905, Section 2).
type chacha12 struct{ aead13 }

func (p *chacha12) seal(seq uint64, typ byte, version uint16, plain []byte) []byte {
	return p.aead.Seal(nil, p.nonce(seq), plain, additional12(seq, typ, version, len(plain)))
}

func (p *chacha12) open(seq uint64, typ byte, version uint16, body []byte) ([]byte, error) {
	return p.aead.Open(nil, p.nonce(seq), body, additional12(seq, typ, version, len(body)-16))
}

// cbc is MAC-then-encrypt (RFC 5246, Section 6.2.3.2); up to TLS 1.0 the IV goes on
// from one record to the next, later each record has its own.
type cbc struct {
	block  cipher.Block
	iv     []byte // TLS 1.0 only
	mac    crypto.Hash
	macKey []byte
}

func (p *cbc) sum(seq uint64, typ byte, version uint16, plain []byte) []byte {
	h := hmac.New(newHash(p.mac), p.macKey)
	h.Write(additional12(seq, typ, version, len(plain)))
	h.Write(plain)
	return h.Sum(nil)
}

func (p *cbc) seal(seq uint64, typ byte, version uint16, plain []byte) []byte {
	data := append(bytes.Clone(plain), p.sum(seq, typ, version, plain)...)
	size := p.block.BlockSize()
	pad := size - len(data)%size
	data = append(data, bytes.Repeat([]byte{byte(pad - 1)}, pad)...)
	iv, explicit := p.iv, []byte(nil)
	if version > VersionTLS10 {
		explicit = make([]byte, size)
		rand.Read(explicit)
		iv = explicit
	}
	cipher.NewCBCEncrypter(p.block, iv).CryptBlocks(data, data)
	if version == VersionTLS10 {
		p.iv = bytes.Clone(data[len(data)-size:])
	}
	return append(explicit, data...)
}

func (p *cbc) open(seq uint64, typ byte, version uint16, body []byte) ([]byte, error) {
	size := p.block.BlockSize()
	iv := p.iv
	if version > VersionTLS10 {
		if len(body) < size {
			return nil, errors.New("too short")
		}
		iv, body = body[:size], body[size:]
	}
	if len(body) == 0 || len(body)%size != 0 {
		return nil, errors.New("no whole number of blocks")
	}
	next := bytes.Clone(body[len(body)-size:])
	data := make([]byte, len(body))
	cipher.NewCBCDecrypter(p.block, iv).CryptBlocks(data, body)
	if version == VersionTLS10 {
		p.iv = next
	}
	pad := int(data[len(data)-1]) + 1
	n := len(data) - pad - p.mac.Size()
	if n < 0 {
		return nil, errors.New("wrong padding")
	}
	plain := data[:n]
	if !hmac.Equal(data[n:n+p.mac.Size()], p.sum(seq, typ, version, plain)) {
		return nil, errors.New("wrong MAC")
	}
	return plain, nil
}
