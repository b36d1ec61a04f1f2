package viewerhttp

import "time"

// All of these are ours: what CloudFront uses is not known. Where it says so, they
// follow what other servers have found to serve browsers well.
const (
	// h2MaxConcurrent is announced, and also bounds the handlers that run: a handler
	// counts until it returns, whatever became of its stream. 128 is nginx's value;
	// RFC 9113, Section 6.5.2 asks for no less than 100.
	h2MaxConcurrent = 128
	// h2Parked is how many idle goroutines a busy connection keeps for the next requests:
	// about as many as a page asks for at once.
	h2Parked = 32
	// h2StreamRecv and h2ConnRecv bound what is buffered of request bodies: what the
	// Handler has not read is not acknowledged. 1 MiB carries 20 MB/s at 50 ms.
	h2StreamRecv = 256 << 10
	h2ConnRecv   = 1 << 20
	// h2MaxFrame is the smallest limit that one may announce (RFC 9113, Section
	// 4.2), and what we send at most: small frames let streams share the connection.
	h2MaxFrame = 16384

	// h2BlockFrames and h2BlockBytes bound one field block on the wire: four full
	// frames hold twice what SETTINGS_MAX_HEADER_LIST_SIZE allows uncompressed.
	h2BlockFrames = 32
	h2BlockBytes  = 64 << 10

	// h2OutBytes is one write: four full TLS records. h2OutHigh is where Respond waits
	// for the writer; the rest is for control frames.
	h2OutBytes = 64 << 10
	h2OutHigh  = 48 << 10
	// h2LeastPiece is the least that is worth a DATA frame at the end of a write.
	h2LeastPiece = 1 << 10
	// h2Chunk is one read of a Stream; h2Held bounds what is read but not written, for
	// all streams of a connection together.
	h2Chunk = 16 << 10
	h2Held  = 256 << 10

	// h2StallBytes must be taken within Limits.WriteStallTimeout by a stream (or
	// connection) whose own window holds it up. A byte now and then is no progress.
	h2StallBytes = 16 << 10

	// h2SettingsPatience is how long SETTINGS may stay unacknowledged: every client
	// answers within a round trip.
	h2SettingsPatience = 10 * time.Second
	// h2GoAwayPause is the longest wait between the two GOAWAY frames of a graceful
	// end; the answer to a PING ends it earlier.
	h2GoAwayPause = time.Second

	// Rapid reset (CVE-2023-44487, and with our own resets CVE-2025-8671): so many
	// broken requests within the window, and more than half of all.
	h2ResetsAllowed = 200
	h2ResetWindow   = 30 * time.Second

	// h2EarlyPriorities bounds PRIORITY_UPDATEs for streams that do not exist yet.
	h2EarlyPriorities = 16
	// h2Remembered bounds the ended streams of which we know how they ended.
	h2Remembered = h2MaxConcurrent
)

// h2Budget pays for frames that cost work without carrying any: every one spends,
// requests and data earn, and time fills slowly. It bounds the floods of
// CVE-2019-9511 to 9518 by what they cost us, whatever they are made of.
type h2Budget struct {
	tokens int
	bytes  int // moved since the last earned token
	at     time.Time
}

const (
	h2BudgetMax    = 2000
	h2BudgetPerSec = 100
	h2TokenBytes   = 1 << 10 // a window update for each KiB is generous

	h2CostFrame    = 1
	h2CostSettings = 5 // and 1 for each setting: a new window size touches every stream
	h2EarnRequest  = 3
)

// spend reports false when the budget is used up.
func (b *h2Budget) spend(cost int, now func() time.Time) bool {
	if b.tokens < cost {
		t := now()
		if add := int(t.Sub(b.at).Seconds() * h2BudgetPerSec); add > 0 {
			b.tokens = min(h2BudgetMax, b.tokens+add)
			b.at = t
		}
	}
	b.tokens -= cost
	if b.tokens < 0 {
		b.tokens = 0
		return false
	}
	return true
}

func (b *h2Budget) earn(tokens int) { b.tokens = min(h2BudgetMax, b.tokens+tokens) }

// moved is told of content sent or received.
func (b *h2Budget) moved(n int) {
	b.bytes += n
	b.earn(b.bytes / h2TokenBytes)
	b.bytes %= h2TokenBytes
}

// h2Resets counts how many of the requests came to nothing.
type h2Resets struct {
	since          time.Time
	opened, resets int
}

// note counts one broken request and reports false when there are too many.
func (r *h2Resets) note(now func() time.Time) bool {
	r.resets++
	if r.resets <= h2ResetsAllowed {
		return true
	}
	if t := now(); t.Sub(r.since) > h2ResetWindow {
		*r = h2Resets{since: t}
		return true
	}
	return 2*r.resets <= r.opened
}
