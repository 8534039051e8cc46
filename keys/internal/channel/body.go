package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MinBody is the least that [Channel.Take] may be limited to. A ring with shorter messages cannot
// have keys.
const MinBody = 128

const (
	maxHeader = 1 + 16 + 2*9 // numbers are at most maxNumber
	maxNumber = 1 << 62
	minHead   = 64 // the first part of a frame that is cut
)

// The flags of a body.
const (
	flagAsk = 1 << iota
	flagAgain
)

// ErrLives says that a body is from or for another life than those of the channel.
var ErrLives = errors.New("channel: a body between other lives")

// ErrViolation says that the peer has broken a rule. The channel is closed.
var ErrViolation = errors.New("channel: the peer broke a rule")

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrViolation, fmt.Sprintf(format, args...))
}

// header is what a body has besides its bytes.
type header struct {
	flags       byte
	from, to    uint64
	ack, offset uint64
}

func (h header) append(b []byte) []byte {
	b = append(b, h.flags)
	b = binary.BigEndian.AppendUint64(b, h.from)
	b = binary.BigEndian.AppendUint64(b, h.to)
	b = binary.AppendUvarint(b, h.ack)
	return binary.AppendUvarint(b, h.offset)
}

// Lives returns the lives that a body is from and for.
func Lives(b []byte) (from, to uint64, err error) {
	if len(b) < 19 || b[0]&^(flagAsk|flagAgain) != 0 {
		return 0, 0, violation("%d bytes are no body", len(b))
	}
	return binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:]), nil
}

// parse returns the header of a body, and its bytes.
func parse(b []byte) (h header, bytes []byte, err error) {
	if h.from, h.to, err = Lives(b); err != nil {
		return h, nil, err
	}
	h.flags, bytes = b[0], b[17:]
	for _, v := range []*uint64{&h.ack, &h.offset} {
		var n int
		if *v, n = binary.Uvarint(bytes); n <= 0 || *v > maxNumber {
			return h, nil, violation("a number that is cut, or too large")
		}
		bytes = bytes[n:]
	}
	return h, bytes, nil
}
