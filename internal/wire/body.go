package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The bodies of the frames that streams exchange. Each has an append and a
// parse; a parse that fails says so and has no other effect, and the frame is
// dropped and counted by whoever holds it.

// OpenBody asks for a new stream.
type OpenBody struct {
	Incarnation uint64 // of the source
}

func (o OpenBody) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, o.Incarnation)
}

func ParseOpen(b []byte) (o OpenBody, err error) {
	if len(b) != 8 {
		return o, badBody(Open, len(b))
	}
	o.Incarnation = binary.BigEndian.Uint64(b)
	return o, nil
}

// OpenedBody grants a stream: where its numbers start and how much may be sent.
type OpenedBody struct {
	SourceIncarnation uint64 // echoed
	SinkIncarnation   uint64
	First             uint64 // number of the first message
	Window            uint32 // bytes of frames
}

func (o OpenedBody) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, o.SourceIncarnation)
	dst = binary.BigEndian.AppendUint64(dst, o.SinkIncarnation)
	dst = binary.BigEndian.AppendUint64(dst, o.First)
	return binary.BigEndian.AppendUint32(dst, o.Window)
}

func ParseOpened(b []byte) (o OpenedBody, err error) {
	if len(b) != 28 {
		return o, badBody(Opened, len(b))
	}
	o.SourceIncarnation = binary.BigEndian.Uint64(b)
	o.SinkIncarnation = binary.BigEndian.Uint64(b[8:])
	o.First = binary.BigEndian.Uint64(b[16:])
	o.Window = binary.BigEndian.Uint32(b[24:])
	return o, nil
}

// RefuseReason says why a sink would not open a stream.
type RefuseReason uint8

const (
	RefuseStreams RefuseReason = 1 // it holds as many streams as it may
	RefuseLeaving RefuseReason = 2 // it leaves the ring
	RefuseOlder   RefuseReason = 3 // it remembers a later life of the source
)

func (r RefuseReason) String() string {
	switch r {
	case RefuseStreams:
		return "it holds as many incoming streams as it may"
	case RefuseLeaving:
		return "it leaves the ring"
	case RefuseOlder:
		return "it remembers a later life of this node"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// RefuseBody refuses a stream.
type RefuseBody struct {
	SourceIncarnation uint64 // echoed
	Reason            RefuseReason
	Remembered        uint64 // the later life, with RefuseOlder
}

func (r RefuseBody) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.SourceIncarnation)
	return binary.BigEndian.AppendUint64(append(dst, byte(r.Reason)), r.Remembered)
}

func ParseRefuse(b []byte) (r RefuseBody, err error) {
	if len(b) != 17 {
		return r, badBody(Refuse, len(b))
	}
	r.SourceIncarnation = binary.BigEndian.Uint64(b)
	r.Reason = RefuseReason(b[8])
	r.Remembered = binary.BigEndian.Uint64(b[9:])
	return r, nil
}

// AppendRound and ParseRound are the body of a [Sync].
func AppendRound(dst []byte, round uint32) []byte {
	return binary.BigEndian.AppendUint32(dst, round)
}

func ParseRound(b []byte) (uint32, error) {
	if len(b) != 4 {
		return 0, badBody(Sync, len(b))
	}
	return binary.BigEndian.Uint32(b), nil
}

// MaxRanges bounds the held ranges in one acknowledgement. More holes than that
// are reported in the next rounds.
const MaxRanges = 32

// Range is a run of messages that arrived ahead of a hole: N of them, the first
// From numbers after the acknowledgement's Received point.
type Range struct{ From, N uint32 }

// AckBody is what a sink says of a stream besides the number up to which its
// handler is done, which travels in the header.
type AckBody struct {
	Received uint32 // messages received without a hole beyond the delivered ones
	Window   uint32 // bytes of frames that may be outstanding beyond the delivered ones
	Round    uint32 // the latest Sync seen
}

const ackFixed = 12

// Append appends the body; ranges beyond [MaxRanges] are left out.
func (a AckBody) Append(dst []byte, ranges []Range) []byte {
	dst = binary.BigEndian.AppendUint32(dst, a.Received)
	dst = binary.BigEndian.AppendUint32(dst, a.Window)
	dst = binary.BigEndian.AppendUint32(dst, a.Round)
	for _, r := range ranges[:min(len(ranges), MaxRanges)] {
		dst = binary.BigEndian.AppendUint32(dst, r.From)
		dst = binary.BigEndian.AppendUint32(dst, r.N)
	}
	return dst
}

// ParseAck parses an acknowledgement, appending its ranges to ranges. They come
// out ascending, apart from each other and not empty, or the frame is refused
// and ranges come back as they were.
func ParseAck(b []byte, ranges []Range) (AckBody, []Range, error) {
	var a AckBody
	given := ranges
	if len(b) < ackFixed || (len(b)-ackFixed)%8 != 0 || len(b) > ackFixed+8*MaxRanges {
		return a, ranges, badBody(Ack, len(b))
	}
	a.Received = binary.BigEndian.Uint32(b)
	a.Window = binary.BigEndian.Uint32(b[4:])
	a.Round = binary.BigEndian.Uint32(b[8:])
	floor := uint64(1) // a range that touched Received would not be a hole
	for b = b[ackFixed:]; len(b) > 0; b = b[8:] {
		r := Range{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
		if r.N == 0 || uint64(r.From) < floor {
			return AckBody{}, given, errors.New("wire: ack ranges out of order")
		}
		floor = uint64(r.From) + uint64(r.N) + 1
		ranges = append(ranges, r)
	}
	return a, ranges, nil
}

// TracedBody is one hop's answer to a [Trace].
type TracedBody struct {
	Hops uint16 // links crossed from the source to this hop
	Last bool   // this hop is the sink
}

func (t TracedBody) Append(dst []byte) []byte {
	last := byte(0)
	if t.Last {
		last = 1
	}
	return append(binary.BigEndian.AppendUint16(dst, t.Hops), last)
}

func ParseTraced(b []byte) (t TracedBody, err error) {
	if len(b) != 3 {
		return t, badBody(Traced, len(b))
	}
	if b[2] > 1 {
		return t, fmt.Errorf("wire: last is %d in a traced frame, it can be 0 or 1", b[2])
	}
	return TracedBody{binary.BigEndian.Uint16(b), b[2] == 1}, nil
}

// NoRouteReason says why a frame went no further.
type NoRouteReason uint8

const (
	NoSuchNode NoRouteReason = 1 // nobody has this ID
	HopLimit   NoRouteReason = 2 // the frame crossed more links than the ring allows
)

func (r NoRouteReason) String() string {
	switch r {
	case NoSuchNode:
		return "no such node"
	case HopLimit:
		return "hop limit reached"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// NoRouteBody tells a source what became of a frame it sent. The header's seq is
// the refused frame's.
type NoRouteBody struct {
	Type   Type // of the refused frame
	Reason NoRouteReason
	Dst    uint64 // where it was going
}

func (n NoRouteBody) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(n.Type), byte(n.Reason)), n.Dst)
}

func ParseNoRoute(b []byte) (n NoRouteBody, err error) {
	if len(b) != 10 {
		return n, badBody(NoRoute, len(b))
	}
	return NoRouteBody{Type(b[0]), NoRouteReason(b[1]), binary.BigEndian.Uint64(b[2:])}, nil
}

func badBody(t Type, n int) error {
	return fmt.Errorf("wire: a %v frame cannot have a body of %d bytes", t, n)
}
