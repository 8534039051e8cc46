package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// In a ring that is larger than a list, members that have registered a service are told all that handle
// it, however many, and then each change alone, which is encoded once for all. Others are told nothing.
func TestServicesOfALargeRing(t *testing.T) {
	const n, few = 3 * control.MaxOthers, 5
	draws := uint64(1)
	a := New(Config{Bits: 20, Lease: time.Second, Draw: func(n uint64) uint64 {
		draws = draws*6364136223846793005 + 1442695040888963407
		if n == 0 {
			return draws
		}
		return draws >> 20 % n
	}})
	views := make(map[ring.Ref]*NodeView)
	join := func(i int) ring.Ref {
		r := Request{Addr: fmt.Sprint(i), Token: uint64(i + 1)}
		var follow []string
		switch {
		case i%2 == 0:
			r.Info, follow = ring.NewInfo("", nil, []string{"common"}), []string{"common"}
		case i < 2*few:
			r.Info, follow = ring.NewInfo(fmt.Sprint("n", i), nil, []string{"rare"}), []string{"rare"}
		case i == n-1:
			follow = []string{"common", "rare"}
		}
		r.Follows = ring.NewInfo("", nil, follow)
		m, err := a.Admit(1, uint64(i+1), r)
		if err != nil {
			t.Fatal(err)
		}
		views[m.Ref()] = &NodeView{Self: m.Ref(), Bits: 20, Follows: follow}
		return m.Ref()
	}
	now := Time(1)
	told := make(map[string]int) // messages about each service
	frames := make(map[*[]byte]bool)
	settle := func() {
		clear(told)
		clear(frames)
		for range 6 {
			now += 100 * time.Millisecond
			a.Advance(now)
			for _, e := range a.Take() {
				view, err := views[e.Ref], error(nil)
				if view == nil {
					continue
				}
				switch m := e.Body.(type) {
				case control.Handlers:
					told[m.Service]++
					frames[e.Frame] = true
					view, err = view.Handlers(m)
				case control.Manifest:
					view, err = view.Manifest(m)
					a.Linked(e.Ref, m.Epoch)
				case control.Update:
					view, err = view.Update(m)
					a.Linked(e.Ref, m.Epoch)
				case control.Announce:
					view = view.Announce(m, a.Draw)
				}
				if err != nil {
					t.Fatal(err)
				}
				views[e.Ref] = view
			}
		}
	}
	check := func() {
		t.Helper()
		handle := make(map[string][]ring.Ref)
		for _, m := range a.All() {
			for _, s := range a.Info(m.Ref()).Services() {
				handle[s] = append(handle[s], m.Ref())
			}
		}
		for ref, view := range views {
			for _, s := range []string{"common", "rare"} {
				list, told := view.HandlersOf(s)
				if told != slices.Contains(view.Follows, s) || view.ListEpoch != a.listEpoch {
					t.Fatalf("%v was told of %s: %v, at epoch %d of %d", ref, s, told, view.ListEpoch, a.listEpoch)
				}
				var got []ring.Ref
				for m := range list.All() {
					got = append(got, m.Ref)
				}
				if told && !slices.Equal(got, handle[s]) {
					t.Fatalf("%v knows %d that handle %s, of %d", ref, len(got), s, len(handle[s]))
				}
			}
		}
	}
	var refs []ring.Ref
	for i := range n {
		refs = append(refs, join(i))
	}
	a.Setup(1, ring.Layout{})
	settle()
	check()
	if len(frames) != 2+1 { // the common one in two parts
		t.Errorf("%d messages were encoded", len(frames))
	}
	// A death of one that handles the rare service concerns those that have registered it.
	a.Expel(now, refs[1], "test")
	delete(views, refs[1])
	settle()
	check()
	if told["rare"] != few-1+1 || told["common"] != 0 || len(frames) != 1 {
		t.Errorf("told %v in %d messages", told, len(frames))
	}
	// One that handles nothing concerns none.
	a.Expel(now, refs[n-3], "test")
	delete(views, refs[n-3])
	settle()
	check()
	if len(told) != 0 {
		t.Errorf("told %v", told)
	}
	// A manifest begins anew.
	back := Request{Addr: "0", Token: 1, ID: refs[0].ID, Incarnation: refs[0].Incarnation, Epoch: a.epoch}
	a.Disconnected(now, refs[0], "lost")
	a.Leave(now, refs[2])
	delete(views, refs[2])
	if _, err := a.Resume(now, back); err != nil {
		t.Fatal(err)
	}
	settle()
	check()
}
