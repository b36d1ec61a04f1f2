package accesslog

import (
	"net/netip"
	"time"

	"pqfront/internal/tlspolicy"
)

// field is one row of a table of fields: its name, what it means, and where the value
// is found.
type field[T any] struct {
	name string
	doc  string
	get  func(*T) value
}

// Connection is a TLS handshake that was refused or failed, for the JSON log.
type Connection struct {
	Time     time.Time
	Location string
	Viewer   netip.AddrPort
	TLS      *tlspolicy.Handshake
}

// Rejection is a request, or a connection, that an HTTP engine refused by itself, for
// the JSON log.
type Rejection struct {
	Time      time.Time
	Location  string
	Viewer    netip.AddrPort
	TLS       *tlspolicy.Handshake // nil over plain HTTP
	Proto     string
	Status    int // what was answered; 0 = closed or reset without an answer
	Reason    string
	Method    string
	Authority string
	Path      string
}

// standardFields are the 33 fields of CloudFront's standard log, version 1, in order
// (CloudFront: Standard log file fields).
var standardFields = [...]field[Record]{
	{"date", "Date on which the response was finished, UTC.", func(r *Record) value { return value{kind: date, n: r.Time.UnixMicro()} }},
	{"time", "Time at which the response was finished, UTC.", func(r *Record) value { return value{kind: clock, n: r.Time.UnixMicro()} }},
	{"x-edge-location", "Edge location that served the request.", func(r *Record) value { return str(r.Location) }},
	{"sc-bytes", "Bytes sent to the viewer, header included.", func(r *Record) value { return num(r.ResponseBytes) }},
	{"c-ip", "Address of the viewer.", func(r *Record) value { return str(r.ViewerIP) }},
	{"cs-method", "Method of the request.", func(r *Record) value { return str(r.Method) }},
	{"cs(Host)", "The distribution's own domain name, whatever host the viewer asked for.", func(r *Record) value { return str(r.DistributionDomain) }},
	{"cs-uri-stem", "Path of the request.", func(r *Record) value { return str(r.Path) }},
	{"sc-status", "Status code of the answer; 000 when the viewer closed the connection before there was one.", func(r *Record) value { return value{kind: status, n: int64(r.Status)} }},
	{"cs(Referer)", "Referer of the request.", func(r *Record) value { return str(r.Referer) }},
	{"cs(User-Agent)", "User-Agent of the request.", func(r *Record) value { return str(r.UserAgent) }},
	{"cs-uri-query", "Query string of the request, without the question mark.", func(r *Record) value { return str(r.Query) }},
	{"cs(Cookie)", "Cookies of the request, when the distribution's logging includes cookies.", func(r *Record) value { return str(r.Cookie) }},
	{"x-edge-result-type", "How the request was answered, judged by its last byte: Hit, RefreshHit, Miss, Error, Redirect, LimitExceeded, CapacityExceeded.", func(r *Record) value { return str(r.ResultType) }},
	{"x-edge-request-id", "The request's id, as in the response header field x-amz-cf-id.", func(r *Record) value { return str(r.RequestID) }},
	{"x-host-header", "Host that the viewer asked for.", func(r *Record) value { return str(r.Host) }},
	{"cs-protocol", "http or https.", func(r *Record) value { return str(r.Scheme) }},
	{"cs-bytes", "Bytes received from the viewer, header included.", func(r *Record) value { return num(r.RequestBytes) }},
	{"time-taken", "Seconds from the request's first byte to the response's last.", func(r *Record) value { return secs(r.Taken) }},
	{"x-forwarded-for", "X-Forwarded-For as the viewer sent it.", func(r *Record) value { return str(r.ForwardedFor) }},
	{"ssl-protocol", "TLS version of the viewer's connection.", func(r *Record) value { return tlsVersion(r.TLS) }},
	{"ssl-cipher", "Cipher suite of the viewer's connection, OpenSSL's name.", func(r *Record) value { return tlsSuite(r.TLS) }},
	{"x-edge-response-result-type", "How the request was answered, judged when the response began.", func(r *Record) value { return str(r.ResponseResult) }},
	{"cs-protocol-version", "HTTP version of the request.", func(r *Record) value { return str(r.Proto) }},
	{"fle-status", "Field-level encryption: always empty, it is not offered.", func(*Record) value { return value{} }},
	{"fle-encrypted-fields", "Field-level encryption: always empty, it is not offered.", func(*Record) value { return value{} }},
	{"c-port", "Port of the viewer.", func(r *Record) value { return num(int64(r.ViewerPort)) }},
	{"time-to-first-byte", "Seconds from the request's first byte to the response's first.", func(r *Record) value { return secs(r.FirstByte) }},
	{"x-edge-detailed-result-type", "As x-edge-result-type, but for errors their kind.", func(r *Record) value { return str(r.Detailed) }},
	{"sc-content-type", "Content-Type of the answer.", func(r *Record) value { return str(r.ContentType) }},
	{"sc-content-len", "Content-Length of the answer.", func(r *Record) value { return count(r.ContentLength) }},
	{"sc-range-start", "First byte of the range in the answer.", func(r *Record) value { return count(r.RangeStart) }},
	{"sc-range-end", "Last byte of the range in the answer.", func(r *Record) value { return count(r.RangeEnd) }},
}

