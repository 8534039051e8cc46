package fifo

// Cursor is a place in a queue. It stays valid when bytes are consumed: a place that was
// consumed stands for the queue's first byte.
type Cursor struct {
	c   *chunk
	off int   // in c.buf
	pos int64 // bytes of the queue before it, ever; tells whether c is still in the queue
}

// Last returns the place of the last n bytes, which must have been reserved together.
func (q *Queue) Last(n int) Cursor {
	return Cursor{q.tail, len(q.tail.buf) - n, q.consumed + int64(q.size-n)}
}

// Copy appends n bytes of q, from the cursor on, to another queue. They must be whole frames. It
// returns how many it appended: those not consumed in q by now.
//
// Rejected: views, chunks of two queues that count their holders. At 4 KiB a message they saved
// 7 % of the processor time in a ring of ten, and at 8 and 256 bytes nothing.
func (q *Queue) Copy(at Cursor, n int, to *Queue) (appended int) {
	c, off := at.c, at.off
	if gone := q.consumed - at.pos; gone >= 0 {
		if n -= int(gone); n <= 0 {
			return 0
		}
		c, off = q.head, q.head.read
	}
	appended = n
	for n > 0 {
		part := c.buf[off:min(off+n, len(c.buf))]
		if len(part) > 0 {
			copy(to.Reserve(len(part)), part)
		}
		n -= len(part)
		c, off = c.next, 0
	}
	return appended
}
