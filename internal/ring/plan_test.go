package ring

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// churn is a membership that changes at random. IDs are drawn from a small space, so they
// soon come back with another incarnation.
type churn struct {
	rng     *rand.Rand
	space   uint64
	lastInc uint64
	members []Member // ascending by ID
}

func (c *churn) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(c.members, id, func(m Member, id uint64) int { return cmp.Compare(m.ID, id) })
}

func (c *churn) join() {
	for uint64(len(c.members)) < c.space {
		id := c.rng.Uint64N(c.space)
		if at, taken := c.find(id); !taken {
			c.lastInc++
			c.members = slices.Insert(c.members, at, Member{Peer: Peer{ID: id, Incarnation: c.lastInc}})
			return
		}
	}
}

func (c *churn) die() {
	if n := len(c.members); n > 0 {
		at := c.rng.IntN(n)
		c.members = slices.Delete(c.members, at, at+1)
	}
}

// rejoin gives a member another incarnation between two updates.
func (c *churn) rejoin() {
	if n := len(c.members); n > 0 {
		c.lastInc++
		c.members[c.rng.IntN(n)].Incarnation = c.lastInc
	}
}

func positions(members []Member) map[Ref]int {
	at := make(map[Ref]int, len(members))
	for i, m := range members {
		at[m.Ref()] = i
	}
	return at
}

// model is the definition of Update, word for word, without shared slices.
type model map[Ref]View

func (m model) update(members []Member, offsets Offsets, exact bool) {
	n, position := len(members), positions(members)
	ref := func(i int) Ref { return Ref{members[i%n].ID, members[i%n].Incarnation} }
	for r := range m {
		if _, ok := position[r]; !ok {
			delete(m, r)
		}
	}
	for i := range members {
		old, v := m[ref(i)], View{Entries: []Ref{}, Successors: []Ref{}}
		for e, c := range offsets {
			entry := ref(i + c)
			if !exact && e < len(old.Entries) {
				if at, alive := position[old.Entries[e]]; alive && near(offsets, e, (at-i+n)%n-c) {
					entry = old.Entries[e]
				}
			}
			v.Entries = append(v.Entries, entry)
		}
		for s := 1; s <= 4 && s < n; s++ {
			v.Successors = append(v.Successors, ref(i+s))
		}
		m[ref(i)] = v
	}
}

// near says whether an entry at another offset may stay.
func near(o Offsets, e, off int) bool {
	off = max(off, -off)
	low, high := 0, math.MaxInt/8
	if e > 0 {
		low = o[e-1]
	}
	if e+1 < len(o) {
		high = o[e+1]
	}
	return 8*off <= o[e] && 4*off <= o[e]-low && 4*off <= high-o[e]
}

// sound checks what must hold for every view, whatever the model says, and returns how
// many entries lag.
func sound(t *testing.T, o Offsets, position map[Ref]int, self int, v View) (lag int) {
	t.Helper()
	n, before := len(position), 0
	for e, r := range v.Entries {
		at, alive := position[r]
		if !alive {
			t.Fatalf("position %d of %d: entry %d names %v, which is dead or another incarnation", self, n, e, r)
		}
		d := (at - self + n) % n
		if d <= before {
			t.Fatalf("position %d of %d: entry %d is %d ahead, the one before %d", self, n, e, d, before)
		}
		before = d
		off := d - o[e]
		if o[e] < 8 && off != 0 || !near(o, e, off) {
			t.Fatalf("position %d of %d: entry %d is %d ahead", self, n, e, d)
		}
		if off != 0 {
			lag++
		}
	}
	if len(v.Successors) != max(0, min(4, n-1)) {
		t.Fatalf("position %d of %d: %d successors", self, n, len(v.Successors))
	}
	for s, r := range v.Successors {
		if at, alive := position[r]; !alive || at != (self+s+1)%n {
			t.Fatalf("position %d of %d: successor %d is %v", self, n, s, r)
		}
	}
	if len(v.Entries) > 0 && v.Entries[0] != v.Successors[0] {
		t.Fatalf("position %d of %d: entry 0 is not the successor", self, n)
	}
	return lag
}

