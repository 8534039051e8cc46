// Package meter measures how much nodes do in a second, from the counters that they
// send to their registry with their heartbeats.
package meter

import (
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// Rates are what happens in a second.
type Rates struct {
	Sent      float64 `json:"sent"`      // messages
	Delivered float64 `json:"delivered"` // messages
	Relayed   float64 `json:"relayed"`   // messages
	BytesOut  float64 `json:"bytes_out"`
}

// Between is the rates of a time between two readings of the counters.
func Between(before, after *status.Counters, d time.Duration) Rates {
	per := func(from, to int64) float64 { return max(0, float64(to-from)/d.Seconds()) }
	return Rates{
		per(before.Sent, after.Sent), per(before.Delivered, after.Delivered),
		per(before.Relayed, after.Relayed), per(before.BytesOut, after.BytesOut),
	}
}

// Meter knows the rates of the members of a ring. Each one's are those between its
// latest two heartbeats that the meter has seen: heartbeats come when they come, and what
// the snapshots say at even times would jump between nothing and twice as much.
type Meter struct {
	lives map[life]*reading
	total Rates
	known bool
}

type life struct {
	id   ringdht.ID
	life uint64
}

type reading struct {
	heard    time.Time
	counters status.Counters
	rates    Rates
	known    bool
}

const (
	// least is how far apart two heartbeats are of which rates are made. A node that
	// comes back sends one between others.
	least = 200 * time.Millisecond
	// most is how old a reading may be, beyond a lease, before it says nothing of now.
	most = 10 * time.Second
)

// Take takes a snapshot.
func (m *Meter) Take(s *status.Snapshot) {
	lives := make(map[life]*reading, len(s.Members))
	m.total, m.known = Rates{}, false
	for i := range s.Members {
		member := &s.Members[i]
		if member.Heard.IsZero() {
			continue
		}
		key := life{member.ID, member.Incarnation}
		r := m.lives[key]
		passed := time.Duration(0)
		if r != nil {
			passed = member.Heard.Sub(r.heard)
		}
		switch {
		case r == nil || passed > s.Lease+most:
			r = &reading{heard: member.Heard, counters: member.Counters}
		case passed >= least:
			r = &reading{member.Heard, member.Counters, Between(&r.counters, &member.Counters, passed), true}
		case s.Time.Sub(member.Heard) > s.Lease: // nothing is heard of it any more
			r.rates = Rates{}
		}
		lives[key] = r
		m.total = Rates{
			m.total.Sent + r.rates.Sent, m.total.Delivered + r.rates.Delivered,
			m.total.Relayed + r.rates.Relayed, m.total.BytesOut + r.rates.BytesOut,
		}
		m.known = m.known || r.known
	}
	m.lives = lives
}

// Of is the rates of a member, false if they are not known yet.
func (m *Meter) Of(s *status.Member) (Rates, bool) {
	r := m.lives[life{s.ID, s.Incarnation}]
	if r == nil {
		return Rates{}, false
	}
	return r.rates, r.known
}

// Total is the rates of all members together, false if none are known yet.
func (m *Meter) Total() (Rates, bool) { return m.total, m.known }
