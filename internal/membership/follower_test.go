package membership

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	shown "github.com/x/ringdht/status"
)

// ledger checks events against the rules, and keeps what they say.
type ledger struct {
	t       *testing.T
	present map[shown.ID]shown.MemberEvent // the latest start of an ID that has not ended
	ended   map[ring.Ref]bool
	self    ring.Ref
	begun   bool // those present at the start were told
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, present: make(map[shown.ID]shown.MemberEvent), ended: make(map[ring.Ref]bool)}
}

func (l *ledger) add(e shown.MemberEvent) {
	l.t.Helper()
	ref := ring.Ref{ID: uint64(e.ID), Incarnation: e.Incarnation}
	start, here := l.present[e.ID]
	switch {
	case e.Change.Over():
		if !here || start.Incarnation != e.Incarnation || start.Self != e.Self {
			l.t.Fatalf("%+v, present is %+v", e, start)
		}
		delete(l.present, e.ID)
		l.ended[ref] = true
	case here || l.ended[ref]:
		l.t.Fatalf("%+v after %+v, ended %v", e, start, l.ended[ref])
	case (e.Change == shown.MemberPresent) == l.begun:
		l.t.Fatalf("%+v, all present were told: %v", e, l.begun)
	default:
		l.present[e.ID] = e
	}
}

// others are the incarnations that are present, without the node's own.
func (l *ledger) others() map[uint64]uint64 {
	all := make(map[uint64]uint64)
	for id, e := range l.present {
		if !e.Self {
			all[uint64(id)] = e.Incarnation
		}
	}
	return all
}

// A ring changes at random, and a follower looks now and then. What it tells keeps the rules, and
// leads to what is. Its node may be declared dead, and miss announcements, and its registry may be
// another. In a large ring it tells of a sample, and of the ends of those told.
func TestFollowerAgainstModel(t *testing.T) {
	for seed := range uint64(90) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newFollowed(t, rng, seed%30 == 29)
		for range 400 {
			m.change()
			if rng.IntN(3) == 0 {
				m.look(rng.IntN(2) == 0)
			}
		}
		m.manifest()
		m.announceLate()
		m.look(true)
		if got := m.ledger.others(); !m.large && !maps.Equal(got, m.real) {
			t.Fatalf("seed %d: told %v, there are %v", seed, got, m.real)
		} else if m.large && len(got) != control.MaxOthers {
			t.Fatalf("seed %d: told %d", seed, len(got))
		}
		if m.ledger.self != m.self {
			t.Fatalf("seed %d: told self %v, want %v", seed, m.ledger.self, m.self)
		}
	}
}

// followed is a ring as one node hears of it.
type followed struct {
	rng    *rand.Rand
	large  bool
	real   map[uint64]uint64 // the others that are announced, by ID
	inc    uint64
	epoch  uint64
	self   ring.Ref
	over   bool
	missed bool              // an announcement was missed: a manifest is due
	late   map[uint64]uint64 // members that a manifest left out, though they are in the ring
	view   *NodeView
	said   map[ring.Ref]shown.MemberChange // what the node was told of ends
	truth  map[ring.Ref]shown.MemberChange
	f      Follower
	ledger *ledger
}

func newFollowed(t *testing.T, rng *rand.Rand, large bool) *followed {
	m := &followed{rng: rng, large: large, real: make(map[uint64]uint64), said: make(map[ring.Ref]shown.MemberChange), truth: make(map[ring.Ref]shown.MemberChange), ledger: newLedger(t)}
	m.f.HowEnded = func(ref ring.Ref) (shown.MemberChange, bool) {
		how, ok := m.said[ref]
		return how, ok
	}
	if large {
		for range 3000 {
			m.inc++
			m.real[rng.Uint64N(100_000)] = m.inc
		}
	}
	m.begin()
	return m
}

// begin begins an incarnation of the node, under the ID it had or another that is free.
func (m *followed) begin() {
	m.inc++
	id := m.self.ID
	for _, taken := m.real[id]; taken || m.rng.IntN(3) == 0; _, taken = m.real[id] {
		id = m.rng.Uint64N(20)
	}
	m.self, m.over = ring.Ref{ID: id, Incarnation: m.inc}, false
	m.view = &NodeView{Self: m.self, Bits: 64}
}

// change changes the ring, or what the node knows of it.
func (m *followed) change() {
	switch r := m.rng.IntN(40); {
	case r == 0:
		m.over = true // and a member may take its ID before it is back
	case m.over && r < 10:
		m.begin()
	case r < 4:
		m.manifest()
	default:
		m.announce(r < 8)
	}
}

// announce lets members come and go. The node hears of it, unless it is missed.
func (m *followed) announce(missed bool) {
	if m.late != nil && !m.over && m.view.Epoch > 0 {
		m.announceLate()
	}
	var a control.Announce
	for range m.rng.IntN(3) {
		ids := slices.Sorted(maps.Keys(m.real))
		if len(ids) == 0 {
			break
		}
		id := ids[m.rng.IntN(len(ids))]
		ref, how := ring.Ref{ID: id, Incarnation: m.real[id]}, shown.MemberLeft
		if delete(m.real, id); m.rng.IntN(2) == 0 {
			how = shown.MemberDied
			a.Gone = append(a.Gone, ref)
		} else {
			a.Left = append(a.Left, ref)
		}
		m.truth[ref] = how
	}
	for range m.rng.IntN(4) {
		id := m.rng.Uint64N(20)
		if m.large {
			id = m.rng.Uint64N(100_000)
		}
		if _, taken := m.real[id]; taken || len(m.real) > 15 && !m.large || id == m.self.ID && !m.over {
			continue
		}
		m.inc++
		m.real[id] = m.inc
		a.Added, a.Incarnations = append(a.Added, id), append(a.Incarnations, m.inc)
	}
	a.Members = int64(len(m.real) + 1)
	if missed || m.over || m.view.Epoch == 0 || m.missed {
		m.missed = true
		return
	}
	for _, ref := range slices.Concat(a.Left, a.Gone) {
		m.said[ref] = m.truth[ref]
	}
	m.view = m.view.Announce(a, m.rng.Uint64N)
}

