package reference

import "encoding/binary"

// A frame is
//
//	0  uint32  length of the payload
//	4  uint32  flags: 0, or the count of a stretch
//	8  uint64  source
//	16 uint64  sink
//	24 uint64  number, counted by the source
//	32         payload
//
// which is as much as a message of a ring needs to be told apart from others.
const header = 32

// batch is the size of reads, and of writes by [Raw] and [Relay]: as much as ringdht reads at
// a time. With 32 KiB a relay takes up to a third more processor time; 128 KiB and 256 KiB
// gain nothing.
const batch = 64 << 10

// appendFrame appends a frame. It writes the header in place: appending field by field, or a
// header built on the stack, takes twice as long.
func appendFrame(b []byte, source, sink int, number uint64, payload []byte) []byte {
	at := len(b)
	end := at + header + len(payload)
	if end > cap(b) {
		b = grow(b, end)
	}
	b = b[:end]
	h := b[at : at+header : end]
	binary.LittleEndian.PutUint64(h[0:], uint64(uint32(len(payload))))
	binary.LittleEndian.PutUint64(h[8:], uint64(source))
	binary.LittleEndian.PutUint64(h[16:], uint64(sink))
	binary.LittleEndian.PutUint64(h[24:], number)
	copy(b[at+header:], payload)
	return b
}

// grow gives a buffer room for at least n bytes in all.
func grow(b []byte, n int) []byte {
	more := make([]byte, len(b), max(n, 2*cap(b), batch))
	copy(more, b)
	return more
}

// whole returns the length and the sink of the frame at the start of b. The length is 0 if b
// does not hold all of it.
func whole(b []byte) (length, sink int) {
	if len(b) < header {
		return 0, 0
	}
	length = header + int(binary.LittleEndian.Uint32(b))
	if length > len(b) {
		return 0, 0
	}
	return length, int(binary.LittleEndian.Uint64(b[16:]))
}
