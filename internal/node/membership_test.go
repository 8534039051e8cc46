package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Nodes that join, leave and die after the set-up: each takes part at once, and is
// missed by nobody.
func TestLiveMembership(t *testing.T) {
	for _, net := range []*memnet.Network{nil, memnet.New(1)} {
		for _, k := range []int{0, 1} {
			t.Run(fmt.Sprintf("memory %v, k %d", net != nil, k), func(t *testing.T) {
				tr := ringtest.New(t, net)
				tr.Join(nil, ringdht.WithTraffic())
				tr.Setup(k)
				epoch := tr.Registry.Epoch()
				for range 8 {
					n := tr.Join(nil, ringdht.WithTraffic())
					if err := n.Ready(tr.Ctx()); err != nil {
						t.Fatal(err)
					}
					tr.Exchange(tr.Nodes...)
				}
				tr.Run(status.Traffic{Messages: 1000})
				left := tr.Nodes[3]
				if err := left.Leave(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
				tr.Remove(left)
				tr.Exchange(tr.Nodes...)
				died := tr.Nodes[2]
				died.Close()
				tr.Remove(died)
				tr.WaitGone(died.ID())
				tr.Exchange(tr.Nodes...)
				tr.Run(status.Traffic{Messages: 1000})
				tr.WaitSettled()
				if now := tr.Registry.Epoch(); now < epoch+10 {
					t.Errorf("epoch %d after epoch %d and ten changes", now, epoch)
				}
				if a := tr.Registry.Audit(); !a.OK() || a.Nodes != 7 || k == 0 && a.Entries != 3 {
					t.Errorf("%v", a)
				}
				for _, gone := range []*ringtest.Node{left, died} {
					if err := tr.Nodes[0].Send(tr.Ctx(), gone.ID(), nil); !errors.Is(err, ringdht.ErrNoSuchNode) {
						t.Errorf("sending to one that is gone: %v", err)
					}
				}
			})
		}
	}
}

// A node that relays in a run, and leaves, loses no message of the run.
func TestLeaveDuringTraffic(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 6 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	leaver := tr.Join(nil) // it relays only
	tr.Setup(1)
	done := make(chan *status.Summary)
	go func() {
		s, err := tr.Registry.RunTraffic(tr.Ctx(), status.Traffic{Messages: 50000})
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	for leaver.Status().Counters.Relayed < 1000 {
		time.Sleep(time.Millisecond)
	}
	if err := leaver.Leave(tr.Ctx()); err != nil {
		t.Error(err)
	}
	s := <-done
	if s == nil || !s.Balanced() || s.Sum.Sent != 300000 || s.Sum.Received != 300000 || s.Sum.Unknown != 0 {
		t.Fatalf("%s\n%+v", s.Verdict(), s)
	}
	tr.Remove(leaver)
	tr.Run(status.Traffic{Messages: 100})
}

// The dead take what they had with them, and each source is told exactly which of its
// messages: those that the handler did not confirm, by Flush and by the callback.
func TestExactlyWhichMessagesAreOfUnknownOutcome(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	var mu sync.Mutex
	var handled uint32
	sink := tr.Join(func(ctx context.Context, m ringdht.Message) {
		n := binary.BigEndian.Uint32(m.Body)
		if n >= 10 {
			ringtest.Block(ctx, release)
			return
		}
		mu.Lock()
		handled = n + 1
		mu.Unlock()
	})
	told := make(chan status.Undelivered, 1)
	from := tr.Join(nil, ringtest.WithUndelivered(func(u status.Undelivered) { told <- u }))
	tr.Join(nil)
	tr.Setup(0)
	for n := range uint32(25) {
		if err := from.Send(tr.Ctx(), sink.ID(), binary.BigEndian.AppendUint32(nil, n)); err != nil {
			t.Fatal(err)
		}
		if n == 9 {
			if err := from.Flush(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
	}
	flushed := make(chan error, 1)
	go func() { flushed <- from.Flush(tr.Ctx()) }()
	ringtest.WaitUntil(t, "the flush waits", func() bool { return ringtest.NodeOf(from).Present().Plane().Flushing() == 1 })
	sink.Close()
	close(release)
	tr.Remove(sink)
	err := <-flushed
	var lost *status.UndeliveredError
	if !errors.As(err, &lost) || len(lost.Streams) != 1 {
		t.Fatalf("got %v", err)
	}
	for name, u := range map[string]status.Undelivered{"Flush": lost.Streams[0], "callback": <-told} {
		if u.Sink != sink.ID() || u.Messages != 15 || len(u.Bodies) != 15 {
			t.Fatalf("%s: %+v", name, u)
		}
		for i, b := range u.Bodies {
			if n := binary.BigEndian.Uint32(b); n != uint32(10+i) {
				t.Errorf("%s: message %d is %d", name, i, n)
			}
		}
	}
	if handled != 10 {
		t.Errorf("%d messages handled", handled)
	}
}

// A pair without a connection gets a detour, and neither node is declared dead.
func TestDegradedPair(t *testing.T) {
	for _, k := range []int{0, 1} {
		net := memnet.New(1)
		tr := ringtest.New(t, net)
		for _, id := range []ringdht.ID{10, 20, 30, 40, 50, 60} {
			tr.Join(nil, ringdht.WithID(id))
		}
		tr.Setup(k)
		tr.Exchange(tr.Nodes...)
		net.Cut("n1", "n2") // 20 and its successor 30
		tr.Exchange(tr.Nodes...)
		pairs := tr.Registry.Degraded()
		if len(pairs) == 0 || pairs[0].From.ID != 20 || pairs[0].To.ID != 30 {
			t.Errorf("k %d: degraded are %v", k, pairs)
		}
		if n := len(tr.Registry.Members()); n != 6 {
			t.Errorf("k %d: %d members", k, n)
		}
		if c := tr.Nodes[1].Status().Counters; c.Detoured == 0 {
			t.Errorf("k %d: nothing took the detour", k)
		}
		net.Mend("n1", "n2")
		if err := ringtest.RegistryOf(tr.Registry).Await(tr.Ctx(), func() bool { return len(ringtest.RegistryOf(tr.Registry).Authority().Unreachable()) == 0 }); err != nil {
			t.Fatal(err)
		}
		tr.Exchange(tr.Nodes...)
	}
}

// The registry dies and another takes its place: messages flow meanwhile, a death is
// routed around, and the ring that comes back is the same.
func TestRegistryRestart(t *testing.T) { synctest.Test(t, registryRestart) }

func registryRestart(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithLease(time.Second))
	for i := range 8 {
		tr.Join(nil, ringdht.WithTraffic(), ringdht.WithID(ringdht.ID(100*i)))
	}
	tr.Setup(0)
	tr.Run(status.Traffic{Messages: 100})
	before, epoch := tr.Registry.Members(), tr.Registry.Epoch()
	incs := make(map[ringdht.ID]uint64)
	for _, n := range tr.Nodes {
		incs[n.ID()] = n.Incarnation()
	}
	tr.Registry.Close()
	for _, n := range tr.Nodes {
		<-n.Disconnected()
	}
	tr.Exchange(tr.Nodes...)
	if _, err := tr.TryJoin(nil); err == nil {
		t.Error("somebody joined without a registry")
	}
	dead := tr.Nodes[3]
	dead.Close()
	tr.Remove(dead)
	tr.Exchange(tr.Nodes...) // 200 passes over its successor

	tr.RestartRegistry(ringdht.WithLease(time.Second))
	newcomer := tr.Join(nil, ringdht.WithTraffic())
	if err := newcomer.Ready(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	tr.WaitSettled()
	for _, n := range tr.Nodes[:7] {
		if err := n.WaitConnected(tr.Ctx()); err != nil || n.Incarnation() != incs[n.ID()] {
			t.Errorf("node %d has another incarnation: %v", n.ID(), err)
		}
		if n.ID() == newcomer.ID() {
			t.Errorf("ID %d was given twice", n.ID())
		}
	}
	if now := tr.Registry.Members(); len(now) != len(before) || tr.Registry.Epoch() <= epoch {
		t.Errorf("members %v, before %v; epoch %d, before %d", now, before, tr.Registry.Epoch(), epoch)
	}
	err := tr.Nodes[0].Send(tr.Ctx(), dead.ID(), nil)
	if err == nil { // on a stream that was open
		err = tr.Nodes[0].Flush(tr.Ctx())
	}
	if dead.ID() != newcomer.ID() && !errors.Is(err, ringdht.ErrNoSuchNode) && !errors.Is(err, ringdht.ErrGone) {
		t.Errorf("sending to the dead: %v", err)
	}
	tr.Run(status.Traffic{Messages: 100})
}

// Who falls silent is found within the lease, and what passes by way of it goes
// another way then; when it is heard again it has a new incarnation.
func TestSilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 3 * time.Second
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(lease))
		for _, id := range []ringdht.ID{10, 20, 30, 40, 50} {
			tr.Join(nil, ringdht.WithID(id))
		}
		tr.Setup(1)
		tr.Exchange(tr.Nodes...)
		silent := tr.Nodes[2]
		inc := silent.Incarnation()
		net.Hold("n2", "") // to and from all nodes
		start := time.Now()
		tr.WaitGone(30)
		if took := time.Since(start); took > lease+100*time.Millisecond {
			t.Errorf("found after %v", took)
		}
		others := append(slices.Clone(tr.Nodes[:2]), tr.Nodes[3:]...)
		if _, err := tr.Registry.Setup(tr.Ctx(), 1); err != nil { // which sends all nodes a Manifest
			t.Fatal(err)
		}
		synctest.Wait() // which dead it leaves out comes in a message behind it
		for _, n := range others {
			if !ringtest.NodeOf(n).IsDead(30, inc) {
				t.Errorf("node %d would listen to an incarnation that is over", n.ID())
			}
		}
		start = time.Now()
		tr.Exchange(others...)
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("routed around after %v", took)
		}
		net.Heal()
		if err := ringtest.NodeOf(silent).Await(tr.Ctx(), func() bool { return silent.Incarnation() != inc }); err != nil {
			t.Fatal(err)
		}
		if err := silent.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		if silent.ID() != 30 || silent.Incarnation() < inc {
			t.Errorf("it is node %d, incarnation %d, and was %d", silent.ID(), silent.Incarnation(), inc)
		}
		tr.Exchange(tr.Nodes...)
		tr.Close()
	})
}

// A connection to the registry that breaks costs nothing: the same incarnation goes on.
func TestConnectionToTheRegistryBreaks(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 4 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	n := tr.Nodes[0]
	inc := n.Incarnation()
	for range 10 {
		lost := n.Disconnected()
		ringtest.NodeOf(n).HangUp()
		<-lost
		if err := n.WaitConnected(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
	tr.Run(status.Traffic{Messages: 1000})
	if n.Incarnation() != inc || len(tr.Registry.Members()) != 4 {
		t.Errorf("incarnation %d, was %d; members %v", n.Incarnation(), inc, tr.Registry.Members())
	}
}
