package plane

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Readers call handlers themselves where these are quick.
//
// To have another goroutine handle a message means to wake it, and most of the time a
// thread as well: where little comes at a time, but often, that takes as long as a hop. But who
// reads relays too, and handlers may wait for whatever they like without holding up
// others. So
//
//   - handlers have to earn it, and keep earning it: see [trust];
//   - one that waits for what this package does gives way first: a new goroutine reads on,
//     see [giveWay]; so does who finds that there is more to handle than the read brought;
//   - one that waits elsewhere, or computes, is found by a goroutine that looks every few
//     milliseconds, and only exists while readers call handlers often. It has another one
//     read on, and handlers are called by readers no more for a thousand calls, and for
//     twice as many each time, up to a million.
//
// A call is what a source, or all that cast, have in one read: up to a kilobyte of messages,
// and their acknowledgement. Where the clock gets a processor in time a connection is held up for two
// looks at most, which is as long as the runtime lets a goroutine compute before it takes its
// processor away; by some ten calls, and one in a million, for long enough to be found; and
// for no more than 20 microseconds a call on average.
//
// This is the pattern known as leader and followers (Schmidt and others, 2000), without the
// change of leaders for each event, which would wake somebody each time as well. What was
// rejected: an option by which handlers promise not to wait (whoever does not know of it is
// slow, whoever breaks the promise stops the relaying), and a timer for each call (to set
// one wakes a thread).
const (
	// fewBytes is how many bytes of messages a read may have brought for its reader to call
	// handlers. Of more there may be more to come, and who reads should go on.
	fewBytes = 1 << 10

	// lookInterval is between two looks at calls that last. Shorter ones are felt in the
	// latency that all this is for.
	lookInterval = 5 * time.Millisecond

	// often is how many calls for few bytes an interval must bring for readers to make them: for
	// fewer it is not worth the looks.
	often = 16
)

// errHandedOver says that another goroutine reads on.
var errHandedOver = errors.New("another goroutine reads on")

// span is when something happened, by [Plane.now]; nothing if it is zero.
type span struct{ from, to time.Duration }

// readers is the part of the scheduler that is about readers who call handlers. It is
// guarded by the scheduler's mu.
type readers struct {
	calling  int // readers that are calling handlers
	trust    trust
	watching bool      // the goroutine that looks runs
	watched  []*inLink // those that have called handlers lately
	looked   time.Duration
	few      int // calls for few bytes since, while nobody looks
}

// enter begins a call, for what is ready first, if readers may make one. From then on the
// reception may be another's. It begins with mu held: a look in between would take rc for
// one that calls no more, and not find the call however long it lasts.
func (s *scheduler) enter(rc *inLink) (t *turn, call uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.watching || !s.trust.given() || s.busy() >= rc.p.Handlers {
		return nil, 0
	}
	if !rc.watched {
		rc.watched, rc.seen = true, rc.call.Load()
		s.watched = append(s.watched, rc)
	}
	s.calling++
	t = rc.ready[0]
	rc.ready = slices.Delete(rc.ready, 0, 1)
	return t, rc.call.Add(1)
}

// leave ends a call, and says whether the goroutine that made it still reads.
func (s *scheduler) leave(rc *inLink, call uint64, took span) bool {
	reads := rc.call.CompareAndSwap(call, call+1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if reads {
		s.calling--
	} else {
		s.running--
	}
	s.account(rc.p, took)
	s.start(rc.p)
	return reads
}

// account takes note of a call for few bytes, whoever made it. It needs mu.
func (s *scheduler) account(p *Plane, took span) {
	if took.to == 0 || s.closed {
		return
	}
	s.trust.earn(took.to - took.from)
	if s.watching {
		return
	}
	if took.to-s.looked > lookInterval {
		s.looked, s.few = took.to, 0
	}
	if s.few++; s.few >= often && s.trust.given() {
		s.watching = true
		p.wg.Add(1)
		go p.watch()
	}
}

// watch is the goroutine that looks for calls that hold up readers.
func (p *Plane) watch() {
	defer p.wg.Done()
	timer := time.NewTimer(untilLook())
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		all, again := p.sched.look(p.now())
		for _, h := range all {
			h.rc.handOver(h.call, true)
		}
		if !again {
			return
		}
		timer.Reset(untilLook())
	}
}

