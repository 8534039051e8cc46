package load

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Open is an open loop: messages fall due at a fixed rate, whether or not the system keeps
// up, and their delay counts from then. A source that is behind sends overdue messages as
// fast as it can. Messages that it has not sent at the end were not carried.
type Open struct {
	Rate int           // messages per second over all sources
	Warm time.Duration // how long at that rate before the measurement
	Time time.Duration
}

// sampled bounds the messages per second whose delay is measured: every message, every second
// one, every third one, and so on. Reading a clock twice takes longer than carrying a
// message.
const sampled = 250_000

// Metrics implements [Load].
func (Open) Metrics() []Metric {
	return []Metric{
		{"carried msg/s", PerSecond, false},
		{"p50", Duration, true}, {"p99", Duration, true}, {"p99.9", Duration, false},
		{"p99 since Send", Duration, false},
		{"CPU s per million", CPU, true},
		{"lost", Part, false},
	}
}

// Run implements [Load].
func (o Open) Run(ctx context.Context, s bench.System, t bench.Topology) (_ []float64, err error) {
	gauges := make([]gauge, t.Nodes)
	for i := range gauges {
		gauges[i].sinceDue, gauges[i].sinceSend = newHistogram(), newHistogram()
	}
	base := time.Now()
	net, err := s.Start(ctx, t, func(sink int, payload []byte) { gauges[sink].take(payload, base) })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	senders := make([]*paced, sources(t))
	for i := range senders {
		senders[i] = &paced{
			Sender: net.Sender(i), topology: t, source: i, sinks: dice(i),
			rate: float64(o.Rate) / float64(len(senders)), every: int64(max(1, o.Rate/sampled)),
			base: base, payload: make([]byte, max(t.Payload, stampSize)),
		}
	}
	arrived := func() (sum int64) {
		for i := range gauges {
			sum += gauges[i].n.Load()
		}
		return sum
	}
	if _, err := pace(senders, o.Warm, arrived); err != nil {
		return nil, err
	}
	for i := range gauges {
		gauges[i].reset()
	}
	clean()
	r, err := pace(senders, o.Time, arrived)
	if err != nil {
		return nil, err
	}
	sinceDue, sinceSend := newHistogram(), newHistogram()
	for i := range gauges {
		gauges[i].mu.Lock()
		sinceDue.Merge(gauges[i].sinceDue)
		sinceSend.Merge(gauges[i].sinceSend)
		gauges[i].mu.Unlock()
	}
	return []float64{
		float64(r.Delivered) / r.Elapsed.Seconds(),
		quantile(sinceDue, 50), quantile(sinceDue, 99), quantile(sinceDue, 99.9),
		quantile(sinceSend, 99),
		r.CPU.Seconds() / float64(r.Delivered) * 1e6,
		1 - float64(r.Delivered)/float64(r.Sent),
	}, nil
}

// A payload starts with two times, in ticks of 100 ns since the start of the net: when the
// message was due, and when it was sent. They are 0 if it is not sampled.
const (
	stampSize = 8
	stampUnit = 100 * time.Nanosecond
)

func stamp(payload []byte, due, sent time.Duration) {
	binary.LittleEndian.PutUint32(payload, uint32(due/stampUnit))
	binary.LittleEndian.PutUint32(payload[4:], uint32(sent/stampUnit))
}

// gauge holds the delays of one sink.
type gauge struct {
	n atomic.Int64
	_ [120]byte

	mu        sync.Mutex // several sources, or links, may deliver at once
	sinceDue  *hdrhistogram.Histogram
	sinceSend *hdrhistogram.Histogram
}

func (g *gauge) take(payload []byte, base time.Time) {
	due, sent := binary.LittleEndian.Uint32(payload), binary.LittleEndian.Uint32(payload[4:])
	if sent != 0 {
		now := int64(time.Since(base))
		g.mu.Lock()
		g.sinceDue.RecordValue(min(now-int64(due)*int64(stampUnit), longest))
		g.sinceSend.RecordValue(min(now-int64(sent)*int64(stampUnit), longest))
		g.mu.Unlock()
	}
	g.n.Add(1)
}

func (g *gauge) reset() {
	g.mu.Lock()
	g.sinceDue.Reset()
	g.sinceSend.Reset()
	g.mu.Unlock()
}
