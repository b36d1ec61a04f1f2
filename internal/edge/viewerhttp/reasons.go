package viewerhttp

// The reasons. A published value never changes its meaning; logs and metrics
// carry it as it stands here. Each has a row in Reasons.
const (
	// Framing: two readers of the same bytes could disagree on where a message ends.
	ReasonContentLengthAndTE Reason = "content-length-and-transfer-encoding"
	ReasonBadContentLength   Reason = "bad-content-length"
	ReasonDupContentLength   Reason = "duplicate-content-length"
	ReasonBadTE              Reason = "unsupported-transfer-encoding"
	ReasonDupTE              Reason = "duplicate-transfer-encoding"
	ReasonTEOnHTTP10         Reason = "transfer-encoding-on-http-1.0"
	ReasonBadChunk           Reason = "bad-chunk"
	ReasonBadTrailer         Reason = "bad-trailer"
	ReasonBodyLength         Reason = "body-length-mismatch"

	// Lines and fields.
	ReasonBareCR           Reason = "bare-cr"
	ReasonBareLF           Reason = "bare-lf"
	ReasonObsFold          Reason = "obs-fold"
	ReasonSpaceBeforeColon Reason = "space-before-colon"
	ReasonBadFieldName     Reason = "bad-field-name"
	ReasonBadFieldValue    Reason = "bad-field-value"
	ReasonBadConnection    Reason = "bad-connection-field"

	// Request line, target and authority.
	ReasonBadRequestLine Reason = "bad-request-line"
	ReasonBadMethod      Reason = "bad-method"
	ReasonBadTarget      Reason = "bad-target"
	ReasonConnectTarget  Reason = "connect-target"
	ReasonBadVersion     Reason = "bad-version"
	ReasonUnsupported    Reason = "unsupported-version"
	ReasonHTTP09         Reason = "http-0.9"
	ReasonH2Preface      Reason = "http-2-preface"
	ReasonTLSOnPlain     Reason = "tls-on-plain-port"
	ReasonMissingHost    Reason = "missing-host"
	ReasonDupHost        Reason = "duplicate-host"
	ReasonBadHost        Reason = "bad-host"
	ReasonHostMismatch   Reason = "host-mismatch"
	ReasonSchemeMismatch Reason = "scheme-mismatch"
	ReasonBadExpect      Reason = "unknown-expectation"

	// Sizes and times.
	ReasonURLTooLong     Reason = "url-too-long"
	ReasonHeadTooLarge   Reason = "head-too-large"
	ReasonTooManyFields  Reason = "too-many-fields"
	ReasonBodyTooLarge   Reason = "body-too-large"
	ReasonSilent         Reason = "silent"
	ReasonTruncatedHead  Reason = "truncated-head"
	ReasonHeaderTimeout  Reason = "header-timeout"
	ReasonBodyTimeout    Reason = "body-timeout"
	ReasonViewerGone     Reason = "viewer-gone"
	ReasonHandlerFailure Reason = "handler-failure"
)

// ReasonInfo explains one reason.
type ReasonInfo struct {
	Reason Reason
	Doc    string
}

