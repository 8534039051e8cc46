package membership

import (
	"slices"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	shown "github.com/x/ringdht/status"
)

// listers is a ring of three announced members that confirm lists, and the leaver among them. Earlier
// effects are taken.
func listers(t *testing.T) (a *Authority, leaver *member, others []*member) {
	t.Helper()
	a, four := trio(t)
	a.Leave(5, four[3].Ref())
	for _, m := range four[:3] {
		others = append(others, a.byID[m.ID])
	}
	for range 4 {
		a.Advance(6)
		for _, m := range others {
			a.Linked(m.Ref(), m.sent)
		}
	}
	for _, m := range others {
		m.confirms = true
		if !m.announced || m.listEpoch == 0 {
			a.Listed(m.Ref(), a.listEpoch)
		}
	}
	a.Take()
	return a, others[0], others[1:]
}

// unlisted reports whether a member was told that it is off the lists, and of which epoch the list was
// that the others were told.
func unlisted(a *Authority, now Time, m *member) (told bool, epoch uint64) {
	a.Advance(now)
	for _, e := range a.Take() {
		switch b := e.Body.(type) {
		case control.Announce:
			if slices.Contains(b.Leaving, m.Ref()) {
				epoch = b.ListEpoch
			}
		case control.Unlisted:
			told = told || e.Ref == m.Ref()
		}
	}
	return told, epoch
}

// A member is told that no other lists it when all have confirmed that, itself too. It stays a member.
func TestUnlistedWhenAllHaveConfirmed(t *testing.T) {
	a, leaver, others := listers(t)
	a.Unlist(leaver.Ref())
	told, epoch := unlisted(a, time.Second/2, leaver)
	if told || epoch == 0 {
		t.Fatalf("told %v, epoch %d", told, epoch)
	}
	a.Listed(others[0].Ref(), epoch+1) // there is no such list
	for i, m := range []*member{others[0], leaver, others[1]} {
		a.Listed(m.Ref(), epoch-1)
		if told, _ := unlisted(a, time.Second/2+Time(i), leaver); told {
			t.Fatalf("it is told before member %d has confirmed", i)
		}
		a.Listed(m.Ref(), epoch)
	}
	if told, _ := unlisted(a, time.Second/2+9, leaver); !told {
		t.Error("it is not told")
	}
	if s := a.State(leaver.Ref()); s != Leaving || !slices.Contains(a.tableMembers(), leaver.Member) {
		t.Error("it is in state", s, "or in no table")
	}
	if why := a.Unsettled(); len(why) > 0 {
		t.Error("the ring is not settled:", why)
	}
	a.Unlist(leaver.Ref()) // over another connection
	if told, epoch := unlisted(a, time.Second, leaver); !told || epoch > 0 {
		t.Error("it is not told again, or unlisted again:", epoch)
	}
}

// The wait ends with a member that dies, is left out, leaves, or is of an earlier version; and in any case
// after a lease. A suspect is waited for.
func TestUnlistedWithoutConfirmation(t *testing.T) {
	for what, c := range map[string]struct {
		do   func(a *Authority, m *member)
		told bool
	}{
		"nothing":    {func(*Authority, *member) {}, false},
		"dead":       {func(a *Authority, m *member) { a.Silent(1, m.Ref()) }, true},
		"leaves":     {func(a *Authority, m *member) { a.Leave(1, m.Ref()) }, true},
		"left out":   {func(a *Authority, m *member) { a.leaveOut(m, "test") }, true},
		"earlier":    {func(a *Authority, m *member) { m.confirms = false }, true},
		"suspect":    {func(a *Authority, m *member) { a.Disconnected(time.Second/2, m.Ref(), "test") }, false},
		"also about": {func(a *Authority, m *member) { a.Unlist(m.Ref()) }, false},
	} {
		a, leaver, others := listers(t)
		a.Unlist(leaver.Ref())
		_, epoch := unlisted(a, time.Second/2, leaver)
		a.Listed(leaver.Ref(), epoch)
		a.Listed(others[0].Ref(), epoch)
		c.do(a, others[1])
		if told, _ := unlisted(a, time.Second/2+1, leaver); told != c.told {
			t.Errorf("%s: told %v", what, told)
		}
		if told, _ := unlisted(a, time.Second/2+time.Second, leaver); told == c.told {
			t.Errorf("%s: after a lease told %v", what, told)
		}
	}
}

// A member that comes back confirms the list of its manifest by the Linked for it, and by no earlier one.
func TestManifestConfirmsAList(t *testing.T) {
	a, leaver, others := listers(t)
	back := others[1]
	a.sendTable(back, control.TypeUpdate, control.Update{}) // its Linked has not come
	a.Unlist(leaver.Ref())
	_, epoch := unlisted(a, time.Second/2, leaver)
	a.Listed(leaver.Ref(), epoch)
	a.Listed(others[0].Ref(), epoch)
	a.Disconnected(time.Second/2, back.Ref(), "test")
	if _, err := a.Resume(time.Second/2, Request{ID: back.ID, Incarnation: back.Incarnation, Addr: back.Addr, Token: back.token, Ready: true, Epoch: 1, Confirms: true, Identity: a.identity}); err != nil {
		t.Fatal(err)
	}
	before := back.sent
	if told, _ := unlisted(a, time.Second/2+1, leaver); told || back.sent == before {
		t.Fatal("it is told before that manifest, or there is none")
	}
	a.Linked(back.Ref(), before)
	if told, _ := unlisted(a, time.Second/2+2, leaver); told {
		t.Error("an earlier table confirms the list")
	}
	a.Linked(back.Ref(), back.sent)
	if told, _ := unlisted(a, time.Second/2+3, leaver); !told {
		t.Error("the manifest's table does not confirm its list")
	}
}

