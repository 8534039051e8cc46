package workers

import (
	"context"
	"slices"
)

// Lender lends the goroutine of a reader to turns: the reader calls handlers itself while they are
// quick, an inline call. To wake a worker, and often its thread, takes as long as a hop. The
// guarantee: a handler that blocks holds up its reader for at most 10 ms, [MaxHold]. One balance per
// pool rules it, the inline budget:
//
//   - Each small call earns 20 µs, about what a wakeup takes, and spends the time it took.
//     Calls by workers count too. The balance stays between -1 s and 1 ms.
//   - Readers make calls while the balance is above zero, and fewer turns of the group run than its
//     limit.
//   - A call that is about to wait gives way first, see [GiveWay]: a new goroutine reads on.
//   - A watchdog checks every 5 ms. A call that it sees twice must give way.
//   - Such a call, like any of 10 ms, sets the balance to -1 s, a debt of 50,000 calls.
//
// So inline calls take 20 µs on average at most, and the watchdog stops one in 50,000 at
// most. Readers held up at the same time count as one. The 10 ms hold if the clock gets a
// processor in time; the runtime lets a goroutine compute for as long before it preempts it.
//
// Which calls are small the owner of the turns decides, by the span that they return. It gives
// larger ones to workers, since there may be more to read meanwhile.
//
// The pattern is known as leader and followers (Schmidt and others, 2000). Here the leader
// does not change with each event, which would cost the wakeup again. Rejected: an option by
// which handlers promise not to block (slow without it, and a broken promise stops all
// relaying), and a timer for each call (to set one wakes a thread).
//
// A Lender belongs to the goroutine that reads.
type Lender struct {
	pool   *Pool
	readOn func()
	ready  []*Turn // that wait for Call or Leave
	call   *call   // by this goroutine, nil before the first
}

// Lender returns the lender of a reader. readOn reads on in its place, on another goroutine, after
// a call was handed over.
func (p *Pool) Lender(readOn func()) Lender { return Lender{pool: p, readOn: readOn} }

// call is a call by a reader, which reuses it until it is handed over.
type call struct {
	lender *Lender
	ctx    context.Context // of the turns; GiveWay finds the call by it
	seen   bool            // by the watchdog; guarded by the pool's mu
	group  *Group          // of the turn; guarded by the pool's mu
}

// callKey marks the context of turns run by a reader, with the call.
type callKey struct{}

// Ready notes a turn for Call or Leave.
func (l *Lender) Ready(t *Turn) { l.ready = append(l.ready, t) }

// Leave leaves the turns that are ready to workers.
func (l *Lender) Leave() {
	if len(l.ready) > 0 {
		l.pool.Push(l.ready...)
		clear(l.ready)
		l.ready = l.ready[:0]
	}
}

// Call runs the turns that are ready, as far as it may, and leaves the rest to workers. It returns
// false if a call was handed over: the caller must end, and touch nothing that a reader owns.
func (l *Lender) Call() (reads bool) {
	for len(l.ready) > 0 {
		if l.call == nil {
			l.call = &call{lender: l}
			l.call.ctx = context.WithValue(l.pool.Context, callKey{}, l.call)
		}
		c := l.call
		t := l.pool.enter(c)
		if t == nil {
			break
		}
		if !c.do(t) {
			return false
		}
	}
	l.Leave()
	return true
}

// takeOver is the new reader after a call was handed over.
func (l *Lender) takeOver() {
	l.call = nil // it is still in use
	l.Leave()
	l.readOn()
}

// enter begins an inline call for what is ready first. It returns nil if it must not. From
// then on the Lender may be another goroutine's.
func (p *Pool) enter(c *call) (t *Turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := c.lender
	t = l.ready[0]
	g := p.groupOf(t)
	if p.closed || !p.watched || !p.budget.allows() || g.running >= p.Limit {
		return nil
	}
	c.seen, c.group = false, g
	p.calls = append(p.calls, c)
	g.running++
	l.ready = slices.Delete(l.ready, 0, 1)
	return t
}

// leave ends an inline call. It reports whether its goroutine is still the reader.
func (p *Pool) leave(c *call, took Span) (reads bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.group.running--
	reads = p.remove(c)
	p.account(took)
	c.group.start()
	return reads
}

// do runs a turn. It reports whether this goroutine is still the reader.
func (c *call) do(t *Turn) (reads bool) {
	pool := c.lender.pool
	var took Span
	returned := false
	defer func() {
		if !returned { // a handler has ended this goroutine
			GiveWay(c.ctx)
		}
		reads = pool.leave(c, took)
	}()
	took = t.Run(c.ctx)
	returned = true
	return
}

// handOver starts a new reader in place of a call in progress. The goroutine that made the call
// ends with it, as a worker does. It needs mu.
func (p *Pool) handOver(c *call) {
	if p.remove(c) {
		p.Goroutines.Go(c.lender.takeOver)
	}
}

// GiveWay must be called before a wait in a turn. If ctx is that of an inline call, another
// goroutine reads on. A handler that has kept its ctx may hand over a later call by it: that costs
// a goroutine, and nothing else.
func GiveWay(ctx context.Context) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		p := c.lender.pool
		p.mu.Lock()
		p.handOver(c)
		p.mu.Unlock()
	}
}
