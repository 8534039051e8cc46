package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The documents of the repository have no faults.
func TestDocuments(t *testing.T) {
	n, faults, err := check("../..", t.TempDir())
	if err != nil || n < 10 {
		t.Fatalf("%d documents, %v", n, err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

const good = `# Title

See [other](docs/other.md#a-part-of-it), [below](#bars--code), ![](docs/picture.png), [code](main.go), [far](https://example.com/x#y).

## Bars & code

| a | b |
|---|---|
| 1 | ` + "`x\\|y`" + ` |
| 2 | |

- item

  ` + "```sh\n  ls | wc\n  ```" + `

PROTOCOL, UPPERCASE, docs/other.md and ` + "`other.md`" + ` exist.
`

// Each fault is found, once, where it is.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"none":                         {"", "", ""},
		"paragraph in a table":         {"| 2 | |\n", "A paragraph.\n\n| 2 | |\n", "README.md:10: the row has 1 cells, its table 2: A paragraph.|README.md:12: a row stands outside of a table"},
		"blank line in a table":        {"| 2 | |\n", "\n| 2 | |\n", "README.md:11: a row stands outside of a table and shows as raw text: | 2 | |"},
		"cell too many":                {"| 2 | |", "| 2 | 3 | 4 |", "README.md:10: the row has 3 cells, its table 2: | 2 | 3 | 4 |"},
		"cell too few":                 {"| 2 | |", "| 2 |", "README.md:10: the row has 1 cells, its table 2: | 2 |"},
		"bar in code":                  {`x\|y`, "x|y", "README.md:9: the row has 3 cells"},
		"header of another width":      {"|---|---|", "|---|", "README.md:7: a row stands outside of a table|README.md:8: a row stands|README.md:9: a row stands|README.md:10: a row stands"},
		"row in a list":                {"- item", "- item\n  | 1 | 2 |", "README.md:13: a row stands outside of a table"},
		"row after a list":             {"- item\n", "- item\n\n      | 1 | 2 |\n", "README.md:14: a row stands outside of a table"},
		"broken link":                  {"docs/other.md#a", "docs/another.md#a", "README.md:3: the link to docs/another.md#a-part-of-it leads nowhere: there is no docs/another.md"},
		"link out of the repository":   {"(main.go)", "(../main.go)", "README.md:3: the link to ../main.go leads nowhere"},
		"link of another case":         {"(main.go)", "(Main.go)", "README.md:3: the link to Main.go leads nowhere"},
		"broken anchor":                {"#a-part-of-it", "#a-part", "README.md:3: the link to docs/other.md#a-part leads nowhere: docs/other.md has no heading"},
		"broken anchor in itself":      {"(#bars--code)", "(#bars-code)", "README.md:3: the link to #bars-code leads nowhere"},
		"link by an unknown name":      {"- item", "- [item][unknown]", "README.md:12: [item][unknown] is a link by a name that is not defined"},
		"missing image":                {"picture.png", "drawing.png", "README.md:3: the image to docs/drawing.png leads nowhere"},
		"fence without an end":         {"\n  ```\n", "\n", "README.md:14: the code block has no end"},
		"fence without an end, others": {"\n  ```\n", "\n\n  ```go\n  x\n  ```\n", "README.md:17: a code block begins inside of another"},
		"headings that collide":        {"- item", "## Bars & Code", "README.md:12: a second heading has the anchor #bars--code"},
		"absent document":              {"UPPERCASE", "DESIGN", "README.md:18: the document DESIGN is not in the repository"},
		"absent document, by its file": {"`other.md`", "`design.md`", "README.md:18: design.md is not in the repository"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if c.old != "" && text == good {
				t.Fatalf("%q is not in the good document", c.old)
			}
			_, faults, err := check(plant(t, text), "")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "|README.md:")
			}
			ok := len(faults) == len(want)
			for i := range min(len(faults), len(want)) {
				ok = ok && strings.HasPrefix(faults[i], "README.md:"+strings.TrimPrefix(want[i], "README.md:"))
			}
			if !ok {
				t.Errorf("found\n  %s\nwant\n  %s", strings.Join(faults, "\n  "), strings.Join(want, "\n  "))
			}
		})
	}
}

// plant makes a repository with a README, and what the good one refers to.
func plant(t *testing.T, readme string) string {
	top := t.TempDir()
	for name, text := range map[string]string{
		"README.md": readme, "PROTOCOL.md": "# P\n", "docs/other.md": "# Other\n\n## A part, of it\n",
		"docs/picture.png": "", "main.go": "", "node_modules/x.md": "[broken](x)", ".hidden/x.md": "[broken](x)",
	} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// Pages have what a reader sees.
func TestPages(t *testing.T) {
	folder := t.TempDir()
	if _, _, err := check(plant(t, good), folder); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(folder, "README.md.html"))
	if err != nil || !strings.Contains(string(page), "<td><code>x|y</code></td>") {
		t.Errorf("%v\n%s", err, page)
	}
	if _, err := os.Stat(filepath.Join(folder, "docs", "other.md.html")); err != nil {
		t.Error(err)
	}
}
