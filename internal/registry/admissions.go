package registry

import (
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

// holder is a process that holds an admission: its key, and what the latest admission says.
type holder struct {
	key          secure.Key
	ref          ring.Ref
	token        uint32
	flags        uint16
	since, until time.Time
	present      bool // it is a member
}

// holders are the processes with admissions, members or not, so that a node can be expelled which
// is away. Guarded by Registry.mu. Of those that are away it keeps maxAway; beyond that, a quarter is
// forgotten, those whose admissions end first.
type holders struct {
	byKey map[secure.Key]*holder
	byRef map[ring.Ref]*holder // of members
	away  int
}

const maxAway = 4096

// put takes note of an admission.
func (h *holders) put(n holder) {
	if h.byKey == nil {
		h.byKey, h.byRef = make(map[secure.Key]*holder), make(map[ring.Ref]*holder)
	}
	if old := h.byKey[n.key]; old != nil {
		if old.present {
			delete(h.byRef, old.ref)
		} else {
			h.away--
		}
	}
	n.present = true
	h.byKey[n.key], h.byRef[n.ref] = &n, &n
}

// end takes note that a member is one no longer.
func (h *holders) end(ref ring.Ref) {
	n := h.byRef[ref]
	if n == nil {
		return
	}
	delete(h.byRef, ref)
	n.present = false
	if h.away++; h.away > maxAway {
		away := make([]*holder, 0, h.away)
		for _, other := range h.byKey {
			if !other.present {
				away = append(away, other)
			}
		}
		slices.SortFunc(away, func(a, b *holder) int { return a.until.Compare(b.until) })
		for _, other := range away[:len(away)/4] {
			h.forget(other)
		}
	}
}

func (h *holders) forget(n *holder) {
	delete(h.byKey, n.key)
	h.away--
}

// expire forgets those that are away and whose admission has expired.
func (h *holders) expire(now time.Time) {
	for _, n := range h.byKey {
		if !n.present && !now.Before(n.until) {
			h.forget(n)
		}
	}
}

// named returns the member with an ID, or the holder that had it last.
func (h *holders) named(id uint64) (found *holder) {
	for _, n := range h.byKey {
		if n.ref.ID == id && (found == nil || n.present && !found.present || n.present == found.present && n.since.After(found.since)) {
			found = n
		}
	}
	return found
}

// wallNanos is the time from which incarnations are made.
func (r *Registry) wallNanos() uint64 {
	if r.sec != nil {
		return r.sec.nanos()
	}
	return uint64(max(0, r.cfg.TimeOfDay().UnixNano()))
}

// mayAdmit is the last check of a registration in a secure ring. It needs mu.
func (r *Registry) mayAdmit(req control.Register, c credentials) error {
	switch {
	case r.sec == nil:
	case r.sec.revoked(c.key):
		return errExpelledNow
	case req.Incarnation == 0 && !r.sec.reserved(max(req.Seen, r.members.LatestIncarnation())):
		return &noReserveError{max(req.Seen, r.members.LatestIncarnation())}
	}
	return nil
}

// issue signs a member's admission. It needs mu.
func (r *Registry) issue(m ring.Member, c credentials) (admission string, timeMS int64) {
	h := holder{key: c.key, ref: m.Ref(), token: c.token}
	if c.bound {
		h.flags = secure.FlagBound
	}
	return r.sign(h)
}

// sign signs an admission for a holder from now on, and takes note of it. It needs mu.
func (r *Registry) sign(h holder) (admission string, timeMS int64) {
	s := r.sec
	h.since = s.now()
	h.until = h.since.Add(s.cfg.Secure.Validity)
	r.holders.put(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latestInc = max(s.latestInc, h.ref.Incarnation)
	a := secure.Admission{Ring: s.ring.ring, ID: h.ref.ID, Incarnation: h.ref.Incarnation, Token: h.token, Flags: h.flags, Since: h.since, Until: h.until, Key: h.key}
	return secure.Text(a.Sign(s.ring.private)), h.since.UnixMilli()
}

// renewIfDue gives a member a new admission when half the time of its own is over.
func (r *Registry) renewIfDue(s *session) {
	if r.sec == nil {
		return
	}
	now := r.sec.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.holders.byRef[s.member.Ref()]
	if h == nil || !s.attached || now.Before(h.since.Add(h.until.Sub(h.since)/2)) {
		return
	}
	if !r.sec.reserved(0) && !r.sec.isFailing() { // its time is not written yet: at the next heartbeat
		r.sec.wake()
		return
	}
	r.renew(s, *h)
}

// renew gives a member a new admission. An error ends the session by itself. It needs mu.
func (r *Registry) renew(s *session, h holder) {
	if r.sec.revoked(h.key) {
		return
	}
	admission, timeMS := r.sign(h)
	s.conn.Send(control.TypeAdmission, control.Admission{Admission: admission, Time: timeMS})
}

// tellTrust tells all members what to believe from now on. It needs mu, so that the latest is the
// last that each hears.
func (r *Registry) tellTrust() {
	frame, err := control.Encode(r.cfg.Codec, control.TypeTrust, r.sec.trustMessage())
	if err != nil {
		r.cfg.Log.Error("cannot encode what the members shall believe", "err", err)
		return
	}
	for _, s := range r.sessions {
		if !r.sec.revoked(s.proof.Key) {
			s.conn.Pass(frame)
		}
	}
}

// securityLoop does what time brings in a secure ring: it writes the reserve of the clock, and ends
// tokens, revocations and old keys whose time is over.
func (r *Registry) securityLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.sec.wakeups:
		case <-timer.C:
		}
		timer.Reset(r.upkeep())
	}
}