// Reasons returns every reason that this package reports, in a fixed order, with
// one sentence each, for the reference pages and the tests.
func Reasons() []ReasonInfo {
	return append([]ReasonInfo{
		{ReasonContentLengthAndTE, "The request had both Content-Length and Transfer-Encoding (RFC 9112, Section 6.3)."},
		{ReasonBadContentLength, "Content-Length was not one plain decimal number, or it was too big to hold."},
		{ReasonDupContentLength, "Content-Length occurred more than once, even if with the same value."},
		{ReasonBadTE, "Transfer-Encoding was anything but the one word chunked."},
		{ReasonDupTE, "Transfer-Encoding occurred more than once."},
		{ReasonTEOnHTTP10, "An HTTP/1.0 request carried Transfer-Encoding, which that version does not have."},
		{ReasonBadChunk, "A chunk size line, or the line end after a chunk, was malformed or too long."},
		{ReasonBadTrailer, "The trailer section was malformed or too large."},
		{ReasonBodyLength, "The body was shorter or longer than its Content-Length."},
		{ReasonBareCR, "A carriage return stood without its line feed."},
		{ReasonBareLF, "A line feed stood without its carriage return."},
		{ReasonObsFold, "A header line began with white space (obsolete line folding)."},
		{ReasonSpaceBeforeColon, "White space stood between a field name and its colon."},
		{ReasonBadFieldName, "A field name was empty or no token."},
		{ReasonBadFieldValue, "A field value held a control character."},
		{ReasonBadConnection, "A connection-specific field had a value that it may not have, or stood in a version that has none."},
		{ReasonBadRequestLine, "The first line was not method, one space, target, one space, version."},
		{ReasonBadMethod, "The method was no token or too long."},
		{ReasonBadTarget, "The request target held a control, a space, a non-ASCII byte, a fragment or broken percent-encoding, or had a form that its method may not have."},
		{ReasonConnectTarget, "CONNECT asked for a tunnel; this is no proxy."},
		{ReasonBadVersion, "The version was not HTTP/ digit dot digit."},
		{ReasonUnsupported, "The version was well-formed but is not served on this connection."},
		{ReasonHTTP09, "The request line had no version (HTTP/0.9)."},
		{ReasonH2Preface, "The HTTP/2 preface came on a connection that speaks HTTP/1.1."},
		{ReasonTLSOnPlain, "A TLS record came on the plain HTTP port."},
		{ReasonMissingHost, "The request named no host."},
		{ReasonDupHost, "Host occurred more than once."},
		{ReasonBadHost, "The host was no name or address with an optional port."},
		{ReasonHostMismatch, "Host and the authority in the target differed."},
		{ReasonSchemeMismatch, "The scheme in the target was not the connection's own."},
		{ReasonBadExpect, "Expect asked for something other than 100-continue."},
		{ReasonURLTooLong, "The request target was longer than Limits.URLBytes."},
		{ReasonHeadTooLarge, "The head was larger than Limits.HeadBytes."},
		{ReasonTooManyFields, "The head had more field lines than Limits.HeaderCount."},
		{ReasonBodyTooLarge, "The body was larger than Limits.BodyBytes."},
		{ReasonSilent, "A connection was closed without ever having carried a request."},
		{ReasonTruncatedHead, "The viewer went away in the middle of a head."},
		{ReasonHeaderTimeout, "A head was not complete within Limits.HeaderTimeout."},
		{ReasonBodyTimeout, "A body made no progress within Limits.BodyIdleTimeout."},
		{ReasonViewerGone, "The viewer went away in the middle of a body."},
		{ReasonHandlerFailure, "The handler panicked or did not answer (our bug)."},
	}, append(h2Reasons(), h3Reasons()...)...)
}

// Doc returns the sentence that explains r, or "" for an unknown value.
func (r Reason) Doc() string {
	for _, i := range Reasons() {
		if i.Reason == r {
			return i.Doc
		}
	}
	return ""
}

// status is the one table from reasons to answers; 0 means that the connection is
// just closed. Broken syntax is 400.
func (r Reason) status() int {
	switch r {
	case ReasonSilent, ReasonTruncatedHead, ReasonViewerGone:
		return 0
	case ReasonHeaderTimeout, ReasonBodyTimeout:
		return 408
	case ReasonBodyTooLarge:
		return 413
	case ReasonURLTooLong:
		return 414
	case ReasonBadExpect:
		return 417
	case ReasonHeadTooLarge, ReasonTooManyFields:
		return 494
	case ReasonHandlerFailure:
		return 500
	case ReasonUnsupported:
		return 505
	}
	// Deviation: RFC 9112, Section 6.1 asks for 501 on an unknown transfer coding; every
	// doubt about framing gets the same 400 here.
	return 400
}
