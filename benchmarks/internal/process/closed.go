package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
	"github.com/x/ringdht/benchmarks/internal/load"
)

// Closed is [load.Closed] with a process per node, for systems that are [bench.Distributed].
type Closed load.Closed

// Metrics implements [load.Load].
func (c Closed) Metrics() []load.Metric { return load.Closed(c).Metrics() }

// Run implements [load.Load].
func (c Closed) Run(ctx context.Context, s bench.System, t bench.Topology) (_ []float64, err error) {
	d, ok := s.(bench.Distributed)
	if !ok {
		return nil, fmt.Errorf("%s has no processes of its own", s.Name())
	}
	host, err := d.Host(ctx, t)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	f, err := spawn(ctx, s.Name(), t, host.Addr())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := host.Form(ctx); err != nil {
		return nil, err
	}
	if _, err := f.all(order{Connect: f.addrs}); err != nil {
		return nil, err
	}
	if _, err := f.burst(c.Warm); err != nil {
		return nil, err
	}
	r, err := f.burst(c.Time)
	if err != nil {
		return nil, err
	}
	return r.Values(), r.Check()
}

// settled is how long nothing must arrive until the rest counts as lost, and poll how often
// the nodes are asked.
const (
	settled = time.Second
	poll    = time.Millisecond
)

// burst lets all nodes send for a while, and waits until everything has arrived.
func (f *family) burst(d time.Duration) (r load.Throughput, err error) {
	before, err := f.all(order{})
	if err != nil {
		return r, err
	}
	start, cpu := time.Now(), load.ProcessorTime()
	now, err := f.all(order{Flood: d})
	if err != nil {
		return r, err
	}
	r.Sent = now.Sent
	for last := time.Now(); ; {
		if n := now.Arrived - before.Arrived; n > r.Delivered {
			r.Delivered, last = n, time.Now()
		}
		if r.Delivered >= r.Sent || time.Since(last) > settled {
			r.Elapsed = last.Sub(start)
			break
		}
		time.Sleep(poll)
		if now, err = f.all(order{}); err != nil {
			return r, err
		}
	}
	r.CPU = now.CPU - before.CPU + load.ProcessorTime() - cpu
	return r, nil
}
