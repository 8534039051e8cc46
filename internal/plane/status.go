package plane

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/status"
)

// Status is a snapshot of a plane.
type Status struct {
	status.Counters
	Hops       [HopCounts]int64 // messages delivered, by links crossed; the last also counts all beyond it
	Latency    [Buckets]int64   // deliveries, by how long they took, see bucketOf
	LatencySum time.Duration
	Links      []LinkStatus // in no order

	Outgoing, Incoming int   // streams
	InFlight, Window   int64 // of the outgoing streams: bytes in flight, and bytes that may be
}

// LinkStatus is the traffic of a link of the table.
type LinkStatus struct {
	ID            uint64
	Bytes, Queued int64
}

// HopCounts and Buckets are the lengths of the histograms.
const (
	HopCounts = 32
	Buckets   = 26
)

// latency is a histogram of durations.
type latency struct {
	counts [Buckets]atomic.Int64
	sum    atomic.Int64
}

func (h *latency) add(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// bucketOf returns the bucket of a duration: i for up to 2^i microseconds, the last one for all
// that are longer.
func bucketOf(d time.Duration) int {
	us := uint64((max(1, d) - 1) / time.Microsecond)
	return min(bits.Len64(us), Buckets-1)
}

// crossed counts n messages that crossed hops links.
func (c *counters) crossed(hops, n int) {
	if n > 0 {
		c.hops[min(hops, HopCounts-1)].Add(int64(n))
	}
}

// Status returns a snapshot. As with [Plane.Counters] it is not of one instant.
func (p *Plane) Status() Status {
	out := p.outgoingCounters()
	s := Status{
		Counters: p.count(out),
		Outgoing: int(out.streams), InFlight: out.inFlight, Window: out.windows,
		LatencySum: time.Duration(p.counters.latency.sum.Load()),
	}
	for i := range s.Hops {
		s.Hops[i] = p.counters.hops[i].Load()
	}
	for i := range s.Latency {
		s.Latency[i] = p.counters.latency.counts[i].Load()
	}
	_, s.Incoming = p.StreamCount()
	for _, l := range p.Links() {
		bytes, _ := l.Stats()
		s.Links = append(s.Links, LinkStatus{l.Peer().ID, bytes, int64(l.Queued()) + l.Reserved()})
	}
	return s
}
