package registry

import (
	"math/bits"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/status"
)

// history is what the ring did in the latest minutes. It has no timer: heartbeats, events and
// snapshots move it on. It takes 7 kB, however many members there are. Guarded by Registry.mu.
type history struct {
	origin time.Time // of step 0; zero before the first call of advance
	latest int64     // the number of the present step
	steps  [status.MaxHistory]step
}

// step is a status.Step. Step n is at index n % MaxHistory.
type step struct {
	members int
	counts
}

// counts are the figures of a node of which the history keeps the growth.
type counts struct{ sent, delivered, relayed, dropped int64 }

func countsOf(c *status.Counters) counts {
	return counts{c.Sent, c.Delivered, c.Relayed, c.Dropped.Sum()}
}

// minus returns the growth since earlier counts. A count that has shrunk has not grown.
func (c counts) minus(d counts) counts {
	return counts{max(0, c.sent-d.sent), max(0, c.delivered-d.delivered), max(0, c.relayed-d.relayed), max(0, c.dropped-d.dropped)}
}

// advance moves on to the step of this time, in which there are so many members. Steps
// without a heartbeat, event or snapshot have as many members as the step before them.
func (h *history) advance(now time.Time, members int) {
	if h.origin.IsZero() {
		h.origin = now
	}
	n := int64(now.Sub(h.origin) / status.HistoryStep)
	before := h.at(h.latest).members
	for h.latest = max(h.latest, n-status.MaxHistory); h.latest < n; {
		h.latest++
		*h.at(h.latest) = step{members: before}
	}
	h.at(h.latest).members = members
}

func (h *history) at(n int64) *step { return &h.steps[n%status.MaxHistory] }

// oldest returns the number of the oldest step that is kept.
func (h *history) oldest() int64 { return max(0, h.latest-status.MaxHistory+1) }

// spread adds counts that have grown evenly between two times. The shares of all steps add up
// to them, except for what was before the oldest step. The caller has advanced to the later
// time. It touches as many steps as lie between the two.
func (h *history) spread(from, to time.Time, grown counts) {
	if grown == (counts{}) {
		return
	}
	a, b := max(0, from.Sub(h.origin)), to.Sub(h.origin)
	if a >= b {
		h.at(h.latest).add(grown, counts{})
		return
	}
	first := max(int64(a/status.HistoryStep), h.oldest())
	done := grown.share(max(0, time.Duration(first)*status.HistoryStep-a), b-a)
	for n := first; n <= h.latest; n++ {
		end := min(b, time.Duration(n+1)*status.HistoryStep)
		until := grown.share(end-a, b-a)
		h.at(n).add(until, done)
		done = until
	}
}

// add adds the difference of two counts.
func (s *step) add(until, done counts) {
	s.sent = control.SaturatingAdd(s.sent, until.sent-done.sent)
	s.delivered = control.SaturatingAdd(s.delivered, until.delivered-done.delivered)
	s.relayed = control.SaturatingAdd(s.relayed, until.relayed-done.relayed)
	s.dropped = control.SaturatingAdd(s.dropped, until.dropped-done.dropped)
}

// share returns the part of the counts that belongs to part of a whole time, rounded down.
func (c counts) share(part, whole time.Duration) counts {
	of := func(n int64) int64 {
		high, low := bits.Mul64(uint64(n), uint64(part)) // 128 bits: both may be large
		q, _ := bits.Div64(high, low, uint64(whole))
		return int64(q)
	}
	return counts{of(c.sent), of(c.delivered), of(c.relayed), of(c.dropped)}
}

// list copies the steps, the oldest first.
func (h *history) list() []status.Step {
	list := make([]status.Step, 0, h.latest-h.oldest()+1)
	for n := h.oldest(); n <= h.latest; n++ {
		s := h.at(n)
		list = append(list, status.Step{
			Time: h.origin.Add(time.Duration(n) * status.HistoryStep), Members: s.members,
			Sent: s.sent, Delivered: s.delivered, Relayed: s.relayed, Dropped: s.dropped,
		})
	}
	return list
}
