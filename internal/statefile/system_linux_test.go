package statefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a full disk a registry starts if its directory has a state, and not if it has none. The state
// stays as it is.
func TestFullDisk(t *testing.T) {
	path := t.TempDir()
	d, s := open(t, path, fresh)
	s.Empty = false
	if err := d.Write(s); err != nil {
		t.Fatal(err)
	}
	d.Close()
	before, _ := os.ReadFile(path + "/ring.json")
	// The device that is always full takes the place of the next state.
	regular := create
	defer func() { create = regular }()
	create = func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
	for _, p := range []string{path, t.TempDir()} {
		d, again, err := Open(p, fresh)
		if (err == nil) != (p == path) {
			t.Fatalf("%s: %v", p, err)
		}
		if err != nil {
			if !isFull(err) {
				t.Error(err)
			}
			continue
		}
		if again.Empty || !isFull(d.Unwritten()) {
			t.Errorf("%+v, %v", again, d.Unwritten())
		}
		if err := d.Write(again); !isFull(err) {
			t.Error(err)
		}
		d.Close()
	}
	if after, _ := os.ReadFile(path + "/ring.json"); string(after) != string(before) {
		t.Errorf("%s", after)
	}
}

// A directory that was removed and made again is locked again, or belongs to the registry that was
// faster.
func TestDirectoryMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d")
	d, s := open(t, path, fresh)
	defer d.Close()
	renew := func() {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(s); err == nil {
			t.Error("written to no directory")
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	if err := d.Write(s); err != nil {
		t.Error(err)
	}
	if _, _, err := Open(path, fresh); err == nil || !strings.Contains(err.Error(), "in use by another registry") {
		t.Error(err)
	}
	renew()
	other, _ := open(t, path, fresh)
	if err := d.Write(s); err == nil || !strings.Contains(err.Error(), "in use by another registry") {
		t.Error(err)
	}
	other.Close()
	if err := d.Write(s); err != nil {
		t.Error(err)
	}
}

// A registry that gets a copy of another's directory is told so, once. One that finds its own again,
// also under another name, is not.
func TestCopiedDirectory(t *testing.T) {
	base := t.TempDir()
	path, moved, other := filepath.Join(base, "a"), filepath.Join(base, "moved"), filepath.Join(base, "copy")
	start := func(path string, copied bool) *Dir {
		t.Helper()
		d, s := open(t, path, fresh)
		if d.Copied() != copied {
			t.Errorf("%s is a copy: %v, want %v", path, d.Copied(), copied)
		}
		if err := d.Write(State{Ring: s.Ring, Bits: s.Bits, MaxPayload: s.MaxPayload}); err != nil {
			t.Error(err)
		}
		return d
	}
	start(path, false).Close()
	start(path, false).Close()
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	defer start(moved, false).Close() // it runs while the copy starts
	if err := os.CopyFS(other, os.DirFS(moved)); err != nil {
		t.Fatal(err)
	}
	start(other, true).Close()
	start(other, false).Close()
}
