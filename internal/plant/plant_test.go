package plant

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The go command sees the bug, and the file stays as it was.
func TestOverlay(t *testing.T) {
	const text = "package main\n\nfunc main() { println(\"right\") }\n"
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "-overlay", Overlay(t, file, "right", "wrong"), file).CombinedOutput()
	if err != nil || string(out) != "wrong\n" {
		t.Errorf("%v: %s", err, out)
	}
	if got, _ := os.ReadFile(file); string(got) != text {
		t.Errorf("the file is %s", got)
	}
}
