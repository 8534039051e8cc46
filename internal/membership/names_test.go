package membership

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

func named(name string) *ring.Info { return ring.NewInfo(name, nil, nil) }

// asking is a request with a name from an address of its own.
func asking(token uint64, name string) Request {
	return Request{Addr: fmt.Sprint("host", token), Token: token, Info: named(name)}
}

// One member has a name. It is free when that one has left or is dead, and not while it is a suspect:
// then a newcomer waits.
func TestOneMemberHasAName(t *testing.T) {
	a, refs := three(t)
	m, err := a.Admit(2, 2, asking(10, "boss"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want error, why string) {
		t.Helper()
		if _, err := a.Admit(3, 3, asking(11, "boss")); !errors.Is(err, want) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %v: %s", err, want, why)
		}
	}
	refused(ErrNameTaken, fmt.Sprintf("node %d (host10) has the name %q", m.ID, "boss"))
	if _, err := a.Admit(3, 3, asking(12, "other")); err != nil {
		t.Errorf("another name: %v", err)
	}
	a.Disconnected(4, m.Ref(), "lost")
	refused(ErrWait, "is suspect")
	back := Request{Addr: "host10", Token: 10, ID: m.ID, Incarnation: m.Incarnation, Epoch: 1, Info: named("usurper")}
	if _, err := a.Resume(5, back); err != nil || a.Info(m.Ref()).NameOf() != "boss" {
		t.Errorf("it came back as %q: %v", a.Info(m.Ref()).NameOf(), err)
	}
	refused(ErrNameTaken, "boss")
	a.Leave(6, m.Ref())
	if heir, err := a.Admit(7, 7, asking(11, "boss")); err != nil || a.Info(heir.Ref()).NameOf() != "boss" {
		t.Errorf("after it has left: %v", err)
	}
	if _, _, ok := a.Named("boss"); ok {
		t.Error("found before it is announced")
	}
	// A process that joins again takes its own name along.
	again, err := a.Admit(8, 8, asking(11, "boss"))
	if err != nil || a.Info(again.Ref()).NameOf() != "boss" {
		t.Errorf("the same process: %v", err)
	}
	a.Expel(9, again.Ref(), "test")
	if _, err := a.Admit(9, 9, asking(13, "boss")); err != nil {
		t.Errorf("after a death: %v", err)
	}
	_ = refs
}

// Two members come back to a new registry with one name: the later incarnation has it, in whichever
// order they come. A newcomer without a table loses it.
func TestNamesAfterARestart(t *testing.T) {
	early, late := ring.Ref{ID: 1, Incarnation: 10}, ring.Ref{ID: 2, Incarnation: 20}
	resume := func(a *Authority, ref ring.Ref) error {
		r := back(ref, fmt.Sprint("x", ref.ID), false)
		r.Info = named("boss")
		_, err := a.Resume(1, r)
		return err
	}
	for _, order := range [][]ring.Ref{{early, late}, {late, early}} {
		a := New(Config{Bits: 8, Lease: threeLease, Grace: 2 * threeLease, Draw: func(uint64) uint64 { return 0 }})
		if err := resume(a, order[0]); err != nil {
			t.Fatal(err)
		}
		if err := resume(a, order[1]); errors.Is(err, ErrEvicted) != (order[1] == early) || err != nil && !strings.Contains(err.Error(), `node 2 has its name "boss"`) {
			t.Errorf("%v comes back second: %v", order[1], err)
		}
		if m, _, ok := a.Named("boss"); !ok || m.Ref() != late || !dead(a, early) {
			t.Errorf("%v has the name", m)
		}
		if err := resume(a, early); !errors.Is(err, ErrEvicted) {
			t.Errorf("it came back again: %v", err)
		}
	}
	a := New(Config{Bits: 8, Lease: threeLease, Grace: 2 * threeLease, Draw: func(uint64) uint64 { return 0 }})
	m, err := a.Admit(1, 1e6, asking(9, "boss"))
	if err != nil {
		t.Fatal(err)
	}
	if err := resume(a, late); err != nil || !dead(a, m.Ref()) {
		t.Errorf("a newcomer without a table keeps the name of a member: %v", err)
	}
}

