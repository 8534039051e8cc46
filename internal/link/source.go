package link

import "github.com/x/ringdht/internal/fifo"

// Source is somebody with frames for a link who keeps them until it is their turn. To
// append costs a lock that all who use the link share; a source that is enlisted
// appends to a queue of its own, which the link empties when it writes.
type Source interface {
	// Pull moves frames for w to the end of q, in their order, and says whether there
	// are more. It should stop at about limit bytes. It is called by whoever writes,
	// without a lock, once for each [Writer.Enlist] and again as long as there are more,
	// also when the source has found another link meanwhile.
	Pull(w *Writer, q *fifo.Queue, limit int) (more bool)
}

// Enlist has s pulled when the writer comes to it: after what is queued now, in turn
// with others. If due then the caller must call [Writer.WriteDirect], holding no lock that
// Pull takes. An error is the one that ended the connection; a source that was
// enlisted when it ended is not told, see [Source].
func (w *Writer) Enlist(s Source) (direct bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.closedErr(); err != nil {
		return false, err
	}
	w.sources = append(w.sources, s)
	return w.beginWrite(), nil
}

// gather moves to taken what is to be written next. What was appended comes first, and
// only a small part is kept for sources: what a ring has taken in must get through it,
// or it fills up with what is new. It must be called with mu held, which it lets go
// while it pulls.
func (w *Writer) gather() {
	if n := len(w.urgent); n > 0 { // alone: it is rare
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
	// Those that are pulled stay on the list until they were, and others may join
	// behind them.
	sources := w.sources[:n]
	w.mu.Unlock()
	done := 0
	for done < n && (done == 0 || w.batch.Size() < maxWrite) { // one at least, however long the frames
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
