package workers

import (
	"context"
	"testing"
	"testing/synctest"
)

// Turns of one group that block hold up none of another one, neither in the queue nor at a reader.
func TestGroupsDoNotWaitForEachOther(t *testing.T) {
	const limit = 2
	withPool(t, limit, func(t *testing.T, r *rig) {
		var slow, quick Group
		r.Init(&slow)
		r.Init(&quick)
		blocked := make([]*Turn, 3*limit)
		for i := range blocked {
			blocked[i] = r.waits()
			blocked[i].Group = &slow
		}
		r.Push(blocked...)
		synctest.Wait()
		if r.ran() != limit {
			t.Errorf("%d turns of a group run at once, the limit is %d", r.ran(), limit)
		}
		other := func(n int) (turns []*Turn) {
			for range n {
				turn := r.turn(nil)
				turn.Group = &quick
				turns = append(turns, turn)
			}
			return turns
		}
		r.Push(append(append(other(5), r.turn(nil)), other(5)...)...)
		synctest.Wait()
		if r.ran() != limit+11 {
			t.Errorf("%d turns of other groups have run, want 11", r.ran()-limit)
		}
		d := r.reader()
		d.earn(often)
		was := r.ran()
		d.feed(other(1)...)
		if !r.last() || r.ran() != was+1 {
			t.Error("the reader does not lend itself to another group")
		}
		d.feed(append([]*Turn{r.waits()}, other(1)...)...) // of the pool's own
		close(r.release)
		synctest.Wait()
		if slow.running+quick.running != 0 || slow.head != nil {
			t.Errorf("%d and %d still run", slow.running, quick.running)
		}
		r.atRest()
	})
}

// A reader makes no inline call for a group whose turns all run. They wait, and others do not.
func TestReaderLeavesAFullGroup(t *testing.T) {
	withPool(t, 1, func(t *testing.T, r *rig) {
		var slow Group
		r.Init(&slow)
		d := r.reader()
		d.earn(often)
		first := r.waits()
		first.Group = &slow
		r.Push(first)
		synctest.Wait()
		ran := false
		second := r.turn(func(context.Context) { ran = true })
		second.Group = &slow
		d.feed(second)
		if ran {
			t.Error("more turns run than the limit")
		}
		if d.feed(r.turn(nil)); !r.last() {
			t.Error("the reader waits")
		}
		close(r.release)
		synctest.Wait()
		if !ran {
			t.Error("the second has not run")
		}
	})
}
