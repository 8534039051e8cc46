// Package meter computes rates per second of nodes, from the counters in their heartbeats.
package meter

import (
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// Rates are counts per second.
type Rates struct {
	Sent      float64 `json:"sent"`      // messages
	Delivered float64 `json:"delivered"` // messages
	Relayed   float64 `json:"relayed"`   // messages
	BytesOut  float64 `json:"bytes_out"`
}

// Between returns the rates between two readings of the counters.
func Between(before, after *status.Counters, d time.Duration) Rates {
	per := func(from, to int64) float64 { return max(0, float64(to-from)/d.Seconds()) }
	return Rates{
		per(before.Sent, after.Sent), per(before.Delivered, after.Delivered),
		per(before.Relayed, after.Relayed), per(before.BytesOut, after.BytesOut),
	}
}

// Meter holds the rates of the members of a ring, each between its latest two heartbeats that
// the meter has seen. Rates between snapshots would jump between zero and double, since
// heartbeats and snapshots have different periods.
type Meter struct {
	readings map[incarnation]*reading
	total    Rates
	known    bool
}

type incarnation struct {
	id  ringdht.ID
	inc uint64
}

type reading struct {
	heard    time.Time
	counters status.Counters
	rates    Rates
	known    bool
}

const (
	// minGap is the shortest time between two heartbeats for a rate. A node that reconnects
	// sends an extra heartbeat.
	minGap = 200 * time.Millisecond
	// maxGap is the greatest age of a reading, beyond a lease, from which a rate is computed.
	maxGap = 10 * time.Second
)

// Take reads a snapshot.
func (m *Meter) Take(s *status.Snapshot) {
	readings := make(map[incarnation]*reading, len(s.Members))
	m.total, m.known = Rates{}, false
	for i := range s.Members {
		member := &s.Members[i]
		if member.Heard.IsZero() {
			continue
		}
		key := incarnation{member.ID, member.Incarnation}
		r := m.readings[key]
		passed := time.Duration(0)
		if r != nil {
			passed = member.Heard.Sub(r.heard)
		}
		switch {
		case r == nil || passed > s.Lease+maxGap:
			r = &reading{heard: member.Heard, counters: member.Counters}
		case passed >= minGap:
			r = &reading{member.Heard, member.Counters, Between(&r.counters, &member.Counters, passed), true}
		case s.Time.Sub(member.Heard) > s.Lease: // its heartbeats have stopped
			r.rates = Rates{}
		}
		readings[key] = r
		m.total = Rates{
			m.total.Sent + r.rates.Sent, m.total.Delivered + r.rates.Delivered,
			m.total.Relayed + r.rates.Relayed, m.total.BytesOut + r.rates.BytesOut,
		}
		m.known = m.known || r.known
	}
	m.readings = readings
}

// Of returns the rates of a member. It returns false if they are not known yet.
func (m *Meter) Of(s *status.Member) (Rates, bool) {
	r := m.readings[incarnation{s.ID, s.Incarnation}]
	if r == nil {
		return Rates{}, false
	}
	return r.rates, r.known
}

// Total returns the rates of all members together. It returns false if none is known yet.
func (m *Meter) Total() (Rates, bool) { return m.total, m.known }
