package console

import (
	"fmt"
	"slices"
	"strings"
)

// match returns which command a name means. This is the one place that knows how the
// names of commands are matched: a full name or the short one it has been given come
// first; else whatever has parts between dashes that begin the parts of one name only,
// so that list-m and l-m are both list-messaging-nodes.
func match(name string, commands []Command) (int, error) {
	var fits []int
	for i, c := range commands {
		if name == c.Name || name == c.Short {
			return i, nil
		}
		if shortens(name, c.Name) || shortens(name, c.Short) {
			fits = append(fits, i)
		}
	}
	switch len(fits) {
	case 0:
		return 0, unknown(name, commands)
	case 1:
		return fits[0], nil
	}
	var names []string
	for _, i := range fits {
		names = append(names, commands[i].Name)
	}
	return 0, fmt.Errorf("%q may be %s: type more of it", name, or(names))
}

// shortens says that each part of an abbreviation begins the part of the name in its
// place.
func shortens(short, name string) bool {
	parts := strings.Split(name, "-")
	for i, part := range strings.Split(short, "-") {
		if i == len(parts) || !strings.HasPrefix(parts[i], part) {
			return false
		}
	}
	return true
}

// unknown is the error of a name that fits nothing, with the nearest that do.
func unknown(name string, commands []Command) error {
	var near []string
	best := (len([]rune(name)) + 2) / 3 // mistakes beyond which it is another word
	for _, c := range commands {
		d := best + 1
		for _, n := range names(c) {
			d = min(d, distance(strings.ToLower(name), n))
		}
		if d < best {
			near, best = nil, d
		}
		if d == best {
			near = append(near, c.Name)
		}
	}
	if len(near) == 0 || len(near) > 3 {
		return fmt.Errorf("unknown command %q: type help for the list", name)
	}
	return fmt.Errorf("unknown command %q: did you mean %s? (help lists them all)", name, or(near))
}

// names are what a command is called: by its name, the short one, and the first parts
// of the name.
func names(c Command) []string {
	all := []string{c.Name}
	if c.Short != "" {
		all = append(all, c.Short)
	}
	for i, r := range c.Name {
		if r == '-' {
			all = append(all, c.Name[:i])
		}
	}
	return all
}

// distance is how many letters must be added, left out, replaced, or swapped with their
// neighbours to make one word the other (Damerau and Levenshtein's, where nothing is
// changed twice).
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	var before, last []int // the rows above
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

// or lists what something may be.
func or(all []string) string {
	n := len(all)
	if n < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(slices.Clone(all[:n-1]), ", ") + " or " + all[n-1]
}
