package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// nextType is the lowest number that no frame has.
const nextType = Type(len(frameTypes))

// TestFrameTypes says what is missing of a new frame type: its row, its body's tests, its line
// in PROTOCOL.md, and code that handles it.
func TestFrameTypes(t *testing.T) {
	protocol, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	handlers := sources(t, "../plane/*.go") + sources(t, "../peers/*.go")
	names := constants(t)
	for n := Type(1); n < FirstControl; n++ {
		name := names[n]
		if name == "" && n >= nextType {
			continue
		}
		if name == "" {
			t.Errorf("type %d has no constant", n)
			continue
		}
		var row frameType
		if n < nextType {
			row = frameTypes[n]
		}
		if kebab(name) != row.name || row.scope == unknown || row.path == "" || row.seq == "" {
			t.Errorf("%s has no full row in frameTypes", name)
			continue
		}
		if row.scope != routed && row.scope != connection {
			t.Errorf("%s has a row and is not a frame between nodes", name)
		}
		if row.scope == connection && (row.body != "" && n != Violated || row.refusal == refused) {
			t.Errorf("%s never leaves its connection: it has no body, and no relay refuses it", name)
		}
		if row.body != "" && row.body != "message" && n != Violated && !hasBodyTest(row.name) {
			t.Errorf("%s has a body and no row in the table of TestBodies", name)
		}
		line := regexp.MustCompile(`(?m)^\| *` + regexp.QuoteMeta(strconv.Itoa(int(n))) + ` *\| *` + name + ` *\|`)
		if !line.Match(protocol) {
			t.Errorf("PROTOCOL.md has no line | %d | %s | in the table of its section 8", n, name)
		}
		if !regexp.MustCompile(`\bwire\.` + name + `\b`).MatchString(handlers) {
			t.Errorf("no source of internal/plane or internal/peers mentions wire.%s", name)
		}
	}
	if nextType > FirstControl {
		t.Errorf("%d types: control frames begin at %d", nextType, FirstControl)
	}
}

// constants returns the name of each frame type, by number.
func constants(t *testing.T) (names [FirstControl]string) {
	file, err := parser.ParseFile(token.NewFileSet(), "types.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, s := range group.Specs {
			v := s.(*ast.ValueSpec)
			if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Type" || v.Names[0].Name == "FirstControl" || !v.Names[0].IsExported() {
				continue
			}
			n, err := strconv.Atoi(v.Values[0].(*ast.BasicLit).Value)
			if err != nil || n <= 0 || n >= int(FirstControl) || names[n] != "" {
				t.Errorf("%s has no number of its own below %d", v.Names[0].Name, FirstControl)
				continue
			}
			names[n] = v.Names[0].Name
		}
	}
	return names
}

// sources returns the text of all Go files but tests.
func sources(t *testing.T, pattern string) string {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

func hasBodyTest(name string) bool {
	for _, b := range bodies {
		if b.name == name {
			return true
		}
	}
	return false
}

// kebab turns NoRoute into no-route.
func kebab(name string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "$1-$2"))
}
