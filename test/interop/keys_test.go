package interop

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
)

// leafKey is the DER public key of the first certificate in a PEM chain.
func leafKey(t *testing.T, chain []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(chain)
	if block == nil {
		t.Fatal("no PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert.RawSubjectPublicKeyInfo
}
