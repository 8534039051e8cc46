package registry_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

var shortLived = flag.Int("shortlived", 60, "how many nodes come, send and leave while a source sends, in TestShortLivedNodes")

// incomingOf returns the number of incoming streams of a node.
func incomingOf(n *ringtest.Node) int { return n.Status().Streams.Incoming }

// A sink takes eight streams. Eight sources that have left make room for a ninth.
func TestLeaversMakeRoom(t *testing.T) { synctest.Test(t, leaversMakeRoom) }

func leaversMakeRoom(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	sink := tr.Join(nil, ringdht.WithLimits(status.Limits{Streams: 8}))
	tr.Join(nil)
	tr.Setup(0)
	for range 2 {
		for range 8 {
			n := tr.Join(nil)
			if err := errors.Join(n.Ready(tr.Ctx()), n.Send(tr.Ctx(), sink.ID(), nil), n.Leave(tr.Ctx())); err != nil {
				t.Fatal(err)
			}
		}
		ninth := tr.Join(nil)
		start := time.Now()
		if err := errors.Join(ninth.Ready(tr.Ctx()), ninth.Send(tr.Ctx(), sink.ID(), nil), ninth.Flush(tr.Ctx())); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the ninth node's flush took %v", took)
		}
		ringtest.WaitUntil(t, "one incoming stream", func() bool { return incomingOf(sink) == 1 })
		if err := ninth.Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	ringtest.WaitUntil(t, "no incoming stream", func() bool { return incomingOf(sink) == 0 })
}

// A source is as fast after many nodes have come, sent and left as before. The rates depend on
// the machine, so they are only logged. The test checks the streams at the sink.
func TestShortLivedNodes(t *testing.T) {
	tr := ringtest.New(t, nil, ringdht.WithLease(3*time.Second))
	var handled atomic.Int64
	sink := tr.Join(func(_ context.Context, m ringdht.Message) {
		if len(m.Body) > 0 {
			handled.Add(1)
		}
	})
	source := tr.Join(nil)
	tr.Setup(0)
	rate := func() float64 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before, start := handled.Load(), time.Now()
		for ctx.Err() == nil {
			if err := source.Send(ctx, sink.ID(), make([]byte, 8)); err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
		}
		if err := source.Flush(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		return float64(handled.Load()-before) / time.Since(start).Seconds()
	}
	rate()
	before := rate()
	most := 0
	for range *shortLived {
		n := tr.Join(nil)
		if err := errors.Join(n.Ready(tr.Ctx()), n.Send(tr.Ctx(), sink.ID(), nil), n.Leave(tr.Ctx())); err != nil {
			t.Fatal(err)
		}
		tr.Nodes = tr.Nodes[:2]
		most = max(most, incomingOf(sink))
	}
	after := rate()
	t.Logf("%d short-lived nodes, %d incoming streams at most: %.0f messages a second before, %.0f after", *shortLived, most, before, after)
	ringtest.WaitUntil(t, "one incoming stream", func() bool { return incomingOf(sink) <= 1 })
}

// A node that has no registry at the time of a leave learns of it later.
func TestLeaveDuringAnOutage(t *testing.T) { synctest.Test(t, leaveDuringAnOutage) }

func leaveDuringAnOutage(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithLease(5*time.Second))
	sink := tr.Join(nil)
	var others []*ringtest.Node
	for range 3 {
		others = append(others, tr.Join(nil))
	}
	tr.Setup(0)
	for _, n := range others {
		if err := errors.Join(n.Send(tr.Ctx(), sink.ID(), nil), n.Flush(tr.Ctx())); err != nil {
			t.Fatal(err)
		}
	}
	inc := sink.Incarnation()
	net.Hold("n0", "registry")
	net.Hold("registry", "n0")
	r := tr.Registry
	ringtest.RegistryOf(r).HangUpOn(refOf(sink))
	ringtest.NodeOf(sink).HangUp()
	<-sink.Disconnected()
	// A source deregisters and ends, without a farewell to its sinks.
	ringtest.NodeOf(others[0]).Tell(control.TypeDeregister, control.Deregister{ID: uint64(others[0].ID()), Addr: others[0].Peer().Addr})
	ringtest.WaitUntil(t, "three members", func() bool { return len(r.Members()) == 3 })
	others[0].Close()
	if n := incomingOf(sink); n != 3 {
		t.Fatalf("%d incoming streams", n)
	}
	net.Heal()
	if err := sink.WaitConnected(tr.Ctx()); err != nil || sink.Incarnation() != inc {
		t.Fatal(err, "or another incarnation")
	}
	ringtest.WaitUntil(t, "two incoming streams", func() bool { return incomingOf(sink) == 2 })
	for _, n := range others[1:] { // the streams of the others go on
		if err := errors.Join(n.Send(tr.Ctx(), sink.ID(), nil), n.Flush(tr.Ctx())); err != nil {
			t.Fatal(fmt.Errorf("node %d: %w", n.ID(), err))
		}
	}
}
