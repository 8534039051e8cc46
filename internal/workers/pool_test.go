package workers

import (
	"context"
	"testing"
	"testing/synctest"
)

// Turns run in their order, no more at once than may, and those behind one that blocks go on.
func TestPoolObeysTheLimit(t *testing.T) {
	withPool(t, 2, func(t *testing.T, r *rig) {
		r.Push(r.waits(), r.turn(nil))
		synctest.Wait()
		if r.ran() != 2 {
			t.Error("what comes with a turn that blocks waits for it")
		}
		var order []int
		for i := range 10 {
			r.Push(r.turn(func(context.Context) { order = append(order, i) }))
		}
		synctest.Wait()
		for i, n := range order {
			if n != i {
				t.Errorf("turn %d is number %d", n, i)
			}
		}
		if len(order) != 10 {
			t.Errorf("%d turns ran behind one that blocks", len(order))
		}
		r.Push(r.waits(), r.turn(nil))
		synctest.Wait()
		if n := r.ran(); n != 13 || r.running != 2 {
			t.Errorf("%d turns have begun, %d run", n, r.running)
		}
		close(r.release)
		r.atRest()
		if n := r.ran(); n != 14 {
			t.Errorf("%d turns ran", n)
		}
	})
}

// A turn that pushes itself comes again, behind the others.
func TestTurnsTakeTurns(t *testing.T) {
	withPool(t, 1, func(t *testing.T, r *rig) {
		var order []int
		turns := make([]*Turn, 2)
		for i := range turns {
			turns[i] = r.turn(func(context.Context) {
				if order = append(order, i); len(order) < 5 {
					r.Push(turns[i])
				}
			})
		}
		r.Push(turns...)
		r.atRest()
		for i, n := range order {
			if n != i%2 {
				t.Errorf("the order is %v", order)
			}
		}
	})
}

// A worker without work ends, and one that is closed starts nothing.
func TestWorkersEnd(t *testing.T) {
	withPool(t, 3, func(t *testing.T, r *rig) {
		for range 3 {
			r.Push(r.turn(nil))
			r.atRest()
		}
		r.Push(r.turn(func(context.Context) { r.Close() }), r.turn(nil))
		r.Push(r.turn(nil))
		r.atRest()
		if n := r.ran(); n > 6 {
			t.Errorf("%d turns ran", n)
		}
		before := r.ran()
		r.Push(r.turn(nil))
		if r.atRest(); r.ran() != before {
			t.Error("a turn starts after Close")
		}
	})
}
