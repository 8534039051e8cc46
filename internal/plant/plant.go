// Package plant plants bugs for tests: a test that does not fail with the bug proves nothing about the
// promise that the bug breaks.
package plant

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Overlay returns a file for the flag -overlay of the go command. With it old, which the file at path has
// exactly once, is new. The file itself does not change. The test fails if old is not there once: then the
// bug is to be adapted to the code.
func Overlay(t testing.TB, path, old, new string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), old); n != 1 {
		t.Fatalf("%s has the text to replace %d times, want once:\n%s", path, n, old)
	}
	dir := t.TempDir()
	planted, overlay := filepath.Join(dir, "planted.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: planted}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{planted: strings.Replace(string(text), old, new, 1), overlay: string(list)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
