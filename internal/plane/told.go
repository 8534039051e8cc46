package plane

import (
	"cmp"
	"slices"
)

// beginFlush begins a Flush. It returns the seq up to which the callback has been told.
func (x *losses) beginFlush() (since uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.flushes++
	return x.called
}

// endFlush ends a Flush, and takes its result for these sinks, or for all if none are given.
func (x *losses) endFlush(since uint64, sinks []uint64) []Undelivered {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.take(sinks, since)
	if x.flushes--; x.flushes == 0 && x.callback {
		x.forgetTold()
	}
	return all
}

// takeRest takes everything that neither a Flush nor the callback has told.
func (x *losses) takeRest() []Undelivered {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.take(nil, x.called)
}

// flushing returns how many Flushes are under way.
func (x *losses) flushing() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.flushes
}

// isTold reports whether the callback has been told, up to a seq.
func (l *loss) isTold(since uint64) bool { return l.forCallback && l.seq <= since }

// take takes what is kept for these sinks, oldest first, but for what the callback had been told
// up to since. It needs mu.
func (x *losses) take(sinks []uint64, since uint64) (all []Undelivered) {
	var taken []loss
	x.remove(sinks, func(l *loss) bool {
		if l.isTold(since) {
			return false
		}
		taken = append(taken, *l)
		return true
	})
	slices.SortFunc(taken, func(a, b loss) int { return cmp.Compare(a.seq, b.seq) })
	for _, l := range taken {
		all = append(all, l.Undelivered)
	}
	return all
}

// forgetTold forgets what the callback has been told about these sinks, or about all if none are
// given. It needs mu.
func (x *losses) forgetTold(sinks ...uint64) {
	x.remove(sinks, func(l *loss) bool { return l.isTold(x.called) })
}

// next returns the stream that the callback is to be told. After the call the caller calls
// callReturned.
func (x *losses) next() Undelivered {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.calls[0].Undelivered
}

// callReturned notes that the callback has returned, and whether it was told: if not, the stream
// is for Flush or Close, unless one of these has returned it already. It reports whether there is
// more to tell.
func (x *losses) callReturned(told bool) (more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.calls[0]
	x.calls[0] = loss{}
	if x.calls = x.calls[1:]; len(x.calls) == 0 {
		x.calls = nil
	}
	x.callBytes -= l.size
	if !told {
		x.takeBack(l)
	}
	if x.called = l.seq; x.flushes == 0 {
		x.forgetTold(l.Sink)
	}
	x.returned.Broadcast()
	return len(x.calls) > 0
}

// takeBack makes a stream one that the callback is not told. It needs mu.
func (x *losses) takeBack(call loss) {
	for i := range x.kept[call.at] {
		switch l := &x.kept[call.at][i]; {
		case !l.forCallback || call.seq < l.from || call.seq > l.seq:
			continue
		case l.from == l.seq:
			l.forCallback, l.listed = false, false
		default: // it was merged with others
			l.Messages -= call.Messages
			l.NotHandled -= call.NotHandled
			call.Bodies, call.size, call.forCallback, call.listed = nil, 0, false, false
			x.keep(call)
		}
		return
	}
}

// callFor returns the seq of the latest stream to these sinks that waits for the callback, or to
// all sinks if none are given; 0 for none.
func (x *losses) callFor(sinks []uint64) (seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range slices.Backward(x.calls) {
		if len(sinks) == 0 || slices.Contains(sinks, l.Sink) {
			return l.seq
		}
	}
	return 0
}

// awaitCall returns a channel that is closed when the callback returns next, or nil if it has
// returned from the stream with this seq.
func (x *losses) awaitCall(seq uint64) <-chan struct{} {
	returned := x.returned.Next()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.called >= seq {
		return nil
	}
	return returned
}