// The bounds of the pause between two looks, and what follows a write that failed.
const (
	maxUpkeep   = time.Minute
	retryUpkeep = 5 * time.Second
)

// upkeep does what is due, and returns when to come again.
func (r *Registry) upkeep() time.Duration {
	s := r.sec
	now := s.now()
	r.mu.Lock()
	r.holders.expire(now)
	r.mu.Unlock()
	s.mu.Lock()
	next, ran := s.ring.clone(), time.Since(s.started)
	reserveDue := s.clock.due(ran)
	before := len(next.keys)
	due := next.tokens.expire(now)
	over := next.expire(now)
	wait := maxUpkeep
	for _, at := range []time.Time{next.tokens.nextExpiry(), next.nextExpiry()} {
		if !at.IsZero() {
			wait = min(wait, at.Sub(now))
		}
	}
	if s.state != nil {
		due = due || s.failing || !now.Before(reserveDue)
		if !due {
			wait = min(wait, reserveDue.Sub(now))
		} else {
			wait = min(wait, max(minReserve, min(ran, maxReserve))/2)
		}
	}
	s.mu.Unlock()
	if !due && !over {
		return max(wait, time.Millisecond)
	}
	failed := s.isFailing()
	err := s.commit("upkeep", func(next *ringState, now time.Time) error {
		next.tokens.expire(now)
		next.expire(now)
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil && !failed:
		r.recordEvent(status.Event{Kind: status.EventState, Why: "the state of the secure ring cannot be written: no node is admitted, and nothing changed, until it can: " + err.Error()})
	case err == nil && failed:
		r.recordEvent(status.Event{Kind: status.EventState, Why: "the state of the secure ring is written again"})
	}
	if err != nil {
		return retryUpkeep
	}
	if over {
		r.tellTrust()
	}
	if len(s.trust.Load().Keys) < before {
		r.recordEvent(status.Event{Kind: status.EventSecurity, Why: "the old key of the ring is trusted no more: all admissions that it signed are over"})
	}
	r.change()
	return max(wait, time.Millisecond)
}

func (s *security) isFailing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing
}

// nextExpiry is when a key or a revocation is over next, zero for never.
func (s ringState) nextExpiry() (next time.Time) {
	if len(s.keys) > 1 {
		next = s.oldUntil
	}
	for _, e := range s.expelled {
		if next.IsZero() || e.until.Before(next) {
			next = e.until
		}
	}
	return next
}
