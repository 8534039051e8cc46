package link

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A link is idle once it has had nothing to write for as long as a direct write to it takes.
// At low load, starting a goroutine and waking a processor for it takes a few microseconds,
// most of the cost of a message. At high load, direct writes would send each message alone.
// By this rule an appender spends at most half of its time in direct writes, however slow the
// system's calls are.
//
// The time is a moving minimum of measurements: what lengthens a write now and then, like the
// wakeup of another processor, says nothing about the next. Measured, it is 1 to 10 µs.
// Rejected: a constant. One that is longer than a write makes a goroutine for each answer that
// comes fast.
const (
	firstDirectTime = 10 * time.Microsecond // assumed before the first measurement
	leastDirectTime = time.Microsecond      // a clock may be coarse, and messages of a burst are as close
)

// nextDirectTime is the moving minimum after another measurement.
func nextDirectTime(was, took time.Duration) time.Duration {
	return max(leastDirectTime, min(took, was+was/8))
}

// A directWriter writes as much as the connection takes without blocking.
type directWriter interface {
	tryWrite(b []byte) (n int)
}

// newDirectWriter returns nil for a connection without non-blocking writes. It accepts only
// the types of package net themselves: a type that embeds one may have its own Write, which
// must not be bypassed.
func newDirectWriter(conn net.Conn) directWriter {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		if raw, err := conn.(syscall.Conn).SyscallConn(); err == nil {
			return newRawWriter(raw)
		}
	}
	return nil
}

// waitingWriters counts the link writers of this process that wait for a processor. If
// non-zero, the process is CPU-bound; deferring the write lets it batch more.
var waitingWriters atomic.Int32

// beginWrite starts the goroutine, unless it is running already. If due is true it has
// started none, and the caller must call [Writer.WriteDirect] without mu. beginWrite requires
// mu and a nil w.err.
func (w *Writer) beginWrite() (due bool) {
	if w.running {
		return false
	}
	if w.directWriter == nil || waitingWriters.Load() > 0 {
		w.startGoroutine()
		return false
	}
	now := time.Since(w.created)
	if now-w.lastWrite < w.directTime {
		w.startGoroutine()
		return false
	}
	w.setRunning()
	w.lastWrite = now
	return true
}

// WriteDirect writes the first queued chunk from the calling goroutine, as far as the
// connection takes it without blocking. A goroutine writes the rest. Call it once for each
// appending method that returns due; frames that others append meanwhile go with it.
func (w *Writer) WriteDirect() {
	w.mu.Lock()
	if w.err == nil {
		w.gather()
	}
	first := w.batch.Front()
	w.mu.Unlock()
	n := 0
	if len(first) > 0 {
		// An error is ignored here: the goroutine's write will meet it again.
		n = w.directWriter.tryWrite(first)
		w.batch.Discard(n)
		w.bytes.Add(int64(n))
		w.writes.Add(1)
	}
	w.mu.Lock()
	w.writing = w.batch.Size()
	w.pulled = min(w.pulled, w.writing)
	w.torn = n > 0 && n < len(first) // no matter if it ended between two frames
	if w.hasMore() {
		w.mu.Unlock()
		w.WriteAsync()
		return
	}
	w.endRun(true)
	w.wg.Done()
}

// WriteAsync starts the goroutine instead of [Writer.WriteDirect].
func (w *Writer) WriteAsync() {
	waitingWriters.Add(1)
	go w.run()
}
