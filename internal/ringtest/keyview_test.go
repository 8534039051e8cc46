package ringtest_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// snapshotKeys is what a snapshot has of the one service.
func (a *keepers) snapshotKeys(t *testing.T) status.KeyService {
	t.Helper()
	s := a.tr.Registry.Snapshot()
	if len(s.Keys) != 1 || s.Keys[0].Service != a.service {
		t.Fatalf("the snapshot has %+v", s.Keys)
	}
	return s.Keys[0]
}

// checkView fails the test unless the arcs are in order, the owners' shares are those of their arcs, and
// each point has the owner that the registry names.
func (a *keepers) checkView(t *testing.T, s *status.KeyService) {
	t.Helper()
	arcs, next := make([]int, len(s.Owners)), uint64(0)
	for i, arc := range s.Arcs {
		if arc.First < next || arc.Last < arc.First || i > 0 && next == 0 {
			t.Fatalf("arc %d is %+v, the one before ends before %d", i, arc, next)
		}
		next = arc.Last + 1
		arcs[arc.Owner]++
	}
	for i, o := range s.Owners {
		if o.Arcs != arcs[i] || o.Addr == "" || (o.Share > 0) != (o.Arcs > 0) {
			t.Errorf("owner %+v has %d arcs", o, arcs[i])
		}
	}
	all := 0.0
	for _, o := range s.Owners {
		all += o.Share
	}
	if s.ArcCount != len(s.Arcs) || math.Abs(all-1) > 1e-9 || s.Free != 0 {
		t.Errorf("%d of %d arcs are listed, %v of the ring is held, and %v free", len(s.Arcs), s.ArcCount, all, s.Free)
	}
	for _, p := range append(points(), 0, math.MaxUint64) {
		arc, ok := s.Arc(p)
		ref, _ := ringtest.RegistryOf(a.tr.Registry).KeyOwner(a.service, p)
		if !ok || arc.First > p || arc.Last < p || s.Owners[arc.Owner].Incarnation != ref.Incarnation || arc.Term == 0 {
			t.Errorf("point %d is in %+v of the snapshot, the registry says %v", p, arc, ref)
		}
	}
}

// A snapshot shows the owner of each arc, the moves under way with their beginning, and afterwards how
// long they took: as long as the receiver needed.
func TestSnapshotShowsKeys(t *testing.T) {
	inKeyRing(t, 2, func(t *testing.T, a *keepers, all []*keeper) {
		before := a.snapshotKeys(t)
		a.checkView(t, &before)
		if before.Moving != 0 || before.Moves == nil || before.MoveTimes.Count() != before.Moved || before.Recovering {
			t.Errorf("at rest the snapshot has %+v", before)
		}
		k := a.prepare(ringdht.WithID(30), ringdht.WithName("slow"))
		k.slow = true
		began := time.Now()
		if err := k.node.Join(a.tr.Ctx(), a.tr.Line()); err != nil {
			t.Fatal(err)
		}
		a.tr.Nodes = append(a.tr.Nodes, k.node)
		synctest.Wait()
		during := a.snapshotKeys(t)
		a.checkView(t, &during)
		if during.Moving < 2 || len(during.Moves) != min(during.Moving, status.MaxKeyMoves) || len(during.Owners) != 3 || during.Owners[2].Arcs != 0 {
			t.Errorf("while it takes, the snapshot has %+v", during)
		}
		moving := 0.0
		for _, m := range during.Moves {
			if m.To.ID != 30 || m.To.Name != "slow" || m.From.ID == 30 || m.Since.Before(began) || m.Since.After(time.Now()) || m.Share <= 0 {
				t.Errorf("a move is shown as %+v", m)
			}
			moving += m.Share
		}
		time.Sleep(70 * time.Second)
		k.release()
		synctest.Wait()
		after := a.snapshotKeys(t)
		a.checkView(t, &after)
		times := after.MoveTimes
		if after.Moving != 0 || after.Moved != before.Moved+int64(during.Moving) || times.Count() != after.Moved {
			t.Errorf("afterwards the snapshot has %+v", after)
		}
		took := after.LongestMove
		if took < 70*time.Second || took > 71*time.Second || times.Quantile(1) < 16*time.Second || times.Sum-before.MoveTimes.Sum < time.Duration(during.Moving)*70*time.Second {
			t.Errorf("%d moves of 70 s are shown as %v at most, and as %+v", during.Moving, took, times)
		}
		if share := after.Owners[2].Share; math.Abs(share-moving) > 1e-9 {
			t.Errorf("%v of the ring was to move, the receiver has %v", moving, share)
		}
		if during.Owners[2].Arcs != 0 || len(during.Moves) == 0 {
			t.Error("a snapshot has changed")
		}

		// A receiver that dies ends its moves otherwise.
		k = a.prepare(ringdht.WithID(40))
		k.slow = true
		if err := k.node.Join(a.tr.Ctx(), a.tr.Line()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		moves := a.snapshotKeys(t).Moving
		k.node.Close()
		a.tr.WaitGone(40)
		synctest.Wait()
		if s := a.snapshotKeys(t); moves == 0 || s.Void != int64(moves) || s.Moving != 0 || s.Moved != after.Moved {
			t.Errorf("%d moves have ended with the receiver, the snapshot has %+v", moves, s)
		}
	})
}

// Heartbeats bring the figures of each node. Their sum does not shrink when a node has gone, but for what
// it had in use.
func TestKeyFiguresReachTheRegistry(t *testing.T) {
	inKeyRing(t, 2, func(t *testing.T, a *keepers, all []*keeper) {
		time.Sleep(20 * ringtest.Lease) // until nothing else of a status changes
		for i, k := range all {
			a.do(func() {
				k.figures = status.KeyCounters{Arcs: 10, Keys: int64(i + 1), Handled: int64(100 * (i + 1)), Refusals: 3, Unknown: int64(i), GivenBytes: 1 << 40}
			})
		}
		time.Sleep(2 * ringtest.Lease)
		synctest.Wait()
		for i, m := range a.tr.Registry.Snapshot().Members {
			want := status.NodeKeys{Service: a.service, KeyCounters: all[i].figures}
			if len(m.Keys) != 1 || m.Keys[0] != want {
				t.Errorf("the registry has %+v of node %d, want %+v", m.Keys, m.ID, want)
			}
			if own := all[i].node.Status().Keys; len(own) != 1 || own[0] != want {
				t.Errorf("node %d shows %+v, want %+v", m.ID, own, want)
			}
		}
		want := status.KeyCounters{Arcs: 20, Keys: 3, Handled: 300, Refusals: 6, Unknown: 1, GivenBytes: 2 << 40}
		if got := a.snapshotKeys(t).Total; got != want {
			t.Errorf("the sum is %+v, want %+v", got, want)
		}
		all[1].node.Close()
		a.tr.WaitGone(20)
		synctest.Wait()
		want.Arcs, want.Keys = 10, 1
		if got := a.snapshotKeys(t).Total; got != want {
			t.Errorf("without one of the two the sum is %+v, want %+v", got, want)
		}
	})
}

// A ring without keys shows nothing of them.
func TestSnapshotWithoutKeys(t *testing.T) {
	ringtest.InBubble(t, 1, []ringdht.ID{10, 20}, func(t *testing.T, tr *ringtest.Ring, _ *memnet.Network) {
		time.Sleep(2 * ringtest.Lease)
		s := tr.Registry.Snapshot()
		text, err := json.Marshal(s)
		if err != nil || s.Keys != nil || s.Members[0].Keys != nil || strings.Contains(string(text), `"keys"`) {
			t.Errorf("%v, %s", err, text)
		}
	})
}
