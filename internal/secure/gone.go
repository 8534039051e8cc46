package secure

import (
	"crypto/ed25519"
	"encoding/binary"
)

// Gone says that the ring has declared an incarnation over. Messages carry its signature only:
// the other fields stand beside it. What is signed:
//
//	 0  "ringdht gone 1"
//	14  ring         u64
//	22  ID           u64
//	30  incarnation  u64
//	38  epoch        u64
type Gone struct {
	Ring            uint64
	ID, Incarnation uint64
	Epoch           uint64
}

func (g Gone) bytes() []byte {
	b := append(make([]byte, 0, 46), "ringdht gone 1"...)
	for _, v := range [...]uint64{g.Ring, g.ID, g.Incarnation, g.Epoch} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// Sign returns the signature of the ring's key.
func (g Gone) Sign(ring ed25519.PrivateKey) []byte { return ed25519.Sign(ring, g.bytes()) }
