package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Comments name what exists: types and their members, links, files, and identifiers. So what
// is renamed is renamed in the comments too.
func TestCommentsNameWhatExists(t *testing.T) {
	d := readDeclared(t)
	for _, c := range d.comments {
		for _, missing := range d.missing(c.text) {
			t.Errorf("%s: no %s", c.at, missing)
		}
	}
	if len(d.comments) < 5000 || len(d.members) < 2000 {
		t.Errorf("%d comments, %d members: this test does not find them", len(d.comments), len(d.members))
	}
}

// Documents name files that exist.
func TestDocumentsNameFiles(t *testing.T) {
	d := readDeclared(t)
	for name := range readTop(t).documents {
		if name == "CHANGELOG.md" || name == "docs/performance-notebook.md" { // history
			continue
		}
		text, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, missing := range d.missingFiles(string(text)) {
			t.Errorf("%s: no %s", name, missing)
		}
	}
}

func TestMissing(t *testing.T) {
	d := declared{
		names:   map[string]bool{"Plane": true, "Config": true, "LowerFence": true, "raiseFence": true},
		members: map[string]bool{"Plane.LowerFence": true, "Config.Wall": true},
		files:   map[string]bool{"fence.go": true, "plane/fence.go": true},
	}
	for comment, want := range map[string][]string{
		"// raiseFence, [Plane.LowerFence], Config.Wall, see LowerFence, plane/fence.go; os.File on macOS": nil,
		"// Config.Pause and [Plane.Resume]":                 {"Config.Pause", "Plane.Resume"},
		"// see Hush; partedFrom is in batch.go, _test.go":   {"Hush", "partedFrom", "batch.go"},
		"// see PROTOCOL.md, a JSON text, [Reader] of a TCP": {"Reader"},
	} {
		if got := d.missing(comment); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", comment, got, want)
		}
	}
}

// declared is what the sources have.
type declared struct {
	names    map[string]bool // identifiers, and words of string literals
	members  map[string]bool // Type.Member, of all packages together
	files    map[string]bool // by each end of the path
	comments []comment       // line by line
}

type comment struct{ at, text string }

// systems are words that look like identifiers and are none.
var systems = map[string]bool{"macOS": true}

var (
	goFile    = regexp.MustCompile(`[\w/.-]*\w\.go\b`)
	member    = regexp.MustCompile(`\b([A-Z]\w*)\.([A-Z]\w*)`)
	docLink   = regexp.MustCompile(`(?:^|[\s(])\[\*?([A-Z]\w*)\](?:$|[\s.,:;)'])`)
	seeName   = regexp.MustCompile(`\bsee ([A-Z]\w*[a-z]\w*)`)
	camelCase = regexp.MustCompile(`\b[a-z]{2,}[A-Z]\w*`)
	someWord  = regexp.MustCompile(`\w+`)
)

// missing lists what a comment names and the sources do not have.
func (d *declared) missing(text string) (all []string) {
	for _, m := range member.FindAllStringSubmatch(text, -1) {
		if d.names[m[1]] && !d.members[m[0]] && d.isType(m[1]) {
			all = append(all, m[0])
		}
	}
	for _, re := range []*regexp.Regexp{docLink, seeName} {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			if !d.names[m[1]] {
				all = append(all, m[1])
			}
		}
	}
	for _, w := range camelCase.FindAllString(text, -1) {
		if !d.names[w] && !systems[w] {
			all = append(all, w)
		}
	}
	return append(all, d.missingFiles(text)...)
}

// isType reports whether a name is that of a type with members here.
func (d *declared) isType(name string) bool {
	for m := range d.members {
		if strings.HasPrefix(m, name+".") {
			return true
		}
	}
	return false
}

func (d *declared) missingFiles(text string) (all []string) {
	for _, f := range goFile.FindAllString(text, -1) {
		if !strings.HasPrefix(f, "_") && !d.files[strings.TrimLeft(f, "./")] {
			all = append(all, f)
		}
	}
	return all
}

// theNames are read once for all tests, as theTree is.
var theNames = sync.OnceValues(func() (*declared, error) { return declaredIn(top) })

func readDeclared(t *testing.T) *declared {
	t.Helper()
	d, err := theNames()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func declaredIn(dir string) (*declared, error) {
	d := &declared{names: map[string]bool{}, members: map[string]bool{}, files: map[string]bool{}}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != dir && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules" || foreign(filepath.ToSlash(name))):
			return filepath.SkipDir
		case e.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		relative, _ := filepath.Rel(dir, name)
		relative = filepath.ToSlash(relative)
		for end := relative; ; {
			d.files[end] = true
			_, rest, more := strings.Cut(end, "/")
			if !more {
				break
			}
			end = rest
		}
		if path.Dir(relative) == "internal/house" { // its texts are about names that are missing
			return nil
		}
		return d.source(name, relative)
	})
	return d, err
}

// source takes in what a file declares, and its comments.
func (d *declared) source(name, relative string) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			d.names[n.Name] = true
		case *ast.BasicLit:
			for _, w := range someWord.FindAllString(n.Value, -1) {
				d.names[w] = true
			}
		case *ast.FuncDecl:
			if n.Recv != nil {
				d.members[typeName(n.Recv.List[0].Type)+"."+n.Name.Name] = true
			}
		case *ast.TypeSpec:
			d.fields(n)
		}
		return true
	})
	if path.Base(path.Dir(path.Dir(relative))) == "third_party" { // what others write is not changed
		return nil
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			line := fset.Position(c.Pos()).Line
			for i, text := range strings.Split(c.Text, "\n") {
				if !strings.HasPrefix(text, "//go:") {
					d.comments = append(d.comments, comment{fmt.Sprintf("%s:%d", relative, line+i), text})
				}
			}
		}
	}
	return nil
}

// fields takes in the fields of a struct and the methods of an interface, embedded ones by
// the names of their types.
func (d *declared) fields(spec *ast.TypeSpec) {
	ast.Inspect(spec.Type, func(n ast.Node) bool {
		f, ok := n.(*ast.Field)
		if !ok {
			return true
		}
		for _, name := range f.Names {
			d.members[spec.Name.Name+"."+name.Name] = true
		}
		if len(f.Names) == 0 {
			d.members[spec.Name.Name+"."+typeName(f.Type)] = true
		}
		return true
	})
}

func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.Ident:
		return x.Name
	}
	return ""
}
