package main

import (
	"bytes"
	"fmt"
	"html"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

// renderer is Markdown as GitHub has it.
var renderer = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// repository is what documents may refer to.
type repository struct {
	files     map[string]bool // and folders, by path
	documents map[string]*document
}

// check checks the documents below top and returns how many there are. If pages is not empty,
// it renders them to that folder.
func check(top, pages string) (n int, faults []string, err error) {
	r, err := readRepository(top)
	if err != nil {
		return 0, nil, err
	}
	if pages != "" {
		if err := r.render(pages); err != nil {
			return 0, nil, err
		}
	}
	return len(r.documents), r.faults(), nil
}

func readRepository(top string) (*repository, error) {
	r := &repository{files: make(map[string]bool), documents: make(map[string]*document)}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(top, path)
		name = filepath.ToSlash(name)
		r.files[name] = true
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) == ".md" {
			text, err := os.ReadFile(path)
			r.documents[name] = parse(name, text)
			return err
		}
		return nil
	})
	return r, err
}

// render writes each document as a page.
func (r *repository) render(folder string) error {
	for name, d := range r.documents {
		var page bytes.Buffer
		fmt.Fprintf(&page, "<!doctype html><meta charset=utf-8><title>%s</title>\n", html.EscapeString(name))
		page.WriteString("<style>body{max-width:60em;margin:2em auto;font:16px/1.5 sans-serif}td,th{border:1px solid #ccc;padding:.3em;vertical-align:top}table{border-collapse:collapse}pre{background:#f4f4f4;padding:1em;overflow:auto}img{max-width:100%}</style>\n")
		if err := renderer.Convert(d.source, &page); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		path := filepath.Join(folder, filepath.FromSlash(name)+".html")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
