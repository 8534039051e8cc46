package deploy

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var underSystemd = flag.Bool("systemd", false, "run the units under a systemd of their own: needs root, namespaces and control groups")

// The units work: under systemd each program starts with all restrictions, is ready, comes back
// after a restart and a kill, and ends in good order.
func TestUnitsUnderSystemd(t *testing.T) {
	if !*underSystemd {
		t.Skip("it changes control groups of this machine: ask for it with -systemd")
	}
	out, err := exec.CommandContext(t.Context(), "systemd/try", programs).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

var (
	settingName = regexp.MustCompile(`RINGDHT_[A-Z_]+`)
	flagLine    = regexp.MustCompile(`(?m)^  -([a-z-]+)`)
)

// Each variable in these files, and in the page about deploying, is a setting of a program.
func TestFilesNameSettings(t *testing.T) {
	settings := map[string]bool{"RINGDHT_MAX_PAYLOAD": true}
	for _, dir := range []string{programs + "/registry", programs + "/node"} {
		out, err := exec.CommandContext(t.Context(), dir, "-h").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range flagLine.FindAllStringSubmatch(string(out), -1) {
			settings["RINGDHT_"+strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))] = true
		}
	}
	files, err := filepath.Glob("systemd/*.service")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, file := range append(files, "Dockerfile", "compose.yaml", "../docs/deploy.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range settingName.FindAllString(string(text), -1) {
			named++
			if !settings[name] {
				t.Errorf("%s: no program has the setting %s", file, name)
			}
		}
	}
	if named < 20 {
		t.Errorf("%d settings in all files: this test does not find them", named)
	}
}

// systemd accepts the units, and sees little that they expose.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatal(units, err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/ringdht-(registry|node)$`)
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		if !start.Match(text) {
			t.Fatalf("%s: no ExecStart", unit)
		}
		file := filepath.Join(t.TempDir(), filepath.Base(unit))
		text = start.ReplaceAll(text, []byte("ExecStart="+programs+"/$1")) // verify looks for the program
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"verify", "--man=no"}, {"security", "--offline=true", "--no-pager", "--threshold=15"}} {
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", append(args, file)...).CombinedOutput()
			if err != nil || args[0] == "verify" && len(out) > 0 {
				t.Errorf("%s %s: %v\n%s", args[0], unit, err, out)
			}
		}
	}
}
