package channel

import "encoding/binary"

// sending is the half of a channel that sends.
type sending struct {
	buf    []byte // buf[head:] are the bytes from acked on
	head   int
	frames int // that have bytes there
	acked  uint64
	next   uint64 // the first byte to take
	high   uint64 // the end of what was ever taken
	asked  uint64 // the end of what the peer was asked about, or will be
	ask    bool   // a question is due

	// How much of the frame at acked, and at next, is still to come. 0 where a frame begins.
	ackedRest, nextRest int
}

func (s *sending) end() uint64 { return s.acked + uint64(len(s.buf)-s.head) }

// reserve makes room for n bytes. What is acknowledged is overwritten when it is half of the buffer, so
// each byte is moved about once.
func (s *sending) reserve(n int) {
	if len(s.buf)+n <= cap(s.buf) {
		return
	}
	live := s.buf[s.head:]
	if s.head >= len(live) && len(live)+n <= cap(s.buf) {
		s.buf = append(s.buf[:0], live...)
	} else {
		s.buf = append(make([]byte, 0, max(2*len(live), len(live)+n, leastBuf)), live...)
	}
	s.head = 0
}

// unit returns how many bytes the frame at the beginning of b takes, and how many of them are its length.
func unit(b []byte) (all, length int) {
	if b[0] < 0x80 {
		return int(b[0]) + 1, 1
	}
	v, n := binary.Uvarint(b)
	return int(v) + n, n
}

// cut takes the next bytes, at most limit. A frame is cut only if it is longer than that.
func (s *sending) cut(limit int) []byte {
	b := s.buf[s.head+int(s.next-s.acked):]
	if len(b) <= limit {
		s.next, s.nextRest = s.end(), 0
		return b
	}
	n := min(s.nextRest, limit)
	s.nextRest -= n
	for n < limit {
		all, length := unit(b[n:])
		if all > limit-n {
			if all > limit && limit-n >= length+minHead {
				s.nextRest, n = all-(limit-n), limit
			}
			break
		}
		n += all
	}
	s.next += uint64(n)
	return b[:n]
}

// acknowledge drops what the peer has, up to number ack.
func (s *sending) acknowledge(ack uint64, again bool) error {
	switch {
	case ack > s.high:
		return violation("it acknowledges byte %d of %d", ack, s.high)
	case ack < s.acked && again:
		return violation("it asks for byte %d again, and has acknowledged %d", ack, s.acked)
	case ack > s.acked:
		if err := s.drop(int(ack - s.acked)); err != nil {
			return err
		}
	}
	if again {
		s.rewind()
	}
	return nil
}

// drop drops n bytes.
func (s *sending) drop(n int) error {
	at, end := s.head, s.head+n
	for at < end {
		if s.ackedRest == 0 {
			all, length := unit(s.buf[at:])
			if end-at < length {
				return violation("it acknowledges a part of a length")
			}
			s.ackedRest = all
		}
		step := min(s.ackedRest, end-at)
		at += step
		if s.ackedRest -= step; s.ackedRest == 0 {
			s.frames--
		}
	}
	s.head = end
	if s.acked += uint64(n); s.next <= s.acked { // taken again, and not needed
		s.next, s.nextRest = s.acked, s.ackedRest
	}
	if s.asked <= s.acked {
		s.ask = false
	}
	s.shrink()
	return nil
}

// shrink gives memory up that is mostly empty.
func (s *sending) shrink() {
	live := s.buf[s.head:]
	switch {
	case cap(s.buf) > kept && 4*len(live) < cap(s.buf):
		s.buf, s.head = append([]byte(nil), live...), 0
	case len(live) == 0:
		s.buf, s.head = s.buf[:0], 0
	}
}

// rewind makes all pending again that is not acknowledged, and a question after it.
func (s *sending) rewind() {
	s.next, s.nextRest = s.acked, s.ackedRest
	if end := s.end(); s.acked < end {
		s.asked, s.ask = end, true
	}
}
