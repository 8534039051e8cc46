package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// A connection starts with one Hello from the dialling side and one Answer from the accepting
// side. The layout of their first eight bytes is the same in all versions of the protocol, so
// that any two versions recognize each other.
//
//	0  magic   "RDHT"
//	4  version uint8   hello: the highest that the side speaks; answer: see [Answer]
//	5  role    uint8 (hello) or status uint8 (answer)
//	6  length  uint16  bytes that follow
//
// A hello also says the lowest version that its side speaks. The accepting side chooses the
// highest version that both speak, see choose. So a later version adds fields at the end, and
// goes on speaking this one.
const (
	Version   = 2 // the highest that this package speaks
	Oldest    = 2 // the lowest; version 1 has no users
	helloHead = 8
	// MaxHello is how many bytes may follow those eight.
	MaxHello = 1024
)

const magic = "RDHT"

// Role is the purpose of a connection, chosen by the dialling side.
type Role uint8

const (
	RoleMember Role = 1 // a node to its registry: control frames, both ways
	RoleLink   Role = 2 // a node to a peer: frames between nodes; back only after Share and Shared
	RoleProbe  Role = 3 // a registry to a node: does it listen at this address?
)

func (r Role) String() string {
	switch r {
	case RoleMember:
		return "member"
	case RoleLink:
		return "link"
	case RoleProbe:
		return "probe"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Hello introduces the dialling side. What follows the ring name is for later versions, and is
// ignored.
//
//	8  from, its incarnation      uint64, uint64   the dialling node; 0 unless the role is link
//	24 to, its incarnation        uint64, uint64   the dialled node; 0 unless the role is link
//	40 token                      uint64           a probe's nonce; otherwise 0
//	48 lowest version             uint8            not there in version 1
//	49 codec name, ring name      each uint8 length and bytes
type Hello struct {
	Role                  Role
	From, FromIncarnation uint64
	To, ToIncarnation     uint64
	Token                 uint64
	Codec, RingName       string
}

// Status is the result of a handshake.
type Status uint8

const (
	OK            Status = 0
	BadVersion    Status = 1
	WrongRing     Status = 2
	WrongCodec    Status = 3
	WrongIdentity Status = 4 // not the node or the incarnation that was dialled
	WrongRole     Status = 5
	NotAdmitted   Status = 6 // no admission of this ring, where one is needed
	Expired       Status = 7 // the admission has expired
	Expelled      Status = 8 // the node was expelled
)

// Answer accepts or refuses the connection. The answer to a probe has the Token of the
// accepting node, others have 0. Reason is for a person to read at the other side. The version byte is the version
// that both sides speak from here on; with [BadVersion] it is the highest of the accepting side.
//
//	8  token  uint64
//	16 reason UTF-8 to the end
type Answer struct {
	Status Status
	Token  uint64
	Reason string
	Detail string // why, for the log of the accepting side; it is not sent
}

// ErrNotRing means that the other side does not speak this protocol.
var ErrNotRing = errors.New("not a ringdht connection")

// ErrVersion means that the other side speaks another version of the protocol.
var ErrVersion = errors.New("another protocol version")

// Append appends the hello. A name of more than 255 bytes is an error.
func (h Hello) Append(dst []byte) ([]byte, error) {
	if len(h.Codec) > 255 || len(h.RingName) > 255 {
		return dst, errors.New("wire: a codec or ring name is longer than 255 bytes")
	}
	dst = append(dst, magic...)
	dst = append(dst, Version, byte(h.Role))
	dst = binary.BigEndian.AppendUint16(dst, uint16(minHello+len(h.Codec)+len(h.RingName)))
	for _, v := range [...]uint64{h.From, h.FromIncarnation, h.To, h.ToIncarnation, h.Token} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = append(append(dst, Oldest, byte(len(h.Codec))), h.Codec...)
	return append(append(dst, byte(len(h.RingName))), h.RingName...), nil
}

// ReadHello reads one hello, and no byte behind it. If the error matches [ErrVersion] the role
// is set, so that the caller can refuse.
func ReadHello(r io.Reader) (h Hello, err error) {
	highest, kind, b, err := readHead(r)
	h.Role = Role(kind)
	if err != nil {
		return h, err
	}
	lowest := highest
	if len(b) > offLowest {
		lowest = b[offLowest]
	}
	if _, ok := choose(lowest, highest, Oldest, Version); !ok {
		return h, errVersion(lowest, highest)
	}
	if len(b) < minHello {
		return h, fmt.Errorf("%w: a hello of %d bytes", ErrNotRing, len(b))
	}
	for i, p := range [...]*uint64{&h.From, &h.FromIncarnation, &h.To, &h.ToIncarnation, &h.Token} {
		*p = binary.BigEndian.Uint64(b[8*i:])
	}
	b = b[offLowest+1:]
	var ok bool
	if h.Codec, b, ok = cutName(b); !ok {
		return h, fmt.Errorf("%w: codec name cut short", ErrNotRing)
	}
	if h.RingName, _, ok = cutName(b); !ok {
		return h, fmt.Errorf("%w: ring name cut short", ErrNotRing)
	}
	return h, nil
}

// Append appends the answer. A reason that is too long is cut between two characters.
func (a Answer) Append(dst []byte) []byte {
	reason := a.Reason
	if n := MaxHello - 8; len(reason) > n {
		for i := 0; i < utf8.UTFMax-1 && !utf8.RuneStart(reason[n]); i++ {
			n--
		}
		reason = reason[:n]
	}
	dst = append(dst, magic...)
	dst = append(dst, Version, byte(a.Status))
	dst = binary.BigEndian.AppendUint16(dst, uint16(8+len(reason)))
	dst = binary.BigEndian.AppendUint64(dst, a.Token)
	return append(dst, reason...)
}

// ReadAnswer reads one answer, and no byte behind it. The error matches [ErrVersion] if the other
// side does not speak a version of this one.
func ReadAnswer(r io.Reader) (a Answer, err error) {
	version, kind, b, err := readHead(r)
	a.Status = Status(kind)
	switch {
	case err != nil:
		return a, err
	case version < Oldest || version > Version:
		return a, errVersion(version, version)
	case len(b) < 8:
		return a, fmt.Errorf("%w: an answer of %d bytes", ErrNotRing, len(b))
	}
	a.Token = binary.BigEndian.Uint64(b)
	a.Reason = string(b[8:])
	return a, nil
}

const (
	offLowest = 48 - helloHead // where the lowest version of a hello is, behind its head
	minHello  = offLowest + 3  // with two empty names
)

// choose returns the highest version that both sides speak. A lowest version of 0, or above the
// highest, counts as the highest.
func choose(theirLowest, theirHighest, ourLowest, ourHighest uint8) (version uint8, ok bool) {
	if theirLowest == 0 || theirLowest > theirHighest {
		theirLowest = theirHighest
	}
	version = min(theirHighest, ourHighest)
	return version, version >= max(theirLowest, ourLowest)
}

// readHead reads a hello or an answer. One of another version may have another limit: then rest
// is empty.
func readHead(r io.Reader) (version, kind uint8, rest []byte, err error) {
	var head [helloHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	if string(head[:4]) != magic {
		return 0, 0, nil, fmt.Errorf("%w: it starts with %q", ErrNotRing, head[:])
	}
	version, kind = head[4], head[5]
	n := binary.BigEndian.Uint16(head[6:])
	if n > MaxHello {
		if version != Version {
			return version, kind, nil, errVersion(version, version)
		}
		return version, kind, nil, fmt.Errorf("%w: a handshake of %d bytes, the limit is %d", ErrNotRing, n, MaxHello)
	}
	rest = make([]byte, n)
	if _, err := io.ReadFull(r, rest); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return version, kind, nil, err
	}
	return version, kind, rest, nil
}

// VersionAdvice says in one line what this side speaks, and what to do. It is for both sides.
func VersionAdvice() string {
	return "this side speaks " + versions(Oldest, Version) + ": use programs with the same version of ringdht on both sides"
}

func errVersion(lowest, highest uint8) error {
	return fmt.Errorf("%w: the other side speaks %s, %s", ErrVersion, versions(lowest, highest), VersionAdvice())
}

func versions(lowest, highest uint8) string {
	if lowest == 0 || lowest >= highest {
		return fmt.Sprintf("version %d", highest)
	}
	return fmt.Sprintf("versions %d to %d", lowest, highest)
}

func cutName(b []byte) (name string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", b, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}
