package registry_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// endless is a run that only ends when it is stopped.
const endless = 1 << 30

// traffic begins a run that ends when the context does. The channel gets its result.
func traffic(ctx context.Context, tr *ringtest.Ring, messages int) <-chan error {
	over := make(chan error, 1)
	go func() {
		_, err := tr.Registry.RunTraffic(ctx, status.Traffic{Messages: messages})
		over <- err
	}()
	return over
}

// awaitRun waits until the registry's state is so.
func awaitRun(tr *ringtest.Ring, so func(r *registry.Registry) bool) {
	tr.T.Helper()
	r := ringtest.RegistryOf(tr.Registry)
	if err := r.Await(tr.Ctx(), func() bool { return so(r) }); err != nil {
		tr.T.Fatal(err)
	}
}

// hasBegun waits until a run is under way and the node has sent some of it.
func hasBegun(tr *ringtest.Ring, n *ringtest.Node) {
	tr.T.Helper()
	ringtest.WaitUntil(tr.T, "the node sends", func() bool { r := n.Status().Runs.Latest; return r.UnderWay && r.Sent > 0 })
}

// checkStopped fails the test unless the latest account is that of a stopped run in good order.
func checkStopped(tr *ringtest.Ring) *status.Summary {
	tr.T.Helper()
	s := tr.Registry.Snapshot().Last
	if s == nil || !s.Stopped || s.Exact() || !s.Balanced() || !strings.HasPrefix(s.Verdict(), "stopped: ") || s.Sum.Sent >= s.Asked ||
		s.Sum.Sent != s.Sum.Received+s.Sum.Unknown || len(s.Lost) == 0 && s.Sum.SumSent != s.Sum.SumReceived {
		tr.T.Fatalf("%+v", s)
	}
	tr.CheckNodeRuns(s)
	return s
}

// A run is stopped at any moment. Its account is in order, and the next run is exact.
func TestRunStopsAtAnyMoment(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for i := range 5 {
		if i < 4 {
			tr.Join(nil, ringdht.WithTraffic())
		} else {
			tr.Join(nil) // relays
		}
	}
	tr.Setup(1)
	r := ringtest.RegistryOf(tr.Registry)
	in := func(phase int) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return r.Await(ctx, func() bool { return r.Phase() == phase || r.Phase() < 0 && r.Running() == 0 })
		}
	}
	for name, c := range map[string]struct {
		messages int
		moment   func(ctx context.Context) error
	}{
		"at once":       {endless, in(registry.Sending)},
		"in the middle": {endless, func(context.Context) error { time.Sleep(rand.N(3 * time.Millisecond)); return nil }},
		"some have ended": {1000, func(ctx context.Context) error {
			return r.Await(ctx, func() bool { return r.Running() == 0 || r.Unfinished() < 4 })
		}},
		"all have ended": {10, func(ctx context.Context) error {
			return r.Await(ctx, func() bool { return r.Running() == 0 || r.Unfinished() == 0 })
		}},
		"while collecting": {10, in(registry.Collecting)},
		"or whenever":      {500, func(context.Context) error { time.Sleep(rand.N(2 * time.Millisecond)); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				before := tr.Registry.Snapshot()
				ctx, cancel := context.WithCancel(tr.Ctx())
				over := traffic(ctx, tr, c.messages)
				if name != "or whenever" { // polled: a short run may be over before its change is looked at
					ringtest.WaitUntil(t, "the run has begun", func() bool {
						return tr.Registry.Snapshot().Happened[status.EventRun] > before.Happened[status.EventRun] || len(over) > 0
					})
				}
				if err := c.moment(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
				cancel()
				if err := <-over; err != nil && !errors.Is(err, context.Canceled) || err == nil && c.messages == endless {
					t.Fatal(err)
				}
				ringtest.CheckRelayed(t, tr.Run(status.Traffic{Messages: 50})) // also the figures at the nodes
				after := tr.Registry.Snapshot()
				for _, u := range after.Runs {
					all := u.Sent == 4*int64(u.Messages) // as int64: an endless run is more than 32 bits hold
					if u.Sent != u.Received || u.Stopped == all || u.Exact != all {
						t.Fatalf("%+v", u)
					}
				}
				if c.messages == endless && after.Verdicts["stopped"] == before.Verdicts["stopped"] {
					t.Fatal("it was not stopped:", after.Runs)
				}
			}
		})
	}
	if v := tr.Registry.Snapshot().Verdicts; v["WRONG"]+v["balanced"] > 0 {
		t.Error(v)
	}
}

