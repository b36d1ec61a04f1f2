package respheaders

// Cause is why we answer instead of the origin. The values are one enum for page,
// log and metric; a published one never changes its meaning.
type Cause string

// The causes. Each has a row in Causes.
const (
	BadRequest           Cause = "bad-request"
	BadRootObject        Cause = "bad-default-root-object"
	RequestTimeout       Cause = "request-timeout"
	UnknownHost          Cause = "unknown-host"
	Disabled             Cause = "distribution-disabled"
	MethodNotAllowed     Cause = "method-not-allowed"
	BodyNotAllowed       Cause = "body-not-allowed"
	HTTPSOnly            Cause = "https-only"
	GeoBlocked           Cause = "geo-blocked"
	Blocked              Cause = "blocked"
	BadSignature         Cause = "bad-signature"
	ForwardingLoop       Cause = "forwarding-loop"
	BodyTooLarge         Cause = "body-too-large"
	URLTooLong           Cause = "url-too-long"
	RangeNotSatisfiable  Cause = "range-not-satisfiable"
	BadExpectation       Cause = "bad-expectation"
	Misdirected          Cause = "misdirected"
	HeadTooLarge         Cause = "head-too-large"
	InternalError        Cause = "internal-error"
	OriginDNS            Cause = "origin-dns"
	OriginConnect        Cause = "origin-connect"
	OriginTLS            Cause = "origin-tls"
	OriginClosed         Cause = "origin-closed"
	OriginBadResponse    Cause = "origin-bad-response"
	OriginHeadTooLarge   Cause = "origin-head-too-large"
	OriginCredentials    Cause = "origin-credentials"
	OriginObjectTooLarge Cause = "origin-object-too-large"
	FunctionInvalid      Cause = "function-invalid-response"
	FunctionFailed       Cause = "function-failed"
	Capacity             Cause = "capacity-exceeded"
	Limit                Cause = "limit-exceeded"
	OriginConnectTimeout Cause = "origin-connect-timeout"
	OriginTimeout        Cause = "origin-timeout"
	CompletionTimeout    Cause = "response-completion-timeout"
	BadVersion           Cause = "bad-version"
)

// CauseInfo is what a cause means to a viewer.
type CauseInfo struct {
	Cause    Cause
	Status   int    // CloudFront: Troubleshooting error response status codes
	Result   Result // the word in x-cache
	Detailed string // x-edge-detailed-result-type (CloudFront: Standard log file fields)
	Sentence string // on the page: what happened
	Advice   string // on the page: what the viewer or the owner can do
}

const (
	adviceLater  = "Try again in a little while. If this is your site, look at the distribution's settings and at its access log."
	adviceOwner  = "If this is your site, look at the distribution's settings: this request does not fit them."
	adviceOrigin = "If this is your site, check that the origin server is up and that the edge can reach it. Otherwise, try again in a little while."
	adviceClient = "Something in the request is not as HTTP wants it. Another browser or a fresh start of this one may help."
)

