package viewerhttp

import (
	"encoding/binary"
	"errors"
	"time"
)

// h2Block is a field block that arrives in several frames.
type h2Block struct {
	stream    uint32 // 0: none is open
	endStream bool
	selfDep   bool
	frames    int
	buf       []byte
}

// h2Early is a PRIORITY_UPDATE that came before its stream.
type h2Early struct {
	id   uint32
	prio h2Prio
}

// read reads frames until the connection ends. An error of type *h2ConnError is the
// viewer's fault; others say that nothing more can be read.
func (c *h2Conn) read() error {
	if err := c.readPreface(); err != nil {
		return err
	}
	for first := true; ; first = false {
		f, err := c.nextFrame()
		if err != nil {
			return err
		}
		if first && (f.typ != h2Settings || f.has(h2FlagAck)) {
			return &h2ConnError{h2ProtocolError, ReasonH2BadPreface, "the first frame is not SETTINGS (RFC 9113, Section 3.4)"}
		}
		if err = c.onFrame(f); err == nil {
			continue
		}
		var stream *h2StreamError
		if errors.As(err, &stream) {
			err = c.onStreamError(stream)
		}
		if err != nil {
			return err
		}
	}
}

func (c *h2Conn) readPreface() error {
	for n := 1; n <= len(h2Preface); n++ {
		b, err := c.in.some(n)
		if err != nil {
			return err
		}
		n = min(len(b), len(h2Preface))
		if string(b[:n]) != h2Preface[:n] {
			return &h2ConnError{h2ProtocolError, ReasonH2BadPreface, "the connection does not begin with the preface (RFC 9113, Section 3.4)"}
		}
		c.mu.Lock()
		c.readReason = ReasonHeaderTimeout // it is not silent any more
		c.mu.Unlock()
	}
	c.in.r += len(h2Preface)
	return nil
}

// nextFrame reads a frame header and, but for DATA, makes sure that the payload is
// in the buffer, at c.in.r.
func (c *h2Conn) nextFrame() (h2Frame, error) {
	b, err := c.in.some(1)
	if err != nil {
		return h2Frame{}, err
	}
	slow := len(b) < h2HeaderLen
	if slow {
		c.expectBy(c.lim.HeaderTimeout, ReasonHeaderTimeout)
		if b, err = c.in.some(h2HeaderLen); err != nil {
			return h2Frame{}, err
		}
	}
	f := parseH2Frame(b)
	if f.length > h2MaxFrame {
		return f, h2Missized("a frame larger than SETTINGS_MAX_FRAME_SIZE (RFC 9113, Section 4.2)")
	}
	if c.block.stream != 0 && (f.typ != h2Continuation || f.stream != c.block.stream) {
		return f, h2Broken("a frame in the middle of a field block (RFC 9113, Section 6.10)")
	}
	if f.typ != h2Data && len(b) < h2HeaderLen+f.length {
		slow = true
		c.expectBy(c.lim.HeaderTimeout, ReasonHeaderTimeout)
		if _, err = c.in.some(h2HeaderLen + f.length); err != nil {
			return f, err
		}
	}
	c.in.r += h2HeaderLen
	if slow && c.block.stream == 0 {
		c.arrived()
	}
	return f, nil
}

// expectBy sets the time by which the frame or block that has begun must be there,
// unless it is set: a byte now and then does not move it.
func (c *h2Conn) expectBy(d time.Duration, reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.readBy.IsZero() && reason != ReasonBodyTimeout {
		return
	}
	c.readBy, c.readReason = c.e.now().Add(d), reason
	if c.clockSlow {
		c.hurryClock()
	}
}

// arrived takes back expectBy.
func (c *h2Conn) arrived() {
	c.mu.Lock()
	c.readBy = time.Time{}
	c.mu.Unlock()
}

// errH2Closing ends the reader of a connection that is closing anyway.
var errH2Closing = errors.New("the connection is closing")

// onFrame handles one frame. The payload of all but DATA is in the buffer.
func (c *h2Conn) onFrame(f h2Frame) error {
	switch f.typ {
	case h2Data:
		return c.onData(f)
	case h2Headers, h2Continuation:
		return c.onFields(f)
	}
	p := c.in.buf[c.in.r : c.in.r+f.length]
	c.in.r += f.length
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return errH2Closing
	}
	switch f.typ {
	case h2Settings:
		return c.onSettings(f, p)
	case h2Ping:
		return c.onPing(f, p)
	case h2WindowUpdate:
		return c.onWindowUpdate(f, p)
	case h2RSTStream:
		return c.onReset(f)
	case h2Priority:
		return c.onPriority(f, p)
	case h2PriorityUpdate:
		return c.onPriorityUpdate(f, p)
	case h2GoAway:
		return c.onGoAway(f)
	case h2PushPromise:
		return h2Broken("PUSH_PROMISE from a client (RFC 9113, Section 8.4)")
	}
	return c.spend(h2CostFrame, ReasonH2FrameFlood) // unknown types are ignored (RFC 9113, Section 5.5)
}

