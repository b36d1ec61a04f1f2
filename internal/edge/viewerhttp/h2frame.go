package viewerhttp

import (
	"encoding/binary"
	"fmt"
)

// h2Type is a frame type (RFC 9113, Section 6).
type h2Type uint8

const (
	h2Data           h2Type = 0x0
	h2Headers        h2Type = 0x1
	h2Priority       h2Type = 0x2
	h2RSTStream      h2Type = 0x3
	h2Settings       h2Type = 0x4
	h2PushPromise    h2Type = 0x5
	h2Ping           h2Type = 0x6
	h2GoAway         h2Type = 0x7
	h2WindowUpdate   h2Type = 0x8
	h2Continuation   h2Type = 0x9
	h2PriorityUpdate h2Type = 0x10 // RFC 9218, Section 7.1
)

// Frame flags (RFC 9113, Section 6).
const (
	h2FlagEndStream  = 0x1
	h2FlagAck        = 0x1
	h2FlagEndHeaders = 0x4
	h2FlagPadded     = 0x8
	h2FlagPriority   = 0x20
)

// h2Code is an error code (RFC 9113, Section 7).
type h2Code uint32

const (
	h2NoError          h2Code = 0x0
	h2ProtocolError    h2Code = 0x1
	h2InternalError    h2Code = 0x2
	h2FlowControlError h2Code = 0x3
	h2SettingsTimeout  h2Code = 0x4
	h2StreamClosed     h2Code = 0x5
	h2FrameSizeError   h2Code = 0x6
	h2RefusedStream    h2Code = 0x7
	h2Cancel           h2Code = 0x8
	h2CompressionError h2Code = 0x9
	h2EnhanceYourCalm  h2Code = 0xb
)

// Settings (RFC 9113, Section 6.5.2; RFC 9218, Section 2.1).
const (
	h2SetHeaderTableSize   = 0x1
	h2SetEnablePush        = 0x2
	h2SetMaxStreams        = 0x3
	h2SetInitialWindow     = 0x4
	h2SetMaxFrame          = 0x5
	h2SetMaxHeaderList     = 0x6
	h2SetNoRFC7540Priority = 0x9
)

const (
	h2HeaderLen   = 9
	h2MaxWindow   = 1<<31 - 1
	h2FirstWindow = 65535 // before any SETTINGS (RFC 9113, Section 6.9.2)
	h2MaxStreamID = 1<<31 - 1
)

// h2Preface is what a client sends first (RFC 9113, Section 3.4).
const h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// h2ConnError ends the connection (RFC 9113, Section 5.4.1).
type h2ConnError struct {
	code   h2Code
	reason Reason
	text   string // what the peer did, with the section that forbids it
}

func (e *h2ConnError) Error() string {
	return fmt.Sprintf("HTTP/2 connection error %d, %s: %s", e.code, e.reason, e.text)
}

// h2StreamError ends one stream (RFC 9113, Section 5.4.2).
type h2StreamError struct {
	stream uint32
	code   h2Code
	reason Reason
}

func (e *h2StreamError) Error() string {
	return fmt.Sprintf("HTTP/2 stream %d error %d: %s", e.stream, e.code, e.reason)
}

func h2Broken(text string) error { return &h2ConnError{h2ProtocolError, ReasonH2Protocol, text} }
func h2Missized(text string) error {
	return &h2ConnError{h2FrameSizeError, ReasonH2FrameSize, text}
}

// h2Frame is a frame header.
type h2Frame struct {
	length int
	typ    h2Type
	flags  uint8
	stream uint32
}

func (f h2Frame) has(flag uint8) bool { return f.flags&flag != 0 }

// parseH2Frame reads the 9 bytes of a frame header (RFC 9113, Section 4.1).
func parseH2Frame(b []byte) h2Frame {
	return h2Frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		typ:    h2Type(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & h2MaxStreamID, // the reserved bit is ignored
	}
}

func appendH2Frame(b []byte, length int, typ h2Type, flags uint8, stream uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(typ), flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

func appendH2Setting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}

func appendH2Reset(b []byte, stream uint32, code h2Code) []byte {
	b = appendH2Frame(b, 4, h2RSTStream, 0, stream)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendH2WindowUpdate(b []byte, stream, n uint32) []byte {
	b = appendH2Frame(b, 4, h2WindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(b, n)
}

func appendH2GoAway(b []byte, last uint32, code h2Code) []byte {
	b = appendH2Frame(b, 8, h2GoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// unpad takes the padding off the payload of a HEADERS frame (RFC 9113, Section
// 6.2). DATA frames are read bit by bit and do it themselves.
func (f h2Frame) unpad(p []byte) ([]byte, error) {
	if !f.has(h2FlagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, h2Missized("a padded frame without its pad length (RFC 9113, Section 6.2)")
	}
	pad := int(p[0])
	if pad >= len(p) {
		return nil, h2Broken("padding as long as the frame (RFC 9113, Section 6.2)")
	}
	return p[1 : len(p)-pad], nil
}
