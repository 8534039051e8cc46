package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// largeRing is an authority, and what its members were told.
type largeRing struct {
	*testing.T
	*Authority
	now    Time
	refs   []ring.Ref
	views  map[ring.Ref]*NodeView
	asked  map[ring.Ref][]string
	told   map[string]int   // messages about each service, in the latest settle
	frames map[*[]byte]bool // of these, those that were encoded
}

func newLargeRing(t *testing.T) *largeRing {
	draws := uint64(1)
	return &largeRing{
		T: t, now: 1, views: make(map[ring.Ref]*NodeView), asked: make(map[ring.Ref][]string), told: make(map[string]int), frames: make(map[*[]byte]bool),
		Authority: New(Config{Bits: 20, Lease: time.Second, Draw: func(n uint64) uint64 {
			draws = draws*6364136223846793005 + 1442695040888963407
			if n == 0 {
				return draws
			}
			return draws >> 20 % n
		}}),
	}
}

// join admits a member that handles a service, and asks for services.
func (r *largeRing) join(name string, handles, follow []string) {
	i := len(r.refs)
	request := Request{Addr: fmt.Sprint(i), Token: uint64(i + 1), Info: ring.NewInfo(name, nil, handles), Follows: ring.NewInfo("", nil, follow)}
	m, err := r.Admit(1, uint64(i+1), request)
	if err != nil {
		r.Fatal(err)
	}
	r.views[m.Ref()] = &NodeView{Self: m.Ref(), Bits: 20, Follows: []string{"common", "none", "rare"}}
	r.asked[m.Ref()] = follow
	r.refs = append(r.refs, m.Ref())
}

// follow asks for services.
func (r *largeRing) follow(ref ring.Ref, services ...string) {
	r.Helper()
	if err := r.Follow(ref, services); err != nil {
		r.Fatal(err)
	}
	r.asked[ref] = services
}

// settle lets members confirm what they are told, until nothing more comes.
func (r *largeRing) settle() {
	clear(r.told)
	clear(r.frames)
	for range 6 {
		r.step()
	}
}

// step lets the authority act once.
func (r *largeRing) step() {
	r.now += 100 * time.Millisecond
	r.Advance(r.now)
	for _, e := range r.Take() {
		view, err := r.views[e.Ref], error(nil)
		if view == nil {
			continue
		}
		switch m := e.Body.(type) {
		case control.Handlers:
			r.told[m.Service]++
			r.frames[e.Frame] = true
			view, err = view.Handlers(m)
		case control.Manifest:
			view, err = view.Manifest(m)
			r.Linked(e.Ref, m.Epoch)
		case control.Update:
			view, err = view.Update(m)
			r.Linked(e.Ref, m.Epoch)
		case control.Announce:
			view = view.Announce(m, r.Draw)
		}
		if err != nil {
			r.Fatal(err)
		}
		r.views[e.Ref] = view
	}
}

// check checks that each member knows all that handle the services for which it has asked, and no others.
func (r *largeRing) check() {
	r.Helper()
	handle := make(map[string][]ring.Ref)
	for _, m := range r.All() {
		for _, s := range r.Info(m.Ref()).Services() {
			handle[s] = append(handle[s], m.Ref())
		}
	}
	for ref, view := range r.views {
		for _, s := range []string{"common", "rare"} {
			list, told := view.HandlersOf(s)
			if told != slices.Contains(r.asked[ref], s) || !view.Sampled() || view.ListEpoch != r.listEpoch {
				r.Fatalf("%v was told of %s: %v, at epoch %d of %d", ref, s, told, view.ListEpoch, r.listEpoch)
			}
			var got []ring.Ref
			for m := range list.All() {
				got = append(got, m.Ref)
			}
			if told && !slices.Equal(got, handle[s]) {
				r.Fatalf("%v knows %d that handle %s, of %d", ref, len(got), s, len(handle[s]))
			}
		}
	}
}

// In a ring that is larger than a list, members that have asked for a service are told all that handle
// it, however many, and then each change alone, which is encoded once for all. Others are told nothing.
// They may ask with their registration, or later.
func TestServicesOfALargeRing(t *testing.T) {
	const n, few = 2*control.MaxOthers + 100, 5
	a := newLargeRing(t)
	for i := range n {
		switch {
		case i%2 == 0:
			a.join("", []string{"common"}, []string{"common"})
		case i < 2*few:
			a.join(fmt.Sprint("n", i), []string{"rare"}, []string{"rare"})
		case i == n-1:
			a.join("", nil, []string{"common", "rare"})
		default:
			a.join("", nil, nil)
		}
	}
	a.Setup(1, ring.Layout{})
	a.step()
	a.follow(a.refs[n-3], "none") // before there is a list
	a.settle()
	a.check()
	if list, told := a.views[a.refs[n-3]].HandlersOf("none"); !told || list.Len() > 0 {
		t.Errorf("that none handles a service: told %v, %d", told, list.Len())
	}
	if len(a.frames) != 2+1+1 { // the common one in two parts
		t.Errorf("%d messages were encoded", len(a.frames))
	}
	// Those that ask later are told at once, at the same epoch, and what they have not is encoded once for all.
	epoch := a.listEpoch
	for i := 2; i < 2*100; i += 2 {
		a.follow(a.refs[i], "common", "rare")
	}
	a.settle()
	a.check()
	if a.told["rare"] != 99 || a.told["common"] != 0 || len(a.frames) != 1 || a.listEpoch != epoch {
		t.Errorf("told %v in %d messages", a.told, len(a.frames))
	}
	a.follow(a.refs[2], "common", "rare")
	if a.settle(); len(a.told) != 0 {
		t.Errorf("told %v again", a.told)
	}
	if err := a.Follow(a.refs[2], []string{"x", "x"}); err == nil {
		t.Error("it asks for a service twice")
	}
	var many []string
	for i := range 126 {
		many = append(many, fmt.Sprintf("s%03d", i))
	}
	if err := a.Follow(a.refs[2], many); err == nil {
		t.Error("it asks for more than 127")
	}
	// A death of one that handles the rare service concerns those that have asked for it.
	a.Expel(a.now, a.refs[1], "test")
	delete(a.views, a.refs[1])
	a.settle()
	a.check()
	if a.told["rare"] != few-1+1+99 || a.told["common"] != 0 || len(a.frames) != 1 {
		t.Errorf("told %v in %d messages", a.told, len(a.frames))
	}
	// One that handles nothing concerns none.
	a.Expel(a.now, a.refs[n-3], "test")
	delete(a.views, a.refs[n-3])
	a.settle()
	a.check()
	if len(a.told) != 0 {
		t.Errorf("told %v", a.told)
	}
	// A manifest begins anew.
	back := Request{Addr: "0", Token: 1, ID: a.refs[0].ID, Incarnation: a.refs[0].Incarnation, Epoch: a.epoch, Follows: ring.NewInfo("", nil, []string{"rare"})}
	a.asked[a.refs[0]] = []string{"rare"}
	a.Disconnected(a.now, a.refs[0], "lost")
	a.Leave(a.now, a.refs[2])
	delete(a.views, a.refs[2])
	if _, err := a.Resume(a.now, back); err != nil {
		t.Fatal(err)
	}
	a.settle()
	a.check()
}
