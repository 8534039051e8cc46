package node

import (
	"testing"
	"time"
)

// An answer confirms the heartbeat that it answers, and none that was sent later. So a node that
// was suspended is a member if a heartbeat is answered that it sent after it resumed.
func TestWhichBeatIsAnswered(t *testing.T) {
	var p contact
	now := time.Now()
	beat := func() time.Time { now = now.Add(time.Second); p.sent(now); return now }
	p.restart(now)
	before := 0
	for range maxUnanswered + 5 {
		beat()
		before++
	}
	now = now.Add(time.Hour)
	if !p.suspended(now) || p.suspended(now) {
		t.Error("the suspension is new once")
	}
	beat() // finds no room either
	before++
	for range before {
		if p.answered() {
			t.Error("an answer to an earlier heartbeat, or to one that is not remembered, says that it is a member")
		}
	}
	at := beat()
	if !p.answered() || p.heard != at {
		t.Error("the answer to a later heartbeat does not say so")
	}
	beat()
	if p.answered() {
		t.Error("it says so twice")
	}
}
