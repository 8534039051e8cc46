package main

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// document is a parsed document.
type document struct {
	name    string
	source  []byte
	root    ast.Node
	anchors map[string]bool
	found   []string
}

func parse(name string, source []byte) *document {
	d := &document{name: name, source: source, anchors: make(map[string]bool)}
	d.root = renderer.Parser().Parse(text.NewReader(source))
	d.headings()
	return d
}

// fault notes a fault at an offset of the source.
func (d *document) fault(offset int, format string, args ...any) {
	line := 1 + bytes.Count(d.source[:min(offset, len(d.source))], []byte("\n"))
	d.found = append(d.found, fmt.Sprintf("%s:%d: %s", d.name, line, fmt.Sprintf(format, args...)))
}

// headings notes the anchors. Two headings with one anchor make links to them ambiguous.
func (d *document) headings() {
	d.walk(func(n ast.Node) {
		h, ok := n.(*ast.Heading)
		if !ok {
			return
		}
		a := slug(d.textOf(h))
		if d.anchors[a] {
			d.fault(offset(h), "a second heading has the anchor #%s; name it differently", a)
		}
		d.anchors[a] = true
	})
}

// slug returns the anchor that GitHub gives a heading.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// fences reports code blocks that do not end, or in which another one begins: there a fence
// is missing.
func (d *document) fences() {
	open, opened, at := "", 0, 0
	for line := range strings.Lines(string(d.source)) {
		trimmed := strings.TrimSpace(line)
		mark := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`~"))]
		info := strings.TrimSpace(strings.TrimPrefix(trimmed, mark))
		switch {
		case !strings.HasPrefix(mark, "```") && !strings.HasPrefix(mark, "~~~") || strings.Contains(info, "`"):
		case open == "":
			open, opened = mark, at
		case strings.HasPrefix(mark, open) && info == "":
			open = ""
		case strings.HasPrefix(mark, open):
			d.fault(at, "a code block begins inside of another: a fence is missing above")
		}
		at += len(line)
	}
	if open != "" {
		d.fault(opened, "the code block has no end: its closing fence is missing")
	}
}

// tables reports rows that a reader sees with cells lost or missing, and rows that are no
// rows: whatever follows a paragraph inside a table is text.
func (d *document) tables() {
	d.walk(func(n ast.Node) {
		switch n := n.(type) {
		case *east.Table:
			want := len(n.Alignments)
			for row := n.FirstChild(); row != nil; row = row.NextSibling() {
				line := d.lineAt(offset(row))
				if got := cells(line); got != want || !strings.Contains(line, "|") {
					d.fault(offset(row), "the row has %d cells, its table %d: %.40s", got, want, line)
				}
			}
		case *ast.Paragraph, *ast.TextBlock, *ast.CodeBlock:
			if d.inTable(n) {
				return
			}
			lines := n.Lines()
			for i := range lines.Len() {
				s := lines.At(i)
				if line := strings.TrimSpace(string(s.Value(d.source))); strings.HasPrefix(line, "|") {
					d.fault(s.Start, "a row stands outside of a table and shows as raw text: %.40s", line)
				}
			}
		}
	})
}

func (d *document) inTable(n ast.Node) bool {
	for ; n != nil; n = n.Parent() {
		if n.Kind() == east.KindTable {
			return true
		}
	}
	return false
}

// cells counts the cells of a row. A bar that is no border has a backslash, in code too.
func cells(row string) int {
	row = strings.TrimSpace(row)
	row = strings.ReplaceAll(row, `\|`, "")
	row = strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|")
	return strings.Count(row, "|") + 1
}

// lineAt returns the line of the source that has the offset.
func (d *document) lineAt(offset int) string {
	begin := bytes.LastIndexByte(d.source[:offset], '\n') + 1
	line, _, _ := bytes.Cut(d.source[begin:], []byte("\n"))
	return string(line)
}

// offset returns where a node stands in the source. Only blocks and texts know. Others stand
// where what is in them does, and if that is nothing, where their paragraph does.
func offset(n ast.Node) int {
	for ; n != nil; n = n.Parent() {
		if at := within(n); at > 0 {
			return at
		}
	}
	return 0
}

func within(n ast.Node) int {
	if t, ok := n.(*ast.Text); ok {
		return t.Segment.Start
	}
	if n.Type() == ast.TypeBlock && n.Lines() != nil && n.Lines().Len() > 0 {
		return n.Lines().At(0).Start
	}
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if at := within(c); at > 0 {
			return at
		}
	}
	return 0
}

// textOf returns what a reader sees of a node.
func (d *document) textOf(n ast.Node) string {
	var b strings.Builder
	ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(d.source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

func (d *document) walk(f func(ast.Node)) {
	ast.Walk(d.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			f(n)
		}
		return ast.WalkContinue, nil
	})
}