// A newcomer that asks before it is announced is told at once. It is announced all the same, as one that
// is about to leave.
func TestUnlistBeforeAnnounced(t *testing.T) {
	a, four := trio(t)
	newcomer := a.byID[four[3].ID]
	a.Unlist(newcomer.Ref())
	if told, epoch := unlisted(a, 6, newcomer); !told || epoch > 0 {
		t.Fatalf("told %v, epoch %d", told, epoch)
	}
	l := &NodeView{Self: newcomer.Ref(), Bits: 8}
	other := &NodeView{Self: four[0].Ref(), Bits: 8}
	for range 4 {
		a.Advance(7)
		for _, e := range a.Take() {
			if note, ok := e.Body.(control.Announce); ok && e.Ref == newcomer.Ref() {
				l = l.Announce(note, a.Draw)
			} else if ok && e.Ref == four[0].Ref() {
				other = other.Announce(note, a.Draw)
			}
		}
		for _, m := range four {
			a.Linked(m.Ref(), a.byID[m.ID].sent)
		}
	}
	if !newcomer.announced || l.Listed || !l.Leaves {
		t.Errorf("announced %v, listed %v, leaves %v", newcomer.announced, l.Listed, l.Leaves)
	}
	if _, on := other.Others.Find(newcomer.ID); !on || other.Serves(newcomer.Ref()) {
		t.Errorf("on the list %v, serves %v", on, other.Serves(newcomer.Ref()))
	}
}

// A member that is about to leave stays on a node's list with a mark, until it has left; another
// incarnation of its ID has none. A loop over members hears of one end, also of the node itself.
func TestViewOfLeavers(t *testing.T) {
	self, leaver := ring.Ref{ID: 1, Incarnation: 10}, ring.Ref{ID: 2, Incarnation: 11}
	l := &NodeView{Self: self, Bits: 8}
	l, err := l.Manifest(control.Manifest{Epoch: 1, Members: 3, Incarnation: 12, Others: []uint64{2, 3}, Incs: []uint64{11, 12}, ListEpoch: 4, Listed: true})
	if err != nil {
		t.Fatal(err)
	}
	var parting, left bool
	f := &Follower{HowEnded: func(r ring.Ref) (shown.MemberChange, bool) {
		return shown.MemberLeft, r == leaver && (parting || left)
	}}
	next := func(l *NodeView, leaves bool) (events []string) {
		s := l.Sight(nil, !l.Listed)
		s.Leaves = leaves
		for e, ok := f.Next(s); ok; e, ok = f.Next(s) {
			events = append(events, string(e.Change)+" "+e.ID.String())
		}
		return events
	}
	expect := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	expect("at first", next(l, false), "present 1", "present 2", "present 3")
	parting = true
	gone := []ring.Ref{{ID: 3, Incarnation: 99}, {ID: 77, Incarnation: 1}} // not on the list
	l = l.Announce(control.Announce{Members: 3, ListEpoch: 5, Leaving: append(gone, leaver)}, nil)
	if !l.Has(leaver) || l.Serves(leaver) || !l.Serves(ring.Ref{ID: 3, Incarnation: 12}) || l.Leaving.Len() != 1 || l.ListEpoch != 5 || !l.KnowsAll() {
		t.Errorf("%+v", l)
	}
	expect("about to leave", next(l, false), "left 2")
	again, err := l.Manifest(control.Manifest{Epoch: 2, Members: 3, Incarnation: 12, Others: []uint64{2, 3}, Incs: []uint64{11, 12}, Leaving: []uint64{2, 50}, ListEpoch: 5, Listed: true})
	if err != nil || again.Serves(leaver) || again.Leaving.Len() != 1 || len(again.EndedSince(l)) > 0 {
		t.Errorf("%+v, %v", again, err)
	}
	expect("a manifest", next(again, false))
	left = true
	l = again.Announce(control.Announce{Members: 3, ListEpoch: 6, Left: []ring.Ref{leaver}, Added: []uint64{2}, Incarnations: []uint64{20}}, nil)
	if l.Leaving.Len() != 0 || !l.Serves(ring.Ref{ID: 2, Incarnation: 20}) {
		t.Errorf("%+v", l)
	}
	expect("left, and another came", next(l, false), "joined 2")
	l = l.Announce(control.Announce{Members: 3, ListEpoch: 7, Leaving: []ring.Ref{self}}, nil)
	if l.Listed || !l.Leaves {
		t.Errorf("%+v", l)
	}
	expect("the node itself", next(l, true), "left 1")
}

// A node that is about to leave stays off the lists, also if a later registry lists it.
func TestLeaverStaysUnlisted(t *testing.T) {
	self := ring.Ref{ID: 1, Incarnation: 10}
	manifest := control.Manifest{Epoch: 1, Members: 2, Incarnation: 12, Others: []uint64{2}, Incs: []uint64{11}, ListEpoch: 4, Listed: true}
	l, err := (&NodeView{Self: self, Bits: 8}).Manifest(manifest)
	if err != nil || !l.Listed {
		t.Fatal("not listed", err)
	}
	l = l.Announce(control.Announce{Members: 2, ListEpoch: 5, Leaving: []ring.Ref{self}}, nil)
	manifest.Epoch, manifest.ListEpoch = 2, 9
	if l, err = l.Manifest(manifest); err != nil || l.Listed {
		t.Error("listed again by a manifest", err)
	}
	l = l.Announce(control.Announce{Members: 2, ListEpoch: 10, Added: []uint64{1}, Incarnations: []uint64{10}}, nil)
	if l.Listed {
		t.Error("listed again by an announcement")
	}
}
