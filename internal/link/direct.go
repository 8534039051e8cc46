package link

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// idleLong is how long a link must have had nothing to write before whoever has
// something for it may write it himself. To start a goroutine, and wake a processor
// for it, takes a few microseconds, which is most of what a message costs a node where
// there are few of them. Where there are many, writing at once would send each alone.
const idleLong = 10 * time.Microsecond

// A trier writes as much as a connection takes without waiting.
type trier interface {
	try(b []byte) (n int)
}

// newTrier is nil where the connection cannot do that. Other types than those of
// package net may embed one of them, with a Write of their own that must not be passed
// by.
func newTrier(conn net.Conn) trier {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		if raw, err := conn.(syscall.Conn).SyscallConn(); err == nil {
			return newRawTrier(raw)
		}
	}
	return nil
}

// writers counts the goroutines of this process that wait for a processor to write to
// a link. While there are any there is more to do than somebody has time for, and
// whoever does not write at once finds more to write.
var writers atomic.Int32

// begin starts the goroutine if there is need of it. When it returns true the caller
// has to call [Writer.Now] instead, without mu. It must be called with mu held and
// w.err nil.
func (w *Writer) begin() (mine bool) {
	if w.running {
		return false
	}
	if w.trier == nil || writers.Load() > 0 || time.Since(w.born)-w.idle < idleLong {
		w.start()
		return false
	}
	w.mark()
	return true
}

// Now writes the beginning of what has gathered, a chunk, as far as the connection takes
// it without waiting. It is for who was told to call it; whoever else finds something to
// send meanwhile leaves it to him. What remains is the goroutine's.
func (w *Writer) Now() {
	w.mu.Lock()
	if w.err == nil {
		w.gather()
	}
	first := w.taken.Front()
	w.mu.Unlock()
	if len(first) > 0 {
		// An error will come again.
		n := w.trier.try(first)
		w.taken.Discard(n)
		w.bytes.Add(int64(n))
		w.writes.Add(1)
	}
	w.mu.Lock()
	w.busy = w.taken.Size()
	w.own = min(w.own, w.busy)
	if w.more() {
		w.mu.Unlock()
		w.Later()
		return
	}
	w.rest()
	w.finished.Done()
}

// Later leaves to the goroutine what [Writer.Now] would do.
func (w *Writer) Later() {
	writers.Add(1)
	go w.run()
}
