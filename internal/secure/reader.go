package secure

import (
	"sync"
	"sync/atomic"
	"time"
)

// reader watches the goroutine that reads a connection. Before TLS answers a request for new keys it
// waits for the lock of the writers. If a write waits for the other end, the reader waits with it, and its
// deadline alone would not end that.
type reader struct {
	moves   atomic.Uint64 // counts all changes of the next two
	inside  atomic.Bool   // it is in Conn.Read
	waiting atomic.Bool   // and there in the Read of the connection below, where deadlines hold

	mu       sync.Mutex // guards what follows
	timer    *time.Timer
	deadline time.Time // zero: none
	closed   bool
}

// move notes a change of a state.
func (r *reader) move(state *atomic.Bool, to bool) {
	state.Store(to)
	r.moves.Add(1)
}

// stuckGrace is how long after its deadline a reader may be between two reads. Decryption takes
// microseconds, but the process may have been stopped.
const stuckGrace = 250 * time.Millisecond

// due has stuck called, after a deadline, if the reader is held up by a writer.
func (r *reader) due(t time.Time, stuck func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	switch {
	case r.timer != nil && (t.IsZero() || r.closed):
		r.timer.Stop()
	case t.IsZero() || r.closed:
	case r.timer == nil:
		r.timer = time.AfterFunc(time.Until(t), func() { r.check(stuck) })
	default:
		r.timer.Reset(time.Until(t))
	}
}

// late reports whether the deadline has passed.
func (r *reader) late() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.closed && !r.deadline.IsZero() && !time.Now().Before(r.deadline)
}

// check calls stuck if the reader stays where it is, between two reads. One that moves is looked at
// again: the read that seemed to wait at the deadline may have brought the request.
func (r *reader) check(stuck func()) {
	at := r.moves.Load()
	if !r.inside.Load() || !r.late() {
		return
	}
	time.AfterFunc(stuckGrace, func() {
		switch {
		case r.moves.Load() != at:
			r.check(stuck)
		case !r.waiting.Load() && r.late():
			stuck()
		}
	})
}

// close stops the timer.
func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed = true; r.timer != nil {
		r.timer.Stop()
	}
}
