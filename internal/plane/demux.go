package plane

import "github.com/x/ringdht/internal/link"

// stretch is a part of a batch: adjacent whole frames that take the same way or have the same
// source.
type stretch struct {
	from, to int32
	next     int32 // the next stretch of the list, -1 behind the last
}

// stretchList is stretches in the order of the batch, as indices into demux.stretches.
type stretchList struct{ head, tail int32 }

var emptyList = stretchList{-1, -1}

// demux sorts the frames of a batch by where they go, so that each lock is taken once per batch.
// Its lists share one slice, which holds at most as many stretches as the batch has frames.
type demux struct {
	stretches []stretch

	// Frames to relay, by the index of their way.
	ways    []stretchList
	touched []int

	// Frames of streams to this node, by source. slots finds the group of a source by a hash. If
	// two sources share a slot, their groups are smaller and nothing else changes.
	groups []group
	slots  [64]uint8 // index + 1 in groups

	casts stretchList // messages without a stream, for this node

	spans []link.Span // scratch
}

type group struct {
	source uint64
	stretchList
}

// maxGroups is limited by the type of slots.
const maxGroups = 255

// addRelay notes that a frame takes a way. Like addSource and addTo it returns the index of the
// stretch that ends with the frame.
func (s *demux) addRelay(way int, from, to int) int32 {
	if s.ways[way].head < 0 {
		s.touched = append(s.touched, way)
	}
	return s.addTo(&s.ways[way], from, to)
}

// addSource notes that a frame has a source. It returns -1 if there are too many sources already.
func (s *demux) addSource(source uint64, from, to int) int32 {
	slot := &s.slots[(source*0x9e3779b97f4a7c15)>>58]
	if i := int(*slot) - 1; i >= 0 && s.groups[i].source == source {
		return s.addTo(&s.groups[i].stretchList, from, to)
	}
	if len(s.groups) == maxGroups {
		return -1
	}
	s.groups = append(s.groups, group{source, emptyList})
	*slot = uint8(len(s.groups))
	return s.addTo(&s.groups[len(s.groups)-1].stretchList, from, to)
}

func (s *demux) addTo(l *stretchList, from, to int) int32 {
	if l.tail >= 0 && s.stretches[l.tail].to == int32(from) {
		s.stretches[l.tail].to = int32(to)
		return l.tail
	}
	at := int32(len(s.stretches))
	s.stretches = append(s.stretches, stretch{int32(from), int32(to), -1})
	if l.tail < 0 {
		l.head = at
	} else {
		s.stretches[l.tail].next = at
	}
	l.tail = at
	return at
}

// fitWays makes room for n ways.
func (s *demux) fitWays(n int) {
	for len(s.ways) < n {
		s.ways = append(s.ways, emptyList)
	}
}

// spansOf returns the stretches of a list. They are valid until the next call.
func (s *demux) spansOf(l stretchList) []link.Span {
	s.spans = s.spans[:0]
	for i := l.head; i >= 0; i = s.stretches[i].next {
		s.spans = append(s.spans, link.Span{From: int(s.stretches[i].from), To: int(s.stretches[i].to)})
	}
	return s.spans
}

// clearWays and clearGroups forget the frames that were handed on.
func (s *demux) clearWays() {
	for _, way := range s.touched {
		s.ways[way] = emptyList
	}
	s.touched = s.touched[:0]
}

func (s *demux) clearGroups() {
	if len(s.groups) > 0 {
		s.groups = s.groups[:0]
		clear(s.slots[:])
	}
}