// spend pays for a frame that carries nothing. c.mu is held, as in all that follows.
func (c *h2Conn) spend(cost int, reason Reason) error {
	if c.budget.spend(cost, c.e.now) {
		return nil
	}
	return &h2ConnError{h2EnhanceYourCalm, reason, "more of such frames than the work on the connection explains"}
}

// onSettings obeys RFC 9113, Section 6.5.
func (c *h2Conn) onSettings(f h2Frame, p []byte) error {
	if f.stream != 0 {
		return h2Broken("SETTINGS on a stream (RFC 9113, Section 6.5)")
	}
	if err := c.spend(h2CostSettings+len(p)/6, ReasonH2SettingsFlood); err != nil {
		return err
	}
	if f.has(h2FlagAck) {
		if len(p) > 0 {
			return h2Missized("SETTINGS with ACK and a payload (RFC 9113, Section 6.5)")
		}
		c.acked = true
		return nil
	}
	if len(p)%6 != 0 {
		return h2Missized("SETTINGS of a size that is no multiple of 6 (RFC 9113, Section 6.5)")
	}
	for ; len(p) > 0; p = p[6:] {
		if err := c.onSetting(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); err != nil {
			return err
		}
	}
	if !c.begun {
		c.begun, c.opened = true, c.e.now()
		c.readBy = time.Time{} // the preface is complete
	}
	c.queue(appendH2Frame(c.buffer(), 0, h2Settings, h2FlagAck, 0))
	return nil
}

// onSetting obeys RFC 9113, Section 6.5.2. Unknown settings are ignored, and those
// that only matter to a server's pushes and promises.
func (c *h2Conn) onSetting(id uint16, value uint32) error {
	switch id {
	case h2SetHeaderTableSize:
		c.enc.SetPeerTableSize(value)
	case h2SetEnablePush, h2SetNoRFC7540Priority:
		if value > 1 {
			return h2Broken("a setting that is neither 0 nor 1 (RFC 9113, Section 6.5.2; RFC 9218, Section 2.1)")
		}
	case h2SetMaxFrame:
		if value < h2MaxFrame || value > 1<<24-1 {
			return h2Broken("SETTINGS_MAX_FRAME_SIZE out of range (RFC 9113, Section 6.5.2)")
		}
	case h2SetInitialWindow:
		if value > h2MaxWindow {
			return &h2ConnError{h2FlowControlError, ReasonH2FlowControl, "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1 (RFC 9113, Section 6.5.2)"}
		}
		return c.moveWindows(int64(value))
	}
	return nil
}

// moveWindows changes the windows of all streams, which may become negative (RFC
// 9113, Section 6.9.2).
func (c *h2Conn) moveWindows(size int64) error {
	delta := size - c.peerWindow
	c.peerWindow = size
	for _, st := range c.streams {
		if st.sendWin += delta; st.sendWin > h2MaxWindow {
			return &h2ConnError{h2FlowControlError, ReasonH2FlowControl, "a setting makes a window larger than 2^31-1 (RFC 9113, Section 6.9.2)"}
		}
		c.windowMoved(st)
	}
	return nil // the answer to SETTINGS wakes the writer
}

// windowMoved lets st send, or keeps it from it.
func (c *h2Conn) windowMoved(st *h2Stream) {
	if st.sendWin <= 0 {
		c.unready(st)
		return
	}
	c.makeReady(st)
	if st.pulling {
		st.writable.Signal()
	}
}

// onPing obeys RFC 9113, Section 6.7.
func (c *h2Conn) onPing(f h2Frame, p []byte) error {
	if f.stream != 0 {
		return h2Broken("PING on a stream (RFC 9113, Section 6.7)")
	}
	if len(p) != 8 {
		return h2Missized("PING of a size other than 8 (RFC 9113, Section 6.7)")
	}
	if err := c.spend(h2CostFrame, ReasonH2PingFlood); err != nil {
		return err
	}
	if !f.has(h2FlagAck) {
		c.queue(append(appendH2Frame(c.buffer(), 8, h2Ping, h2FlagAck, 0), p...))
	} else if c.leaving == h2Announced && string(p) == h2DrainPing {
		c.leave()
	}
	return nil
}

// onWindowUpdate obeys RFC 9113, Section 6.9.
func (c *h2Conn) onWindowUpdate(f h2Frame, p []byte) error {
	if len(p) != 4 {
		return h2Missized("WINDOW_UPDATE of a size other than 4 (RFC 9113, Section 6.9)")
	}
	if err := c.spend(h2CostFrame, ReasonH2WindowFlood); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(p) & h2MaxWindow)
	if f.stream == 0 {
		c.sendWin += n
		switch {
		case n == 0:
			return h2Broken("WINDOW_UPDATE of 0 (RFC 9113, Section 6.9)")
		case c.sendWin > h2MaxWindow:
			return &h2ConnError{h2FlowControlError, ReasonH2FlowControl, "a window above 2^31-1 (RFC 9113, Section 6.9.1)"}
		case c.sendWin <= n: // it was closed
			c.kick()
		}
		c.wake()
		return nil
	}
	st := c.streams[f.stream]
	switch {
	case st == nil && c.idle(f.stream) && !c.ignored(f.stream):
		return h2Broken("WINDOW_UPDATE on an idle stream (RFC 9113, Section 5.1)")
	case st == nil:
		return nil // it may have been on its way (RFC 9113, Section 5.1)
	case n == 0:
		return &h2StreamError{f.stream, h2ProtocolError, ReasonH2Protocol}
	case st.sendWin+n > h2MaxWindow:
		return &h2StreamError{f.stream, h2FlowControlError, ReasonH2FlowControl}
	}
	st.sendWin += n
	c.windowMoved(st)
	c.wake()
	return nil
}

