package node

import (
	"testing"
	"time"
)

// A sink that always remembers a later life, or says so, makes a node begin lives more and
// more seldom.
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
		t.Errorf("%d lives in a day, more than %d", begun, most)
	}
	now = now.Add(time.Hour)
	r.begin(now, lease)
	if r.delay.Delay() != lease {
		t.Errorf("after an hour of peace the rest is %v", r.delay.Delay())
	}
}

// No node can use up the lives there are.
func TestLivesBeyondAllSense(t *testing.T) {
	var n Node
	n.noteIncarnation(3)
	n.noteIncarnation(1 << 63)
	n.noteIncarnation(2)
	if n.maxIncarnation.Load() != 3 {
		t.Errorf("the greatest life met is %d", n.maxIncarnation.Load())
	}
}
