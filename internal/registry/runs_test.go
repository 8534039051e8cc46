package registry_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/node"
	"github.com/x/ringdht/internal/registry"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// A sender that leaves during a run is lost to it. The account says no more than that.
func TestSenderLeavesDuringRun(t *testing.T) {
	const messages = 50000
	tr := ringtest.New(t, memnet.New(1))
	for range 5 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(2)
	done := make(chan *status.Summary)
	go func() {
		s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: messages})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	leaver := tr.Nodes[2]
	for leaver.Status().Counters.Delivered < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := leaver.Leave(tr.Ctx()); err != nil {
		t.Error(err)
	}
	s := <-done
	tr.Remove(leaver)
	if !s.Balanced() || len(s.Lost) != 1 || s.Sum.Unknown > 0 {
		t.Errorf("%s", s.Verdict())
	}
	for _, n := range s.Nodes { // what the leaver did not handle came back and went to the others
		if !n.Lost && n.Sent != messages {
			t.Errorf("node %d sent %d of %d messages", n.ID, n.Sent, messages)
		}
	}
}

// A leave may take a while, and begin and end in any step of a run. The account balances and
// names the node that has left.
func TestLeaveTakesAWhileDuringARun(t *testing.T) {
	for name, c := range map[string]struct {
		busy int  // the node that cannot finish for a while
		cut  bool // the context of Leave ends
	}{
		"before it has finished":         {0, false},
		"its context ends before it has": {0, true},
		"when only another has not":      {1, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := ringtest.New(t, memnet.New(1))
			release := make(chan struct{})
			for range 4 {
				tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) }, ringdht.WithTraffic())
			}
			tr.Setup(2)
			leaver, r := tr.Nodes[0], tr.Registry
			// The messages of the run follow this one on the same stream, so the node cannot finish.
			if err := tr.Nodes[c.busy].Send(tr.Ctx(), tr.Nodes[2].ID(), []byte("x")); err != nil {
				t.Fatal(err)
			}
			done := make(chan *status.Summary, 1)
			go func() {
				s, err := r.RunTraffic(tr.Ctx(), status.Traffic{Messages: 500})
				if err != nil {
					t.Error(err)
				}
				done <- s
			}()
			if err := ringtest.RegistryOf(r).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(r).Unfinished() == 1 }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(tr.Ctx())
			defer cancel()
			left := make(chan error, 1)
			go func() { left <- leaver.Leave(ctx) }()
			if c.busy > 0 { // nothing delays it
				if err := <-left; err != nil {
					t.Error(err)
				}
			} else {
				awaitOver(t, leaver)
				select {
				case s := <-done:
					t.Fatalf("the run did not wait for the node to leave: %s", s.Verdict())
				case err := <-left:
					t.Fatal("Leave did not wait:", err)
				case <-time.After(50 * time.Millisecond): // a run that is over would have returned long before
				}
				if c.cut {
					cancel()
				} else {
					close(release)
				}
				if err := <-left; (err != nil) != c.cut {
					t.Error(err)
				}
			}
			if c.busy > 0 || c.cut {
				close(release)
			}
			s := <-done
			tr.Remove(leaver)
			if !s.Balanced() || len(s.Lost) != 1 || !c.cut && s.Sum.Unknown > 0 || s.Sum.Sent != s.Sum.Received+s.Sum.Unknown {
				t.Errorf("%s; sum %+v", s.Verdict(), s.Sum)
			}
			tr.Run(status.Traffic{Messages: 100})
		})
	}
}

