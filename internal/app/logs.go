package app

import (
	"errors"
	"log/slog"
	"time"

	"pqfront/internal/edge/accesslog"
	"pqfront/internal/edge/listen"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/edge/viewertls"
)

// Rotation of the logs: ours. A day's file of a busy edge is found by its date; the size
// keeps it from filling the disk on the day of an attack.
const (
	logMaxBytes = 256 << 20
	logEvery    = 24 * time.Hour
	logKeep     = 30
)

// logs are the access log and, in a file of its own, what was refused.
type logs struct {
	access, refused *accesslog.Log
	location        string
	log             *slog.Logger
}

func openLogs(c *Config) (*logs, error) {
	l := &logs{location: c.POP, log: c.Logger}
	if l.location == "" {
		l.location = respheaders.DefaultPOP
	}
	file := func(path string) accesslog.File {
		return accesslog.File{Path: path, MaxBytes: logMaxBytes, Every: logEvery, Keep: logKeep, Gzip: true}
	}
	var err1, err2 error
	l.access, err1 = accesslog.Open(accesslog.Options{Standard: file(c.AccessLog), JSON: file(c.AccessLogJSON), Logger: c.Logger})
	l.refused, err2 = accesslog.Open(accesslog.Options{JSON: file(c.ConnectionLog), Logger: c.Logger})
	if err := errors.Join(err1, err2); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *logs) close() error {
	var errs []error
	for _, f := range []*accesslog.Log{l.access, l.refused} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func (l *logs) reopen() {
	l.access.Reopen()
	l.refused.Reopen()
}

func (l *logs) request(r *accesslog.Record) { l.access.Request(r) }

// handshake is viewertls's observer: failed attempts have a line, successful ones are in
// the records of their requests.
func (l *logs) handshake(a viewertls.Attempt) {
	if a.Handshake.Stage == viewertls.StageDone {
		return
	}
	l.refused.Handshake(&accesslog.Connection{Time: time.Now(), Location: l.location, Viewer: a.Remote, TLS: a.Handshake})
}

// rejection is the HTTP engines' observer.
func (l *logs) rejection(r viewerhttp.Rejection) {
	out := accesslog.Rejection{
		Time: r.At, Location: l.location, Proto: r.Proto.String(), Status: r.Status, Reason: string(r.Reason),
		Method: r.Method, Authority: r.Authority, Path: r.Path,
	}
	if r.Conn != nil {
		out.Viewer, out.TLS = r.Conn.Viewer, r.Conn.TLS
	}
	l.refused.Rejection(&out)
}

// refusedConnection is the listeners' observer: connections beyond the limits and broken
// PROXY headers.
func (l *logs) refusedConnection(r listen.Refusal) {
	l.refused.Rejection(&accesslog.Rejection{Time: r.At, Location: l.location, Viewer: r.Peer, Proto: "-", Reason: string(r.Reason)})
}
