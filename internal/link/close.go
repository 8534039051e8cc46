package link

import (
	"net"
	"time"
)

// fail must be called with mu held. Where it reports true the caller has to hang
// up once it has let go of mu.
func (w *Writer) fail(err error) (first bool) {
	if w.err != nil {
		return false
	}
	w.err = err
	w.urgent, w.final = nil, nil
	if !w.keepLeftover {
		w.q.Clear()
	}
	w.signalRoom()
	w.wg.Add(1) // for hangUp
	return true
}

// hangUp must be called without mu: closing a connection may wait (that of TLS
// says farewell first), and Append must not.
func (w *Writer) hangUp() {
	w.conn.Close()
	w.wg.Done()
}

func (w *Writer) signalRoom() {
	if w.roomMade != nil {
		close(w.roomMade)
		w.roomMade = nil
	}
}

// maxUrgent bounds what [Writer.Urgent] takes, in bytes.
const maxUrgent = 128

// Urgent queues a few frames that are about the connection itself. They go before
// all that is queued and count as none of it, and may follow what [Writer.Finish]
// wrote. Where they pile up the error is [ErrFull].
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

// Finish has last written behind all that is queued, and leaves the connection open,
// for its other direction. It does not wait for that; the connection ends if it takes
// longer than limit. Frames may still be appended until last is being written.
func (w *Writer) Finish(last []byte, limit time.Duration) {
	w.setDeadline(limit)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.finalSent {
		w.final, w.deadlineSet = last, true
		w.startGoroutine()
	}
}

// Retire closes the connection once everything queued has been written. It does
// not wait for that. Frames may still be appended until then.
func (w *Writer) Retire() {
	w.mu.Lock()
	w.retired = true
	ended := !w.running && w.fail(net.ErrClosed)
	w.mu.Unlock()
	if ended {
		w.hangUp()
	}
}

// Fail ends the connection with an error that later calls return, as when its
// other end is known to be gone.
func (w *Writer) Fail(err error) {
	w.mu.Lock()
	ended := w.fail(err)
	w.mu.Unlock()
	if ended {
		w.hangUp()
	}
}

// Close ends the connection, drops what is queued and waits for the goroutine.
// It may be called again.
func (w *Writer) Close() {
	w.Fail(net.ErrClosed)
	w.wg.Wait()
}

// RetireWithin is [Writer.Retire], with a limit for the writing.
func (w *Writer) RetireWithin(limit time.Duration) {
	w.setDeadline(limit)
	w.Retire()
}

// Shutdown writes what is queued, for at most the given time, then closes.
func (w *Writer) Shutdown(limit time.Duration) {
	w.RetireWithin(limit)
	w.wg.Wait()
}

// setDeadline gives what is written from now on so much time. A connection that takes no
// deadline could keep its writer for ever, and is closed.
func (w *Writer) setDeadline(limit time.Duration) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		w.Fail(err)
	}
}
