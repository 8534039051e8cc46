package statefile

import (
	"os"
	"path/filepath"
	"testing"
)

// Another user, or a program that was killed, has left a file or a link where the next one is
// written: a secret does not get there, nor into a file that others may read.
func TestPlantedFilesGetNoSecret(t *testing.T) {
	for name, plant := range map[string]func(tmp, elsewhere string) error{
		"a file for all": func(tmp, _ string) error {
			if err := os.WriteFile(tmp, []byte("planted"), 0o666); err != nil {
				return err
			}
			return os.Chmod(tmp, 0o666)
		},
		"a link": func(tmp, elsewhere string) error { return os.Symlink(elsewhere, tmp) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, _, err := Open(dir, State{Ring: "r", Bits: 8, MaxPayload: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			if err := plant(filepath.Join(dir, "ring.key.tmp"), elsewhere); err != nil {
				t.Skip(err) // no links on this system
			}
			if err := d.WriteFile("ring.key", []byte("secret")); err != nil {
				t.Fatal(err)
			}
			if text, _ := os.ReadFile(elsewhere); len(text) > 0 {
				t.Errorf("%q was written through the link", text)
			}
			info, err := os.Lstat(filepath.Join(dir, "ring.key"))
			if err != nil || !info.Mode().IsRegular() || sharedWithOthers(info) {
				t.Error(info, err)
			}
		})
	}
}