// announceLate announces the members that the latest manifest left out.
func (m *followed) announceLate() {
	a := control.Announce{Members: int64(len(m.real) + 1)}
	for id, inc := range m.late {
		if m.real[id] == inc {
			a.Added, a.Incarnations = append(a.Added, id), append(a.Incarnations, inc)
		}
	}
	m.late = nil
	m.view = m.view.Announce(a, m.rng.Uint64N)
}

// manifest tells the node all. It is that of a new registry, which perhaps has not announced all
// members that are back.
func (m *followed) manifest() {
	if m.over {
		m.begin()
	}
	m.epoch++
	all := control.Manifest{Epoch: m.epoch, Members: int64(len(m.real) + 1)}
	ids := slices.Sorted(maps.Keys(m.real))
	m.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	m.late = make(map[uint64]uint64)
	for _, id := range ids[:min(len(ids), control.MaxOthers)] {
		if m.rng.IntN(30) == 0 {
			m.late[id] = m.real[id]
			continue
		}
		all.Others, all.Incs = append(all.Others, id), append(all.Incs, m.real[id])
	}
	next, err := m.view.Manifest(all)
	if err != nil {
		m.ledger.t.Fatal(err)
	}
	m.view, m.missed = next, false
	clear(m.said)
}

// look tells the events, all of them or a few.
func (m *followed) look(all bool) {
	for n := 0; all || n < 3; n++ {
		now := m.view.Sight(nil, m.over)
		now.Self = m.self
		e, ok := m.f.Next(now)
		if !ok {
			m.ledger.begun = true
			return
		}
		m.ledger.add(e)
		if m.f.count > control.MaxOthers {
			m.ledger.t.Fatalf("%d members are remembered", m.f.count)
		}
		ref := ring.Ref{ID: uint64(e.ID), Incarnation: e.Incarnation}
		switch {
		case e.Self && e.Change.Over():
			m.ledger.self = ring.Ref{}
		case e.Self:
			m.ledger.self = ref
		case !e.Change.Over():
		case m.truth[ref] == "":
			m.ledger.t.Fatalf("%+v: it has not ended", e)
		case e.Change != m.truth[ref] && e.Change != shown.MemberEnded, e.Change == shown.MemberEnded && m.said[ref] != "":
			m.ledger.t.Fatalf("%+v, but it %s", e, m.truth[ref])
		}
	}
}

// A registry may list the node itself, and an ID twice. Then the later incarnation counts.
func TestFollowerOfAWrongList(t *testing.T) {
	f := Follower{HowEnded: func(ring.Ref) (shown.MemberChange, bool) { return "", false }}
	l := &NodeView{Self: ring.Ref{ID: 1, Incarnation: 9}, Bits: 8}
	l, err := l.Manifest(control.Manifest{Epoch: 1, Members: 2, Others: []uint64{2, 1, 2, 3}, Incs: []uint64{5, 8, 6}})
	if err != nil {
		t.Fatal(err)
	}
	told := newLedger(t)
	for {
		e, ok := f.Next(l.Sight(nil, false))
		if !ok {
			break
		}
		told.add(e)
	}
	if !maps.Equal(told.others(), map[uint64]uint64{2: 6, 3: 0}) {
		t.Error(told.present)
	}
}

// Until a node was told the members of a service, it knows a part of them. The others are present as well,
// and those that are not on the part any more need not have ended.
func TestFollowerOfAPart(t *testing.T) {
	info := ring.NewInfo("", nil, []string{"s"})
	list := func(ids ...uint64) (l *ring.List) {
		for _, id := range ids {
			l = l.With(ring.Listed{Ref: ring.Ref{ID: id, Incarnation: id}, Info: info})
		}
		return l
	}
	f := Follower{Service: "s", HowEnded: func(ring.Ref) (shown.MemberChange, bool) { return "", false }}
	view := &NodeView{Self: ring.Ref{ID: 1, Incarnation: 1}, Bits: 8}
	for _, step := range []struct {
		list *ring.List
		part bool
		want string
	}{
		{list(2, 3), true, "[node 2 is present node 3 is present]"},
		{list(3, 4), true, "[node 4 is present]"},
		{list(1, 2, 4, 5), false, "[node 3 has ended node 5 is present]"},
		{list(1, 2, 4, 6), false, "[node 5 has ended node 6 joined]"},
	} {
		now := Sight{Self: view.Self, Over: true, View: view, List: step.list, Whole: !step.part, Part: step.part}
		var got []shown.MemberEvent
		for e, ok := f.Next(now); ok; e, ok = f.Next(now) {
			got = append(got, e)
		}
		if fmt.Sprint(got) != step.want {
			t.Errorf("got %v, want %s", got, step.want)
		}
	}
}
