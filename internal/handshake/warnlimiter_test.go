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
		if log, before := r.allow("m", kind, now); log != wantLog || before != wantBefore {
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
	// What others make up neither fills the log nor grows the memory.
	lines := 0
	for i := range 10 * maxKinds {
		if log, _ := r.allow("m", fmt.Sprint(i), now); log {
			lines++
		}
	}
	if lines > 8 || len(r.kinds) > 9 {
		t.Errorf("%d lines, %d kinds", lines, len(r.kinds))
	}
	take("new", false, 0) // it is one of the others
	if log, _ := r.allow("another message", "new", now); !log {
		t.Error("a flood of one message silences another")
	}
	now = now.Add(RepeatEvery)
	for range 2 { // there is room again, but for those that have something to tell
		r.allow("m", "x", now)
	}
	take("y", true, 0)
	for i := range 10 * maxKinds {
		r.allow(fmt.Sprint("m", i%maxKinds), fmt.Sprint(i), now)
	}
	if len(r.kinds) > 2*maxKinds+1 {
		t.Errorf("%d kinds", len(r.kinds))
	}
}
