package topic

import (
	"encoding/binary"
	"fmt"

	"github.com/x/ringdht"
)

// envelope is a message as it travels, the body of the core's frames:
//
//	stamp    8 bytes
//	subject  its length in a byte, and the subject
//	value    by the codec of the ring
//
// Stamps are Lamport times: a message has a greater one than each that its publisher had got. They
// order the messages of several publishers, for the sake of retained ones.
type envelope struct {
	stamp   uint64
	subject []byte
	value   []byte
	all     []byte // what the others are parts of
}

const (
	stampSize  = 8
	maxSubject = 255
)

// appendEnvelope appends all but the value, with no stamp yet.
func appendEnvelope(b []byte, subject string) ([]byte, error) {
	if len(subject) > maxSubject {
		return nil, fmt.Errorf("%w: the subject has %d bytes, at most %d", ringdht.ErrTooLarge, len(subject), maxSubject)
	}
	b = append(b, make([]byte, stampSize)...)
	return append(append(b, byte(len(subject))), subject...), nil
}

func setStamp(b []byte, stamp uint64) { binary.BigEndian.PutUint64(b, stamp) }

// parseEnvelope reads what a publisher has written.
func parseEnvelope(b []byte) (e envelope, ok bool) {
	if len(b) < stampSize+1 || len(b) < stampSize+1+int(b[stampSize]) {
		return envelope{}, false
	}
	at := stampSize + 1 + int(b[stampSize])
	return envelope{binary.BigEndian.Uint64(b), b[stampSize+1 : at], b[at:], b}, true
}
