package viewertls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"time"

	"pqfront/internal/tlspolicy"
)

// A ticket has the layout of those that CloudFront hands out:
//
//	version 1 = 0x01 | key name 16 | HKDF info 32 | nonce 12 | sealed state | tag 16
//
// The sealed state is format 1 | reserved 1 | group 2 | crypto/tls session state,
// 61 bytes for a TLS 1.3 session with a SHA-256 suite, so such a ticket has the 138
// bytes of CloudFront's. Every ticket has its own key, so a nonce never repeats
// under one.
const (
	ticketVersion   = 0x01
	ticketInfoLen   = 32
	ticketNonceLen  = 12
	ticketTagLen    = 16
	ticketHeaderLen = 1 + ticketNameLen + ticketInfoLen + ticketNonceLen
	stateFormat     = 0x01
	stateHeaderLen  = 4
	// maxTicketLen bounds what is deciphered; crypto/tls's session state without
	// client certificates stays far below.
	maxTicketLen = 2048
	// clockSkew is how far another node's clock may be ahead of ours.
	clockSkew = 5 * time.Minute
)

// sessionBinding is what a ticket is bound to: it resumes only where all of it is
// the same. Scope is the digest of the distribution and its policy, so that no
// ticket older than a change of policy resumes into it.
type sessionBinding struct {
	scope     [32]byte
	transport tlspolicy.Transport
	version   tlspolicy.Version
	suite     tlspolicy.Suite
	group     tlspolicy.Group
}

// aad is the data that a ticket is authenticated with besides its own header.
func (b *sessionBinding) aad(header []byte, serverName string) []byte {
	aad := make([]byte, 0, len(header)+len(b.scope)+1+len(serverName))
	aad = append(aad, header...)
	aad = append(aad, b.scope[:]...)
	aad = append(aad, byte(b.transport))
	return append(aad, lower(serverName)...)
}

// seal makes the ticket for a session.
func (b *sessionBinding) seal(keys *TicketKeys, serverName string, ss *tls.SessionState, now time.Time) ([]byte, error) {
	key := keys.current(now)
	if key == nil {
		return nil, fmt.Errorf("sealing a session ticket: all ticket keys are older than %v: run TicketKeys.Run", TicketKeyLife)
	}
	state, err := ss.Bytes()
	if err != nil {
		return nil, fmt.Errorf("sealing a session ticket: %w", err)
	}
	ticket := make([]byte, ticketHeaderLen, ticketHeaderLen+stateHeaderLen+len(state)+ticketTagLen)
	ticket[0] = ticketVersion
	copy(ticket[1:], key.id[:])
	rand.Read(ticket[1+ticketNameLen : ticketHeaderLen]) // info and nonce
	aead, err := ticketAEAD(key, ticket)
	if err != nil {
		return nil, fmt.Errorf("sealing a session ticket: %w", err)
	}
	plain := make([]byte, stateHeaderLen, stateHeaderLen+len(state))
	plain[0] = stateFormat
	binary.BigEndian.PutUint16(plain[2:], uint16(b.group))
	plain = append(plain, state...)
	return aead.Seal(ticket, ticket[ticketHeaderLen-ticketNonceLen:], plain, b.aad(ticket, serverName)), nil
}

// open returns the session of a ticket, nil when it may not be resumed here: a
// foreign or forged ticket, a dead key, another site or policy, an old session, or
// one that would be continued with other parameters than those decided now.
func (b *sessionBinding) open(keys *TicketKeys, serverName string, ticket []byte, now time.Time) *tls.SessionState {
	if len(ticket) < ticketHeaderLen+stateHeaderLen+ticketTagLen || len(ticket) > maxTicketLen || ticket[0] != ticketVersion {
		return nil
	}
	key := keys.named([ticketNameLen]byte(ticket[1:]), now)
	if key == nil {
		return nil
	}
	aead, err := ticketAEAD(key, ticket)
	if err != nil {
		return nil
	}
	header, sealed := ticket[:ticketHeaderLen], ticket[ticketHeaderLen:]
	plain, err := aead.Open(nil, header[ticketHeaderLen-ticketNonceLen:], sealed, b.aad(header, serverName))
	if err != nil || len(plain) < stateHeaderLen || plain[0] != stateFormat {
		return nil
	}
	if !b.mayResume(plain, now) {
		return nil
	}
	ss, err := tls.ParseSessionState(plain[stateHeaderLen:])
	if err != nil {
		return nil
	}
	ss.EarlyData = false // no 0-RTT, whatever a ticket says
	return ss
}

// mayResume checks a session against what is decided for this connection. It reads
// the head of crypto/tls's encoding - version, side, suite, time of the secret's
// birth - which SessionState has no getters for; the encoding may only be extended
// at its end (crypto/tls, SessionState). TestSessionStateLayout watches over it.
func (b *sessionBinding) mayResume(plain []byte, now time.Time) bool {
	state := plain[stateHeaderLen:]
	if len(state) < 13 || state[2] != 1 { // 1: a server's session
		return false
	}
	version := tlspolicy.Version(binary.BigEndian.Uint16(state))
	suite := tlspolicy.Suite(binary.BigEndian.Uint16(state[3:]))
	created := time.Unix(int64(binary.BigEndian.Uint64(state[5:])), 0)
	// A TLS 1.2 session that is resumed again and again keeps its secret and gets new
	// tickets, so the secret's age counts and not the ticket's.
	if age := now.Sub(created); age > TicketKeyLife || age < -clockSkew {
		return false
	}
	if version != b.version {
		return false
	}
	if version == tlspolicy.TLSv1_3 {
		// Only the hash must fit, which crypto/tls checks; keys are exchanged anew.
		return true
	}
	// Below TLS 1.3 a resumption goes on with the session's suite and secret, so they
	// must be what a full handshake would have come to.
	return suite == b.suite && tlspolicy.Group(binary.BigEndian.Uint16(plain[2:])) == b.group
}

// ticketAEAD returns the cipher of one ticket, whose header tells the HKDF info.
func ticketAEAD(key *ringKey, header []byte) (cipher.AEAD, error) {
	info := header[1+ticketNameLen : 1+ticketNameLen+ticketInfoLen]
	k, err := hkdf.Expand(sha256.New, key.prk, string(info), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
