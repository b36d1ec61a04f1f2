package rawtls

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"
)

// Key exchange groups.
const (
	P256               = 0x0017
	P384               = 0x0018
	P521               = 0x0019
	X25519             = 0x001D
	SecP256r1MLKEM768  = 0x11EB
	X25519MLKEM768     = 0x11EC
	SecP384r1MLKEM1024 = 0x11ED
)

// KeyPair is the client's half of one group's key exchange.
type KeyPair struct {
	group  uint16
	ecdh   *ecdh.PrivateKey
	kem768 *mlkem.DecapsulationKey768
	kem1k  *mlkem.DecapsulationKey1024
}

// NewKeyPair makes a key pair for a group that the client knows.
func NewKeyPair(group uint16) (*KeyPair, error) {
	k := &KeyPair{group: group}
	curve := curveOf(group)
	if curve == nil {
		return nil, fmt.Errorf("rawtls: no key exchange for group %#04x", group)
	}
	var err error
	if k.ecdh, err = curve.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	switch group {
	case X25519MLKEM768, SecP256r1MLKEM768:
		k.kem768, err = mlkem.GenerateKey768()
	case SecP384r1MLKEM1024:
		k.kem1k, err = mlkem.GenerateKey1024()
	}
	return k, err
}

func curveOf(group uint16) ecdh.Curve {
	switch group {
	case P256, SecP256r1MLKEM768:
		return ecdh.P256()
	case P384, SecP384r1MLKEM1024:
		return ecdh.P384()
	case P521:
		return ecdh.P521()
	case X25519, X25519MLKEM768:
		return ecdh.X25519()
	}
	return nil
}

// Share returns the client's key share. X25519MLKEM768 has its ML-KEM part first, the
// two others have it second (draft-ietf-tls-ecdhe-mlkem, Section 4.1).
func (k *KeyPair) Share() Share {
	classical := k.ecdh.PublicKey().Bytes()
	switch {
	case k.group == X25519MLKEM768:
		return Share{k.group, append(k.kem768.EncapsulationKey().Bytes(), classical...)}
	case k.kem768 != nil:
		return Share{k.group, append(classical, k.kem768.EncapsulationKey().Bytes()...)}
	case k.kem1k != nil:
		return Share{k.group, append(classical, k.kem1k.EncapsulationKey().Bytes()...)}
	}
	return Share{k.group, classical}
}

// secret returns the shared secret for the server's share.
func (k *KeyPair) secret(server []byte) ([]byte, error) {
	pointSize := len(k.ecdh.PublicKey().Bytes())
	point, kem := server, []byte(nil)
	switch {
	case k.group == X25519MLKEM768 && len(server) == mlkem.CiphertextSize768+pointSize:
		kem, point = server[:mlkem.CiphertextSize768], server[mlkem.CiphertextSize768:]
	case k.kem768 != nil && len(server) == mlkem.CiphertextSize768+pointSize,
		k.kem1k != nil && len(server) == mlkem.CiphertextSize1024+pointSize:
		point, kem = server[:pointSize], server[pointSize:]
	case k.kem768 != nil || k.kem1k != nil:
		return nil, fmt.Errorf("the server's share of group %#04x has %d bytes", k.group, len(server))
	}
	public, err := k.ecdh.Curve().NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("the server's share of group %#04x: %w", k.group, err)
	}
	classical, err := k.ecdh.ECDH(public)
	if err != nil || kem == nil {
		return classical, err
	}
	var shared []byte
	if k.kem768 != nil {
		shared, err = k.kem768.Decapsulate(kem)
	} else {
		shared, err = k.kem1k.Decapsulate(kem)
	}
	if k.group == X25519MLKEM768 {
		return append(shared, classical...), err
	}
	return append(classical, shared...), err
}
