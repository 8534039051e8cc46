package node_test

import (
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// An announcement, of which each member hears at each change of the ring, costs no look at the links:
// it changes no table.
func TestAnnouncementsDoNotWakeTheLinks(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	n := tr.Join(nil)
	tr.Setup(0)
	inc := ringtest.NodeOf(n).Present()
	epoch := inc.Told().Epoch
	for _, c := range []struct {
		what string
		typ  wire.Type
		v    any
		want bool
	}{
		{"a newcomer", control.TypeAnnounce, control.Announce{Epoch: epoch, Members: 2, Added: []uint64{7}, Incarnations: []uint64{3}}, false},
		{"a death", control.TypeAnnounce, control.Announce{Epoch: epoch, Members: 1, Gone: []ring.Ref{{ID: 7, Incarnation: 3}}}, false},
		{"a table", control.TypeUpdate, control.Update{Epoch: epoch + 1, Members: 1}, true},
	} {
		if woke, err := inc.WakesLinks(c.typ, c.v); woke != c.want || err != nil {
			t.Errorf("%s: the links are looked at: %v, want %v (%v)", c.what, woke, c.want, err)
		}
	}
}

// The members of a node begin behind the node, so that programs that take the first few of them do not
// all take the same.
func TestMembersBeginBehindTheNode(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 5 {
		tr.Join(nil)
	}
	tr.Setup(0)
	at := tr.Positions()
	for _, n := range tr.Nodes {
		for i, m := range n.Members() {
			if want := (at[n.ID()] + 1 + i) % len(tr.Nodes); at[m.ID] != want {
				t.Errorf("node %d, of %v: %v", n.ID(), tr.Registry.Members(), n.Members())
				break
			}
		}
		if len(n.Members()) != 4 {
			t.Errorf("node %d has %d others", n.ID(), len(n.Members()))
		}
	}
}
