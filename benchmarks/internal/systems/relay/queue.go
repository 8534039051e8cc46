package relay

import (
	"encoding/binary"
	"sync"
)

// A queue is a link that never blocks: frames gather in one buffer while a goroutine sends
// the other. The windows of the sources bound it.
type queue struct {
	link Link
	fail func()
	done chan struct{}

	mu     sync.Mutex
	wake   sync.Cond
	frames []byte
	closed bool
}

const header = 12 // source, sink, length

func newQueue(l Link, fail func()) *queue {
	q := &queue{link: l, fail: fail, done: make(chan struct{})}
	q.wake.L = &q.mu
	go q.run()
	return q
}

// Send copies the frame.
func (q *queue) Send(f Frame) error {
	q.mu.Lock()
	if len(q.frames) == 0 {
		q.wake.Signal()
	}
	q.frames = AppendFrame(q.frames, f)
	q.mu.Unlock()
	return nil
}

// Flush does nothing: the goroutine flushes when it has sent everything.
func (q *queue) Flush() error { return nil }

func (q *queue) run() {
	defer close(q.done)
	var frames []byte
	for {
		q.mu.Lock()
		for len(q.frames) == 0 && !q.closed {
			q.wake.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return
		}
		frames, q.frames = q.frames, frames[:0]
		q.mu.Unlock()
		for rest := frames; len(rest) > 0; {
			f, n := ParseFrame(rest)
			rest = rest[n:]
			if q.link.Send(f) != nil {
				q.fail()
				return
			}
		}
		if q.link.Flush() != nil {
			q.fail()
			return
		}
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake.Signal()
	<-q.done
}

// AppendFrame appends source, sink and length, 32 bits each, and the payload.
func AppendFrame(b []byte, f Frame) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(f.Src))
	b = binary.BigEndian.AppendUint32(b, uint32(f.Dst))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Payload)))
	return append(b, f.Payload...)
}

// ParseFrame returns the frame at the start of the bytes and its size. The size is 0 if the
// bytes do not hold all of it. The payload shares their memory.
func ParseFrame(b []byte) (f Frame, size int) {
	if len(b) < header {
		return f, 0
	}
	size = header + int(binary.BigEndian.Uint32(b[8:]))
	if len(b) < size {
		return f, 0
	}
	return Frame{int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:])), b[header:size]}, size
}
