package fifo

import "sync"

// Cursor is a place in a queue. It stays good whatever is consumed: what is before the
// queue's first byte stands for that byte.
type Cursor struct {
	c   *chunk
	off int   // in it
	pos int64 // since the queue's beginning; tells whether c is still the queue's
}

// Last is the place of the last n bytes, which were reserved together.
func (q *Queue) Last(n int) Cursor {
	return Cursor{q.tail, len(q.tail.buf) - n, q.base + int64(q.size-n)}
}

// Share appends n bytes of q, from the cursor on, to another queue, and returns how many
// of them are still there and so were appended. They must be whole frames, and are not
// copied, but for the little ones: both queues hold on to the chunk until the bytes are
// consumed in it. So neither may change them.
//
// That makes one copy of a message do for two purposes: to be sent, and to be kept until
// it is acknowledged. The queues may be used by different goroutines.
func (q *Queue) Share(at Cursor, n int, to *Queue) (shared int) {
	c, off := at.c, at.off
	if gone := q.base - at.pos; gone >= 0 {
		if n -= int(gone); n <= 0 {
			return 0
		}
		c, off = q.head, q.head.off
	}
	shared = n
	for n > 0 {
		part := c.buf[off:min(off+n, len(c.buf))]
		switch {
		case len(part) > little:
			to.push(view(c, part))
		case len(part) > 0:
			copy(to.Reserve(len(part)), part)
		}
		n -= len(part)
		c, off = c.next, 0
	}
	return shared
}

// Own makes copies of what the queue shares with others, so that it may be changed.
func (q *Queue) Own() {
	for link := &q.head; *link != nil; link = &(*link).next {
		c := *link
		if c.owner == nil {
			continue
		}
		b := c.buf[c.off:]
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

// push appends a chunk that holds something.
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

// view makes a chunk of a part of another, which stays as long as the view does. Nothing
// can be appended to it.
func view(c *chunk, part []byte) *chunk {
	if c.owner != nil {
		c = c.owner
	}
	c.refs.Add(1)
	v := views.Get().(*chunk)
	v.buf, v.owner = part[:len(part):len(part)], c
	return v
}
