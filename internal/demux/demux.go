// Package demux sorts the frames of a batch by where they go, so that each lock is taken once per
// batch. It knows neither locks nor frames: its caller says where in the batch a frame lies.
package demux

import "github.com/x/ringdht/internal/link"

// Demux notes where the frames of a batch go: by a way to another node, or to this node, as part of
// a stream or without one. Each list keeps the order of the batch. Its lists share one slice, which
// holds at most as many stretches as the batch has frames. In the long run nothing allocates.
//
// A new one needs [Demux.Clear]. A function that returned one would need much stack.
type Demux struct {
	stretches []stretch

	// Frames to relay, by the index of their way.
	ways    []list
	touched []int

	// Frames of streams to this node, by source and port. slots finds the group of a stream by a hash. If
	// two streams share a slot, their groups are smaller and nothing else changes.
	groups []group
	slots  [64]uint8 // index + 1 in groups

	casts list // messages without a stream, for this node

	spans []link.Span // scratch
}

// stretch is a part of a batch: adjacent whole frames that take the same way or are of the same
// stream.
type stretch struct {
	from, to int32
	next     int32 // the next stretch of the list, -1 behind the last
}

// list is stretches in the order of the batch, as indices into Demux.stretches.
type list struct{ head, tail int32 }

var emptyList = list{-1, -1}

type group struct {
	source uint64
	list
	port uint8
}

// MaxSources is how many streams there is room for. It is limited by the type of slots.
const MaxSources = 255

// FitWays makes room for n ways.
func (d *Demux) FitWays(n int) {
	for len(d.ways) < n {
		d.ways = append(d.ways, emptyList)
	}
}

// AddRelay notes that the frame between two offsets takes a way. Like AddSource and AddCast it
// returns the index of the stretch that ends with the frame, for Extend.
func (d *Demux) AddRelay(way int, from, to int) int32 {
	if d.ways[way].head < 0 {
		d.touched = append(d.touched, way)
	}
	return d.add(&d.ways[way], from, to)
}

// AddSource notes that a frame is part of the stream of a source with a port. It returns -1 if there
// are [MaxSources] already.
func (d *Demux) AddSource(source uint64, port uint8, from, to int) int32 {
	slot := &d.slots[((source+uint64(port))*0x9e3779b97f4a7c15)>>58]
	if i := int(*slot) - 1; i >= 0 && d.groups[i].source == source && d.groups[i].port == port {
		return d.add(&d.groups[i].list, from, to)
	}
	if len(d.groups) == MaxSources {
		return -1
	}
	d.groups = append(d.groups, group{source, emptyList, port})
	*slot = uint8(len(d.groups))
	return d.add(&d.groups[len(d.groups)-1].list, from, to)
}

// AddCast notes a message without a stream.
func (d *Demux) AddCast(from, to int) int32 { return d.add(&d.casts, from, to) }

// Extend adds the frame that follows the last one noted, and goes where that one goes.
func (d *Demux) Extend(stretch int32, to int) { d.stretches[stretch].to = int32(to) }

func (d *Demux) add(l *list, from, to int) int32 {
	if l.tail >= 0 && d.stretches[l.tail].to == int32(from) {
		d.stretches[l.tail].to = int32(to)
		return l.tail
	}
	at := int32(len(d.stretches))
	d.stretches = append(d.stretches, stretch{int32(from), int32(to), -1})
	if l.tail < 0 {
		l.head = at
	} else {
		d.stretches[l.tail].next = at
	}
	l.tail = at
	return at
}

// Ways returns the ways that frames take, in the order of their first frames.
func (d *Demux) Ways() []int { return d.touched }

// Relayed returns the frames that take a way. Like those of Source and Casts the spans are valid
// until the next such call.
func (d *Demux) Relayed(way int) []link.Span { return d.spansOf(d.ways[way]) }

// Sources returns how many groups of frames there are for Source. A stream may have several, each
// behind the one before.
func (d *Demux) Sources() int { return len(d.groups) }

// Source returns a group: frames of one source's stream with a port.
func (d *Demux) Source(i int) (source uint64, port uint8, spans []link.Span) {
	g := &d.groups[i]
	return g.source, g.port, d.spansOf(g.list)
}

// Casts returns the messages without a stream.
func (d *Demux) Casts() []link.Span { return d.spansOf(d.casts) }

func (d *Demux) spansOf(l list) []link.Span {
	d.spans = d.spans[:0]
	for i := l.head; i >= 0; i = d.stretches[i].next {
		d.spans = append(d.spans, link.Span{From: int(d.stretches[i].from), To: int(d.stretches[i].to)})
	}
	return d.spans
}

// ClearSources forgets the frames of streams. It makes room for other streams within a batch.
func (d *Demux) ClearSources() {
	if len(d.groups) > 0 {
		d.groups = d.groups[:0]
		clear(d.slots[:])
	}
}

// Clear forgets all frames, at the end of a batch.
func (d *Demux) Clear() {
	for _, way := range d.touched {
		d.ways[way] = emptyList
	}
	d.touched = d.touched[:0]
	d.ClearSources()
	d.casts = emptyList
	d.stretches = d.stretches[:0]
}
