package keys

import "github.com/x/ringdht/status"

// KeyCounters are the figures of a life for the node's status, which heartbeats carry to the registry.
// They begin anew with each life, other than [Counters]: the registry adds up lives.
func (n *notes) KeyCounters(incarnation uint64) status.KeyCounters {
	h := (*hub)(n)
	h.mu.Lock()
	l := h.life
	if l == nil || l.self != incarnation {
		h.mu.Unlock()
		return status.KeyCounters{}
	}
	t := l.totals()
	c := status.KeyCounters{
		Arcs: int64(l.owner.Arcs()), Queued: int64(l.owner.Queued()),
		Sent: int64(t.Sent), Unknown: int64(t.Unknown), Repeats: int64(t.Repeats), Asks: int64(t.Asks), Refused: int64(t.Refused),
		Handled: int64(t.Handled), Refusals: int64(t.Refusals),
		Given: int64(t.Given), GivenBytes: int64(t.GivenBytes), Taken: int64(t.Taken), TakenBytes: int64(t.TakenBytes), FailedMoves: int64(t.FailedMoves),
	}
	user := l.user
	h.mu.Unlock()
	if holder, ok := user.(interface{ count() int }); ok {
		c.Keys = int64(holder.count())
	}
	return c
}

// count is the number of keys with a state.
func (s *states[S]) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		n += len(s.all[i])
	}
	return n
}
