package dial

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// dials bounds how many dials are under way at once, so that addresses which are silent do
// not hold up those which answer.
//
// A dial begins with one of few slots, so that a crowd does not dial all at once. If it has
// no answer after quickDial it gives the slot back and joins the slow ones, of which there
// may be many, since they only wait. When there are too many the oldest is given up. So a
// dial waits for a slot no longer than for quickDial times the number of silent ones before
// it, divided by the number of slots, however long each of them stays silent; and one that
// is slow, and not silent, gets its answer as long as there is room.
type Limiter struct {
	// static
	slots   *semaphore.Weighted
	maxSlow int    // slow ones
	GivenUp func() // called for each that was; may be nil

	mu   sync.Mutex // guards what follows, and every dialling of these
	slow *list.List // of *dialling, the oldest first
}

// quickDial is how long a dial may hold one of the few slots. A network's round trip is
// mostly shorter.
const quickDial = 100 * time.Millisecond

// errGivenUp is what a dial ends with that others needed the room of.
var errGivenUp = errors.New("it did not answer, and too many others do not either")

// dialling is a dial that is under way.
type dialling struct {
	cancel  context.CancelCauseFunc
	slowAt  *list.Element // among the slow ones
	hasSlot bool          // it has one
}

func NewLimiter(slots int64, slow int) *Limiter {
	return &Limiter{slots: semaphore.NewWeighted(slots), maxSlow: slow, slow: list.New()}
}

// do runs a dial when there is a slot. Its error is the dial's, or says why ctx ended first.
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

// demote makes a dial one of the slow ones.
func (d *Limiter) demote(x *dialling) {
	d.mu.Lock()
	if !x.hasSlot { // it has ended
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

func (d *Limiter) end(x *dialling) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release(x)
	d.forget(x)
}

// release and forget need mu.
func (d *Limiter) release(x *dialling) {
	if x.hasSlot {
		x.hasSlot = false
		d.slots.Release(1)
	}
}

func (d *Limiter) forget(x *dialling) {
	if x.slowAt != nil {
		d.slow.Remove(x.slowAt)
		x.slowAt = nil
	}
}
