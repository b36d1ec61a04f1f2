package rawtls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"
)

// TestChaCha20Poly1305 is the example of RFC 8439, Section 2.8.2.
func TestChaCha20Poly1305(t *testing.T) {
	key, nonce, additional := unhex(t, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
		unhex(t, "070000004041424344454647"), unhex(t, "50515253c0c1c2c3c4c5c6c7")
	plain := []byte("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")
	aead, err := newChaCha20Poly1305(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := aead.Seal(nil, nonce, plain, additional)
	want := unhex(t, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"+
		"1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116"+
		"1ae10b594f09e26a7e902ecbd0600691")
	if !bytes.Equal(sealed, want) {
		t.Errorf("Seal = %x\nwant   %x", sealed, want)
	}
	if opened, err := aead.Open(nil, nonce, sealed, additional); err != nil || !bytes.Equal(opened, plain) {
		t.Errorf("Open: %v", err)
	}
	sealed[3] ^= 1
	if _, err := aead.Open(nil, nonce, sealed, additional); err == nil {
		t.Error("Open took a damaged message")
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func certificate(t *testing.T, key crypto.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestAgainstEngine completes a handshake for each version, suite and group with
// crypto/tls, and exchanges protected records both ways.
func TestAgainstEngine(t *testing.T) {
	rk, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ek, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaCert, ecCert := certificate(t, rk), certificate(t, ek)
	check := func(version, suite, group uint16, retry bool, ext ...Extension) {
		t.Run(fmt.Sprintf("%04x-%04x-%04x", version, suite, group), func(t *testing.T) {
			t.Parallel()
			cert := rsaCert
			if s := suiteOf(suite); s.ecdsa {
				cert = ecCert
			}
			config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: tls.VersionTLS13, CipherSuites: []uint16{suite}, NextProtos: []string{"h2"}}
			h := &Hello{Version: min(version, VersionTLS12), Random: Random(), SessionID: make([]byte, 32), Suites: []uint16{0x0A0A, suite}, Compression: []byte{0}}
			h.Extensions = append(ext, ServerName("a.example"), Groups(0x1A1A, group), Schemes(0x0403, 0x0804, 0x0401), ALPN("h2"), PointFormats(0))
			key, err := NewKeyPair(group)
			if err != nil {
				t.Fatal(err)
			}
			if version == VersionTLS13 {
				h.Extensions = append(h.Extensions, SupportedVersions(version), PSKModes(1))
				if retry {
					h.Extensions = append(h.Extensions, KeyShares(Share{0x1A1A, []byte{0}}))
				} else {
					h.Extensions = append(h.Extensions, KeyShares(key.Share()))
				}
			}
			client, done := serve(config)
			c := &Client{Hello: h, Keys: func(uint16) (*KeyPair, error) { return key, nil }}
			r, err := c.Handshake(Over(client))
			client.Close()
			if err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("server: %v", err)
			}
			wantGroup := group
			if suiteOf(suite).rsaKX {
				wantGroup = 0
			}
			if r.Alert != nil || r.Version != version || r.Suite != suite || r.Group != wantGroup || r.HRR != retry || r.ALPN != "h2" {
				t.Errorf("got %+v", r)
			}
			if want := marker(version); r.Sentinel != want {
				t.Errorf("downgrade marker %#04x, want %#04x", r.Sentinel, want)
			}
			if (version == VersionTLS13) != (r.Tickets == 1) && len(ext) == 0 {
				t.Errorf("%d tickets", r.Tickets)
			}
		})
	}
	for _, suite := range []uint16{0x1301, 0x1302, 0x1303} {
		check(VersionTLS13, suite, X25519, false)
	}
	for _, group := range []uint16{P256, P384, P521, X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024} {
		check(VersionTLS13, 0x1302, group, false)
	}
	check(VersionTLS13, 0x1302, SecP384r1MLKEM1024, true)
	check(VersionTLS13, 0x1301, X25519, true)
	for _, suite := range []uint16{0xC02B, 0xC02F, 0xC02C, 0xC030, 0x009C, 0x009D, 0xCCA9, 0xCCA8, 0xC023, 0xC027, 0x003C} {
		check(VersionTLS12, suite, X25519, false)
	}
	for version := uint16(VersionTLS10); version <= VersionTLS12; version++ {
		for _, suite := range []uint16{0xC009, 0xC013, 0xC00A, 0xC014, 0x002F, 0x0035, 0x000A} {
			check(version, suite, P384, false)
		}
	}
	check(VersionTLS12, 0xC02F, P521, false, Extension{ExtExtendedMaster, nil}, Extension{ExtSessionTicket, nil})
	check(VersionTLS10, 0x002F, P256, false, Extension{ExtExtendedMaster, nil})
}

// serve runs the engine at the other end of a connection.
func serve(config *tls.Config) (client net.Conn, done chan error) {
	client, server := Pipe()
	deadline := time.Now().Add(30 * time.Second)
	client.SetDeadline(deadline)
	server.SetDeadline(deadline)
	done = make(chan error, 1)
	go func() {
		conn := tls.Server(server, config)
		err := conn.Handshake()
		conn.Close()
		done <- err
	}()
	return client, done
}

// marker is the downgrade marker of a server that could do TLS 1.3.
func marker(version uint16) uint16 {
	switch {
	case version == VersionTLS13:
		return 0
	case version == VersionTLS12:
		return VersionTLS12
	}
	return VersionTLS11
}

// TestRefusal: the alert comes back as its bytes.
func TestRefusal(t *testing.T) {
	client, server := Pipe()
	go func() {
		buf := make([]byte, 1024)
		server.Read(buf)
		server.Write([]byte{21, 0, 0, 0, 2, 1, 0})
		server.Close()
	}()
	h := &Hello{Version: VersionTLS12, Suites: []uint16{0x1301}, Compression: []byte{0}}
	r, err := (&Client{Hello: h}).Handshake(Over(client))
	if err != nil || !bytes.Equal(r.Alert, []byte{21, 0, 0, 0, 2, 1, 0}) {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestChecks: a server that breaks the rules is an error, not a result.
func TestChecks(t *testing.T) {
	key, err := NewKeyPair(X25519)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(reply []byte) error {
		client, server := Pipe()
		go func() {
			buf := make([]byte, 1024)
			server.Read(buf)
			server.Write(append([]byte{22, 3, 3, 0, byte(len(reply))}, reply...))
			server.Close()
		}()
		h := &Hello{Version: VersionTLS12, Suites: []uint16{0x1301, 0xC02F}, Compression: []byte{0}, Extensions: []Extension{SupportedVersions(VersionTLS13, VersionTLS12), Groups(X25519), KeyShares(key.Share())}}
		_, err := (&Client{Hello: h, Keys: func(uint16) (*KeyPair, error) { return key, nil }}).Handshake(Over(client))
		client.Close()
		return err
	}
	hello := func(version uint16, suite uint16, ext ...Extension) []byte {
		h := &Hello{Version: version, Suites: []uint16{suite}, Extensions: ext}
		msg := h.Marshal()
		// A ServerHello has one suite and one compression method without their lengths.
		head := append([]byte{2, 0, 0, 0}, msg[4:4+2+32+1]...)
		head = append(head, msg[4+2+32+1+2:4+2+32+1+4]...)
		head = append(append(head, 0), msg[4+2+32+1+4+1:]...)
		head[3] = byte(len(head) - 4)
		return head
	}
	v13 := Extension{ExtSupportedVersions, Uint16s(VersionTLS13)}
	bad := func(name string, reply []byte) {
		t.Helper()
		if err := serve(reply); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	bad("suite not offered", hello(VersionTLS12, 0x1302, v13))
	bad("version not offered", hello(VersionTLS11, 0xC02F))
	bad("suite of another version", hello(VersionTLS12, 0xC02F, v13))
	bad("extension not asked for", hello(VersionTLS12, 0xC02F, Extension{ExtALPN, nil}))
	bad("group not offered", hello(VersionTLS12, 0x1301, v13, Extension{ExtKeyShare, append(Uint16s(P256), 0, 1, 4)}))
	bad("no key share", hello(VersionTLS12, 0x1301, v13))
	bad("malformed", []byte{2, 0, 0, 1, 3})
	bad("another message", []byte{14, 0, 0, 0})
}