// onReset obeys RFC 9113, Section 6.4.
func (c *h2Conn) onReset(f h2Frame) error {
	if f.length != 4 {
		return h2Missized("RST_STREAM of a size other than 4 (RFC 9113, Section 6.4)")
	}
	st := c.streams[f.stream]
	switch {
	case st != nil:
		c.drop(st, h2ByViewer)
		return c.noteReset()
	case c.idle(f.stream) && !c.ignored(f.stream):
		return h2Broken("RST_STREAM on an idle stream (RFC 9113, Section 6.4)")
	}
	c.noteViewerReset(f.stream)
	return c.spend(h2CostFrame, ReasonH2FrameFlood)
}

// noteReset counts a request that came to nothing.
func (c *h2Conn) noteReset() error {
	if c.resets.note(c.e.now) {
		return nil
	}
	return &h2ConnError{h2EnhanceYourCalm, ReasonH2RapidReset, "most requests are cancelled or broken"}
}

// onPriority checks what RFC 9113, Section 6.3 still demands; the content is
// ignored, as Section 5.3.2 has it and our SETTINGS say.
func (c *h2Conn) onPriority(f h2Frame, p []byte) error {
	if err := c.spend(h2CostFrame, ReasonH2PriorityFlood); err != nil {
		return err
	}
	switch {
	case f.stream == 0:
		return h2Broken("PRIORITY without a stream (RFC 9113, Section 6.3)")
	case len(p) != 5 && c.streams[f.stream] != nil:
		return &h2StreamError{f.stream, h2FrameSizeError, ReasonH2FrameSize}
	case len(p) != 5:
		return h2Missized("PRIORITY of a size other than 5 (RFC 9113, Section 6.3)")
	case selfDependent(f.stream, p):
		return h2Broken("a stream that depends on itself (RFC 7540, Section 5.3.1)")
	}
	return nil
}

// selfDependent looks at the five bytes of an RFC 7540 priority.
func selfDependent(stream uint32, p []byte) bool {
	return binary.BigEndian.Uint32(p)&h2MaxStreamID == stream
}

// onPriorityUpdate obeys RFC 9218, Section 7.1.
func (c *h2Conn) onPriorityUpdate(f h2Frame, p []byte) error {
	if err := c.spend(h2CostFrame, ReasonH2PriorityFlood); err != nil {
		return err
	}
	switch {
	case f.stream != 0:
		return h2Broken("PRIORITY_UPDATE on a stream (RFC 9218, Section 7.1)")
	case len(p) < 4:
		return h2Missized("PRIORITY_UPDATE without a stream (RFC 9218, Section 7.1)")
	}
	id := binary.BigEndian.Uint32(p) & h2MaxStreamID
	if id%2 == 0 {
		return h2Broken("PRIORITY_UPDATE for a stream that the viewer cannot open (RFC 9218, Section 7.1)")
	}
	prio, ok := parsePriority(string(p[4:]))
	switch st := c.streams[id]; {
	case !ok:
	case st != nil:
		st.prio = prio
	case id > c.maxID && len(c.early) < h2EarlyPriorities:
		c.early = append(c.early, h2Early{id, prio})
	}
	return nil
}

// onGoAway obeys RFC 9113, Section 6.8: streams in flight go on.
func (c *h2Conn) onGoAway(f h2Frame) error {
	if f.stream != 0 {
		return h2Broken("GOAWAY on a stream (RFC 9113, Section 6.8)")
	}
	if f.length < 8 {
		return h2Missized("GOAWAY of a size below 8 (RFC 9113, Section 6.8)")
	}
	if err := c.spend(h2CostFrame, ReasonH2FrameFlood); err != nil {
		return err
	}
	c.leave() // the viewer opens no more streams; we need not wait for it to hang up
	return nil
}

// onStreamError ends one stream. c.mu is not held.
func (c *h2Conn) onStreamError(e *h2StreamError) error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return errH2Closing
	}
	st := c.streams[e.stream]
	if st != nil {
		c.resetStream(st, e.code)
	} else {
		c.remember(e.stream, h2ByUs)
		c.queue(appendH2Reset(c.buffer(), e.stream, e.code))
	}
	err := c.noteReset()
	c.mu.Unlock()
	if st == nil {
		st = c.head.readFor(c, e.stream)
	}
	st.report(0, e.reason)
	return err
}
