package channel

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
	{1, "a frame is not copied", "channel.go", "c.buf = append(c.buf, frame...)", "c.buf = append(c.buf, make([]byte, len(frame))...)"},
	{1, "nothing is taken again when a stream has ended", "channel.go", "\tc.rewind()\n\tc.ackDue", "\tc.ackDue"},
	{1, "an acknowledgement that a stream has lost is not repeated", "channel.go", "\tc.ackDue = c.ackDue || c.received > 0\n", ""},
	{1, "a word about a gap that a stream has lost is not repeated", "channel.go", "\t\tc.gap = gapFound\n\t}\n}", "\t}\n}"},
	{1, "a gap is said again and again", "channel.go", "\t\tc.gap = gapSaid\n", ""},
	{1, "a gap is not said", "channel.go", " || c.gap == gapFound)", ")"},
	{1, "an acknowledgement does not go alone", "channel.go", " || c.ackDue ||", " ||"},
	{1, "a question does not go alone", "channel.go", "c.next < c.end() || c.ask ||", "c.next < c.end() ||"},
	{1, "a question goes before the last bytes", "channel.go", "if c.ask && c.next == c.end() {", "if c.ask {"},
	{1, "a question goes once for all", "channel.go", "end > max(c.asked, c.acked)", "c.asked == 0"},
	{1, "counts of what is unacknowledged go on", "channel.go", "c.ackDue, c.newFrames, c.newBytes = false, 0, 0", "c.newFrames, c.newBytes = 0, 0"},
	{1, "a body has the offset behind it", "channel.go", "\tbytes := c.cut(limit - maxHeader)\n", "\tbytes := c.cut(limit - maxHeader)\n\th.offset = c.next\n"},
	{1, "a body is too long", "channel.go", "c.cut(limit - maxHeader)", "c.cut(limit)"},
	{1, "a frame begins with a few bytes", "sending.go", "limit-n >= length+minHead", "limit-n >= length"},
	{1, "a frame that would fit is cut", "sending.go", "if all > limit && limit-n", "if limit-n"},
	{1, "a rest of a frame is taken for a frame", "sending.go", "s.nextRest, n = all-(limit-n), limit", "s.nextRest, n = 0, limit"},
	{1, "a part that is taken again is taken for a frame", "sending.go", "s.next, s.nextRest = s.acked, s.ackedRest\n\tif end", "s.next, s.nextRest = s.acked, 0\n\tif end"},
	{1, "what was acknowledged is taken again", "sending.go", "s.next <= s.acked { // taken again, and not needed\n\t\ts.next, s.nextRest = s.acked, s.ackedRest", "s.next <= s.acked {\n\t\ts.next, s.nextRest = s.acked, 0"},
	{1, "a frame is acknowledged with its first part", "sending.go", "s.ackedRest -= step; s.ackedRest == 0 {", "s.ackedRest -= step; true {"},
	{1, "again is not heard", "sending.go", "\tif again {\n", "\tif false {\n"},
	{1, "what is taken again has no question", "sending.go", "if end := s.end(); s.acked < end {", "if end := s.end(); false {"},
	{1, "what is acknowledged stays in memory", "sending.go", "case cap(s.buf) > kept && 4*len(live) < cap(s.buf):", "case false:"},
	{1, "bytes are moved, and sought where they were", "sending.go", "\ts.head = 0\n}", "}"},
	{1, "what is behind a gap is taken", "receiving.go", "\t\treturn nil\n\t}\n\tc.gap = noGap", "\t\tc.received = h.offset\n\t}\n\tc.gap = noGap"},
	{1, "a gap is found once", "receiving.go", "\tc.gap = noGap\n", ""},
	{1, "repeats are taken", "receiving.go", "\t\tbytes = bytes[known:]\n", ""},
	{1, "repeats drop what is new behind them", "receiving.go", "\t\tbytes = bytes[known:]\n", "\t\tbytes = nil\n"},
	{1, "repeats are not acknowledged", "receiving.go", "\t\tc.ackDue = true\n\t\tbytes", "\t\tbytes"},
	{1, "a question is not heard", "receiving.go", "c.ackDue || h.flags&flagAsk != 0", "c.ackDue"},
	{1, "bodies of other lives are taken", "receiving.go", "case h.from != c.peer || h.to != c.self:", "case h.from != c.peer && h.to != c.self:"},
	{1, "acknowledgements beside a gap are ignored", "receiving.go", "\tif err := c.acknowledge(", "\tif h.offset > c.received {\n\t\th.ack, h.flags = 0, h.flags&flagAsk\n\t}\n\tif err := c.acknowledge("},
	{1, "a part is received when its frame is whole", "receiving.go", "\t\tc.count(n)\n\t\treturn b[n:]", "\t\treturn b[n:]"},
	{1, "memory is made for what was announced", "receiving.go", "min(c.total, max(2*have, have+n))", "c.total"},
	{1, "a part goes on in the next frame", "receiving.go", "c.part = frame[:0]", "c.part = frame"},
	{1, "frames do not count for acknowledgements", "receiving.go", "c.newFrames >= ackFrames || ", ""},
	{1, "bytes do not count for acknowledgements", "receiving.go", " || c.newBytes >= ackBytes", ""},
}

