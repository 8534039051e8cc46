package ringdht

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// A sender that leaves during a run is lost to it; that is all that is to be said.
func TestSenderLeavesDuringRun(t *testing.T) {
	tr := newTestRing(t, NewMemoryNetwork(1))
	for range 5 {
		tr.join(nil, WithTraffic())
	}
	tr.setup(2)
	done := make(chan *Summary)
	go func() {
		s, err := tr.registry.Run(tr.ctx(), Traffic{Messages: 50000})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	leaver := tr.nodes[2]
	for leaver.Counters().Delivered < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := leaver.Leave(tr.ctx()); err != nil {
		t.Error(err)
	}
	s := <-done
	tr.drop(leaver)
	if !s.Balanced() || len(s.Lost) != 1 {
		t.Errorf("%s", s.Verdict())
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
		done := make(chan *Summary)
		go func() {
			s, err := tr.registry.Run(tr.ctx(), Traffic{Messages: 100})
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
		for tr.nodes[1].Counters().Sent < 100 {
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
	ref := tr.nodes[0].life.Load().self
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
		s, err := r.Run(tr.ctx(), Traffic{Messages: 10})
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
	go tr.registry.Run(tr.ctx(), Traffic{Messages: 300000})
	for tr.nodes[0].Counters().Sent < 1000 {
		time.Sleep(time.Millisecond)
	}
	tr.registry.Close()
	tr.restart(WithLease(time.Second))
	tr.registry.WaitMembers(tr.ctx(), 4)
	tr.settled()
	for range 200 {
		s, err := tr.registry.Run(tr.ctx(), Traffic{Messages: 10})
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
