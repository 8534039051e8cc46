// Package fifo is a queue of frames, as bytes in recycled chunks. A node keeps everything
// that waits in such queues: frames for a link, messages that are not acknowledged yet,
// deliveries that a handler has not taken.
//
// An empty queue holds no memory: a chunk goes back to a pool as soon as it is drained. A frame that
// many queues have may be shared by them, see [Queue.Share].
// Rejected: one growing slice. It is copied and cleared each time it grows, and keeps its
// memory while it is idle.
//
// A chunk never splits a frame. So readers get whole frames without copying, and a
// connection that loses a write (the in-memory network can) loses whole frames.
package fifo

import (
	"iter"
	"math/bits"
	"slices"
	"sync"

	"github.com/x/ringdht/internal/wire"
)

// Chunk sizes are powers of two. The largest usual one makes one write worth its system
// call; only a longer frame gets a larger chunk.
const (
	minClass = 10 // 1 KiB
	topClass = 16 // 64 KiB
	maxClass = 25 // 32 MiB, above any frame
)

type chunk struct {
	next     *chunk
	buf      []byte // [:len] written
	read     int    // [:read] consumed
	class    int    // shared for one that no pool has
	messages int    // reserved and not discarded, see ReserveMessage
}

// shared is the class of a chunk whose bytes belong to others as well. It has no room for more.
const shared = -1

// lent is how many bytes of a chunk are shared.
func (c *chunk) lent() int {
	if c.class == shared {
		return len(c.buf)
	}
	return 0
}

var pools [maxClass + 1]sync.Pool

func get(class int) *chunk {
	c, ok := pools[class].Get().(*chunk)
	if !ok {
		c = &chunk{buf: make([]byte, 0, 1<<class), class: class}
	}
	return c
}

// put releases a chunk that a queue has consumed.
func put(c *chunk) {
	if c.class == shared {
		return
	}
	c.next, c.buf, c.read, c.messages = nil, c.buf[:0], 0, 0
	pools[c.class].Put(c)
}

// Queue is a FIFO of frames. The zero value is empty. It is not safe for concurrent use, and
// must not be copied unless it is empty (see [Queue.Take]).
type Queue struct {
	head, tail *chunk
	size       int
	shared     int   // bytes of shared chunks, consumed ones of the first included
	consumed   int64 // bytes ever consumed
	hint       int   // class of the next first chunk, from the size of the last content
}

// Size returns the number of bytes held.
func (q *Queue) Size() int { return q.size }

// Reserve appends n > 0 bytes in one chunk and returns them for the caller to fill in. They
// stay valid until they are consumed.
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

// ReserveMessage is [Queue.Reserve] for a frame with one message, to be discarded by
// [Queue.DiscardMessages].
func (q *Queue) ReserveMessage(n int) []byte {
	b := q.Reserve(n)
	q.tail.messages++
	return b
}

// Extend lengthens the latest reservation, of size bytes, by n bytes for one more message. It
// returns the whole of it, or nil if its chunk has no room.
func (q *Queue) Extend(size, n int) []byte {
	c := q.tail
	end := len(c.buf) + n
	if end > cap(c.buf) {
		return nil
	}
	c.buf = c.buf[:end:cap(c.buf)]
	c.messages++
	q.size += n
	return c.buf[end-n-size : end : end]
}

// DiscardMessages consumes the oldest frames as long as they have no more than n messages
// together, and returns how many they have. All of the queue must have been reserved by
// [Queue.ReserveMessage] and [Queue.Extend]. It counts by chunk, and walks the frames of the last
// chunk only.
func (q *Queue) DiscardMessages(n int) (discarded int) {
	for q.head != nil && q.head.messages <= n-discarded {
		discarded += q.head.messages
		q.Discard(len(q.head.buf) - q.head.read)
	}
	if discarded == n || q.head == nil {
		return discarded
	}
	c, size := q.head, 0
	for {
		f, _ := wire.Next(c.buf[c.read+size:])
		m := f.Messages()
		if m > n-discarded {
			break
		}
		discarded += m
		c.messages -= m
		size += len(f)
	}
	q.Discard(size)
	return discarded
}

