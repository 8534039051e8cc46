package registry_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A member that has died or left is remembered for a while, with the last figures that it
// reported and their age, until a member has its ID. The history has the ring's minutes.
func TestGoneKeepTheirFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(3*time.Second))
		for _, id := range []ringdht.ID{10, 20, 30, 40, 50} {
			tr.Join(nil, ringdht.WithTraffic(), ringdht.WithID(id))
		}
		tr.Setup(2)
		time.Sleep(2 * time.Second) // in virtual time: all have reported, which is what their figures are compared with
		sum := tr.Run(status.Traffic{Messages: 100}).Sum
		time.Sleep(2*time.Second + 500*time.Millisecond) // between two heartbeats
		synctest.Wait()
		s := tr.Registry.Snapshot()
		var delivered, relayed int64
		for _, step := range s.History {
			delivered, relayed = delivered+step.Delivered, relayed+step.Relayed
		}
		if delivered != sum.Received || relayed != sum.Relayed {
			t.Errorf("%d delivered and %d relayed in the history, %d and %d in the run", delivered, relayed, sum.Received, sum.Relayed)
		}
		if last := s.History[len(s.History)-1]; last.Members != 5 {
			t.Errorf("%d members at the end", last.Members)
		}
		before := s.Members
		died, left := tr.Nodes[1], tr.Nodes[3]
		died.Close()
		tr.WaitGone(died.ID())
		at := time.Now()
		time.Sleep(time.Minute)
		if err := left.Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		tr.WaitGone(left.ID())
		synctest.Wait()
		s = tr.Registry.Snapshot()
		if len(s.Gone) != 2 || len(s.Members) != 3 {
			t.Fatalf("%d gone, %d members", len(s.Gone), len(s.Members))
		}
		for i, n := range []*ringtest.Node{died, left} {
			g := s.Gone[i]
			was := before[1+2*i]
			if g.Identity != s.Identity || g.ID != n.ID() || g.Incarnation != n.Incarnation() || g.State != []status.State{status.StateDead, status.StateLeft}[i] || g.Why == "" && i == 0 {
				t.Errorf("gone: %+v", g)
			}
			if g.Counters.Sent != was.Counters.Sent || g.Counters.Delivered != was.Counters.Delivered || g.Addr != was.Addr || len(g.Entries) != 2 || g.Heard.IsZero() || g.When.Before(g.Heard) {
				t.Errorf("the last figures %+v, before %+v", g, was)
			}
		}
		if g := s.Gone[0]; at.Sub(g.When) > time.Second || !g.Heard.Before(at) || at.Sub(g.Heard) > 3*time.Second {
			t.Errorf("it died at %v, its figures are of %v and %v", at, g.When, g.Heard)
		}
		tr.Join(nil, ringdht.WithID(died.ID()))
		if s = tr.Registry.Snapshot(); len(s.Gone) != 1 || s.Gone[0].ID != left.ID() {
			t.Errorf("gone after it came back: %+v", s.Gone)
		}
		time.Sleep(status.GoneFor + time.Second)
		if s = tr.Registry.Snapshot(); len(s.Gone) != 0 || len(s.History) != status.MaxHistory {
			t.Errorf("%d gone, %d steps", len(s.Gone), len(s.History))
		}
	})
}

// Of members that are gone, the registry keeps the latest status.MaxGone.
func TestGoneAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1))
		for i := range status.MaxGone + 20 {
			tr.Join(nil, ringdht.WithID(ringdht.ID(i))).Close()
			tr.WaitGone(ringdht.ID(i))
		}
		synctest.Wait() // the registry notes a death a moment after the member is gone
		s := tr.Registry.Snapshot()
		if len(s.Gone) != status.MaxGone || s.Gone[0].ID != 20 || s.Gone[status.MaxGone-1].ID != status.MaxGone+19 {
			t.Errorf("%d gone: %s", len(s.Gone), fmt.Sprint(s.Gone[0].Peer))
		}
	})
}
