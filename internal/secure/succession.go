package secure

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// Succession says that a new key takes the place of a ring's key. The old key signs it. Its
// bytes:
//
//	 0  "ringdht key 1"
//	13  ring       u64
//	21  old key    32 bytes
//	53  new key    32 bytes
//	85  since      u64, milliseconds since 1970 by the registry's clock
//	93  signature  64 bytes, by the old key, of the 93 bytes before
type Succession struct {
	Ring     uint64
	Old, New Key
	Since    time.Time
}

// SuccessionSize is the length of a succession in bytes.
const SuccessionSize = 157

const successionMagic = "ringdht key 1"

// Sign returns the succession's bytes, signed by the old key.
func (s Succession) Sign(old ed25519.PrivateKey) []byte {
	b := make([]byte, 0, SuccessionSize)
	b = append(b, successionMagic...)
	b = binary.BigEndian.AppendUint64(b, s.Ring)
	b = append(append(b, s.Old[:]...), s.New[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Since.UnixMilli()))
	return append(b, ed25519.Sign(old, b)...)
}

// ParseSuccession returns what a succession says, if the old key that it names has signed it.
func ParseSuccession(b []byte) (s Succession, err error) {
	if len(b) != SuccessionSize || string(b[:len(successionMagic)]) != successionMagic {
		return s, fmt.Errorf("%w: a succession of %d bytes", errMagic, len(b))
	}
	s = Succession{
		Ring:  binary.BigEndian.Uint64(b[13:]),
		Old:   Key(b[21:53]),
		New:   Key(b[53:85]),
		Since: time.UnixMilli(int64(binary.BigEndian.Uint64(b[85:]))),
	}
	if !signed(b, s.Old) {
		return s, errSignature
	}
	return s, nil
}

// RingOf returns the number by which records name a ring: the first 8 bytes of the SHA-256 of
// "ringdht ring 1" and the ring's first key. It outlives that key.
func RingOf(first Key) uint64 {
	sum := sha256.Sum256(append([]byte("ringdht ring 1"), first[:]...))
	return binary.BigEndian.Uint64(sum[:])
}