// apply changes a copy of a view as a node does when it is told of a change. It fails if
// a part of the change changes nothing.
func apply(t *testing.T, v View, known bool, c Change) View {
	t.Helper()
	entries := make([]Ref, c.Size)
	kept := copy(entries, v.Entries)
	if !known && c.Successors == nil {
		t.Fatalf("a view from scratch without successors: %+v", c)
	}
	if known && len(v.Entries) == c.Size && len(c.Slots) == 0 && c.Successors == nil {
		t.Fatalf("a change of nothing: %+v", c)
	}
	if known && c.Successors != nil && slices.Equal(v.Successors, c.Successors) {
		t.Fatalf("successors that have not changed: %+v", c)
	}
	last := -1
	for _, s := range c.Slots {
		if s.At <= last || s.At < kept && entries[s.At] == s.Ref {
			t.Fatalf("slot %d has not changed, or is out of order: %+v", s.At, c)
		}
		entries[s.At], last = s.Ref, s.At
	}
	out := View{Entries: entries, Successors: v.Successors}
	if c.Successors != nil {
		out.Successors = c.Successors
	}
	return out
}

func TestUpdateAgainstTheModel(t *testing.T) {
	for _, n := range []int{0, 3, 12, 40, 150, 600} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			seed := rand.Uint64()
			defer func() {
				if t.Failed() {
					t.Log("seed", seed)
				}
			}()
			c := &churn{rng: rand.New(rand.NewPCG(seed, 1)), space: uint64(2*n + 8)}
			for range n {
				c.join()
			}
			p, m, copies := NewPlans(), model{}, map[Ref]View{}
			layout, steps, lagged := Layout{}, 300, 0
			if n >= 600 || raceEnabled || testing.Short() {
				steps = 100
			}
			for range steps {
				exact := c.rng.IntN(25) == 0
				for range []int{0, 1, 1, 1, 1, 3, 20}[c.rng.IntN(7)] {
					[]func(){c.join, c.join, c.die, c.die, c.rejoin}[c.rng.IntN(5)]()
				}
				if c.rng.IntN(20) == 0 {
					layout = Layout{Fewest: c.rng.IntN(2) == 0, K: c.rng.IntN(12)}
				}
				layout = layout.For(len(c.members))
				offsets := layout.Offsets
				if len(c.members) > 0 && c.rng.IntN(10) == 0 {
					one := c.members[c.rng.IntN(len(c.members))]
					p.Forget(one.ID)
					if _, ok := p.View(one.ID); ok {
						t.Fatal("a view that was forgotten is still there")
					}
					delete(m, Ref{one.ID, one.Incarnation})
					delete(copies, Ref{one.ID, one.Incarnation})
				}

				changes := p.Update(c.members, offsets, exact)
				m.update(c.members, offsets, exact)
				last := -1
				for _, change := range changes {
					if change.At <= last || change.Size != len(offsets) {
						t.Fatalf("out of order, or not the size: %+v", change)
					}
					last = change.At
					ref := Ref{c.members[change.At].ID, c.members[change.At].Incarnation}
					was, known := copies[ref]
					copies[ref] = apply(t, was, known, change)
				}

				lag, position := 0, positions(c.members)
				for i, mm := range c.members {
					v, ok := p.View(mm.ID)
					if want := m[Ref{mm.ID, mm.Incarnation}]; !ok || !reflect.DeepEqual(v, want) {
						t.Fatalf("member %d: kept %v, the model says %v", i, v, want)
					}
					if told := copies[Ref{mm.ID, mm.Incarnation}]; !reflect.DeepEqual(v, told) {
						t.Fatalf("member %d: kept %v, was told %v", i, v, told)
					}
					lag += sound(t, offsets, position, i, v)
				}
				if p.Lag() != lag || exact && lag != 0 {
					t.Fatalf("Lag is %d, counted %d, exact: %v", p.Lag(), lag, exact)
				}
				lagged = max(lagged, lag)
				if again := p.Update(c.members, offsets, exact); len(again) != 0 {
					t.Fatalf("the same members again: %+v", again)
				}
			}
			if n >= 40 && lagged == 0 {
				t.Error("no entry ever lagged: the test is too tame")
			}
		})
	}
}

