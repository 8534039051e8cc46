package main

import (
	"slices"
	"sync"
	"testing"
)

const top = "../.."

// Imports point one way, from the root down.
func TestImportDirections(t *testing.T) {
	wrong, err := wrongImports(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// The root package is a thin face: these files, few lines, few names.
func TestRootIsThin(t *testing.T) {
	tree := readTop(t)
	want := []string{"codec.go", "dht.go", "doc.go", "node.go", "options.go", "registry.go", "routing.go", "service.go", "transport.go"}
	var have []string
	lines := 0
	for _, f := range tree.root {
		have = append(have, f.name)
		lines += f.lines
	}
	if !slices.Equal(have, want) {
		t.Errorf("the root has %q, want %q: what is not of the face belongs to a package below it", have, want)
	}
	// Services brought a type whose methods say what a node promises of messages, and a node's life
	// before and during Join. These are comments: there is nothing to move below the root.
	if lines > 1260 {
		t.Errorf("the root has %d lines, at most 1260", lines)
	}
	if len(tree.names) > 65 {
		t.Errorf("the root exports %d names, at most 65: %q", len(tree.names), tree.names)
	}
}

// Documents that a newcomer reads are short.
func TestDocumentsAreShort(t *testing.T) {
	tree := readTop(t)
	for name, most := range map[string]int{"README.md": 900, "ARCHITECTURE.md": 4000, "SECURITY.md": 600} {
		if got := tree.documents[name].total; got == 0 || got > most {
			t.Errorf("%s has %d words, at most %d", name, got, most)
		}
	}
}

// Files and functions are short, those of tests too. These are hard bounds; CONTRIBUTING.md
// has what to aim at.
func TestFilesAndFunctionsAreShort(t *testing.T) {
	tree := readTop(t)
	for _, f := range tree.files {
		if f.lines > 420 {
			t.Errorf("%s has %d lines, at most 420: give each concept a file", f.name, f.lines)
		}
	}
	for _, f := range tree.functions {
		if f.lines > 130 {
			t.Errorf("%s has %d lines, at most 130: give its steps functions of their own", f.name, f.lines)
		}
	}
}

// The language is plain: short sentences, and nouns in the place of vague words.
func TestLanguageIsPlain(t *testing.T) {
	tree := readTop(t)
	check := func(what string, p prose, words float64, vague int) {
		t.Helper()
		if mean := float64(p.words) / float64(max(p.sentences, 1)); mean > words {
			t.Errorf("%s: %.1f words a sentence, at most %.1f: split sentences", what, mean, words)
		}
		if p.vague > vague {
			t.Errorf("%s: %d vague words (who, whatever, nobody, everyone ...), at most %d: name the node, caller, reader", what, p.vague, vague)
		}
	}
	check("comments", tree.comments, 12, 45)
	for name, p := range tree.documents {
		if name != "CHANGELOG.md" {
			check(name, p, 14, 1)
		}
	}
}

// theTree is read once for all tests: the race detector makes it slow.
var theTree = sync.OnceValues(func() (*tree, error) { return read(top) })

func readTop(t *testing.T) *tree {
	t.Helper()
	tree, err := theTree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestProse(t *testing.T) {
	for text, want := range map[string]prose{
		"One two three. Four five six seven!":         {words: 7, sentences: 2},
		"A list:\n\n- one two three\n- four five six": {words: 6, sentences: 2},
		"Whoever calls, e.g. a handler, waits.":       {words: 6, sentences: 1, vague: 1},
		"\tcode that is indented\n":                   {},
		"It calls `x.y.z(1. 2)` first.":               {words: 4, sentences: 1},
	} {
		var p prose
		if p.add(sentences(text)); p != want {
			t.Errorf("%q: %+v, want %+v", text, p, want)
		}
	}
}
