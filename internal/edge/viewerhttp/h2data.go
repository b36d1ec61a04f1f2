package viewerhttp

import "io"

// onData handles a DATA frame (RFC 9113, Section 6.1). Its payload is taken as it
// comes, so that no frame has to fit the buffer.
func (c *h2Conn) onData(f h2Frame) error {
	if f.stream == 0 {
		return h2Broken("DATA without a stream (RFC 9113, Section 6.1)")
	}
	rest, pad := f.length, 0
	if f.has(h2FlagPadded) {
		if rest == 0 {
			return h2Missized("a padded frame without its pad length (RFC 9113, Section 6.1)")
		}
		b, err := c.data(1)
		if err != nil {
			return err
		}
		c.in.r++
		rest, pad = rest-1, int(b[0])
		if pad > rest {
			return h2Broken("padding as long as the frame (RFC 9113, Section 6.1)")
		}
	}
	content := rest - pad
	c.mu.Lock()
	st, problem := c.admitData(f, content)
	if st != nil {
		c.giveBack(st, int64(f.length-content)) // padding is flow-controlled too
	} else {
		c.giveBackConn(int64(f.length))
	}
	c.mu.Unlock()
	if _, of := problem.(*h2StreamError); problem != nil && !of {
		return problem
	}
	if err := c.takeData(st, content); err != nil {
		return err
	}
	if err := c.takeData(nil, pad); err != nil {
		return err
	}
	if st != nil {
		c.mu.Lock()
		c.budget.moved(content)
		if f.has(h2FlagEndStream) {
			c.endBody(st)
		}
		c.mu.Unlock()
	}
	return problem
}

// endBody notes that the request is complete.
func (c *h2Conn) endBody(st *h2Stream) {
	if !st.gone {
		st.body.fail(io.EOF)
		c.endRemote(st)
	}
}

// admitData decides what to do with a DATA frame. A nil stream means that it is
// thrown away.
func (c *h2Conn) admitData(f h2Frame, content int) (*h2Stream, error) {
	if c.closing {
		return nil, errH2Closing
	}
	n := int64(f.length)
	if c.recvWin -= n; c.recvWin < 0 {
		return nil, &h2ConnError{h2FlowControlError, ReasonH2FlowControl, "DATA beyond the connection's window (RFC 9113, Section 6.9.1)"}
	}
	if content == 0 && !f.has(h2FlagEndStream) {
		if err := c.spend(h2CostFrame, ReasonH2EmptyDataFlood); err != nil {
			return nil, err
		}
	}
	st := c.streams[f.stream]
	if st == nil {
		switch {
		case c.ignored(f.stream):
			return nil, nil
		case c.idle(f.stream):
			return nil, h2Broken("DATA on an idle stream (RFC 9113, Section 5.1)")
		case c.howEnded(f.stream) == h2ByUs:
			return nil, c.spend(h2CostFrame, ReasonH2FrameFlood) // it was on its way
		}
		return nil, &h2StreamError{f.stream, h2StreamClosed, ReasonH2StreamClosed}
	}
	if st.remoteDone {
		return nil, &h2StreamError{f.stream, h2StreamClosed, ReasonH2StreamClosed}
	}
	if st.recvWin -= n; st.recvWin < 0 {
		return nil, &h2StreamError{f.stream, h2FlowControlError, ReasonH2FlowControl}
	}
	b := &st.body
	if b.left >= 0 {
		// RFC 9113, Section 8.1.1: the lengths must agree.
		b.left -= int64(content)
		if b.left < 0 || b.left > 0 && f.has(h2FlagEndStream) {
			return nil, &h2StreamError{f.stream, h2ProtocolError, ReasonBodyLength}
		}
	} else if b.got+int64(content) > c.lim.BodyBytes {
		b.fail(bodyRefused(ReasonBodyTooLarge))
	}
	return st, nil
}

// data returns payload of the current DATA frame, at least n bytes. A viewer that
// stops in the middle of a frame stops the whole connection.
func (c *h2Conn) data(n int) ([]byte, error) {
	if c.in.buffered() >= n {
		return c.in.some(n)
	}
	c.expectBy(c.lim.BodyIdleTimeout, ReasonBodyTimeout)
	b, err := c.in.some(n)
	if err == nil {
		c.arrived()
	}
	return b, err
}

// takeData moves n bytes of the frame to the body of st, or to nowhere.
func (c *h2Conn) takeData(st *h2Stream, n int) error {
	for n > 0 {
		b, err := c.data(1)
		if err != nil {
			return err
		}
		b = b[:min(n, len(b))]
		c.in.r += len(b)
		n -= len(b)
		if st == nil {
			continue
		}
		c.mu.Lock()
		if st.body.closed || st.body.err != nil {
			c.giveBackConn(int64(len(b)))
		} else {
			st.body.add(b)
		}
		c.mu.Unlock()
	}
	return nil
}
