package topic

import (
	"flag"
	"os/exec"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/plant"
)

var plantAll = flag.Bool("controls", false, "plant one bug after the other, and check that the tests find each")

// controls are bugs to plant, and the tests that must find them: old, which a file has once, becomes new.
var controls = []struct{ name, test, file, old, new string }{
	{"no repairs", "ExactlyOnce", "internal/broadcast/publisher.go", "\tif f.Origin != n.self {\n", "\tif true {\n"},
	{"what comes back is not sent again", "StreamThatEnds", "hub.go", "]; there {", "]; there && false {"},
	{"a node leaves at once", "LeaverPublishes", "hub.go", "\tif l == nil {\n\t\treturn nil\n", "\tif true {\n\t\treturn nil\n"},
	{"a member that has left counts as dead", "HowMembersEnd", "roll.go", "how == status.MemberDied", "true"},
	{"a member that has died counts as one that leaves", "HowMembersEnd", "roll.go", "how == status.MemberDied", "false"},
	{"the lock is held while a frame is sent", "StuckMember", "outbox.go", "accepted, err := l.h.service.SendBatch(l.ctx, ringdht.ID(o.to), batch)",
		"l.h.mu.Lock()\n\t\taccepted, err := l.h.service.SendBatch(l.ctx, ringdht.ID(o.to), batch)\n\t\tl.h.mu.Unlock()"},
	{"an epoch counts before its list is told", "Roll", "roll.go", "return r.epoch > 0 && r.differ == 0", "return r.epoch > 0"},
	{"a subscription does not tell what it lost", "SlowSubscription", "subscription.go", "\t\ts.pass(s.buffer[0].missed + 1)\n", "\t\ts.pass(0)\n"},
	{"a slow subscription loses the newest", "SlowSubscription", "subscription.go", "\t\ts.pass(s.buffer[0].missed + 1)\n", "\t\ts.miss(1)\n\t\treturn\n"},
	{"a subscription stands at once", "LifeMatters", "hub.go", "case h.life == nil || !h.life.complete:", "case h.life == nil:"},
	{"frames for the next life go to the old one", "LifeMatters", "hub.go", "l == nil || l.self.Incarnation != incarnation", "l == nil || l.self.Incarnation == incarnation+1"},
	{"no later list is looked for", "OtherServices", "hub.go", "\t\th.lookAgain()\n\t\th.mu.Lock()\n", "\t\th.mu.Lock()\n"},
	{"another life gets again what the one before had", "RetainedAfterRejoin", "life.go", "if number > l.before[from.Incarnation] {", "if true {"},
	{"the retained message comes twice", "RetainedOnce", "subscription.go", "at.from == s.retained.from && at.number <= s.retained.number", "false"},
	{"each retains what it got last", "RetainedIsTheSame", "retained.go", "cmp.Compare(at.number, k.at.number)) <= 0 {", "0) < -1 {"},
	{"a stamp may be any", "StampsDo", "envelope.go", "; e.stamp > maxStamp {", "; false {"},
	{"stamps wrap", "StampsDo", "life.go", "min(l.h.clock+1, maxStamp)", "l.h.clock + 1"},
	{"what is asked for again waits again", "NeverReads", "outbox.go", "if o.again[a] {", "if false {"},
	{"what has gone is not sent again", "NeverReads", "outbox.go", "\tdelete(o.again, it.again)\n", ""},
	{"pages wait without bound", "PagesWaitOnce", "retained.go", "if o.again[page] {", "if false {"},
	{"a question that waits is forgotten", "PagesWaitOnce", "outbox.go", "\t\tl.sendPage(o.to, *a)\n", "\t\t_ = a\n"},
	{"a page may repeat", "PagesThatRepeat", "retained.go", "!ok || f.next.more && string(e.subject) <= f.next.after {", "!ok {"},
	{"one page of what is retained", "RetainedPages", "retained.go", "; ok && more {", "; ok && more && false {"},
	{"a newcomer asks a member that is none any more", "RetainedPages", "retained.go", "\t\tcase !there || incarnation != f.eldest.Incarnation:\n", "\t\tcase !there && incarnation != 0:\n"},
}

// TestControls plants the bugs. It builds the package once for each, so it runs only with -controls.
func TestControls(t *testing.T) {
	if !*plantAll {
		t.Skip("-controls runs it")
	}
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", plant.Overlay(t, c.file, c.old, c.new),
				"-vet=off", "-count=3", "-failfast", "-timeout", "40s", "-run", c.test, ".").CombinedOutput()
			switch text := string(out); {
			case err == nil:
				t.Error("no test notices")
			case strings.Contains(text, "[build failed]"):
				t.Errorf("it does not build: %.1000s", text)
			default:
				line, _, _ := strings.Cut(text[max(0, strings.Index(text, "_test.go:")):], "\n")
				t.Logf("%.200s", line)
			}
		})
	}
}

// Each bug can be planted.
func TestControlsExist(t *testing.T) {
	for _, c := range controls {
		plant.Overlay(t, c.file, c.old, c.new)
	}
}
