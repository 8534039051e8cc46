package ringdht

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

var shortLived = flag.Int("shortlived", 60, "how many nodes come, send and leave while a source sends, in TestShortLivedNodes")

// incomingOf is how many incoming streams a node has.
func incomingOf(n *Node) int { return n.Status().Streams.Incoming }

// until waits for what a node shows of itself.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(2 * time.Millisecond) { // polling for an event that nobody tells of
		if time.Now().After(deadline) {
			t.Fatal("still not so: ", what)
		}
	}
}

// Eight sources that have left make room for the ninth in a sink that takes eight.
func TestLeaversMakeRoom(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	sink := tr.join(nil, WithLimits(Limits{Streams: 8}))
	tr.join(nil)
	tr.setup(0)
	for range 2 {
		for range 8 {
			n := tr.join(nil)
			if err := errors.Join(n.Ready(tr.ctx()), n.Send(tr.ctx(), sink.ID(), nil), n.Leave(tr.ctx())); err != nil {
				t.Fatal(err)
			}
		}
		ninth := tr.join(nil)
		start := time.Now()
		if err := errors.Join(ninth.Ready(tr.ctx()), ninth.Send(tr.ctx(), sink.ID(), nil), ninth.Flush(tr.ctx())); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the ninth node's flush took %v", took)
		}
		until(t, "one incoming stream", func() bool { return incomingOf(sink) == 1 })
		if err := ninth.Leave(tr.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "no incoming stream", func() bool { return incomingOf(sink) == 0 })
}

// A source is as fast when many nodes have come, sent and left as it was before. How fast
// depends on the machine, so the rates are logged, and what counts at the sink is tested.
func TestShortLivedNodes(t *testing.T) {
	tr := newTestRing(t, nil, WithLease(3*time.Second))
	var handled atomic.Int64
	sink := tr.join(func(_ context.Context, m Message) {
		if len(m.Body) > 0 {
			handled.Add(1)
		}
	})
	source := tr.join(nil)
	tr.setup(0)
	rate := func() float64 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before, start := handled.Load(), time.Now()
		for ctx.Err() == nil {
			if err := source.Send(ctx, sink.ID(), make([]byte, 8)); err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
		}
		if err := source.Flush(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		return float64(handled.Load()-before) / time.Since(start).Seconds()
	}
	rate()
	before := rate()
	most := 0
	for range *shortLived {
		n := tr.join(nil)
		if err := errors.Join(n.Ready(tr.ctx()), n.Send(tr.ctx(), sink.ID(), nil), n.Leave(tr.ctx())); err != nil {
			t.Fatal(err)
		}
		tr.nodes = tr.nodes[:2]
		most = max(most, incomingOf(sink))
	}
	after := rate()
	t.Logf("%d short-lived nodes, %d incoming streams at most: %.0f messages a second before, %.0f after", *shortLived, most, before, after)
	until(t, "one incoming stream", func() bool { return incomingOf(sink) <= 1 })
}

// A leave that a node cannot hear of, since it has no registry then, is not lost on it.
func TestLeaveDuringAnOutage(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net, WithLease(5*time.Second))
	sink := tr.join(nil)
	var others []*Node
	for range 3 {
		others = append(others, tr.join(nil))
	}
	tr.setup(0)
	for _, n := range others {
		if err := errors.Join(n.Send(tr.ctx(), sink.ID(), nil), n.Flush(tr.ctx())); err != nil {
			t.Fatal(err)
		}
	}
	life := sink.Incarnation()
	net.Hold("n0", "registry")
	net.Hold("registry", "n0")
	r := tr.registry
	r.mu.Lock()
	s := r.sessions[ring.Ref{ID: uint64(sink.ID()), Life: life}]
	r.mu.Unlock()
	s.conn.Close()
	sink.hangUp()
	<-sink.Disconnected()
	// It asks to leave and goes, without a word to its sinks.
	others[0].tell(control.TypeDeregister, control.Deregister{ID: uint64(others[0].ID()), Addr: others[0].addr})
	until(t, "three members", func() bool { return len(r.Members()) == 3 })
	others[0].Close()
	if n := incomingOf(sink); n != 3 {
		t.Fatalf("%d incoming streams", n)
	}
	net.Heal()
	if err := sink.WaitConnected(tr.ctx()); err != nil || sink.Incarnation() != life {
		t.Fatal(err, "or another life")
	}
	until(t, "two incoming streams", func() bool { return incomingOf(sink) == 2 })
	for _, n := range others[1:] { // the streams of those that stay go on
		if err := errors.Join(n.Send(tr.ctx(), sink.ID(), nil), n.Flush(tr.ctx())); err != nil {
			t.Fatal(fmt.Errorf("node %d: %w", n.ID(), err))
		}
	}
}
