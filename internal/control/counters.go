package control

import (
	"math"

	"github.com/x/ringdht/status"
)

// counterTable lists the counters once. Sums, and the row in a heartbeat, are made from it. A row
// is read by position, so a new counter of either kind goes at the end.
var counterTable = []struct {
	name string // its key in JSON, with the prefix "dropped." for those of Dropped
	kind counterKind
	of   func(*status.Counters) *int64
}{
	{"sent", counter, func(c *status.Counters) *int64 { return &c.Sent }},
	{"delivered", counter, func(c *status.Counters) *int64 { return &c.Delivered }},
	{"relayed", counter, func(c *status.Counters) *int64 { return &c.Relayed }},
	{"casts", counter, func(c *status.Counters) *int64 { return &c.Casts }},
	{"retransmitted", counter, func(c *status.Counters) *int64 { return &c.Retransmitted }},
	{"duplicates", counter, func(c *status.Counters) *int64 { return &c.Duplicates }},
	{"panics", counter, func(c *status.Counters) *int64 { return &c.Panics }},
	{"detoured", counter, func(c *status.Counters) *int64 { return &c.Detoured }},
	{"requeued", counter, func(c *status.Counters) *int64 { return &c.Requeued }},
	{"unlisted", counter, func(c *status.Counters) *int64 { return &c.Unlisted }},
	{"dropped.queue_full", counter, func(c *status.Counters) *int64 { return &c.Dropped.QueueFull }},
	{"dropped.link_down", counter, func(c *status.Counters) *int64 { return &c.Dropped.LinkDown }},
	{"dropped.no_route", counter, func(c *status.Counters) *int64 { return &c.Dropped.NoRoute }},
	{"dropped.hop_limit", counter, func(c *status.Counters) *int64 { return &c.Dropped.HopLimit }},
	{"dropped.overshoot", counter, func(c *status.Counters) *int64 { return &c.Dropped.Overshoot }},
	{"dropped.inbox_full", counter, func(c *status.Counters) *int64 { return &c.Dropped.InboxFull }},
	{"dropped.stale", counter, func(c *status.Counters) *int64 { return &c.Dropped.Stale }},
	{"dropped.malformed", counter, func(c *status.Counters) *int64 { return &c.Dropped.Malformed }},
	{"dropped.refused", counter, func(c *status.Counters) *int64 { return &c.Dropped.Refused }},
	{"frames_in", counter, func(c *status.Counters) *int64 { return &c.FramesIn }},
	{"bytes_in", counter, func(c *status.Counters) *int64 { return &c.BytesIn }},
	{"reads", counter, func(c *status.Counters) *int64 { return &c.Reads }},
	{"bytes_out", counter, func(c *status.Counters) *int64 { return &c.BytesOut }},
	{"writes", counter, func(c *status.Counters) *int64 { return &c.Writes }},
	{"send_buffer", gauge, func(c *status.Counters) *int64 { return &c.SendBuffer }},
	{"receive_buffer", gauge, func(c *status.Counters) *int64 { return &c.ReceiveBuffer }},
	{"handler_backlog", gauge, func(c *status.Counters) *int64 { return &c.HandlerBacklog }},
	{"queued", gauge, func(c *status.Counters) *int64 { return &c.Queued }},
	{"strangers", counter, func(c *status.Counters) *int64 { return &c.Strangers }},
	{"dropped.unknown", counter, func(c *status.Counters) *int64 { return &c.Dropped.Unknown }},
	{"links_shed", counter, func(c *status.Counters) *int64 { return &c.LinksShed }},
}

// counterKind says how a counter of a node that is gone counts in sums.
type counterKind int

const (
	counter counterKind = iota // only grows, so it counts for ever
	gauge                      // what is in use now: nothing for a node that is gone
)

// CounterRow returns counters in the order of the table.
func CounterRow(c *status.Counters) []int64 {
	row := make([]int64, len(counterTable))
	for i, t := range counterTable {
		row[i] = *t.of(c)
	}
	return row
}

// setCounters sets counters to a row, which may be shorter or longer than the table.
func setCounters(c *status.Counters, row []int64) {
	for i, t := range counterTable {
		*t.of(c) = valueAt(row, i)
	}
}

// AddCounters adds the counters of a node to a sum, and its gauges if the node is present.
func AddCounters(to, from *status.Counters, present bool) {
	for _, t := range counterTable {
		if t.kind == counter || present {
			*t.of(to) = SaturatingAdd(*t.of(to), *t.of(from))
		}
	}
}

// SaturatingAdd adds numbers that are not negative. A sum that is too large is the largest int64:
// the values come from nodes and are untrusted.
func SaturatingAdd(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// AddRow adds a row to another, which grows if it is shorter.
func AddRow(to, from []int64) []int64 {
	for i, v := range from {
		if i == len(to) {
			to = append(to, 0)
		}
		to[i] = SaturatingAdd(to[i], v)
	}
	return to
}
