package node

import (
	"testing"
	"time"
)

// A sink that always names a later incarnation makes a node join again, but less and less often.
func TestRenewalsAreRare(t *testing.T) {
	const lease = 3 * time.Second
	var r rejoinLimit
	now := time.Now()
	begun := 0
	for range 24 * 60 * 60 { // a day, asked once a second
		now = now.Add(time.Second)
		if r.due(now) {
			r.begin(now, lease)
			begun++
		}
	}
	if most := 24*60/5 + 10; begun > most {
		t.Errorf("%d incarnations in a day, more than %d", begun, most)
	}
	now = now.Add(time.Hour)
	r.begin(now, lease)
	if r.delay.Delay() != lease {
		t.Errorf("after a quiet hour the delay is %v", r.delay.Delay())
	}
}

// No node can use up the numbers of incarnations.
func TestIncarnationsBeyondAllSense(t *testing.T) {
	var n Node
	n.noteIncarnation(3)
	n.noteIncarnation(1 << 63)
	n.noteIncarnation(2)
	if n.maxIncarnation.Load() != 3 {
		t.Errorf("the greatest incarnation seen is %d", n.maxIncarnation.Load())
	}
}
