package reference

import (
	"net"
	"sync"
)

// full bounds the bytes queued on a link, at which sources wait. 64 KiB do best at 256 bytes a
// message: 128 KiB take a quarter more processor time, 16 KiB a fifth; 4 KiB halve the rate.
const full = 64 << 10

// link leads to one other node. It is a double buffer; the writer takes everything queued and
// writes it at once.
//
// Rejected: sources that write by themselves to a link that was idle for 10 µs, much as
// ringdht's do. A ring of ten then takes a seventh more processor time at 256 and 4096 bytes, and delays
// at 20,000 messages a second stay within the noise.
type link struct {
	conn net.Conn

	mu     sync.Mutex
	work   sync.Cond // there is something to write
	room   sync.Cond // there is room again
	queue  []byte
	idle   bool // the writer waits
	wait   int  // the number of sources that wait
	closed bool

	// With stretches, also guarded by mu: what is being filled for each sink. The writer takes
	// these too, so that no message waits for the next.
	open  []stretch // by sink; nil without stretches
	dirty []int     // the sinks whose stretches are not empty
	held  int       // bytes in them
}

func newLink(conn net.Conn) *link {
	l := &link{conn: conn}
	l.work.L, l.room.L = &l.mu, &l.mu
	return l
}

// send queues one of the node's own messages. It waits for room.
func (l *link) send(source, sink int, number uint64, payload []byte) error {
	l.mu.Lock()
	for len(l.queue)+l.held >= full && !l.closed {
		l.wait++
		l.room.Wait()
		l.wait--
	}
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	if l.open == nil {
		l.queue = appendFrame(l.queue, source, sink, number, payload)
	} else {
		l.stretch(source, sink, number, payload)
	}
	l.wake()
	l.mu.Unlock()
	return nil
}

// stretch adds a message to the stretch for its sink. It requires mu.
func (l *link) stretch(source, sink int, number uint64, payload []byte) {
	s := &l.open[sink]
	if len(payload) > short || !s.fits(payload) {
		l.held -= len(s.b)
		l.queue = s.end(l.queue)
		if len(payload) > short {
			l.queue = appendFrame(l.queue, source, sink, number, payload)
			return
		}
	}
	if !s.dirty {
		s.dirty = true
		l.dirty = append(l.dirty, sink)
	}
	l.held -= len(s.b)
	s.add(source, sink, number, payload)
	l.held += len(s.b)
}

// endStretches queues what the open stretches hold. It requires mu.
func (l *link) endStretches() {
	for _, sink := range l.dirty {
		s := &l.open[sink]
		s.dirty = false
		l.queue = s.end(l.queue)
	}
	l.dirty, l.held = l.dirty[:0], 0
}

// relay queues whole frames of other nodes, without bound: relays that wait for each other in
// a cycle would wait forever. It returns a buffer in which to gather the next frames.
func (l *link) relay(frames []byte) []byte {
	l.mu.Lock()
	if len(l.queue) == 0 {
		frames, l.queue = l.queue, frames
	} else {
		if n := len(l.queue) + len(frames); n > cap(l.queue) {
			l.queue = grow(l.queue, n)
		}
		l.queue = append(l.queue, frames...)
	}
	l.wake()
	l.mu.Unlock()
	return frames[:0]
}

func (l *link) wake() {
	if l.idle {
		l.idle = false
		l.work.Signal()
	}
}

// write writes until the link is closed.
func (l *link) write() {
	var spare []byte
	for {
		l.mu.Lock()
		for len(l.queue)+l.held == 0 && !l.closed {
			l.idle = true
			l.work.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		l.endStretches()
		taken := l.queue
		l.queue = spare[:0]
		if l.wait > 0 {
			l.room.Broadcast()
		}
		l.mu.Unlock()
		if _, err := l.conn.Write(taken); err != nil {
			l.close()
			return
		}
		spare = taken
	}
}

func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.work.Broadcast()
	l.room.Broadcast()
	l.mu.Unlock()
	l.conn.Close()
}
