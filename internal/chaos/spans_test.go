//go:build linux

package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// span is the message numbers from first to last, inclusive.
type span struct{ first, last uint64 }

// spans is a set of message numbers. A run without faults is one span, so a set stays small
// however many messages there are.
type spans []span

func (s spans) count() (n uint64) {
	for _, x := range s {
		n += x.last - x.first + 1
	}
	return n
}

func (s spans) contains(n uint64) bool {
	return slices.ContainsFunc(s, func(x span) bool { return x.first <= n && n <= x.last })
}

// union is the set of all numbers of the spans, and the set of the numbers that are in more
// than one. The spans may overlap, in any order.
func union(all spans) (set, twice spans) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for _, x := range all {
		if len(set) == 0 || x.first > set[len(set)-1].last+1 {
			set = append(set, x)
			continue
		}
		end := &set[len(set)-1].last
		if x.first <= *end {
			twice = append(twice, span{x.first, min(x.last, *end)})
		}
		*end = max(*end, x.last)
	}
	return set, twice
}

// minus is the numbers of a that are not in b. Both are sets as union makes them.
func minus(a, b spans) (rest spans) {
	for _, x := range a {
		for _, y := range b {
			if y.last < x.first || y.first > x.last {
				continue
			}
			if y.first > x.first {
				rest = append(rest, span{x.first, y.first - 1})
			}
			x.first = y.last + 1
			if x.first > x.last {
				break
			}
		}
		if x.first <= x.last {
			rest = append(rest, x)
		}
	}
	return rest
}

// String lists the first few spans.
func (s spans) String() string {
	var b strings.Builder
	for i, x := range s {
		if i == 5 {
			fmt.Fprintf(&b, " and %d more", len(s)-i)
			break
		}
		fmt.Fprintf(&b, " %d-%d", x.first, x.last)
	}
	return strings.TrimSpace(b.String())
}
