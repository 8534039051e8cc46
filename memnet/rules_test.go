package memnet

import "testing"

func TestLastRuleWins(t *testing.T) {
	s := newRuleset()
	steps := []struct {
		from, to string
		hold     bool
		ab, ac   bool // held after it
	}{
		{"", "b", true, true, false},
		{"a", "b", false, false, false}, // an exception
		{"", "b", true, true, false},    // over the exception
		{"a", "", false, false, false},
		{"", "", true, true, true},
		{"a", "c", false, true, false},
		{"", "", false, false, false},
	}
	for i, x := range steps {
		s.holds.set(x.from, x.to, x.hold, s.tick())
		if ab, ac := s.isHeld("a", "b"), s.isHeld("a", "c"); ab != x.ab || ac != x.ac {
			t.Errorf("step %d: held a>b %v, a>c %v", i, ab, ac)
		}
	}
	if len(s.holds) != 1 {
		t.Errorf("%d rules are kept after one for all", len(s.holds))
	}
}

func TestSplitsAndHolds(t *testing.T) {
	s := newRuleset()
	s.partitions = append(s.partitions, newPartition([][]string{{"a", "bridge"}, {"b", "bridge"}}, s.tick()))
	check := func(what, from, to string, want bool) {
		t.Helper()
		if got := s.isHeld(from, to); got != want {
			t.Errorf("%s: %s>%s held: %v", what, from, to, got)
		}
	}
	check("split", "a", "b", true)
	check("split", "b", "a", true)
	check("split", "a", "bridge", false)
	check("split", "bridge", "b", false)
	check("split", "a", "x", false)
	check("split", "a", "a", false)
	s.holds.set("a", "", false, s.tick())
	check("released", "a", "b", false)
	check("released", "b", "a", true)
	s.partitions = append(s.partitions, newPartition([][]string{{"a"}, {"x"}}, s.tick()))
	check("again", "a", "x", true)
	check("again", "a", "b", false)
	check("again", "b", "a", true)
}

func TestOneKindLeavesOthers(t *testing.T) {
	s := newRuleset()
	s.drops.set("a", "b", 0.5, s.tick())
	s.delays.set("", "", lag{1, 2}, s.tick())
	s.holds.set("a", "", true, s.tick())
	if got := s.between("a", "b"); got != (faults{1, 2, 0.5, true}) {
		t.Errorf("a>b: %+v", got)
	}
	if got := s.between("b", "a"); got != (faults{delay: 1, jitter: 2}) {
		t.Errorf("b>a: %+v", got)
	}
}
