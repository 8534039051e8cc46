package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A link or a file of another user in place of the next join line does not get its secret.
func TestPlantedFilesGetNoSecret(t *testing.T) {
	dir := t.TempDir()
	name, elsewhere := filepath.Join(dir, "join"), filepath.Join(dir, "elsewhere")
	if err := os.Symlink(elsewhere, name+".tmp"); err != nil {
		t.Skip(err)
	}
	for range 2 {
		if err := writePrivate(name, "secret"); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(name); err != nil || info.Mode() != 0o600 {
			t.Error(info.Mode(), err)
		}
		os.WriteFile(name+".tmp", nil, 0o644)
	}
	if text, err := os.ReadFile(elsewhere); err == nil {
		t.Errorf("%q was written through the link", text)
	}
}
