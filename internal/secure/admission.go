package secure

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Admission says that the ring admits one incarnation of a node, which holds a key. Its bytes,
// with all integers big-endian:
//
//	 0  "ringdht admission 1"
//	19  ring         u64     see [RingOf]
//	27  ID           u64
//	35  incarnation  u64
//	43  token        u32     the number of the token by which the node joined
//	47  flags        u16     reserved, 0
//	49  since        u64     milliseconds since 1970 by the registry's clock
//	57  until        u64
//	65  node key     32 bytes
//	97  signature    64 bytes, by the ring's key, of the 97 bytes before
type Admission struct {
	Ring            uint64
	ID, Incarnation uint64
	Token           uint32
	Flags           uint16
	Since, Until    time.Time // whole milliseconds
	Key             Key
}

// AdmissionSize is the length of an admission in bytes.
const AdmissionSize = 161

const admissionMagic = "ringdht admission 1"

var (
	errLong      = errors.New("secure: too long")
	errMagic     = errors.New("secure: not such a record")
	errSignature = errors.New("secure: the signature is not the ring's")
)

// Sign returns the admission's bytes, signed by the ring's key.
func (a Admission) Sign(ring ed25519.PrivateKey) []byte {
	b := make([]byte, 0, AdmissionSize)
	b = append(b, admissionMagic...)
	b = binary.BigEndian.AppendUint64(b, a.Ring)
	b = binary.BigEndian.AppendUint64(b, a.ID)
	b = binary.BigEndian.AppendUint64(b, a.Incarnation)
	b = binary.BigEndian.AppendUint32(b, a.Token)
	b = binary.BigEndian.AppendUint16(b, a.Flags)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Since.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Until.UnixMilli()))
	b = append(b, a.Key[:]...)
	return append(b, ed25519.Sign(ring, b)...)
}

// ParseAdmission returns what an admission says. It does not check the signature: see
// [Trust.Admission].
func ParseAdmission(b []byte) (a Admission, err error) {
	if len(b) != AdmissionSize {
		return a, fmt.Errorf("%w: an admission of %d bytes", errMagic, len(b))
	}
	if string(b[:len(admissionMagic)]) != admissionMagic {
		return a, fmt.Errorf("%w: an admission of another version", errMagic)
	}
	a = Admission{
		Ring:        binary.BigEndian.Uint64(b[19:]),
		ID:          binary.BigEndian.Uint64(b[27:]),
		Incarnation: binary.BigEndian.Uint64(b[35:]),
		Token:       binary.BigEndian.Uint32(b[43:]),
		Flags:       binary.BigEndian.Uint16(b[47:]),
		Since:       time.UnixMilli(int64(binary.BigEndian.Uint64(b[49:]))),
		Until:       time.UnixMilli(int64(binary.BigEndian.Uint64(b[57:]))),
		Key:         Key(b[65:97]),
	}
	return a, nil
}

// signed reports whether a key has signed a record, whose last 64 bytes are the signature.
func signed(b []byte, by Key) bool {
	body, signature := b[:len(b)-ed25519.SignatureSize], b[len(b)-ed25519.SignatureSize:]
	return ed25519.Verify(by[:], body, signature)
}
