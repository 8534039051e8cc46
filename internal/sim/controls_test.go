package sim

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var simControls = flag.Bool("controls", false, "plant one bug after the other, each of which the simulation must find")

// controls are bugs to plant, each by replacing the one place in a file where old
// stands: a rule that is taken away or bent. A simulation that does not fail then
// proves nothing about that rule.
var controls = []struct{ name, file, old, new string }{
	{"a sink delivers what it had before", "stream/receiver.go",
		"\t\treturn Duplicate, false\n\tcase ahead >=", "\t\tr.accept(f)\n\t\tr.next--\n\t\treturn Accepted, false\n\tcase ahead >="},
	{"every stream starts at the same number", "stream/receiver.go",
		"r.first, r.next, r.done, r.told, r.asked = first, first, first, first, first", "first = 7\n\tr.first, r.next, r.done, r.told, r.asked = first, first, first, first, first"},
	{"a sink opens streams for earlier lives", "stream/receiver.go",
		"\t\treturn false\n\t}\n\tr.restart(", "\t}\n\tr.restart("},
	{"a sink does not deny what it does not know", "stream/receiver.go",
		"\tif r.Stranger(seq) {\n\t\treturn Stale\n\t}\n", ""},
	{"nothing is sent again", "stream/recovery.go",
		"\t\t\tout = append(out, f...)\n\t\t\tsent += len(f)", "\t\t\tsent += len(f)"},
	{"the next hop may lie behind the sink", "ring/ring.go",
		"<= d {\n\t\t\tlo += half", "<= d+d/8 {\n\t\t\tlo += half"},
	{"no such node, because the link to the successor is down", "ring/outlook.go",
		"o.Successor == o.Self || Distance(o.Mask, o.Self, dst) < Distance(o.Mask, o.Self, o.Successor)", "len(o.Detours) == 0"},
	{"everybody is always sure", "ring/outlook.go", "if o.Sure {", "if true {"},
	{"no way around a dead successor", "membership/local.go", "\t\tif up(s) {\n\t\t\tbreak\n\t\t}", "\t\tbreak"},
	{"newcomers are told to everybody at once", "membership/steps.go", "if len(tables) == 0 { // nobody", "if true { // nobody"},
	{"newcomers are announced before the nodes before them know them", "membership/steps.go", "if m.acked >= m.successor && led[m] {", "if true {"},
	{"what came before is confirmed with what comes after", "membership/steps.go", "m.acked = max(m.acked, epoch)", "m.acked = m.sent"},
	{"the gone are not announced", "membership/authority.go", "\tif m.announced {\n\t\ta.gone", "\tif false {\n\t\ta.gone"},
	{"who comes back is told nothing", "membership/authority.go", "\t\t\tm.full, a.dirty = true, true\n", ""},
	{"no time to come back to a new registry", "membership/doubt.go", "if now < a.recovered {", "if false {"},
	{"members come back to a new registry as strangers", "membership/authority.go", "\ta.life = max(a.life, r.Life)\n", "\tr.Epoch = 0\n\ta.life = max(a.life, r.Life)\n"},
	{"a new registry counts epochs from one", "membership/doubt.go", "a.epoch = max(a.epoch, r.Epoch)", "_ = r.Epoch"},
	{"newcomers are admitted while members may come back", "membership/authority.go", "\tif a.recovering {\n\t\t// The ID", "\tif false {\n\t\t// The ID"},
	{"a lost connection is a death", "membership/doubt.go", "until: now + a.Lease", "until: now + a.Lease/16"},
	{"a registry that stood still blames the others", "membership/doubt.go", "m.doubt.until += gap + a.Lease", "m.doubt.until += 0"},
	{"no detours", "membership/parted.go", "if via == nil {", "if true {"},
	{"who is parted stays parted", "membership/parted.go", "delete(a.parted, p)\n\t\ta.detoured = true", "a.detoured = true"},
	{"entries that lag are never put right", "membership/steps.go", "if a.plans.Lag() > 0 && !a.dirty {", "if false {"},
	{"entries may lag without bound", "ring/plan.go", "-limit <= drift && drift <= limit", "limit >= 0 && (!exact || drift == 0)"},
}

// TestControls plants the bugs. It builds the package once for each, so it runs only
// when asked to.
func TestControls(t *testing.T) {
	if !*simControls {
		t.Skip("-controls runs it")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(root, c.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), c.old); n != 1 {
				t.Fatalf("%s has the text to be replaced %d times, want once:\n%s", c.file, n, c.old)
			}
			dir := t.TempDir()
			planted, overlay := filepath.Join(dir, "planted.go"), filepath.Join(dir, "overlay.json")
			list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: planted}})
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{planted: strings.Replace(string(text), c.old, c.new, 1), overlay: string(list)} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-vet=off", "-timeout", "5m", ".", "-first").CombinedOutput()
			found := strings.Index(string(out), "-seed ")
			switch {
			case err == nil:
				t.Errorf("the simulation does not notice")
			case found < 0:
				t.Errorf("something else failed: %s", out)
			default:
				line, _, _ := strings.Cut(string(out[found:]), "\n")
				t.Logf("%.400s", line)
			}
		})
	}
}
