package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests of each package that starts goroutines, itself or in its tests, look for what is
// left of them. So do modules of their own, but for the benchmarks: the systems that they
// compare keep goroutines.
func TestPackagesLookForLeaks(t *testing.T) {
	starts, tested, looks := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	err := filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != top && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules" || e.Name() == "benchmarks"):
			return filepath.SkipDir
		case e.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(top, name)
		dir := path.Dir(filepath.ToSlash(relative))
		starts[dir] = starts[dir] || startsGoroutines(t, name, text)
		if strings.HasSuffix(name, "_test.go") {
			tested[dir] = true
			looks[dir] = looks[dir] || strings.Contains(string(text), "leaks.Main(m)") || strings.Contains(string(text), "leaks.Run(m") ||
				dir == "internal/leaks" && strings.Contains(string(text), "{ Main(m) }")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, dir := range slices.Sorted(maps.Keys(starts)) {
		if starts[dir] && tested[dir] {
			n++
			if !looks[dir] {
				t.Errorf("%s starts goroutines, and its tests do not look for those left: give it func TestMain(m *testing.M) { leaks.Main(m) }", dir)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d packages start goroutines: this test does not find them", n)
	}
}

// startsGoroutines reports whether a source has a go statement, a WaitGroup's Go, or calls
// that start many: of a node, a registry, a server.
func startsGoroutines(t *testing.T, name string, text []byte) (found bool) {
	f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = true
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Go", "NewRegistry", "Join", "NewServer", "Serve"}, s.Sel.Name) {
				x, named := s.X.(*ast.Ident)
				found = found || !named || x.Name != "strings" && x.Name != "filepath" && x.Name != "path" && x.Name != "bytes" && x.Name != "errors"
			}
		}
		return !found
	})
	return found
}
