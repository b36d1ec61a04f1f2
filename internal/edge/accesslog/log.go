package accesslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Options says where the log goes. A File without a Path is off.
type Options struct {
	Standard File // CloudFront's standard log: requests only
	JSON     File // requests, failed handshakes and rejections with all TLS facts
	// QueueBytes bounds what waits for the disk, for each file: 4 MiB. When it is
	// full, lines are dropped and counted; a request never waits for the disk.
	QueueBytes int
	Logger     *slog.Logger     // nil: nothing is logged
	Now        func() time.Time // nil: time.Now
}

// Stats counts lines since the start.
type Stats struct {
	Written, Dropped, Failed uint64 // Failed: given up because of a file error
}

// Log writes the access log. Its methods may be called from many goroutines.
type Log struct {
	standard, json *sink // nil = off
	bufs           sync.Pool
	stop           context.CancelFunc
	writers        sync.WaitGroup
}

const (
	defaultQueueBytes = 4 << 20
	// flushEvery is how long a line may wait, wakeBytes how many bytes do not wait so long.
	flushEvery = time.Second
	wakeBytes  = 64 << 10
)

// Open opens the files and starts to write. All problems come at once.
func Open(o Options) (*Log, error) {
	if o.QueueBytes == 0 {
		o.QueueBytes = defaultQueueBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Log{bufs: sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}}
	var problems []error
	open := func(what string, f File, head []byte, remark func([]byte, uint64) []byte) *sink {
		if f.Path == "" {
			return nil
		}
		s, err := newSink(f, head, remark, o)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s access log: %w", what, err))
		}
		return s
	}
	l.standard = open("standard", o.Standard, standardHead(), standardRemark)
	l.json = open("JSON", o.JSON, nil, jsonRemark)
	if len(problems) > 0 {
		for _, s := range l.sinks() {
			s.close()
		}
		return nil, errors.Join(problems...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	for _, s := range l.sinks() {
		l.writers.Go(func() { s.run(ctx) })
	}
	return l, nil
}

func (l *Log) sinks() []*sink {
	var all []*sink
	for _, s := range []*sink{l.standard, l.json} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// Request writes the record of a finished request. r is not kept.
func (l *Log) Request(r *Record) {
	b := l.bufs.Get().(*[]byte)
	if l.standard != nil {
		*b = AppendStandard((*b)[:0], r)
		l.standard.put(*b)
	}
	if l.json != nil {
		*b = AppendJSON((*b)[:0], r)
		l.json.put(*b)
	}
	l.release(b)
}

// Handshake writes the record of a handshake that was refused or failed.
func (l *Log) Handshake(c *Connection) {
	if l.json == nil {
		return
	}
	b := l.bufs.Get().(*[]byte)
	*b = c.AppendJSON((*b)[:0])
	l.json.put(*b)
	l.release(b)
}

// Rejection writes the record of a request that an HTTP engine refused by itself.
func (l *Log) Rejection(r *Rejection) {
	if l.json == nil {
		return
	}
	b := l.bufs.Get().(*[]byte)
	*b = r.AppendJSON((*b)[:0])
	l.json.put(*b)
	l.release(b)
}

// release keeps buffers of usual size; a record of the largest request is about 100 KiB.
func (l *Log) release(b *[]byte) {
	if cap(*b) <= 16<<10 {
		l.bufs.Put(b)
	}
}

// Reopen closes the files and opens their paths anew, for log rotation by others. It
// returns at once; the change happens before the next line is written.
func (l *Log) Reopen() {
	for _, s := range l.sinks() {
		s.askReopen()
	}
}

// Flush returns when everything that was given before is handed to the operating system.
func (l *Log) Flush() {
	for _, s := range l.sinks() {
		s.flush()
	}
}

// Close flushes and closes the files. Later records are dropped.
func (l *Log) Close() error {
	l.stop()
	l.writers.Wait()
	var problems []error
	for _, s := range l.sinks() {
		problems = append(problems, s.close())
	}
	return errors.Join(problems...)
}

// Stats returns the counts of both files together.
func (l *Log) Stats() Stats {
	var sum Stats
	for _, s := range l.sinks() {
		sum.Written += s.written.Load()
		sum.Dropped += s.dropped.Load()
		sum.Failed += s.failed.Load()
	}
	return sum
}

// standardRemark is a comment in the extended log file format that the standard log
// is written in; readers skip it as they skip the head.
func standardRemark(b []byte, dropped uint64) []byte {
	return fmt.Appendf(b, "#Remark: %d records were dropped here, the disk was too slow\n", dropped)
}

func jsonRemark(b []byte, dropped uint64) []byte {
	return fmt.Appendf(b, "{\"type\":\"dropped\",\"records\":%d}\n", dropped)
}
