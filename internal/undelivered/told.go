package undelivered

import (
	"cmp"
	"slices"
)

// BeginFlush begins a Flush. The caller passes since to [Ledger.EndFlush].
func (x *Ledger) BeginFlush() (since uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.flushes++
	return x.called
}

// EndFlush ends a Flush. It takes what it tells of these sinks, or of all if none are given, oldest
// first. That includes what the callback was told since BeginFlush.
func (x *Ledger) EndFlush(since uint64, sinks []uint64) []Stream {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.take(sinks, since)
	if x.flushes--; x.flushes == 0 && x.called > 0 {
		x.forgetTold()
	}
	return all
}

// TakeRest takes everything that neither a Flush nor the callback has told.
func (x *Ledger) TakeRest() []Stream {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.take(nil, x.called)
}

// Flushing returns how many Flushes are under way.
func (x *Ledger) Flushing() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.flushes
}

// isTold reports whether the callback has been told, up to a seq.
func (e *entry) isTold(since uint64) bool { return e.forCallback && e.seq <= since }

// take takes what is kept for these sinks, oldest first, but for what the callback had been told
// up to since. It needs mu.
func (x *Ledger) take(sinks []uint64, since uint64) (all []Stream) {
	var taken []entry
	x.remove(sinks, func(e *entry) bool {
		if e.isTold(since) {
			return false
		}
		taken = append(taken, *e)
		return true
	})
	slices.SortFunc(taken, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range taken {
		all = append(all, e.Stream)
	}
	return all
}

// forgetTold forgets what the callback has been told about these sinks, or about all if none are
// given. It needs mu.
func (x *Ledger) forgetTold(sinks ...uint64) {
	x.remove(sinks, func(e *entry) bool { return e.isTold(x.called) })
}

// Next returns the stream that the callback is to be told now. There must be one, see [Ledger.Add].
func (x *Ledger) Next() Stream {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.calls[0].Stream
}

// Returned notes that the callback has returned from what Next returned, and whether it was told:
// if not, the stream is for Flush or Close, unless one of these has returned it already. Returned
// reports whether there is more to tell. unlisted is how many messages are listed nowhere now, since
// the callback alone had their bodies.
func (x *Ledger) Returned(told bool) (unlisted uint64, more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.calls[0]
	x.calls[0] = entry{}
	if x.calls = x.calls[1:]; len(x.calls) == 0 {
		x.calls = nil
	}
	x.callBytes -= e.size
	switch kept := x.find(e); {
	case kept == nil: // a Flush has taken it
	case !told:
		unlisted = x.takeBack(kept, e)
	case x.flushes == 0 && kept.seq > e.seq: // added up with later ones; a Flush under way gets the sum
		kept.subtract(e)
	}
	if x.called = e.seq; x.flushes == 0 {
		x.forgetTold(e.Sink)
	}
	x.returned.Broadcast()
	return unlisted, len(x.calls) > 0
}

// find returns the entry that has the stream of a call, or nil. It needs mu.
func (x *Ledger) find(call entry) *entry {
	for i := range x.kept[call.at] {
		if e := &x.kept[call.at][i]; e.forCallback && e.Service == call.Service && e.from <= call.seq && call.seq <= e.seq {
			return e
		}
	}
	return nil
}

// subtract takes the stream of a call out of several that were added up.
func (e *entry) subtract(call entry) {
	e.Messages -= call.Messages
	e.NotHandled -= call.NotHandled
}

// takeBack makes a stream one that the callback is not told. It needs mu.
func (x *Ledger) takeBack(kept *entry, call entry) (unlisted uint64) {
	if call.listed && kept.size == 0 { // Flush and Close have no bodies
		unlisted = call.Messages
	}
	if kept.from == kept.seq {
		kept.forCallback, kept.listed = false, false
		return unlisted
	}
	kept.subtract(call)
	call.Bodies, call.size, call.forCallback, call.listed = nil, 0, false, false
	_, merged := x.keep(call)
	return unlisted + merged
}

// LatestCall returns the number of the latest stream to these sinks from which the callback has not
// returned, or to all sinks if none are given. It is 0 if there is none.
func (x *Ledger) LatestCall(sinks []uint64) (seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range slices.Backward(x.calls) {
		if len(sinks) == 0 || slices.Contains(sinks, e.Sink) {
			return e.seq
		}
	}
	return 0
}

// AwaitCall returns nil if the callback has returned from the stream with this number, see
// LatestCall. Else the channel is closed when the callback returns next; then call AwaitCall again.
func (x *Ledger) AwaitCall(seq uint64) <-chan struct{} {
	returned := x.returned.Next()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.called >= seq {
		return nil
	}
	return returned
}
