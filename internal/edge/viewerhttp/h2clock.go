package viewerhttp

import "time"

// onTick looks for all that takes too long. One clock for a connection is cheaper
// than a deadline for every read and write; the price is that a limit may be
// exceeded by a tick.
func (c *h2Conn) onTick() {
	now := c.e.now()
	c.mu.Lock()
	if c.broken {
		c.mu.Unlock()
		return
	}
	found := c.sweep(now)
	next := c.tick
	c.clockSlow = c.quiet()
	if c.clockSlow {
		next = max(next, c.idleSince.Add(c.lim.IdleTimeout).Sub(now))
	}
	c.clock.Reset(next)
	broken := c.broken
	c.mu.Unlock()
	if broken {
		c.conn.Close() // wakes the reader and the writer
	}
	for _, r := range found {
		c.e.reject(r)
	}
}

// quiet reports whether the next thing that can take too long is the idle time.
func (c *h2Conn) quiet() bool {
	return len(c.streams) == 0 && c.acked && c.readBy.IsZero() && !c.writing && c.parked == 0 && c.leaving == h2Staying && !c.closing
}

// hurryClock makes the clock tick again after quiet times.
func (c *h2Conn) hurryClock() {
	c.clockSlow = false
	c.clock.Reset(c.tick)
}

// sweep ends what takes too long, and returns what the Observer is to know.
func (c *h2Conn) sweep(now time.Time) (found []Rejection) {
	late := func(by time.Time) bool { return !by.IsZero() && now.After(by) }
	switch {
	case !c.writeSince.IsZero() && now.Sub(c.writeSince) > c.lim.WriteStallTimeout:
		if !c.closing {
			found = append(found, c.rejection(ReasonWriteStall))
		}
		c.closing, c.broken = true, true
		c.abandon()
		return found
	case late(c.closeBy) && !c.shut:
		c.broken = true
		c.abandon()
		return nil
	case c.closing:
		return nil
	case late(c.readBy):
		return c.giveUp(h2NoError, c.readReason)
	case c.begun && !c.acked && now.Sub(c.opened) > h2SettingsPatience:
		return c.giveUp(h2SettingsTimeout, ReasonH2SettingsTimeout)
	case c.stall.add(c.heldUp(), c.tick, c.sentData, c.lim.WriteStallTimeout):
		return c.giveUp(h2EnhanceYourCalm, ReasonWriteStall)
	case len(c.streams) == 0 && !c.resting && now.Sub(c.idleSince) >= c.tick:
		c.rest()
	}
	switch {
	case c.leaving == h2Announced && now.Sub(c.goAwayAt) > h2GoAwayPause:
		c.leave()
	case len(c.streams) == 0 && now.Sub(c.idleSince) >= c.lim.IdleTimeout:
		if c.served == 0 {
			found = append(found, c.rejection(ReasonSilent))
		}
		c.leave()
	}
	for _, st := range c.streams {
		found = c.sweepStream(st, now, found)
	}
	return found
}

// heldUp reports whether the connection's window is what keeps streams from sending.
func (c *h2Conn) heldUp() bool {
	if c.sendWin > 0 {
		return false
	}
	for _, st := range c.streams {
		if st.sendWin > 0 && (len(st.pending) > 0 || st.pulling) {
			return true
		}
	}
	return false
}

func (c *h2Conn) giveUp(code h2Code, reason Reason) []Rejection {
	c.failLocked(code)
	return []Rejection{c.rejection(reason)}
}

func (c *h2Conn) sweepStream(st *h2Stream, now time.Time, found []Rejection) []Rejection {
	if b := &st.body; b.waiting && now.Sub(b.since) > c.lim.BodyIdleTimeout {
		b.fail(&BodyError{Status: ReasonBodyTimeout.status(), Reason: ReasonBodyTimeout})
	}
	heldUp := st.sendWin <= 0 && (len(st.pending) > 0 || st.pulling)
	if !st.stall.add(heldUp, c.tick, st.sent, c.lim.WriteStallTimeout) {
		return found
	}
	c.resetStream(st, h2Cancel)
	return append(found, st.rejection(0, ReasonWriteStall))
}
