package rawtls

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math/big"
	"math/bits"
)

// chacha20poly1305 is the AEAD of RFC 8439, which the standard library does not
// offer by itself. It is slow and not constant-time: good for handshakes in tests.
type chacha20poly1305 struct{ key [32]byte }

var _ cipher.AEAD = (*chacha20poly1305)(nil)

func newChaCha20Poly1305(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, errors.New("chacha20poly1305: the key must have 32 bytes")
	}
	c := &chacha20poly1305{}
	copy(c.key[:], key)
	return c, nil
}

func (c *chacha20poly1305) NonceSize() int { return 12 }
func (c *chacha20poly1305) Overhead() int  { return 16 }

// Seal encrypts and authenticates (RFC 8439, Section 2.8).
func (c *chacha20poly1305) Seal(dst, nonce, plaintext, additional []byte) []byte {
	ciphertext := c.xor(nonce, plaintext)
	tag := c.tag(nonce, ciphertext, additional)
	return append(append(dst, ciphertext...), tag[:]...)
}

// Open checks and decrypts.
func (c *chacha20poly1305) Open(dst, nonce, sealed, additional []byte) ([]byte, error) {
	if len(sealed) < 16 {
		return nil, errors.New("chacha20poly1305: too short")
	}
	ciphertext, got := sealed[:len(sealed)-16], sealed[len(sealed)-16:]
	want := c.tag(nonce, ciphertext, additional)
	if subtle.ConstantTimeCompare(got, want[:]) != 1 {
		return nil, errors.New("chacha20poly1305: wrong tag")
	}
	return append(dst, c.xor(nonce, ciphertext)...), nil
}

// xor applies the key stream from block 1 on.
func (c *chacha20poly1305) xor(nonce, data []byte) []byte {
	out := make([]byte, len(data))
	for i := 0; i < len(data); i += 64 {
		block := c.block(uint32(i/64+1), nonce)
		subtle.XORBytes(out[i:], data[i:], block[:])
	}
	return out
}

// block is the ChaCha20 block function (RFC 8439, Section 2.3).
func (c *chacha20poly1305) block(counter uint32, nonce []byte) [64]byte {
	var s [16]uint32
	s[0], s[1], s[2], s[3] = 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574
	for i := range 8 {
		s[4+i] = binary.LittleEndian.Uint32(c.key[4*i:])
	}
	s[12] = counter
	for i := range 3 {
		s[13+i] = binary.LittleEndian.Uint32(nonce[4*i:])
	}
	x := s
	quarter := func(a, b, c, d int) {
		x[a] += x[b]
		x[d] = bits.RotateLeft32(x[d]^x[a], 16)
		x[c] += x[d]
		x[b] = bits.RotateLeft32(x[b]^x[c], 12)
		x[a] += x[b]
		x[d] = bits.RotateLeft32(x[d]^x[a], 8)
		x[c] += x[d]
		x[b] = bits.RotateLeft32(x[b]^x[c], 7)
	}
	for range 10 {
		quarter(0, 4, 8, 12)
		quarter(1, 5, 9, 13)
		quarter(2, 6, 10, 14)
		quarter(3, 7, 11, 15)
		quarter(0, 5, 10, 15)
		quarter(1, 6, 11, 12)
		quarter(2, 7, 8, 13)
		quarter(3, 4, 9, 14)
	}
	var out [64]byte
	for i := range x {
		binary.LittleEndian.PutUint32(out[4*i:], x[i]+s[i])
	}
	return out
}

// tag is Poly1305 over the padded data, with the key of block 0 (RFC 8439, Section 2.6).
func (c *chacha20poly1305) tag(nonce, ciphertext, additional []byte) [16]byte {
	var msg []byte
	pad := func(b []byte) {
		msg = append(msg, b...)
		msg = append(msg, make([]byte, (16-len(b)%16)%16)...)
	}
	pad(additional)
	pad(ciphertext)
	msg = binary.LittleEndian.AppendUint64(msg, uint64(len(additional)))
	msg = binary.LittleEndian.AppendUint64(msg, uint64(len(ciphertext)))
	key := c.block(0, nonce)
	return poly1305(key[:32], msg)
}

// poly1305 is RFC 8439, Section 2.5.
func poly1305(key, msg []byte) [16]byte {
	little := func(b []byte) *big.Int {
		reversed := make([]byte, len(b))
		for i := range b {
			reversed[len(b)-1-i] = b[i]
		}
		return new(big.Int).SetBytes(reversed)
	}
	r := append([]byte(nil), key[:16]...)
	for _, i := range []int{3, 7, 11, 15} {
		r[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		r[i] &= 252
	}
	rn, acc := little(r), new(big.Int)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))
	for len(msg) > 0 {
		n := min(16, len(msg))
		block := append(append([]byte(nil), msg[:n]...), 1)
		msg = msg[n:]
		acc.Add(acc, little(block)).Mul(acc, rn).Mod(acc, p)
	}
	acc.Add(acc, little(key[16:32]))
	var out [16]byte
	sum := acc.Bytes()
	for i := 0; i < 16 && i < len(sum); i++ {
		out[i] = sum[len(sum)-1-i]
	}
	return out
}
