// Package wire is the layout of the bytes on a connection: first the handshake, then frames.
// It appends and parses. It has no state, does not allocate on the message path, and does no
// I/O but [ReadHello] and [ReadAnswer].
//
//   - hello.go: the handshake, a [Hello] and an [Answer].
//   - frame.go: the prefix of every frame, and the header of frames between nodes.
//   - types.go: the table of frame types, and which of them leave their connection.
//   - body.go: the bodies of the frames of streams.
//   - bundle.go: several messages in one frame.
//   - service.go: ports, and the names of services.
//   - scan.go: how to find whole frames in a buffer.
//   - rules.go: the rules whose breach ends a connection, and how the other side is told.
//
// The bodies of control frames, between a node and its registry, are in package control.
//
// PROTOCOL.md describes the same layout for writers of nodes in other languages. Every
// integer is big-endian.
package wire

import (
	"encoding/binary"
	"fmt"
)

// Every frame starts with a prefix of four bytes: a type, and the length of the rest.
//
//	0  type   uint8
//	1  length uint24   bytes after this prefix
//
// The length has 24 bits. So the header stays within 32 bytes, and a hostile length can ask for
// at most 16 MiB.
const (
	PrefixSize = 4
	MaxLength  = 1<<24 - 1
)

// A frame between nodes continues with a header of fixed offsets. A relay changes the hop count
// and the detour flag in place, and nothing else.
//
//	4  hops   uint16   links crossed so far
//	6  port   uint8    the service of the frame, see service.go
//	7  flags  uint8    bit 0: the frame takes a detour; bit 1: see bundle.go; other bits are sent as 0
//	8  dst    uint64   the sink
//	16 src    uint64   the source
//	24 seq    uint64   meaning depends on the type
//	32 body
const (
	HeaderSize = 32

	offHops  = 4
	offPort  = 6
	offFlags = 7
	offDst   = 8
	offSrc   = 16
	offSeq   = 24

	flagDetour = 1
)

// MaxBody is the length of the longest body that the frame format allows.
const MaxBody = MaxLength - (HeaderSize - PrefixSize)

// Header is the header of a frame to build.
type Header struct {
	Type     Type
	Port     uint8
	Hops     uint16
	Dst, Src uint64
	Seq      uint64
}

// Put writes the prefix and the header of a frame with a body of n bytes into the first
// [HeaderSize] bytes of b.
func (h Header) Put(b []byte, n int) {
	_ = b[HeaderSize-1]
	binary.BigEndian.PutUint32(b, uint32(h.Type)<<24|uint32(HeaderSize-PrefixSize+n))
	binary.BigEndian.PutUint16(b[offHops:], h.Hops)
	b[offPort] = h.Port
	b[offFlags] = 0
	binary.BigEndian.PutUint64(b[offDst:], h.Dst)
	binary.BigEndian.PutUint64(b[offSrc:], h.Src)
	binary.BigEndian.PutUint64(b[offSeq:], h.Seq)
}

// Append appends a whole frame.
func Append(dst []byte, h Header, body []byte) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	h.Put(dst[n:], len(body))
	return append(dst, body...)
}

// Size returns the length of the frame that starts at b, with its prefix. b must hold the
// whole prefix.
func Size(b []byte) int {
	return PrefixSize + int(binary.BigEndian.Uint32(b)&MaxLength)
}

// Frame is one whole frame between nodes, as found by [Scan].
type Frame []byte

// Next splits off the first frame of b, which must start with a whole one.
func Next(b []byte) (f Frame, rest []byte) {
	n := Size(b)
	return b[:n:n], b[n:]
}

// The fields of a frame.
func (f Frame) Type() Type   { return Type(f[0]) }
func (f Frame) Hops() uint16 { return binary.BigEndian.Uint16(f[offHops:]) }
func (f Frame) Port() uint8  { return f[offPort] }
func (f Frame) Dst() uint64  { return binary.BigEndian.Uint64(f[offDst:]) }
func (f Frame) Src() uint64  { return binary.BigEndian.Uint64(f[offSrc:]) }
func (f Frame) Seq() uint64  { return binary.BigEndian.Uint64(f[offSeq:]) }
func (f Frame) Body() []byte { return f[HeaderSize:] }

// SetSeq and SetHops overwrite seq and the hop count in place.
func (f Frame) SetSeq(n uint64)  { binary.BigEndian.PutUint64(f[offSeq:], n) }
func (f Frame) SetHops(n uint16) { binary.BigEndian.PutUint16(f[offHops:], n) }

// Detour reports whether the frame takes a detour: the next node passes it on over its own link
// to the sink, or drops it.
func (f Frame) Detour() bool { return f[offFlags]&flagDetour != 0 }

// SetDetour overwrites the detour flag in place.
func (f Frame) SetDetour(on bool) {
	if on {
		f[offFlags] |= flagDetour
	} else {
		f[offFlags] &^= flagDetour
	}
}

// Flow is the part of a header that decides where a frame goes: all but length and seq.
type Flow struct {
	kind     Type
	hops     uint32 // with port and flags
	dst, src uint64
}

// Flow returns the flow of f.
func (f Frame) Flow() Flow {
	return Flow{f.Type(), binary.BigEndian.Uint32(f[offHops:]), f.Dst(), f.Src()}
}

// Matches reports whether f belongs to the flow.
func (w *Flow) Matches(f Frame) bool {
	return f.Dst() == w.dst && f.Src() == w.src && f.Type() == w.kind && binary.BigEndian.Uint32(f[offHops:]) == w.hops
}

// IsBare reports whether f is a frame of type t with nothing but a seq: the rest of its header
// is 0, and it has no body. Frames that never leave their connection must be bare.
func (f Frame) IsBare(t Type) bool {
	var want [HeaderSize]byte
	Header{Type: t, Seq: f.Seq()}.Put(want[:], 0)
	return string(f) == string(want[:])
}

// AppendControl appends the prefix of a control frame with length 0. The caller appends the
// body and then calls [FinishControl].
func AppendControl(dst []byte, t Type) []byte {
	return append(dst, byte(t), 0, 0, 0)
}

// FinishControl sets the length of the control frame that starts at off and ends with b.
func FinishControl(b []byte, off int) error {
	n := len(b) - off - PrefixSize
	if n > MaxLength {
		return fmt.Errorf("%w: a control frame of %d bytes, the limit is %d", ErrTooLong, n, MaxLength)
	}
	b[off+1], b[off+2], b[off+3] = byte(n>>16), byte(n>>8), byte(n)
	return nil
}
