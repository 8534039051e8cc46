package rpc

import "sync"

// buffer holds one message. Its owner puts it back, once.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// maxPooled is the capacity of the largest buffer that is kept for the next message.
const maxPooled = 64 << 10

func newBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.b = b.b[:0]
	return b
}

// put gives the buffer back. It may be nil.
func (b *buffer) put() {
	if b != nil && cap(b.b) <= maxPooled {
		buffers.Put(b)
	}
}

// copied returns a buffer with a copy of borrowed bytes.
func copied(b []byte) *buffer {
	c := newBuffer()
	c.b = append(c.b, b...)
	return c
}
