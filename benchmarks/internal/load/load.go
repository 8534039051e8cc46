// Package load makes messages for systems to carry, and measures the result.
package load

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// A Load is a kind of traffic that systems have to carry.
type Load interface {
	// Metrics lists what Run measures.
	Metrics() []Metric

	// Run starts the system, puts it under the load, and stops it. It returns a value for
	// each metric.
	Run(ctx context.Context, s bench.System, t bench.Topology) ([]float64, error)
}

// Metric is a measured quantity.
type Metric struct {
	Name    string
	Unit    Unit
	Compare bool // it is compared with the reference's
}

// Unit is the unit of a metric.
type Unit int

const (
	PerSecond Unit = iota // messages per second
	Duration              // in seconds
	CPU                   // seconds of processor time
	Part                  // of a whole
)

// sources returns the nodes that send: the first of a chain, all of a ring.
func sources(t bench.Topology) int {
	if t.Shape == bench.Chain {
		return 1
	}
	return t.Nodes
}

// counter counts the messages of one sink. It has cache lines of its own.
type counter struct {
	n atomic.Int64
	_ [120]byte
}

func total(counters []counter) (sum int64) {
	for i := range counters {
		sum += counters[i].n.Load()
	}
	return sum
}

// settled is how long nothing must arrive until the rest counts as lost.
const settled = time.Second

// arrive waits until so many more messages have arrived than before, or until no more arrive.
// It returns their number, and when the last one was seen.
func arrive(arrived func() int64, sent int64) (n int64, last time.Time) {
	last = time.Now()
	for n < sent && time.Since(last) < settled {
		if now := arrived(); now > n {
			n, last = now, time.Now()
			continue
		}
		time.Sleep(100 * time.Microsecond)
	}
	return n, last
}

// dice draws sinks. It is a linear congruential generator with the constants of Knuth's MMIX.
// Its upper bits are good enough for that, and it takes a nanosecond.
type dice uint64

// other draws one of n nodes other than self.
func (d *dice) other(self, n int) int {
	*d = *d*6364136223846793005 + 1442695040888963407
	sink := int(uint64(*d) >> 32 * uint64(n-1) >> 32)
	if sink >= self {
		sink++
	}
	return sink
}

// target draws the sink of a source's next message.
func (d *dice) target(t bench.Topology, source int) int {
	if t.Shape == bench.Chain {
		return t.Nodes - 1
	}
	return d.other(source, t.Nodes)
}

// clean collects earlier garbage, outside of the measurement.
func clean() { runtime.GC() }
