package ringtest_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// incarnationsOf returns the incarnations of nodes at one time.
func incarnationsOf(nodes []*ringtest.Node) (all []uint64) {
	for _, n := range nodes {
		all = append(all, n.Incarnation())
	}
	return all
}

func checkSame(t *testing.T, nodes []*ringtest.Node, before []uint64) {
	t.Helper()
	for i, n := range nodes {
		if n.Incarnation() != before[i] {
			t.Errorf("node %d had incarnation %d, and has %d", n.ID(), before[i], n.Incarnation())
		}
	}
}

// checkRing waits until all nodes are ready in one ring, and returns its identity.
func checkRing(t *testing.T, tr *ringtest.Ring) string {
	t.Helper()
	for _, n := range tr.Nodes {
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	tr.WaitSettled()
	s := tr.Registry.Snapshot()
	if len(s.Identity) != 32 || !s.Live || len(s.Members) != len(tr.Nodes) {
		t.Fatalf("ring %q, live %v, %d members", s.Identity, s.Live, len(s.Members))
	}
	for _, n := range tr.Nodes {
		if id := n.Status().Identity; id != s.Identity {
			t.Errorf("node %d is in ring %q, the registry has %q", n.ID(), id, s.Identity)
		}
	}
	tr.Exchange(tr.Nodes...)
	return s.Identity
}

// The first member makes the ring live, and the others just join. A newcomer that reaches a
// restarted registry before them makes no ring of its own: it waits, and joins theirs. So it is
// whether the registry keeps a state or not, and whether a newcomer comes while they do.
func TestNewcomerIsFirstAtARestartedRegistry(t *testing.T) {
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprint("kept ", kept), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				net := memnet.New(1)
				opts := []ringdht.RegistryOption{ringdht.WithLease(ringtest.Lease), ringdht.WithSelfSetup(2)}
				if kept {
					opts = append(opts, ringdht.WithState(dir))
				}
				begun := time.Now()
				tr := ringtest.New(t, net, opts...)
				for range 5 {
					tr.Join(nil, ringdht.WithTraffic())
				}
				if took := time.Since(begun); took < 2*ringtest.Lease || took > 3*ringtest.Lease {
					t.Errorf("the first five were in after %v", took)
				}
				id := checkRing(t, tr)
				before := incarnationsOf(tr.Nodes)
				tr.Registry.Close()
				for _, n := range tr.Nodes {
					<-n.Disconnected()
				}
				tr.RestartRegistry(opts...)
				tr.Join(nil, ringdht.WithTraffic()) // at once: the others wait before they try again
				if now := checkRing(t, tr); now != id {
					t.Errorf("the ring was %s and is %s", id, now)
				}
				checkSame(t, tr.Nodes[:5], before)
				tr.Run(status.Traffic{Messages: 50})
				if k := tr.Registry.Snapshot().Entries; k != 2 {
					t.Errorf("%d entries", k)
				}
				tr.Setup(3) // by hand, still
				if k := tr.Registry.Snapshot().Entries; k != 3 || checkRing(t, tr) != id {
					t.Errorf("%d entries", k)
				}
				tr.Close()
			})
		})
	}
}

// A ring that all members have left is the same ring for the next one.
func TestRingOutlivesItsMembers(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		opts := []ringdht.RegistryOption{ringdht.WithLease(ringtest.Lease), ringdht.WithSelfSetup(0, ringdht.FewestHops), ringdht.WithState(dir)}
		tr := ringtest.New(t, memnet.New(1), opts...)
		var id string
		for round := range 3 {
			begun := time.Now()
			for range 2 {
				tr.Join(nil)
			}
			took := time.Since(begun)
			if round == 0 { // a new directory says nothing of an earlier ring
				took -= 2 * ringtest.Lease
			}
			if took < 0 || took > time.Second {
				t.Errorf("round %d took %v more than it should", round, took)
			}
			now := checkRing(t, tr)
			if id == "" {
				id = now
			}
			if now != id {
				t.Errorf("the ring was %s and is %s", id, now)
			}
			for _, n := range tr.Nodes {
				if err := n.Leave(tr.Ctx()); err != nil {
					t.Error(err)
				}
			}
			tr.Nodes = nil
			if round == 1 { // it was empty, so no member can come back, and there is no grace
				tr.Registry.Close()
				tr.RestartRegistry(opts...)
			}
		}
		tr.Close()
	})
}

