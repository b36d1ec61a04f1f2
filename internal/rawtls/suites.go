package rawtls

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// suite is how one cipher suite protects records.
type suite struct {
	hash   crypto.Hash // of the key schedule (TLS 1.3) or PRF (TLS 1.2)
	rsaKX  bool
	ecdsa  bool
	aead   func(key []byte) (cipher.AEAD, error)
	block  func(key []byte) (cipher.Block, error)
	mac    crypto.Hash
	keyLen int
	ivLen  int // fixed part of an AEAD's nonce; a block in CBC mode
}

// suiteOf returns the suite, nil when the client does not know it.
func suiteOf(id uint16) *suite {
	gcm := func(hash crypto.Hash, keyLen, ivLen int, rsaKX, ecdsa bool) *suite {
		return &suite{hash: hash, keyLen: keyLen, ivLen: ivLen, rsaKX: rsaKX, ecdsa: ecdsa, aead: newGCM}
	}
	chacha := func(ecdsa bool) *suite {
		return &suite{hash: crypto.SHA256, keyLen: 32, ivLen: 12, ecdsa: ecdsa, aead: newChaCha20Poly1305}
	}
	cbc := func(mac crypto.Hash, keyLen int, rsaKX, ecdsa bool) *suite {
		return &suite{hash: crypto.SHA256, mac: mac, keyLen: keyLen, ivLen: 16, rsaKX: rsaKX, ecdsa: ecdsa, block: aes.NewCipher}
	}
	switch id {
	case 0x1301:
		return gcm(crypto.SHA256, 16, 12, false, false)
	case 0x1302:
		return gcm(crypto.SHA384, 32, 12, false, false)
	case 0x1303:
		return chacha(false)
	case 0xC02B:
		return gcm(crypto.SHA256, 16, 4, false, true)
	case 0xC02F:
		return gcm(crypto.SHA256, 16, 4, false, false)
	case 0xC02C:
		return gcm(crypto.SHA384, 32, 4, false, true)
	case 0xC030:
		return gcm(crypto.SHA384, 32, 4, false, false)
	case 0x009C:
		return gcm(crypto.SHA256, 16, 4, true, false)
	case 0x009D:
		return gcm(crypto.SHA384, 32, 4, true, false)
	case 0xCCA9:
		return chacha(true)
	case 0xCCA8:
		return chacha(false)
	case 0xC023:
		return cbc(crypto.SHA256, 16, false, true)
	case 0xC027:
		return cbc(crypto.SHA256, 16, false, false)
	case 0x003C:
		return cbc(crypto.SHA256, 16, true, false)
	case 0xC009:
		return cbc(crypto.SHA1, 16, false, true)
	case 0xC013:
		return cbc(crypto.SHA1, 16, false, false)
	case 0xC00A:
		return cbc(crypto.SHA1, 32, false, true)
	case 0xC014:
		return cbc(crypto.SHA1, 32, false, false)
	case 0x002F:
		return cbc(crypto.SHA1, 16, true, false)
	case 0x0035:
		return cbc(crypto.SHA1, 32, true, false)
	case 0x000A:
		return &suite{hash: crypto.SHA256, mac: crypto.SHA1, keyLen: 24, ivLen: 8, rsaKX: true, block: des.NewTripleDESCipher}
	}
	return nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// newHash returns the constructor of a hash; crypto.Hash.New would need imports for
// their effect.
func newHash(h crypto.Hash) func() hash.Hash {
	switch h {
	case crypto.SHA1:
		return sha1.New
	case crypto.SHA256:
		return sha256.New
	case crypto.SHA384:
		return sha512.New384
	}
	return sha512.New
}
