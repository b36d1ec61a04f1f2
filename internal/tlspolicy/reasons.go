package tlspolicy

// The reasons for which a handshake is refused. Log, header and metric use the
// same words.
const (
	// ReasonVersionTooLow: all versions that the client offers are below the policy's floor.
	ReasonVersionTooLow Reason = "version_too_low"
	// ReasonNoCommonVersion: the client offers only versions that no policy knows.
	ReasonNoCommonVersion Reason = "no_common_version"
	// ReasonInappropriateFallback: TLS_FALLBACK_SCSV below our highest version.
	ReasonInappropriateFallback Reason = "inappropriate_fallback"
	// ReasonCompression: null compression is missing, or not alone in TLS 1.3.
	ReasonCompression Reason = "bad_compression_methods"
	// ReasonRenegotiation: an initial handshake with renegotiation data.
	ReasonRenegotiation Reason = "unexpected_renegotiation_info"
	// ReasonEarlyData: 0-RTT data, which we never offer.
	ReasonEarlyData Reason = "unexpected_early_data"
	// ReasonMissingExtension: a TLS 1.3 hello without an extension that it must have.
	ReasonMissingExtension Reason = "missing_extension"
	// ReasonUnexpectedExtension: quic_transport_parameters over TCP.
	ReasonUnexpectedExtension Reason = "unexpected_extension"
	// ReasonPSK: pre_shared_key with more or fewer binders than identities.
	ReasonPSK Reason = "bad_pre_shared_key"
	// ReasonPointFormats: uncompressed points are not among the formats.
	ReasonPointFormats Reason = "no_common_point_format"
	// ReasonKeyShare: the key share that would be used has the wrong length.
	ReasonKeyShare Reason = "bad_key_share"
	// ReasonNoCommonSuite: no cipher suite of the policy for this version was offered.
	ReasonNoCommonSuite Reason = "no_common_suite"
	// ReasonNoCommonGroup: no key exchange group of the policy was offered.
	ReasonNoCommonGroup Reason = "no_common_group"
	// ReasonNoCommonScheme: no signature scheme of the policy that fits a certificate was offered.
	ReasonNoCommonScheme Reason = "no_common_signature_scheme"
	// ReasonNoCertificate: there is no certificate for any suite that was offered.
	ReasonNoCertificate Reason = "no_certificate"
	// ReasonNoALPN: over QUIC, no application protocol in common.
	ReasonNoALPN Reason = "no_application_protocol"

	// ReasonNoSNI: no server name and no default distribution.
	ReasonNoSNI Reason = "no_sni"
	// ReasonUnknownSNI: no distribution has this server name.
	ReasonUnknownSNI Reason = "unknown_sni"

	// ReasonHTTP: a plain HTTP request on the TLS port.
	ReasonHTTP Reason = "plain_http"
	// ReasonSSLv2: an SSL 2.0 hello.
	ReasonSSLv2 Reason = "sslv2_hello"
	// ReasonNotTLS: bytes that are no TLS handshake.
	ReasonNotTLS Reason = "not_tls"
	// ReasonTooLarge: the ClientHello is larger than the limit.
	ReasonTooLarge Reason = "hello_too_large"
	// ReasonMalformed: the ClientHello breaks its own syntax.
	ReasonMalformed Reason = "malformed_hello"
	// ReasonUnexpectedMessage: another message, or another kind of record, where the
	// ClientHello should be.
	ReasonUnexpectedMessage Reason = "unexpected_message"
	// ReasonIncomplete: the connection ended before the ClientHello did.
	ReasonIncomplete Reason = "incomplete_hello"
	// ReasonTimeout: the ClientHello did not come in time.
	ReasonTimeout Reason = "hello_timeout"
	// ReasonEngine: the engine gave up after the decision; Handshake.Err says why.
	ReasonEngine Reason = "engine_failed"

	// ReasonReset: the client reset the connection within its ClientHello.
	ReasonReset Reason = "connection_reset"
	// ReasonHandshakeTimeout: the handshake was not complete in time after the decision.
	ReasonHandshakeTimeout Reason = "handshake_timeout"
	// ReasonAborted: the client went away after the decision, with or without an alert.
	ReasonAborted Reason = "client_aborted"
	// ReasonShutdown: the edge was stopping.
	ReasonShutdown Reason = "shutdown"
	// ReasonPolicyBreach: the engine came to another result than was decided. It is a
	// bug of ours; the connection is closed before it carries anything.
	ReasonPolicyBreach Reason = "policy_breach"
	// ReasonNoConfiguration: there is no snapshot yet.
	ReasonNoConfiguration Reason = "no_configuration"
)