func TestExactUpdateIsByPosition(t *testing.T) {
	c := &churn{rng: rand.New(rand.NewPCG(1, 2)), space: 1000}
	p := NewPlans()
	for n := range 140 {
		p.Update(c.members, Classic(n, 0), false)
		for i, ch := range p.Update(c.members, Classic(n, n%9), true) {
			if n%9 == 0 && i == 0 && ch.Size != MaxEntries(n) {
				t.Fatalf("n %d: %d entries", n, ch.Size)
			}
		}
		for i, m := range c.members {
			var want []Ref
			for _, at := range AppendPositions(nil, n, i, Entries(n, n%9)) {
				want = append(want, Ref{c.members[at].ID, c.members[at].Incarnation})
			}
			if v, ok := p.View(m.ID); !ok || !slices.Equal(v.Entries, want) {
				t.Fatalf("n %d: member %d has %v, want %v", n, i, v.Entries, want)
			}
		}
		if p.Lag() != 0 {
			t.Fatalf("n %d: %d entries lag after an exact update", n, p.Lag())
		}
		c.join()
	}
}

func TestUpdateOfTheSmallestRings(t *testing.T) {
	a, b := Member{Peer: Peer{ID: 0, Incarnation: 7}}, Member{Peer: Peer{ID: 9, Incarnation: 8}}
	p := NewPlans()
	for i, step := range []struct {
		members []Member
		want    []Change
	}{
		{nil, nil},
		{[]Member{a}, []Change{{At: 0, Size: 0, Successors: []Ref{}}}},
		{[]Member{a, b}, []Change{
			{At: 0, Size: 1, Slots: []Slot{{0, Ref{9, 8}}}, Successors: []Ref{{9, 8}}},
			{At: 1, Size: 1, Slots: []Slot{{0, Ref{0, 7}}}, Successors: []Ref{{0, 7}}},
		}},
		{[]Member{b}, []Change{{At: 0, Size: 0, Successors: []Ref{}}}},
		{[]Member{{Peer: Peer{ID: 9, Incarnation: 10}}}, []Change{{At: 0, Size: 0, Successors: []Ref{}}}},
		{nil, nil},
	} {
		if got := p.Update(step.members, Classic(len(step.members), 0), i%2 == 0); !reflect.DeepEqual(got, step.want) {
			t.Fatalf("step %d: got %+v, want %+v", i, got, step.want)
		}
	}
	p.Forget(9)
	if _, ok := p.View(9); ok {
		t.Error("there is a view of an ID without a member")
	}
}

func TestForgetUnderLag(t *testing.T) {
	for _, fewest := range []bool{false, true} {
		forgetUnderLag(t, fewest)
	}
}

func forgetUnderLag(t *testing.T, fewest bool) {
	c := &churn{rng: rand.New(rand.NewPCG(5, 6)), space: 1 << 40}
	for range 200 {
		c.join()
	}
	p, l := NewPlans(), Layout{Fewest: fewest}.For(200)
	p.Update(c.members, l.Offsets, true)
	for range 20 {
		c.join()
		p.Update(c.members, l.Offsets, false)
	}
	before, position := p.Lag(), positions(c.members)
	for i, m := range c.members {
		v, _ := p.View(m.ID)
		before -= sound(t, l.Offsets, position, i, v)
		p.Forget(m.ID)
		p.Forget(m.ID) // the second Forget changes nothing
		if p.Lag() != before {
			t.Fatalf("member %d forgotten: %d entries lag, want %d", i, p.Lag(), before)
		}
	}
	for _, ch := range p.Update(c.members, l.Offsets, false) {
		if len(ch.Slots) != ch.Size || len(ch.Successors) != Successors {
			t.Fatalf("a forgotten view is not sent in full: %+v", ch)
		}
	}
	if p.Lag() != 0 {
		t.Fatalf("%d entries lag in views from scratch", p.Lag())
	}
}
