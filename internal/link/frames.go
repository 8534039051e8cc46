package link

import "github.com/x/ringdht/internal/wire"

// AppendFrames builds frames in the queue, one for each body and all with header h, and
// counts them (see [Writer.Frames]). There must be at least one body. It stops after 64 KiB
// or once the queue exceeds [Writer.Low], where callers that can wait do so. It takes at
// least one frame, or returns an error. If due is true, the caller must call
// [Writer.WriteDirect].
func (w *Writer) AppendFrames(h wire.Header, detour bool, bodies [][]byte) (taken, queued int, due bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.closedErr(); err != nil {
		return 0, 0, false, err
	}
	held := w.appendedHeld()
	before := held
	for _, body := range bodies {
		n := wire.HeaderSize + len(body)
		if held+n > w.limit {
			break
		}
		b := w.q.Reserve(n)
		h.Put(b, len(body))
		if detour {
			wire.Frame(b).SetDetour(true)
		}
		copy(b[wire.HeaderSize:], body)
		taken++
		if held += n; held > w.low || held-before >= 64<<10 {
			break
		}
	}
	if taken == 0 {
		w.frameCount++
		return 0, held + wire.HeaderSize + len(bodies[0]), false, ErrFull
	}
	w.frameCount += int64(taken)
	w.total += int64(held - before)
	w.appendedTotal += int64(held - before)
	return taken, held, w.beginWrite(), nil
}

// Frames returns how many frames [Writer.AppendFrames] was given while the connection stood.
// A call that found no room counts as one. Counting here, under the lock that appending takes
// anyway, saves the caller a counter.
func (w *Writer) Frames() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frameCount
}
