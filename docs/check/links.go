package main

import (
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
)

// faults returns the faults of all documents, in their order.
func (r *repository) faults() (all []string) {
	for _, name := range slices.Sorted(maps.Keys(r.documents)) {
		d := r.documents[name]
		d.fences()
		d.tables()
		d.walk(func(n ast.Node) {
			switch n := n.(type) {
			case *ast.Link:
				r.link(d, offset(n), "link", string(n.Destination))
			case *ast.Image:
				r.link(d, offset(n), "image", string(n.Destination))
			}
		})
		r.mentions(d)
		all = append(all, d.found...)
	}
	return all
}

// link checks that what is linked to is in the repository. Links to elsewhere are not
// followed.
func (r *repository) link(d *document, at int, what, destination string) {
	u, err := url.Parse(destination)
	switch {
	case err != nil:
		d.fault(at, "the %s %q is no address: %v", what, destination, err)
		return
	case u.Scheme != "" || u.Host != "":
		return
	}
	target := d.name
	if u.Path != "" {
		target = path.Join(path.Dir(d.name), u.Path)
	}
	if !r.files[target] {
		d.fault(at, "the %s to %s leads nowhere: there is no %s", what, destination, target)
		return
	}
	if to := r.documents[target]; u.Fragment != "" && to != nil && !to.anchors[u.Fragment] {
		d.fault(at, "the link to %s leads nowhere: %s has no heading with that anchor", destination, target)
	}
}

var (
	reference = regexp.MustCompile(`\[[^\]\[]+\]\[[^\]\[]*\]`)
	namedFile = regexp.MustCompile(`[\w./-]*\w\.md\b`)
	capitals  = regexp.MustCompile(`\b[A-Z]{5,}\b`)
)

// usual are names that documents have by custom, in capitals. Such a word means the document.
var usual = []string{"README", "ARCHITECTURE", "DESIGN", "CONTRIBUTING", "SECURITY", "CHANGELOG", "PROTOCOL", "LICENSE",
	"NOTICE", "AUTHORS", "MAINTAINERS", "GOVERNANCE", "HACKING", "INSTALL", "ROADMAP", "STYLE", "SUPPORT"}

// mentions checks documents that a text names without a link, and links by a name that is
// not defined.
func (r *repository) mentions(d *document) {
	d.walk(func(n ast.Node) {
		t, ok := n.(*ast.Text)
		if !ok {
			return
		}
		words := string(t.Segment.Value(d.source))
		for _, name := range namedFile.FindAllString(words, -1) {
			if !r.has(d, name) {
				d.fault(t.Segment.Start, "%s is not in the repository", name)
			}
		}
		if n.Parent().Kind() == ast.KindCodeSpan {
			return
		}
		for _, w := range capitals.FindAllString(namedFile.ReplaceAllString(words, ""), -1) {
			if slices.Contains(usual, w) && !r.has(d, w) && !r.has(d, w+".md") {
				d.fault(t.Segment.Start, "the document %s is not in the repository", w)
			}
		}
	})
	d.walk(func(n ast.Node) {
		if p, ok := n.(*ast.Paragraph); ok {
			if m := reference.FindString(d.textOf(p)); m != "" {
				d.fault(offset(p), "%s is a link by a name that is not defined", m)
			}
		}
	})
}

// has reports whether a name is one of a file: from the document, from the top, or alone.
func (r *repository) has(d *document, name string) bool {
	name = strings.TrimPrefix(name, "./")
	if r.files[name] || r.files[path.Join(path.Dir(d.name), name)] {
		return true
	}
	for f := range r.files {
		if strings.HasSuffix(f, "/"+name) {
			return true
		}
	}
	return false
}
