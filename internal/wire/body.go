package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The bodies of frames. Each has an Append and a Parse. A Parse that fails has no effect but
// its error; the caller drops the frame and counts it.

// OpenBody asks for a new stream.
type OpenBody struct {
	Incarnation uint64 // of the source
	Service     string // the name of a named service, up to the end of the body; "" on port 0
}

func (o OpenBody) Append(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, o.Incarnation), o.Service...)
}

// ParseOpen parses the body of an Open on a port. It takes any name that is not too long: one that
// no service can have is like that of an unknown one.
func ParseOpen(port uint8, b []byte) (o OpenBody, err error) {
	if named := port != 0; len(b) < 8 || named != (len(b) > 8) || len(b) > 8+MaxService {
		return o, badBody(Open, len(b))
	}
	return OpenBody{binary.BigEndian.Uint64(b), string(b[8:])}, nil
}

// OpenedBody grants a stream.
type OpenedBody struct {
	SourceIncarnation uint64 // of the Open
	SinkIncarnation   uint64
	First             uint64 // number of the first message
	Window            uint32 // bytes of frames that may be outstanding
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

// RefuseReason is why a sink refused to open a stream.
type RefuseReason uint8

const (
	RefuseStreams RefuseReason = 1 // it has as many incoming streams as it may
	RefuseLeaving RefuseReason = 2 // it is leaving the ring
	RefuseOlder   RefuseReason = 3 // it remembers a later incarnation of the source
	RefuseService RefuseReason = 4 // it does not handle messages of this service
)

func (r RefuseReason) String() string {
	switch r {
	case RefuseStreams:
		return "it holds as many incoming streams as it may"
	case RefuseLeaving:
		return "it leaves the ring"
	case RefuseOlder:
		return "it remembers a later incarnation of this node"
	case RefuseService:
		return "it does not handle this service"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// RefuseBody refuses a stream.
type RefuseBody struct {
	SourceIncarnation uint64 // of the Open
	Reason            RefuseReason
	Remembered        uint64 // the later incarnation, with RefuseOlder
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

// AppendRound appends the body of a [Sync]: the round.
func AppendRound(dst []byte, round uint32) []byte {
	return binary.BigEndian.AppendUint32(dst, round)
}

// ParseRound parses it.
func ParseRound(b []byte) (uint32, error) {
	if len(b) != 4 {
		return 0, badBody(Sync, len(b))
	}
	return binary.BigEndian.Uint32(b), nil
}

// MaxRanges is how many ranges one [Ack] can have. Later rounds report the holes beyond.
const MaxRanges = 32

// Range is N consecutive messages that arrived ahead of a hole. The first has the number
// delivered + Received + From of the [Ack].
type Range struct{ From, N uint32 }

// AckBody is the fixed part of an acknowledgement; ranges follow it. The number below which the
// handler is done, "delivered", is the header's seq.
type AckBody struct {
	Received uint32 // messages received without a hole, beyond delivered
	Window   uint32 // bytes of frames that may be outstanding beyond delivered
	Round    uint32 // of the latest Sync
}

const ackFixed = 12

// Append appends the body. It leaves out ranges beyond [MaxRanges].
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

// ParseAck parses the body of an [Ack] and appends its ranges to ranges. It returns an error,
// and ranges unchanged, unless they are ascending, separated by holes and not empty.
func ParseAck(b []byte, ranges []Range) (AckBody, []Range, error) {
	var a AckBody
	given := ranges
	if len(b) < ackFixed || (len(b)-ackFixed)%8 != 0 || len(b) > ackFixed+8*MaxRanges {
		return a, ranges, badBody(Ack, len(b))
	}
	a.Received = binary.BigEndian.Uint32(b)
	a.Window = binary.BigEndian.Uint32(b[4:])
	a.Round = binary.BigEndian.Uint32(b[8:])
	floor := uint64(1) // there is a hole between Received and the first range
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

// TracedBody is the answer of one hop to a [Trace].
type TracedBody struct {
	Hops uint16 // links from the source to this hop
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

// NoRouteReason is why a relay did not pass a frame on.
type NoRouteReason uint8

const (
	NoSuchNode NoRouteReason = 1 // no node has this ID
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

// NoRouteBody tells a source that a relay did not pass its frame on. The header's seq is that of
// the refused frame.
type NoRouteBody struct {
	Type   Type // of the refused frame
	Reason NoRouteReason
	Dst    uint64 // of the refused frame
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
