package control

import (
	"math"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Pack makes the status part of a heartbeat.
func Pack(s *status.Node) Status {
	links := make([]uint64, 0, 4*len(s.Links))
	for _, l := range s.Links {
		up := uint64(0)
		if l.Up {
			up = 1
		}
		links = append(links, uint64(l.To), up, uint64(l.Bytes), uint64(l.Queued))
	}
	return Status{
		Epoch: s.Epoch, Members: int64(s.Members), Counters: CounterRow(&s.Counters), Hops: s.Hops, Latency: s.Latency.Counts, Took: int64(s.Latency.Sum), Links: links,
		Streams: []int64{int64(s.Streams.Outgoing), int64(s.Streams.Incoming), s.Streams.InFlight, s.Streams.Window},
		Limits: []int64{int64(s.Limits.SendBuffer), int64(s.Limits.ReceiveBuffer), int64(s.Limits.HandlerBacklog),
			int64(s.Limits.LinkQueue), int64(s.Limits.Handlers), int64(s.Limits.Streams)},
		Keys: packKeys(s.Keys),
	}
}

// Unpack reads the status part of a heartbeat. It trusts nothing: rows may be too short or too
// long, and a negative number counts as 0.
func Unpack(peer status.Peer, inc uint64, st Status) *status.Node {
	s := &status.Node{
		Peer: peer, Incarnation: inc, Epoch: st.Epoch, Members: Int(max(0, st.Members)),
		Hops:    row(st.Hops, status.MaxHopCount+1),
		Latency: status.Histogram{Counts: row(st.Latency, status.HistogramBuckets), Sum: time.Duration(max(0, st.Took))},
		Links:   make([]status.Link, 0, len(st.Links)/4),
	}
	setCounters(&s.Counters, st.Counters)
	for l := st.Links[:min(len(st.Links), 4*ring.MaxTable)]; len(l) >= 4; l = l[4:] {
		s.Links = append(s.Links, status.Link{To: status.ID(l[0]), Up: l[1] == 1, Bytes: int64(l[2] &^ (1 << 63)), Queued: int64(l[3] &^ (1 << 63))})
	}
	s.Streams = status.Streams{Outgoing: intAt(st.Streams, 0), Incoming: intAt(st.Streams, 1), InFlight: valueAt(st.Streams, 2), Window: valueAt(st.Streams, 3)}
	for i, v := range []*int{&s.Limits.SendBuffer, &s.Limits.ReceiveBuffer, &s.Limits.HandlerBacklog, &s.Limits.LinkQueue, &s.Limits.Handlers, &s.Limits.Streams} {
		*v = intAt(st.Limits, i)
	}
	s.Keys = unpackKeys(st.Keys)
	return s
}

// valueAt returns a number of a row, or 0 if it is missing or negative.
func valueAt(row []int64, i int) int64 {
	if i >= len(row) {
		return 0
	}
	return max(0, row[i])
}

// intAt is valueAt for an int, which may have 32 bits.
func intAt(row []int64, i int) int { return int(min(valueAt(row, i), math.MaxInt)) }

// row copies at most limit values, negative ones as 0.
func row(values []int64, limit int) []int64 {
	row := make([]int64, min(len(values), limit))
	for i := range row {
		row[i] = valueAt(values, i)
	}
	return row
}
