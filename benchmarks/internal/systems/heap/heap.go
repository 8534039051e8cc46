// Package heap runs systems with a larger heap, as GOGC does.
package heap

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// With returns the system with another garbage-collection target. 100 is the default; with
// 800 the heap grows to nine times what is in use, and is collected an eighth as often. In
// one process it holds for all parts of the system, and in several for the host and all
// nodes. It ends with the system.
func With(s bench.System, percent int) bench.System {
	h := heap{s, percent}
	if d, ok := s.(bench.Distributed); ok {
		return distributed{h, d}
	}
	return h
}

type heap struct {
	bench.System
	percent int
}

func (h heap) Name() string { return fmt.Sprintf("%s, GOGC=%d", h.System.Name(), h.percent) }

// set sets the target and returns a function that sets it back.
func (h heap) set() (restore func()) {
	before := debug.SetGCPercent(h.percent)
	return func() { debug.SetGCPercent(before) }
}

func (h heap) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	restore := h.set()
	n, err := h.System.Start(ctx, t, deliver)
	if err != nil {
		restore()
		return nil, err
	}
	return net{n, restore}, nil
}

type net struct {
	bench.Net
	restore func()
}

func (n net) Close() error {
	defer n.restore()
	return n.Net.Close()
}

type distributed struct {
	heap
	in bench.Distributed
}

func (d distributed) Host(ctx context.Context, t bench.Topology) (bench.Host, error) {
	restore := d.set()
	h, err := d.in.Host(ctx, t)
	if err != nil {
		restore()
		return nil, err
	}
	return host{h, restore}, nil
}

type host struct {
	bench.Host
	restore func()
}

func (h host) Close() error {
	defer h.restore()
	return h.Host.Close()
}

func (d distributed) Join(ctx context.Context, t bench.Topology, i int, addr string, deliver func(int, []byte)) (bench.Member, error) {
	restore := d.set()
	m, err := d.in.Join(ctx, t, i, addr, deliver)
	if err != nil {
		restore()
		return nil, err
	}
	return member{m, restore}, nil
}

type member struct {
	bench.Member
	restore func()
}

func (m member) Close() error {
	defer m.restore()
	return m.Member.Close()
}
