package link

import "github.com/x/ringdht/internal/fifo"

// A Source keeps frames for a link in a queue of its own until the link pulls them. This
// saves locking: appending takes the link's lock, for which all its users compete, while a
// source that is already enlisted appends to its own queue only.
type Source interface {
	// Pull moves frames for w to the end of q, in order, and reports whether there are
	// more. It should stop at about limit bytes. The goroutine that writes calls it without
	// a lock: once for each [Writer.Enlist], and again while more is true, even if the
	// source uses another link by now.
	Pull(w *Writer, q *fifo.Queue, limit int) (more bool)
}

// Enlist adds s to the sources to be pulled. Its turn comes after the bytes queued now and
// the sources enlisted before. If due is true, the caller must call [Writer.WriteDirect]
// while holding no lock that Pull takes. The error is the one that ended the connection. A
// source that is enlisted when the connection ends is not told.
func (w *Writer) Enlist(s Source) (due bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.closedErr(); err != nil {
		return false, err
	}
	w.sources = append(w.sources, s)
	return w.beginWrite(), nil
}

// gather moves the next bytes to write into batch. Appended frames come first, and sources
// get only a small part: relayed traffic must get through the ring, or new messages fill it
// up. gather requires mu, and releases it while it pulls.
func (w *Writer) gather() {
	if n := len(w.urgent); n > 0 { // in a write of its own: urgent frames are rare
		w.batch.Append(w.urgent)
		w.urgent = w.urgent[:0]
		w.writing, w.pulled = n, n
		return
	}
	n := len(w.sources)
	limit := maxWrite
	if n > 0 {
		limit = maxWrite - maxWrite/8
	}
	if w.q.Size() > 0 {
		w.batch = w.q.TakeSome(limit)
	}
	appended := w.batch.Size()
	w.startedTotal += int64(appended)
	w.writing = appended
	if n == 0 {
		return
	}
	// Sources stay on the list while they are pulled; others may be added behind them.
	sources := w.sources[:n]
	w.mu.Unlock()
	done := 0
	for done < n && (done == 0 || w.batch.Size() < maxWrite) { // at least one, even if the frames are long
		s := sources[done]
		done++
		if s.Pull(w, &w.batch, max(maxWrite-w.batch.Size(), maxWrite/8)) {
			w.pullAgain = append(w.pullAgain, s)
		}
	}
	w.mu.Lock()
	w.writing = w.batch.Size()
	w.pulled = w.writing - appended
	w.total += int64(w.pulled)
	w.sources = append(w.sources, w.pullAgain...)
	rest := copy(w.sources, w.sources[done:])
	clear(w.sources[rest:])
	w.sources = w.sources[:rest]
	clear(w.pullAgain)
	w.pullAgain = w.pullAgain[:0]
}