// A node that has begun to leave takes no part in a run that begins then.
func TestRunWhileANodeLeaves(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	for range 4 {
		tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) }, ringdht.WithTraffic())
	}
	tr.Setup(2)
	leaver, r := tr.Nodes[0], tr.Registry
	if err := leaver.Send(tr.Ctx(), tr.Nodes[2].ID(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() { left <- leaver.Leave(tr.Ctx()) }()
	awaitOver(t, leaver)
	done := make(chan *status.Summary, 1)
	go func() {
		s, err := r.RunTraffic(tr.Ctx(), status.Traffic{Messages: 500})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	if err := ringtest.RegistryOf(r).Await(tr.Ctx(), func() bool { return len(done) > 0 || ringtest.RegistryOf(r).Unfinished() == 1 }); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-left; err != nil {
		t.Error(err)
	}
	s := <-done
	tr.Remove(leaver)
	if !s.Balanced() || len(s.Lost) != 1 || s.Sum.Unknown > 0 || s.Sum.Sent != s.Sum.Received {
		t.Errorf("%s; sum %+v", s.Verdict(), s.Sum)
	}
}

// A node may leave between its summary and the end of the run.
func TestLeaveAfterTheSummary(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(2)
	leaver, r := tr.Nodes[0], tr.Registry
	slow := tr.Nodes[2]
	done := make(chan *status.Summary, 1)
	net.Hold("n2", "registry") // what it reports does not arrive
	go func() {
		s, err := r.RunTraffic(tr.Ctx(), status.Traffic{Messages: 500})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	if err := ringtest.RegistryOf(r).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(r).Unfinished() == 1 }); err != nil {
		t.Fatal(err)
	}
	ringtest.WaitUntil(t, "it has finished", func() bool { return ringtest.NodeOf(slow).Runs().Finished > 0 })
	ringtest.RegistryOf(r).Finish(refOf(slow)) // as if the report had come
	if err := ringtest.RegistryOf(r).Await(tr.Ctx(), func() bool { return ringtest.RegistryOf(r).Unreported() == 1 }); err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() { left <- leaver.Leave(tr.Ctx()) }()
	awaitOver(t, leaver)
	net.Heal()
	if err := <-left; err != nil {
		t.Error(err)
	}
	s := <-done
	tr.Remove(leaver)
	if !s.Balanced() || s.Sum.Unknown > 0 || s.Sum.Sent != s.Sum.Received {
		t.Errorf("%s; sum %+v", s.Verdict(), s.Sum)
	}
	tr.Run(status.Traffic{Messages: 100})
}

// awaitOver waits until a node that leaves takes part in no run.
func awaitOver(t *testing.T, n *ringtest.Node) {
	t.Helper()
	ringtest.WaitUntil(t, "it takes part in no run", func() bool {
		runs := ringtest.NodeOf(n).Runs()
		return runs.Leaving && !runs.Sending
	})
}

// A node that joins while a task is under way is not part of the run.
func TestJoinWhileATaskIsUnderWay(t *testing.T) {
	for i := range 40 {
		net := memnet.New(uint64(i + 1))
		tr := ringtest.New(t, net)
		for _, id := range []ringdht.ID{10, 20, 30, 40} {
			tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
		}
		tr.Setup(1)
		net.Hold("registry", "n0")
		done := make(chan *status.Summary)
		go func() {
			s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 100})
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
		for tr.Nodes[1].Status().Counters.Sent < 100 {
			time.Sleep(time.Millisecond)
		}
		n := tr.Join(nil, ringdht.WithID(35), ringdht.WithTraffic())
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		net.Heal()
		if s := <-done; !s.Exact() {
			t.Fatal(i, s.Verdict())
		}
		tr.Close()
	}
}

// The registry takes the longest explanation that a node may send.
func TestPairsFit(t *testing.T) {
	for _, c := range []ringdht.Codec{ringdht.Msgpack(), ringdht.JSON()} {
		p := control.Pairs{Run: 1 << 60}
		pair := control.Pair{ID: math.MaxUint64, N: 1 << 20, Sum: -1 << 50}
		p.Sent = slices.Repeat([]control.Pair{pair}, control.MaxOthers)
		p.Received = slices.Repeat([]control.Pair{pair}, node.MaxPairs)
		b, err := c.Append(nil, p)
		if err != nil || len(b) > registry.MaxReport {
			t.Errorf("%s: %d bytes, the registry takes %d", c.Name(), len(b), registry.MaxReport)
		}
	}
}

// A node that dies after its summary is in, and agrees, has taken part to the end.
func TestDeathAfterTheSummary(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	r := tr.Registry
	ref := refOf(tr.Nodes[0])
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ringtest.RegistryOf(r).LoseReported(ref)
			}
		})
	}
	for range 300 {
		s, err := r.RunTraffic(tr.Ctx(), status.Traffic{Messages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if !s.Balanced() {
			t.Error(s.Verdict())
			break
		}
	}
	close(stop)
	wg.Wait()
}

// A run of a former registry gives way to a run of the next.
func TestRunAfterRestart(t *testing.T) { synctest.Test(t, runAfterRestart) }

func runAfterRestart(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithLease(time.Second))
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	go tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 300000})
	for tr.Nodes[0].Status().Counters.Sent < 1000 {
		time.Sleep(time.Millisecond)
	}
	for _, host := range []string{"n0", "n1", "n2", "n3"} { // it dies without a word
		net.Cut("registry", host)
	}
	tr.Registry.Close()
	net.Heal()
	tr.RestartRegistry(ringdht.WithLease(time.Second))
	tr.Registry.WaitMembers(tr.Ctx(), 4)
	tr.WaitSettled()
	for range 200 {
		s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 10})
		if errors.Is(err, ringdht.ErrBusy) {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !s.Exact() {
			t.Fatal(s.Verdict())
		}
		break
	}
}
