// Package fifo is a queue of bytes in recycled chunks. Everything that waits in
// a node waits in one: frames for a link, messages that are not acknowledged
// yet, deliveries that a handler has not taken.
//
// Chunks and not one growing buffer: a slice that grows is copied and cleared
// each time, and one that has grown holds its memory while it is idle. A chunk
// goes back to a pool the moment it is drained, so an empty queue holds nothing.
//
// A chunk never splits a frame. Readers get whole frames without copying, and a
// connection that loses a write (the in-memory network can) loses whole frames.
package fifo

import (
	"iter"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/x/ringdht/internal/wire"
)

// Chunk sizes are powers of two. The largest a queue takes by itself is big
// enough to make one write worth its system call; only a frame that is longer
// still gets a larger one.
const (
	minClass = 10 // 1 KiB
	topClass = 16 // 64 KiB
	maxClass = 25 // 32 MiB, above any frame
)

type chunk struct {
	next  *chunk
	buf   []byte // [:len] written
	off   int    // [:off] consumed
	class int
	count int // frames reserved by ReserveFrame and not discarded

	refs  atomic.Int32 // views of it, see Queue.Share, and one for the queue that made it
	owner *chunk       // of a view: whose bytes they are
}

var pools [maxClass + 1]sync.Pool

func get(class int) *chunk {
	c, ok := pools[class].Get().(*chunk)
	if !ok {
		c = &chunk{buf: make([]byte, 0, 1<<class), class: class}
	}
	c.refs.Store(1)
	return c
}

// put gives a chunk back that its queue has done with.
func put(c *chunk) {
	if owner := c.owner; owner != nil {
		c.next, c.buf, c.off, c.owner = nil, nil, 0, nil
		views.Put(c)
		c = owner
	}
	if c.refs.Add(-1) > 0 { // somebody else has not
		return
	}
	c.next, c.buf, c.off, c.count = nil, c.buf[:0], 0, 0
	pools[c.class].Put(c)
}

// classOf is the class of a chunk with room for n bytes.
func classOf(n int) int { return max(minClass, bits.Len(uint(n-1))) }

// Queue is a FIFO of bytes. The zero value is empty. It is not safe for
// concurrent use, and must not be copied while it holds anything (see [Queue.Take]).
type Queue struct {
	head, tail *chunk
	size       int
	base       int64 // bytes consumed since the beginning
	hint       int   // class of the next first chunk: what the last filling came to
}

// Size is the number of bytes held.
func (q *Queue) Size() int { return q.size }

// Reserve appends n > 0 bytes, all in one chunk, and returns them to be filled in.
// They stay valid until they are consumed.
func (q *Queue) Reserve(n int) []byte {
	c := q.tail
	if c == nil || cap(c.buf)-len(c.buf) < n {
		c = q.grow(n)
	}
	at := len(c.buf)
	c.buf = c.buf[: at+n : cap(c.buf)]
	q.size += n
	return c.buf[at : at+n : at+n]
}

// ReserveFrame is [Queue.Reserve] for one frame, which [Queue.DiscardFrames] may count.
func (q *Queue) ReserveFrame(n int) []byte {
	b := q.Reserve(n)
	q.tail.count++
	return b
}

// DiscardFrames consumes the first n frames. All that the queue holds must have come by
// [Queue.ReserveFrame], and at least n of them. It looks at none but those in the chunk
// where it ends.
func (q *Queue) DiscardFrames(n int) {
	for n > 0 {
		c := q.head
		if c.count <= n {
			n -= c.count
			q.Discard(len(c.buf) - c.off)
			continue
		}
		c.count -= n
		size := 0
		for ; n > 0; n-- {
			size += wire.Size(c.buf[c.off+size:])
		}
		q.Discard(size)
	}
}

// Append appends whole frames.
func (q *Queue) Append(frames []byte) {
	for len(frames) > 0 {
		n := 0
		if c := q.tail; c != nil {
			n = wire.Fit(frames, cap(c.buf)-len(c.buf))
		}
		if n == 0 { // a chunk of its own, of the usual size if one frame allows it
			n = max(wire.Fit(frames, 1<<topClass), wire.Size(frames))
		}
		copy(q.Reserve(n), frames[:n])
		frames = frames[n:]
	}
}

func (q *Queue) grow(n int) *chunk {
	class := max(q.hint, minClass)
	switch {
	case q.tail != nil && q.tail.owner != nil: // it is in between; the rest will be shared as well
		class = minClass
	case q.size > 0:
		class = max(minClass, bits.Len(uint(q.size))) // as much again as there is
	}
	c := get(max(min(class, topClass), bits.Len(uint(n-1))))
	q.push(c)
	return c
}

// Front returns the unconsumed bytes of the oldest chunk, or nothing when the
// queue is empty.
func (q *Queue) Front() []byte {
	if q.head == nil {
		return nil
	}
	return q.head.buf[q.head.off:]
}

// Discard consumes the first n bytes, which must not reach beyond [Queue.Front].
// They are no longer valid afterwards.
func (q *Queue) Discard(n int) {
	if n == 0 {
		return // also of an empty queue
	}
	c := q.head
	c.off += n
	q.size -= n
	q.base += int64(n)
	if c.off == len(c.buf) {
		q.head = c.next
		if q.head == nil {
			q.tail = nil
		}
		put(c)
	}
}

// Take moves everything into a queue of its own and leaves q empty. The hint
// stays behind, so that q's next filling starts with one chunk of about the size
// of this one and not with a row of small ones; it decays when fillings shrink.
func (q *Queue) Take() Queue {
	taken := *q
	q.hint = min(max(bits.Len(uint(taken.size)), q.hint-1), topClass)
	q.base += int64(q.size)
	q.head, q.tail, q.size = nil, nil, 0
	return taken
}

// TakeSome is [Queue.Take] for at most limit bytes, and at least one chunk.
func (q *Queue) TakeSome(limit int) Queue {
	if q.size <= limit || q.head == q.tail {
		return q.Take()
	}
	last := q.head
	n := len(last.buf) - last.off
	for n+len(last.next.buf) <= limit { // there is a next: all of them are more than the limit
		last = last.next
		n += len(last.buf)
	}
	taken := Queue{head: q.head, tail: last, size: n}
	q.head = last.next
	q.size -= n
	q.base += int64(n)
	last.next = nil
	return taken
}

// Move moves about limit bytes, at least one chunk, to the end of to. Chunks move as
// they are, but for the little ones.
func (q *Queue) Move(to *Queue, limit int) {
	if q.size == 0 {
		return
	}
	if q.size <= little {
		for q.head != nil {
			b := q.Front()
			copy(to.Reserve(len(b)), b)
			q.Discard(len(b))
		}
		return
	}
	taken := q.TakeSome(limit)
	if to.tail == nil {
		to.head = taken.head
	} else {
		to.tail.next = taken.head
	}
	to.tail = taken.tail
	to.size += taken.size
}

// little is how many bytes are sooner copied than handed to the system as a piece of
// their own.
const little = 4 << 10

// Clear consumes everything.
func (q *Queue) Clear() {
	for q.head != nil {
		q.Discard(len(q.head.buf) - q.head.off)
	}
	q.hint = 0
}

// Chunks yields the unconsumed bytes chunk by chunk, oldest first.
func (q *Queue) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := q.head; c != nil; c = c.next {
			if !yield(c.buf[c.off:]) {
				return
			}
		}
	}
}
