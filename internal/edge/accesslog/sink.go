package accesslog

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// sink is the way of lines to one file. put only appends to a buffer in memory; one
// goroutine swaps the buffer for an empty one and writes it.
type sink struct {
	limit  int
	remark func(b []byte, dropped uint64) []byte
	logger *slog.Logger
	now    func() time.Time

	written, dropped, failed atomic.Uint64

	mu      sync.Mutex // guards the fields below
	pending []byte
	lost    uint64 // dropped since the last remark
	reopen  bool
	closed  bool

	wake chan struct{} // holds one token: enough bytes wait, or something is asked for

	// writing guards the file: run's goroutine and flush take turns.
	writing  sync.Mutex
	file     *logFile
	spare    []byte
	reported time.Time // of the last file error
}

// quietFor is how long a file error is not repeated in the log.
const quietFor = time.Minute

func newSink(f File, head []byte, remark func([]byte, uint64) []byte, o Options) (*sink, error) {
	file, err := openLogFile(f, head, o.Logger, o.Now())
	if err != nil {
		return nil, err
	}
	return &sink{limit: o.QueueBytes, remark: remark, logger: o.Logger, now: o.Now,
		wake: make(chan struct{}, 1), file: file}, nil
}

// put queues one line, or drops it.
func (s *sink) put(line []byte) {
	s.mu.Lock()
	if s.closed || len(s.pending)+len(line) > s.limit {
		s.lost++
		s.mu.Unlock()
		s.dropped.Add(1)
		return
	}
	before := len(s.pending)
	s.pending = append(s.pending, line...)
	after := len(s.pending)
	s.mu.Unlock()
	if before < wakeBytes && after >= wakeBytes {
		s.poke()
	}
}

func (s *sink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sink) askReopen() {
	s.mu.Lock()
	s.reopen = true
	s.mu.Unlock()
	s.poke()
}

// run writes until ctx ends, and then what is left.
func (s *sink) run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.closed = true
			s.mu.Unlock()
			s.flush()
			return
		case <-tick.C:
		case <-s.wake:
		}
		s.flush()
	}
}

// flush writes what is pending.
func (s *sink) flush() {
	s.writing.Lock()
	defer s.writing.Unlock()

	s.mu.Lock()
	batch, lost, reopen := s.pending, s.lost, s.reopen
	s.pending, s.lost, s.reopen = s.spare[:0], 0, false
	s.mu.Unlock()

	now := s.now()
	if reopen {
		s.file.reopen()
	}
	lines := uint64(bytes.Count(batch, []byte{'\n'}))
	if lost > 0 {
		batch = s.remark(batch, lost)
		s.logger.Warn("access log: the disk is too slow, records were dropped", "file", s.file.conf.Path, "records", lost)
	}
	if err := s.file.write(batch, now); err != nil {
		s.failed.Add(lines)
		if s.reported.IsZero() || now.Sub(s.reported) >= quietFor {
			s.reported = now
			s.logger.Error("access log: records are lost until this is mended", "file", s.file.conf.Path,
				"error", err, "records", s.failed.Load())
		}
	} else {
		s.written.Add(lines)
	}
	// The larger buffer stays: after a burst the next one costs no copies. It is
	// bounded by limit.
	s.spare = batch[:0]
}

func (s *sink) close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.file.close()
}
