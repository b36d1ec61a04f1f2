package viewerhttp

// onFields handles HEADERS and CONTINUATION (RFC 9113, Sections 6.2 and 6.10).
func (c *h2Conn) onFields(f h2Frame) error {
	p := c.in.buf[c.in.r : c.in.r+f.length]
	c.in.r += f.length
	b := &c.block
	if f.typ == h2Continuation {
		if b.stream == 0 {
			return h2Broken("CONTINUATION without HEADERS (RFC 9113, Section 6.10)")
		}
	} else {
		if f.stream%2 == 0 {
			return h2Broken("HEADERS on a stream that a client cannot open (RFC 9113, Section 5.1.1)")
		}
		var err error
		if p, err = f.unpad(p); err != nil {
			return err
		}
		*b = h2Block{stream: f.stream, endStream: f.has(h2FlagEndStream), buf: b.buf[:0]}
		if f.has(h2FlagPriority) {
			if len(p) < 5 {
				return h2Missized("HEADERS too short for its priority (RFC 9113, Section 6.2)")
			}
			b.selfDep = selfDependent(f.stream, p)
			p = p[5:]
		}
	}
	b.frames++
	if b.frames > h2BlockFrames || len(b.buf)+len(p) > h2BlockBytes {
		return &h2ConnError{h2EnhanceYourCalm, ReasonH2ContinuationFlood, "a field block of too many frames or bytes"}
	}
	if f.has(h2FlagEndHeaders) && b.frames == 1 {
		return c.onBlock(p, h2HeaderLen+f.length)
	}
	b.buf = append(b.buf, p...)
	if !f.has(h2FlagEndHeaders) {
		c.expectBy(c.lim.HeaderTimeout, ReasonHeaderTimeout)
		return nil
	}
	c.arrived()
	err := c.onBlock(b.buf, b.frames*h2HeaderLen+len(b.buf))
	b.buf = nil // an idle connection need not keep what is rarely used
	return err
}

// onBlock handles a complete field block that took size bytes on the wire.
func (c *h2Conn) onBlock(block []byte, size int) error {
	b := &c.block
	id, endStream := b.stream, b.endStream
	b.stream = 0
	c.mu.Lock()
	role, st, err := c.roleOf(id)
	served := c.served
	if err == nil && role == h2NewRequest {
		c.maxID = id
		c.served++
		c.resets.opened++
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if role == h2NewRequest {
		st = &h2Stream{c: c, id: id}
	}
	c.head.begin(id, st, role == h2Trailers, &c.lim)
	if err := c.dec.Decode(block, c.head.emit); err != nil {
		return &h2ConnError{h2CompressionError, ReasonH2Compression, err.Error()}
	}
	switch role {
	case h2NewRequest:
		if b.selfDep {
			return &h2StreamError{id, h2ProtocolError, ReasonH2Protocol} // RFC 7540, Section 5.3.1
		}
		st.req.Conn, st.req.Proto, st.req.Received = c.info, HTTP2, c.e.now()
		st.req.HeadBytes, st.req.First = int64(size), served == 0
		return c.onRequest(st, endStream)
	case h2Trailers:
		return c.onTrailers(st, endStream)
	case h2Unwanted:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.spend(h2CostFrame, ReasonH2FrameFlood)
	}
	return &h2StreamError{id, h2StreamClosed, ReasonH2StreamClosed}
}

// h2Role is what a field block is.
type h2Role uint8

const (
	h2NewRequest h2Role = iota
	h2Trailers
	h2Unwanted // on its way when we reset the stream, or above the last GOAWAY
	h2TooLate  // for a stream whose request was complete
)

// roleOf obeys RFC 9113, Sections 5.1 and 5.1.1. c.mu is held.
func (c *h2Conn) roleOf(id uint32) (h2Role, *h2Stream, error) {
	if c.closing {
		return 0, nil, errH2Closing
	}
	if st := c.streams[id]; st != nil {
		if st.remoteDone {
			return h2TooLate, nil, nil
		}
		return h2Trailers, st, nil
	}
	switch {
	case c.ignored(id):
		return h2Unwanted, nil, nil
	case id > c.maxID:
		return h2NewRequest, nil, nil
	}
	switch c.howEnded(id) {
	case h2ByUs:
		return h2Unwanted, nil, nil
	case h2Never:
		return 0, nil, h2Broken("a new stream with an id below earlier ones (RFC 9113, Section 5.1.1)")
	}
	return 0, nil, &h2ConnError{h2StreamClosed, ReasonH2StreamClosed, "HEADERS on a closed stream (RFC 9113, Section 5.1)"}
}

// onRequest opens a stream, or refuses to.
func (c *h2Conn) onRequest(st *h2Stream, endStream bool) error {
	h := &c.head
	h.finish(c, endStream)
	st.label()
	if h.malformed != "" {
		return &h2StreamError{st.id, h2ProtocolError, h.malformed}
	}
	if h.refused != "" {
		status := h.refused.status()
		st.refused = c.e.errorPage(status, h.refused)
		st.report(status, h.refused)
	}
	st.ctx.base = c.base
	st.body.st = st
	st.body.readable.L, st.writable.L = &c.mu, &c.mu
	st.recvWin = h2StreamRecv
	st.remoteDone = endStream
	st.prio = h2NoPrio
	if h.hasPrio {
		st.prio = h.prio
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return errH2Closing
	}
	if len(c.streams) >= h2MaxConcurrent {
		return &h2StreamError{st.id, h2RefusedStream, ReasonH2TooManyStreams}
	}
	st.sendWin = c.peerWindow
	c.takeEarly(st)
	c.open(st)
	h.forget() // it is the Handler's now
	return nil
}

// takeEarly applies a PRIORITY_UPDATE that came before its stream, the last one of
// several, and forgets those of streams that can come no more.
func (c *h2Conn) takeEarly(st *h2Stream) {
	kept := c.early[:0]
	for _, e := range c.early {
		if e.id == st.id {
			st.prio = e.prio
		}
		if e.id > st.id {
			kept = append(kept, e)
		}
	}
	c.early = kept
}

// onTrailers checks a trailer section and forgets it: CloudFront drops trailers (RFC
// 9110, Section 6.5.1 allows it).
func (c *h2Conn) onTrailers(st *h2Stream, endStream bool) error {
	h := &c.head
	reason := h.malformed
	switch {
	case !endStream:
		reason = ReasonBadTrailer // RFC 9113, Section 8.1
	case reason == "" && h.refused != "":
		reason = ReasonBadTrailer // too large
	}
	h.forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason == "" && st.body.left > 0 {
		reason = ReasonBodyLength
	}
	if reason != "" {
		return &h2StreamError{st.id, h2ProtocolError, reason}
	}
	c.endBody(st)
	return nil
}
