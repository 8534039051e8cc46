package console

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/x/ringdht"
)

// libraryName matches the library's names as its texts use them: options, methods, and types with
// a method.
var libraryName = regexp.MustCompile(`\bWith[A-Z]\w*|\b(Node|Registry|Traffic|Limits|Member|Peer)\.[A-Z]\w*|\b(Setup|Ready|Join|Members|RunTraffic|Flush|WaitMembers|WaitSettled|Handler)\b`)

// texts returns all string literals of the library outside tests that look like parts of
// sentences, with where they are.
func texts(t *testing.T) map[string]string {
	t.Helper()
	const top = "../../.."
	found := make(map[string]string)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, _ := filepath.Rel(top, path)
		if d.IsDir() {
			switch first, _, _ := strings.Cut(filepath.ToSlash(at), "/"); first {
			case ".", "internal", "status", "memnet", "codec":
			default:
				return filepath.SkipDir
			}
			switch filepath.ToSlash(at) { // tools and tests, which no program has
			case "internal/house", "internal/sim", "internal/chaos", "internal/ringtest", "internal/conformance":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil && strings.Contains(text, " ") || strings.HasPrefix(text, "With") {
					found[text] = at
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Whatever the library can say, in errors, events and logs, the programs say in the words of
// their flags and commands.
func TestWordsOfTheLibrary(t *testing.T) {
	all := texts(t)
	if len(all) < 200 {
		t.Fatalf("%d texts: this test does not find them", len(all))
	}
	for text, at := range all {
		said := Text(errors.New(text))
		if name := libraryName.FindString(said); name != "" {
			t.Errorf("%s: %q names %s, also after the exchange: %q", at, text, name, said)
		}
	}
}

// The exported errors have no names of the library in their texts.
func TestWordsOfErrors(t *testing.T) {
	for _, err := range []error{
		ringdht.ErrClosed, ringdht.ErrNotReady, ringdht.ErrNoSuchNode, ringdht.ErrRefused, ringdht.ErrGone, ringdht.ErrLeft,
		ringdht.ErrTooLarge, ringdht.ErrBacklog, ringdht.ErrBusy, ringdht.ErrRebuilding, ringdht.ErrRegistryLost,
		ringdht.ErrHandshake, ringdht.ErrRingFull, ringdht.ErrTaken, ringdht.ErrUnreachable, ringdht.ErrEvicted, ringdht.ErrOtherRing,
		ringdht.ErrInHandler, ringdht.ErrNotMember, ringdht.ErrNoService,
	} {
		if name := libraryName.FindString(Text(err)); name != "" {
			t.Errorf("%q names %s", Text(err), name)
		}
	}
}
