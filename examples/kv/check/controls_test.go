package check

import (
	"flag"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/plant"
)

var plantAll = flag.Bool("controls", false, "plant one bug after the other, and check that a test finds each")

// controls are bugs to plant: old, which a file has once, becomes new.
var controls = []struct {
	test, name, file, old, new string
}{
	{"TestZones", "replicas refuse no primary", "replicate.go", "case e.Held == held && o.Term < e.Primary:", "case false:"},
	{"TestZones", "a Get asks no replica", "replicate.go", "\t\t\t_, err = p.both(ctx, e, Order{Term: term})\n\t\t}", "\t\t}"},
	{"TestZones", "a Get asks one replica", "replicate.go", "\t\t\t_, err = p.both(ctx, e, Order{Term: term})\n\t\t}", "\t\t\t_, err = p.Tell(ctx, 0, Order{Term: term, Held: e.View[0]})\n\t\t}"},
	{"TestZones", "an answer when one replica has the value", "replicate.go", "cmp.Or(errs[0], errs[1])", "cmp.Or(errs[0], nil)"},
	{"TestZones", "no write in takeOver", "replicate.go", "\treturn p.write(ctx, term, e, e.Value)\n", "\te.Held = term\n\treturn nil\n"},
	{"TestZones", "takeOver takes the value of the first replica", "replicate.go", "for _, r := range copies {", "for _, r := range copies[:1] {"},
	{"TestZones", "takeOver takes any value", "replicate.go", "v.Term < w.Term || v.Term == w.Term && v.N < w.N", "v.Term >= 0 && w.Term > 0"},
	{"TestZones", "a replica without memory counts", "replicate.go", "case o.Held != held || e.Held != held && !o.Adopt:", "case false:"},
	{"TestZones", "a primary goes on under another term", "replicate.go", "if e.Held != term {", "if e.Held == 0 {"},
	{"TestZones", "a write that failed is forgotten", "replicate.go", "\t\te.Held = 0 // what the replicas have is open\n", "\t\te.Held = term\n"},
	{"TestZones", "a primary does not ask the registry", "replicate.go", "if err = p.Alive(ctx); err != nil {", "if err != nil {"},
	{"TestZones", "a replica does not ask the registry", "replicate.go", "case o.Adopt && alive(ctx) != nil:", "case false:"},
	{"TestZones", "one number for all values of a term", "replicate.go", "Version{term, e.Version.N + 1}", "Version{term, 1}"},
	{"TestZones", "a Swap that failed is decided again", "replicate.go", "case err != nil || decided:", "case err != nil:"},
	{"TestRing", "no Guard", "store.go", "Collect(s.zones[s.zone].Here())", "Collect(s.zones[s.zone].Here())[:0]"},
	{"TestRing", "replicas are two nodes in one zone", "store.go", "s.zones[1+replica]", "s.zones[1]"},
	{"TestZones", "a write that failed was not done", "replicate.go", "\t\tcase decided:\n\t\t\treturn Answer{}, ErrHalf\n", ""},
}

// TestControls plants the bugs. It builds the package once for each, so it runs only with -controls.
func TestControls(t *testing.T) {
	if !*plantAll {
		t.Skip("-controls runs it")
	}
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", plant.Overlay(t, filepath.Join("../store", c.file), c.old, c.new),
				"-vet=off", "-timeout", "5m", "-run", c.test, ".", "-worlds", "5000", "-rings", "30").CombinedOutput()
			found := strings.Index(string(out), "-seed ")
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
}

// Each bug can be planted.
func TestControlsExist(t *testing.T) {
	for _, c := range controls {
		plant.Overlay(t, filepath.Join("../store", c.file), c.old, c.new)
	}
}
