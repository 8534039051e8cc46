package status

import (
	"math"
	"time"
)

// Node is what a node shows of itself: to its own program, and with each heartbeat to its
// registry, which shows it in a [Snapshot].
//
// Since Peer is embedded, fmt and slog show a Node or a [Member] as its ID and address only.
type Node struct {
	Peer
	Incarnation uint64 `json:"incarnation"` // a number that no other incarnation of any node has
	// Name, Tags and Services are what the node says of itself, see MemberInfo. Heartbeats do not
	// carry them: the registry has them from the beginning.
	Name     string            `json:"name,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Services []string          `json:"services,omitempty"`
	Identity string            `json:"identity"` // of its ring, see Snapshot; empty before the node has a routing table
	Epoch    uint64            `json:"epoch"`    // of its routing table; 0 before the overlay is set up
	Members  int               `json:"members"`  // of the ring, as far as the node has heard; before the set-up, when it joined
	Counters Counters          `json:"counters"`
	// Hops counts the messages delivered here: Hops[i] of them crossed i links. Messages from
	// the node to itself crossed none. Hops[MaxHopCount] also counts messages that crossed
	// more. Zeros at the end are left out.
	Hops []int64 `json:"hops"`
	// Latency is how long deliveries of this node's messages take. A stream measures it now
	// and then, not for each message: it asks its sink, behind the messages sent so far, and
	// the sink answers when its handler has had them.
	Latency Histogram `json:"latency"`
	Links   []Link    `json:"links"` // to the entries of the routing table, clockwise
	Streams Streams   `json:"streams"`
	Limits  Limits    `json:"limits"`
	// Keys is the node's part in each service with keys, by the service's name; nil, and absent in JSON,
	// if it opens none.
	Keys []NodeKeys `json:"keys,omitempty"`
	// Secure says that the node is in a secure ring. There, Key is the beginning of its key's hash,
	// and AdmittedUntil when its admission expires, by the registry's clock.
	Secure        bool      `json:"secure,omitempty"`
	Key           string    `json:"key,omitempty"`
	AdmittedUntil time.Time `json:"admitted_until,omitzero"`
	// Runs is the node's part in traffic runs. Heartbeats do not carry it: it is nil, and absent
	// in JSON, for the members of a [Snapshot], whose registry has the accounts of all nodes.
	Runs *NodeRuns `json:"runs,omitempty"`
}

// MaxHopCount is the largest number of hops that [Node].Hops counts by itself.
const MaxHopCount = 31

// Link is a node's link to one entry of its routing table.
type Link struct {
	To     ID    `json:"to"`     // the entry
	Up     bool  `json:"up"`     // the link is open; if not, Bytes and Queued are 0
	Bytes  int64 `json:"bytes"`  // written to the link since it was opened
	Queued int64 `json:"queued"` // gauge: bytes that wait for the link
}

// Streams is the state of a node's streams. A stream carries all messages from one source to
// one service of a sink. It opens with the first of them, and ends after a minute without any. All fields
// are gauges.
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
	Sum    time.Duration `json:"sum_ns"` // of all durations
}

// HistogramBuckets is the number of buckets of a [Histogram]. The last one has all durations
// of more than 16.8 seconds, the bound of the one before.
const HistogramBuckets = 26

// Bound is the longest duration in bucket i, 2^i microseconds, for i from 0. The last bucket
// has longer durations as well.
func (Histogram) Bound(i int) time.Duration { return time.Microsecond << i }

// Count is the number of durations.
func (h Histogram) Count() (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile is a duration that the fraction q of all durations, from 0 to 1, does not exceed:
// the bound of the bucket in which the quantile lies. For the last bucket, which has no
// bound, it is the next power of two, 33.6 seconds. It is 0 if there are no durations.
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
	ID      ID            `json:"id"`         // the node that answered
	Elapsed time.Duration `json:"elapsed_ns"` // from the question to this node's answer, as measured by the asker
}
