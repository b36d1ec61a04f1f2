package viewerhttp

import (
	"errors"
	"io"

	"github.com/quic-go/quic-go/quicvarint"
)

// The frame types (RFC 9114, Section 7.2; RFC 9218, Section 7.2).
const (
	h3Data            = 0x0
	h3Headers         = 0x1
	h3CancelPush      = 0x3
	h3Settings        = 0x4
	h3PushPromise     = 0x5
	h3GoAway          = 0x7
	h3MaxPushID       = 0xd
	h3PriorityRequest = 0xf0700
	h3PriorityPush    = 0xf0701
)

// The settings (RFC 9114, Section 7.2.4.1; RFC 9204, Section 5).
const (
	h3SetMaxTable      = 0x1
	h3SetMaxField      = 0x6
	h3SetMaxBlocked    = 0x7
	h3MaxSettingsBytes = 1024 // far more than anybody sends
)

// h3FrameKind sorts the frame types.
type h3FrameKind uint8

const (
	h3Known   h3FrameKind = iota
	h3FromH2              // reserved, because HTTP/2 had them: an error (RFC 9114, Section 7.2.8)
	h3Unknown             // to be skipped (RFC 9114, Section 9)
)

func h3KindOf(typ uint64) h3FrameKind {
	switch typ {
	case h3Data, h3Headers, h3CancelPush, h3Settings, h3PushPromise, h3GoAway, h3MaxPushID,
		h3PriorityRequest, h3PriorityPush:
		return h3Known
	case 0x2, 0x6, 0x8, 0x9:
		return h3FromH2
	}
	return h3Unknown
}

// h3Input reads one stream through a buffer. It tells a clean end, io.EOF, from one
// in the middle of something, io.ErrUnexpectedEOF.
type h3Input struct {
	src  io.Reader
	buf  []byte
	r, w int
	err  error // of src, once buf is used up
}

// fill reads more when the buffer is empty.
func (in *h3Input) fill() error {
	for in.r == in.w {
		if in.err != nil {
			return in.err
		}
		in.r, in.w = 0, 0
		var n int
		n, in.err = in.src.Read(in.buf)
		in.w = n
	}
	return nil
}

// ReadByte implements io.ByteReader.
func (in *h3Input) ReadByte() (byte, error) {
	if in.r == in.w {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	b := in.buf[in.r]
	in.r++
	return b, nil
}

// Read implements io.Reader. Large reads go past the buffer.
func (in *h3Input) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if in.r < in.w || len(p) < len(in.buf) {
		if err := in.fill(); err != nil {
			return 0, err
		}
		n := copy(p, in.buf[in.r:in.w])
		in.r += n
		return n, nil
	}
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.src.Read(p)
	if err != nil {
		in.err = err
		if n > 0 {
			err = nil
		}
	}
	return n, err
}

// ended reports whether the stream is known to be over.
func (in *h3Input) ended() bool { return in.r == in.w && in.err == io.EOF }

// full reads exactly len(p) bytes.
func (in *h3Input) full(p []byte) error {
	_, err := io.ReadFull(in, p)
	return noCleanEnd(err)
}

// take returns the next n bytes, from the buffer itself where they are all there.
// They are good until the next call. get makes room for others.
func (in *h3Input) take(n int, get func(int) []byte) ([]byte, error) {
	if in.w-in.r >= n {
		p := in.buf[in.r : in.r+n]
		in.r += n
		return p, nil
	}
	p := get(n)
	return p, in.full(p)
}

// skip throws n bytes away.
func (in *h3Input) skip(n uint64) error {
	for n > 0 {
		if err := in.fill(); err != nil {
			return noCleanEnd(err)
		}
		m := min(n, uint64(in.w-in.r))
		in.r += int(m)
		n -= m
	}
	return nil
}

// varint reads an integer that must be there.
func (in *h3Input) varint() (uint64, error) {
	n, err := quicvarint.Read(in)
	return n, noCleanEnd(err)
}

// frame reads the head of a frame; io.EOF when the stream ended before it.
func (in *h3Input) frame() (typ, length uint64, err error) {
	if err := in.fill(); err != nil {
		return 0, 0, err
	}
	if typ, err = in.varint(); err != nil {
		return 0, 0, err
	}
	length, err = in.varint()
	return typ, length, err
}

func noCleanEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isCut reports whether a stream ended cleanly in the middle of a frame, which is a
// connection error (RFC 9114, Section 7.1).
func isCut(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }

func appendH3Frame(dst []byte, typ, length uint64) []byte {
	return quicvarint.Append(quicvarint.Append(dst, typ), length)
}

// appendH3Hello appends what begins our control stream: its type and SETTINGS, with
// one setting of a reserved kind to keep viewers used to unknown ones (RFC 9114,
// Sections 6.2.1, 7.2.4 and 7.2.4.1).
func appendH3Hello(dst []byte, headBytes int) []byte {
	var s []byte
	for _, p := range [...]struct{ id, value uint64 }{
		{h3SetMaxTable, 0}, {h3SetMaxBlocked, 0}, {h3SetMaxField, uint64(headBytes)}, {0x1f*33 + 0x21, 0},
	} {
		s = quicvarint.Append(quicvarint.Append(s, p.id), p.value)
	}
	dst = quicvarint.Append(dst, h3ControlStream)
	return append(appendH3Frame(dst, h3Settings, uint64(len(s))), s...)
}

// checkH3Settings checks a viewer's SETTINGS. None of them changes what we send: we
// use no dynamic table, and answer with heads of far less than any limit.
func checkH3Settings(p []byte) error {
	seen := make(map[uint64]bool)
	for len(p) > 0 {
		id, n, err := quicvarint.Parse(p)
		if err != nil {
			return h3BadFrame("SETTINGS end in the middle of a setting")
		}
		value, m, err := quicvarint.Parse(p[n:])
		if err != nil {
			return h3BadFrame("SETTINGS end in the middle of a setting")
		}
		p = p[n+m:]
		switch {
		case seen[id]:
			return &h3ConnError{h3SettingsError, ReasonH3Settings, "a setting occurs twice"}
		case 0x2 <= id && id <= 0x5:
			return &h3ConnError{h3SettingsError, ReasonH3Settings, "a setting of HTTP/2"}
		case id == 0x8 && value > 1, id == 0x33 && value > 1: // RFC 9220, Section 3; RFC 9297, Section 2.1.1
			return &h3ConnError{h3SettingsError, ReasonH3Settings, "a setting that must be 0 or 1"}
		}
		seen[id] = true
	}
	return nil
}
