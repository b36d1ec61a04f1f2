package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pqfront/internal/app"
)

type serveCmd struct {
	Files []string `name:"file" short:"f" placeholder:"PATH" help:"What 'aws cloudfront get-distribution-config' prints; may be repeated; a folder means its *.json. Also get-distribution, get-cache-policy, get-origin-request-policy, get-response-headers-policy, get-origin-access-control. Without -f: the demo."`
	State string   `default:"${state}" placeholder:"DIR" help:"State folder: local CA, ticket keys, logs (${default})."`

	HTTPS   string `default:"127.0.0.1:8443" placeholder:"ADDR" help:"TLS address, TCP and QUIC (${default}). Port 0 picks a free one."`
	HTTP    string `default:"127.0.0.1:8080" placeholder:"ADDR" help:"Plain HTTP address (${default})."`
	API     string `name:"api" default:"127.0.0.1:8444" placeholder:"ADDR" help:"API address; GET /healthz answers 200 when the edge serves (${default})."`
	Console string `default:"127.0.0.1:8445" placeholder:"ADDR" help:"Console address (${default})."`

	PortsFile      string `placeholder:"FILE" help:"Write the chosen addresses there as JSON once everything is ready."`
	AdvertisedPort int    `placeholder:"PORT" help:"Port that alt-svc and redirects name, when it is not the one listened on (443 behind a load balancer or a port mapping)."`

	Certs []string `name:"cert" placeholder:"FILE" help:"Certificate chain (PEM), leaf first; with --key. Repeat both for RSA and ECDSA side by side. Without: the local CA issues for the aliases."`
	Keys  []string `name:"key" placeholder:"FILE" help:"Private key (PEM) of the --cert at the same place."`

	DefaultDistribution string `placeholder:"ID|ALIAS" help:"Serves viewers without a known server name; without it they are refused as CloudFront does."`
	AlertProfile        string `default:"cloudfront" enum:"cloudfront,rfc" help:"Alerts to refused viewers: cloudfront (close_notify for most) or rfc (the RFC's own, for debugging)."`
	Identity            string `default:"cloudfront" enum:"cloudfront,pqfront" help:"Whose words response headers use: cloudfront or pqfront."`
	POP                 string `name:"pop" placeholder:"CODE" help:"Value of x-amz-cf-pop, such as NRT12-P9."`

	OriginEndpoint []string `placeholder:"s3=URL" help:"Send S3 origins to another S3-compatible server: s3=http://127.0.0.1:7070."`
	Resolve        []string `placeholder:"HOST=ADDR:PORT" help:"Connect to ADDR:PORT for the origin HOST, for local work."`
	OriginCA       []string `placeholder:"FILE" help:"More authorities (PEM) that origins' certificates may come from."`

	CacheRAM string `name:"cache-ram" default:"256MiB" placeholder:"SIZE" help:"Memory for cached objects (${default})."`

	AccessLog     string   `placeholder:"FILE" help:"Access log in CloudFront's standard format (DIR/logs/access.log; '-' turns it off)."`
	AccessLogJSON string   `name:"access-log-json" placeholder:"FILE" help:"Access log as JSON lines with all TLS facts (DIR/logs/access.jsonl; '-' turns it off)."`
	ConnectionLog string   `placeholder:"FILE" help:"JSON lines of refused handshakes and requests (DIR/logs/refused.jsonl; '-' turns it off)."`
	ProxyFrom     []string `name:"proxy-protocol-from" placeholder:"CIDR" help:"Load balancers whose PROXY protocol header (v1, v2) is required and believed."`

	MaxConnections          int           `default:"8192" placeholder:"N" help:"Connections at most, TCP and QUIC each (${default})."`
	MaxConnectionsPerViewer int           `default:"0" placeholder:"N" help:"Connections at most from one address, TCP and QUIC each; 0 = no limit of its own (${default})."`
	Drain                   time.Duration `default:"30s" placeholder:"TIME" help:"How long requests in flight may go on when the process is told to stop (${default})."`
	LogFormat               string        `default:"text" enum:"text,json" help:"Format of messages on standard error: text or json."`
	LogLevel                string        `default:"info" enum:"debug,info,warn,error" help:"Least level of messages: debug, info, warn, error."`
}

// Help is shown by pqfront serve --help.
func (serveCmd) Help() string {
	return `Signals: SIGHUP reads the files of -f and --cert again (they are also watched); a broken file changes nothing. SIGUSR1 reopens the log files. SIGTERM and SIGINT finish what is in flight and stop.

Credentials for origin access control come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or from the shared credentials file (AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE).

Examples:
  pqfront serve
  pqfront serve -f my-distribution.json --resolve origin.example.com=127.0.0.1:9000
  pqfront serve -f site/ --origin-endpoint s3=http://127.0.0.1:7070 --https 0.0.0.0:443 --http 0.0.0.0:80`
}

