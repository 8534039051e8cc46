package node

import (
	"testing"
	"testing/synctest"
	"time"
)

// A lateness is logged if it is a quarter of a lease, and once a minute.
func TestLatenessInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lateness
		const lease = 3 * time.Second
		const period = lease / 6
		said := 0
		tick := func(late time.Duration, n int) {
			for range n {
				time.Sleep(period + late)
				if l.ran(time.Now(), lease) > 0 {
					said++
				}
				l.sleeps(time.Now().Add(period))
			}
		}
		tick(time.Hour, 1) // the first is no interval
		tick(0, 100)
		tick(lease/64, 500)
		if said != 0 {
			t.Error("small delays are logged")
		}
		was := l.total(time.Now(), lease)
		tick(lease/4, 40) // half a minute and more
		if said != 1 && said != 2 {
			t.Errorf("it is logged %d times", said)
		}
		if got := l.total(time.Now(), lease).Since(was); got.All != 10*lease || got.Stopped != 0 {
			t.Errorf("missed %+v", got)
		}
		time.Sleep(period + lease/8)
		if got := l.total(time.Now(), lease).Since(was); got.All != 10*lease+lease/8 {
			t.Errorf("missed %+v with what is missed now", got)
		}
	})
}
