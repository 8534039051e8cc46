package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A half is one direction of a connection: a bounded buffer between a writing and a reading end,
// with the faults in between. It has a copy of its faults, so that a Write takes no other lock.
type half struct {
	// static
	reverse *half      // the other direction. Its mutex and this one are never held together
	seed    uint64     // of its random faults, see draw
	watch   func(Fate) // or nil

	mu       sync.Mutex
	readable sync.Cond // bytes or an ending have arrived, or reads fail now
	writable sync.Cond // there is room, or no Write waits in the middle, or writes fail now

	// guarded by mu: the bytes
	buf    buffer
	size   int    // bytes taken from the writer and not read; once the reader is gone they are counted here but not kept
	ready  int    // those of them that have arrived
	writes uint64 // number so far, with endings
	transit

	// guarded by mu: the ends
	writeWaits   bool   // a Write waits for room in the middle of its bytes: others wait for it
	sent         ending // by the writer
	arrived      ending // at the reader, behind the last byte
	readErr      error  // why reads fail: net.ErrClosed if the reader closed, ECONNRESET
	writeErr     error  // why writes fail: net.ErrClosed if the writer closed, EPIPE, ECONNRESET
	readTimeout  deadline
	writeTimeout deadline
}

// An ending is how a writer ended its direction. A later ending is always a greater one.
type ending uint8

const (
	standing   ending = iota
	halfClosed        // CloseWrite: the reader gets EOF
	closed            // Close: the reader gets EOF and its own writes get EPIPE
	reset             // the reader's reads and writes get ECONNRESET
)

func (h *half) init(back *half) {
	h.reverse = back
	h.readable.L = &h.mu
	h.writable.L = &h.mu
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	n, err := h.readLocked(p)
	e := h.arrived
	h.mu.Unlock()
	if err != nil {
		// The arrival does the same, maybe later: a reader that has seen EOF must not be able to
		// write.
		h.reverse.peerEnded(e)
	}
	return n, err
}

func (h *half) readLocked(p []byte) (int, error) {
	for {
		switch {
		case h.readErr == net.ErrClosed:
			return 0, h.readErr
		case len(p) == 0:
			return 0, nil
		case h.readTimeout.expired: // even if there are bytes, as in package net
			return 0, os.ErrDeadlineExceeded
		case h.readErr != nil:
			return 0, h.readErr
		case h.ready > 0:
			n := h.buf.take(p[:min(len(p), h.ready)])
			if h.size == bufferSize {
				h.writable.Broadcast()
			}
			h.ready -= n
			h.size -= n
			return n, nil
		case h.arrived != standing:
			return 0, io.EOF
		}
		h.readable.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if err := h.writeFails(); err != nil {
			return 0, err
		}
		if !h.writeWaits {
			break
		}
		h.writable.Wait()
	}
	lost, late := h.drawNext()
	if h.watch != nil {
		h.watch(Fate{Write: h.writes - 1, Size: len(p), Lost: lost, Late: late})
	}
	if lost {
		return len(p), nil
	}
	for {
		if k := min(len(p)-n, bufferSize-h.size); k > 0 {
			if h.readErr == nil {
				h.buf.put(p[n : n+k])
				h.carry(segment{n: k}, late)
			}
			h.size += k
			n += k
		}
		if n == len(p) {
			break
		}
		h.writeWaits = true
		h.writable.Wait()
		if err = h.writeFails(); err != nil {
			break
		}
	}
	if h.writeWaits {
		h.writeWaits = false
		h.writable.Broadcast()
	}
	return n, err
}

func (h *half) writeFails() error {
	switch {
	case h.writeErr == net.ErrClosed:
		return h.writeErr
	case h.writeTimeout.expired:
		return os.ErrDeadlineExceeded
	}
	return h.writeErr
}

// endWrites ends the direction from the writer's side. Bytes written before stay under way.
func (h *half) endWrites(e ending) error {
	h.mu.Lock()
	switch {
	case h.writeErr == net.ErrClosed:
		h.mu.Unlock()
		return net.ErrClosed
	case e == halfClosed:
		if h.writeErr == nil {
			h.writeErr = syscall.EPIPE
		}
	default:
		h.writeErr = net.ErrClosed
		h.writeTimeout.stop()
	}
	h.writable.Broadcast()
	if h.readErr == nil && h.sent < e {
		h.sent = e
		_, late := h.drawNext()
		e = h.carry(segment{end: e}, late)
	} else {
		e = standing // the reader has closed, or was told before
	}
	h.mu.Unlock()
	h.reverse.peerEnded(e)
	return nil
}

// endReads ends the direction from the reader's side. Bytes under way are lost. The writer learns
// of it by the ending in the other direction; until then it fills the buffer.
func (h *half) endReads() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readErr = net.ErrClosed
	h.readTimeout.stop()
	h.discard()
	h.readable.Broadcast()
}

// peerEnded tells the writer that an ending has arrived in the other direction.
func (h *half) peerEnded(e ending) {
	if e < closed {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writeErr == nil {
		h.writeErr = syscall.EPIPE
		if e == reset {
			h.writeErr = syscall.ECONNRESET
		}
		h.writable.Broadcast()
	}
}

// reset breaks the direction at both its ends, at once.
func (h *half) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr == nil {
		h.readErr = syscall.ECONNRESET
	}
	if h.writeErr != net.ErrClosed {
		h.writeErr = syscall.ECONNRESET
	}
	h.discard()
	h.readable.Broadcast()
	h.writable.Broadcast()
}

// discard drops the bytes under way, but keeps their count: a writer that does not know yet gets
// no more room. The caller has set readErr.
func (h *half) discard() {
	h.buf.clear()
	h.ready = 0
	h.transit.stop()
}

func (h *half) setReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readErr == net.ErrClosed {
		return h.readErr
	}
	h.readTimeout.set(t, &h.readable)
	return nil
}

func (h *half) setWriteDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writeErr == net.ErrClosed {
		return h.writeErr
	}
	h.writeTimeout.set(t, &h.writable)
	return nil
}