// eventsOf returns the events of a kind.
func eventsOf(s *status.Snapshot, kind status.EventKind) (events []status.Event) {
	for _, e := range s.Events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

// twoRings starts ring I with three nodes, and then, at the same address, ring J with two.
func twoRings(t *testing.T, test func(t *testing.T, tr *ringtest.Ring, dirs [2]string, ids [2]string, i, j []*ringtest.Node, log *ringtest.Log)) {
	ringtest.OpenOnly(t, "a registry with another state has another key: its ring is refused")
	dirs := [2]string{filepath.Join(t.TempDir(), "i"), filepath.Join(t.TempDir(), "j")}
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		self := []ringdht.RegistryOption{ringdht.WithLease(ringtest.Lease), ringdht.WithSelfSetup(0)}
		tr := ringtest.New(t, net, append(self, ringdht.WithState(dirs[0]))...)
		for range 3 {
			tr.Join(func(ctx context.Context, m ringdht.Message) {
				if string(m.Body) == "block" {
					<-ctx.Done()
				}
			})
		}
		id := checkRing(t, tr)
		i := tr.Nodes
		tr.Registry.Close()
		for k := range i { // they must not find the other registry before it has a ring
			net.Cut("registry", fmt.Sprint("n", k))
		}
		log := ringtest.NewLog()
		tr.RestartRegistry(append(self, ringdht.WithState(dirs[1]), log.Option())...)
		tr.Name, tr.Nodes = "m", nil
		for range 2 {
			tr.Join(nil)
		}
		jd := checkRing(t, tr)
		if id == jd {
			t.Fatal("both rings are", id)
		}
		for k := range i {
			net.Mend("registry", fmt.Sprint("n", k))
		}
		j := tr.Nodes
		test(t, tr, dirs, [2]string{id, jd}, i, j, log)
		for _, n := range append(i, j...) {
			n.Close()
		}
		tr.Close()
	})
}

// awaitRefused waits until a node was refused as a member of another ring.
func awaitRefused(t *testing.T, n *ringtest.Node) {
	t.Helper()
	for range 100 {
		<-n.Disconnected() // from its registry of before, which it may not have noticed yet
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := n.WaitConnected(ctx)
		cancel()
		if errors.Is(err, ringdht.ErrOtherRing) {
			return
		}
	}
	t.Fatal("the node is not refused")
}

// Of two rings the one that the registry has stays. The members of the other go on among
// themselves for 20 leases, and then join as new nodes.
func TestTwoRingsComeTogether(t *testing.T) {
	twoRings(t, func(t *testing.T, tr *ringtest.Ring, _, ids [2]string, i, j []*ringtest.Node, log *ringtest.Log) {
		before, theirs := incarnationsOf(i), incarnationsOf(j)
		awaitRefused(t, i[0])
		refused := time.Now()
		time.Sleep(19 * ringtest.Lease)
		tr.Exchange(i...)
		checkSame(t, i, before)
		s := tr.Registry.Snapshot()
		if s.Identity != ids[1] || len(s.Members) != 2 || len(s.OtherRings) != 3 {
			t.Fatalf("ring %s, %d members, others %+v", s.Identity, len(s.Members), s.OtherRings)
		}
		for k, o := range s.OtherRings {
			if o.Identity != ids[0] || o.Incarnation == 0 || o.Node.Addr == "" || !o.Since.Before(o.Heard) || k > 0 && o.Node.ID < s.OtherRings[k-1].Node.ID {
				t.Errorf("%+v", o)
			}
		}
		events := eventsOf(s, status.EventOtherRing)
		if len(events) != 3 || !strings.Contains(events[0].Why, ids[0]) || !strings.Contains(events[0].Why, ids[1]) || events[0].Node.Addr == "" {
			t.Errorf("events: %+v", events)
		}
		if n := strings.Count(log.Text(), "two registries are in use"); n < 3 || n > 3*(2+int(20*ringtest.Lease/(10*time.Second))) {
			t.Errorf("%d warnings", n)
		}
		// What is on its way then has an unknown outcome, and is told.
		if err := i[0].Send(tr.Ctx(), i[1].ID(), []byte("block")); err != nil {
			t.Fatal(err)
		}
		var lost *status.UndeliveredError
		err := i[0].Flush(tr.Ctx())
		for errors.Is(err, ringdht.ErrOtherRing) && errors.Is(err, ringdht.ErrEvicted) && !errors.As(err, &lost) {
			time.Sleep(ringtest.Lease / 8) // it was the first to give up: a Flush of its next incarnation says
			err = i[0].Flush(tr.Ctx())
		}
		if !errors.As(err, &lost) || lost.Streams[0].Messages-lost.Streams[0].NotHandled != 1 || !errors.Is(err, ringdht.ErrOtherRing) && !errors.Is(err, ringdht.ErrGone) {
			t.Errorf("flush: %v", err)
		}
		tr.Nodes = append(i[:3:3], j...)
		if err := tr.Registry.WaitMembers(tr.Ctx(), 5); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(refused); took < 18*ringtest.Lease || took > 23*ringtest.Lease {
			t.Errorf("together after %v", took)
		}
		if id := checkRing(t, tr); id != ids[1] {
			t.Errorf("the ring is %s, of %s", id, ids)
		}
		checkSame(t, j, theirs)
		for k, n := range i {
			if n.Incarnation() <= before[k] {
				t.Errorf("node %d had incarnation %d, and has %d", n.ID(), before[k], n.Incarnation())
			}
		}
		if s := tr.Registry.Snapshot(); len(s.OtherRings) > 0 {
			t.Errorf("still listed: %+v", s.OtherRings)
		}
	})
}

