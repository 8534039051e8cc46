package heap_test

import (
	"errors"
	"runtime/debug"
	"testing"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/systems/heap"
	"github.com/x/ringdht/benchmarks/internal/systems/nats"
	"github.com/x/ringdht/benchmarks/internal/systems/reference"
)

// target reads the target that holds now.
func target() int {
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}

// The target holds while the system runs, in one process and in several, and not after it.
func TestWhileItRuns(t *testing.T) {
	before := target()
	top := bench.Topology{Shape: bench.Ring, Nodes: 2, Payload: 8}
	s := heap.With(nats.New(), 800)
	if s.Name() != "NATS core, GOGC=800" {
		t.Errorf("its name is %q", s.Name())
	}
	n, err := s.Start(t.Context(), top, func(int, []byte) {})
	during := target()
	if err = errors.Join(err, n.Close()); err != nil || during != 800 || target() != before {
		t.Errorf("%d before, %d while it runs, %d after: %v", before, during, target(), err)
	}
	d := s.(bench.Distributed)
	h, err := d.Host(t.Context(), top)
	if err != nil || target() != 800 {
		t.Errorf("%d with a host: %v", target(), err)
	}
	if err := h.Close(); err != nil || target() != before {
		t.Errorf("%d after the host: %v", target(), err)
	}
	if h, err = nats.New().(bench.Distributed).Host(t.Context(), top); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	m, err := d.Join(t.Context(), top, 0, h.Addr(), func(int, []byte) {})
	if err != nil || target() != 800 {
		t.Errorf("%d with a node: %v", target(), err)
	}
	if err := m.Close(); err != nil || target() != before {
		t.Errorf("%d after the node: %v", target(), err)
	}
	if _, ok := heap.With(reference.Raw(), 800).(bench.Distributed); ok {
		t.Error("raw has processes")
	}
}
