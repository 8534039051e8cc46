package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Closed is a closed loop: every source sends as fast as it can.
type Closed struct {
	Warm time.Duration // how long, before anything counts
	Time time.Duration // how long they send
}

// Throughput is what came of a closed loop.
type Throughput struct {
	Sent, Delivered int64
	Elapsed         time.Duration // from the first message to the last delivery
	CPU             time.Duration
}

// Rate is how many messages were delivered in a second.
func (t Throughput) Rate() float64 { return float64(t.Delivered) / t.Elapsed.Seconds() }

// CPUPerMillion is the processor time that a million deliveries took, in seconds.
func (t Throughput) CPUPerMillion() float64 { return t.CPU.Seconds() / float64(t.Delivered) * 1e6 }

// Loss is the part of the messages that never arrived.
func (t Throughput) Loss() float64 { return 1 - float64(t.Delivered)/float64(t.Sent) }

// settled is how long nothing must arrive for the rest to be taken for lost.
const settled = 300 * time.Millisecond

// Run runs the loop on a new net of the system.
func (c Closed) Run(ctx context.Context, s bench.System, t bench.Topology) (_ Throughput, err error) {
	sinks := make([]counter, t.Nodes)
	net, err := s.Start(ctx, t, func(sink int, _ []byte) { sinks[sink].n.Add(1) })
	if err != nil {
		return Throughput{}, fmt.Errorf("%s: start: %w", s.Name(), err)
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	senders := make([]bench.Sender, sources(t))
	for i := range senders {
		senders[i] = net.Sender(i)
	}
	for _, d := range []time.Duration{c.Warm, c.Time} {
		runtime.GC() // of what came before, at its own expense
		var result Throughput
		if result, err = burst(senders, t, d, sinks); err != nil {
			return Throughput{}, fmt.Errorf("%s: %w", s.Name(), err)
		}
		if d == c.Time {
			return result, nil
		}
	}
	panic("not reached")
}

// burst sends for a while and waits until all has arrived.
func burst(senders []bench.Sender, t bench.Topology, d time.Duration, sinks []counter) (Throughput, error) {
	var (
		stop  atomic.Bool
		sent  atomic.Int64
		wg    sync.WaitGroup
		fails = make([]error, len(senders))
	)
	before, cpuBefore, start := total(sinks), cpu(), time.Now()
	for i, s := range senders {
		wg.Go(func() {
			n, err := flood(s, i, t, &stop)
			sent.Add(n)
			fails[i] = err
		})
	}
	time.Sleep(d)
	stop.Store(true)
	wg.Wait()
	if err := errors.Join(fails...); err != nil {
		return Throughput{}, err
	}
	r := Throughput{Sent: sent.Load()}
	last := time.Now() // when more had arrived than before
	for r.Delivered < r.Sent && time.Since(last) < settled {
		if n := total(sinks) - before; n > r.Delivered {
			r.Delivered, last = n, time.Now()
			continue
		}
		time.Sleep(100 * time.Microsecond)
	}
	r.Elapsed, r.CPU = last.Sub(start), cpu()-cpuBefore
	return r, nil
}

// flood sends as fast as one source can, until it is stopped.
func flood(s bench.Sender, source int, t bench.Topology, stop *atomic.Bool) (n int64, err error) {
	payload := make([]byte, t.Payload)
	d := dice(source)
	sink := t.Nodes - 1
	for !stop.Load() {
		if t.Shape == bench.Ring {
			sink = d.other(source, t.Nodes)
		}
		if err := s.Send(sink, payload); err != nil {
			return n, err
		}
		n++
	}
	return n, s.Push()
}
