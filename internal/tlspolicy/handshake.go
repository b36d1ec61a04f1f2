package tlspolicy

import "time"

// Transport is what carried a ClientHello.
type Transport uint8

// The two transports.
const (
	TCP Transport = iota
	QUIC
)

// String returns "tcp" or "quic".
func (t Transport) String() string {
	if t == QUIC {
		return "quic"
	}
	return "tcp"
}

// Handshake is the record of what one TLS handshake agreed on, or why it did not.
// It is made once and travels with the connection to logs and headers; it is never
// changed after the handshake.
type Handshake struct {
	Transport  Transport
	ServerName string // SNI as sent, lower-case; "" when absent
	Policy     string // name of the security policy that decided; "" when no distribution matched
	// Distribution is the id of the distribution whose policy decided; "" when none.
	Distribution string

	Outcome           // predicted by Decide and executed by the engine
	Resumed    bool   // a session ticket was accepted
	JA3, JA4   string // fingerprints of the ClientHello; "" when it could not be parsed
	Stage      string // how far it came: "connected", "hello", "decided", "done"
	HelloBytes int    // length of the ClientHello message
	Started    time.Time
	Duration   time.Duration
	Err        string // the engine's error when it failed after the decision
}
