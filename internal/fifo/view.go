package fifo

import "sync"

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

// View appends n bytes of q, from the cursor on, to another queue without copying them. They
// must be whole frames. It returns how many it appended: those not consumed in q by now. Both
// queues keep the chunk until they have consumed the bytes, and neither may change them. Up to
// 4 KiB are copied nevertheless, since that is cheaper.
//
// So one copy of a message is both queued for sending and kept until it is acknowledged. The
// two queues may be used by different goroutines.
func (q *Queue) View(at Cursor, n int, to *Queue) (appended int) {
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
		switch {
		case len(part) > copyLimit:
			to.push(view(c, part))
		case len(part) > 0:
			copy(to.Reserve(len(part)), part)
		}
		n -= len(part)
		c, off = c.next, 0
	}
	return appended
}

// CopyViews replaces the queue's views by copies, so that their bytes may be changed.
func (q *Queue) CopyViews() {
	for link := &q.head; *link != nil; link = &(*link).next {
		c := *link
		if c.owner == nil {
			continue
		}
		b := c.buf[c.read:]
		own := get(classOf(len(b)))
		own.buf = append(own.buf, b...)
		own.next = c.next
		*link = own
		if q.tail == c {
			q.tail = own
		}
		put(c)
	}
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

var views = sync.Pool{New: func() any { return new(chunk) }}

// view returns a chunk that is a part of another and keeps it alive. Nothing can be appended
// to a view.
func view(c *chunk, part []byte) *chunk {
	if c.owner != nil {
		c = c.owner
	}
	c.refs.Add(1)
	v := views.Get().(*chunk)
	v.buf, v.owner = part[:len(part):len(part)], c
	return v
}