// untilLook is how long it is to the next look. All nodes look at the same times: where a
// process has many, one waking up is for all of them.
func untilLook() time.Duration {
	now := time.Now()
	return now.Truncate(lookInterval).Add(lookInterval).Sub(now)
}

// lasting is a reader in a call that lasts.
type lasting struct {
	rc   *inLink
	call uint64
}

// look lists readers that are in the same call as at the last look, and says whether to
// look again.
func (s *scheduler) look(now time.Duration) (all []lasting, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := uint64(0)
	s.watched = slices.DeleteFunc(s.watched, func(rc *inLink) bool {
		call := rc.call.Load()
		if calls += call - rc.seen; call == rc.seen {
			if call%2 == 1 {
				all = append(all, lasting{rc, call})
			}
			rc.watched = false
		}
		rc.seen = call
		return !rc.watched
	})
	again = s.calling > 0 || calls >= often // half as many as it takes to begin: each counts when it begins and when it ends
	if !again {
		for _, rc := range s.watched {
			rc.watched = false
		}
		s.watched = nil
		s.watching, s.looked, s.few = false, now, 0
	}
	return all, again
}

// callHandlers calls handlers for what a batch has made ready, as far as that is for
// this goroutine to do, and has others do the rest. It returns false if another one reads
// on meanwhile: nothing of the reception is this one's then.
func (rc *inLink) callHandlers() bool {
	for len(rc.ready) > 0 {
		if rc.ctx == nil {
			rc.ctx = context.WithValue(rc.p.ctx, readerKey{}, rc)
		}
		t, call := rc.p.sched.enter(rc)
		if t == nil {
			break
		}
		if !rc.callHandler(t, call) {
			return false
		}
	}
	rc.schedule()
	return true
}

func (rc *inLink) callHandler(t *turn, number uint64) (reads bool) {
	p := rc.p
	var took span
	returned := false
	defer func() {
		if !returned { // the handler has ended its goroutine
			rc.handOver(number, false)
		}
		reads = p.sched.leave(rc, number, took)
	}()
	took = call{p: p, ctx: rc.ctx, turn: t}.inside(p.Owner) // set before the first call, and never changed
	returned = true
	return
}

// schedule has others call the handlers.
func (rc *inLink) schedule() {
	if len(rc.ready) > 0 {
		rc.p.sched.push(rc.p, rc.ready...)
		clear(rc.ready)
		rc.ready = rc.ready[:0]
	}
}

// readerKey marks the context of a handler that was called by a reader, with the reception
// it was called for.
type readerKey struct{}

// giveWay is called by who is about to wait. With the context of a handler that a reader
// has called it first has another goroutine read on. (A context that was kept may do so
// during a later call. That costs a goroutine, and nothing else.)
func giveWay(ctx context.Context) {
	if rc, ok := ctx.Value(readerKey{}).(*inLink); ok {
		rc.handOver(rc.call.Load(), false)
	}
}

// handOver has a new goroutine read on if the call still lasts. Who made the call handles
// what it has begun, like any handler's goroutine, and ends. late says that the reader
// was held up.
func (rc *inLink) handOver(call uint64, late bool) {
	p := rc.p
	if call%2 == 0 {
		return
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed || !rc.call.CompareAndSwap(call, call+1) {
		return
	}
	s := &p.sched
	s.mu.Lock()
	s.calling--
	s.running++
	if late && s.trust.probation == 0 { // else it is for the same that others were
		s.trust.lose()
	}
	s.mu.Unlock()
	p.wg.Go(rc.readOn)
}

// readOn is the goroutine of a line whose reader is busy.
func (rc *inLink) readOn() {
	rc.schedule()
	rc.afterBatch()
	rc.conn.readEnded(rc.run())
}
