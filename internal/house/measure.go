package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// tree is what was read of a source tree, nested modules included.
type tree struct {
	root      []sized  // the root package's sources, without tests
	names     []string // its exported top-level names
	files     []sized  // all sources, the longest first
	functions []sized  // all functions, the longest first
	tests     int      // functions named Test, Fuzz, Benchmark or Example
	comments  prose    // of all Go files
	documents map[string]prose
}

// sized is something with a number of lines.
type sized struct {
	name  string
	lines int
}

// read reads the tree at dir.
func read(dir string) (*tree, error) {
	t := &tree{documents: make(map[string]prose)}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, file)
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || foreign(name)) {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(file) {
		case ".go":
			return t.source(file, name)
		case ".md":
			text, err := os.ReadFile(file)
			t.documents[name] = markdown(string(text))
			return err
		}
		return nil
	})
	longest := func(a, b sized) int { return cmp.Or(cmp.Compare(b.lines, a.lines), cmp.Compare(a.name, b.name)) }
	slices.SortFunc(t.files, longest)
	slices.SortFunc(t.functions, longest)
	slices.Sort(t.names)
	return t, err
}

// foreign reports whether a folder has code of others, kept as it is: a folder in third_party.
func foreign(name string) bool { return path.Base(path.Dir(name)) == "third_party" }

// source takes in a Go file.
func (t *tree) source(file, name string) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	test := strings.HasSuffix(name, "_test.go")
	measured := sized{name, fset.Position(f.FileEnd - 1).Line}
	t.files = append(t.files, measured)
	inRoot := !test && !strings.Contains(name, "/")
	if inRoot {
		t.root = append(t.root, measured)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
			t.functions = append(t.functions, sized{name + " " + fn.Name.Name, lines})
			if test && fn.Recv == nil && isTest(fn.Name.Name) {
				t.tests++
			}
		}
		if inRoot {
			t.names = append(t.names, exported(d)...)
		}
	}
	for _, c := range f.Comments {
		t.comments.add(sentences(c.Text()))
	}
	return nil
}

func isTest(name string) bool {
	for _, kind := range []string{"Test", "Fuzz", "Benchmark", "Example"} {
		if strings.HasPrefix(name, kind) && name != "TestMain" {
			return true
		}
	}
	return false
}

// exported lists the exported names that a declaration adds to its package.
func exported(d ast.Decl) (names []string) {
	var all []*ast.Ident
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			all = append(all, d.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				all = append(all, s.Name)
			case *ast.ValueSpec:
				all = append(all, s.Names...)
			}
		}
	}
	for _, id := range all {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	return names
}

func (t *tree) print(w io.Writer) {
	lines := 0
	for _, f := range t.root {
		lines += f.lines
	}
	fmt.Fprintf(w, "root: %d files, %d lines, %d exported names\n", len(t.root), lines, len(t.names))
	for _, f := range t.root {
		fmt.Fprintf(w, "  %5d %s\n", f.lines, f.name)
	}
	fmt.Fprintf(w, "tests, fuzz targets, benchmarks, examples: %d\nlongest files:\n", t.tests)
	for _, f := range t.files[:min(8, len(t.files))] {
		fmt.Fprintf(w, "  %5d %s\n", f.lines, f.name)
	}
	fmt.Fprintln(w, "longest functions:")
	for _, f := range t.functions[:min(8, len(t.functions))] {
		fmt.Fprintf(w, "  %5d %s\n", f.lines, f.name)
	}
	fmt.Fprintf(w, "comments: %v\n", t.comments)
	var names []string
	for name := range t.documents {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "%s: %v\n", name, t.documents[name])
	}
}