// Causes returns the table of all causes, in the order of their status.
func Causes() []CauseInfo {
	return []CauseInfo{
		{BadRequest, 400, Error, "InvalidRequest", "The request is malformed.", adviceClient},
		{BadRootObject, 400, Error, "InvalidRequest", "The default root object of this distribution is not valid.", adviceOwner},
		{UnknownHost, 403, Error, "InvalidRequest", "No distribution here serves this host name.", "If this is your site, add the name to the distribution's alternate domain names."},
		{Disabled, 403, Error, "InvalidRequest", "The distribution is disabled.", "If this is your site, enable the distribution."},
		{MethodNotAllowed, 403, Error, "InvalidRequestMethod", "This distribution does not allow the HTTP method of this request.", adviceOwner},
		{BodyNotAllowed, 403, Error, "InvalidRequest", "A GET request may not carry a body here.", adviceClient},
		{HTTPSOnly, 403, Error, "InvalidRequest", "This content is served over HTTPS only.", "Use an address that starts with https://."},
		{GeoBlocked, 403, Error, "ClientGeoBlocked", "The owner does not offer this content in your country.", adviceOwner},
		{Blocked, 403, Error, "InvalidRequestBlocked", "The request was blocked.", adviceOwner},
		{BadSignature, 403, Error, "InvalidRequest", "The signature of this address or its cookies is missing, wrong or out of date.", "Ask for a fresh link where you found this one."},
		{ForwardingLoop, 403, Error, "InvalidRequest", "The request has passed through too many distributions.", adviceOwner},
		{RequestTimeout, 408, Error, "ClientCommError", "The request did not arrive in time.", adviceLater},
		{BodyTooLarge, 413, Error, "InvalidRequest", "The body of the request is too large.", adviceOwner},
		{URLTooLong, 414, Error, "InvalidRequest", "The address of the request is longer than 8,192 bytes.", adviceClient},
		{RangeNotSatisfiable, 416, Error, "InvalidRequestHeader", "The range of bytes that the request asks for lies outside of the object.", adviceClient},
		{BadExpectation, 417, Error, "InvalidRequestHeader", "The request expects something that cannot be met.", adviceClient},
		{Misdirected, 421, Error, "InvalidRequestCertificate", "This connection's certificate does not fit the host of the request.", "Open a new connection to the host itself."},
		{HeadTooLarge, 494, Error, "InvalidRequestHeader", "The header of the request is larger than 32,768 bytes.", "Deleting this site's cookies often helps."},
		{InternalError, 500, Error, "InternalError", "The edge failed to answer this request.", adviceLater},
		{OriginDNS, 502, Error, "OriginDnsError", "The name of the origin server cannot be resolved.", adviceOrigin},
		{OriginConnect, 502, Error, "OriginConnectError", "The origin server refused the connection.", adviceOrigin},
		{OriginTLS, 502, Error, "OriginConnectError", "No secure connection to the origin server could be made.", "If this is your site, check the origin's certificate, its names and the protocols that it accepts."},
		{OriginClosed, 502, Error, "OriginCommError", "The origin server closed the connection before it had answered.", adviceOrigin},
		{OriginBadResponse, 502, Error, "OriginInvalidResponseError", "The origin server's answer is not valid HTTP.", adviceOrigin},
		{OriginHeadTooLarge, 502, Error, "OriginHeaderTooBigError", "The header of the origin server's answer is too large.", adviceOrigin},
		{OriginCredentials, 502, Error, "OriginError", "The edge has no credentials to sign its request to the origin server.", "If this is your site, give the edge credentials for the origin."},
		{OriginObjectTooLarge, 502, Error, "OriginError", "The origin server's answer is larger than what can be cached.", adviceOwner},
		{FunctionInvalid, 502, FunctionExecutionError, "FunctionExecutionError", "The function of this distribution gave an invalid answer.", adviceOwner},
		{FunctionFailed, 503, FunctionExecutionError, "FunctionExecutionError", "The function of this distribution failed.", adviceOwner},
		{Capacity, 503, CapacityExceeded, "CapacityExceeded", "The edge has no capacity for this request right now.", adviceLater},
		{Limit, 503, LimitExceeded, "LimitExceeded", "The distribution has reached a limit.", adviceLater},
		{OriginConnectTimeout, 504, Error, "OriginConnectError", "The connection to the origin server timed out.", adviceOrigin},
		{OriginTimeout, 504, Error, "OriginReadError", "The origin server did not answer in time.", adviceOrigin},
		{CompletionTimeout, 504, Error, "OriginReadError", "The origin server did not finish its answer in time.", adviceOrigin},
		{BadVersion, 505, Error, "InvalidRequest", "The HTTP version of the request is not served here.", adviceClient},
	}
}

// Info returns the row of c; an unknown cause is an internal error.
func (c Cause) Info() CauseInfo {
	all := Causes()
	fallback := all[0]
	for _, i := range all {
		if i.Cause == c {
			return i
		}
		if i.Cause == InternalError {
			fallback = i
		}
	}
	return fallback
}

// CauseOf returns the cause for a status that an HTTP engine answers by itself.
func CauseOf(status int) Cause {
	switch status {
	case 400:
		return BadRequest
	case 408:
		return RequestTimeout
	case 413:
		return BodyTooLarge
	case 414:
		return URLTooLong
	case 417:
		return BadExpectation
	case 421:
		return Misdirected
	case 494:
		return HeadTooLarge
	case 505:
		return BadVersion
	}
	return InternalError
}
