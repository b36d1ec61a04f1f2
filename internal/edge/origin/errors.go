package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// Kind says what went wrong with an origin. All but KindCredentials are CloudFront's
// words for x-edge-detailed-result-type (CloudFront: Standard logging reference).
type Kind string

// The kinds.
const (
	KindDNS             Kind = "OriginDnsError"                // no address for the name
	KindConnect         Kind = "OriginConnectError"            // refused, unreachable, TLS failure
	KindComm            Kind = "OriginCommError"               // timed out connecting or reading; closed without an answer
	KindRead            Kind = "OriginReadError"               // the answer broke off
	KindWrite           Kind = "OriginWriteError"              // the request could not be sent
	KindInvalidResponse Kind = "OriginInvalidResponseError"    // not a valid HTTP/1 response
	KindHeaderTooBig    Kind = "OriginHeaderTooBigError"       // response head over 32,768 bytes
	KindContentRange    Kind = "OriginContentRangeLengthError" // Content-Length is not that of Content-Range
	KindZeroSize        Kind = "OriginZeroSizeObjectError"     // closed after a head that announced no length
	KindRequest         Kind = "InvalidRequest"                // it cannot be asked of this origin
	// Deviation: CloudFront: Standard logging reference: CloudFront needs no credentials
	// of its owner and so has no word for their absence.
	KindCredentials Kind = "OriginCredentialsError"
)

// Why an exchange's context was cancelled, other than by its caller.
var (
	errConnectTimeout    = errors.New("no connection within the origin's connection timeout")
	errReadTimeout       = errors.New("no data within the origin's response timeout")
	errCompletionTimeout = errors.New("not complete within the origin's response completion timeout")
	errEnded             = errors.New("exchange ended")
)

// What is wrong with a response, where net/http does not say it.
var (
	errTooManyInformational = errors.New("more informational responses than are allowed")
	errSwitching            = errors.New("101 Switching Protocols although no upgrade was asked for")
	errStatus               = errors.New("status outside 200 to 599")
	errNotHTTP              = errors.New("not an HTTP/1 response")
	errFieldBytes           = errors.New("a field has a name or value with forbidden bytes")
	errContentRange         = errors.New("Content-Length is not the length that Content-Range names")
	errZeroSize             = errors.New("connection closed right after a head without a length")
	errHeaderTooBig         = errors.New("response head larger than 32,768 bytes")
	errClimbs               = errors.New("the path has a segment . or .., which would leave the bucket")
	errNoAnswer             = errors.New("connection closed before an answer came")
)

// fail makes the Error of a kind; timeout chooses 504 over 502 (CloudFront:
// Troubleshooting error response status codes, HTTP 502 and HTTP 504).
func fail(origin string, kind Kind, timeout bool, err error) *Error {
	status := 502
	if timeout {
		status = 504
	}
	return &Error{Kind: kind, Status: status, Origin: origin, Err: err}
}

// dialFailure says what a failed dial means.
func dialFailure(origin string, err error) *Error {
	var e *Error
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		// A resolver that does not answer is still a name that has no address: 502.
		e = fail(origin, KindDNS, false, dns)
	} else if isTimeout(err) {
		// "The request timed out while connecting" is OriginCommError, not
		// OriginConnectError (CloudFront: Standard logging reference).
		e = fail(origin, KindComm, true, err)
	} else {
		e = fail(origin, KindConnect, false, err)
	}
	e.Connecting = true
	return e
}

func isTimeout(err error) bool {
	if errors.Is(err, errConnectTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// permanent tells failures to connect that trying again at once cannot mend.
func permanent(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return true
	}
	// An alert from the origin: it will not like the next ClientHello better.
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