// guards are bugs that only a hostile peer, or a large frame, brings to light, with the test that finds them.
var guards = []struct{ test, name, file, old, new string }{
	{"TestViolations", "any byte can be acknowledged", "sending.go", "case ack > s.high:", "case ack > s.end():"},
	{"TestViolations", "again from an acknowledged byte is ignored", "sending.go", "case ack < s.acked && again:", "case false:"},
	{"TestViolations", "a part of a length can be acknowledged", "sending.go", "if end-at < length {", "if end-at < length && false {"},
	{"TestViolations", "numbers have no bound", "body.go", "n <= 0 || *v > maxNumber", "n <= 0"},
	{"TestViolations", "numbers may be cut", "body.go", "n <= 0 || *v > maxNumber", "*v > maxNumber"},
	{"TestViolations", "unknown flags are ignored", "body.go", " || b[0]&^(flagAsk|flagAgain) != 0", ""},
	{"TestViolations", "lengths have no bound", "receiving.go", "length <= 0 || v > MaxFrame", "length <= 0"},
	{"TestViolations", "what Admit says is ignored", "receiving.go", "!c.out.Admit(v, frame)", "c.out.Admit(v, frame) && false"},
	{"TestViolations", "the channel goes on after a violation", "channel.go", "\tc.Close()\n\tc.err = err\n", "\tc.err = err\n"},
	{"TestCloseInDeliver", "a body is read on after Close", "receiving.go", "len(b) > 0 && !c.closed", "len(b) > 0"},
	{"TestMemoryIsGivenUp", "large buffers are kept", "sending.go", "case cap(s.buf) > kept &&", "case false &&"},
	{"TestMemoryIsGivenUp", "the buffer of a large frame is kept", "receiving.go", "if cap(frame) <= kept {", "if true {"},
	{"TestSteadyStateDoesNotAllocate", "the buffer is not used again", "sending.go", "s.buf, s.head = s.buf[:0], 0", "s.buf, s.head = nil, 0"},
	{"TestSteadyStateDoesNotAllocate", "what is acknowledged is not overwritten", "sending.go", "if s.head >= len(live) &&", "if false &&"},
}

// TestControls plants the bugs. It builds the package once for each, so it runs only with -controls.
func TestControls(t *testing.T) {
	if !*plantAll {
		t.Skip("-controls runs it")
	}
	for _, c := range controls {
		finds(t, c.name, plant.Overlay(t, c.file, c.old, c.new), "-seed ", "-run", "Simulation", "-first", "-runs", "3000", "-from", strconv.Itoa(c.from))
	}
	for _, c := range guards {
		finds(t, c.name, plant.Overlay(t, c.file, c.old, c.new), "--- FAIL: "+c.test, "-run", c.test+"$")
	}
}

// finds checks that a test run with an overlay fails, and that its output has a word.
func finds(t *testing.T, name, overlay, word string, args ...string) {
	t.Run(name, func(t *testing.T) {
		t.Parallel() // each builds and links, mostly on one processor
		args := append([]string{"test", "-overlay", overlay, "-vet=off", "-timeout", "3m"}, args...)
		out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
		found := strings.Index(string(out), word)
		switch {
		case err == nil:
			t.Error("the test does not notice")
		case found < 0:
			t.Errorf("something else failed: %.2000s", out)
		default:
			line, _, _ := strings.Cut(string(out[found:]), "\n")
			t.Logf("%.300s", line)
		}
	})
}

// Each bug can be planted.
func TestControlsExist(t *testing.T) {
	for _, c := range controls {
		plant.Overlay(t, c.file, c.old, c.new)
	}
	for _, c := range guards {
		plant.Overlay(t, c.file, c.old, c.new)
	}
}
