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
// with others. If due then the caller must call [Writer.Now], holding no lock that
// Pull takes. An error is the one that ended the connection; a source that was
// enlisted when it ended is not told, see [Source].
func (w *Writer) Enlist(s Source) (due bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.shut(); err != nil {
		return false, err
	}
	w.sources = append(w.sources, s)
	return w.begin(), nil
}

// gather moves to taken what is to be written next. What was appended comes first, and
// only a small part is kept for sources: what a ring has taken in must get through it,
// or it fills up with what is new. It must be called with mu held, which it lets go
// while it pulls.
func (w *Writer) gather() {
	if n := len(w.urgent); n > 0 { // alone: it is rare
		w.taken.Append(w.urgent)
		w.urgent = w.urgent[:0]
		w.busy, w.own = n, n
		return
	}
	n := len(w.sources)
	limit := maxWrite
	if n > 0 {
		limit = maxWrite - maxWrite/8
	}
	if w.q.Size() > 0 {
		w.taken = w.q.TakeSome(limit)
	}
	appended := w.taken.Size()
	w.head += int64(appended)
	w.busy = appended
	if n == 0 {
		return
	}
	// Those that are pulled stay on the list until they were, and others may join
	// behind them.
	sources := w.sources[:n]
	w.mu.Unlock()
	done := 0
	for done < n && (done == 0 || w.taken.Size() < maxWrite) { // one at least, however long the frames
		s := sources[done]
		done++
		if s.Pull(w, &w.taken, max(maxWrite-w.taken.Size(), maxWrite/8)) {
			w.again = append(w.again, s)
		}
	}
	w.mu.Lock()
	w.busy = w.taken.Size()
	w.own = w.busy - appended
	w.total += int64(w.own)
	w.sources = append(w.sources, w.again...)
	rest := copy(w.sources, w.sources[done:])
	clear(w.sources[rest:])
	w.sources = w.sources[:rest]
	clear(w.again)
	w.again = w.again[:0]
}
