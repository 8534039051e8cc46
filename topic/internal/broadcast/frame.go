package broadcast

import (
	"encoding/binary"
	"errors"
)

// Member is one incarnation of a node.
type Member struct {
	ID, Incarnation uint64
}

// Kind says what a frame is.
type Kind uint8

const (
	// Data is message Number of Origin. With a Tag it is a Sync as well.
	Data Kind = iota + 1
	// Sync asks whether the range has all messages of Origin up to Number.
	Sync
	// Agree asks whether the range knows Origin, a newcomer.
	Agree
	// Settle asks each member of the range whether all that it has published so far has arrived.
	Settle
	// Confirm answers the frame with this Tag: yes, the whole range. To a Settle it names the eldest
	// member of the range, Origin, and the epoch of its first list, Number.
	Confirm
	// Need asks Origin for its messages Number to Last.
	Need
)

// Frame is what members send each other. The fields that a kind does not name are zero.
type Frame struct {
	Kind   Kind
	Origin Member // whose message or question it is
	Number uint64
	Last   uint64 // Need
	Lo     uint64 // Data, Sync: Origin has nothing more below this number
	Limit  uint64 // Data, Sync, Agree, Settle: the range is between the receiver and this ID
	Tag    uint64 // the receiver answers with Confirm when it is not 0
	Epoch  uint64 // with a Tag, and of Need: the answer must come from a list of this epoch, or later
	Body   []byte // Data
}

// MaxHeader is the most that a frame takes besides its body. Usually it takes 20 to 40 bytes.
const MaxHeader = 1 + 8*binary.MaxVarintLen64

// Append appends the frame to b: the kind, then the other fields in their order, as varints.
func (f Frame) Append(b []byte) []byte {
	b = append(b, byte(f.Kind))
	for _, v := range [...]uint64{f.Origin.ID, f.Origin.Incarnation, f.Number, f.Last, f.Lo, f.Limit, f.Tag, f.Epoch} {
		b = binary.AppendUvarint(b, v)
	}
	return append(b, f.Body...)
}

var errFrame = errors.New("not a frame of a topic")

// Parse reads what Append has written. The body is part of b.
func Parse(b []byte) (f Frame, err error) {
	if len(b) == 0 || b[0] == 0 || Kind(b[0]) > Need {
		return Frame{}, errFrame
	}
	f.Kind, b = Kind(b[0]), b[1:]
	for _, v := range [...]*uint64{&f.Origin.ID, &f.Origin.Incarnation, &f.Number, &f.Last, &f.Lo, &f.Limit, &f.Tag, &f.Epoch} {
		var n int
		if *v, n = binary.Uvarint(b); n <= 0 {
			return Frame{}, errFrame
		}
		b = b[n:]
	}
	if len(b) > 0 && f.Kind != Data {
		return Frame{}, errFrame
	}
	f.Body = b
	return f, nil
}
