package keys

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/x/ringdht/internal/arc"
)

// Point is the point of a key on the ring of all 64-bit numbers: the first 8 bytes of its SHA-256, the
// most significant first. It is the same in all versions and languages.
//
// SHA-256 is even for any keys, also those that an attacker chooses: keys with one point are handled
// one after the other. A faster hash saves less than a tenth of a microsecond of a message.
func Point(key string) uint64 {
	sum := sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(sum[:])
}

// Arc is the points from First to Last, with both. First is not greater than Last.
type Arc struct{ First, Last uint64 }

// Has reports whether a point is in the arc.
func (a Arc) Has(point uint64) bool { return arc.Arc(a).Has(point) }
