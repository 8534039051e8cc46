package plane

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A reader calls handlers itself while they are quick: an inline call. To wake a worker, and
// often its thread, takes as long as a hop. The guarantee: a handler that blocks holds up its
// connection for at most 10 ms. One balance per node rules it, the inline budget:
//
//   - Each small call earns 20 µs, about what a wakeup takes, and spends the time it took.
//     Calls by workers count too. The balance stays between -1 s and 1 ms.
//   - Readers make calls while the balance is above zero.
//   - A call that is about to wait in this package gives way first: a new goroutine reads on.
//   - A watchdog checks every 5 ms. A call that it sees twice must give way.
//   - Such a call, like any of 10 ms, sets the balance to -1 s, a debt of 50,000 calls.
//
// So inline calls take 20 µs on average at most, and the watchdog stops one in 50,000 at
// most. Readers held up at the same time count as one. The 10 ms hold if the clock gets a
// processor in time; the runtime lets a goroutine compute for as long before it preempts it.
//
// One call takes all that a source, or all casts together, have in one read. It is small if
// the read brought at most 1 KiB of messages. Of more there may be more to come, so the
// reader reads on, and workers make the call.
//
// The pattern is known as leader and followers (Schmidt and others, 2000). Here the leader
// does not change with each event, which would cost the wakeup again. Rejected: an option by
// which handlers promise not to block (slow without it, and a broken promise stops all
// relaying), and a timer for each call (to set one wakes a thread).
const (
	fewBytes = 1 << 10 // of a small call

	// checkInterval is the watchdog's. A shorter one is felt in the latency that all this
	// is for.
	checkInterval = 5 * time.Millisecond

	// often is how many small calls an interval must bring to start the watchdog. Fewer are
	// not worth its wakeups. Without it there are no inline calls.
	often = 16

	wakeup     = 20 * time.Microsecond // of a goroutine and its thread, about
	maxHold    = 2 * checkInterval     // no call holds up its reader for longer
	maxBalance = time.Millisecond
	maxDebt    = time.Second
)

// budget is the inline budget.
type budget struct{ balance time.Duration }

// allows reports whether readers may make calls.
func (b *budget) allows() bool { return b.balance > 0 }

// charge accounts for a small call.
func (b *budget) charge(took time.Duration) {
	if took >= maxHold {
		b.balance = -maxDebt
		return
	}
	b.balance = max(-maxDebt, min(b.balance+wakeup-took, maxBalance))
}

// inlineCall is a call by a reader, which reuses it until it is handed over.
type inlineCall struct {
	link *inLink
	ctx  context.Context // of the handlers; giveWay finds the call by it
	seen bool            // by the watchdog; guarded by the scheduler's mu
}

// inlineKey marks the context of handlers called by a reader, with the inlineCall.
type inlineKey struct{}

// inlineCalls is the part of the scheduler for inline calls. It is guarded by its mu.
type inlineCalls struct {
	budget  budget
	calls   []*inlineCall // in progress: those whose goroutine is still the reader
	watched bool          // the watchdog runs
	checked time.Duration // the start of its interval
	small   int           // small calls since
}

// remove takes a call out of those in progress. It returns true once for each call, either to
// the goroutine that made it, which reads on, or to handOver, which starts a new reader.
func (i *inlineCalls) remove(c *inlineCall) bool {
	at := slices.Index(i.calls, c)
	if at >= 0 {
		i.calls = slices.Delete(i.calls, at, at+1)
	}
	return at >= 0
}

// enter begins an inline call for what is ready first. It returns nil if it must not. From
// then on the inLink may be another goroutine's.
func (s *scheduler) enter(c *inlineCall) (t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := c.link
	if s.closed || !s.watched || !s.budget.allows() || s.running >= l.p.Handlers {
		return nil
	}
	c.seen = false
	s.calls = append(s.calls, c)
	s.running++
	t = l.ready[0]
	l.ready = slices.Delete(l.ready, 0, 1)
	return t
}

