package registry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// A move has taken as long as its last part. The whole ring is an arc, too.
func TestTimesOfMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &keyService{moves: make(map[uint64]*keyMove)}
		grant := func(a arc.Arc, term uint64) { v.Tell(1, arc.Frame{Kind: arc.Grant, Arc: a, Term: term, Life: 2}) }
		settle := func(a arc.Arc, term uint64) { v.Tell(2, arc.Frame{Kind: arc.Settled, Arc: a, Term: term}) }
		grant(arc.Ring, 7)
		grant(arc.Arc{First: 5, Last: 5}, 8)
		time.Sleep(time.Second)
		settle(arc.Arc{First: 100, Last: arc.Ring.Last}, 7)
		settle(arc.Arc{First: 5, Last: 5}, 8)
		settle(arc.Arc{First: 5, Last: 5}, 8) // of no move
		if v.done != 1 || v.longest != time.Second || !v.since(8).IsZero() || v.since(7).IsZero() {
			t.Errorf("after one whole move: %d done, the longest took %v", v.done, v.longest)
		}
		time.Sleep(time.Second)
		settle(arc.Arc{First: 0, Last: 99}, 7)
		if v.done != 2 || v.longest != 2*time.Second || len(v.moves) != 0 {
			t.Errorf("after both: %d done, the longest took %v", v.done, v.longest)
		}
		grant(arc.Ring, 9)
		settle(arc.Ring, 9)
		if v.done != 3 || v.times.Count() != 3 || v.times.Counts[0] != 1 || v.times.Sum != 3*time.Second {
			t.Errorf("%d done, times are %+v", v.done, v.times)
		}
		h := status.Histogram{Counts: v.times.Counts}
		if h.Quantile(1) < 2*time.Second || h.Quantile(0.3) != time.Microsecond {
			t.Errorf("times are %+v", v.times)
		}
	})
}

// silent is an arc.AuthorityOutput that does nothing.
type silent struct{}

func (silent) Tell(uint64, arc.Frame)    {}
func (silent) Orders(uint64, arc.Orders) {}
func (silent) Refused(uint64)            {}

// BenchmarkKeyView makes the view of 1,000 owners with 64 positions, which a snapshot does after a change.
func BenchmarkKeyView(b *testing.B) {
	term := uint64(0)
	v := &keyService{lives: make(map[uint64]*keyLife), moves: make(map[uint64]*keyMove)}
	v.authority = arc.NewAuthority(func() uint64 { term++; return term }, true, silent{})
	for life := range uint64(1000) {
		ref := ring.Ref{ID: life, Incarnation: life + 1}
		v.lives[ref.Incarnation] = &keyLife{ref: ref, offers: true}
		v.authority.Report(arc.Member{Life: ref.Incarnation, Positions: arc.Positions(arc.NodePoint(life), arc.DefaultPositions)}, arc.Report{})
	}
	v.authority.Recovered()
	b.ReportAllocs()
	for b.Loop() {
		if w := v.view(); len(w.arcs) < 60_000 {
			b.Fatalf("%d arcs", len(w.arcs))
		}
	}
}
