package registry

import (
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// now returns the membership's time.
func (r *Registry) now() time.Duration { return time.Since(r.start) + 1 }

// wake wakes the reconcile loop. The loop wakes the callers of Await after it has acted.
func (r *Registry) wake() {
	select {
	case r.wakeups <- struct{}{}:
	default:
	}
}

// maxBatching bounds the pause in which events batch up.
const maxBatching = 50 * time.Millisecond

// reconcileLoop does what the membership asks for, in order. Events that come while it is busy make
// one plan together: a thousand nodes that join at once cost a few plans, not a thousand.
func (r *Registry) reconcileLoop() {
	interval := r.cfg.Lease / 4
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		began := time.Now()
		r.mu.Lock()
		r.accountForStalls()
		now := r.now()
		next := r.members.Advance(now)
		effects := r.members.Take()
		r.saveIfDue()
		for _, e := range effects {
			r.recordEffect(e)
		}
		r.change()
		r.mu.Unlock()
		for _, e := range effects {
			r.apply(e)
		}
		r.keys.recover()
		// A pass takes a while in a large ring, and during a mass join there is always an event.
		// Pause, so that events batch up and sessions can take the lock.
		if busy := time.Since(began); busy > time.Millisecond {
			handshake.Sleep(r.ctx, min(busy, maxBatching))
		}
		wait := interval
		if next > 0 {
			wait = max(0, min(wait, next-r.now()))
		}
		timer.Reset(wait)
		select {
		case <-r.ctx.Done():
			return
		case <-r.wakeups:
		case <-timer.C:
		}
	}
}

// apply does one thing that the membership asks for. Send needs no error handling: a session whose
// queue fails ends by itself.
func (r *Registry) apply(e membership.Effect) {
	switch e.Kind {
	case membership.Send:
		r.mu.Lock()
		s := r.sessions[e.Ref]
		r.mu.Unlock()
		switch {
		case s == nil:
		case e.Frame == nil:
			s.conn.Send(e.Type, e.Body)
		default:
			if *e.Frame == nil {
				frame, err := control.Encode(r.cfg.Codec, e.Type, e.Body)
				if err != nil { // it does not fit into a frame, so no member can be told
					r.cfg.Log.Error("cannot encode a message for the members", "err", err)
					return
				}
				*e.Frame = frame
			}
			s.conn.Pass(*e.Frame)
		}
	case membership.Probe:
		r.wg.Go(func() { r.probeSuspect(e) })
	case membership.Dead:
		r.evict(e.Ref, e.Why)
	case membership.Left:
		r.removeMember(e.Ref, e.Why)
	case membership.OverFull:
		r.cfg.Log.Warn("members report too many incarnations that are over: further ones are not remembered")
	case membership.PairsFull:
		r.cfg.Log.Warn("too many unreachable pairs: this one and further ones get no detour until there are fewer",
			"node", e.Ref.ID, "other", e.Other.ID, "why", e.Why)
	}
}

// removeMember ends a member's session, if there is one, and returns it. Its later messages do not
// count.
func (r *Registry) removeMember(ref ring.Ref, why string) *session {
	defer r.keys.gone(ref) // without mu
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.runs.current; u != nil {
		u.lose(ref, why)
	}
	r.reports.retire(ref, r.members.OpensKeys)
	r.loopbacks.drop(ref)
	r.holders.end(ref)
	r.hosts.drop(ref)
	r.change()
	s := r.sessions[ref]
	if s != nil {
		s.ended = true
		s.detach()
	}
	return s
}

// evict ends the session of a member that was declared dead, and tells the node if it can hear it.
func (r *Registry) evict(ref ring.Ref, why string) {
	if s := r.removeMember(ref, why); s != nil {
		refused := control.Refused{Code: control.CodeEvicted, Reason: "you were declared dead: " + why}
		if r.sec != nil && r.sec.revoked(s.proof.Key) {
			refused = control.Refused{Code: control.CodeExpelled, Reason: whyExpelled}
		}
		s.conn.Send(control.TypeRefused, refused)
		r.wg.Go(func() { s.conn.Shutdown(time.Second) })
	}
}
