package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// CI checks each nested module: .ci/run lists it, and has a step for it.
func TestCIChecksAllModules(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(top, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "\nnested=(")
	list, _, _ = strings.Cut(list, ")\n")
	n := 0
	err = filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != top && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules"):
			return filepath.SkipDir
		case e.Name() != "go.mod" || filepath.Dir(name) == filepath.Clean(top):
			return nil
		}
		n++
		dir, _ := filepath.Rel(top, filepath.Dir(name))
		dir = filepath.ToSlash(dir)
		if !strings.Contains(" "+list+" ", " "+dir+" ") || !strings.Contains(string(script), "\nmodule "+dir+"\n") {
			t.Errorf(".ci/run does not check the module %s: name it in nested, and give it a step that begins with: module %s", dir, dir)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d nested modules, %v", n, err)
	}
}
