package memnet

import (
	"slices"
	"strings"
	"time"
)

// A ruleset has all faults of a network. The network's mutex guards it.
type ruleset struct {
	clock      uint64 // counts the rules set, so that the last can win
	delays     rules[lag]
	drops      rules[float64]
	cuts       rules[bool] // always in both directions
	holds      rules[bool]
	partitions []partition // oldest first; they hold, too
}

type lag struct{ delay, jitter time.Duration }

// rules has the rules of one kind: the last for each pair of names, where "" is any host. At
// most four of them match two hosts, so the cost of a lookup does not grow with their number.
type rules[T any] map[direction]rule[T]

type direction struct{ from, to string }

type rule[T any] struct {
	value T
	set   uint64 // by ruleset.clock
}

func newRuleset() ruleset {
	return ruleset{
		delays: make(rules[lag]),
		drops:  make(rules[float64]),
		cuts:   make(rules[bool]),
		holds:  make(rules[bool]),
	}
}

// tick returns the next reading of the clock.
func (s *ruleset) tick() uint64 {
	s.clock++
	return s.clock
}

func (r rules[T]) set(from, to string, v T, now uint64) {
	if from == "" && to == "" {
		clear(r) // it overrules all others
	}
	r[direction{from, to}] = rule[T]{v, now}
}

// last returns the rule for two hosts that was set last, or the zero rule.
func (r rules[T]) last(from, to string) (last rule[T]) {
	for _, p := range [...]direction{{from, to}, {from, ""}, {"", to}, {"", ""}} {
		if x := r[p]; x.set > last.set {
			last = x
		}
	}
	return last
}

// between returns the faults in force on bytes from one host to another.
func (s *ruleset) between(from, to string) faults {
	l := s.delays.last(from, to).value
	return faults{
		delay:  l.delay,
		jitter: l.jitter,
		drop:   s.drops.last(from, to).value,
		held:   s.isHeld(from, to),
	}
}

func (s *ruleset) isCut(a, b string) bool { return s.cuts.last(a, b).value }

func (s *ruleset) isHeld(from, to string) bool {
	r := s.holds.last(from, to)
	for _, p := range slices.Backward(s.partitions) {
		if p.set < r.set {
			break
		}
		if p.separates(from, to) {
			return true
		}
	}
	return r.value
}

// A partition is one call of Partition. It is not kept as pairs of hosts, which can be many.
type partition struct {
	groups map[string][]int // of each host that was named
	set    uint64           // by ruleset.clock
}

func newPartition(groups [][]string, now uint64) partition {
	s := partition{make(map[string][]int), now}
	for i, g := range groups {
		for _, name := range g {
			name = strings.ToLower(name)
			s.groups[name] = append(s.groups[name], i)
		}
	}
	return s
}

// separates reports whether both hosts were named and share no group.
func (s partition) separates(a, b string) bool {
	ga, gb := s.groups[a], s.groups[b]
	return len(ga) > 0 && len(gb) > 0 && !slices.ContainsFunc(ga, func(g int) bool { return slices.Contains(gb, g) })
}
