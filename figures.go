package ringdht

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// fields are the counters in the order in which a heartbeat has them. New ones come last.
func (c *Counters) fields() []*int64 {
	return []*int64{
		&c.Sent, &c.Delivered, &c.Relayed, &c.Casts, &c.Retransmitted, &c.Duplicates,
		&c.Panics, &c.Detoured, &c.Requeued, &c.Unlisted,
		&c.Dropped.QueueFull, &c.Dropped.LinkDown, &c.Dropped.NoRoute, &c.Dropped.HopLimit, &c.Dropped.Overshoot,
		&c.Dropped.InboxFull, &c.Dropped.Stale, &c.Dropped.Malformed, &c.Dropped.Refused,
		&c.FramesIn, &c.BytesIn, &c.Reads, &c.BytesOut, &c.Writes,
		&c.SendBuffer, &c.ReceiveBuffer, &c.HandlerBacklog, &c.Queued,
	}
}

// gauges is how many of the fields, at the end, say what is now: what is gone leaves none.
const gauges = 4

// add adds others to the counters; what is now only if it is.
func (c *Counters) add(o *Counters, present bool) {
	to, from := c.fields(), o.fields()
	if !present {
		from = from[:len(from)-gauges]
	}
	for i, v := range from {
		*to[i] = plus(*to[i], *v)
	}
}

// plus adds numbers that are not negative. Nodes may say what they like: too much stays
// too much, and does not become less than nothing.
func plus(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// addRow adds numbers to a row, which grows as it must.
func addRow(to, from []int64) []int64 {
	for i, v := range from {
		if i == len(to) {
			to = append(to, 0)
		}
		to[i] = plus(to[i], v)
	}
	return to
}

// pack makes a heartbeat's part of a status.
func (s *NodeStatus) pack() control.Status {
	fields := s.Counters.fields()
	counters := make([]int64, len(fields))
	for i, v := range fields {
		counters[i] = *v
	}
	links := make([]uint64, 0, 4*len(s.Links))
	for _, l := range s.Links {
		up := uint64(0)
		if l.Up {
			up = 1
		}
		links = append(links, uint64(l.To), up, uint64(l.Bytes), uint64(l.Queued))
	}
	return control.Status{
		Epoch: s.Epoch, Members: int64(s.Members), Counters: counters, Hops: s.Hops, Latency: s.Latency.Counts, Took: int64(s.Latency.Sum), Links: links,
		Streams: []int64{int64(s.Streams.Outgoing), int64(s.Streams.Incoming), s.Streams.InFlight, s.Streams.Window},
		Limits: []int64{int64(s.Limits.SendBuffer), int64(s.Limits.ReceiveBuffer), int64(s.Limits.HandlerBacklog),
			int64(s.Limits.LinkQueue), int64(s.Limits.Handlers), int64(s.Limits.Streams)},
	}
}

// unpack reads what a node says of itself, of which nothing is taken on trust: rows may
// be shorter or longer than they should be, and what is no number of messages is none.
func unpack(who Peer, inc uint64, told control.Status) *NodeStatus {
	s := &NodeStatus{
		Peer: who, Incarnation: inc, Epoch: told.Epoch, Members: control.Int(max(0, told.Members)),
		Hops:    row(told.Hops, MaxHopCount+1),
		Latency: Histogram{row(told.Latency, HistogramBuckets), time.Duration(max(0, told.Took))},
		Links:   make([]LinkStatus, 0, len(told.Links)/4),
	}
	for i, v := range s.Counters.fields() {
		*v = at(told.Counters, i)
	}
	for l := told.Links[:min(len(told.Links), 4*ring.MaxTable)]; len(l) >= 4; l = l[4:] {
		s.Links = append(s.Links, LinkStatus{ID(l[0]), l[1] == 1, int64(l[2] &^ (1 << 63)), int64(l[3] &^ (1 << 63))})
	}
	s.Streams = StreamStatus{small(told.Streams, 0), small(told.Streams, 1), at(told.Streams, 2), at(told.Streams, 3)}
	for i, v := range []*int{&s.Limits.SendBuffer, &s.Limits.ReceiveBuffer, &s.Limits.HandlerBacklog, &s.Limits.LinkQueue, &s.Limits.Handlers, &s.Limits.Streams} {
		*v = small(told.Limits, i)
	}
	return s
}

// at is a number of a row, 0 if it is not there or makes no sense.
func at(row []int64, i int) int64 {
	if i >= len(row) {
		return 0
	}
	return max(0, row[i])
}

// small is at for numbers that fit into an int, which may have 32 bits.
func small(row []int64, i int) int { return int(min(at(row, i), math.MaxInt)) }

func row(told []int64, most int) []int64 {
	row := make([]int64, min(len(told), most))
	for i := range row {
		row[i] = at(told, i)
	}
	return row
}

// news leaves out of heartbeats what the registry has been told already.
type news struct {
	mu   sync.Mutex    // held until a heartbeat is queued, so that none overtakes a later one
	to   *control.Conn // over which the latest went
	last control.Status
}

// sayAlive sends a heartbeat, if there is a registry.
func (inc *incarnation) sayAlive() {
	if ctl := inc.n.ctl.Load(); ctl != nil {
		inc.beat(ctl) // an error: who listens has it too
	}
}

// beat sends a heartbeat over a connection.
func (inc *incarnation) beat(ctl *control.Conn) error {
	inc.news.mu.Lock()
	defer inc.news.mu.Unlock()
	inc.pulse.asked(inc.n.cfg.now())
	return ctl.Send(control.TypeBeat, inc.heartbeat(ctl))
}

// heartbeat makes what is sent next over a connection; it needs news.mu. A connection that
// has broken may have lost one, and a new one begins with everything.
func (inc *incarnation) heartbeat(ctl *control.Conn) control.Beat {
	b := inc.traffic.progress()
	b.Every = int64(inc.pace.Load())
	b.Late = inc.late.take().Milliseconds()
	s := inc.status()
	now := s.pack()
	if n := &inc.news; n.to != ctl || !same(n.last, now) {
		n.to, n.last = ctl, now
		b.Status = []control.Status{now}
	}
	return b
}

func same(a, b control.Status) bool {
	return a.Epoch == b.Epoch && a.Members == b.Members && a.Took == b.Took &&
		slices.Equal(a.Counters, b.Counters) && slices.Equal(a.Hops, b.Hops) && slices.Equal(a.Latency, b.Latency) &&
		slices.Equal(a.Links, b.Links) && slices.Equal(a.Streams, b.Streams) && slices.Equal(a.Limits, b.Limits)
}
