package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// A connection starts with one Hello from the side that dialled and one Answer
// from the side that accepted. Their first eight bytes never change between
// versions of the protocol, so that any two versions can tell each other apart.
//
//	0  magic   "RDHT"
//	4  version uint8
//	5  role    uint8 (hello) or status uint8 (answer)
//	6  length  uint16  bytes that follow
const (
	Version   = 1
	helloHead = 8
	// MaxHello bounds what follows those bytes.
	MaxHello = 1024
)

const magic = "RDHT"

// Role says what the dialling side wants the connection for.
type Role uint8

const (
	RoleMember Role = 1 // a node to its registry: the control conversation
	RoleLink   Role = 2 // a node to one of its entries: routed frames, back only if they agree on it
	RoleProbe  Role = 3 // a registry to a node: is this address really yours?
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

// Hello introduces the side that dialled.
//
//	8  from, from's incarnation   uint64, uint64   0 before registration
//	24 to, to's incarnation       uint64, uint64   0 where not known
//	40 token                      uint64           echoed by the answer
//	48 codec name, ring name      each uint8 length and bytes
type Hello struct {
	Role            Role
	From, FromLife  uint64
	To, ToLife      uint64
	Token           uint64
	Codec, RingName string
}

// Status is the outcome of a handshake.
type Status uint8

const (
	OK            Status = 0
	BadVersion    Status = 1
	WrongRing     Status = 2
	WrongCodec    Status = 3
	WrongIdentity Status = 4 // not the node or the life that was asked for
	WrongRole     Status = 5
)

// Answer accepts or refuses. Token is the accepting side's own where the hello
// was a probe, Reason is for a person.
//
//	8  token  uint64
//	16 reason UTF-8 to the end
type Answer struct {
	Status Status
	Token  uint64
	Reason string
}

// ErrNotRing says that the other side does not speak this protocol at all.
var ErrNotRing = errors.New("not a ringdht connection")

// ErrVersion says that the other side speaks another version of it.
var ErrVersion = errors.New("another protocol version")

// Append appends the hello. Names longer than 255 bytes are an error.
func (h Hello) Append(dst []byte) ([]byte, error) {
	if len(h.Codec) > 255 || len(h.RingName) > 255 {
		return dst, errors.New("wire: a codec or ring name is longer than 255 bytes")
	}
	dst = append(dst, magic...)
	dst = append(dst, Version, byte(h.Role))
	dst = binary.BigEndian.AppendUint16(dst, uint16(42+len(h.Codec)+len(h.RingName)))
	for _, v := range [...]uint64{h.From, h.FromLife, h.To, h.ToLife, h.Token} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = append(append(dst, byte(len(h.Codec))), h.Codec...)
	return append(append(dst, byte(len(h.RingName))), h.RingName...), nil
}

// ReadHello reads exactly one hello and not a byte more. An error that matches
// [ErrVersion] leaves the role readable, so that a refusal can be sent.
func ReadHello(r io.Reader) (h Hello, err error) {
	kind, b, err := readHead(r)
	h.Role = Role(kind)
	if err != nil {
		return h, err
	}
	if len(b) < 42 {
		return h, fmt.Errorf("%w: a hello of %d bytes", ErrNotRing, len(b))
	}
	for i, p := range [...]*uint64{&h.From, &h.FromLife, &h.To, &h.ToLife, &h.Token} {
		*p = binary.BigEndian.Uint64(b[8*i:])
	}
	b = b[40:]
	var ok bool
	if h.Codec, b, ok = cutName(b); !ok {
		return h, fmt.Errorf("%w: codec name cut short", ErrNotRing)
	}
	if h.RingName, b, ok = cutName(b); !ok || len(b) != 0 {
		return h, fmt.Errorf("%w: ring name of a wrong length", ErrNotRing)
	}
	return h, nil
}

// Append appends the answer; a reason that is too long is cut, between two
// characters.
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

// ReadAnswer reads exactly one answer.
func ReadAnswer(r io.Reader) (a Answer, err error) {
	kind, b, err := readHead(r)
	a.Status = Status(kind)
	if err != nil {
		return a, err
	}
	if len(b) < 8 {
		return a, fmt.Errorf("%w: an answer of %d bytes", ErrNotRing, len(b))
	}
	a.Token = binary.BigEndian.Uint64(b)
	a.Reason = string(b[8:])
	return a, nil
}

func readHead(r io.Reader) (kind uint8, rest []byte, err error) {
	var head [helloHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	if string(head[:4]) != magic {
		return 0, nil, fmt.Errorf("%w: it starts with %q", ErrNotRing, head[:])
	}
	n := binary.BigEndian.Uint16(head[6:])
	if n > MaxHello {
		if head[4] != Version { // whose limit may be another: nothing behind the head is ours to read
			return head[5], nil, errVersion(head[4])
		}
		return head[5], nil, fmt.Errorf("%w: a handshake of %d bytes, the limit is %d", ErrNotRing, n, MaxHello)
	}
	rest = make([]byte, n)
	if _, err := io.ReadFull(r, rest); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return head[5], nil, err
	}
	if head[4] != Version {
		return head[5], nil, errVersion(head[4])
	}
	return head[5], rest, nil
}

func errVersion(theirs uint8) error {
	return fmt.Errorf("%w: theirs is %d, ours is %d", ErrVersion, theirs, Version)
}

func cutName(b []byte) (name string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", b, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}
