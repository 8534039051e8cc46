package examples_test

import (
	"fmt"
	"go/doc"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// steps are the steps of the course of doc.go: how each begins, its file, and the name of its
// example.
var steps = []struct{ begins, file, example string }{
	{"Step 1 of the course", "example_test.go", ""},
	{"Step 2 of the course", "rpc/example_test.go", ""},
	{"Step 3 of the course", "example_test.go", "WithName"},
	{"Step 4 of the course", "topic/example_test.go", ""},
	{"Step 5 of the course", "keys/example_test.go", ""},
	{"Step 6 of the course", "memnet/example_test.go", ""},
	{"Step 7 of the course", "example_test.go", "Node_Serve"},
	{"Step 8 of the course", "example_test.go", "WithSecurity"},
}

// Each step of the course is a whole program: copied from its page into a module of one's own it
// runs, and prints what the page says.
func TestCourseInAFreshModule(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and starts processes")
	}
	dir := freshModule(t)
	fset := token.NewFileSet()
	var pages []*doc.Example
	for i, s := range steps {
		example := exampleOf(t, fset, s.begins, s.file, s.example)
		var program strings.Builder
		if err := format.Node(&program, fset, example.Play); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, fmt.Sprint("step", i), "main.go"), program.String())
		pages = append(pages, example)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+"/", "./...")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	for i, page := range pages {
		cmd := exec.Command(filepath.Join(dir, "bin", fmt.Sprint("step", i)))
		cmd.Stderr = os.Stderr
		if out, err := cmd.Output(); err != nil || string(out) != page.Output {
			t.Errorf("%s: %v; it printed\n%sand the page says\n%s", steps[i].begins, err, out, page.Output)
		}
	}

	// The test in the text of package memnet.
	f, err := parser.ParseFile(fset, "../memnet/doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, block := range new(comment.Parser).Parse(f.Doc.Text()).Content {
		if code, ok := block.(*comment.Code); ok && strings.HasPrefix(code.Text, "package ") {
			write(t, filepath.Join(dir, "letters", "letters_test.go"), code.Text)
			n++
		}
	}
	cmd := exec.Command("go", "test", "./letters")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || n != 1 {
		t.Errorf("%d tests in the text of memnet: %v\n%s", n, err, out)
	}
}

// freshModule makes a module that requires this one.
func freshModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.mod"), "module course\n\ngo 1.26\n")
	sums, err := os.ReadFile(filepath.Join(top, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.sum"), string(sums))
	write(t, filepath.Join(dir, "main.go"), "package main\n\nimport _ \"github.com/x/ringdht\"\n\nfunc main() {}\n")
	for _, args := range [][]string{
		{"mod", "edit", "-require=github.com/x/ringdht@v0.0.0", "-replace=github.com/x/ringdht=" + top},
		{"mod", "tidy"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return dir
}

func exampleOf(t *testing.T, fset *token.FileSet, begins, file, name string) *doc.Example {
	t.Helper()
	f, err := parser.ParseFile(fset, filepath.Join("..", file), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range doc.Examples(f) {
		switch {
		case e.Name != name:
		case e.Play == nil || !strings.HasPrefix(e.Doc, begins):
			t.Fatalf("%s, example %q: not a whole program, or not %s", file, name, begins)
		default:
			return e
		}
	}
	t.Fatalf("%s: no example %q", file, name)
	return nil
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
