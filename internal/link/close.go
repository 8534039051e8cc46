package link

import (
	"net"
	"time"
)

// fail ends the connection with err, unless it has ended before. It requires mu. If first is
// true, the caller must call hangUp after releasing mu.
func (w *Writer) fail(err error) (first bool) {
	if w.err != nil {
		return false
	}
	w.err = err
	w.urgent, w.final = nil, nil
	if !w.keepLeftover {
		w.q.Clear()
	}
	w.room.Broadcast()
	w.wg.Add(1) // for hangUp
	return true
}

// hangUp closes the connection. Call it without mu: closing may wait (TLS sends an alert
// first), and Append must not.
func (w *Writer) hangUp() {
	w.conn.Close()
	w.wg.Done()
}

// maxUrgent is how many bytes [Writer.Urgent] holds at most.
const maxUrgent = 128

// Urgent queues frames that concern the connection itself. They go ahead of all queued
// frames, do not count against the bound, and may also follow the last frames of
// [Writer.Finish]. It returns [ErrFull] if more than 128 bytes of them are waiting.
func (w *Writer) Urgent(frames []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if len(w.urgent)+len(frames) > maxUrgent {
		return ErrFull
	}
	w.urgent = append(w.urgent, frames...)
	w.startGoroutine()
	return nil
}

// Finish writes last behind everything queued, and leaves the connection open for its other
// direction. It does not wait; if writing takes longer than limit, the connection ends.
// Frames may be appended until the write of last begins.
func (w *Writer) Finish(last []byte, limit time.Duration) {
	w.setDeadline(limit)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.finalSent {
		w.final, w.deadlineSet = last, true
		w.startGoroutine()
	}
}

// Retire closes the connection once everything queued has been written. It does not wait.
// Frames may be appended until then.
func (w *Writer) Retire() {
	w.mu.Lock()
	w.retired = true
	ended := !w.running && w.fail(net.ErrClosed)
	w.mu.Unlock()
	if ended {
		w.hangUp()
	}
}

// Fail ends the connection at once. Later calls return err. It is used, for example, when the
// peer is known to be dead.
func (w *Writer) Fail(err error) {
	w.mu.Lock()
	ended := w.fail(err)
	w.mu.Unlock()
	if ended {
		w.hangUp()
	}
}

// Close ends the connection, drops queued frames and waits for the goroutine. It may be
// called more than once.
func (w *Writer) Close() {
	w.Fail(net.ErrClosed)
	w.wg.Wait()
}

// RetireWithin is [Writer.Retire] with a time limit for the writing.
func (w *Writer) RetireWithin(limit time.Duration) {
	w.setDeadline(limit)
	w.Retire()
}

// Shutdown writes the queued frames, for at most limit, then closes the connection and waits
// for the goroutine.
func (w *Writer) Shutdown(limit time.Duration) {
	w.RetireWithin(limit)
	w.wg.Wait()
}

// setDeadline limits the time for writing from now on. A connection that takes no deadline
// is closed: it could keep its writer for ever.
func (w *Writer) setDeadline(limit time.Duration) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		w.Fail(err)
	}
}
