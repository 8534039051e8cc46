package broadcast

import (
	"flag"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/plant"
)

var plantAll = flag.Bool("controls", false, "plant one bug after the other, and check that the simulation finds each")

// controls are bugs to plant: old, which a file has once, becomes new. A simulation that does not
// fail then proves nothing about that rule.
// The search for a rare one begins at a seed that shows it.
var controls = []struct {
	from                 int
	name, file, old, new string
}{
	{1, "what a dead child was to pass on is lost", "duty.go", "n.spread(s.duty, s.frame(), child.ID, s.limit)", "n.settle(s.duty)"},
	{1, "the range of a dead child ends before its end", "duty.go", "child.ID, s.limit)\n\t}", "child.ID, n.self.ID)\n\t}"},
	{1, "an answer before the children's", "duty.go", "d.waits || d.open > 0", "d.waits"},
	{1, "an answer before the messages are there", "node.go", "if d.waits = s != nil && s.got < f.Number; d.waits {", "if d.waits = false; s != nil && s.got < f.Number {"},
	{1, "tags begin at the same number", "node.go", "lastTag: tag, ", "lastTag: tag * 0, "},
	{1, "a newcomer's children may not know it", "node.go", "max(f.Epoch, n.joined)", "f.Epoch"},
	{6050, "what is needed is sent by a list that is too old", "node.go", "if f.Epoch > n.epoch {", "if f.Kind != Need && f.Epoch > n.epoch {"},
	{1, "what is known is not passed on, though it is a question", "node.go", "\tif f.Tag == 0 {\n\t\tif fresh {", "\tif f.Tag == 0 || !fresh {\n\t\tif fresh {"},
	{1, "a list that is too old answers for newcomers", "node.go", "if f.Epoch > n.epoch {", "if f.Kind != Agree && f.Epoch > n.epoch {"},
	{21600, "a list that is too old answers for messages", "node.go", "if f.Epoch > n.epoch {", "if f.Kind == Agree && f.Epoch > n.epoch {"},
	{1, "a member that leaves before it stands is known to all", "node.go", "if f.Kind == Agree && !n.view.has(f.Origin) {", "if false {"},
	{1, "a question about a later list is forgotten", "node.go", "\t\tn.Handle(e.from, e.f)\n", "\t\t_ = e\n"},
	{1, "a newcomer publishes before all know it", "publisher.go", "return n.standing && ", "return "},
	{1, "messages from a member that has ended are delivered", "source.go", "if !n.view.has(m) || m == n.self {", "if m == n.self {"},
	{1, "a message is delivered twice", "source.go", "case number <= s.got || known:", "case number < s.got || known:"},
	{1, "a message in front of a gap is delivered", "source.go", "case number == s.got+1:", "case number > s.got:"},
	{1, "what waits in front of a gap stays", "source.go", "\t\tn.deliver(s, number, body)\n\t\tn.drain(s)", "\t\tn.deliver(s, number, body)"},
	{1, "gaps are not asked for", "node.go", "\t\t\tn.ask(s, f.Number)\n", ""},
	{1, "only the first gap is asked for", "source.go", "\t\tneed(a.number - 1)\n\t\tfrom = a.number + 1\n", "\t\tneed(a.number - 1)\n\t\treturn\n"},
	{1, "what came before the first message counts as missed", "source.go", "if !s.begun {", "if false {"},
	{1, "what is gone is waited for", "source.go", "\t\ts.got = lo - 1\n", ""},
	{1, "what is gone is not counted", "source.go", "\t\ts.missed += lo - 1 - s.got\n", ""},
	{1, "what came back is not sent again", "node.go", "{ n.out.Send(to, f) }", "{}"},
	{1, "questions wait for the dead", "source.go", "\t\td.waits = false\n\t\tn.settle(d)\n", "\t\t_ = d\n"},
	{1, "a member that leaves is over at once", "node.go", "\t\tif s := n.sourceOf(m); s != nil && !s.left {", "\t\tn.forget(m)\n\t\tif s := n.sources[m.Incarnation]; s != nil {"},
	{28250, "late questions wait for a member that has left", "node.go", "\t\ts.ended = true\n\t\tn.forgetEnded(m)\n", "\t\t_ = s\n"},
	{1, "one round, and no other", "publisher.go", "if o.lo < o.next {", "if false {"},
	{1, "a round frees what it did not ask for", "publisher.go", "for o.lo <= round.upTo {", "for o.lo < o.next {"},
	{1, "settled at once", "node.go", "if d.waits = d.upTo >= n.own.lo; d.waits {", "if false {"},
	{1, "the eldest of a child's range is not told on", "duty.go", "\t\ts.eldest = elder{f.Origin, f.Number}\n", "\t\t_ = f\n"},
	{1, "a range ends before its end", "view.go", "end = v[(first+2*at-1)%len(v)].ID", "end = v[(first+2*at-2)%len(v)].ID"},
	{1, "no last child of a range", "view.go", "for at := 1; at <= n; at *= 2 {", "for at := 1; at < n; at *= 2 {"},
	{1, "a range over zero is empty", "view.go", "\tif from > limit {\n\t\tn += len(v)\n\t}\n", ""},
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
				"-vet=off", "-timeout", "3m", "-run", "Simulation", ".", "-first", "-from", strconv.Itoa(c.from)).CombinedOutput()
			found := strings.Index(string(out), "-seed ")
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
