// Package cli answers: what did the person at the terminal ask for?
//
// It holds flags, environment, help and exit codes, and turns them into calls of app and
// of the pure rooms. It is the only place that reads the process's arguments and
// environment or knows whether a terminal is watching.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set at build time (Makefile).
var version = "dev"

// Exit codes, the same for every command.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried and did not work, or two things that were compared differ
	exitUsage  = 2 // the command line or a configuration is wrong; nothing was started
)

// commands is the whole command line.
type commands struct {
	Serve   serveCmd   `cmd:"" help:"Run an edge. Without -f it serves a demo on loopback."`
	Policy  policyCmd  `cmd:"" help:"List, show and compare security policies."`
	Config  configCmd  `cmd:"" help:"Work with distribution files, offline."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// env is what a command may touch of the world.
type env struct {
	ctx      context.Context
	vars     map[string]string
	out, err io.Writer
	hangup   <-chan os.Signal // SIGHUP: read the configuration again
	reopen   <-chan os.Signal // SIGUSR1: reopen log files
}

// usageError marks a mistake of the caller: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// quietError has been reported already; only its exit code is left to be told.
type quietError struct{ code int }

func (e quietError) Error() string { return fmt.Sprintf("exit %d", e.code) }

// Main runs one command line and returns the process's exit code.
func Main(args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangup, reopen := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	signal.Notify(reopen, syscall.SIGUSR1)
	defer signal.Stop(hangup)
	defer signal.Stop(reopen)
	return run(args, &env{ctx: ctx, vars: envMap(environ), out: stdout, err: stderr, hangup: hangup, reopen: reopen})
}

func run(args []string, e *env) int {
	var c commands
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("pqfront"),
		kong.Description(description),
		kong.Writers(e.out, e.err),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Vars{"state": defaultState(e.vars)},
		kong.Bind(e),
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(e.err, "pqfront:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exit >= 0 { // --help was printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(e.err, "pqfront: %v\nTry: pqfront %s--help\n", err, typed(args))
		return exitUsage
	}
	return exitCode(k.Run(e), e.err)
}

// typed is the command words of a command line that was not understood.
func typed(args []string) string {
	words := ""
	for _, a := range args {
		if strings.HasPrefix(a, "-") || (a != "serve" && a != "policy" && a != "config" && a != "list" && a != "show" && a != "diff" && a != "check") {
			break
		}
		words += a + " "
	}
	return words
}

func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if quiet, ok := errors.AsType[quietError](err); ok {
		return quiet.code
	}
	fmt.Fprintln(stderr, "pqfront:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

const description = `A self-hosted CDN edge that does what Amazon CloudFront does, with named TLS security policies and post-quantum key exchange.

Start with:
  pqfront serve                      a demo edge on 127.0.0.1:8443
  pqfront serve -f distribution.json your own distribution
  pqfront policy list                what each security policy lets in`

func envMap(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	return m
}

// isTerminal tells whether w is a terminal whose user has not asked for plain text
// (https://no-color.org).
func isTerminal(w io.Writer, vars map[string]string) bool {
	f, ok := w.(*os.File)
	if !ok || vars["NO_COLOR"] != "" || vars["TERM"] == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type versionCmd struct{}

// Run prints the version, the Go release and the platform.
func (versionCmd) Run(e *env) error {
	goVersion := "unknown Go"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	_, err := fmt.Fprintf(e.out, "pqfront %s (%s)\n", version, goVersion)
	return err
}