// Append appends whole frames.
func (q *Queue) Append(frames []byte) {
	for len(frames) > 0 {
		n := 0
		if c := q.tail; c != nil {
			n = wire.Fit(frames, cap(c.buf)-len(c.buf))
		}
		if n == 0 { // a new chunk, of at most the usual size unless the frame is longer
			n = max(wire.Fit(frames, 1<<topClass), wire.Size(frames))
		}
		copy(q.Reserve(n), frames[:n])
		frames = frames[n:]
	}
}

// Share appends whole frames without copying them: the queue keeps the slice, and so may others.
// The bytes must not change any more. It is for frames so long that copying costs more than a chunk.
func (q *Queue) Share(frames []byte) {
	q.push(&chunk{buf: slices.Clip(frames), class: shared})
	q.shared += len(frames)
}

// grow appends an empty chunk with room for n bytes.
func (q *Queue) grow(n int) *chunk {
	class := max(q.hint, minClass)
	if own := q.size - q.shared; own > 0 {
		class = max(minClass, bits.Len(uint(own))) // double the queue
	}
	c := get(max(min(class, topClass), bits.Len(uint(n-1))))
	q.push(c)
	return c
}

// push appends a chunk, which must not be empty.
func (q *Queue) push(c *chunk) {
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
	q.size += len(c.buf)
}

// Front returns the unconsumed bytes of the oldest chunk, or nil when the queue is empty.
func (q *Queue) Front() []byte {
	if q.head == nil {
		return nil
	}
	return q.head.buf[q.head.read:]
}

// Discard consumes the first n bytes, at most those of [Queue.Front]. They are not valid
// afterwards.
func (q *Queue) Discard(n int) {
	if n == 0 {
		return // the queue may be empty
	}
	c := q.head
	c.read += n
	q.size -= n
	q.consumed += int64(n)
	if c.read == len(c.buf) {
		q.head = c.next
		if q.head == nil {
			q.tail = nil
		}
		q.shared -= c.lent()
		put(c)
	}
}

// Take moves everything into a new queue and leaves q empty. q keeps a hint: its next first
// chunk has about the size of what was taken, instead of a row of small chunks. The hint
// decays when the contents get smaller.
func (q *Queue) Take() Queue {
	taken := *q
	q.hint = min(max(bits.Len(uint(max(0, taken.size-taken.shared))), q.hint-1), topClass)
	q.consumed += int64(q.size)
	q.head, q.tail, q.size, q.shared = nil, nil, 0, 0
	return taken
}

// TakeSome is [Queue.Take] for at most limit bytes, and at least one chunk.
func (q *Queue) TakeSome(limit int) Queue {
	if q.size <= limit || q.head == q.tail {
		return q.Take()
	}
	last := q.head
	n, lent := len(last.buf)-last.read, last.lent()
	for n+len(last.next.buf) <= limit { // next is not nil: all chunks together exceed the limit
		last = last.next
		n += len(last.buf)
		lent += last.lent()
	}
	taken := Queue{head: q.head, tail: last, size: n, shared: lent}
	q.head = last.next
	q.size -= n
	q.shared -= lent
	q.consumed += int64(n)
	last.next = nil
	return taken
}

// Move moves about limit bytes, at least one chunk, to the end of to. It moves the chunks
// themselves, except that a small queue is copied.
func (q *Queue) Move(to *Queue, limit int) {
	if q.size == 0 {
		return
	}
	if q.size <= copyLimit {
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
	to.shared += taken.shared
}

// copyLimit is the size up to which copying bytes is cheaper than handing them to the system
// as a separate piece.
const copyLimit = 4 << 10

// Clear consumes everything.
func (q *Queue) Clear() {
	for q.head != nil {
		q.Discard(len(q.head.buf) - q.head.read)
	}
	q.hint = 0
}

// Chunks yields the unconsumed bytes chunk by chunk, oldest first.
func (q *Queue) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := q.head; c != nil; c = c.next {
			if !yield(c.buf[c.read:]) {
				return
			}
		}
	}
}
