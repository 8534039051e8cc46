package fence

import (
	"testing"
	"time"
)

const limit = 5 * time.Second

// The fence goes up when either clock says that the process was suspended. It stays up until it
// is lowered, even if the clocks are set right.
func TestFenceGoesUpAfterASuspension(t *testing.T) {
	for _, c := range []struct {
		name     string
		ran, day time.Duration // steps of the clocks
		stops    bool
	}{
		{"awake", limit, limit, false},
		{"suspended", 0, limit + 1, true},
		{"suspended for long", 1, 1000 * time.Hour, true},
		{"stopped", limit + 1, limit + 1, true},
		{"set back", limit, -time.Hour, false},
		{"stopped and set back", limit + 1, -time.Hour, true},
	} {
		for _, first := range []string{"Running", "Check"} {
			t.Run(c.name+"/"+first, func(t *testing.T) {
				var f Fence
				ran, day := time.Second, 10000*time.Hour
				f.Start(limit, ran, day)
				ran, day = ran+c.ran, day+c.day
				if f.Up() {
					t.Fatal("it begins up")
				}
				var lowered <-chan struct{}
				if first == "Running" {
					if f.Running(ran, day) == c.stops {
						t.Error("running:", !c.stops)
					}
					lowered = f.Check(ran, day)
				} else {
					lowered = f.Check(ran, day)
				}
				if up := f.Up(); up != c.stops || (lowered != nil) != c.stops {
					t.Errorf("up: %v, to wait for: %v", up, lowered)
				}
				if !c.stops {
					return
				}
				for range 3 { // no sign of life, and clocks that are set right, do not lower it
					if f.Running(time.Second, 10000*time.Hour) || !f.Up() || f.Check(time.Second, 10000*time.Hour) == nil {
						t.Error("it was lowered by itself")
					}
				}
				f.Lower(ran, day)
				<-lowered
				if f.Up() || !f.Running(ran+limit, day+limit) || f.Check(ran+limit, day+limit) != nil {
					t.Error("it was not lowered")
				}
				f.Lower(ran, day) // nothing to do
			})
		}
	}
}

// Signs of life keep it down. Without a limit it is never up.
func TestFenceStaysDown(t *testing.T) {
	var f, none Fence
	f.Start(limit, 1, 1)
	none.Start(0, 1, 1)
	for now := time.Duration(1); now < time.Minute; now += limit {
		if !f.Running(now, now) || f.Check(now, now) != nil || f.Up() {
			t.Fatal("up after", now)
		}
		if later := 1000 * now; !none.Running(later, later) || none.Check(later, later) != nil || none.Up() {
			t.Fatal("up without a limit")
		}
	}
}
