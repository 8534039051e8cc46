package ringdht

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// counterTable lists the counters once: sums, and the row in a heartbeat, are made from it.
// A row is read by position, so a new counter goes at the end, whatever its kind.
var counterTable = []struct {
	name string // its key in JSON; within Dropped, behind "dropped."
	kind counterKind
	of   func(*Counters) *int64
}{
	{"sent", counter, func(c *Counters) *int64 { return &c.Sent }},
	{"delivered", counter, func(c *Counters) *int64 { return &c.Delivered }},
	{"relayed", counter, func(c *Counters) *int64 { return &c.Relayed }},
	{"casts", counter, func(c *Counters) *int64 { return &c.Casts }},
	{"retransmitted", counter, func(c *Counters) *int64 { return &c.Retransmitted }},
	{"duplicates", counter, func(c *Counters) *int64 { return &c.Duplicates }},
	{"panics", counter, func(c *Counters) *int64 { return &c.Panics }},
	{"detoured", counter, func(c *Counters) *int64 { return &c.Detoured }},
	{"requeued", counter, func(c *Counters) *int64 { return &c.Requeued }},
	{"unlisted", counter, func(c *Counters) *int64 { return &c.Unlisted }},
	{"dropped.queue_full", counter, func(c *Counters) *int64 { return &c.Dropped.QueueFull }},
	{"dropped.link_down", counter, func(c *Counters) *int64 { return &c.Dropped.LinkDown }},
	{"dropped.no_route", counter, func(c *Counters) *int64 { return &c.Dropped.NoRoute }},
	{"dropped.hop_limit", counter, func(c *Counters) *int64 { return &c.Dropped.HopLimit }},
	{"dropped.overshoot", counter, func(c *Counters) *int64 { return &c.Dropped.Overshoot }},
	{"dropped.inbox_full", counter, func(c *Counters) *int64 { return &c.Dropped.InboxFull }},
	{"dropped.stale", counter, func(c *Counters) *int64 { return &c.Dropped.Stale }},
	{"dropped.malformed", counter, func(c *Counters) *int64 { return &c.Dropped.Malformed }},
	{"dropped.refused", counter, func(c *Counters) *int64 { return &c.Dropped.Refused }},
	{"frames_in", counter, func(c *Counters) *int64 { return &c.FramesIn }},
	{"bytes_in", counter, func(c *Counters) *int64 { return &c.BytesIn }},
	{"reads", counter, func(c *Counters) *int64 { return &c.Reads }},
	{"bytes_out", counter, func(c *Counters) *int64 { return &c.BytesOut }},
	{"writes", counter, func(c *Counters) *int64 { return &c.Writes }},
	{"send_buffer", gauge, func(c *Counters) *int64 { return &c.SendBuffer }},
	{"receive_buffer", gauge, func(c *Counters) *int64 { return &c.ReceiveBuffer }},
	{"handler_backlog", gauge, func(c *Counters) *int64 { return &c.HandlerBacklog }},
	{"queued", gauge, func(c *Counters) *int64 { return &c.Queued }},
}

type counterKind int

const (
	counter counterKind = iota // only grows
	gauge                      // what is in use now: a node that is gone has none
)

// counterRow returns counters in the order of the table.
func counterRow(c *Counters) []int64 {
	row := make([]int64, len(counterTable))
	for i, t := range counterTable {
		row[i] = *t.of(c)
	}
	return row
}

// setCounters sets counters to a row, which may be shorter or longer than the table.
func setCounters(c *Counters, row []int64) {
	for i, t := range counterTable {
		*t.of(c) = at(row, i)
	}
}

// addCounters adds the counters of a node to c, and its gauges if the node is present.
func addCounters(c, o *Counters, present bool) {
	for _, t := range counterTable {
		if t.kind == counter || present {
			*t.of(c) = plus(*t.of(c), *t.of(o))
		}
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
func pack(s *NodeStatus) control.Status {
	links := make([]uint64, 0, 4*len(s.Links))
	for _, l := range s.Links {
		up := uint64(0)
		if l.Up {
			up = 1
		}
		links = append(links, uint64(l.To), up, uint64(l.Bytes), uint64(l.Queued))
	}
	return control.Status{
		Epoch: s.Epoch, Members: int64(s.Members), Counters: counterRow(&s.Counters), Hops: s.Hops, Latency: s.Latency.Counts, Took: int64(s.Latency.Sum), Links: links,
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
	setCounters(&s.Counters, told.Counters)
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
	inc.pulse.asked(inc.n.cfg.Now())
	return ctl.Send(control.TypeBeat, inc.heartbeat(ctl))
}

// heartbeat makes what is sent next over a connection; it needs news.mu. A connection that
// has broken may have lost one, and a new one begins with everything.
func (inc *incarnation) heartbeat(ctl *control.Conn) control.Beat {
	b := inc.traffic.progress()
	b.Every = int64(inc.pace.Load())
	b.Late = inc.late.take().Milliseconds()
	s := inc.status()
	now := pack(&s)
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