// requestFields are what JSON lines of requests have besides the standard fields and
// the TLS facts.
var requestFields = [...]field[Record]{
	{"timestamp(ms)", "When the response was finished, milliseconds since 1970 UTC.", func(r *Record) value { return num(r.Time.UnixMilli()) }},
	{"primary-distribution-id", "Id of the distribution.", func(r *Record) value { return str(r.Distribution) }},
	{"primary-distribution-dns-name", "The distribution's own domain name.", func(r *Record) value { return str(r.DistributionDomain) }},
	{"cache-behavior-path-pattern", "Path pattern of the cache behavior that matched.", func(r *Record) value { return str(r.Behavior) }},
	{"connection-first", "Whether this was the first request of its connection.", func(r *Record) value { return truth(r.First) }},
	{"reason", "Why it was a miss, an error, not stored.", func(r *Record) value { return str(r.Reason) }},
	{"origin-address", "Address and port of the origin that was asked.", func(r *Record) value { return str(r.OriginAddress) }},
	{"origin-tls-protocol", "TLS version of the connection to the origin.", func(r *Record) value { return str(r.OriginTLS) }},
	{"origin-tls-group", "Key exchange group of the connection to the origin.", func(r *Record) value { return str(r.OriginGroup) }},
	{"origin-fbl", "Seconds until the origin's first byte.", func(r *Record) value { return someSecs(r.OriginFirstByte) }},
}

