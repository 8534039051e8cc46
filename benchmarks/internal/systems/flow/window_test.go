package flow

import (
	"testing"
	"testing/synctest"
)

func TestTakeWaitsForRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(10*(100+Overhead), 1, 100)
		taken := 0
		go func() {
			for w.Take(100) {
				taken++
			}
		}()
		synctest.Wait()
		if taken != 10 {
			t.Errorf("%d messages fit in a window for 10", taken)
		}
		w.Release(w.Step)
		synctest.Wait()
		if taken != 15 {
			t.Errorf("%d messages fit after a step of half a window, want 15", taken)
		}
		w.Close()
		synctest.Wait()
		if taken != 15 {
			t.Errorf("a closed window takes messages: %d", taken)
		}
	})
}

// If the sinks together could hold back a whole window, the source would wait forever, and
// synctest would report it.
func TestSinksNeverKeepTheWholeWindow(t *testing.T) {
	for _, sinks := range []int{1, 2, 9, 99} {
		for _, payload := range []int{0, 8, 256, 4096} {
			synctest.Test(t, func(t *testing.T) {
				w := NewWindow(1<<18, sinks, payload)
				kept := make([]int, sinks)
				for i := range 50 * sinks * (w.Size/(payload+Overhead)/sinks + 1) {
					if !w.Take(payload) {
						t.Error("closed")
					}
					k := &kept[i%sinks] // all sinks hold back as much as they can
					if *k += payload + Overhead; *k >= w.Step {
						w.Release(*k)
						*k = 0
					}
				}
			})
		}
	}
}
