package meter

import (
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// snapshot returns a snapshot at a time, of members with a heartbeat each.
func snapshot(at time.Duration, members ...status.Member) *status.Snapshot {
	return &status.Snapshot{Time: start.Add(at), Lease: 3 * time.Second, Members: members}
}

func member(id ringdht.ID, heard time.Duration, delivered, relayed int64) status.Member {
	m := status.Member{Heard: start.Add(heard)}
	m.ID, m.Incarnation, m.Counters.Delivered, m.Counters.Relayed = id, 1, delivered, relayed
	return m
}

// Rates are between heartbeats, and not between snapshots.
func TestMeter(t *testing.T) {
	var m Meter
	is := func(what string, s *status.Snapshot, id ringdht.ID, known bool, delivered, total float64) {
		t.Helper()
		m.Take(s)
		for i := range s.Members {
			if s.Members[i].ID == id {
				if r, ok := m.Of(&s.Members[i]); ok != known || r.Delivered != delivered {
					t.Errorf("%s: %v %v, want %v %v", what, r.Delivered, ok, delivered, known)
				}
			}
		}
		if r, _ := m.Total(); r.Delivered != total {
			t.Errorf("%s: in all %v, want %v", what, r.Delivered, total)
		}
	}
	s := time.Second
	is("a first heartbeat", snapshot(0, member(1, 0, 500, 0)), 1, false, 0, 0)
	is("no other yet", snapshot(s/2, member(1, 0, 500, 0)), 1, false, 0, 0)
	is("a second one", snapshot(s, member(1, s, 600, 50)), 1, true, 100, 100)
	is("the same again", snapshot(2*s-1, member(1, s, 600, 50)), 1, true, 100, 100)
	is("two at once", snapshot(3*s, member(1, 3*s, 1000, 50)), 1, true, 200, 200)
	is("one in between", snapshot(3*s+s/10, member(1, 3*s+s/10, 1000, 50)), 1, true, 200, 200)
	is("with another node", snapshot(4*s, member(1, 4*s, 1000, 50), member(2, 4*s, 7, 0)), 1, true, 0, 0)
	is("whose rate adds up", snapshot(5*s, member(1, 5*s, 1010, 50), member(2, 5*s, 37, 0)), 2, true, 30, 40)
	is("which is not heard any more", snapshot(9*s, member(1, 9*s, 1050, 50), member(2, 5*s, 37, 0)), 2, true, 0, 10)
	is("which is gone", snapshot(10*s, member(1, 10*s, 1060, 50)), 1, true, 10, 10)
	reborn := member(1, 11*s, 5, 0)
	reborn.Incarnation = 2
	is("another incarnation counts from zero", snapshot(11*s, reborn), 1, false, 0, 0)
	is("after a long time", snapshot(60*s, member(1, 60*s, 1e6, 0)), 1, false, 0, 0)
	is("a moment later", snapshot(61*s, member(1, 61*s, 1e6+5, 0)), 1, true, 5, 5)
	is("after a long time again", snapshot(161*s, member(1, 161*s, 2e6, 0)), 1, false, 0, 0)
	never := member(3, 0, 0, 0)
	never.Heard = time.Time{}
	is("never heard", snapshot(161*s, never), 3, false, 0, 0)
}
