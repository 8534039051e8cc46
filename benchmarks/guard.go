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

// floors are the ratios to the reference, in messages a second, that ringdht with
// streams must not fall below: half of what was reached, so that a slip by a factor
// of two fails, and noise does not.
var floors = []struct {
	topology bench.Topology
	floor    float64
}{
	{bench.Topology{Shape: bench.Chain, Nodes: 2, Payload: 8}, 0.03},
	{bench.Topology{Shape: bench.Chain, Nodes: 2, Payload: 256}, 0.09},
	{bench.Topology{Shape: bench.Chain, Nodes: 3, Payload: 8}, 0.09},
	{bench.Topology{Shape: bench.Chain, Nodes: 3, Payload: 256}, 0.2},
	{bench.Topology{Shape: bench.Ring, Nodes: 10, Payload: 8}, 0.15},
	{bench.Topology{Shape: bench.Ring, Nodes: 10, Payload: 256}, 0.25},
}

// guardPath measures what has a floor, and returns an error that names what is below
// it.
func guardPath(ctx context.Context, w io.Writer) error {
	s := &section{title: "Guard", note: "Ringdht and the references, briefly.", load: load.Closed{Warm: 30 * time.Millisecond, Time: 200 * time.Millisecond}}
	for _, f := range floors {
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
	for i, f := range floors {
		row := done[0].Rows[i]
		if got := row.Ratio(ringdht.New().Name(), 0).Median; !(got >= f.floor) { // nor NaN
			errs = append(errs, fmt.Errorf("%s: %.3f of the reference, the floor is %.3f", row.Name, got, f.floor))
		}
	}
	return errors.Join(errs...)
}
