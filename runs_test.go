package ringdht

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// A sender that leaves during a run is lost to it; that is all that is to be said.
func TestSenderLeavesDuringRun(t *testing.T) {
	const messages = 50000
	tr := newTestRing(t, NewMemoryNetwork(1))
	for range 5 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(2)
	done := make(chan *status.Summary)
	go func() {
		s, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: messages})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	leaver := tr.nodes[2]
	for leaver.Status().Counters.Delivered < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := leaver.Leave(tr.ctx()); err != nil {
		t.Error(err)
	}
	s := <-done
	tr.drop(leaver)
	if !s.Balanced() || len(s.Lost) != 1 || s.Sum.Unknown > 0 {
		t.Errorf("%s", s.Verdict())
	}
	for _, n := range s.Nodes { // what the leaver did not handle came back, and went to the others
		if !n.Lost && n.Sent != messages {
			t.Errorf("node %d sent %d of %d messages", n.ID, n.Sent, messages)
		}
	}
}

// A leave may take a while, and begin and end in any step of a run: the account balances,
// and names the node that has left.
func TestLeaveTakesAWhileDuringARun(t *testing.T) {
	for name, c := range map[string]struct {
		busy int  // which node cannot finish for a while
		cut  bool // the context of Leave ends
	}{
		"before it has finished":         {0, false},
		"its context ends before it has": {0, true},
		"when only another has not":      {1, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTestRing(t, NewMemoryNetwork(1))
			release := make(chan struct{})
			for range 4 {
				tr.join(func(ctx context.Context, _ Message) { hold(ctx, release) }, WithTraffic())
			}
			tr.setup(2)
			leaver, r := tr.nodes[0], tr.registry
			// Messages of a run follow it on the same stream, so this node cannot finish.
			if err := tr.nodes[c.busy].Send(tr.ctx(), tr.nodes[2].ID(), []byte("x")); err != nil {
				t.Fatal(err)
			}
			done := make(chan *status.Summary, 1)
			go func() {
				s, err := r.RunTraffic(tr.ctx(), Traffic{Messages: 500})
				if err != nil {
					t.Error(err)
				}
				done <- s
			}()
			if err := r.await(tr.ctx(), func() bool { return r.run != nil && len(r.run.sending) == 1 }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(tr.ctx())
			defer cancel()
			left := make(chan error, 1)
			go func() { left <- leaver.Leave(ctx) }()
			if c.busy > 0 { // nothing keeps it
				if err := <-left; err != nil {
					t.Error(err)
				}
			} else {
				leaver.inc.Load().traffic.awaitQuit()
				select {
				case s := <-done:
					t.Fatalf("the run did not wait for the node to leave: %s", s.Verdict())
				case err := <-left:
					t.Fatal("Leave did not wait:", err)
				case <-time.After(50 * time.Millisecond): // a run that is over would be told long before
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
			tr.drop(leaver)
			if !s.Balanced() || len(s.Lost) != 1 || !c.cut && s.Sum.Unknown > 0 || s.Sum.Sent != s.Sum.Received+s.Sum.Unknown {
				t.Errorf("%s; sum %+v", s.Verdict(), s.Sum)
			}
			tr.run(Traffic{Messages: 100})
		})
	}
}

// A node that has begun to leave takes no part in a run that begins then.
func TestRunWhileANodeLeaves(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	release := make(chan struct{})
	for range 4 {
		tr.join(func(ctx context.Context, _ Message) { hold(ctx, release) }, WithTraffic())
	}
	tr.setup(2)
	leaver, r := tr.nodes[0], tr.registry
	if err := leaver.Send(tr.ctx(), tr.nodes[2].ID(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() { left <- leaver.Leave(tr.ctx()) }()
	leaver.inc.Load().traffic.awaitQuit()
	done := make(chan *status.Summary, 1)
	go func() {
		s, err := r.RunTraffic(tr.ctx(), Traffic{Messages: 500})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	if err := r.await(tr.ctx(), func() bool { return len(done) > 0 || r.run != nil && len(r.run.sending) == 1 }); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-left; err != nil {
		t.Error(err)
	}
	s := <-done
	tr.drop(leaver)
	if !s.Balanced() || len(s.Lost) != 1 || s.Sum.Unknown > 0 || s.Sum.Sent != s.Sum.Received {
		t.Errorf("%s; sum %+v", s.Verdict(), s.Sum)
	}
}

// One that leaves between its summary and the end of the run.
func TestLeaveAfterTheSummary(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	for range 4 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(2)
	leaver, r := tr.nodes[0], tr.registry
	slow := tr.nodes[2].inc.Load().self
	done := make(chan *status.Summary, 1)
	net.Hold("n2", "registry") // what it reports does not arrive
	go func() {
		s, err := r.RunTraffic(tr.ctx(), Traffic{Messages: 500})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	if err := r.await(tr.ctx(), func() bool { return r.run != nil && len(r.run.sending) == 1 }); err != nil {
		t.Fatal(err)
	}
	st := tr.nodes[2].inc.Load().traffic
	st.mu.Lock()
	for st.finished.Run == 0 {
		st.idle.Wait()
	}
	st.mu.Unlock()
	r.mu.Lock()
	delete(r.run.sending, ring.Ref{ID: slow.ID, Life: slow.Life}) // as if the report had come
	r.change()
	r.mu.Unlock()
	if err := r.await(tr.ctx(), func() bool { return len(r.run.wanting) == 1 }); err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() { left <- leaver.Leave(tr.ctx()) }()
	leaver.inc.Load().traffic.awaitQuit()
	net.Heal()
	if err := <-left; err != nil {
		t.Error(err)
	}
	s := <-done
	tr.drop(leaver)
	if !s.Balanced() || s.Sum.Unknown > 0 || s.Sum.Sent != s.Sum.Received {
		t.Errorf("%s; sum %+v", s.Verdict(), s.Sum)
	}
	tr.run(Traffic{Messages: 100})
}

// awaitQuit waits until a node that leaves takes part in no run any more.
func (t *traffic) awaitQuit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.quit || t.running {
		t.idle.Wait()
	}
}

// Who joins while a task is under way is not part of the run.
func TestJoinWhileATaskIsUnderWay(t *testing.T) {
	for i := range 40 {
		net := NewMemoryNetwork(uint64(i + 1))
		tr := newTestRing(t, net)
		for _, id := range []ID{10, 20, 30, 40} {
			tr.join(nil, WithID(id), WithTraffic())
		}
		tr.setup(1)
		net.Hold("registry", "n0")
		done := make(chan *status.Summary)
		go func() {
			s, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 100})
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
		for tr.nodes[1].Status().Counters.Sent < 100 {
			time.Sleep(time.Millisecond)
		}
		n := tr.join(nil, WithID(35), WithTraffic())
		if err := n.Ready(tr.ctx()); err != nil {
			t.Fatal(err)
		}
		net.Heal()
		if s := <-done; !s.Exact() {
			t.Fatal(i, s.Verdict())
		}
		tr.close()
	}
}

// The longest explanation is one that the registry takes.
func TestPairsFit(t *testing.T) {
	for _, c := range []Codec{Msgpack(), JSON()} {
		p := control.Pairs{Run: 1 << 60}
		pair := control.Pair{ID: math.MaxUint64, N: 1 << 20, Sum: -1 << 50}
		p.Sent = slices.Repeat([]control.Pair{pair}, control.MaxOthers)
		p.Received = slices.Repeat([]control.Pair{pair}, maxPairs)
		b, err := c.Append(nil, p)
		if err != nil || len(b) > maxReport {
			t.Errorf("%s: %d bytes, the registry takes %d", c.Name(), len(b), maxReport)
		}
	}
}

// Who dies when its summary is in, and agrees, was there to the end.
func TestDeathAfterTheSummary(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	for range 3 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(0)
	r := tr.registry
	ref := tr.nodes[0].inc.Load().self
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
				r.mu.Lock()
				if u := r.run; u != nil && u.phase == collecting && len(u.wanting) == 0 {
					u.lose(ring.Ref{ID: ref.ID, Life: ref.Life}, "died")
					r.change()
				}
				r.mu.Unlock()
			}
		})
	}
	for range 300 {
		s, err := r.RunTraffic(tr.ctx(), Traffic{Messages: 10})
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

// A run of a registry that is gone gives way to one of the next.
func TestRunAfterRestart(t *testing.T) {
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net, WithLease(time.Second))
	for range 4 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(0)
	go tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 300000})
	for tr.nodes[0].Status().Counters.Sent < 1000 {
		time.Sleep(time.Millisecond)
	}
	tr.registry.Close()
	tr.restart(WithLease(time.Second))
	tr.registry.WaitMembers(tr.ctx(), 4)
	tr.settled()
	for range 200 {
		s, err := tr.registry.RunTraffic(tr.ctx(), Traffic{Messages: 10})
		if errors.Is(err, ErrBusy) {
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
