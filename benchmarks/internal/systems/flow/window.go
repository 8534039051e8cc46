// Package flow bounds the bytes in flight from one source, for systems without an end-to-end
// bound: without one they drop messages, or grow.
package flow

import "sync"

// Overhead is what a message counts besides its payload.
const Overhead = 64

// Window is the window of one source. The sinks release bytes in steps, so that a message
// costs next to nothing.
type Window struct {
	Size int // bytes that may be in flight, overhead included
	Step int // a sink that has handled so many bytes of the source releases them

	// owned by the sender
	taken int
	known int // of released, at the last look

	mu       sync.Mutex
	wake     sync.Cond
	released int
	closed   bool
}

// NewWindow returns a window of about that size, for a source that sends payloads of up to so
// many bytes to so many sinks. A sink holds back less than a step, so all sinks together hold
// back less than half of the window, and the other half is always released. The window is
// larger than requested where a step would be less than a message.
func NewWindow(size, sinks, payload int) *Window {
	step := max(size/(2*sinks), payload+Overhead)
	w := &Window{Size: 2 * sinks * step, Step: step}
	w.wake.L = &w.mu
	return w
}

// Take waits for room for a payload and takes it. It returns false if the window is closed.
// Only one goroutine may call it.
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

// Release returns bytes to the window, overhead included.
func (w *Window) Release(bytes int) {
	w.mu.Lock()
	w.released += bytes
	w.mu.Unlock()
	w.wake.Signal()
}

// Close ends all waits.
func (w *Window) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake.Signal()
}
