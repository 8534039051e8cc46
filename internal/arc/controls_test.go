package arc

import (
	"flag"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/plant"
)

var plantAll = flag.Bool("controls", false, "plant one bug after the other, and check that the simulation finds each")
var plantRuns = flag.Int("controls.runs", 2000, "worlds for each planted bug")
var plantTest = flag.String("controls.test", "Simulation", "what has to find them: this, or Explore")

// controls are bugs to plant: old, which a file has once, becomes new. A simulation that does not
// fail then proves nothing about that rule.
// The search for a rare one begins before a seed that shows it.
var controls = []struct {
	from                 int
	name, file, old, new string
}{
	{1, "a source goes on while messages in front are unanswered", "source.go", "case len(t.sent) > 0 || t.asked != 0", "case t.asked != 0"},
	{1, "a refused message is sent again alone", "source.go", "\tback := slices.Clone(t.sent[i:])\n\tt.sent = slices.Clip(t.sent[:i])\n", "\tback := slices.Clone(t.sent[i:min(i+1, len(t.sent))])\n\tt.sent = slices.Delete(slices.Clone(t.sent), i, min(i+1, len(t.sent)))\n"},
	{7700, "a refused message is sent again behind later ones", "source.go", "t.unsent = append(back, t.unsent...)", "t.unsent = append(t.unsent, back...)"},
	{1, "a refusal calls those in front back too", "source.go", "\ts.takeBack(t, t.index(seq))", "\ts.takeBack(t, 0)"},
	{12900, "a repeated message is sent behind later ones", "source.go", "nil, append(again, t.unsent...)", "nil, append(t.unsent, again...)"},
	{1, "a crash is taken for handled", "source.go", "\t\t\ts.out.Unknown(m.number)\n", "\t\t\ts.out.Answered(m.number, nil)\n"},
	{1, "a crash is taken for not handled", "source.go", "\t\tif m.again {\n", "\t\tif true {\n"},
	{1, "an answered message stays among those sent", "source.go", "\tdelete(s.sent, m.seq)\n\ts.unanswered--", "\ts.unanswered--"},
	{1, "Closed is taken for a death", "source.go", "\t\ts.takeBack(t, 0)\n", "\t\ts.unbind(t)\n\t\ts.lose(t)\n\t\ts.advance(t)\n"},
	{1, "Closed is ignored", "source.go", "\tcase Closed:\n\t\ts.closed(from)\n", ""},
	{1, "a source binds to a life that has closed", "source.go", "\ts.forget(life)\n\tfor _, t := range sorted(s.targets, func(t *target) bool { return t.sentTo", "\tfor _, t := range sorted(s.targets, func(t *target) bool { return t.sentTo"},
	{1, "a source binds to a life that has ended", "source.go", "\ts.forget(life)\n\tfor _, t := range sorted(s.targets, func(t *target) bool { return t.asked", "\tfor _, t := range sorted(s.targets, func(t *target) bool { return t.asked"},
	{1, "Closed while handlers run", "sim_test.go", "case p.mayEnd && !p.over && !p.closing && p.s.Unanswered() == 0 && len(p.handlers) == 0:", "case p.retires && !p.over && !p.closing:"},
	{6400, "Closed before the answers", "world_test.go", "\t\t\tl.queue = append(l.queue, Frame{Kind: Closed})\n", "\t\t\tl.queue = append([]Frame{{Kind: Closed}}, l.queue...)\n"},
	{4900, "the process ends before Closed has arrived", "sim_test.go", "case p.closing && !p.over && p.closed():", "case p.closing && !p.over:"},
	{1, "an Ask of a life that has ended is waited for", "source.go", "\t\t\tt.asked = 0\n", ""},
	{1, "a hint to a life that has ended is followed", "source.go", "t.hints < maxHints && s.out.Reachable(hint):", "t.hints < maxHints:"},
	{1, "a source without a guess does not ask the authority", "source.go", "\tcase !t.final:\n", "\tcase false:\n"},
	{1, "a source rests after its guess", "source.go", "\t\tif t := s.targets[f.Point]; t != nil && t.asked == from {\n\t\t\ts.askNext(t, f.Life)\n", "\t\tif t := s.targets[f.Point]; t != nil && t.asked == from {\n\t\t\tt.final = true\n\t\t\ts.askNext(t, f.Life)\n"},
	{1, "an Ask that the authority has not heard is not repeated", "source.go", "return t.resting || t.asked == Registry }", "return t.resting }"},
	{1, "the authority answers Ask without a hint", "authority.go", "Point: f.Point, Life: cmp.Or(s.receiver, s.holder)}", "Point: f.Point, Life: cmp.Or(s.receiver, s.holder) * 0}"},
	{1, "a source counts as an owner", "authority.go", "len(a.place.all) > 0 {\n\t\treturn o.part.zero()", "len(a.owners) > 1 {\n\t\treturn o.part.zero()"},
	{1, "a source that begins to offer gets nothing", "reports.go", "\tcase len(o.Positions) == 0 && !o.retiring:\n", "\tcase false:\n"},
	{1, "a receiver is not known to take part in a move", "authority.go", "[2]uint64{s.holder, s.receiver}", "[1]uint64{s.holder}"},
	{1, "a life takes part where it has", "authority.go", "\ta.takesPart(arc, false)\n", ""},
	{1, "the share across zero stays with the last owner", "authority.go", "\ta.settle(Arc{math.MaxUint64, math.MaxUint64}) // the rest", "\t_ = math.MaxInt // the rest"},
	{1, "what is free is not given", "authority.go", "\tfor _, part := range parts {\n\t\ta.settle(part)\n", "\tfor _, part := range parts[:0] {\n\t\ta.settle(part)\n"},
	{1, "what has waited for a move does not begin", "authority.go", "\tfor _, sub := range done {\n\t\ta.settle(sub)\n\t}\n", ""},
	{4000, "a retirement that waits is forgotten", "authority.go", "\tif len(done) > 0 {\n\t\ta.retireReady()\n\t}\n", ""},
	{1, "a message needs no term", "handle.go", "p.phase != held || p.term != m.Term {", "p.phase != held {"},
	{1, "a holder handles after its Give", "handle.go", "p.phase != held || p.term != m.Term {", "p.phase == none || p.phase == wanted || p.phase == held && p.term != m.Term {"},
	{4, "two handlers at a point", "handle.go", "\tif len(q) == 1 {\n\t\to.out.Handle(m)", "\tif true {\n\t\to.out.Handle(m)"},
	{1, "what is behind a handler that ends is not handled", "handle.go", "\tif len(q) > 1 {\n\t\to.out.Handle(q[1])\n", "\tif len(q) > 1 {\n"},
	{1, "a receiver handles before its Take", "moves.go", "case p.has && (p.peer == 0 || !o.frozen):", "case (p.has || p.peer != 0) && !o.frozen:"},
	{1, "a Give does not wait for handlers", "moves.go", "!o.busy(whole)", "true"},
	{1, "the copy is dropped at Give", "moves.go", "Term: p.term, Body: state})", "Term: p.term, Body: state})\n\t\t\to.out.Drop(arc, false)"},
	{1, "Took before the state is there", "moves.go", "\to.out.Send(p.peer, Frame{Kind: Pull, Arc: arc, Term: p.term})\n", "\to.out.Send(p.peer, Frame{Kind: Pull, Arc: arc, Term: p.term})\n\to.out.Tell(Frame{Kind: Took, Arc: arc, Term: p.term})\n"},
	{1, "a Grant discards what is held", "moves.go", "\t\t\to.arcs.set(sub, piece{phase: held, term: term})\n", "\t\t\to.out.Drop(sub, false)\n\t\t\to.arcs.set(sub, piece{phase: held, term: term})\n"},
	{1, "a Grant discards a copy", "moves.go", "has: true, resume:", "has: false, resume:"},
	{1, "an older Grant is taken", "moves.go", "if term <= p.term || p.phase == ending {", "if p.phase == ending {"},
	{8900, "a Give of another term is taken", "moves.go", "p.phase == wanted && p.term == f.Term && p.peer == from && p.op", "p.phase == wanted && p.op"},
	{7100, "a Pull under an older term is served", "moves.go", "case p.phase == held && term > p.term && !o.frozen:", "case p.phase == held && !o.frozen:"},
	{31700, "a Pull of an earlier registry is served", "moves.go", "\tif term <= o.bar {\n", "\tif false {\n"},
	{1500, "an owner gives between Report and Orders", "moves.go", "term > p.term && !o.frozen:", "term > p.term:"},
	{1, "an owner takes between Report and Orders", "moves.go", "case p.has && (p.peer == 0 || !o.frozen):", "case p.has:"},
	{1, "a Pull that comes early is lost", "moves.go", "\t\t\t\tw = pull{from, term}\n", ""},
	{1, "a Pull that has waited is forgotten", "moves.go", "\t\t\to.pull(w.from, sub, w.term)\n", ""},
	{8000, "a Pull that comes again waits for ever", "moves.go", "\t\tcase p.phase == none && term <= o.latest:\n", ""},
	{28400, "a Give that met another operation is not asked for again", "moves.go", "o.arcs.set(arc, p); p.phase == wanted && p.peer != 0 {", "o.arcs.set(arc, p); false {"},
	{52400, "what a Take for nothing took is kept", "moves.go", "\t\t\tif ok {\n\t\t\t\to.out.Drop(arc, false)\n\t\t\t}\n\t\t\to.again", "\t\t\to.again"},
	{1, "what has failed is not done again", "moves.go", "\t\tp.failed = false\n", "\t\tcontinue\n"},
	{1, "a copy stays after Settled", "moves.go", "\t\tif p.phase == copied && p.term == term {\n\t\t\to.discard(sub, p)\n\t\t}\n", "\t\t_, _ = sub, p\n"},
	{1, "a retired owner does not wait for handlers", "moves.go", "\t\t\tif !o.busy(sub) {\n", "\t\t\tif true {\n"},
	{1, "a message whose handler does not begin is forgotten", "handle.go", "\to.refuse(q[0])\n", ""},
	{1, "a move waits for a handler that does not begin", "handle.go", "\tdelete(o.queues, point)\n\to.advance(o.arcs.piece(point))\n}\n\n// busy", "\tdelete(o.queues, point)\n}\n\n// busy"},
	{579500, "what a join leaves of a share is not merged", "authority.go", "max(at, at+1)}", "at}"},
	{1, "asks that wait are forgotten", "moves.go", "\to.answerParked(arc, p.term)\n", ""},
	{1, "one that stops is reported as a holder", "orders.go", "case p.phase == held || p.phase == ending", "case p.phase == held || p.phase == stopping || p.phase == ending"},
	{1, "a copy is not reported", "orders.go", "case p.phase == stopping || p.phase == copied:", "case false:"},
	{1, "no bar", "orders.go", "max(o.bar, all.Bar), max", "0, max"},
	{1, "what Orders do not name stays", "orders.go", "\t\t\to.void(arc)\n", "\t\t\t_ = arc\n"},
	{1, "a Took that was lost is not repeated", "orders.go", "\t\t\to.out.Tell(Frame{Kind: Took, Arc: arc, Term: w.Term})\n", ""},
	{1, "a second move during a first", "authority.go", "if s.receiver != 0 || s.holder == share.Life", "if s.holder == share.Life"},
	{1, "an unfinished move is cancelled", "authority.go", "\t\tif s.receiver != 0 || s.holder == share.Life ||", "\t\tif s.receiver != 0 && s.holder == share.Life {\n\t\t\ta.hold(arc, share.Life)\n\t\t}\n\t\tif s.receiver != 0 || s.holder == share.Life ||"},
	{73700, "a move from an owner that has retired", "authority.go", " || s.holder != 0 && a.owners[s.holder].retired {", " {"},
	{1, "arcs of an owner that retires are free at once", "authority.go", "\t\t\to.retired = true\n", "\t\t\to.retired = true\n\t\t\tfor arc, s := range a.arcs.within(Ring) {\n\t\t\t\tif s.holder == life {\n\t\t\t\t\ta.set(arc, state{})\n\t\t\t\t}\n\t\t\t}\n\t\t\ta.settle(Ring)\n"},
	{1, "the giver of a receiver that dies loses the arc", "authority.go", "\t\t\tcase s.receiver == life:\n\t\t\t\tother = s.holder\n", "\t\t\tcase s.receiver == life:\n\t\t\t\ta.set(arc, state{})\n"},
	{1, "a giver hears nothing of the end of a move", "authority.go", "\t\ta.out.Tell(a.arcs.at(sub.First).holder, Frame{Kind: Settled, Arc: sub, Term: term})\n", ""},
	{1, "pieces are not merged", "authority.go", "if pieces > a.cuts {", "if false {"},
	{1, "a new registry takes a giver before the receiver", "reports.go", "\t\t\t\tif g.Term > c.term {", "\t\t\t\tif g.Term > 0 {"},
	{1, "a new registry ignores copies", "reports.go", "range r.Given {", "range r.Given[:0] {"},
	{1, "a giver resumes under the old term", "reports.go", "\t\t\tc.term = a.next()\n", "\t\t\t_ = c\n"},
	{16200, "the bar in the first Orders only", "reports.go", "\ta.orders(o)\n\tif r.Left", "\tbar := a.bar\n\ta.bar = 0\n\ta.orders(o)\n\ta.bar = bar\n\tif r.Left"},
	{1, "Orders before all have reported", "reports.go", "\tif a.recovering {\n\t\to.report = r\n\t\treturn\n\t}\n", "\to.report = r\n"},
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
				"-vet=off", "-timeout", "9m", "-run", *plantTest, ".", "-first", "-from", strconv.Itoa(c.from), "-runs", strconv.Itoa(*plantRuns)).CombinedOutput()
			found := max(strings.Index(string(out), "-seed "), strings.Index(string(out), " steps: "), strings.Index(string(out), "no way to rest"))
			switch {
			case err == nil:
				t.Error("the simulation does not notice")
			case found < 0:
				t.Errorf("something else failed: %.2000s", out)
			default:
				line, _, _ := strings.Cut(string(out[found:]), "\n")
				t.Logf("%.300s", line)
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
