package membership

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
)

// Incarnations are greater than each that was given or reported. That holds where the
// clock stands still or goes back, and for reports of nodes that are not admitted.
func TestIncarnationsGrow(t *testing.T) {
	const lease = time.Second
	a := New(Config{Bits: 16, Lease: lease, Grace: 2 * lease, Draw: func(n uint64) uint64 { return n / 2 }})
	last, next := uint64(0), 0
	admit := func(wall, seen uint64) uint64 {
		t.Helper()
		next++
		m, err := a.Admit(1, wall, Request{Addr: fmt.Sprint(next), Want: true, ID: uint64(next), Seen: seen})
		if err != nil {
			t.Fatal(err)
		}
		if m.Incarnation <= last || m.Incarnation <= seen && seen <= control.MaxIncarnation {
			t.Errorf("incarnation %d after %d and seen %d", m.Incarnation, last, seen)
		}
		last = m.Incarnation
		return m.Incarnation
	}
	if inc := admit(1000, 0); inc != 1000 {
		t.Errorf("incarnation %d, want the clock's", inc)
	}
	admit(1000, 0)
	admit(3, 0)
	admit(3, last+1<<50)
	if _, err := a.Resume(1, Request{Addr: "1", ID: 1, Incarnation: 1000, Token: 7, Seen: last + 1<<50}); !errors.Is(err, ErrNotYours) {
		t.Fatal(err) // it is refused, and what it has seen counts
	}
	last += 1 << 50
	admit(3, 0)
	// No node can use up the incarnation numbers.
	admit(3, 1<<64-1)
	if last > control.MaxIncarnation/2 {
		t.Errorf("incarnation %d, counted on from an invalid number", last)
	}
	// Nor can a clock that is far in the future.
	admit(1<<63-1, 0)
	if last > control.MaxIncarnation/2 {
		t.Errorf("incarnation %d, from an invalid clock", last)
	}
	admit(3, control.MaxIncarnation)
	for range 1000 {
		admit(3, control.MaxIncarnation)
	}
	if last > control.MaxIncarnation+1<<45 {
		t.Errorf("incarnation %d: the steps are too large", last)
	}
}
