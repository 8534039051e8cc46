package process_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/process"
	"github.com/x/ringdht/benchmarks/internal/systems/heap"
	"github.com/x/ringdht/benchmarks/internal/systems/nats"
	"github.com/x/ringdht/benchmarks/internal/systems/reference"
	"github.com/x/ringdht/benchmarks/internal/systems/ringdht"
)

var systems = []bench.System{
	stranger{reference.Ideal().(bench.Distributed)},
	reference.Ideal(), reference.IdealStretches(), ringdht.New(), nats.New(), heap.With(nats.New(), 800),
}

func TestMain(m *testing.M) {
	process.Main(systems)
	os.Exit(m.Run())
}

// stranger is a system whose nodes cannot join.
type stranger struct{ bench.Distributed }

func (stranger) Name() string { return "stranger" }

func (stranger) Join(context.Context, bench.Topology, int, string, func(int, []byte)) (bench.Member, error) {
	return nil, errors.New("nobody knows me")
}

var brief = process.Closed{Warm: 5 * time.Millisecond, Time: 20 * time.Millisecond}

func TestEverythingArrives(t *testing.T) {
	for _, s := range systems[1:] {
		for _, nodes := range []int{2, 10} {
			v, err := brief.Run(t.Context(), s, bench.Topology{Shape: bench.Ring, Nodes: nodes, Payload: 256})
			if err != nil {
				t.Errorf("%s, %d nodes: %v", s.Name(), nodes, err)
			} else if v[0] <= 0 || v[2] != 0 {
				t.Errorf("%s, %d nodes: %v messages a second, %v lost", s.Name(), nodes, v[0], v[2])
			}
		}
	}
}

func TestNodesThatDoNotJoin(t *testing.T) {
	_, err := brief.Run(t.Context(), systems[0], bench.Topology{Shape: bench.Ring, Nodes: 3, Payload: 8})
	if err == nil || !strings.Contains(err.Error(), "node 2") {
		t.Errorf("got %v", err)
	}
	if _, err := brief.Run(t.Context(), reference.Raw(), bench.Topology{Nodes: 2}); err == nil {
		t.Error("raw has processes")
	}
}
