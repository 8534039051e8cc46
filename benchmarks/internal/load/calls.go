package load

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Calls keeps a number of calls in flight from node 0 of a chain to its last node: as many
// goroutines make one after the other. A Sender's Send is a whole call: it returns with the answer.
type Calls struct {
	InFlight int
	Warm     time.Duration
	Time     time.Duration
}

// Metrics implements [Load].
func (Calls) Metrics() []Metric {
	return []Metric{{"p50", Duration, true}, {"p99", Duration, true}, {"calls/s", PerSecond, true}, {"CPU s per million", CPU, true}}
}

// Run implements [Load].
func (c Calls) Run(ctx context.Context, s bench.System, t bench.Topology) (_ []float64, err error) {
	net, err := s.Start(ctx, t, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	senders := make([]bench.Sender, c.InFlight)
	for i := range senders {
		senders[i] = net.Sender(0)
	}
	if _, err = c.burst(senders, t, c.Warm); err != nil {
		return nil, err
	}
	clean()
	return c.burst(senders, t, c.Time)
}

// burst calls for a while.
func (c Calls) burst(senders []bench.Sender, t bench.Topology, d time.Duration) ([]float64, error) {
	rounds := newHistogram()
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	start, cpu := time.Now(), ProcessorTime()
	for _, s := range senders {
		wg.Go(func() {
			mine := newHistogram()
			payload := make([]byte, t.Payload)
			var err error
			for now := time.Now(); err == nil && now.Sub(start) < d; {
				err = s.Send(t.Nodes-1, payload)
				next := time.Now()
				_ = mine.RecordValue(min(int64(next.Sub(now)), longest))
				now = next
			}
			mu.Lock()
			rounds.Merge(mine)
			failed = errors.Join(failed, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	took, used := time.Since(start), ProcessorTime()-cpu
	n := float64(rounds.TotalCount())
	return []float64{quantile(rounds, 50), quantile(rounds, 99), n / took.Seconds(), used.Seconds() / n * 1e6}, failed
}
