package viewerhttp

// The reasons that only HTTP/2 knows; ReasonPseudoField is HTTP/3's too.
const (
	ReasonPseudoField Reason = "bad-pseudo-field"
	ReasonWriteStall  Reason = "write-stall"

	ReasonH2BadPreface      Reason = "h2-bad-preface"
	ReasonH2Protocol        Reason = "h2-protocol-error"
	ReasonH2FrameSize       Reason = "h2-frame-size"
	ReasonH2FlowControl     Reason = "h2-flow-control"
	ReasonH2StreamClosed    Reason = "h2-stream-closed"
	ReasonH2Compression     Reason = "h2-compression"
	ReasonH2TooManyStreams  Reason = "h2-too-many-streams"
	ReasonH2SettingsTimeout Reason = "h2-settings-timeout"

	// Abuse, each answered with ENHANCE_YOUR_CALM.
	ReasonH2RapidReset        Reason = "h2-rapid-reset"
	ReasonH2ContinuationFlood Reason = "h2-continuation-flood"
	ReasonH2SettingsFlood     Reason = "h2-settings-flood"
	ReasonH2PingFlood         Reason = "h2-ping-flood"
	ReasonH2EmptyDataFlood    Reason = "h2-empty-data-flood"
	ReasonH2WindowFlood       Reason = "h2-window-update-flood"
	ReasonH2PriorityFlood     Reason = "h2-priority-flood"
	ReasonH2FrameFlood        Reason = "h2-frame-flood"
)

func h2Reasons() []ReasonInfo {
	return []ReasonInfo{
		{ReasonPseudoField, "A pseudo-header field was missing, unknown, repeated, empty or in the wrong place (RFC 9113, Section 8.3)."},
		{ReasonWriteStall, "The viewer took too little of what was ready for it within Limits.WriteStallTimeout."},
		{ReasonH2BadPreface, "A connection that agreed on HTTP/2 did not begin with its preface and a SETTINGS frame (RFC 9113, Section 3.4)."},
		{ReasonH2Protocol, "A frame was not allowed where it stood, or said something that it may not say."},
		{ReasonH2FrameSize, "A frame was larger than allowed or had a wrong size for its type."},
		{ReasonH2FlowControl, "More data came than the window allowed, or a window grew beyond 2^31-1 (RFC 9113, Section 6.9)."},
		{ReasonH2StreamClosed, "A frame came for a stream that its sender had ended (RFC 9113, Section 5.1)."},
		{ReasonH2Compression, "A field block could not be decompressed (RFC 7541)."},
		{ReasonH2TooManyStreams, "A request came beyond the limit of concurrent streams; it was refused (RFC 9113, Section 5.1.2)."},
		{ReasonH2SettingsTimeout, "The viewer did not acknowledge our SETTINGS in time (RFC 9113, Section 6.5.3)."},
		{ReasonH2RapidReset, "Most requests were cancelled or broken, too many of them in a short time."},
		{ReasonH2ContinuationFlood, "A field block had too many frames or too many bytes."},
		{ReasonH2SettingsFlood, "Too many SETTINGS frames for the work done on the connection."},
		{ReasonH2PingFlood, "Too many PING frames for the work done on the connection."},
		{ReasonH2EmptyDataFlood, "Too many DATA frames without data for the work done on the connection."},
		{ReasonH2WindowFlood, "Too many WINDOW_UPDATE frames for the data sent on the connection."},
		{ReasonH2PriorityFlood, "Too many PRIORITY or PRIORITY_UPDATE frames for the work done on the connection."},
		{ReasonH2FrameFlood, "Too many other frames (unknown types, or for streams that are over) for the work done on the connection."},
	}
}
