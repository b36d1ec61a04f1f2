package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"pqfront/internal/atomicfile"
	"pqfront/internal/edge"
	"pqfront/internal/edge/configwatch"
	"pqfront/internal/edge/origin"
	"pqfront/internal/edge/respheaders"
	"pqfront/internal/edge/snapshot"
	"pqfront/internal/edge/viewerhttp"
	"pqfront/internal/edge/viewertls"
	"pqfront/internal/localca"
	"pqfront/internal/tlspolicy"
)

// Serve runs an edge until ctx ends and everything has stopped. A *ConfigError means
// that nothing was started.
func Serve(ctx context.Context, c *Config) error {
	if err := removeStale(c.PortsFile); err != nil {
		return err
	}
	if err := os.MkdirAll(c.State, 0o700); err != nil {
		return fmt.Errorf("making the state folder (--state): %w", err)
	}
	p := &process{Config: c, floor: heapFloor(c.Env)}
	defer p.close()
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := p.open(); err != nil {
		return err
	}
	return p.run(ctx)
}

// removeStale removes the ports file of an earlier run, which would be taken for the sign
// that this one is ready.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().IsRegular() {
		err = os.Remove(path)
	}
	if err != nil && path != "" && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--ports-file: %w", err)
	}
	return nil
}

// process is everything that runs, in the order in which it is made; close ends it in
// the opposite one.
type process struct {
	*Config
	floor []byte // see heapFloor

	ca      *localca.CA
	demo    *demoSite // nil when the owner brought files
	watcher *configwatch.Watcher
	holder  snapshot.Holder
	tickets *ticketStore
	logs    *logs
	origins *origin.Client
	edge    *edge.Edge
	tls     *viewertls.Server
	engine  *viewerhttp.Engine

	viewers      *viewers
	api, console *door
	ports        Ports
	serving      atomic.Bool // everything is open and the snapshot is there
	closers      []func() error
}

func (p *process) onClose(f func() error) { p.closers = append(p.closers, f) }

func (p *process) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		if err := p.closers[i](); err != nil {
			p.Logger.Error("stopping", "err", err)
		}
	}
}

// prepare builds everything that needs no socket of its own for viewers, and compiles
// the first snapshot: a broken configuration is found here.
func (p *process) prepare(ctx context.Context) error {
	now := time.Now()
	var err error
	if p.ca, err = localca.Open(p.State, now); err != nil {
		return err
	}
	files := p.Files
	if len(files) == 0 {
		if p.demo, err = startDemo(p.State); err != nil {
			return fmt.Errorf("starting the demo: %w", err)
		}
		p.onClose(p.demo.close)
		files = p.demo.files
	}
	l := &loader{files: files, def: p.DefaultDistribution, log: p.Logger, certs: certificates{files: p.Certificates, ca: p.ca}}
	p.watcher, err = configwatch.New(configwatch.Options{
		Holder: &p.holder, Load: l.load, Logger: p.Logger,
		Sources: []configwatch.Source{
			configwatch.NewFiles(l.watched(), configwatch.FilesOptions{Logger: p.Logger}),
			configwatch.Signals(p.Reload), renewals{},
		},
	})
	if err != nil {
		return err
	}
	if err := p.watcher.Load(ctx, "start"); err != nil {
		return &ConfigError{Text: err.Error()}
	}
	if p.tickets, err = openTickets(p.State, now, p.Logger); err != nil {
		return err
	}
	if p.logs, err = openLogs(p.Config); err != nil {
		return err
	}
	p.onClose(p.logs.close)
	return nil
}

