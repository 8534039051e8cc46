package keys

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// The registry's snapshot names the owner of each key, and has the figures of all nodes, also of those
// that have left.
func TestRegistryShowsKeys(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		client := r.join(r.make(5, false))
		names := keysOf(50)
		for _, key := range names {
			client.source(key).call(2)
		}
		shown := func() (status.KeyService, *status.Snapshot) {
			time.Sleep(2 * ringtest.Lease) // heartbeats come
			synctest.Wait()
			s := r.Registry.Snapshot()
			if len(s.Keys) != 1 || s.Keys[0].Service != "counters" {
				t.Fatalf("the snapshot has %+v", s.Keys)
			}
			return s.Keys[0], s
		}
		check := func(s status.KeyService, owners int) {
			t.Helper()
			if len(s.Owners) != owners || s.Sources != 1 || s.Moving != 0 || s.Recovering {
				t.Errorf("the snapshot has %+v", s)
			}
			for _, key := range names {
				arc, ok := s.Arc(Point(key))
				id, err := client.space.Owner(r.Ctx(), key)
				if !ok || err != nil || s.Owners[arc.Owner].ID != id {
					t.Errorf("%s is held by node %d (%v), the snapshot says %+v", key, id, err, arc)
				}
			}
		}
		s, whole := shown()
		check(s, 3)
		if s.Total.Handled != 100 || s.Total.Sent != 100 || s.Total.Keys != 50 || s.Total.Arcs != int64(s.ArcCount) || s.Total.Queued != 0 {
			t.Errorf("after 100 messages to 50 keys in %d arcs the sum is %+v", s.ArcCount, s.Total)
		}
		for _, m := range whole.Members {
			if len(m.Keys) != 1 || (m.ID == 5) != (m.Keys[0].Sent == 100) || (m.ID == 5) != (m.Keys[0].Arcs == 0) {
				t.Errorf("node %d has reported %+v", m.ID, m.Keys)
			}
		}
		given := s.Total.Given
		held := whole.Members[2].Keys[0]
		r.leave(all[1])
		s, _ = shown()
		check(s, 2)
		if s.Total.Handled != 100 || s.Total.Keys != 50 {
			t.Errorf("after a leave the sum is %+v", s.Total)
		}
		if held.Arcs == 0 || s.Total.Taken-given < 1 || s.Total.TakenBytes == 0 || s.Moved != s.MoveTimes.Count() {
			t.Errorf("%d arcs have moved with a leave, the sum is %+v", held.Arcs, s.Total)
		}
	})
}
