package control

import (
	"math"
	"time"

	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Pack makes a heartbeat's part of a status.
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
	}
}

// Unpack reads what a node says of itself, of which nothing is taken on trust: rows may
// be shorter or longer than they should be, and what is no number of messages is none.
func Unpack(who status.Peer, inc uint64, told Status) *status.Node {
	s := &status.Node{
		Peer: who, Incarnation: inc, Epoch: told.Epoch, Members: Int(max(0, told.Members)),
		Hops:    row(told.Hops, status.MaxHopCount+1),
		Latency: status.Histogram{Counts: row(told.Latency, status.HistogramBuckets), Sum: time.Duration(max(0, told.Took))},
		Links:   make([]status.Link, 0, len(told.Links)/4),
	}
	setCounters(&s.Counters, told.Counters)
	for l := told.Links[:min(len(told.Links), 4*ring.MaxTable)]; len(l) >= 4; l = l[4:] {
		s.Links = append(s.Links, status.Link{To: status.ID(l[0]), Up: l[1] == 1, Bytes: int64(l[2] &^ (1 << 63)), Queued: int64(l[3] &^ (1 << 63))})
	}
	s.Streams = status.Streams{Outgoing: small(told.Streams, 0), Incoming: small(told.Streams, 1), InFlight: at(told.Streams, 2), Window: at(told.Streams, 3)}
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
