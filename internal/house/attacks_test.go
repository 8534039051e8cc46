package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// attackRows are the attacks of docs/attacks.md, each of which failed once.
var attackRows = strings.Fields("A1 A2 A3 A4 A5 B1 B2 B3 C1 C2 C3 C4 C5 D1 D2 D3 D4 D5 D6 D7 D8 E1 E2 E3 E4 E5 E6 E7 E8 E9")

var testOfPackage = regexp.MustCompile("([a-z]+) `(Test\\w+)`")

// Each attack has a row, which says what happens in both kinds of rings, and names tests. Each of
// these is in a package of that name.
func TestAttacksHaveTests(t *testing.T) {
	tests := make(map[string]bool)
	for _, f := range readTop(t).functions {
		file, name, _ := strings.Cut(f.name, " ")
		tests[path.Base(path.Dir(file))+" "+name] = true
	}
	text, err := os.ReadFile(filepath.Join(top, "docs", "attacks.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		named := testOfPackage.FindAllStringSubmatch(line, -1)
		for _, m := range named {
			if !tests[m[1]+" "+m[2]] {
				t.Errorf("there is no %s in a package %s", m[2], m[1])
			}
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if row := strings.TrimSpace(cells[0]); slices.Contains(attackRows, row) {
			if len(cells) != 7 || len(named) == 0 {
				t.Errorf("row %s has %d columns and %d tests", row, len(cells), len(named))
			}
			rows = append(rows, row)
		}
	}
	if got := slices.Compact(rows); !slices.Equal(got, attackRows) {
		t.Errorf("the rows are %v", got)
	}
}
