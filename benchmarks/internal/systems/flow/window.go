// Package flow bounds what is under way from one source, for systems that have no
// bound of their own from end to end: without one they drop, or grow.
package flow

import "sync"

// Overhead is what a message counts besides its payload.
const Overhead = 64

// Window is the room of one source. What the sinks have handled comes back in
// steps, so that it costs next to nothing per message.
type Window struct {
	Size int // bytes that may be under way, overhead included
	Step int // a sink that has handled so many bytes of the source releases them

	// owned by the sender
	taken int
	known int // of released, when last looked at

	mu       sync.Mutex
	wake     sync.Cond
	released int
	closed   bool
}

// NewWindow makes room of about that size, for a source that sends payloads of up to
// so many bytes to so many sinks. A sink keeps less than a step to itself, so all of
// them keep less than half of the window, and the other half always comes back. It
// is larger than asked for where a step would be less than a message.
func NewWindow(size, sinks, payload int) *Window {
	step := max(size/(2*sinks), payload+Overhead)
	w := &Window{Size: 2 * sinks * step, Step: step}
	w.wake.L = &w.mu
	return w
}

// Take waits for room for a payload and takes it. It is false when the window is
// closed. Only one goroutine may call it.
func (w *Window) Take(payload int) bool {
	w.taken += payload + Overhead
	if w.taken-w.known <= w.Size {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.taken-w.released > w.Size && !w.closed {
		w.wake.Wait()
	}
	w.known = w.released
	return !w.closed
}

// Release gives bytes back, overhead included.
func (w *Window) Release(bytes int) {
	w.mu.Lock()
	w.released += bytes
	w.mu.Unlock()
	w.wake.Signal()
}

// Close lets whoever waits go.
func (w *Window) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake.Signal()
}
