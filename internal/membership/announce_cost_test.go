package membership

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// listOf is a view with n other members, all of them idle, which is the dearest case.
func listOf(n uint64) *NodeView {
	l := &NodeView{Self: ring.Ref{ID: 1 << 40, Incarnation: 1}, Bits: 64}
	a := control.Announce{Members: int64(n) + 1}
	for id := range n {
		a.Added, a.Incarnations = append(a.Added, 10*id), append(a.Incarnations, id+1)
	}
	a.Idle = a.Added
	return l.Announce(a, nil)
}

// churnOf are announcements that lead from a view of n members through as many changes back to it:
// at each place of the list a member joins, and dies or leaves.
func churnOf(n uint64) (notes []control.Announce) {
	for i := range n {
		m := ring.Ref{ID: 10*i + 5, Incarnation: n + i + 1}
		notes = append(notes, control.Announce{Members: int64(n) + 2, Added: []uint64{m.ID}, Incarnations: []uint64{m.Incarnation}, Idle: []uint64{m.ID}})
		gone := control.Announce{Members: int64(n) + 1, Gone: []ring.Ref{m}}
		if i%2 == 0 {
			gone.Gone, gone.Left = nil, gone.Gone
		}
		notes = append(notes, gone)
	}
	return notes
}

// What a join or a death costs each member does not grow with the ring, but for the references to the
// blocks of its list. A copied list would take 16 KiB and more of 1,023 members.
func TestAnnouncementCostsTheChange(t *testing.T) {
	cost := func(n uint64) (bytes, objects float64) {
		l, notes := listOf(n), churnOf(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, a := range notes {
			l = l.Announce(a, nil)
		}
		runtime.ReadMemStats(&after)
		if l.Others.Len() != int(n) {
			t.Fatalf("%d members instead of %d", l.Others.Len(), n)
		}
		changes := float64(len(notes))
		return float64(after.TotalAlloc-before.TotalAlloc) / changes, float64(after.Mallocs-before.Mallocs) / changes
	}
	small, few := cost(100)
	large, many := cost(control.MaxOthers - 1)
	t.Logf("a change takes %.0f bytes in %.1f objects of 100 members, and %.0f in %.1f of %d", small, few, large, many, control.MaxOthers-1)
	if large > 2*small || large > 4000 || many > few+1 || many > 12 {
		t.Error("what a change costs grows with the list")
	}
}

// saying adds what members say to an announcement: a profile that all have, and names of their own.
func saying(a control.Announce, profile, names bool) control.Announce {
	for _, id := range a.Added {
		if profile {
			a.ProfileOf = append(a.ProfileOf, 1)
		}
		if names {
			a.Names = append(a.Names, fmt.Sprint("worker-", id))
		}
	}
	if profile {
		a.Profiles = []control.Profile{{Tags: []ring.Tag{{Key: "zone", Value: "a"}}, Services: []string{"count", "sum"}}}
	}
	return a
}

// What members say takes little memory: none if they say nothing, a reference for what others say too, and
// some 60 bytes for a name.
func TestWhatMembersSayTakesLittle(t *testing.T) {
	const n, lists = 1000, 20
	bytes := func(profile, names bool) float64 {
		var before, after runtime.MemStats
		kept := make([]*NodeView, 0, lists)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range lists {
			l := &NodeView{Self: ring.Ref{ID: 1 << 40, Incarnation: 1}, Bits: 64}
			for id := uint64(0); id < n; id += 10 {
				a := control.Announce{Members: n}
				for i := range uint64(10) {
					a.Added, a.Incarnations = append(a.Added, 10*(id+i)), append(a.Incarnations, id+i+1)
				}
				l = l.Announce(saying(a, profile, names), nil)
			}
			kept = append(kept, l)
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(kept)
		return float64(after.HeapAlloc-before.HeapAlloc) / lists / n
	}
	silent, same, named := bytes(false, false), bytes(true, false), bytes(true, true)
	t.Logf("bytes a member: %.1f of one that says nothing, %.1f with tags and services that all have, %.1f with a name as well", silent, same, named)
	if silent > 20 || same > silent+16 || named > silent+72 {
		t.Error("that is more than it may be")
	}
}

// What a join or a death costs each member of a ring.
func BenchmarkAnnounce(b *testing.B) {
	for _, n := range []uint64{100, 1000} {
		for _, says := range []bool{false, true} {
			name := fmt.Sprint("members=", n)
			if says {
				name += "/named"
			}
			b.Run(name, func(b *testing.B) {
				l, notes := listOf(n), churnOf(n)
				if says {
					l = (&NodeView{Self: l.Self, Bits: 64}).Announce(saying(control.Announce{Members: int64(n) + 1, Added: ids(l.Others)}, true, true), nil)
					for i := range notes {
						notes[i] = saying(notes[i], true, true)
					}
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					l = l.Announce(notes[i%len(notes)], nil)
				}
			})
		}
	}
}
