// Package wire is the layout of the bytes on a connection: the handshake that
// opens it and the frames that follow. It appends and parses, and does nothing
// else: no I/O, no state, no allocation on the message path.
//
// PROTOCOL.md describes the same layout for people who write a node in another
// language. Every integer is big-endian.
package wire

import (
	"encoding/binary"
	"fmt"
)

// Every frame starts with the same four bytes: a type and the length of what
// follows them.
//
//	0  type   uint8
//	1  length uint24   bytes after this prefix
//
// A 24-bit length beside the type keeps the routed header at 32 bytes, and puts
// a ceiling on what a hostile length can ask for.
const (
	PrefixSize = 4
	MaxLength  = 1<<24 - 1
)

// A routed frame, the kind that nodes pass to each other, continues with fixed
// offsets, so that a relay touches the hop count and nothing else.
//
//	4  hops   uint16   links crossed so far
//	6  port   uint8    which part of the sink the body is for: 0 its handler, from
//	                   128 on traffic runs
//	7  flags  uint8    bit 0: the frame takes a detour; the others are sent as 0
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

// MaxBody is the longest body that any routed frame can carry.
const MaxBody = MaxLength - (HeaderSize - PrefixSize)

// Header is the routing part of a frame, for those who build one.
type Header struct {
	Type     Type
	Port     uint8
	Hops     uint16
	Dst, Src uint64
	Seq      uint64
}

// Put writes h and the length of a body of n bytes into the first [HeaderSize]
// bytes of b.
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

// Size returns the length of the whole frame that starts at b, which must hold
// its prefix.
func Size(b []byte) int {
	return PrefixSize + int(binary.BigEndian.Uint32(b)&MaxLength)
}

// Frame is one whole routed frame, as [Scan] proved it to be.
type Frame []byte

// Next splits the first frame off b, which must start with a whole one.
func Next(b []byte) (f Frame, rest []byte) {
	n := Size(b)
	return b[:n:n], b[n:]
}

// The fields of a routed frame.
func (f Frame) Type() Type   { return Type(f[0]) }
func (f Frame) Hops() uint16 { return binary.BigEndian.Uint16(f[offHops:]) }
func (f Frame) Port() uint8  { return f[offPort] }
func (f Frame) Dst() uint64  { return binary.BigEndian.Uint64(f[offDst:]) }
func (f Frame) Src() uint64  { return binary.BigEndian.Uint64(f[offSrc:]) }
func (f Frame) Seq() uint64  { return binary.BigEndian.Uint64(f[offSeq:]) }
func (f Frame) Body() []byte { return f[HeaderSize:] }

// SetSeq overwrites the number in place, SetHops the hop count.
func (f Frame) SetSeq(n uint64)  { binary.BigEndian.PutUint64(f[offSeq:], n) }
func (f Frame) SetHops(n uint16) { binary.BigEndian.PutUint16(f[offHops:], n) }

// Detour says whether the frame takes a detour: the node that gets it passes it on
// to its sink directly or not at all.
func (f Frame) Detour() bool { return f[offFlags]&flagDetour != 0 }

// SetDetour overwrites that in place.
func (f Frame) SetDetour(on bool) {
	if on {
		f[offFlags] |= flagDetour
	} else {
		f[offFlags] &^= flagDetour
	}
}

// Flow is what decides where a frame goes: everything in its header but the length and
// the number.
type Flow struct {
	kind     Type
	hops     uint32 // with port and flags
	dst, src uint64
}

// Flow returns that of f.
func (f Frame) Flow() Flow {
	return Flow{f.Type(), binary.BigEndian.Uint32(f[offHops:]), f.Dst(), f.Src()}
}

// Matches says whether f has this way.
func (w *Flow) Matches(f Frame) bool {
	return f.Dst() == w.dst && f.Src() == w.src && f.Type() == w.kind && binary.BigEndian.Uint32(f[offHops:]) == w.hops
}

// IsBare says whether the frame is a well-formed one of this type that never
// leaves its connection: a header that holds nothing but a nonce.
func (f Frame) IsBare(t Type) bool {
	var want [HeaderSize]byte
	Header{Type: t, Seq: f.Seq()}.Put(want[:], 0)
	return string(f) == string(want[:])
}

// AppendControl appends a control frame's prefix and reserves nothing: the
// caller appends the body and then calls [FinishControl].
func AppendControl(dst []byte, t Type) []byte {
	return append(dst, byte(t), 0, 0, 0)
}

// FinishControl writes the length of the control frame that starts at off in b
// and reaches to its end.
func FinishControl(b []byte, off int) error {
	n := len(b) - off - PrefixSize
	if n > MaxLength {
		return fmt.Errorf("%w: a control frame of %d bytes, the limit is %d", ErrTooLong, n, MaxLength)
	}
	b[off+1], b[off+2], b[off+3] = byte(n>>16), byte(n>>8), byte(n)
	return nil
}
