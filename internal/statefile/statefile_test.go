package statefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var fresh = State{Ring: "ring", Bits: 16, MaxPayload: 65536, Empty: true}

func open(t *testing.T, path string, want State) (*Dir, State) {
	t.Helper()
	d, s, err := Open(path, want)
	if err != nil {
		t.Fatal(err)
	}
	return d, s
}

func TestStateIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d, s := open(t, path, fresh)
	if s != fresh {
		t.Errorf("a new directory has %+v", s)
	}
	s.Identity, s.Empty, s.Incarnation, s.Epoch = strings.Repeat("0a", 16), false, 1<<62+1, 7
	if err := d.Write(s); err != nil {
		t.Fatal(err)
	}
	d.Close()
	s.Version = version
	d, again := open(t, path, fresh)
	d.Close()
	if again != s {
		t.Errorf("%+v, want %+v", again, s)
	}
	for _, name := range []string{"ring.json", "lock"} {
		if f, err := os.Stat(filepath.Join(path, name)); err != nil || f.Mode().Perm() != 0o600 {
			t.Error(name, f.Mode(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(path, "ring.json.tmp")); err == nil {
		t.Error("a part is left")
	}
}

// What a process that was killed while it wrote leaves behind does no harm.
func TestHalfWritten(t *testing.T) {
	path := t.TempDir()
	d, s := open(t, path, fresh)
	s.Identity = strings.Repeat("0", 32)
	d.Write(s)
	d.Close()
	os.WriteFile(filepath.Join(path, "ring.json.tmp"), []byte(`{"version": 1, "ri`), 0o600)
	d, again := open(t, path, fresh)
	defer d.Close()
	if again.Identity != s.Identity {
		t.Errorf("%+v", again)
	}
}

func TestOneRegistryAtATime(t *testing.T) {
	path := t.TempDir()
	d, _ := open(t, path, fresh)
	if _, _, err := Open(path, fresh); err == nil || !strings.Contains(err.Error(), "in use by another registry, process ") || strings.Contains(err.Error(), "unknown") {
		t.Error(err)
	}
	d.Close()
	d, _ = open(t, path, fresh)
	d.Close()
}

func TestWrongStates(t *testing.T) {
	path := t.TempDir()
	d, s := open(t, path, fresh)
	s.Identity = strings.Repeat("f", 32)
	d.Write(s)
	d.Close()
	good, _ := os.ReadFile(filepath.Join(path, "ring.json"))
	for _, c := range []struct {
		text, says string
		want       State
	}{
		{string(good), "WithRing", State{Ring: "other", Bits: 16, MaxPayload: 65536}},
		{string(good), "WithBits", State{Ring: "ring", Bits: 17, MaxPayload: 65536}},
		{string(good), "WithMaxPayload", State{Ring: "ring", Bits: 16, MaxPayload: 5}},
		{strings.Replace(string(good), `"version": 2`, `"version": 3`, 1), "version 3", fresh},
		{strings.Replace(string(good), `"ffff`, `"fffF`, 1), "hexadecimal", fresh},
		{string(good[:40]), "not the state of a ring", fresh},
		{"", "not the state of a ring", fresh},
		{"{}", "no version", fresh},
		{string(good) + "x", "not the state of a ring", fresh},
		{strings.Repeat(" ", maxSize) + string(good), "not the state of a ring", fresh},
	} {
		os.WriteFile(filepath.Join(path, "ring.json"), []byte(c.text), 0o600)
		d, _, err := Open(path, c.want)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40q: %v, want %q", c.text, err, c.says)
		}
		if left, _ := os.ReadFile(filepath.Join(path, "ring.json")); string(left) != c.text {
			t.Errorf("%.40q was replaced", c.text)
		}
		if err == nil {
			d.Close()
		}
	}
}

func TestDirectoriesThatCannotBe(t *testing.T) {
	path := t.TempDir()
	file := filepath.Join(path, "file")
	os.WriteFile(file, nil, 0o600)
	os.MkdirAll(filepath.Join(path, "d", "ring.json"), 0o700)
	os.MkdirAll(filepath.Join(path, "e", "lock"), 0o700)
	os.MkdirAll(filepath.Join(path, "f", "ring.json.tmp"), 0o700)
	for _, p := range []string{file, filepath.Join(file, "d"), filepath.Join(path, "d"), filepath.Join(path, "e"), filepath.Join(path, "f")} {
		if _, _, err := Open(p, fresh); err == nil {
			t.Error(p)
		} else {
			t.Log(err)
		}
	}
	if os.Geteuid() != 0 { // root may write everywhere
		locked := filepath.Join(path, "locked")
		os.Mkdir(locked, 0o500)
		if _, _, err := Open(locked, fresh); err == nil || !strings.Contains(err.Error(), "cannot be written") {
			t.Error(err)
		}
	}
}
