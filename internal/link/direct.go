package link

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// directAfterIdle is how long a link must have had nothing to write before whoever has
// something for it may write it himself. To start a goroutine, and wake a processor
// for it, takes a few microseconds, which is most of what a message costs a node where
// there are few of them. Where there are many, writing at once would send each alone.
const directAfterIdle = 10 * time.Microsecond

// A directWriter writes as much as a connection takes without waiting.
type directWriter interface {
	tryWrite(b []byte) (n int)
}

// newDirectWriter is nil where the connection cannot do that. Other types than those of
// package net may embed one of them, with a Write of their own that must not be passed
// by.
func newDirectWriter(conn net.Conn) directWriter {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		if raw, err := conn.(syscall.Conn).SyscallConn(); err == nil {
			return newRawWriter(raw)
		}
	}
	return nil
}

// waitingWriters counts the goroutines of this process that wait for a processor to write to
// a link. While there are any there is more to do than somebody has time for, and
// whoever does not write at once finds more to write.
var waitingWriters atomic.Int32

// beginWrite starts the goroutine if there is need of it. When it returns true the caller
// has to call [Writer.WriteDirect] instead, without mu. It must be called with mu held and
// w.err nil.
func (w *Writer) beginWrite() (direct bool) {
	if w.running {
		return false
	}
	if w.direct == nil || waitingWriters.Load() > 0 || time.Since(w.created)-w.idleSince < directAfterIdle {
		w.startGoroutine()
		return false
	}
	w.setRunning()
	return true
}

// WriteDirect writes the beginning of what has gathered, a chunk, as far as the connection takes
// it without waiting. It is for who was told to call it; whoever else finds something to
// send meanwhile leaves it to him. What remains is the goroutine's.
func (w *Writer) WriteDirect() {
	w.mu.Lock()
	if w.err == nil {
		w.gather()
	}
	first := w.batch.Front()
	w.mu.Unlock()
	if len(first) > 0 {
		// An error will come again.
		n := w.direct.tryWrite(first)
		w.batch.Discard(n)
		w.bytes.Add(int64(n))
		w.writes.Add(1)
	}
	w.mu.Lock()
	w.writing = w.batch.Size()
	w.pulled = min(w.pulled, w.writing)
	if w.hasMore() {
		w.mu.Unlock()
		w.WriteAsync()
		return
	}
	w.endRun()
	w.wg.Done()
}

// WriteAsync leaves to the goroutine what [Writer.WriteDirect] would do.
func (w *Writer) WriteAsync() {
	waitingWriters.Add(1)
	go w.run()
}