// Run starts the edge and returns when it was told to stop.
func (c *serveCmd) Run(e *env) error {
	config, err := c.config(e)
	if err != nil {
		return usageError{err}
	}
	err = app.Serve(e.ctx, config)
	if bad, ok := errors.AsType[*app.ConfigError](err); ok {
		fmt.Fprintln(e.err, strings.TrimRight(bad.Error(), "\n"))
		fmt.Fprintln(e.err, "pqfront: the configuration is not usable; nothing was started")
		return quietError{exitUsage}
	}
	return err
}

// config turns flags into app's terms, all mistakes at once.
func (c *serveCmd) config(e *env) (*app.Config, error) {
	var errs []error
	if len(c.Certs) != len(c.Keys) {
		errs = append(errs, fmt.Errorf("--cert is given %d times and --key %d times: give one --key for each --cert", len(c.Certs), len(c.Keys)))
	}
	for what, addr := range map[string]string{"https": c.HTTPS, "http": c.HTTP, "api": c.API, "console": c.Console} {
		if _, port, err := net.SplitHostPort(addr); err != nil || !validPort(port, 0) {
			errs = append(errs, fmt.Errorf("--%s %q is not an address: write HOST:PORT, such as 127.0.0.1:8443", what, addr))
		}
	}
	if c.AdvertisedPort < 0 || c.AdvertisedPort > 65535 {
		errs = append(errs, fmt.Errorf("--advertised-port %d is not a port: 1 to 65535", c.AdvertisedPort))
	}
	ram, err := parseSize(c.CacheRAM)
	if err != nil {
		errs = append(errs, fmt.Errorf("--cache-ram: %w", err))
	}
	var prefixes []netip.Prefix
	for _, p := range c.ProxyFrom {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("--proxy-protocol-from %q is not a network: write it as 10.0.0.0/8 or 192.0.2.1/32", p))
		}
		prefixes = append(prefixes, prefix)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	config := &app.Config{
		State: c.State, Files: c.Files,
		HTTPS: c.HTTPS, HTTP: c.HTTP, API: c.API, Console: c.Console,
		PortsFile: c.PortsFile, AdvertisedPort: c.AdvertisedPort,
		DefaultDistribution: c.DefaultDistribution, AlertProfile: c.AlertProfile,
		Identity: c.Identity, POP: c.POP,
		OriginEndpoints: c.OriginEndpoint, Resolve: c.Resolve, OriginCAs: c.OriginCA,
		CacheRAM:  ram,
		AccessLog: logPath(c.AccessLog, c.State, "access.log"), AccessLogJSON: logPath(c.AccessLogJSON, c.State, "access.jsonl"),
		ConnectionLog: logPath(c.ConnectionLog, c.State, "refused.jsonl"),
		ProxyFrom:     prefixes, MaxConnections: c.MaxConnections, MaxConnectionsPerViewer: c.MaxConnectionsPerViewer,
		Drain: c.Drain, Logger: c.logger(e), Env: e.vars, Out: e.out,
		Reload: e.hangup, ReopenLogs: e.reopen, Version: version,
	}
	for i := range c.Certs {
		config.Certificates = append(config.Certificates, app.CertificateFile{Chain: c.Certs[i], Key: c.Keys[i]})
	}
	return config, nil
}

func (c *serveCmd) logger(e *env) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong has checked it against the enum
	opts := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(e.err, opts))
	}
	return slog.New(slog.NewTextHandler(e.err, opts))
}

// logPath is where a log goes: "" is its place in the state folder, "-" is nowhere.
func logPath(flag, state, name string) string {
	switch flag {
	case "":
		return filepath.Join(state, "logs", name)
	case "-":
		return ""
	}
	return flag
}

func validPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535
}

// parseSize reads 4096, 512KiB, 256MiB, 2GiB.
func parseSize(s string) (int64, error) {
	number, factor := s, int64(1)
	for _, u := range []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if n, ok := strings.CutSuffix(s, u.suffix); ok {
			number, factor = n, u.factor
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is not a size: write it as 4096, 512KiB, 256MiB or 2GiB", s)
	}
	return n * factor, nil
}

// defaultState is the XDG state folder (XDG Base Directory Specification).
func defaultState(vars map[string]string) string {
	if dir := vars["XDG_STATE_HOME"]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "pqfront")
	}
	if home := vars["HOME"]; home != "" {
		return filepath.Join(home, ".local", "state", "pqfront")
	}
	return filepath.Join(os.TempDir(), "pqfront")
}
