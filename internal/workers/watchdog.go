package workers

import (
	"slices"
	"time"
)

// inlineCalls is the part of a pool for calls by readers. It is guarded by its mu.
type inlineCalls struct {
	budget  budget
	calls   []*call       // in progress: those whose goroutine is still the reader
	watched bool          // the watchdog runs
	checked time.Duration // the start of its interval
	small   int           // small calls since
}

// remove takes a call out of those in progress. It returns true once for each call, either to
// the goroutine that made it, which reads on, or to handOver, which starts a new reader.
func (i *inlineCalls) remove(c *call) bool {
	at := slices.Index(i.calls, c)
	if at >= 0 {
		i.calls = slices.Delete(i.calls, at, at+1)
	}
	return at >= 0
}

// account notes a call, by a reader or a worker. It needs mu.
func (p *Pool) account(took Span) {
	if took.To == 0 || p.closed {
		return
	}
	p.budget.charge(took.To - took.From)
	if !p.watched && took.To-p.checked > checkInterval {
		p.checked, p.small = took.To, 0
	}
	if p.small++; !p.watched && p.small >= often && p.budget.allows() {
		p.watched = true
		p.Goroutines.Go(p.watch)
	}
}

// watch is the watchdog. It ends when there are few small calls. All pools check at the same
// times, so that a process with many of them wakes up once.
func (p *Pool) watch() {
	next := func() time.Duration {
		now := time.Now()
		return now.Truncate(checkInterval).Add(checkInterval).Sub(now)
	}
	timer := time.NewTimer(next())
	defer timer.Stop()
	for {
		select {
		case <-p.Context.Done():
			return
		case <-timer.C:
		}
		if !p.check(p.Now()) {
			return
		}
		timer.Reset(next())
	}
}

// check makes calls give way that an earlier check has seen. It reports whether the watchdog
// goes on.
func (p *Pool) check(now time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range slices.Clone(p.calls) {
		if c.seen {
			p.budget.charge(MaxHold)
			p.handOver(c)
		}
		c.seen = true
	}
	p.watched = len(p.calls) > 0 || p.small >= often/2 && p.budget.allows()
	p.checked, p.small = now, 0
	return p.watched
}
