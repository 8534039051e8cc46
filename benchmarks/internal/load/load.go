// Package load makes messages for systems to carry, and measures how they do.
package load

import (
	"sync/atomic"
	"syscall"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// sources are the nodes that send: the first of a chain, all of a ring.
func sources(t bench.Topology) int {
	if t.Shape == bench.Chain {
		return 1
	}
	return t.Nodes
}

// counter counts for one sink. Each has cache lines of its own.
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

// dice draws sinks: a linear congruential generator with the constants of Knuth's
// MMIX, whose upper bits are good enough for that and cost a nanosecond.
type dice uint64

// other draws a node from n that is not self.
func (d *dice) other(self, n int) int {
	*d = *d*6364136223846793005 + 1442695040888963407
	sink := int(uint64(*d) >> 32 * uint64(n-1) >> 32)
	if sink >= self {
		sink++
	}
	return sink
}

// cpu is the processor time that this process has taken.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no reason to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
