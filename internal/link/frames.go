package link

import "github.com/x/ringdht/internal/wire"

// AppendFrames is [Writer.Append] for frames that are made in place, and counted, see
// [Writer.Frames]. They have the same header; each has a body of its own, of which there
// must be one. It takes the first of them, as many as it takes to pass [Writer.Low], where
// who can wait does, or 64 KiB; one at least, or the error says why none. If due then the caller must call [Writer.WriteDirect].
func (w *Writer) AppendFrames(h wire.Header, detour bool, bodies [][]byte) (taken, queued int, direct bool, err error) {
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

// Frames is how many frames [Writer.AppendFrames] was given while the connection stood,
// those that found no room included: who appends under a lock need not count elsewhere.
func (w *Writer) Frames() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frameCount
}
