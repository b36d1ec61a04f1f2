package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measurement is one row: open prepares a server and returns what takes a sample of it,
// a number in unit.
type measurement struct {
	name, unit string
	bare       bool // bare crypto/tls can do it, too
	nginx      bool // nginx can
	often      bool // samples differ so much that it takes three times as many
	fresh      bool // every sample needs servers that have done nothing yet, and little garbage
	open       func(context.Context, *server) (*sampler, error)
}

// sampler takes samples of one server.
type sampler struct {
	sample func(context.Context) (float64, error)
	close  func()
}

// fleet is the edge and its yardsticks.
type fleet struct {
	o         *options
	site      *site
	edge      *server
	bare      *server
	nginx     *server // nil: there is none
	nginxNote string
}

func newFleet(ctx context.Context, o *options) (*fleet, error) {
	s, err := newSite()
	if err != nil {
		return nil, err
	}
	f := &fleet{o: o, site: s}
	if err := f.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return f, nil
}

// start starts every server. A missing nginx is no error: it is said in the report.
func (f *fleet) start(ctx context.Context, env ...string) error {
	var err error
	if f.edge, err = startEdge(ctx, f.site, f.o.binary, env...); err != nil {
		return err
	}
	if f.bare, err = startBare(ctx, f.site, env...); err != nil {
		f.edge.stop()
		return err
	}
	f.nginx, f.nginxNote, err = startNginx(ctx, f.site, f.o.nginx)
	if err != nil {
		f.edge.stop()
		f.bare.stop()
	}
	return err
}

func (f *fleet) stop() {
	for _, s := range []*server{f.edge, f.bare, f.nginx} {
		if s != nil {
			s.stop()
		}
	}
}

func (f *fleet) close() {
	f.stop()
	f.site.close()
}

// restart starts every server anew, with an environment that keeps garbage small.
func (f *fleet) restart(ctx context.Context) error {
	f.stop()
	return f.start(ctx, lean)
}

// measure takes the samples of all servers for one row, in turns.
func (f *fleet) measure(ctx context.Context, c measurement, rounds int) (row, error) {
	switch {
	case c.fresh:
		rounds = min(rounds, freshRounds)
	case c.often:
		rounds *= 3
	}
	servers := func() []*server {
		all := []*server{f.edge, nil, nil}
		if c.bare {
			all[1] = f.bare
		}
		if c.nginx {
			all[2] = f.nginx
		}
		return all
	}
	var samplers [3]*sampler
	defer func() {
		for _, s := range samplers {
			if s != nil {
				s.close()
			}
		}
	}()
	var samples [3][]float64
	for round := range rounds {
		if c.fresh {
			if err := f.restart(ctx); err != nil {
				return row{}, err
			}
		}
		all := servers()
		for k := range all {
			i := (k + round) % len(all) // nobody always follows the same one
			if all[i] == nil {
				continue
			}
			v, err := take(ctx, c, all[i], &samplers[i])
			if err != nil {
				return row{}, fmt.Errorf("%s: %w%s", all[i].name, err, all[i].said())
			}
			samples[i] = append(samples[i], v)
		}
	}
	return row{Name: c.name, Unit: c.unit, Edge: *newSeries(samples[0], nil),
		Bare: newSeries(samples[1], samples[0]), Nginx: newSeries(samples[2], samples[0])}, nil
}

// take takes one sample, with the sampler of an earlier round where it may.
func take(ctx context.Context, c measurement, s *server, kept **sampler) (float64, error) {
	if *kept == nil {
		opened, err := c.open(ctx, s)
		if err != nil {
			return 0, err
		}
		*kept = opened
	}
	v, err := (*kept).sample(ctx)
	if c.fresh {
		(*kept).close()
		*kept = nil
	}
	if err == nil && !(v > 0) {
		err = errors.New("a sample that is not above zero: the measurement is wrong")
	}
	return v, err
}

// perOp calls f, which does n things, and returns the server's CPU microseconds for each.
func perOp(s *server, n int, f func() error) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	time.Sleep(10 * time.Millisecond) // let the server finish what follows the last answer
	after, err := s.cpu()
	return float64((after - before).Nanoseconds()) / 1000 / float64(n), err
}
