package main

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every `go test` in a document names packages that exist, and each alternative of its -run
// and -bench matches a test there. Tests that documents name exist. So a test that is renamed
// or moved is renamed in the documents too.
func TestCommandsOfDocuments(t *testing.T) {
	tree := readTop(t)
	tests := make(map[string][]string) // by folder
	for _, f := range tree.functions {
		if file, name, _ := strings.Cut(f.name, " "); strings.HasSuffix(file, "_test.go") && isTest(name) {
			tests[path.Dir(file)] = append(tests[path.Dir(file)], name)
		}
	}
	everywhere := slices.Concat(slices.Collect(maps.Values(tests))...)
	n := 0
	for name := range tree.documents {
		text, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commands(string(text)) {
			n++
			if missing := c.missing(home(name), tests); len(missing) > 0 {
				t.Errorf("%s: %s: no test %q", name, c.text, missing)
			}
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			if name != "CHANGELOG.md" && !slices.Contains(everywhere, m[1]) {
				t.Errorf("%s: no test %s", name, m[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("%d commands in all documents: this test does not find them", n)
	}
}

// home returns the folder in which the commands of a document run: the module's.
func home(document string) string {
	for _, nested := range []string{"benchmarks", "contrib/prometheus"} {
		if path.Dir(document) == nested {
			return nested
		}
	}
	return "."
}

// command is a `go test`.
type command struct {
	text     string
	dir      string // of `cd dir &&` before it
	packages []string
	patterns []pattern
}

// pattern is an alternative of a -run or -bench, but for '^$', which matches nothing on
// purpose.
type pattern struct {
	text      string
	benchmark bool
}

var (
	goTest   = regexp.MustCompile("(?:cd ([\\w/.]+) && )?(?:[\\w ]+ && )*go test([^`\n#]*)")
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	argument = regexp.MustCompile(`'[^']*'|\S+`)
)

func commands(text string) (all []command) {
	for _, m := range goTest.FindAllStringSubmatch(text, -1) {
		c := command{text: strings.TrimSpace(m[0]), dir: m[1]}
		words := argument.FindAllString(m[2], -1)
		for i, w := range words {
			switch {
			case i > 0 && (words[i-1] == "-run" || words[i-1] == "-bench"):
				if w != "'^$'" {
					for p := range strings.SplitSeq(strings.Trim(w, "'"), "|") {
						c.patterns = append(c.patterns, pattern{p, words[i-1] == "-bench"})
					}
				}
			case w == "." || strings.HasPrefix(w, "./"):
				c.packages = append(c.packages, w)
			}
		}
		all = append(all, c)
	}
	return all
}

// missing lists patterns that match no test, and packages without tests.
func (c command) missing(home string, tests map[string][]string) (list []string) {
	var names []string
	for _, p := range c.packages {
		under, all := strings.CutSuffix(path.Join(home, c.dir, p), "...")
		under = path.Clean(under)
		found := false
		for dir, here := range tests {
			if dir == under || all && (under == "." || strings.HasPrefix(dir, under+"/")) {
				names, found = append(names, here...), true
			}
		}
		if !found {
			list = append(list, p)
		}
	}
	for _, p := range c.patterns {
		re, err := regexp.Compile(p.text)
		if err != nil || !slices.ContainsFunc(names, func(n string) bool {
			return re.MatchString(n) && strings.HasPrefix(n, "Benchmark") == p.benchmark
		}) {
			list = append(list, p.text)
		}
	}
	return list
}
