package status

import (
	"math"
	"time"
)

// Node is what a node shows of itself: to its own program, and with each heartbeat to its
// registry, which shows it in a [Snapshot].
type Node struct {
	Peer
	Incarnation uint64   `json:"incarnation"`
	Epoch       uint64   `json:"epoch"`   // of its routing table; 0 before the overlay is set up
	Members     int      `json:"members"` // of the ring, as far as the node has heard; before the set-up, when it joined
	Counters    Counters `json:"counters"`
	// Hops counts the messages delivered here by the number of links that they crossed: 0,
	// 1, 2 and so on. The last of its MaxHopCount + 1 numbers also counts messages that
	// crossed more. Zeros at the end are left out.
	Hops []int64 `json:"hops"`
	// Latency is the duration of deliveries. It is measured from a question to the sink,
	// sent behind messages, to the answer that the sink's handler has had them. A
	// stream asks now and then, not for each message.
	Latency Histogram `json:"latency"`
	Links   []Link    `json:"links"` // to the entries of the routing table, clockwise
	Streams Streams   `json:"streams"`
	Limits  Limits    `json:"limits"`
}

// MaxHopCount is the largest number of hops that [Node].Hops counts by itself.
const MaxHopCount = 31

// Link is the traffic on the link to an entry since it was opened.
type Link struct {
	To     ID    `json:"to"`
	Up     bool  `json:"up"`
	Bytes  int64 `json:"bytes"`
	Queued int64 `json:"queued"` // gauge: bytes that wait for the link
}

// Streams is the state of a node's streams. All fields are gauges.
type Streams struct {
	Outgoing int   `json:"outgoing"`  // streams to sinks
	Incoming int   `json:"incoming"`  // streams from sources
	InFlight int64 `json:"in_flight"` // bytes sent to sinks and not known to be delivered
	Window   int64 `json:"window"`    // bytes that may be in flight: the sum of what sinks grant
}

// Histogram counts durations in buckets that double in width: bucket i has the durations up
// to [Histogram.Bound](i) that are longer than the bound of bucket i-1.
type Histogram struct {
	Counts []int64       `json:"counts"` // empty buckets at the end are left out
	Sum    time.Duration `json:"sum_ns"`
}

// HistogramBuckets is the number of buckets of a [Histogram]. The last one has no bound.
const HistogramBuckets = 26

// Bound is the longest duration in bucket i, 2^i microseconds. The last bucket has all
// longer durations as well.
func (Histogram) Bound(i int) time.Duration { return time.Microsecond << i }

// Count is the number of durations.
func (h Histogram) Count() (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile is a duration that the fraction q of all durations does not exceed: the bound of
// the bucket in which the quantile lies. For the last bucket, which has no bound, it is the
// next power of two. It is 0 if there are no durations.
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

// Limits are the bounds of a node's memory. ringdht.Limits says what each one bounds.
type Limits struct {
	SendBuffer     int `json:"send_buffer"`
	ReceiveBuffer  int `json:"receive_buffer"`
	HandlerBacklog int `json:"handler_backlog"`
	LinkQueue      int `json:"link_queue"`
	Handlers       int `json:"handlers"`
	Streams        int `json:"streams"`
}
