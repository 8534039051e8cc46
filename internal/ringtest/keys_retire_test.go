package ringtest_test

import (
	"slices"
	"testing"
	"testing/synctest"
)

// An owner that retires gives its arcs to one that has joined, also if that has not reported yet. It waits
// no longer than until that one is over.
func TestRetiringWaitsForReports(t *testing.T) {
	for _, reports := range []bool{true, false} {
		inKeyRing(t, 1, func(t *testing.T, a *keepers, all []*keeper) {
			newcomer := a.prepare()
			newcomer.mute = true
			if err := newcomer.node.Join(a.tr.Ctx(), a.tr.Line()); err != nil {
				t.Fatal(err)
			}
			a.tr.Nodes = append(a.tr.Nodes, newcomer.node)
			id := newcomer.node.ID()
			a.do(func() { all[0].owner.Retire() })
			synctest.Wait()
			if slices.Contains(all[0].lines(), "left") {
				t.Fatal("the owner has left its arcs to no other")
			}
			if reports {
				newcomer.speak()
			} else {
				newcomer.node.Close()
				a.tr.WaitGone(id)
			}
			synctest.Wait()
			if !slices.Contains(all[0].lines(), "left") {
				t.Errorf("reports=%v: it waits on: %q", reports, all[0].lines())
			}
			if reports && newcomer.fresh > 0 {
				t.Errorf("the newcomer has begun %d arcs without a state", newcomer.fresh)
			}
		})
	}
}
