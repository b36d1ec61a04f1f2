// Command bench measures what the edge costs: CPU time of the server's process per
// handshake and per cached hit, bytes per CPU second of a large file, memory per idle
// connection. A bare crypto/tls server in a process of its own is the yardstick for
// handshakes. Runs are interleaved and the median is printed, for the machines that
// such things run on are noisy; read the ratios, not the absolute times.
//
//	go run ./test/bench [-rounds 5] [-json]
//
// It needs bin/pqfront (make build).
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// result is one row of the table.
type result struct {
	Name     string  `json:"name"`
	Unit     string  `json:"unit"`
	Edge     float64 `json:"edge"`
	Baseline float64 `json:"baseline,omitempty"` // bare crypto/tls
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "bare" {
		fail(serveBare(os.Args[2:]))
		return
	}
	rounds := flag.Int("rounds", 5, "interleaved rounds; the median counts")
	asJSON := flag.Bool("json", false, "print JSON")
	binary := flag.String("binary", "bin/pqfront", "the pqfront to measure")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	results, err := run(ctx, *binary, *rounds)
	fail(err)
	if *asJSON {
		fail(json.NewEncoder(os.Stdout).Encode(results))
		return
	}
	fmt.Printf("%s/%s, %d CPUs, %s, %d rounds\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), *rounds)
	fmt.Printf("%-44s %12s %14s %7s\n", "", "pqfront", "bare crypto/tls", "ratio")
	for _, r := range results {
		fmt.Printf("%-44s %8.1f %-5s", r.Name, r.Edge, r.Unit)
		if r.Baseline > 0 {
			fmt.Printf(" %10.1f %-5s %5.2f", r.Baseline, r.Unit, r.Edge/r.Baseline)
		}
		fmt.Println()
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures every case, rounds times in turn.
func run(ctx context.Context, binary string, rounds int) ([]result, error) {
	edge, err := startEdge(ctx, binary)
	if err != nil {
		return nil, err
	}
	defer edge.stop()
	bare, err := startBare(ctx, edge)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	if err := warm(ctx, edge); err != nil {
		return nil, err
	}
	var results []result
	for _, c := range cases() {
		fmt.Fprintln(os.Stderr, "measuring:", c.name)
		var edges, bares []float64
		for range rounds {
			v, err := c.measure(ctx, edge)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			edges = append(edges, v)
			if !c.baseline {
				continue
			}
			if v, err = c.measure(ctx, bare); err != nil {
				return nil, fmt.Errorf("%s, bare crypto/tls: %w", c.name, err)
			}
			bares = append(bares, v)
		}
		results = append(results, result{Name: c.name, Unit: c.unit, Edge: median(edges), Baseline: median(bares)})
	}
	return results, nil
}

func median[T cmp.Ordered](v []T) T {
	var zero T
	if len(v) == 0 {
		return zero
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
