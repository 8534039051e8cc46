package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// kinds returns the kinds of the events of a snapshot, in order.
func kinds(s *status.Snapshot) (list []status.EventKind) {
	for _, e := range s.Events {
		list = append(list, e.Kind)
	}
	return list
}

// Counters of nodes reach the registry with heartbeats, and are summed up. The sums stay when
// the nodes have gone.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(3*time.Second))
		empty, _ := json.Marshal(tr.Registry.Snapshot())
		for _, id := range []ringdht.ID{40, 10, 30, 20, 50} { // the first follows the third: no node relays between them
			tr.Join(nil, ringdht.WithTraffic(), ringdht.WithID(id))
		}
		early, _ := json.Marshal(tr.Registry.Snapshot())
		for _, doc := range []string{string(empty), string(early)} {
			doc = strings.NewReplacer(`"running":null`, "", `"last":null`, "", `"id":null`, "").Replace(doc)
			if strings.Contains(doc, "null") {
				t.Errorf("an empty list is null: %s", doc)
			}
		}
		if s := tr.Registry.Snapshot(); s.Live || len(s.Members) != 5 || s.Members[0].State != status.StateRegistered || len(s.Missing) == 0 {
			t.Errorf("before the set-up: %+v", s)
		}
		tr.Setup(2)
		sum := tr.Run(status.Traffic{Messages: 100}).Sum
		time.Sleep(2 * time.Second) // in virtual time: until all have sent heartbeats, the second after their links were checked
		synctest.Wait()

		s := tr.Registry.Snapshot()
		if s.Total.Sent != sum.Sent || s.Total.Delivered != sum.Received || s.Total.Relayed != sum.Relayed || s.Total.Queued != 0 {
			t.Errorf("totals %+v of a run %+v", s.Total, sum)
		}
		var delivered, asked int64
		for _, n := range s.Hops {
			delivered += n
		}
		asked = s.Latency.Count()
		if delivered != sum.Received || len(s.Hops) != 3 || s.Hops[0] != 0 || asked == 0 || s.Latency.Sum <= 0 {
			t.Errorf("hops %v, latency %+v", s.Hops, s.Latency)
		}
		if s.Running != nil || len(s.Runs) != 1 || !s.Runs[0].Exact || s.Runs[0].Received != sum.Received || s.Last == nil || s.Last.Number != s.Runs[0].Number || s.Last.Number == 0 {
			t.Errorf("runs: %+v %+v", s.Running, s.Runs)
		}
		if !s.Live || s.Entries != 2 || len(s.Missing) != 0 || s.Bits != 16 || s.Epoch != tr.Registry.Epoch() {
			t.Errorf("the ring: %+v", s)
		}
		if n := tr.Nodes[0]; n.Ring() != s.Ring || s.Ring != "ring" {
			t.Errorf("the ring is called %q and %q", n.Ring(), s.Ring)
		}
		for i, m := range s.Members {
			n := tr.Nodes[slices.IndexFunc(tr.Nodes, func(n *ringtest.Node) bool { return n.ID() == m.ID })]
			if m.State != status.StateActive || m.Incarnation != n.Incarnation() || m.Counters != n.Status().Counters || m.Heard.Before(m.Joined) || len(m.Entries) != 2 {
				t.Errorf("member %d: %+v", i, m)
			}
			if m.Links[0].To != m.Entries[0] || !m.Links[0].Up || m.Links[0].Bytes == 0 || m.Limits.Streams != ringtest.NodeOf(n).Config().Limits.Streams || m.Epoch != s.Epoch || m.Members != 5 {
				t.Errorf("member %d: %+v", i, m)
			}
		}
		want := []status.EventKind{status.EventJoined, status.EventJoined, status.EventJoined, status.EventJoined, status.EventJoined, status.EventReady, status.EventReady, status.EventReady, status.EventReady, status.EventReady, status.EventSetup, status.EventRun, status.EventRunEnded}
		if got := kinds(s); !slices.Equal(got, want) {
			t.Errorf("events %v", got)
		}
		if s.Happened[status.EventJoined] != 5 || s.Happened[status.EventRunEnded] != 1 || s.Happened[status.EventDead] != 0 || len(s.Verdicts) != 1 || s.Verdicts["exact"] != 1 {
			t.Errorf("counts %v, verdicts %v", s.Happened, s.Verdicts)
		}
		if e := s.Events[len(s.Events)-1]; e.Seq != uint64(len(want)) || e.Why != "run 1: exact" || e.Epoch != s.Epoch {
			t.Errorf("the last event: %+v", e)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}

		if err := tr.Nodes[2].Send(tr.Ctx(), tr.Nodes[0].ID(), []byte("good-bye")); err != nil {
			t.Fatal(err)
		}
		before := s.Total
		before.Sent++ // in its last heartbeat
		if err := tr.Nodes[2].Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s = tr.Registry.Snapshot(); s.Total.Sent != before.Sent {
			t.Errorf("%d messages sent, it left with %d", s.Total.Sent, before.Sent)
		}
		before.Delivered++
		time.Sleep(time.Second)
		synctest.Wait()
		s = tr.Registry.Snapshot()
		if s.Total.Sent != before.Sent || s.Total.Delivered != before.Delivered || s.Total.Relayed != before.Relayed || len(s.Members) != 4 {
			t.Errorf("totals %+v after one has left, %+v before", s.Total, before)
		}
		if e := s.Events[len(s.Events)-1]; e.Kind != status.EventLeft || e.Node != tr.Nodes[2].Peer() || e.Incarnation != tr.Nodes[2].Incarnation() {
			t.Errorf("the last event: %+v", e)
		}
	})
}

