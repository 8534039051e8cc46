package ringtest_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/arc"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// inKeyRing runs a test with nodes that offer to hold keys, in virtual time.
func inKeyRing(t *testing.T, nodes int, test func(t *testing.T, a *keepers, all []*keeper)) {
	synctest.Test(t, func(t *testing.T) {
		a := newKeepers(ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease)))
		var all []*keeper
		for i := range nodes {
			all = append(all, a.join(t, ringdht.WithID(ringdht.ID(10*(i+1)))))
		}
		a.tr.Setup(2)
		synctest.Wait()
		test(t, a, all)
		a.tr.Close()
	})
}

// shown is what the registry shows of the one service.
func (a *keepers) shown(t *testing.T) registry.KeyService {
	t.Helper()
	all := ringtest.RegistryOf(a.tr.Registry).Keys()
	if len(all) != 1 || all[0].Service != a.service {
		t.Fatalf("the registry has %+v", all)
	}
	return all[0]
}

// points are spread over the ring.
func points() (all []uint64) {
	for i := range uint64(64) {
		all = append(all, i<<58+12345)
	}
	return all
}

// checkHolders fails the test unless each point has one holder, the one that the registry shows.
func (a *keepers) checkHolders(t *testing.T, all ...*keeper) {
	t.Helper()
	held := make(map[*keeper]int)
	for _, p := range points() {
		ref, ok := ringtest.RegistryOf(a.tr.Registry).KeyOwner(a.service, p)
		holders := 0
		for _, k := range all {
			if k.holds(p) {
				holders++
				held[k]++
				if ref.Incarnation != k.node.Incarnation() || ref.ID != uint64(k.node.ID()) {
					t.Errorf("point %d is held by node %d, the registry shows %v", p, k.node.ID(), ref)
				}
			}
		}
		if holders != 1 || !ok {
			t.Errorf("point %d has %d holders", p, holders)
		}
	}
	for _, k := range all {
		if held[k] == 0 {
			t.Errorf("node %d holds nothing", k.node.ID())
		}
	}
	if s := a.shown(t); s.Moving != 0 || s.Recovering || s.Owners != len(all) {
		t.Errorf("at rest the registry shows %+v", s)
	}
}

// The registry makes an authority with the first report, and gives the ring to those that report. Its
// arcs move to later ones, and back from one that dies.
func TestKeysAreHeld(t *testing.T) {
	inKeyRing(t, 3, func(t *testing.T, a *keepers, all []*keeper) {
		a.checkHolders(t, all...)
		all = append(all, a.join(t, ringdht.WithID(40)))
		synctest.Wait()
		a.checkHolders(t, all...)
		if s := a.shown(t); s.Done == 0 || s.Arcs == 0 {
			t.Errorf("after moves the registry shows %+v", s)
		}
		all[3].node.Close()
		a.tr.WaitGone(40)
		synctest.Wait()
		all[1].node.Close()
		a.tr.WaitGone(20)
		synctest.Wait()
		a.checkHolders(t, all[0], all[2])
		life := all[2].node.Incarnation()
		if err := all[2].node.Leave(a.tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a.checkHolders(t, all[0])
		if want := fmt.Sprintf("ended %d", life); !slices.Contains(all[2].lines(), want) {
			t.Errorf("the log of one that has left: %q", all[2].lines())
		}
		all[0].node.Close()
		a.tr.WaitGone(10)
		synctest.Wait()
		if left := ringtest.RegistryOf(a.tr.Registry).Keys(); len(left) > 0 {
			t.Errorf("without a life the registry keeps %+v", left)
		}
	})
}

// On each connection a node hears first that it is connected, and then of the answer to its report. A
// new incarnation shows itself after that.
func TestNotesBeginEachConnection(t *testing.T) {
	inKeyRing(t, 2, func(t *testing.T, a *keepers, all []*keeper) {
		k := all[1]
		life := k.node.Incarnation()
		ringtest.NodeOf(k.node).HangUp()
		if err := ringtest.NodeOf(k.node).WaitConnected(a.tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ringtest.Lease)
		synctest.Wait()
		want := []string{
			fmt.Sprintf("connected to %d, shows 0", life), "orders",
			fmt.Sprintf("connected to %d, shows %d", life, life), "orders",
		}
		if got := k.lines(); !slices.Equal(got, want) {
			t.Errorf("the log is\n%q, want\n%q", got, want)
		}
		a.checkHolders(t, all...)

		a.tr.Net.Cut("registry", "n1")
		a.tr.WaitGone(20)
		a.tr.Net.Mend("registry", "n1")
		ringtest.WaitUntil(t, "another incarnation", func() bool { return k.node.Incarnation() != life })
		synctest.Wait()
		next := k.node.Incarnation()
		want = append(want, fmt.Sprintf("ended %d", life), fmt.Sprintf("connected to %d, shows %d", next, life), "orders")
		if got := k.lines(); !slices.Equal(got, want) {
			t.Errorf("the log is\n%q, want\n%q", got, want)
		}
		a.checkHolders(t, all...)
		k.node.Close()
		if got := k.lines(); !slices.Equal(got, append(want, fmt.Sprintf("ended %d", next))) {
			t.Errorf("after Close the log is\n%q", got)
		}
	})
}

// The registry says which node has a life that holds keys.
func TestWhoHasALife(t *testing.T) {
	inKeyRing(t, 2, func(t *testing.T, a *keepers, all []*keeper) {
		life := all[1].node.Incarnation()
		a.do(func() {
			all[0].send(arc.AppendNote(nil, arc.Frame{Kind: arc.Where, Life: life}))
			all[0].send(arc.AppendNote(nil, arc.Frame{Kind: arc.Where, Life: 1}))
		})
		synctest.Wait()
		want := []string{fmt.Sprintf("life %d is of node 20, refused=false", life), "life 1 is of node 0, refused=true"}
		if got := all[0].lines(); len(got) < 2 || !slices.Equal(got[len(got)-2:], want) {
			t.Errorf("the log ends with %q, want %q", got, want)
		}
	})
}
