package viewerhttp

import (
	"context"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// acceptUni starts a goroutine for each of the viewer's unidirectional streams.
func (c *h3Conn) acceptUni() {
	budget := h2Budget{tokens: h2BudgetMax, at: c.e.now()}
	for {
		str, err := c.qc.AcceptUniStream(context.Background()) // ends with the connection
		if err != nil {
			return
		}
		if !budget.spend(10, c.e.now) {
			c.fail(&h3ConnError{h3ExcessiveLoad, ReasonH3FrameFlood, "too many unidirectional streams"})
			return
		}
		c.wg.Go(func() {
			defer str.ReleaseStreamCredit()
			c.failWith(c.serveUni(str))
		})
	}
}

// serveUni finds out what a stream is for (RFC 9114, Section 6.2).
func (c *h3Conn) serveUni(str *quic.ReceiveStream) error {
	in := &h3Input{src: str, buf: make([]byte, 64)}
	kind, err := quicvarint.Read(in)
	if err != nil {
		return nil // ended before its type was known, which is allowed
	}
	switch kind {
	case h3PushStream:
		return &h3ConnError{h3StreamCreationError, ReasonH3StreamCreation, "only a server pushes"}
	case h3ControlStream, qpackEncoder, qpackDecoder:
	default:
		str.CancelRead(h3StreamCreationError)
		return nil
	}
	c.mu.Lock()
	twice := c.uni[kind]
	c.uni[kind] = true
	c.mu.Unlock()
	if twice {
		return &h3ConnError{h3StreamCreationError, ReasonH3StreamCreation, "a second stream of a kind that comes once"}
	}
	switch kind {
	case h3ControlStream:
		err = c.readControl(in)
	case qpackEncoder:
		err = c.readQPACKEncoder(in)
	case qpackDecoder:
		err = c.readQPACKDecoder(in)
	}
	return criticalEnd(err)
}

// criticalEnd judges the end of a stream that must not end but with the connection
// (RFC 9114, Section 6.2.1).
func criticalEnd(err error) error {
	if isStreamEnd(err) {
		return &h3ConnError{h3ClosedCriticalStream, ReasonH3ClosedCritical, "a critical stream was closed"}
	}
	return err
}

// h3ControlFrameBytes: frames on the control stream are rare and small.
const h3ControlFrameBytes = 4 << 10

// readControl reads the viewer's control stream (RFC 9114, Section 6.2.1).
func (c *h3Conn) readControl(in *h3Input) error {
	budget := h2Budget{tokens: h2BudgetMax, at: c.e.now()}
	cs := h3Control{c: c, in: in, pushID: -1, goAway: -1}
	for first := true; ; first = false {
		typ, length, err := in.frame()
		if err != nil {
			return err // the stream's end; in the middle of a frame or not makes no difference
		}
		if first && typ != h3Settings {
			return &h3ConnError{h3MissingSettings, ReasonH3Settings, "the control stream does not begin with SETTINGS"}
		}
		if !budget.spend(1+int(min(length, 1<<20))/64, c.e.now) {
			return &h3ConnError{h3ExcessiveLoad, ReasonH3FrameFlood, "too many frames on the control stream"}
		}
		if h3KindOf(typ) == h3Unknown {
			if err := in.skip(length); err != nil {
				return err
			}
			continue
		}
		if err := cs.onFrame(typ, length, first); err != nil {
			return err
		}
	}
}

// h3Control is what is remembered of a control stream.
type h3Control struct {
	c              *h3Conn
	in             *h3Input
	pushID, goAway int64
}

func (s *h3Control) onFrame(typ, length uint64, first bool) error {
	switch {
	case h3KindOf(typ) == h3FromH2:
		return h3Unexpected("a frame type of HTTP/2")
	case typ == h3Data, typ == h3Headers, typ == h3PushPromise:
		return h3Unexpected("a frame that has no place on a control stream")
	case typ == h3Settings && !first:
		return h3Unexpected("SETTINGS came twice")
	case length > h3ControlFrameBytes, typ == h3Settings && length > h3MaxSettingsBytes:
		return &h3ConnError{h3ExcessiveLoad, ReasonH3FrameFlood, "a frame on the control stream is too large"}
	}
	p := make([]byte, length)
	if err := s.in.full(p); err != nil {
		return err
	}
	if typ == h3Settings {
		return checkH3Settings(p)
	}
	id, n, err := quicvarint.Parse(p)
	if err != nil || typ != h3PriorityRequest && typ != h3PriorityPush && n != len(p) {
		return h3BadFrame("a frame on the control stream has a wrong size")
	}
	switch typ {
	case h3CancelPush, h3PriorityPush:
		// We never promise a push, so that no id can be right (RFC 9114, Section 7.2.3;
		// RFC 9218, Section 7.2).
		return &h3ConnError{h3IDError, ReasonH3Protocol, "a push that was never promised"}
	case h3MaxPushID:
		if int64(id) < s.pushID {
			return &h3ConnError{h3IDError, ReasonH3Protocol, "MAX_PUSH_ID became smaller"}
		}
		s.pushID = int64(id)
	case h3GoAway:
		if s.goAway >= 0 && int64(id) > s.goAway {
			return &h3ConnError{h3IDError, ReasonH3Protocol, "the id in GOAWAY became larger"}
		}
		s.goAway = int64(id)
	case h3PriorityRequest:
		if id%4 != 0 {
			return &h3ConnError{h3IDError, ReasonH3Protocol, "PRIORITY_UPDATE for what is no request"}
		}
		if prio, ok := parsePriority(string(p[n:])); ok {
			s.c.prioritize(quic.StreamID(id), prio)
		}
	}
	return nil
}

// readQPACKEncoder reads the stream that would fill our dynamic table, which has no
// room: all that may come is that its capacity is 0 (RFC 9204, Section 4.3.1).
func (c *h3Conn) readQPACKEncoder(in *h3Input) error {
	for n := 0; ; n++ {
		b, err := in.ReadByte()
		if err != nil {
			return err
		}
		if b != 0x20 || n == 100 {
			return &h3ConnError{qpackEncoderStream, ReasonH3Compression, "an instruction for a dynamic table that we do not have"}
		}
	}
}

// readQPACKDecoder reads the stream that would tell of our use of the viewer's
// dynamic table. We do not use it; only cancellations of streams may come (RFC 9204,
// Section 4.4.2).
func (c *h3Conn) readQPACKDecoder(in *h3Input) error {
	budget := h2Budget{tokens: h2BudgetMax, at: c.e.now()}
	for {
		b, err := in.ReadByte()
		if err != nil {
			return err
		}
		if b&0xc0 != 0x40 {
			return &h3ConnError{qpackDecoderStream, ReasonH3Compression, "an acknowledgment of what was never sent"}
		}
		if !budget.spend(1, c.e.now) {
			return &h3ConnError{h3ExcessiveLoad, ReasonH3FrameFlood, "too many stream cancellations"}
		}
		for more := b&0x3f == 0x3f; more; {
			if b, err = in.ReadByte(); err != nil {
				return err
			}
			if more = b&0x80 != 0; more && !budget.spend(1, c.e.now) {
				return &h3ConnError{qpackDecoderStream, ReasonH3Compression, "an endless integer"}
			}
		}
	}
}
