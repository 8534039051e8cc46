package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/load"
	"github.com/x/ringdht/benchmarks/internal/systems/reference"
	"github.com/x/ringdht/benchmarks/internal/systems/ringdht"
)

func main() {
	rounds := flag.Int("rounds", 3, "")
	d := flag.Duration("time", time.Second, "")
	flag.Parse()
	systems := []bench.System{reference.Raw(), reference.Relay(), reference.Ideal(), ringdht.New(), ringdht.Cast()}
	for _, p := range []int{8, 256, 4096} {
		for _, t := range []bench.Topology{
			{Shape: bench.Chain, Nodes: 2, Payload: p},
			{Shape: bench.Chain, Nodes: 3, Payload: p},
			{Shape: bench.Ring, Nodes: 10, Payload: p},
		} {
			for range *rounds {
				for _, s := range systems {
					if !s.Supports(t) {
						continue
					}
					r, err := load.Closed{Warm: 200 * time.Millisecond, Time: *d}.Run(context.Background(), s, t)
					fmt.Printf("%v %-14s %8.2f M/s cpu %.3f loss %.3f err %v\n", t, s.Name(), r.Rate()/1e6, r.CPUPerMillion(), r.Loss(), err)
				}
			}
		}
	}
}