// tlsFields are the facts of a handshake, in JSON lines of every type.
var tlsFields = [...]field[tlspolicy.Handshake]{
	{"tls-transport", "tcp or quic.", func(h *tlspolicy.Handshake) value { return str(h.Transport.String()) }},
	{"tls-stage", "How far the handshake came: connected, hello, decided, done.", func(h *tlspolicy.Handshake) value { return str(h.Stage) }},
	{"tls-sni", "Server name that the viewer sent.", func(h *tlspolicy.Handshake) value { return str(h.ServerName) }},
	{"tls-distribution-id", "Id of the distribution whose policy decided.", func(h *tlspolicy.Handshake) value { return str(h.Distribution) }},
	{"tls-policy", "Security policy that decided.", func(h *tlspolicy.Handshake) value { return str(h.Policy) }},
	{"tls-protocol", "TLS version.", func(h *tlspolicy.Handshake) value { return tlsVersion(h) }},
	{"tls-suite", "Cipher suite, IANA name.", func(h *tlspolicy.Handshake) value {
		if h.Suite == 0 {
			return value{}
		}
		return str(h.Suite.String())
	}},
	{"tls-group", "Key exchange group.", func(h *tlspolicy.Handshake) value {
		if h.Group == 0 {
			return value{}
		}
		return str(h.Group.String())
	}},
	{"tls-signature-scheme", "Signature scheme of the server.", func(h *tlspolicy.Handshake) value {
		if h.Scheme == 0 {
			return value{}
		}
		return str(h.Scheme.String())
	}},
	{"tls-hello-retry", "Whether a HelloRetryRequest was sent.", func(h *tlspolicy.Handshake) value { return truth(h.HRR) }},
	{"tls-resumed", "Whether a session ticket was accepted.", func(h *tlspolicy.Handshake) value { return truth(h.Resumed) }},
	{"tls-alpn", "Application protocol that was agreed.", func(h *tlspolicy.Handshake) value { return str(h.ALPN) }},
	{"tls-ja3", "JA3 fingerprint of the ClientHello.", func(h *tlspolicy.Handshake) value { return str(h.JA3) }},
	{"tls-ja4", "JA4 fingerprint of the ClientHello.", func(h *tlspolicy.Handshake) value { return str(h.JA4) }},
	{"tls-hello-bytes", "Length of the ClientHello message.", func(h *tlspolicy.Handshake) value {
		if h.HelloBytes == 0 {
			return value{}
		}
		return num(int64(h.HelloBytes))
	}},
	{"tls-handshake-time", "Seconds that the handshake took.", func(h *tlspolicy.Handshake) value { return someSecs(h.Duration) }},
	{"tls-refusal", "Why the handshake was refused.", func(h *tlspolicy.Handshake) value { return str(string(h.Reason)) }},
	{"tls-alert", "Alert that was sent.", func(h *tlspolicy.Handshake) value {
		if !h.Refused {
			return value{}
		}
		return str(h.Alert.String())
	}},
	{"tls-error", "The TLS engine's error, when it failed after the decision.", func(h *tlspolicy.Handshake) value { return str(h.Err) }},
}

// connectionFields are what JSON lines of failed handshakes have besides the TLS facts.
var connectionFields = [...]field[Connection]{
	{"timestamp(ms)", "When the handshake ended, milliseconds since 1970 UTC.", func(c *Connection) value { return num(c.Time.UnixMilli()) }},
	{"x-edge-location", "Edge location.", func(c *Connection) value { return str(c.Location) }},
	{"c-ip", "Address of the viewer.", func(c *Connection) value { return addr(c.Viewer) }},
	{"c-port", "Port of the viewer.", func(c *Connection) value { return num(int64(c.Viewer.Port())) }},
}

// rejectionFields are what JSON lines of refused requests have besides the TLS facts.
var rejectionFields = [...]field[Rejection]{
	{"timestamp(ms)", "When the request was refused, milliseconds since 1970 UTC.", func(r *Rejection) value { return num(r.Time.UnixMilli()) }},
	{"x-edge-location", "Edge location.", func(r *Rejection) value { return str(r.Location) }},
	{"c-ip", "Address of the viewer.", func(r *Rejection) value { return addr(r.Viewer) }},
	{"c-port", "Port of the viewer.", func(r *Rejection) value { return num(int64(r.Viewer.Port())) }},
	{"cs-protocol-version", "HTTP version of the connection.", func(r *Rejection) value { return str(r.Proto) }},
	{"sc-status", "Status code of the answer; 0 when the connection was closed or the stream reset without one.", func(r *Rejection) value { return value{kind: status, n: int64(r.Status)} }},
	{"reason", "The first rule that the request broke.", func(r *Rejection) value { return str(r.Reason) }},
	{"cs-method", "Method, as far as it was read.", func(r *Rejection) value { return str(r.Method) }},
	{"x-host-header", "Host, as far as it was read.", func(r *Rejection) value { return str(r.Authority) }},
	{"cs-uri-stem", "Path, as far as it was read.", func(r *Rejection) value { return str(r.Path) }},
}

func tlsVersion(h *tlspolicy.Handshake) value {
	if h == nil || h.Version == 0 {
		return value{}
	}
	return str(h.Version.String())
}

func tlsSuite(h *tlspolicy.Handshake) value {
	if h == nil || h.Suite == 0 {
		return value{}
	}
	return str(h.Suite.OpenSSL())
}

// addr gives the address alone; an IPv4 viewer on a dual-stack socket reads as IPv4.
func addr(a netip.AddrPort) value {
	if !a.IsValid() {
		return value{}
	}
	return str(a.Addr().Unmap().WithZone("").String())
}
