package status

import (
	"math"
	"time"
)

// Node is what a node says of itself: to its own program with [Node.Status], and
// with its heartbeats to its registry, which shows it in a [Snapshot].
type Node struct {
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
	Latency Histogram `json:"latency"`
	Links   []Link    `json:"links"` // to the entries of its table, clockwise
	Streams Streams   `json:"streams"`
	Limits  Limits    `json:"limits"`
}

// MaxHopCount is the number of hops from which on [Node].Hops tells no difference.
const MaxHopCount = 31

// Link is what has gone over the link to an entry, since it was opened.
type Link struct {
	To     ID    `json:"to"`
	Up     bool  `json:"up"`
	Bytes  int64 `json:"bytes"`
	Queued int64 `json:"queued"` // bytes that wait for it now
}

// Streams is what a node's streams hold now.
type Streams struct {
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

// Hop is one node's answer to a trace.
type Hop struct {
	ID      ID            `json:"id"`
	Elapsed time.Duration `json:"elapsed_ns"` // from the question to this node's answer, as measured by the asker
}

// Limits are the bounds of a node's memory, see ringdht.Limits.
type Limits struct {
	SendBuffer     int `json:"send_buffer"`
	ReceiveBuffer  int `json:"receive_buffer"`
	HandlerBacklog int `json:"handler_backlog"`
	LinkQueue      int `json:"link_queue"`
	Handlers       int `json:"handlers"`
	Streams        int `json:"streams"`
}