// A sender that waits in a full window stops at once. What it sent before is delivered and counted.
func TestStopOfASenderThatWaits(t *testing.T) {
	synctest.Test(t, stopASenderThatWaits)
}

func stopASenderThatWaits(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	for range 3 {
		tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) }, ringdht.WithTraffic())
	}
	tr.Setup(2)
	for i, n := range tr.Nodes {
		if err := n.Send(tr.Ctx(), tr.Nodes[(i+2)%3].ID(), []byte("x")); err != nil { // the run's messages are behind it
			t.Fatal(err)
		}
	}
	n := tr.Nodes[0]
	ctx, cancel := context.WithCancel(tr.Ctx())
	defer cancel()
	over := traffic(ctx, tr, endless)
	synctest.Wait() // every sender waits
	sent := n.Status().Counters.Sent
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	synctest.Wait() // all have been told
	if u := tr.Registry.Snapshot().Running; u == nil || !u.Stopping {
		t.Errorf("%+v", u)
	}
	close(release)
	if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	s := checkStopped(tr)
	if now := n.Status().Counters.Sent; now != sent {
		t.Errorf("it sent %d after the stop", now-sent)
	}
	if n.Status().Runs.Latest.Sent != sent-1 || s.Sum.Sent == 0 {
		t.Errorf("it sent %d, and shows %+v", sent-1, n.Status().Runs.Latest)
	}
	tr.Run(status.Traffic{Messages: 100})
	tr.Close()
}

// StopTraffic stops a run that another call has started. That call gets the account.
func TestStopFromElsewhere(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	done := tr.StartRun(status.Traffic{Messages: endless})
	hasBegun(tr, tr.Nodes[0])
	if _, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 1}); !errors.Is(err, ringdht.ErrBusy) {
		t.Error("a second run is not refused:", err)
	}
	ended, cancel := context.WithCancel(tr.Ctx())
	cancel()
	if err := tr.Registry.StopTraffic(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if u := tr.Registry.Snapshot().Running; u == nil || u.Stopping {
		t.Errorf("a call whose context had ended did something: %+v", u)
	}
	stops := make(chan error, 3)
	for range cap(stops) {
		go func() { stops <- tr.Registry.StopTraffic(tr.Ctx()) }()
	}
	for range cap(stops) {
		if err := <-stops; err != nil {
			t.Error(err)
		}
	}
	if s := <-done; s == nil || s != checkStopped(tr) {
		t.Errorf("%+v", s)
	}
	tr.Run(status.Traffic{Messages: 100})
}

// The next run waits for the end of a stopped one, as long as its context allows.
func TestRunWaitsForAStoppedOne(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	net.Hold("n1", "registry") // it cannot say that it has finished
	ctx, cancel := context.WithCancel(tr.Ctx())
	over := traffic(ctx, tr, endless)
	hasBegun(tr, tr.Nodes[0])
	cancel()
	<-over
	short, end := context.WithCancel(tr.Ctx())
	impatient, next := traffic(short, tr, 1), make(chan *status.Summary)
	awaitRun(tr, func(r *registry.Registry) bool { return r.Unfinished() == 1 })
	go func() { next <- tr.Run(status.Traffic{Messages: 100}) }()
	end()
	if err := <-impatient; !errors.Is(err, context.Canceled) || errors.Is(err, ringdht.ErrBusy) {
		t.Error(err)
	}
	select {
	case <-next:
		t.Fatal("the next run did not wait")
	default:
	}
	net.Heal()
	<-next
	if v := tr.Registry.Snapshot().Verdicts; v["stopped"] != 1 || v["exact"] != 1 {
		t.Error(v)
	}
}

