package console

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// match returns the index of the command that a name means. All matching of names is here. An
// exact name wins, the short ones too. Otherwise each part of the given name, between dashes,
// must be a prefix of the same part of one command only: both list-m and l-m mean
// list-messaging-nodes. One letter never means a command that ends the program.
func match(name string, commands []Command) (int, error) {
	var fits []int
	for i, c := range commands {
		all := append(c.shorts(), c.Name)
		switch {
		case slices.Contains(all, name):
			return i, nil
		case c.Ends && utf8.RuneCountInString(name) < 2:
		case slices.ContainsFunc(all, func(n string) bool { return shortens(name, n) }):
			fits = append(fits, i)
		}
	}
	switch len(fits) {
	case 0:
		for _, c := range commands {
			if c.Ends && slices.ContainsFunc(append(c.shorts(), c.Name), func(n string) bool { return shortens(name, n) }) {
				return 0, fmt.Errorf("unknown command %q: type %s to end the program", name, c.Name)
			}
		}
		return 0, unknown(name, commands)
	case 1:
		return fits[0], nil
	}
	var names []string
	for _, i := range fits {
		names = append(names, commands[i].Name)
	}
	return 0, fmt.Errorf("%q is ambiguous: it can be %s", name, or(names))
}

// shortens reports whether each part of short is a prefix of the same part of name.
func shortens(short, name string) bool {
	parts := strings.Split(name, "-")
	for i, part := range strings.Split(short, "-") {
		if i == len(parts) || !strings.HasPrefix(parts[i], part) {
			return false
		}
	}
	return true
}

// unknown returns the error for a name without a match. It suggests the nearest names. A
// whole name is nearer than the first parts of one.
func unknown(name string, commands []Command) error {
	var near []string
	best := 2*((utf8.RuneCountInString(name)+2)/3) + 1 // twice the mistakes; with more it is another word
	for _, c := range commands {
		d := best + 1
		for _, n := range append(c.shorts(), c.Name) {
			d = min(d, 2*distance(strings.ToLower(name), n))
		}
		for _, n := range starts(c.Name) {
			d = min(d, 2*distance(strings.ToLower(name), n)+1)
		}
		if d < best {
			near, best = nil, d
		}
		if d == best {
			near = append(near, c.Name)
		}
	}
	if len(near) == 0 || len(near) > 3 {
		return unknownError(fmt.Sprintf("unknown command %q: type help for the list", name))
	}
	return unknownError(fmt.Sprintf("unknown command %q: did you mean %s? (help lists them all)", name, or(near)))
}

// unknownError is the error for a name without a match.
type unknownError string

func (e unknownError) Error() string { return string(e) }

// Elsewhere names commands of another program, which are easily typed in the wrong window.
type Elsewhere struct {
	Program string   // such as "a messenger"
	Names   []string // whole names
}

// find returns the error for a name that means a command of the other program, nil if it means
// none. It replaces suggestions: the nearest name of this program can be one that ends it.
func (e Elsewhere) find(name string) error {
	var others []Command
	for _, n := range e.Names {
		others = append(others, Command{Name: n})
	}
	i, err := match(name, others)
	if err != nil || utf8.RuneCountInString(name) < 2 {
		return nil
	}
	return fmt.Errorf("%s is a command of %s: type it there (help lists the commands of this program)", others[i].Name, e.Program)
}

// shorts returns the names of a command beside its full one.
func (c *Command) shorts() (all []string) {
	if c.Short != "" {
		all = append(all, c.Short)
	}
	return append(all, c.Also...)
}

// starts returns the first parts of a name with dashes.
func starts(name string) (all []string) {
	for i, r := range name {
		if r == '-' {
			all = append(all, name[:i])
		}
	}
	return all
}

// distance returns the edit distance of two words: how many letters must be inserted,
// deleted, replaced, or swapped with a neighbour (Damerau-Levenshtein, in its restricted
// form, in which no part is changed twice).
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	var before, last []int // the two rows above
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range from {
		before, last, row = last, row, make([]int, len(to)+1)
		row[0] = i + 1
		for j := range to {
			replaced := last[j]
			if from[i] != to[j] {
				replaced++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, replaced)
			if i > 0 && j > 0 && from[i] == to[j-1] && from[i-1] == to[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(to)]
}

// or joins alternatives for a sentence: a, b or c.
func or(all []string) string {
	n := len(all)
	if n < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(slices.Clone(all[:n-1]), ", ") + " or " + all[n-1]
}
