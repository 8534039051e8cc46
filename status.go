package ringdht

import (
	"math"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/plane"
)

// NodeStatus is what a node says of itself: to its own program with [Node.Status], and
// with its heartbeats to its registry, which shows it in a [Snapshot].
type NodeStatus struct {
	Peer
	Incarnation uint64   `json:"incarnation"`
	Epoch       uint64   `json:"epoch"`   // of its table, 0 before the overlay is set up
	Members     int      `json:"members"` // of the ring, as far as it has heard; before the set-up, when it joined
	Counters    Counters `json:"counters"`
	// Hops counts the messages delivered here by the links that they crossed: none,
	// one, two and so on. The last of MaxHopCount + 1 numbers counts all that crossed
	// more as well; zeros at the end are left out.
	Hops []int64 `json:"hops"`
	// Latency is how long deliveries take: from when the node asked its sink how far
	// it is, behind what it had sent, to the answer that the sink's handler has
	// had all of it. A stream asks now and then, not for each message.
	Latency Histogram    `json:"latency"`
	Links   []LinkStatus `json:"links"` // to the entries of its table, clockwise
	Streams StreamStatus `json:"streams"`
	Limits  Limits       `json:"limits"`
}

// MaxHopCount is the number of hops from which on [NodeStatus].Hops tells no difference.
const MaxHopCount = 31

// LinkStatus is what has gone over the link to an entry, since it was opened.
type LinkStatus struct {
	To     ID    `json:"to"`
	Up     bool  `json:"up"`
	Bytes  int64 `json:"bytes"`
	Queued int64 `json:"queued"` // bytes that wait for it now
}

// StreamStatus is what a node's streams hold now.
type StreamStatus struct {
	Outgoing int   `json:"outgoing"`  // to how many sinks
	Incoming int   `json:"incoming"`  // from how many sources
	InFlight int64 `json:"in_flight"` // bytes sent to sinks and not known to be delivered
	Window   int64 `json:"window"`    // bytes that may be in flight: what sinks grant, added up
}

// Histogram counts durations in buckets that double in width: bucket i has those of up
// to [Histogram.Bound](i), and more than the bucket before.
type Histogram struct {
	Counts []int64       `json:"counts"` // empty buckets at the end are left out
	Sum    time.Duration `json:"sum_ns"`
}

// HistogramBuckets is the number of buckets of a [Histogram]. The last has no bound.
const HistogramBuckets = 26

// Bound is the longest duration in a bucket, 2^i microseconds. The last bucket takes
// all that is longer than the one before.
func (Histogram) Bound(i int) time.Duration { return time.Microsecond << i }

// Count is the number of durations.
func (h Histogram) Count() (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile is a duration that the fraction q of all is not above: the bound of the
// bucket in which it lies, or 0 if there are none. Of the last bucket, which has no
// bound, it is what the next power of two would be.
func (h Histogram) Quantile(q float64) time.Duration {
	rest := int64(math.Ceil(q * float64(h.Count())))
	for i, c := range h.Counts {
		if rest -= c; c > 0 && rest <= 0 {
			return h.Bound(i)
		}
	}
	return 0
}

// The rows are those that the plane counts in.
var (
	_ [MaxHopCount + 1]int64  = plane.Status{}.Hops
	_ [HistogramBuckets]int64 = plane.Status{}.Latency
)

// Status says how the node is in its present life.
func (n *Node) Status() NodeStatus { return n.inc.Load().status() }

func (inc *incarnation) status() NodeStatus {
	p := inc.plane.Status()
	local, table := inc.local.Load(), inc.table.Load()
	members := local.Members
	if members == 0 {
		members = control.Int(inc.self.Members)
	}
	s := NodeStatus{
		Peer: Peer{ID(inc.self.ID), inc.n.address()}, Incarnation: inc.self.Life, Epoch: table.Epoch(), Members: members,
		Counters: countersOf(p.Counters), Hops: untilZeros(p.Hops[:]),
		Latency: Histogram{untilZeros(p.Latency[:]), p.LatencySum},
		Links:   make([]LinkStatus, 0, table.Len()),
		Streams: StreamStatus{p.Outgoing, p.Incoming, p.InFlight, p.Window},
		Limits:  inc.n.cfg.limits,
	}
	at := make(map[ID]plane.LinkStatus, len(p.Links))
	for _, link := range p.Links {
		at[ID(link.ID)] = link
	}
	for e := range table.Entries() {
		link, up := at[e.ID]
		s.Links = append(s.Links, LinkStatus{e.ID, up, link.Bytes, link.Queued})
	}
	return s
}

// untilZeros copies numbers up to the last that is not zero.
func untilZeros(all []int64) []int64 {
	n := len(all)
	for n > 0 && all[n-1] == 0 {
		n--
	}
	return append([]int64{}, all[:n]...)
}