// open opens the sockets and builds what must know their ports.
func (p *process) open() error {
	var err error
	if p.viewers, err = openViewers(p.Config, p.logs); err != nil {
		return err
	}
	p.onClose(p.viewers.close)
	if p.origins, err = p.newOrigins(); err != nil {
		return err
	}
	p.onClose(func() error { p.origins.Close(); return nil })
	host := sha256.Sum256([]byte(hostname() + "\x00" + absolute(p.State)))
	identity, err := respheaders.NewIdentity(p.Identity, [16]byte(host[:16]), p.POP)
	if err != nil {
		return &ConfigError{Text: err.Error()}
	}
	port := p.viewers.tls.AddrPort().Port()
	if p.AdvertisedPort > 0 {
		port = uint16(p.AdvertisedPort)
	}
	p.edge = edge.New(edge.Options{
		Snapshots: &p.holder, Origins: p.origins, Log: p.logs.request, Logger: p.Logger, Identity: identity,
		HTTPSPort: port, QUICPort: port, CacheBytes: p.CacheRAM, CacheObjectBytes: p.CacheRAM / 2,
	})
	p.onClose(func() error { p.edge.Close(); return nil })
	alerts := tlspolicy.CloudFrontAlerts
	if p.AlertProfile == "rfc" {
		alerts = tlspolicy.RFCAlerts
	}
	p.tls, err = viewertls.New(viewertls.Options{
		Snapshots: &p.holder, Alerts: alerts, TicketKeys: p.tickets.keys, Logger: p.Logger, Observer: p.logs.handshake,
	})
	if err != nil {
		return err
	}
	p.engine = &viewerhttp.Engine{Handler: p.edge, Observer: p.logs.rejection, Logger: p.Logger, ErrorPage: p.edge.ErrorPage}
	return p.openDoors()
}

// openDoors opens the operators' addresses.
func (p *process) openDoors() error {
	config, err := p.doorTLS()
	if err != nil {
		return err
	}
	for _, d := range []struct {
		into       **door
		name, addr string
		handler    http.Handler
	}{
		{&p.api, "api", p.API, apiHandler(p.health)},
		{&p.console, "console", p.Console, http.NotFoundHandler()},
	} {
		l, err := net.Listen("tcp", d.addr)
		if err != nil {
			return fmt.Errorf("--%s: %w: choose another address; port 0 picks a free one", d.name, err)
		}
		p.onClose(func() error { l.Close(); return nil }) // run has closed it when it ran
		*d.into = newDoor(d.name, l, d.handler, config, p.Logger)
	}
	p.ports = Ports{
		HTTPS: p.viewers.tls.AddrPort().String(), HTTP: p.viewers.plain.AddrPort().String(),
		API: p.api.listener.Addr().String(), Console: p.console.listener.Addr().String(),
	}
	return nil
}

// run starts everything, says so, and stops it in order when ctx ends.
func (p *process) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.viewers.run(ctx, p.tls, p.engine) })
	group.Go(func() error { return p.api.run(ctx) })
	group.Go(func() error { return p.console.run(ctx) })
	group.Go(func() error { return p.rotateTickets(ctx) })
	group.Go(func() error { return ignoreEnd(ctx, p.watcher.Run(ctx)) })
	group.Go(func() error { return p.reopenLogs(ctx) })
	if err := p.announce(); err != nil {
		p.Logger.Error("the edge serves, but could not say so", "err", err)
		return errors.Join(err, p.stopNow(group))
	}
	err := group.Wait()
	p.tls.Wait()
	return err
}

// stopNow ends a group that has no other reason to end.
func (p *process) stopNow(group *errgroup.Group) error {
	group.Go(func() error { return errStop })
	if err := group.Wait(); !errors.Is(err, errStop) {
		return err
	}
	return nil
}

var errStop = errors.New("stop")

// announce writes the ports file and the banner: everything is ready.
func (p *process) announce() error {
	p.serving.Store(true)
	writeBanner(p.Out, p.ports, p.ca.RootPath(), p.holder.Load(), p.demo != nil)
	if p.PortsFile == "" {
		return nil
	}
	text, err := json.MarshalIndent(p.ports, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(p.PortsFile, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("--ports-file: %w", err)
	}
	return nil
}

func (p *process) health() Health {
	status := p.watcher.Status()
	h := Health{Status: "starting", Generation: status.Generation, Version: p.Version}
	if p.serving.Load() {
		h.Status = "ok"
	}
	if status.Err != nil {
		h.LastError = status.Err.Error()
	}
	return h
}

func (p *process) rotateTickets(ctx context.Context) error {
	err := p.tickets.keys.Run(ctx, func() {
		if err := p.tickets.save(); err != nil {
			p.Logger.Error("keeping the ticket keys: viewers will not resume after a restart", "err", err)
		}
	})
	return ignoreEnd(ctx, err)
}

func (p *process) reopenLogs(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.ReopenLogs:
			p.logs.reopen()
		}
	}
}

// ignoreEnd turns the end of ctx into success: that is how components are stopped.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
