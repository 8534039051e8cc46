package channel

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// MaxFrame is the longest frame, in bytes.
const MaxFrame = 1 << 30

const (
	ackFrames = 64 // an acknowledgement goes by itself after so many frames,
	ackBytes  = 64 << 10

	kept     = 32 << 10 // larger buffers are given up when they are mostly empty
	leastBuf = 256
)

// Output is where frames of the peer go.
type Output interface {
	// Deliver takes the next frame. It is borrowed until Deliver returns. Deliver may call Send, Ask
	// and Close of the channel.
	Deliver(frame []byte)
	// Admit reports whether a frame of total bytes may come, of which head has arrived and is
	// borrowed. It is called once for each frame that does not come in one body. A peer that keeps the
	// rules sends 64 bytes at least. If it is not admitted, the channel closes. Admit calls nothing of
	// the channel.
	Admit(total uint64, head []byte) bool
}

// Counters count since the channel was made.
type Counters struct {
	Repeated   uint64 // bytes taken again
	Duplicates uint64 // bytes that had arrived before
	Gaps       uint64 // bodies found missing, once for each gap
}

// Channel is one life's end towards one other life. It is not safe for concurrent use.
type Channel struct {
	self, peer uint64
	out        Output
	counters   Counters
	closed     bool
	err        error // why, if the peer broke a rule

	sending
	receiving
}

// New returns the channel of life self towards life peer.
func New(self, peer uint64, out Output) *Channel {
	return &Channel{self: self, peer: peer, out: out}
}

// Send queues a copy of a frame. It panics if the frame is longer than [MaxFrame].
func (c *Channel) Send(frame []byte) {
	if len(frame) > MaxFrame {
		panic("channel: a frame beyond MaxFrame")
	}
	if c.closed {
		return
	}
	c.reserve(lengthOf(len(frame)) + len(frame))
	c.buf = binary.AppendUvarint(c.buf, uint64(len(frame)))
	c.buf = append(c.buf, frame...)
	c.frames++
}

// lengthOf returns how many bytes the length of a frame takes.
func lengthOf(n int) int { return (bits.Len(uint(n)|1) + 6) / 7 }

// Pending reports whether Take has something. Any other call may change that.
func (c *Channel) Pending() bool {
	return !c.closed && (c.next < c.end() || c.ask || c.ackDue || c.gap == gapFound)
}

// Take appends the next body to transmit, of at most limit bytes, which are [MinBody] at least. It
// appends nothing if nothing is pending. Bodies are transmitted in the order in which they were taken.
func (c *Channel) Take(dst []byte, limit int) []byte {
	if limit < MinBody {
		panic("channel: a body below MinBody")
	}
	if !c.Pending() {
		return dst
	}
	h := header{from: c.self, to: c.peer, ack: c.received, offset: c.next}
	bytes := c.cut(limit - maxHeader)
	if c.ask && c.next == c.end() {
		h.flags |= flagAsk
		c.ask = false
	}
	if c.gap == gapFound {
		h.flags |= flagAgain
		c.gap = gapSaid
	}
	c.ackDue, c.newFrames, c.newBytes = false, 0, 0
	if again := min(c.high, c.next); h.offset < again {
		c.counters.Repeated += again - h.offset
	}
	c.high = max(c.high, c.next)
	return append(h.append(slices.Grow(dst, maxHeader+len(bytes))), bytes...)
}

// StreamEnded says that the stream to the peer has ended, or that a body was not accepted. What is
// not acknowledged is pending again.
func (c *Channel) StreamEnded() {
	c.rewind()
	c.ackDue = c.ackDue || c.received > 0
	if c.gap == gapSaid {
		c.gap = gapFound
	}
}

// Ask makes the peer acknowledge at once what was sent until now.
func (c *Channel) Ask() {
	if end := c.end(); end > max(c.asked, c.acked) {
		c.asked, c.ask = end, true
	}
}

// Room reports whether less than window bytes are unacknowledged. If not, it asks.
func (c *Channel) Room(window int) bool {
	if c.Held() < window {
		return true
	}
	c.Ask()
	return false
}

// Unacknowledged returns how many frames were sent and are not wholly acknowledged.
func (c *Channel) Unacknowledged() int { return c.frames }

// Held returns how many bytes are not acknowledged.
func (c *Channel) Held() int { return len(c.buf) - c.head }

// Partial returns how long the frame is that has come in part, 0 if there is none.
func (c *Channel) Partial() int { return c.total }

// Counters returns what the channel has counted.
func (c *Channel) Counters() Counters { return c.counters }

// Close drops all that the channel holds. Nothing comes out any more.
func (c *Channel) Close() {
	c.closed = true
	c.sending, c.receiving = sending{}, receiving{}
}

// fail closes the channel for an error of the peer.
func (c *Channel) fail(err error) error {
	c.Close()
	c.err = err
	return err
}