// The alerts that we send, by code point (RFC 8446, Section 6).
const (
	AlertCloseNotify           Alert = 0
	AlertUnexpectedMessage     Alert = 10
	AlertRecordOverflow        Alert = 22
	AlertHandshakeFailure      Alert = 40
	AlertIllegalParameter      Alert = 47
	AlertDecodeError           Alert = 50
	AlertProtocolVersion       Alert = 70
	AlertInternalError         Alert = 80
	AlertInappropriateFallback Alert = 86
	AlertMissingExtension      Alert = 109
	AlertUnsupportedExtension  Alert = 110
	AlertUnrecognizedName      Alert = 112
	AlertNoApplicationProtocol Alert = 120
)

// AlertLevel is the first byte of an alert.
type AlertLevel uint8

// The levels. NoAlert means that nothing is sent: the peer does not speak TLS.
const (
	NoAlert      AlertLevel = 0
	AlertWarning AlertLevel = 1
	AlertFatal   AlertLevel = 2
)

// String returns the alert's IANA name, or its number.
func (a Alert) String() string {
	switch a {
	case AlertCloseNotify:
		return "close_notify"
	case AlertUnexpectedMessage:
		return "unexpected_message"
	case 20:
		return "bad_record_mac"
	case AlertRecordOverflow:
		return "record_overflow"
	case AlertHandshakeFailure:
		return "handshake_failure"
	case 42:
		return "bad_certificate"
	case 46:
		return "certificate_unknown"
	case AlertIllegalParameter:
		return "illegal_parameter"
	case 48:
		return "unknown_ca"
	case AlertDecodeError:
		return "decode_error"
	case 51:
		return "decrypt_error"
	case AlertProtocolVersion:
		return "protocol_version"
	case AlertInternalError:
		return "internal_error"
	case AlertInappropriateFallback:
		return "inappropriate_fallback"
	case 90:
		return "user_canceled"
	case AlertMissingExtension:
		return "missing_extension"
	case AlertUnsupportedExtension:
		return "unsupported_extension"
	case AlertUnrecognizedName:
		return "unrecognized_name"
	case AlertNoApplicationProtocol:
		return "no_application_protocol"
	}
	return itoa(uint8(a))
}

func itoa(v uint8) string {
	if v < 10 {
		return string('0' + rune(v))
	}
	return itoa(v/10) + string('0'+rune(v%10))
}

// reasonRow documents a reason and says what a strict server would answer.
type reasonRow struct {
	reason Reason
	rfc    Alert // the alert of the `rfc` profile
	silent bool  // no alert in any profile: the peer does not speak TLS, or is gone
	rule   string
	text   string
}

