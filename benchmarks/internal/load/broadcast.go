package load

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Broadcast lets node 0 publish to all others. So many messages are in flight: one more is published when
// the oldest has come to the last subscriber. A payload begins with the message's number.
type Broadcast struct {
	InFlight int
	Warm     time.Duration
	Time     time.Duration
}

// Metrics implements [Load].
func (Broadcast) Metrics() []Metric {
	return []Metric{{"p50", Duration, true}, {"p99", Duration, true}, {"broadcasts/s", PerSecond, true}, {"CPU s per million", CPU, true}}
}

// flight is a message that is under way.
type flight struct {
	left atomic.Int32 // subscribers that lack it
	sent time.Time
	done chan time.Time // of one slot
}

// Run implements [Load].
func (b Broadcast) Run(ctx context.Context, s bench.System, t bench.Topology) (_ []float64, err error) {
	flights := make([]flight, b.InFlight)
	for i := range flights {
		flights[i].done = make(chan time.Time, 1)
	}
	net, err := s.Start(ctx, t, func(_ int, payload []byte) {
		f := &flights[binary.BigEndian.Uint64(payload)%uint64(len(flights))]
		if f.left.Add(-1) == 0 {
			f.done <- time.Now()
		}
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	sender := net.Sender(0)
	if _, err = b.burst(sender, flights, t, b.Warm); err != nil {
		return nil, err
	}
	clean()
	return b.burst(sender, flights, t, b.Time)
}

var errLost = errors.New("a message did not come to all subscribers within 10 seconds")

// burst publishes for a while, and waits until all of it has come.
func (b Broadcast) burst(s bench.Sender, flights []flight, t bench.Topology, d time.Duration) ([]float64, error) {
	delays := newHistogram()
	payload := make([]byte, t.Payload)
	start, cpu := time.Now(), ProcessorTime()
	land := func(f *flight) error {
		select {
		case at := <-f.done:
			_ = delays.RecordValue(min(int64(at.Sub(f.sent)), longest))
			return nil
		case <-time.After(10 * time.Second):
			return errLost
		}
	}
	published, landed := uint64(0), uint64(0)
	for time.Since(start) < d {
		if published-landed == uint64(len(flights)) {
			if err := land(&flights[landed%uint64(len(flights))]); err != nil {
				return nil, err
			}
			landed++
		}
		f := &flights[published%uint64(len(flights))]
		f.left.Store(int32(t.Nodes - 1))
		f.sent = time.Now()
		binary.BigEndian.PutUint64(payload, published)
		if err := s.Send(0, payload); err != nil {
			return nil, err
		}
		published++
	}
	for ; landed < published; landed++ {
		if err := land(&flights[landed%uint64(len(flights))]); err != nil {
			return nil, err
		}
	}
	took, used := time.Since(start), ProcessorTime()-cpu
	n := float64(published)
	return []float64{quantile(delays, 50), quantile(delays, 99), n / took.Seconds(), used.Seconds() / n / float64(t.Nodes-1) * 1e6}, nil
}
