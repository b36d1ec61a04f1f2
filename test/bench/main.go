// Command bench measures what the edge costs: CPU time of the server's process per
// handshake and per cached hit, bytes per CPU second of a large file, memory per idle
// connection. It says nothing of latency: on one machine the client would be measured
// as well.
//
// Two yardsticks run beside it, each in processes of its own and with the same
// certificates: a bare crypto/tls server for handshakes, and nginx, which serves the
// same bytes from files. The machines that such things run on are noisy, so the servers
// take turns, in short samples, and medians are printed; a ratio is the median of the
// ratios of neighbouring samples. Read the ratios, not the absolute times.
//
//	go run ./test/bench [-rounds 9] [-only REGEXP] [-nginx PATH] [-json]
//
// It needs bin/pqfront (make build). nginx comes from -nginx, from $PATH, or from the
// Debian root that $PEERS_DIR names (test/interop/peers; that needs root); it must know
// X25519MLKEM768, as nginx with OpenSSL 3.5 does.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "bare" {
		fail(serveBare(os.Args[2:]))
		return
	}
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 9, "samples of each server (handshakes: three times as many); the median counts")
	flag.StringVar(&o.binary, "binary", "bin/pqfront", "the pqfront to measure")
	flag.StringVar(&o.nginx, "nginx", "", "the nginx to measure beside it; 'none' for no nginx")
	only := flag.String("only", "", "measure the rows whose name this regular expression matches")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil || o.rounds < 1 {
		fail(fmt.Errorf("-rounds must be at least 1 and -only a regular expression: %v", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // no server is left behind
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	report, err := run(ctx, &o)
	fail(err)
	if *asJSON {
		fail(json.NewEncoder(os.Stdout).Encode(report))
		return
	}
	report.print()
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds        int
	binary, nginx string
	only          *regexp.Regexp
}

// report is everything that is printed.
type report struct {
	OS         string  `json:"os"`
	Arch       string  `json:"arch"`
	CPUs       int     `json:"cpus"`
	Go         string  `json:"go"`
	Rounds     int     `json:"rounds"`
	Nginx      string  `json:"nginx"` // its version, or why there is none
	LoadBefore string  `json:"load_before"`
	LoadAfter  string  `json:"load_after"`
	Signature  float64 `json:"signature_us"` // what one P-256 signature costs here
	Rows       []row   `json:"rows"`
	Micro      []micro `json:"micro"`
}

// row is one line of the table. The baselines are absent where they cannot do it.
type row struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Edge  series  `json:"edge"`
	Bare  *series `json:"bare,omitempty"`
	Nginx *series `json:"nginx,omitempty"`
}

// series are the samples of one server, with their quartiles; Ratio is the edge's
// samples to these.
type series struct {
	Median float64   `json:"median"`
	Low    float64   `json:"low"`  // a quarter of the samples is below
	High   float64   `json:"high"` // a quarter is above
	Ratio  float64   `json:"ratio,omitempty"`
	All    []float64 `json:"samples"`
}

func newSeries(own, edge []float64) *series {
	if len(own) == 0 {
		return nil
	}
	s := &series{Median: quantile(own, 0.5), Low: quantile(own, 0.25), High: quantile(own, 0.75), All: own}
	if edge != nil {
		ratios := make([]float64, len(own))
		for i := range own {
			ratios[i] = edge[i] / own[i]
		}
		s.Ratio = quantile(ratios, 0.5)
	}
	return s
}

// quantile is the value below which the part q of v lies, between two neighbours where
// it falls there.
func quantile(v []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(v))
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + (s[i+1]-s[i])*(at-float64(i))
}

// run measures every row that is wanted.
func run(ctx context.Context, o *options) (*report, error) {
	r := &report{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(), Rounds: o.rounds, LoadBefore: load()}
	f, err := newFleet(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	r.Nginx = f.nginxNote
	if r.Signature, err = signatureCost(); err != nil {
		return nil, err
	}
	// These come first: the many connections of the rows leave this process a large heap.
	for _, m := range micros() {
		if o.only.MatchString(m.Name) {
			fmt.Fprintln(os.Stderr, "measuring:", m.Name)
			if err := m.measure(o.rounds); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
			r.Micro = append(r.Micro, m)
		}
	}
	for _, c := range cases() {
		if !o.only.MatchString(c.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring:", c.name)
		rw, err := f.measure(ctx, c, o.rounds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		r.Rows = append(r.Rows, rw)
	}
	r.LoadAfter = load()
	return r, nil
}

func (r *report) print() {
	fmt.Printf("%s/%s, %d CPUs, %s, %d rounds; load %s before, %s after\n", r.OS, r.Arch, r.CPUs, r.Go, r.Rounds, r.LoadBefore, r.LoadAfter)
	fmt.Printf("one P-256 signature (crypto/ecdsa) cost %.1f us of CPU here\n", r.Signature)
	fmt.Printf("nginx: %s\n\n", r.Nginx)
	fmt.Printf("%-42s %9s %17s  %-5s %10s %6s %10s %6s\n", "median of samples", "pqfront", "(middle half)", "", "bare TLS", "ratio", "nginx", "ratio")
	for _, w := range r.Rows {
		fmt.Printf("%-42s %9.1f %17s  %-5s", w.Name, w.Edge.Median, fmt.Sprintf("(%.1f-%.1f)", w.Edge.Low, w.Edge.High), w.Unit)
		for _, s := range []*series{w.Bare, w.Nginx} {
			if s == nil {
				fmt.Printf(" %10s %6s", "-", "")
			} else {
				fmt.Printf(" %10.1f %6.2f", s.Median, s.Ratio)
			}
		}
		fmt.Println()
	}
	if len(r.Micro) > 0 {
		fmt.Println()
	}
	for _, m := range r.Micro {
		verdict := "kept"
		if m.Micros > m.MaxMicros || m.Allocs > m.MaxAllocs {
			verdict = "EXCEEDED"
		}
		fmt.Printf("%-42s %9.2f us, %.0f allocations (limits %.0f us, %.0f: %s)\n", m.Name, m.Micros, m.Allocs, m.MaxMicros, m.MaxAllocs, verdict)
	}
}

// load is the machine's load average over the last minute: what else ran here.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