// Several callers start runs, give up and stop what is under way, all at the same time. Each account
// is in order, and calls fail for no other reason.
func TestManyCallersStartAndStop(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(1)
	var callers, stops sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			for range 10 {
				ctx, cancel := context.WithTimeout(tr.Ctx(), rand.N(4*time.Millisecond))
				s, err := tr.Registry.RunTraffic(ctx, status.Traffic{Messages: 1 + rand.N(5000)})
				cancel()
				switch {
				case err == nil && (!s.Balanced() || s.Exact() == s.Stopped):
					t.Errorf("%s", s.Verdict())
				case err != nil && !errors.Is(err, ringdht.ErrBusy) && !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				}
			}
		})
	}
	over := make(chan struct{})
	stops.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
				t.Error(err)
			}
		}
	})
	callers.Wait()
	close(over)
	stops.Wait()
	if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
		t.Error(err)
	}
	tr.Run(status.Traffic{Messages: 100})
	snap := tr.Registry.Snapshot()
	if v := snap.Verdicts; v["exact"]+v["stopped"] != int64(snap.Happened[status.EventRun]) || snap.Happened[status.EventRun] != snap.Happened[status.EventRunEnded] {
		t.Errorf("%v, %v", v, snap.Happened)
	}
}

// A registry that is closed while a run stops ends both waits.
func TestCloseWhileARunStops(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	net.Hold("n1", "registry")
	first := traffic(tr.Ctx(), tr, endless)
	hasBegun(tr, tr.Nodes[0])
	stop := make(chan error, 1)
	go func() { stop <- tr.Registry.StopTraffic(tr.Ctx()) }()
	awaitRun(tr, func(r *registry.Registry) bool { return r.Phase() == registry.Stopping })
	next := traffic(tr.Ctx(), tr, 1)
	net.Heal()
	tr.Registry.Close()
	for name, c := range map[string]<-chan error{"the run": first, "the stop": stop, "the next run": next} {
		if err := <-c; err != nil && !errors.Is(err, ringdht.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := tr.Registry.StopTraffic(tr.Ctx()); !errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
}

// A registry that is closed during a run stops it: there will be no account.
func TestCloseStopsARun(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	over := traffic(tr.Ctx(), tr, endless)
	hasBegun(tr, tr.Nodes[0])
	tr.Registry.Close()
	if err := <-over; !errors.Is(err, ringdht.ErrClosed) {
		t.Error(err)
	}
	for _, n := range tr.Nodes {
		ringtest.WaitUntil(t, "it sends no more", func() bool { r := n.Status().Runs.Latest; return r.UnderWay && !r.Sending })
	}
}

// A node of a version that knows of no stop takes the second task for a repeat. It goes on to its
// end, and the account says that it has sent all.
func TestStopOfAnOlderNode(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	tr.Join(nil, ringdht.WithTraffic())
	tr.Join(nil, ringdht.WithTraffic())
	old := new(forgetfulCodec)
	n := tr.Join(nil, ringdht.WithTraffic(), ringdht.WithCodec(old))
	tr.Setup(0)
	const messages = 200_000
	over := tr.StartRun(status.Traffic{Messages: messages})
	hasBegun(tr, n)
	if err := tr.Registry.StopTraffic(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	s := <-over
	if !s.Balanced() || s.Sum.Sent != s.Sum.Received || len(s.Lost) > 0 {
		t.Errorf("%s, %+v", s.Verdict(), s.Sum)
	}
	for _, row := range s.Nodes {
		if row.ID == n.ID() && row.Sent != messages {
			t.Errorf("%+v", row)
		}
	}
	tr.Run(status.Traffic{Messages: 100})
}

// forgetfulCodec makes of each task that stops a run one that does not.
type forgetfulCodec struct{ codec.Msgpack }

func (c *forgetfulCodec) Decode(data []byte, v any) error {
	err := c.Msgpack.Decode(data, v)
	if task, ok := v.(*control.Task); ok && task.Messages == 0 {
		task.Messages = 1
	}
	return err
}
