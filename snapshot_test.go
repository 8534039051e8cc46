package ringdht

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/status"
)

// kinds are those of the events of a snapshot, in order.
func kinds(s *status.Snapshot) (list []status.EventKind) {
	for _, e := range s.Events {
		list = append(list, e.Kind)
	}
	return list
}

// What nodes count reaches the registry with their heartbeats, adds up, and stays when
// they are gone.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, NewMemoryNetwork(1), WithLease(3*time.Second))
		empty, _ := json.Marshal(tr.registry.Snapshot())
		for _, id := range []ID{40, 10, 30, 20, 50} { // the first follows the third: nobody relays between them
			tr.join(nil, WithTraffic(), WithID(id))
		}
		early, _ := json.Marshal(tr.registry.Snapshot())
		for _, doc := range []string{string(empty), string(early)} {
			doc = strings.NewReplacer(`"running":null`, "", `"last":null`, "").Replace(doc)
			if strings.Contains(doc, "null") {
				t.Errorf("an empty list is null: %s", doc)
			}
		}
		if s := tr.registry.Snapshot(); s.Live || len(s.Members) != 5 || s.Members[0].State != status.StateRegistered || len(s.Missing) == 0 {
			t.Errorf("before the set-up: %+v", s)
		}
		tr.setup(2)
		sum := tr.run(Traffic{Messages: 100}).Sum
		time.Sleep(time.Second) // of the bubble: a heartbeat of everybody
		synctest.Wait()

		s := tr.registry.Snapshot()
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
		if s.Running != nil || len(s.Runs) != 1 || !s.Runs[0].Exact || s.Runs[0].Received != sum.Received || s.Last == nil {
			t.Errorf("runs: %+v %+v", s.Running, s.Runs)
		}
		if !s.Live || s.Entries != 2 || len(s.Missing) != 0 || s.Bits != 16 || s.Epoch != tr.registry.Epoch() {
			t.Errorf("the ring: %+v", s)
		}
		if n := tr.nodes[0]; n.Ring() != s.Ring || s.Ring != "ring" {
			t.Errorf("the ring is called %q and %q", n.Ring(), s.Ring)
		}
		for i, m := range s.Members {
			n := tr.nodes[slices.IndexFunc(tr.nodes, func(n *Node) bool { return n.ID() == m.ID })]
			if m.State != status.StateActive || m.Incarnation != n.Incarnation() || m.Counters != n.Status().Counters || m.Heard.Before(m.Joined) || len(m.Entries) != 2 {
				t.Errorf("member %d: %+v", i, m)
			}
			if m.Links[0].To != m.Entries[0] || !m.Links[0].Up || m.Links[0].Bytes == 0 || m.Limits.Streams != n.cfg.limits.Streams || m.Epoch != s.Epoch || m.Members != 5 {
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

		if err := tr.nodes[2].Send(tr.ctx(), tr.nodes[0].ID(), []byte("good-bye")); err != nil {
			t.Fatal(err)
		}
		before := s.Total
		before.Sent++ // it says so with its last breath
		if err := tr.nodes[2].Leave(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s = tr.registry.Snapshot(); s.Total.Sent != before.Sent {
			t.Errorf("%d messages sent, it left with %d", s.Total.Sent, before.Sent)
		}
		before.Delivered++
		time.Sleep(time.Second)
		synctest.Wait()
		s = tr.registry.Snapshot()
		if s.Total.Sent != before.Sent || s.Total.Delivered != before.Delivered || s.Total.Relayed != before.Relayed || len(s.Members) != 4 {
			t.Errorf("totals %+v after one has left, %+v before", s.Total, before)
		}
		if e := s.Events[len(s.Events)-1]; e.Kind != status.EventLeft || e.Node != tr.nodes[2].Peer() || e.Incarnation != tr.nodes[2].Incarnation() {
			t.Errorf("the last event: %+v", e)
		}
	})
}

// The sums never go back: what a member has counted stays in them from its end to when it
// is retired, which is a moment later. What it held is gone.
func TestTotalsKeepWhatIsGone(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	tr.join(nil)
	r := tr.registry
	r.mu.Lock()
	ref := r.members.All()[0].Ref()
	r.records[ref].status = &status.Node{Counters: status.Counters{Sent: 7, Queued: 7}, Hops: []int64{0, 7}}
	r.members.Leave(r.now(), ref)
	r.mu.Unlock() // the steward was not told
	if s := r.Snapshot(); len(s.Members) != 0 || s.Total.Sent != 7 || s.Total.Queued != 0 || len(s.Hops) != 2 {
		t.Errorf("in between: %d members, %+v, hops %v", len(s.Members), s.Total, s.Hops)
	}
	r.stir()
	if err := r.await(tr.ctx(), func() bool { return len(r.records) == 0 }); err != nil {
		t.Fatal(err)
	}
	if s := r.Snapshot(); s.Total.Sent != 7 || s.Total.Queued != 0 || len(s.Hops) != 2 {
		t.Errorf("after it: %+v, hops %v", s.Total, s.Hops)
	}
}

