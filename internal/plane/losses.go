package plane

import (
	"cmp"
	"slices"
)

// The fate of a stream is told once. Without a callback the next Flush tells it, or Close. With a
// callback, the callback does; then Close leaves it out, and so does a Flush that begins later. A
// Flush that was under way returns it as well: it was asked whether messages were delivered, and
// they were not. A callback that panics counts as not told.
//
// So a loss that the callback was told is forgotten when the callback returns or, if Flushes are
// under way, with the last of these. Callbacks are called in the order of seq, so called says
// which have returned.

// add keeps a loss. It returns how many messages are listed nowhere because entries had to be
// merged. It needs mu.
func (x *losses) add(l loss) (unlisted uint64) {
	list := x.bySink[l.Sink]
	switch {
	case len(list) < maxLosses && x.stored < maxStored:
		if l.Bodies != nil {
			x.heldBytes += l.size
		}
		x.keep(l.Sink, append(list, l))
	case len(list) > 0:
		list, unlisted = x.merge(list, l)
		x.keep(l.Sink, list)
	default:
		l.Many, l.Sink = true, 0
		x.rest, unlisted = x.merge(x.rest, l)
	}
	return unlisted
}

// keep sets what is kept for a sink. It needs mu.
func (x *losses) keep(sink uint64, list []loss) {
	x.stored += len(list) - len(x.bySink[sink])
	if len(list) == 0 {
		delete(x.bySink, sink)
		return
	}
	if x.bySink == nil {
		x.bySink = make(map[uint64][]loss)
	}
	x.bySink[sink] = list
}

// merge adds a loss, without its bodies, to the latest one in the list that is told in the same
// way, or to the list if there is none. It needs mu.
func (x *losses) merge(list []loss, l loss) (_ []loss, unlisted uint64) {
	if l.Bodies != nil && !l.withBodies {
		unlisted = l.Messages
	}
	l.Bodies, l.withBodies = nil, false
	for i := len(list) - 1; i >= 0; i-- {
		last := &list[i]
		if last.forCallback != l.forCallback {
			continue
		}
		if last.Bodies != nil {
			x.heldBytes -= last.size
			if !last.withBodies {
				unlisted += last.Messages
			}
		}
		last.Bodies, last.withBodies = nil, false
		last.Messages += l.Messages
		last.NotHandled += l.NotHandled
		last.Err, last.seq = l.Err, l.seq
		return list, unlisted
	}
	return append(list, l), unlisted
}

// beginFlush begins a Flush. It returns the seq up to which the callback has been told.
func (x *losses) beginFlush() (since uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.flushes++
	return x.called
}

// endFlush ends a Flush, and takes its result for these sinks, or for all if none are given.
func (x *losses) endFlush(sinks []uint64, since uint64) []Undelivered {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.collect(sinks, since)
	if x.flushes--; x.flushes == 0 && x.late {
		x.late = false
		x.forgetTold()
	}
	return all
}

// untoldAll takes everything that neither a Flush nor the callback has told.
func (x *losses) untoldAll() []Undelivered {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.collect(nil, x.called)
}

// isTold reports whether the callback has been told, up to a seq. It needs mu.
func (e *loss) isTold(since uint64) bool { return e.forCallback && e.seq <= since }

// collect takes what is kept for these sinks, or for all if none are given, and for sinks that
// are not listed. It leaves out what the callback had been told up to since. It needs mu.
func (x *losses) collect(sinks []uint64, since uint64) []Undelivered {
	var taken []loss
	sift := func(list []loss) []loss {
		return x.removeIf(list, func(l *loss) bool {
			if l.isTold(since) {
				return false
			}
			taken = append(taken, *l)
			return true
		})
	}
	if len(sinks) == 0 {
		for sink, list := range x.bySink {
			x.keep(sink, sift(list))
		}
	}
	for _, sink := range sinks {
		x.keep(sink, sift(x.bySink[sink]))
	}
	x.rest = sift(x.rest)
	slices.SortFunc(taken, func(a, b loss) int { return cmp.Compare(a.seq, b.seq) })
	var all []Undelivered
	for _, l := range taken {
		all = append(all, l.Undelivered)
	}
	return all
}

// forgetTold forgets what the callback has been told about these sinks, or about all if none are
// given. It needs mu.
func (x *losses) forgetTold(sinks ...uint64) {
	told := func(l *loss) bool { return l.isTold(x.called) }
	if len(sinks) == 0 {
		for sink, list := range x.bySink {
			x.keep(sink, x.removeIf(list, told))
		}
	}
	for _, sink := range sinks {
		x.keep(sink, x.removeIf(x.bySink[sink], told))
	}
	x.rest = x.removeIf(x.rest, told)
}

// removeIf takes losses off a list, in place. It needs mu.
func (x *losses) removeIf(list []loss, which func(*loss) bool) []loss {
	kept := list[:0]
	for i := range list {
		l := &list[i]
		if !which(l) {
			kept = append(kept, *l)
			continue
		}
		if l.Bodies != nil {
			x.heldBytes -= l.size
		}
	}
	clear(list[len(kept):])
	return kept
}

// takeBack notes that the callback panicked: the loss is for Flush or Close, unless one of these
// has returned it already. It needs mu, and comes before called is set.
func (x *losses) takeBack(l loss) {
	for _, list := range [][]loss{x.bySink[l.Sink], x.rest} {
		for i := range list {
			e := &list[i]
			switch {
			case !e.forCallback || l.seq < e.from || l.seq > e.seq || e.Messages < l.Messages:
				continue
			case e.from == e.seq:
				e.forCallback, e.withBodies = false, false
			default: // it was merged with others
				e.Messages -= l.Messages
				e.NotHandled -= l.NotHandled
				l.Bodies, l.withBodies, l.forCallback = nil, false, false
				x.add(l)
			}
			return
		}
	}
}

// Flushing returns how many calls of Flush are under way.
func (p *Plane) Flushing() int {
	p.losses.mu.Lock()
	defer p.losses.mu.Unlock()
	return p.losses.flushes
}