// reasonTable returns the reasons in the order in which they are documented.
func reasonTable() []reasonRow {
	return []reasonRow{
		{ReasonVersionTooLow, AlertProtocolVersion, false, "RFC 8446, Section 4.2.1", "all offered versions are below the policy's floor, or a QUIC client offers one below TLS 1.3"},
		{ReasonNoCommonVersion, AlertProtocolVersion, false, "RFC 8446, Section 4.2.1", "only versions that we do not know were offered"},
		{ReasonInappropriateFallback, AlertInappropriateFallback, false, "RFC 7507, Section 3", "TLS_FALLBACK_SCSV with a version below our highest"},
		{ReasonCompression, AlertIllegalParameter, false, "RFC 8446, Section 4.1.2", "null compression is missing, or not alone in TLS 1.3"},
		{ReasonRenegotiation, AlertHandshakeFailure, false, "RFC 5746, Section 3.6", "an initial handshake carries renegotiation data"},
		{ReasonEarlyData, AlertUnsupportedExtension, false, "RFC 8446, Section 4.2.10", "early data, for which no ticket of ours allows"},
		{ReasonMissingExtension, AlertMissingExtension, false, "RFC 8446, Section 9.2", "a mandatory extension is missing"},
		{ReasonUnexpectedExtension, AlertUnsupportedExtension, false, "RFC 9001, Section 8.2", "quic_transport_parameters over TCP"},
		{ReasonPSK, AlertIllegalParameter, false, "RFC 8446, Section 4.2.11", "pre_shared_key with a different number of binders than identities"},
		{ReasonPointFormats, AlertIllegalParameter, false, "RFC 8422, Section 5.1.2", "uncompressed points are not among the point formats"},
		{ReasonKeyShare, AlertIllegalParameter, false, "RFC 8446, Section 4.2.8", "the key share has the wrong length for its group"},
		{ReasonNoCommonSuite, AlertHandshakeFailure, false, "RFC 8446, Section 4.1.1", "no cipher suite of the policy was offered for this version"},
		{ReasonNoCommonGroup, AlertHandshakeFailure, false, "RFC 8446, Section 4.1.1", "no key exchange group of the policy was offered"},
		{ReasonNoCommonScheme, AlertHandshakeFailure, false, "RFC 8446, Section 4.4.2.2", "no signature scheme of the policy that fits a certificate was offered"},
		{ReasonNoCertificate, AlertHandshakeFailure, false, "RFC 5246, Section 7.4.3", "there is no certificate of the kind that the offered suites need"},
		{ReasonNoALPN, AlertNoApplicationProtocol, false, "RFC 9001, Section 8.1", "no common application protocol over QUIC"},
		{ReasonNoSNI, AlertUnrecognizedName, false, "RFC 6066, Section 3", "no server name was sent and there is no default distribution"},
		{ReasonUnknownSNI, AlertUnrecognizedName, false, "RFC 6066, Section 3", "no distribution has the server name"},
		{ReasonHTTP, 0, true, "RFC 8446, Section 5.1", "a plain HTTP request on the TLS port"},
		{ReasonSSLv2, AlertProtocolVersion, false, "RFC 6176, Section 3", "an SSL 2.0 hello"},
		{ReasonNotTLS, 0, true, "RFC 8446, Section 5.1", "bytes that are no TLS handshake"},
		{ReasonTooLarge, AlertIllegalParameter, false, "RFC 8446, Section 6.2", "the ClientHello is larger than the limit"},
		{ReasonMalformed, AlertDecodeError, false, "RFC 8446, Section 6.2", "the ClientHello breaks its own syntax"},
		{ReasonUnexpectedMessage, AlertUnexpectedMessage, false, "RFC 8446, Section 4", "another message or record came where the ClientHello should be"},
		{ReasonIncomplete, 0, true, "RFC 8446, Section 6.1", "the connection ended within the ClientHello"},
		{ReasonTimeout, AlertCloseNotify, false, "RFC 8446, Section 6.1", "the ClientHello did not arrive in time"},
		{ReasonEngine, AlertInternalError, false, "RFC 8446, Section 6.2", "the handshake failed after the decision"},
		{ReasonReset, 0, true, "RFC 9293, Section 3.5.2", "the client reset the connection within its ClientHello"},
		{ReasonHandshakeTimeout, 0, true, "RFC 8446, Section 6.1", "the handshake was not complete in time after the decision"},
		{ReasonAborted, 0, true, "RFC 8446, Section 6.2", "the client went away after the decision, with or without an alert"},
		{ReasonShutdown, 0, true, "RFC 8446, Section 6.1", "the edge was stopping"},
		{ReasonPolicyBreach, 0, true, "RFC 8446, Section 6.2", "the engine came to another result than was decided: a bug of ours, nothing was served"},
		{ReasonNoConfiguration, AlertInternalError, false, "RFC 8446, Section 6.2", "the edge has no configuration yet"},
	}
}

// AlertProfile says which alerts tell a client that it was refused.
type AlertProfile uint8

// The profiles.
const (
	// CloudFrontAlerts sends a fatal protocol_version below the floor and a warning
	// close_notify for all else.
	CloudFrontAlerts AlertProfile = iota
	// RFCAlerts sends the alert that the standard names, for debugging.
	RFCAlerts
)

// String returns "cloudfront" or "rfc".
func (p AlertProfile) String() string {
	if p == RFCAlerts {
		return "rfc"
	}
	return "cloudfront"
}

// Alert returns what is sent for r; NoAlert means that the connection is just closed.
func (p AlertProfile) Alert(r Reason) (AlertLevel, Alert) {
	if p == CloudFrontAlerts {
		return cloudFrontAlert(r)
	}
	for _, row := range reasonTable() {
		if row.reason != r {
			continue
		}
		switch {
		case row.silent:
			return NoAlert, 0
		case row.rfc == AlertCloseNotify:
			return AlertWarning, AlertCloseNotify // RFC 8446, Section 6.1
		}
		return AlertFatal, row.rfc
	}
	return AlertFatal, AlertHandshakeFailure
}

// cloudFrontAlert is the profile of the live edge, so it does not search the table.
func cloudFrontAlert(r Reason) (AlertLevel, Alert) {
	switch r {
	case ReasonVersionTooLow, ReasonNoCommonVersion, ReasonSSLv2:
		return AlertFatal, AlertProtocolVersion
	case ReasonHTTP, ReasonNotTLS, ReasonIncomplete, ReasonReset, ReasonHandshakeTimeout, ReasonAborted, ReasonShutdown, ReasonPolicyBreach:
		return NoAlert, 0
	}
	return AlertWarning, AlertCloseNotify
}
