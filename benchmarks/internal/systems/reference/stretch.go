package reference

import "encoding/binary"

// A stretch is a frame with several messages from one source to one sink. Its flags are their
// count, its number is that of the first, and its payload is for each message
//
//	0  uint16  length
//	2          bytes
//
// So a message of 8 bytes costs 10 bytes and not 40, and a relay looks at hundreds of them at
// once. References with stretches do by hand what ringdht does on the wire.
type stretch struct {
	b     []byte // the frame so far; empty before the first message
	count uint32
	dirty bool // in a ring: it is in the link's list
}

const (
	// longest bounds the payload of a stretch.
	longest = 4 << 10

	// short bounds the messages that go into stretches. Longer ones gain nothing.
	short = 1 << 10
)

// fits reports whether there is room for a message.
func (s *stretch) fits(payload []byte) bool {
	return len(s.b)+2+len(payload) <= header+longest
}

// add adds a message that fits.
func (s *stretch) add(source, sink int, number uint64, payload []byte) {
	if s.b == nil {
		s.b = make([]byte, 0, header+longest)
	}
	if s.count == 0 {
		s.b = appendFrame(s.b, source, sink, number, nil)
	}
	s.count++
	at := len(s.b)
	end := at + 2 + len(payload)
	s.b = s.b[:end]
	m := s.b[at:end]
	binary.LittleEndian.PutUint16(m, uint16(len(payload)))
	copy(m[2:], payload)
}

// end appends the frame to a buffer, and empties the stretch.
func (s *stretch) end(b []byte) []byte {
	if s.count == 0 {
		return b
	}
	binary.LittleEndian.PutUint32(s.b, uint32(len(s.b)-header))
	binary.LittleEndian.PutUint32(s.b[4:], s.count)
	if n := len(b) + len(s.b); n > cap(b) {
		b = grow(b, n)
	}
	b = append(b, s.b...)
	s.b, s.count = s.b[:0], 0
	return b
}

// each delivers the messages of a frame.
func each(frame []byte, self int, deliver func(int, []byte)) {
	count := binary.LittleEndian.Uint32(frame[4:])
	b := frame[header:]
	if count == 0 {
		deliver(self, b)
		return
	}
	for range count {
		n := 2 + int(binary.LittleEndian.Uint16(b))
		deliver(self, b[2:n:n])
		b = b[n:]
	}
}