// A quiet node's heartbeats say no more than that it lives.
func TestHeartbeatsSayWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTestRing(t, NewMemoryNetwork(1), WithLease(3*time.Second))
		n := tr.join(nil)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		inc := n.inc.Load()
		if b := inc.heartbeat(n.ctl.Load()); len(b.Status) != 0 {
			t.Errorf("again: %+v", b.Status)
		}
		if b := inc.heartbeat(nil); len(b.Status) != 1 { // over another connection
			t.Error("a new connection does not begin with everything")
		}
		s := tr.registry.Snapshot()
		if m := s.Members[0]; m.Heard.Sub(m.Joined) != 2*time.Second || m.Limits.Streams == 0 {
			t.Errorf("member: %+v", m)
		}
	})
}

// slowCodec holds up the first heartbeat with a status that it encodes.
type slowCodec struct {
	Codec
	armed       atomic.Bool
	began, goOn chan struct{}
}

func (c *slowCodec) Append(dst []byte, v any) ([]byte, error) {
	if b, ok := v.(control.Beat); ok && len(b.Status) > 0 && c.armed.CompareAndSwap(true, false) {
		close(c.began)
		<-c.goOn
	}
	return c.Codec.Append(dst, v)
}

// A heartbeat does not overtake a later one: what the registry heard last would be out of
// date, and the node would not say it again.
func TestHeartbeatsKeepTheirOrder(t *testing.T) {
	c := &slowCodec{Codec: JSON(), began: make(chan struct{}), goOn: make(chan struct{})}
	tr := newTestRing(t, NewMemoryNetwork(1), WithCodec(c))
	n := tr.join(nil)
	tr.setup(0)
	inc := n.inc.Load()
	send := func() { // which changes what there is to say
		if err := n.Cast(tr.ctx(), n.ID(), nil); err != nil {
			t.Error(err)
		}
	}
	send()
	c.armed.Store(true)
	var beats sync.WaitGroup
	beats.Go(inc.sayAlive)
	<-c.began
	send()
	second := make(chan struct{})
	beats.Go(func() { inc.sayAlive(); close(second) })
	select {
	case <-second:
	case <-time.After(20 * time.Millisecond): // it waits for the first, as it should
	}
	close(c.goOn)
	beats.Wait()
	answered := func() bool {
		inc.pulse.mu.Lock()
		defer inc.pulse.mu.Unlock()
		return len(inc.pulse.waiting) == 0
	}
	for !answered() {
		time.Sleep(time.Millisecond)
	}
	if got := tr.registry.Snapshot().Members[0].Counters.Sent; got != 2 {
		t.Errorf("the registry has heard of %d messages, 2 were sent", got)
	}
}

func TestHistogram(t *testing.T) {
	h := status.Histogram{Counts: []int64{0, 4, 0, 0, 5, 1}}
	if h.Count() != 10 || h.Bound(0) != time.Microsecond || h.Bound(4) != 16*time.Microsecond {
		t.Errorf("%+v", h)
	}
	for q, want := range map[float64]time.Duration{0: 2, 0.1: 2, 0.4: 2, 0.5: 16, 0.9: 16, 0.95: 32, 1: 32} {
		if got := h.Quantile(q); got != want*time.Microsecond {
			t.Errorf("quantile %v is %v, want %v µs", q, got, int(want))
		}
	}
	if (status.Histogram{}).Quantile(0.5) != 0 {
		t.Error("of nothing")
	}
}

// stuck is a log that stands still.
type stuck struct {
	slog.Handler
	release chan struct{}
}

func (s stuck) Handle(context.Context, slog.Record) error {
	<-s.release
	return nil
}

// A log that stands still holds up nobody: not those that join, not the set-up, not the
// news that somebody is dead.
func TestStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		net := NewMemoryNetwork(1)
		r, err := NewRegistry(WithLease(3*time.Second), WithTransport(net.Host("registry")),
			WithLogger(slog.New(stuck{slog.NewTextHandler(io.Discard, nil), release})))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer close(release)
		addr, err := r.Listen(t.Context(), "registry:0")
		if err != nil {
			t.Fatal(err)
		}
		var nodes []*Node
		for i := range 4 {
			n, err := Join(t.Context(), addr.String(), nil, WithTransport(net.Host(fmt.Sprint("n", i))))
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
