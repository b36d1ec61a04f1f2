package app

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"time"

	"pqfront/internal/cdn"
	"pqfront/internal/control/configfile"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/tlspolicy"
)

// loader reads the files and compiles what they say: the walk of a change from the files
// to a snapshot.
type loader struct {
	files []string
	def   string // default distribution
	certs certificates
	log   *slog.Logger
}

// load is configwatch's Load: the error names all problems, one a line. What has no
// effect is logged.
func (l *loader) load(_ context.Context, generation uint64) (*snapshot.Snapshot, error) {
	result, err := configfile.Load(l.files, FileOptions())
	if err != nil {
		return nil, err
	}
	for _, n := range result.Notes {
		l.log.Info("accepted, but without effect here", "note", n.String())
	}
	pairs, err := l.certs.resolve(result.State.Distributions, time.Now())
	if err != nil {
		return nil, err
	}
	s, err := snapshot.Compile(snapshot.Input{
		State:        result.State,
		Certificates: func(d *cdn.Distribution) []tls.Certificate { return pairs[d.ID] },
		Default:      l.def,
		Generation:   generation,
	})
	if err != nil {
		return nil, err
	}
	if len(s.Sites) == 0 {
		return nil, errors.New("no enabled distribution: give -f the output of aws cloudfront get-distribution-config with \"Enabled\": true")
	}
	return s, nil
}

// watched are the paths whose change asks for a load.
func (l *loader) watched() []string {
	paths := slices.Clone(l.files)
	for _, f := range l.certs.files {
		paths = append(paths, f.Chain, f.Key)
	}
	return paths
}

// renewals is a configwatch.Source: it asks for a load twice a day, in which the local CA
// issues anew what comes to its end.
type renewals struct{}

// Run implements configwatch.Source.
func (renewals) Run(ctx context.Context, changed func(why string)) error {
	tick := time.NewTicker(12 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			changed("certificates of the local CA")
		}
	}
}

// FileOptions are how this process reads distribution files, offline or served.
func FileOptions() configfile.Options {
	return configfile.Options{SecurityPolicy: func(name string) error {
		_, err := tlspolicy.Lookup(name)
		return err
	}}
}
