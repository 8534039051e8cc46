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
type Limiter struct {
	// static
	slots   *semaphore.Weighted
	maxSlow int    // slow dials
	GivenUp func() // called for each dial that is given up; may be nil

	mu   sync.Mutex // guards what follows, and the fields of every dialling
	slow *list.List // of *dialling, the oldest first
}

// quickDial is how long a dial may hold a slot. Most round trips of a network are shorter.
const quickDial = 100 * time.Millisecond

// errGivenUp is the cause of a dial that was given up to make room.
var errGivenUp = errors.New("it did not answer, and too many others do not either")

// dialling is a dial that is under way.
type dialling struct {
	cancel  context.CancelCauseFunc
	slowAt  *list.Element // in Limiter.slow; nil if it is not slow
	hasSlot bool
}

// NewLimiter returns a limiter with a number of slots, and room for a number of slow dials.
func NewLimiter(slots int64, slow int) *Limiter {
	return &Limiter{slots: semaphore.NewWeighted(slots), maxSlow: slow, slow: list.New()}
}

// Do waits for a slot and runs a dial. It returns the dial's error, or the cause of ctx if that
// ends first.
func (d *Limiter) Do(ctx context.Context, dial func(context.Context) error) error {
	if d.slots.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := &dialling{cancel: cancel, hasSlot: true}
	timer := time.AfterFunc(quickDial, func() { d.demote(x) })
	defer timer.Stop()
	defer d.end(x)
	return dial(ctx)
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
	full := d.slow.Len() > d.maxSlow
	if full {
		oldest := d.slow.Front().Value.(*dialling)
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
	}
}

// forget takes a dial out of the slow ones. It needs mu.
func (d *Limiter) forget(x *dialling) {
	if x.slowAt != nil {
		d.slow.Remove(x.slowAt)
		x.slowAt = nil
	}
}
