package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/load"
	"github.com/x/ringdht/benchmarks/internal/report"
	"github.com/x/ringdht/benchmarks/internal/systems/reference"
	"github.com/x/ringdht/benchmarks/internal/systems/ringdht"
)

// reached is what ringdht with streams reaches, as a ratio to the reference without stretches
// in the same rounds: medians of three runs of the guard on two shared cores.
var reached = []struct {
	topology bench.Topology
	rate     float64 // messages per second, as a part of the reference's
	cpu      float64 // processor time per message, as a multiple of the reference's
}{
	{bench.Topology{Shape: bench.Chain, Nodes: 2, Payload: 8}, 0.55, 1.9},
	{bench.Topology{Shape: bench.Chain, Nodes: 2, Payload: 256}, 0.49, 2.3},
	{bench.Topology{Shape: bench.Chain, Nodes: 3, Payload: 8}, 0.65, 1.4},
	{bench.Topology{Shape: bench.Chain, Nodes: 3, Payload: 256}, 0.59, 1.8},
	{bench.Topology{Shape: bench.Chain, Nodes: 3, Payload: 4096}, 0.44, 2.1},
	{bench.Topology{Shape: bench.Ring, Nodes: 10, Payload: 8}, 0.95, 1.1},
	{bench.Topology{Shape: bench.Ring, Nodes: 10, Payload: 256}, 0.70, 1.4},
	{bench.Topology{Shape: bench.Ring, Nodes: 10, Payload: 4096}, 0.71, 1.4},
}

// slack is how much worse it may be: a slowdown by a factor of two fails, and noise does not.
// Processor time is the steadier measure on a shared machine; only the rate shows a path that
// waits.
const slack = 2

// below returns the floors that a row misses.
func below(row *report.Row, rate, cpu float64) error {
	name := ringdht.New().Name()
	var errs []error
	if got := row.Ratio(name, 0).Median; !(got >= rate) { // also true for NaN
		errs = append(errs, fmt.Errorf("%s: %.3f of the reference's rate, the floor is %.3f", row.Name, got, rate))
	}
	if got := row.Ratio(name, 1).Median; !(got <= cpu) {
		errs = append(errs, fmt.Errorf("%s: %.2f times the reference's processor time, at most %.2f is allowed", row.Name, got, cpu))
	}
	return errors.Join(errs...)
}

// guardPath measures the rows that have floors. It returns an error that names those below
// them.
func guardPath(ctx context.Context, w io.Writer) error {
	s := &section{title: "Guard", note: "Ringdht and the references, briefly.", load: load.Closed{Warm: 30 * time.Millisecond, Time: 200 * time.Millisecond}}
	for _, f := range reached {
		s.rows = append(s.rows, row{topology: f.topology, name: fmt.Sprintf("%s, %d B", shape(f.topology), f.topology.Payload)})
	}
	every := regexp.MustCompile("")
	r := runner{
		systems: []bench.System{reference.Raw(), reference.Relay(), reference.Ideal(), ringdht.New()},
		only:    every, which: every, rounds: 5, progress: io.Discard,
	}
	done, ok := r.run(ctx, []*section{s})
	if err := report.Markdown(w, done); err != nil {
		return err
	}
	if !ok {
		return errors.New("the guard could not measure everything")
	}
	var errs []error
	for i, f := range reached {
		errs = append(errs, below(done[0].Rows[i], f.rate/slack, f.cpu*slack))
	}
	return errors.Join(errs...)
}