// If its own registry comes back in time, a ring goes on as it was.
func TestOwnRegistryComesBack(t *testing.T) {
	twoRings(t, func(t *testing.T, tr *ringtest.Ring, dirs, ids [2]string, i, j []*ringtest.Node, _ *ringtest.Log) {
		before := incarnationsOf(i)
		for round := range 3 { // each time the count begins anew
			awaitRefused(t, i[0])
			time.Sleep(15 * ringtest.Lease)
			tr.Registry.Close()
			tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithSelfSetup(0), ringdht.WithState(dirs[0]))
			tr.Nodes = i
			if id := checkRing(t, tr); id != ids[0] {
				t.Errorf("round %d: the ring is %s, of %s", round, id, ids)
			}
			checkSame(t, i, before)
			tr.Registry.Close()
			tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithSelfSetup(0), ringdht.WithState(dirs[1]))
		}
	})
}

// A registry set up by hand makes a ring of those that are there. The members of the earlier
// ring do not lose their incarnations at once.
func TestSetupBesideAnEarlierRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		for range 5 {
			tr.Join(nil)
		}
		tr.Setup(0)
		first := checkRing(t, tr)
		old := tr.Nodes
		before := incarnationsOf(old)
		tr.Registry.Close()
		for _, n := range old {
			<-n.Disconnected()
		}
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		tr.Nodes = nil
		tr.Name = "m"
		tr.Join(nil)
		tr.Setup(0)
		if id := checkRing(t, tr); id == first {
			t.Fatal("one identity for two rings")
		}
		awaitRefused(t, old[0])
		tr.Exchange(old...)
		checkSame(t, old, before)
		tr.Nodes = append(tr.Nodes, old...)
		if err := tr.Registry.WaitMembers(tr.Ctx(), 6); err != nil {
			t.Fatal(err)
		}
		checkRing(t, tr)
		tr.Close()
	})
}

// A node that leaves while another ring's registry is there does not join that ring to leave it.
func TestLeaveBesideAnotherRing(t *testing.T) {
	twoRings(t, func(t *testing.T, tr *ringtest.Ring, _, ids [2]string, i, j []*ringtest.Node, _ *ringtest.Log) {
		awaitRefused(t, i[0])
		var wg sync.WaitGroup
		for _, n := range i {
			wg.Go(func() {
				if err := n.Leave(tr.Ctx()); !errors.Is(err, ringdht.ErrRegistryLost) {
					t.Errorf("leaving: %v", err)
				}
			})
		}
		wg.Wait()
		if s := tr.Registry.Snapshot(); len(s.Members) != 2 || s.Identity != ids[1] {
			t.Errorf("%d members in ring %s", len(s.Members), s.Identity)
		}
	})
}

// A registry that keeps a state for the first time, with the grace that this takes, adopts the
// ring of the one before, and keeps its identity.
func TestFirstStateOfAnOldRing(t *testing.T) {
	ringtest.OpenOnly(t, "a registry with another state has another key: its ring is refused")
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		for range 3 {
			tr.Join(nil)
		}
		tr.Setup(1)
		id := checkRing(t, tr)
		before := incarnationsOf(tr.Nodes)
		tr.Registry.Close()
		for _, n := range tr.Nodes {
			<-n.Disconnected()
		}
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithSelfSetup(2), ringdht.WithState(dir), ringdht.WithGrace(2*ringtest.Lease))
		tr.Join(nil)
		if now := checkRing(t, tr); now != id || readState(t, dir).Identity != id || readState(t, dir).Empty {
			t.Errorf("ring %s, was %s, kept is %+v", now, id, readState(t, dir))
		}
		checkSame(t, tr.Nodes[:3], before)
		if k := tr.Registry.Snapshot().Entries; k != 2 {
			t.Errorf("%d entries: the option counts", k)
		}
		tr.Close()
	})
}
