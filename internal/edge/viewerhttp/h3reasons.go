package viewerhttp

import "github.com/quic-go/quic-go"

// The reasons that only HTTP/3 knows.
const (
	ReasonH3Protocol       Reason = "h3-protocol-error"
	ReasonH3Frame          Reason = "h3-frame-error"
	ReasonH3Settings       Reason = "h3-settings-error"
	ReasonH3StreamCreation Reason = "h3-stream-creation"
	ReasonH3ClosedCritical Reason = "h3-closed-critical-stream"
	ReasonH3Compression    Reason = "h3-compression"
	ReasonH3FrameFlood     Reason = "h3-frame-flood"
	ReasonH3RapidReset     Reason = "h3-rapid-reset"
)

func h3Reasons() []ReasonInfo {
	return []ReasonInfo{
		{ReasonH3Protocol, "A frame was not allowed where it stood, or named an id that it may not name (RFC 9114, Section 7)."},
		{ReasonH3Frame, "A frame had a wrong size for its type, or the stream ended in its middle (RFC 9114, Section 7.1)."},
		{ReasonH3Settings, "The control stream did not begin with SETTINGS, or they were not allowed (RFC 9114, Section 7.2.4)."},
		{ReasonH3StreamCreation, "A second control or QPACK stream came, or a push stream (RFC 9114, Section 6.2)."},
		{ReasonH3ClosedCritical, "The viewer closed its control stream or a QPACK stream (RFC 9114, Section 6.2.1)."},
		{ReasonH3Compression, "A field section could not be decompressed, or a QPACK stream carried what no dynamic table allows (RFC 9204, Section 6)."},
		{ReasonH3FrameFlood, "Too many frames that carry nothing."},
		{ReasonH3RapidReset, "Most requests were cancelled or broken, too many of them in a short time."},
	}
}

// The error codes (RFC 9114, Section 8.1; RFC 9204, Section 6). The same numbers
// serve for connections and streams.
const (
	h3NoError              = 0x100
	h3InternalError        = 0x102
	h3StreamCreationError  = 0x103
	h3ClosedCriticalStream = 0x104
	h3FrameUnexpected      = 0x105
	h3FrameError           = 0x106
	h3ExcessiveLoad        = 0x107
	h3IDError              = 0x108
	h3SettingsError        = 0x109
	h3MissingSettings      = 0x10a
	h3RequestRejected      = 0x10b
	h3RequestCancelled     = 0x10c
	h3RequestIncomplete    = 0x10d
	h3MessageError         = 0x10e
	qpackDecompressFailed  = 0x200
	qpackEncoderStream     = 0x201
	qpackDecoderStream     = 0x202
)

// h3ConnError ends the connection.
type h3ConnError struct {
	code   quic.ApplicationErrorCode
	reason Reason
	text   string
}

func (e *h3ConnError) Error() string { return "HTTP/3 connection: " + e.text }

// h3StreamError resets one stream.
type h3StreamError struct {
	code   quic.StreamErrorCode
	reason Reason
}

func (e *h3StreamError) Error() string { return "HTTP/3 stream: " + string(e.reason) }

func h3Unexpected(text string) error { return &h3ConnError{h3FrameUnexpected, ReasonH3Protocol, text} }
func h3BadFrame(text string) error   { return &h3ConnError{h3FrameError, ReasonH3Frame, text} }
