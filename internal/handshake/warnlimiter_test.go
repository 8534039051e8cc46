package handshake

import (
	"fmt"
	"testing"
	"time"
)

func TestRepeats(t *testing.T) {
	var r warnLimiter
	now := time.Unix(1000, 0)
	take := func(kind string, wantLog bool, wantBefore int) {
		t.Helper()
		if log, before := r.allow(kind, now); log != wantLog || before != wantBefore {
			t.Errorf("%s: %v %d, want %v %d", kind, log, before, wantLog, wantBefore)
		}
	}
	take("a", true, 0)
	for range 5 {
		take("a", false, 0)
	}
	take("b", true, 0)
	now = now.Add(RepeatEvery)
	take("a", true, 5)
	take("a", false, 0)
	// What others make up does not grow the memory without bound.
	for i := range 10 * maxKinds {
		r.allow(fmt.Sprint(i), now)
	}
	if len(r.kinds) > maxKinds+1 {
		t.Errorf("%d kinds", len(r.kinds))
	}
	take("new", false, 0) // it is one of the others
	now = now.Add(RepeatEvery)
	for range 2 { // there is room again, but for those that have something to tell
		r.allow("x", now)
	}
	take("y", true, 0)
}
