package link

import (
	"context"
	"time"
)

// FailWith is [Writer.Fail] with a last word to the other side. It writes last behind the write
// that is under way, ahead of all that is queued, for at most limit; then it closes the connection.
// It leaves last out if that write ended within a frame: the other side would take it for the rest
// of that frame. The queue is left for [Writer.Leftover].
func (w *Writer) FailWith(err error, last []byte, limit time.Duration) {
	if w.conn.SetWriteDeadline(time.Now().Add(limit)) != nil {
		w.Fail(err)
		return
	}
	w.mu.Lock()
	first := w.fail(err)
	w.mu.Unlock()
	if !first {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	torn := true
	if w.room.Await(ctx, ctx, &w.mu, func() bool { torn = w.torn; return !w.running }) == nil && !torn {
		w.conn.Write(last) // best effort: the connection ends for another reason
	}
	w.hangUp()
}
