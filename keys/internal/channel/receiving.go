package channel

import "encoding/binary"

// receiving is the half of a channel that receives.
type receiving struct {
	received uint64 // bytes in a row
	part     []byte // of a frame of total bytes
	total    int    // 0 where a frame begins
	gap      gap

	ackDue              bool
	newFrames, newBytes int // since a body was taken
}

// gap is what the peer has to hear of a gap.
type gap uint8

const (
	noGap gap = iota
	gapFound
	gapSaid
)

// Receive takes a body of the peer. Frames in it go to Deliver, in order. It keeps nothing of b.
func (c *Channel) Receive(b []byte) error {
	if c.closed {
		return c.err
	}
	h, bytes, err := parse(b)
	switch {
	case err != nil:
		return c.fail(err)
	case h.from != c.peer || h.to != c.self:
		return ErrLives
	}
	if err := c.acknowledge(h.ack, h.flags&flagAgain != 0); err != nil {
		return c.fail(err)
	}
	c.ackDue = c.ackDue || h.flags&flagAsk != 0
	if h.offset > c.received {
		if c.gap == noGap {
			c.gap = gapFound
			c.counters.Gaps++
		}
		return nil
	}
	c.gap = noGap
	if known := min(c.received-h.offset, uint64(len(bytes))); known > 0 {
		c.counters.Duplicates += known
		c.ackDue = true
		bytes = bytes[known:]
	}
	if err := c.read(bytes); err != nil {
		return c.fail(err)
	}
	return nil
}

// read takes the next bytes of the peer.
func (c *Channel) read(b []byte) error {
	for len(b) > 0 && !c.closed {
		if c.total > 0 {
			b = c.goOn(b)
			continue
		}
		v, length := binary.Uvarint(b)
		if length <= 0 || v > MaxFrame {
			return violation("a length that is cut, or too large")
		}
		frame := b[length:]
		if v <= uint64(len(frame)) {
			b = frame[v:]
			c.deliver(frame[:v], length+int(v))
			continue
		}
		if !c.out.Admit(v, frame) {
			return violation("a frame of %d bytes is not admitted", v)
		}
		c.total = int(v)
		c.count(length)
		b = frame
	}
	return nil
}

// goOn adds bytes to the frame that has come in part. It returns those behind it.
func (c *Channel) goOn(b []byte) []byte {
	n := min(len(b), c.total-len(c.part))
	if have := len(c.part); cap(c.part) < have+n {
		c.part = append(make([]byte, 0, min(c.total, max(2*have, have+n))), c.part...)
	}
	c.part = append(c.part, b[:n]...)
	if len(c.part) < c.total {
		c.count(n)
		return b[n:]
	}
	frame := c.part
	c.part, c.total = nil, 0
	if cap(frame) <= kept {
		c.part = frame[:0]
	}
	c.deliver(frame, n)
	return b[n:]
}

// deliver gives out a frame, of which n bytes are new.
func (c *Channel) deliver(frame []byte, n int) {
	c.newFrames++
	c.count(n)
	c.out.Deliver(frame)
}

// count counts n bytes as received.
func (c *Channel) count(n int) {
	c.received += uint64(n)
	if c.newBytes += n; c.newFrames >= ackFrames || c.newBytes >= ackBytes {
		c.ackDue = true
	}
}
