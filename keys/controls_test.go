package keys

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
	{"what the node sends to itself is handled at once", "OwnFramesWait", "life.go", "\t\tl.own.push(f)\n", "\t\tl.handle(l.self, f)\n"},
	{"what a life that ends has under way counts as not handled", "FalselyDeclaredDead", "life.go", "outcome{err: cause, unknown: true}", "outcome{err: cause}"},
	{"an unknown outcome counts as not handled", "OwnersDie", "life.go", "outcome{err: errOwnerDied, unknown: true}", "outcome{err: errOwnerDied}"},
	{"the states of a life are not dropped at its end", "StatesEndWithTheirLife", "owning.go", "\t\to.push(operation{kind: dropping, arc: Arc(arc.Ring), lost: true})\n", ""},
	{"frames go out before the tables lead here", "NewcomerTakesAtOnce", "peer.go", "\tp.l.awaitReady()\n", ""},
	{"a call whose context ends was surely not handled", "ContextEnds", "sending.go", "outcome{err: contextError(ctx), unknown: true}", "outcome{err: contextError(ctx)}"},
	{"Again counts for nothing", "Again", "sending.go", "again: s.again,", ""},
	{"a message of a handler waits while the node leaves", "LeaveWaitsForCalls", "sending.go", "case h.leaving && !r.nested:", "case h.leaving:"},
	{"a leave does not retire", "ExactWhileOwners|LastOwnerLeaves", "hub.go", "\t\tl.owner.Retire()\n", ""},
	{"a leave does not wait for its arcs", "LastOwnerLeaves", "hub.go", "return h.offers == nil || l.left && l.operations.empty()", "return true"},
	{"a leave does not wait for answers", "LeaveWaitsForAnswers", "hub.go", "return len(l.running) == 0 && l.source.Unanswered() == 0", "return true"},
	{"a leave does not say that it is over", "ExactWhileOwners", "hub.go", "return h.offers == nil || l.close()", "return true"},
	{"handlers do not wait for Resume", "HandlersWaitForResume", "owning.go", "\tif op := l.operations.about(r.m.Point); op != nil {", "\tif op := l.operations.about(r.m.Point); op != nil && false {"},
	{"a call of a handler needs a place", "HandlersCall|MessagesInFront", "owning.go", "\t\tcase e.flags&flagNested != 0:\n\t\t\tl.launchNested(r)\n", ""},
	{"what is in front of a call needs a place", "MessagesInFront", "life.go", "\t\tl.hurry(f.Point)\n", ""},
	{"a place is not given back", "PlaceIsGivenBack", "owning.go", "\t\tl.working--\n", ""},
	{"a move waits for ever for a handler", "Patience", "owning.go", "\t\t\t\tr.cancel(errMoving)\n", ""},
	{"a panic of a handler ends the process", "Panic", "owning.go", "\t\tif p := recover(); p != nil {\n\t\t\tanswer", "\t\tif p := any(nil); p != nil {\n\t\t\tanswer"},
	{"operations on one arc run at once", "HandlersWaitForResume|OperationsOnOneArc", "owning.go", " && !o.overlaps(i) {", " {"},
	{"what a stream has lost is not sent again", "StreamsEnd", "peer.go", "\t\tp.channel.StreamEnded()\n", ""},
	{"a member speaks for another life", "HostileMember", "peer.go", "\tif p.id != source {\n", "\tif false {\n"},
	{"a member speaks for the registry", "HostileMember", "peer.go", "\tif from == arc.Registry || from == l.self {", "\tif from == l.self {"},
	{"messages of a life have no bound", "LivesAreBounded", "peer.go", "p.open++; p.open > maxOpen {", "p.open++; false {"},
	{"frames that a life does not acknowledge have no bound", "LivesAreBounded", "peer.go", " || p.channel.Unacknowledged() > maxUnacked {", " {"},
	{"an arc is given without OnSave", "OnLoad|LastOwnerLeaves|OnSave", "states.go", "\tif s.space.save == nil {\n\t\treturn nil\n", "\tif true {\n\t\treturn nil\n"},
	{"OnLoad is called for a state that is here", "OnLoad", "states.go", "if e := s.get(key, point); e != nil {", "if e := s.get(key, point); e != nil && s.space.load == nil {"},
	{"what has moved stays here", "MovedStatesAreGone", "states.go", "\t\t\t}\n\t\t}\n\t}\n\ts.remove(a)\n}", "\t\t\t}\n\t\t}\n\t}\n}"},
	{"the report of a life has nothing that it holds", "RegistryRestarts", "notes.go", "l.owner.Report())", "arc.Report{})"},
	{"a new registry's orders count for nothing", "RegistryRestarts|Call", "notes.go", "\t\tl.owner.Orders(note.Orders)\n", ""},
	{"a member that leaves counts as dead at once", "ExactWhileOwners", "roll.go", "\t\t\tl.peers[life].listed, l.peers[life].left = false, true\n\t\t\tl.ask()\n", "\t\t\th.gone(life)\n"},
	{"the end of a member is not told to what it owes", "OwnersDie|Again", "roll.go", "\tl.source.Gone(life)\n", ""},
	{"the end of a member is not told to what it holds", "EndedLives", "roll.go", "\tl.owner.Gone(life)\n", ""},
	{"late bodies of ended lives begin new channels", "EndedLives", "peer.go", "to != l.self || h.roll.over[from] {", "to != l.self {"},
	{"a guess forgets owners that came lately", "Guess", "roll.go", "\t\tr.owners.Add(members...)\n", ""},
}

// TestControls plants the bugs. It builds the package once for each, so it runs only with -controls.
func TestControls(t *testing.T) {
	if !*plantAll {
		t.Skip("-controls runs it")
	}
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each builds and links, mostly on one processor
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", plant.Overlay(t, c.file, c.old, c.new),
				"-vet=off", "-failfast", "-timeout", "40s", "-run", "Test("+c.test+")", ".").CombinedOutput()
			switch text := string(out); {
			case err == nil:
				t.Error("the tests do not notice")
			case strings.Contains(text, "[build failed]"):
				t.Errorf("it cannot be built: %.2000s", text)
			default:
				at := max(strings.Index(text, "--- FAIL: "), strings.Index(text, "panic: "), strings.Index(text, "fatal error: "), 0)
				line, _, _ := strings.Cut(text[at:], "\n")
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