// leave ends an inline call. It reports whether its goroutine is still the reader.
func (s *scheduler) leave(c *inlineCall, took span) (reads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	reads = s.remove(c)
	s.account(c.link.p, took)
	s.start(c.link.p)
	return reads
}

// span is when a small call began and ended, by [Plane.now]. It is zero for other calls.
type span struct{ from, to time.Duration }

// account notes a call, by a reader or a worker. It needs mu.
func (s *scheduler) account(p *Plane, took span) {
	if took.to == 0 || s.closed {
		return
	}
	s.budget.charge(took.to - took.from)
	if !s.watched && took.to-s.checked > checkInterval {
		s.checked, s.small = took.to, 0
	}
	if s.small++; !s.watched && s.small >= often && s.budget.allows() {
		s.watched = true
		p.wg.Go(p.watch)
	}
}

// watch is the watchdog. It ends when there are few small calls. All nodes check at the same
// times, so that a process with many of them wakes up once.
func (p *Plane) watch() {
	next := func() time.Duration {
		now := time.Now()
		return now.Truncate(checkInterval).Add(checkInterval).Sub(now)
	}
	timer := time.NewTimer(next())
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		if !p.sched.check(p.now()) {
			return
		}
		timer.Reset(next())
	}
}

// check makes calls give way that an earlier check has seen. It reports whether the watchdog
// goes on.
func (s *scheduler) check(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range slices.Clone(s.calls) {
		if c.seen {
			s.budget.charge(maxHold)
			s.handOver(c)
		}
		c.seen = true
	}
	s.watched = len(s.calls) > 0 || s.small >= often/2 && s.budget.allows()
	s.checked, s.small = now, 0
	return s.watched
}

// handOver starts a new reader for the connection of a call in progress. The goroutine that
// made the call ends with it, as a worker does. It needs mu.
func (s *scheduler) handOver(c *inlineCall) {
	if s.remove(c) {
		c.link.p.wg.Go(c.link.readOn)
	}
}

// giveWay must be called before a wait. If ctx is that of an inline call, another goroutine
// reads on. A handler that has kept its ctx may hand over a later call by it: that costs a
// goroutine, and nothing else.
func giveWay(ctx context.Context) {
	if c, ok := ctx.Value(inlineKey{}).(*inlineCall); ok {
		s := &c.link.p.sched
		s.mu.Lock()
		s.handOver(c)
		s.mu.Unlock()
	}
}

// errHandedOver ends a reader whose connection was handed over.
var errHandedOver = errors.New("another goroutine reads on")

// callHandlers has handlers take what a batch has made ready. It makes the calls itself as
// far as it may, and leaves the rest to workers. It returns false if the connection was
// handed over: the inLink is another goroutine's then.
func (l *inLink) callHandlers() (reads bool) {
	for len(l.ready) > 0 {
		if l.call == nil {
			l.call = &inlineCall{link: l}
			l.call.ctx = context.WithValue(l.p.ctx, inlineKey{}, l.call)
		}
		c := l.call
		t := l.p.sched.enter(c)
		if t == nil {
			break
		}
		if !c.do(t) {
			return false
		}
	}
	l.schedule()
	return true
}

// do calls the handlers. It reports whether this goroutine is still the reader.
func (c *inlineCall) do(t *turn) (reads bool) {
	p := c.link.p
	var took span
	returned := false
	defer func() {
		if !returned { // a handler has ended this goroutine
			giveWay(c.ctx)
		}
		reads = p.sched.leave(c, took)
	}()
	took = call{p: p, ctx: c.ctx, turn: t}.inside(p.Owner)
	returned = true
	return
}

// schedule leaves what is ready to workers.
func (l *inLink) schedule() {
	if len(l.ready) > 0 {
		l.p.sched.push(l.p, l.ready...)
		clear(l.ready)
		l.ready = l.ready[:0]
	}
}

// readOn is the new reader of a connection that was handed over.
func (l *inLink) readOn() {
	l.call = nil // it is still in use
	l.schedule()
	l.afterBatch()
	l.p.readEnded(l.conn, l.run(), l.ended)
}