// said is what a view has of its members, written down.
func said(l *NodeView) (all []string) {
	for m := range l.Others.All() {
		d := l.Describe(m.Ref, m.Info)
		all = append(all, fmt.Sprintf("%v %v %v %v %v", d.ID, d.Incarnation, d.Name, d.Tags, d.Services))
	}
	return all
}

// What members say comes with a manifest and with announcements, once for those that say the same, and
// goes with the member.
func TestListsHaveWhatMembersSay(t *testing.T) {
	a, refs := three(t)
	zone := []ring.Tag{{Key: "zone", Value: "a"}}
	says := []*ring.Info{
		ring.NewInfo("one", zone, []string{"sum"}), nil, ring.NewInfo("", zone, []string{"sum"}), ring.NewInfo("", zone, []string{"sum"}), named("five"),
	}
	var want []string
	for i, info := range says {
		r := asking(uint64(100+i), "")
		r.Info, r.Want, r.ID = info, true, uint64(100+i)
		m, err := a.Admit(10, uint64(1000+i), r)
		if err != nil {
			t.Fatal(err)
		}
		refs[0] = m.Ref()
		want = append(want, strings.NewReplacer("%", fmt.Sprint(m.Incarnation)).Replace([]string{
			"100 % one map[zone:a] [sum]", "101 %  map[] []", "102 %  map[zone:a] [sum]", "103 %  map[zone:a] [sum]", "104 % five map[] []"}[i]))
	}
	view := &NodeView{Self: refs[1], Bits: 8}
	settle := func() (note control.Announce) {
		for range 8 {
			a.Advance(11)
			for _, e := range a.Take() {
				switch m := e.Body.(type) {
				case control.Announce:
					if e.Ref == refs[1] {
						note, view = m, view.Announce(m, nil)
					}
				case control.Manifest:
					if e.Ref == refs[1] {
						next, err := view.Manifest(m)
						if err != nil {
							t.Fatal(err)
						}
						view = next
					}
				}
			}
			for _, m := range a.All() {
				if x := a.find(m.Ref()); x.sent > 0 {
					a.Linked(m.Ref(), x.sent)
				}
			}
		}
		return note
	}
	a.Setup(10, ring.Layout{}) // a manifest, so that the view has the first three
	note := settle()
	if len(note.Profiles) != 1 || len(note.Names) != 5 || !slices.Equal(note.ProfileOf, []uint64{1, 0, 1, 1}) {
		t.Errorf("%+v", note)
	}
	if got := said(view); !slices.Equal(got[2:], want) {
		t.Errorf("%q\n%q", got, want)
	}
	first, _ := view.Others.Find(102)
	second, _ := view.Others.Find(103)
	if first.Info != second.Info {
		t.Error("members that say the same do not share it")
	}
	if err := view.CheckAnnounce(&note); err != nil {
		t.Error(err)
	}
	a.Setup(12, ring.Layout{})
	if settle(); !slices.Equal(said(view)[2:], want) {
		t.Errorf("by the manifest: %q", said(view))
	}
}

// A node takes no list that says what no registry admits.
func TestToldNonsenseOfMembers(t *testing.T) {
	l := &NodeView{Self: ring.Ref{ID: 1, Incarnation: 1}, Bits: 8}
	long := strings.Repeat("x", control.MaxName+1)
	for what, a := range map[string]control.Announce{
		"a long name":       {Names: []string{long}},
		"a name of control": {Names: []string{"\x1b[2J"}},
		"a profile beyond":  {ProfileOf: []uint64{2}, Profiles: []control.Profile{{}}},
		"a tag twice":       {Profiles: []control.Profile{{Tags: []ring.Tag{{Key: "a"}, {Key: "a"}}}}},
		"a service twice":   {Profiles: []control.Profile{{Services: []string{"a", "a"}}}},
	} {
		a.Added, a.Incarnations = []uint64{5}, []uint64{50}
		if err := l.CheckAnnounce(&a); err == nil {
			t.Errorf("%s is taken", what)
		}
		m := control.Manifest{Epoch: 1, Others: a.Added, Incs: a.Incarnations, Names: a.Names, ProfileOf: a.ProfileOf, Profiles: a.Profiles}
		if _, err := l.Manifest(m); err == nil {
			t.Errorf("a manifest with %s is taken", what)
		}
	}
}
