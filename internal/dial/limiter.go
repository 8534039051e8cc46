package dial

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Limiter bounds how many dials are under way, so that silent addresses do not hold up those that
// answer.
//
// A dial begins with one of a few slots, so that a crowd of dials does not start all at once.
// Without an answer after quickDial it gives the slot back and becomes one of the slow dials. There
// may be many of those, because they only wait. When there are too many, the oldest is given up. So
// however long other dials stay silent, the wait for a slot is bounded: by quickDial times the
// number of silent dials before it, divided by the number of slots. A slow dial that is not silent
// gets its answer as long as there is room.
//
// Dials may be made for a source, such as the host that asks for them. Then no source has more than
// its share of the slots, or waits for more. And when there are too many slow dials, the source with
// the most of them loses its oldest. So a source that asks for many dials to silent addresses delays
// no other source.
type Limiter struct {
	// static
	slots   *semaphore.Weighted
	share   int64  // slots of a source
	maxSlow int    // slow dials
	GivenUp func() // called for each dial that is given up; may be nil

	mu      sync.Mutex         // guards what follows, and the fields of every dialling
	slow    *list.List         // of *dialling, the oldest first
	sources map[string]*source // those with dials
}

// source is an origin of dials.
type source struct {
	slots *semaphore.Weighted // its share
	dials int                 // under way, or waiting
	slow  int                 // in Limiter.slow
}

// quickDial is how long a dial may hold a slot. Most round trips of a network are shorter.
const quickDial = 100 * time.Millisecond

// errGivenUp is the cause of a dial that was given up to make room.
var errGivenUp = errors.New("it did not answer, and too many others do not either")

// dialling is a dial that is under way.
type dialling struct {
	source  *source
	cancel  context.CancelCauseFunc
	slowAt  *list.Element // in Limiter.slow; nil if it is not slow
	hasSlot bool
}

// NewLimiter returns a limiter with a number of slots, and room for a number of slow dials.
func NewLimiter(slots int64, slow int) *Limiter {
	return &Limiter{slots: semaphore.NewWeighted(slots), share: slots, maxSlow: slow, slow: list.New(), sources: make(map[string]*source)}
}

// NewFairLimiter returns a limiter for dials of several sources, each of which gets at most half of
// the slots.
func NewFairLimiter(slots int64, slow int) *Limiter {
	d := NewLimiter(slots, slow)
	d.share = max(1, slots/2)
	return d
}

// Do waits for a slot and runs a dial. It returns the dial's error, or the cause of ctx if that
// ends first.
func (d *Limiter) Do(ctx context.Context, dial func(context.Context) error) error {
	return d.DoFor(ctx, "", dial)
}

// DoFor is [Limiter.Do] for a dial of a source.
func (d *Limiter) DoFor(ctx context.Context, from string, dial func(context.Context) error) error {
	s := d.enter(from)
	defer d.leave(from, s)
	if s.slots.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	if d.slots.Acquire(ctx, 1) != nil {
		s.slots.Release(1)
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := &dialling{source: s, cancel: cancel, hasSlot: true}
	timer := time.AfterFunc(quickDial, func() { d.demote(x) })
	defer timer.Stop()
	defer d.end(x)
	return dial(ctx)
}

// enter notes a dial of a source.
func (d *Limiter) enter(from string) *source {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sources[from]
	if s == nil {
		s = &source{slots: semaphore.NewWeighted(d.share)}
		d.sources[from] = s
	}
	s.dials++
	return s
}

// leave forgets a dial, and the source with its last dial.
func (d *Limiter) leave(from string, s *source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.dials--; s.dials == 0 {
		delete(d.sources, from)
	}
}

// demote makes a dial a slow one, which gives its slot back.
func (d *Limiter) demote(x *dialling) {
	d.mu.Lock()
	if !x.hasSlot { // the dial has ended
		d.mu.Unlock()
		return
	}
	d.release(x)
	x.slowAt = d.slow.PushBack(x)
	x.source.slow++
	full := d.slow.Len() > d.maxSlow
	if full {
		oldest := d.oldestOfMost()
		d.forget(oldest)
		oldest.cancel(errGivenUp)
	}
	d.mu.Unlock()
	if full && d.GivenUp != nil {
		d.GivenUp()
	}
}

// end takes out a dial that has ended.
func (d *Limiter) end(x *dialling) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release(x)
	d.forget(x)
}

// release gives a dial's slot back. It needs mu.
func (d *Limiter) release(x *dialling) {
	if x.hasSlot {
		x.hasSlot = false
		d.slots.Release(1)
		x.source.slots.Release(1)
	}
}

// forget takes a dial out of the slow ones. It needs mu.
func (d *Limiter) forget(x *dialling) {
	if x.slowAt != nil {
		d.slow.Remove(x.slowAt)
		x.slowAt = nil
		x.source.slow--
	}
}

// oldestOfMost returns the oldest slow dial of the source that has the most of them; of several
// such sources, the oldest of all. It needs mu, and a slow dial.
func (d *Limiter) oldestOfMost() (oldest *dialling) {
	for e := d.slow.Front(); e != nil; e = e.Next() {
		if x := e.Value.(*dialling); oldest == nil || x.source.slow > oldest.source.slow {
			oldest = x
		}
	}
	return oldest
}
