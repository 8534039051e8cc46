package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Closed is a closed loop: every source sends as fast as it can. The loop ends when
// everything has arrived.
type Closed struct {
	Warm time.Duration // how long the sources send before the measurement
	Time time.Duration // how long they send
}

// Throughput is the result of a closed loop.
type Throughput struct {
	Sent, Delivered int64
	Elapsed         time.Duration // from the first message to the last delivery
	CPU             time.Duration
}

// Metrics implements [Load].
func (Closed) Metrics() []Metric {
	return []Metric{{"msg/s", PerSecond, true}, {"CPU s per million", CPU, true}, {"lost", Part, false}}
}

// Values returns the values of the metrics.
func (t Throughput) Values() []float64 {
	return []float64{
		float64(t.Delivered) / t.Elapsed.Seconds(),
		t.CPU.Seconds() / float64(t.Delivered) * 1e6,
		1 - float64(t.Delivered)/float64(t.Sent),
	}
}

// Run implements [Load].
func (c Closed) Run(ctx context.Context, s bench.System, t bench.Topology) (_ []float64, err error) {
	sinks := make([]counter, t.Nodes)
	net, err := s.Start(ctx, t, func(sink int, payload []byte) {
		if len(payload) == t.Payload { // what is cut short counts as lost
			sinks[sink].n.Add(1)
		}
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	senders := make([]bench.Sender, sources(t))
	for i := range senders {
		senders[i] = net.Sender(i)
	}
	if _, err := burst(senders, t, c.Warm, sinks); err != nil {
		return nil, err
	}
	clean()
	r, err := burst(senders, t, c.Time, sinks)
	if err != nil {
		return nil, err
	}
	return r.Values(), r.Check()
}

// Check returns an error if more messages have arrived than were sent. The loop has then ended
// before all had arrived, since it only counts.
func (t Throughput) Check() error {
	if t.Delivered > t.Sent {
		return fmt.Errorf("%d messages were sent, and %d arrived: some came twice", t.Sent, t.Delivered)
	}
	return nil
}

// burst sends for a while and waits until everything has arrived.
func burst(senders []bench.Sender, t bench.Topology, d time.Duration, sinks []counter) (Throughput, error) {
	var (
		sent atomic.Int64
		wg   sync.WaitGroup
		errs = make([]error, len(senders))
	)
	before, cpu, start := total(sinks), ProcessorTime(), time.Now()
	for i, s := range senders {
		wg.Go(func() {
			n, err := Flood(s, t, i, d)
			sent.Add(n)
			errs[i] = err
		})
	}
	wg.Wait()
	r := Throughput{Sent: sent.Load()}
	if err := errors.Join(errs...); err != nil {
		return r, err
	}
	var last time.Time
	r.Delivered, last = arrive(func() int64 { return total(sinks) - before }, r.Sent)
	r.Elapsed, r.CPU = last.Sub(start), ProcessorTime()-cpu
	return r, nil
}

// Flood sends from one source as fast as it can for a while. It returns the number of
// messages.
func Flood(s bench.Sender, t bench.Topology, source int, d time.Duration) (n int64, err error) {
	var stop atomic.Bool // reading a clock each time would cost more than sending
	defer time.AfterFunc(d, func() { stop.Store(true) }).Stop()
	payload := make([]byte, t.Payload)
	sinks := dice(source)
	for !stop.Load() {
		if err := s.Send(sinks.target(t, source), payload); err != nil {
			return n, err
		}
		n++
	}
	return n, s.Push()
}