// The totals never decrease: the counters of a member stay in them from its end until it is
// retired, a moment later. Its queues no longer count.
func TestTotalsKeepWhatIsGone(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	tr.Join(nil)
	r := tr.Registry
	in := ringtest.RegistryOf(r)
	in.Locked(func() {
		ref := in.Authority().All()[0].Ref()
		in.SetStatus(ref, &status.Node{Counters: status.Counters{Sent: 7, Queued: 7}, Hops: []int64{0, 7}})
		in.Authority().Leave(in.Now(), ref)
	}) // the reconcile loop was not woken
	if s := r.Snapshot(); len(s.Members) != 0 || s.Total.Sent != 7 || s.Total.Queued != 0 || len(s.Hops) != 2 {
		t.Errorf("in between: %d members, %+v, hops %v", len(s.Members), s.Total, s.Hops)
	}
	in.Wake()
	if err := in.Await(tr.Ctx(), func() bool { return in.Records() == 0 }); err != nil {
		t.Fatal(err)
	}
	if s := r.Snapshot(); s.Total.Sent != 7 || s.Total.Queued != 0 || len(s.Hops) != 2 {
		t.Errorf("after it: %+v, hops %v", s.Total, s.Hops)
	}
}

// stuck is a log handler that blocks.
type stuck struct {
	slog.Handler
	release chan struct{}
}

func (s stuck) Handle(context.Context, slog.Record) error {
	<-s.release
	return nil
}

// A log that blocks delays neither nodes that join, nor the set-up, nor the news of a death.
func TestStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		net := memnet.New(1)
		r, err := ringdht.NewRegistry(ringdht.WithLease(3*time.Second), ringdht.WithTransport(net.Host("registry")),
			ringdht.WithLogger(slog.New(stuck{slog.NewTextHandler(io.Discard, nil), release})))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer close(release)
		addr, err := r.Listen(t.Context(), "registry:0")
		if err != nil {
			t.Fatal(err)
		}
		var nodes []*ringtest.Node
		for i := range 4 {
			n, err := ringtest.Join(t.Context(), addr.String(), nil, ringdht.WithTransport(net.Host(fmt.Sprint("n", i))))
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			nodes = append(nodes, n)
		}
		if _, err := r.Setup(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		nodes[0].Close()
		synctest.Wait()
		if n := len(r.Members()); n != 3 {
			t.Errorf("%d members, one is dead", n)
		}
	})
}
