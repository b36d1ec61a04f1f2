// Package app answers: what does this process consist of, and in which order does it
// start and stop?
//
// It is the only room that sees both corridors. It builds the components from the static
// configuration, runs them together and stops them in order: stop accepting, drain, close
// the cache, flush the logs.
package app

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"
)

// Config is the static configuration: how this process runs. What it serves comes from
// Files and may change while it runs.
type Config struct {
	State        string
	Files        []string // CloudFront JSON files and folders; none = the demo
	Certificates []CertificateFile

	HTTPS, HTTP, API, Console string // addresses, host:port
	PortsFile                 string // "" = none
	AdvertisedPort            int    // port in alt-svc and redirects; 0 = the HTTPS one

	DefaultDistribution string
	AlertProfile        string // cloudfront, rfc
	Identity, POP       string

	OriginEndpoints []string // s3=URL
	Resolve         []string // host[:port]=addr:port
	OriginCAs       []string // files

	CacheRAM int64

	AccessLog, AccessLogJSON, ConnectionLog string // files; "" = off

	ProxyFrom               []netip.Prefix
	MaxConnections          int
	MaxConnectionsPerViewer int // 0 = no limit
	Drain                   time.Duration

	Logger     *slog.Logger
	Out        io.Writer         // the banner
	Env        map[string]string // for AWS credentials
	Reload     <-chan os.Signal  // asks to read the configuration again
	ReopenLogs <-chan os.Signal
	Version    string
}

// CertificateFile is a certificate that the owner brings.
type CertificateFile struct {
	Chain, Key string // PEM files
}

// ConfigError is a configuration that cannot be served: every problem, one a line.
// Nothing was started.
type ConfigError struct {
	Text string
}

// Error returns all problems.
func (e *ConfigError) Error() string { return e.Text }
