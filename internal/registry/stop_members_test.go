package registry_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Members die, leave, join and lose their connections while a run stops. Its account is in order,
// and the next run is exact.
func TestStopWhileMembersChange(t *testing.T) {
	for name, c := range map[string]struct {
		change func(tr *ringtest.Ring, n *ringtest.Node)
		lost   bool // the node is gone afterwards
	}{
		"one dies": {func(_ *ringtest.Ring, n *ringtest.Node) { n.Close() }, true},
		"one leaves": {func(tr *ringtest.Ring, n *ringtest.Node) {
			if err := n.Leave(tr.Ctx()); err != nil {
				tr.T.Error(err)
			}
		}, true},
		"one joins": {func(tr *ringtest.Ring, _ *ringtest.Node) {
			if err := tr.Join(nil, ringdht.WithTraffic()).Ready(tr.Ctx()); err != nil {
				tr.T.Error(err)
			}
		}, false},
		"one loses its registry": {func(_ *ringtest.Ring, n *ringtest.Node) { ringtest.NodeOf(n).HangUp() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 8 {
				tr := ringtest.New(t, memnet.New(uint64(i)))
				for range 5 {
					tr.Join(nil, ringdht.WithTraffic())
				}
				tr.Setup(2)
				n := tr.Nodes[1]
				ctx, cancel := context.WithCancel(tr.Ctx())
				over := traffic(ctx, tr, endless)
				hasBegun(tr, n)
				var wg sync.WaitGroup
				wg.Go(func() { c.change(tr, n) })
				if i%2 == 0 { // else the change comes first
					wg.Go(cancel)
				}
				wg.Wait()
				cancel()
				if err := <-over; !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if c.lost {
					tr.Remove(n)
				}
				if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
				if s := checkStopped(tr); !c.lost && (len(s.Lost) > 0 || s.Sum.Unknown > 0) {
					t.Errorf("%s", s.Verdict())
				}
				tr.WaitSettled()
				tr.Run(status.Traffic{Messages: 100})
				tr.Close()
			}
		})
	}
}

// A member that was not reached by the word to stop is told again when it is back.
func TestStopIsRepeatedToAMemberThatComesBack(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	n := tr.Nodes[0]
	ctx, cancel := context.WithCancel(tr.Ctx())
	over := traffic(ctx, tr, endless)
	hasBegun(tr, n)
	net.Hold("registry", "n0")
	cancel()
	<-over
	awaitRun(tr, func(r *registry.Registry) bool { return r.Unfinished() == 1 })
	if r := n.Status().Runs.Latest; !r.Sending || !r.UnderWay {
		t.Errorf("%+v", r)
	}
	ringtest.NodeOf(n).HangUp() // the word is lost
	net.Heal()
	if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	if s := checkStopped(tr); len(s.Lost) > 0 {
		t.Error(s.Verdict())
	}
	tr.Run(status.Traffic{Messages: 100})
}

// A node that joins while a run stops is asked for its relays like any late one.
func TestLatecomerOfAStoppedRun(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	ctx, cancel := context.WithCancel(tr.Ctx())
	over := traffic(ctx, tr, endless)
	hasBegun(tr, tr.Nodes[0])
	net.Hold("registry", "n0")
	cancel()
	<-over
	awaitRun(tr, func(r *registry.Registry) bool { return r.Phase() == registry.Stopping && r.Unfinished() == 1 })
	late := tr.Join(nil, ringdht.WithTraffic())
	net.Heal()
	if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	s := checkStopped(tr)
	if !slices.ContainsFunc(s.Nodes, func(n status.NodeSummary) bool { return n.ID == late.ID() && n.Late && !n.Lost }) {
		t.Errorf("%+v", s.Nodes)
	}
	tr.WaitSettled()
	tr.Run(status.Traffic{Messages: 100})
}

// A node that has not heard of its task yet when it is told to stop sends nothing.
func TestStopBeforeTheTask(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	n := tr.Nodes[0]
	net.Hold("registry", "n0")
	ctx, cancel := context.WithCancel(tr.Ctx())
	over := traffic(ctx, tr, endless)
	hasBegun(tr, tr.Nodes[1])
	ringtest.NodeOf(n).HangUp() // the task is lost
	cancel()
	<-over
	awaitRun(tr, func(r *registry.Registry) bool { return r.Phase() == registry.Stopping })
	net.Heal()
	if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	s := checkStopped(tr)
	if r := n.Status().Runs; r.Latest.Sent != 0 || r.Latest.Received == 0 || r.Count != 1 || s.Sum.Sent == 0 {
		t.Errorf("%+v, %+v", r, s.Sum)
	}
	tr.Run(status.Traffic{Messages: 100})
}

// A caller that goes when all is sent stops nothing. The next run waits for the account, also while
// it is explained.
func TestCallerThatGoesWhileARunIsExplained(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	gate := &gatedCodec{release: make(chan struct{})}
	dies := tr.Join(nil, ringdht.WithTraffic())
	full := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, gate.release) }, ringdht.WithTraffic())
	tr.Join(nil, ringdht.WithTraffic(), ringdht.WithCodec(gate))
	tr.Setup(0)
	if err := dies.Send(tr.Ctx(), full.ID(), []byte("x")); err != nil { // so that it cannot send all of the run
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tr.Ctx())
	over := traffic(ctx, tr, 100_000)
	hasBegun(tr, dies)
	dies.Close()
	tr.Remove(dies)
	awaitRun(tr, func(r *registry.Registry) bool { return r.Phase() == registry.Explaining })
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	next := traffic(tr.Ctx(), tr, 100)
	if u := tr.Registry.Snapshot().Running; u == nil || !u.Stopping || u.Number != 1 {
		t.Errorf("%+v", u)
	}
	close(gate.release)
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	v := tr.Registry.Snapshot().Runs
	if len(v) != 2 || v[0].Stopped || !strings.HasPrefix(v[0].Verdict, "balanced: ") || !v[1].Exact {
		t.Errorf("%+v", v)
	}
}

// gatedCodec explains nothing until release is closed.
type gatedCodec struct {
	codec.Msgpack
	release chan struct{}
}

func (c *gatedCodec) Append(dst []byte, v any) ([]byte, error) {
	if _, ok := v.(control.Pairs); ok {
		<-c.release
	}
	return c.Msgpack.Append(dst, v)
}

// A node that hangs holds up the end of a stopped run until it is declared dead, and not the caller
// that has gone. The account names it, and the next run is exact.
func TestStopWhileANodeHangs(t *testing.T) {
	ringtest.InBubble(t, 2, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		for _, other := range []string{"registry", "n0", "n1", "n3", "n4", "n5"} {
			net.Hold("n2", other)
			net.Hold(other, "n2")
		}
		ctx, cancel := context.WithCancel(tr.Ctx())
		over := traffic(ctx, tr, endless)
		time.Sleep(100 * time.Millisecond) // the senders wait for its window
		start := time.Now()
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		ringtest.CheckElapsed(t, "the call", start, 0)
		if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		ringtest.CheckElapsed(t, "the stop", start, 2*ringtest.Lease)
		hung := tr.Nodes[2]
		tr.Remove(hung)
		s := checkStopped(tr)
		if len(s.Lost) != 1 || s.Sum.Unknown == 0 || !strings.HasPrefix(s.Verdict(), "stopped: balanced, ") {
			t.Errorf("%s", s.Verdict())
		}
		tr.WaitSettled()
		tr.Run(status.Traffic{Messages: 100})
		net.Heal()
		hung.Close()
	})
}
