package viewertls

import (
	"io"
	"net"
	"time"

	"pqfront/internal/tlspolicy"
)

const (
	// lingerTime is how long we wait for a refused client to take its alert. Closing
	// at once with unread bytes would reset the connection and may destroy the alert
	// on its way (RFC 9112, Section 9.6 tells of the same for HTTP).
	lingerTime = time.Second
	// lingerBytes is how much of such a client's data is thrown away before we give up.
	lingerBytes = 256 << 10
)

// plainHTTPResponse answers a request in plain HTTP on the TLS port.
const plainHTTPResponse = "HTTP/1.1 400 Bad Request\r\n" +
	"Content-Type: text/html\r\n" +
	"Content-Length: 169\r\n" +
	"Connection: close\r\n" +
	"\r\n" + plainHTTPBody

const plainHTTPBody = "<html>\n<head><title>400 Bad Request</title></head>\n<body>\n" +
	"<h1>400 Bad Request</h1>\n<p>This is a plain HTTP request sent to HTTPS port. Use https://.</p>\n</body>\n</html>\n"

// alertRecord returns the record that tells a client that it was refused, nil when
// it is told nothing.
//
// A client without a usable server name gets an alert whose record says version 0,
// which OpenSSL reports as "wrong version number": so CloudFront's is seen to be.
// All other alerts have the version of TLS 1.2 (RFC 8446, Section 5.1).
func alertRecord(profile tlspolicy.AlertProfile, reason tlspolicy.Reason) []byte {
	level, alert := profile.Alert(reason)
	if level == tlspolicy.NoAlert {
		return nil
	}
	record := []byte{recordAlert, 3, 3, 0, 2, byte(level), byte(alert)}
	if profile == tlspolicy.CloudFrontAlerts && (reason == tlspolicy.ReasonNoSNI || reason == tlspolicy.ReasonUnknownSNI) {
		record[1], record[2] = 0, 0
	}
	return record
}

// refuse tells the client why and closes, so that what we said arrives.
func (s *Server) refuse(conn net.Conn, reason tlspolicy.Reason) {
	answer := alertRecord(s.alerts, reason)
	if reason == tlspolicy.ReasonHTTP {
		answer = []byte(plainHTTPResponse)
	}
	if len(answer) == 0 {
		conn.Close()
		return
	}
	deadline := time.Now().Add(lingerTime)
	conn.SetDeadline(deadline)
	if _, err := conn.Write(answer); err == nil {
		linger(conn)
	}
	conn.Close()
}

// linger ends our side and throws away what the client still sends, until it ends
// its side too. The deadline is set already.
func linger(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if half.CloseWrite() != nil {
			return
		}
	}
	io.Copy(io.Discard, io.LimitReader(conn, lingerBytes))
}
