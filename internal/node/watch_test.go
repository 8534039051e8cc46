package node_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// incarnation names one life of a node.
type incarnation struct {
	id  ringdht.ID
	inc uint64
}

func incarnationOf(n *ringtest.Node) incarnation { return incarnation{n.ID(), n.Incarnation()} }

// watcher is a loop over a node's events. It checks that they keep the rules.
type watcher struct {
	t    *testing.T
	done chan struct{} // closed when the loop has ended
	stop context.CancelFunc

	mu         sync.Mutex
	registries int // a registry may take back a member that came too late for the one before
	events     []status.MemberEvent
	present    map[ringdht.ID]status.MemberEvent
	ended      map[incarnation]status.MemberChange
}

// watch starts a loop. It calls body for each event.
func watch(t *testing.T, n *ringtest.Node, body func(status.MemberEvent)) *watcher {
	return watchEvents(t, func(ctx context.Context) func(func(status.MemberEvent) bool) { return n.Watch(ctx) }, body)
}

func watchEvents(t *testing.T, events func(context.Context) func(func(status.MemberEvent) bool), body func(status.MemberEvent)) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{t: t, done: make(chan struct{}), stop: cancel, present: make(map[ringdht.ID]status.MemberEvent), ended: make(map[incarnation]status.MemberChange)}
	go func() {
		defer close(w.done)
		for e := range events(ctx) {
			w.add(e)
			if body != nil {
				body(e)
			}
		}
	}()
	return w
}

func (w *watcher) add(e status.MemberEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	start, here := w.present[e.ID]
	switch it := (incarnation{e.ID, e.Incarnation}); {
	case e.Change.Over():
		if !here || start.Incarnation != e.Incarnation || start.Self != e.Self {
			w.t.Errorf("%+v, present is %+v, the events are\n%v", e, start, w.events)
		}
		delete(w.present, e.ID)
		w.ended[it] = e.Change
	case here || w.ended[it] != "" && (w.ended[it] != status.MemberEnded || w.registries < 3):
		w.t.Errorf("%+v after %+v, the events are\n%v", e, start, w.events)
	default:
		w.present[e.ID] = e
	}
}

// take returns the events since the last call, once all goroutines wait.
func (w *watcher) take() []status.MemberEvent {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.events = nil }()
	return w.events
}

// expect checks the events since the last take.
func (w *watcher) expect(want ...string) {
	w.t.Helper()
	var got []string
	for _, e := range w.take() {
		got = append(got, e.String())
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// all returns the incarnations that are present.
func (w *watcher) all() map[incarnation]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[incarnation]bool)
	for id, e := range w.present {
		all[incarnation{id, e.Incarnation}] = true
	}
	return all
}

// Watch begins with the members present. Then it tells of each that joins, leaves or dies. It ends
// when the node is closed.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		first, second := tr.Join(nil, ringdht.WithID(10)), tr.Join(nil, ringdht.WithID(20))
		early := watch(t, first, nil)
		early.expect("this node, 10, is present")
		tr.Setup(0)
		early.expect("node 20 joined")
		third := tr.Join(nil, ringdht.WithID(30))
		tr.WaitSettled()
		early.expect("node 30 joined")
		late := watch(t, first, nil)
		late.expect("this node, 10, is present", "node 20 is present", "node 30 is present")
		if err := second.Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		third.Close()
		tr.WaitGone(30)
		time.Sleep(time.Second)
		late.expect("node 20 left", "node 30 died")
		heir := tr.Join(nil, ringdht.WithID(20))
		tr.WaitSettled()
		late.expect("node 20 joined")
		if want := map[incarnation]bool{incarnationOf(first): true, incarnationOf(heir): true}; !maps.Equal(late.all(), want) {
			t.Errorf("present %v, want %v", late.all(), want)
		}
		late.stop()
		<-late.done
		first.Close()
		<-early.done
		early.expect("node 20 left", "node 30 died", "node 20 joined")
		watch(t, first, func(e status.MemberEvent) { t.Errorf("a closed node tells %v", e) })
		tr.Close()
	})
}

// A node that is declared dead tells its own end, and its next incarnation. The other members stay.
func TestWatchOwnLife(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		hung, other := tr.Nodes[2], tr.Nodes[0]
		own, others := watch(t, hung, nil), watch(t, other, nil)
		own.expect("this node, 30, is present", "node 10 is present", "node 20 is present", "node 40 is present", "node 50 is present", "node 60 is present")
		others.take()
		was := hung.Incarnation()
		net.Hold("n2", "")
		tr.WaitGone(30)
		heir := tr.Join(nil, ringdht.WithID(30))
		tr.WaitSettled()
		others.expect("node 30 died", "node 30 joined")
		own.expect()
		net.Heal()
		if err := ringtest.NodeOf(hung).Await(tr.Ctx(), func() bool { return hung.Incarnation() != was }); err != nil {
			t.Fatal(err)
		}
		if err := hung.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		tr.WaitSettled()
		id := hung.ID()
		own.expect("this node, 30, died", fmt.Sprintf("this node, %d, joined", id), "node 30 joined")
		others.expect(fmt.Sprintf("node %d joined", id))
		if e := own.present[id]; e.Incarnation != hung.Incarnation() || own.present[30].Incarnation != heir.Incarnation() {
			t.Errorf("%+v", own.present)
		}
		if err := hung.Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		<-own.done
		own.expect()
	})
}

// A node tells that it was declared dead before it can join again.
func TestWatchOwnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		tr := ringtest.New(t, net, ringdht.WithLease(ringtest.Lease), ringdht.WithBits(1))
		tr.Join(nil, ringdht.WithID(0))
		hung := tr.Join(nil, ringdht.WithID(1))
		tr.Setup(0)
		own := watch(t, hung, nil)
		net.Hold("n1", "")
		tr.WaitGone(1)
		heir := tr.Join(nil, ringdht.WithID(1)) // the ring is full
		net.Heal()
		time.Sleep(time.Minute)
		own.expect("this node, 1, is present", "node 0 is present", "this node, 1, died")
		if all, epoch := ringtest.NodeOf(hung).ServiceMembers(""); len(all) != 1 || epoch != 0 {
			t.Errorf("the list of a node that was declared dead has %d at epoch %d, and those of others have it too", len(all), epoch)
		}
		tr.Remove(heir)
		if err := heir.Leave(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		if err := tr.Registry.WaitMembers(tr.Ctx(), 2); err != nil {
			t.Fatal(err)
		}
		tr.WaitSettled()
		own.expect("this node, 1, joined")
		tr.Close()
		<-own.done
	})
}

// Members that come back to another registry are not told to have ended. One that ended meanwhile
// is, but not how.
func TestWatchAcrossRegistries(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, _ *memnet.Network) {
		w := watch(t, tr.Nodes[0], nil)
		w.take()
		tr.Registry.Close()
		tr.Nodes[5].Close()
		time.Sleep(time.Second)
		w.expect()
		tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
		tr.Remove(tr.Nodes[5])
		if err := tr.Registry.WaitMembers(tr.Ctx(), 5); err != nil {
			t.Fatal(err)
		}
		tr.WaitSettled()
		w.expect("node 60 has ended")
		tr.Join(nil, ringdht.WithID(70))
		tr.WaitSettled()
		w.expect("node 70 joined")
	})
}

// A slow loop gets the net change, and the ring does not wait for it.
func TestWatchSlowly(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, _ *memnet.Network) {
		asleep, wake := make(chan struct{}, 4), make(chan struct{})
		w := watch(t, tr.Nodes[0], func(e status.MemberEvent) {
			if e.ID == 20 {
				asleep <- struct{}{}
				<-wake
			}
		})
		<-asleep // in the event of node 20; those of nodes 30 to 60 are to come
		w.expect("this node, 10, is present", "node 20 is present")
		for range 3 {
			for id := ringdht.ID(100); id < 105; id++ { // they come and go
				n := tr.Join(nil, ringdht.WithID(id))
				if err := n.Ready(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
				tr.Remove(n)
				if err := n.Leave(tr.Ctx()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, n := range slices.Clone(tr.Nodes[1:3]) { // 20 and 30
			tr.Remove(n)
			if err := n.Leave(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Join(nil, ringdht.WithID(20))
		tr.WaitSettled()
		w.expect()
		close(wake)
		w.expect("node 20 left", "node 20 is present", "node 40 is present", "node 50 is present", "node 60 is present")
		w.stop()
		<-w.done
	})
}

// Each way to end a loop ends it, and its goroutine.
func TestWatchEnds(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, _ *memnet.Network) {
		n := tr.Nodes[0]
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for e := range n.Watch(over) {
			t.Errorf("%v after the end of the context", e)
		}
		for range n.Watch(t.Context()) {
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events := 0
		for range n.Watch(ctx) { // in the middle of those present
			if events++; events == 3 {
				cancel()
			}
		}
		if events != 3 {
			t.Errorf("%d events", events)
		}
		events = 0
		for range n.Watch(t.Context()) {
			if events++; events == 3 {
				n.Close()
			}
		}
		if events != 3 {
			t.Errorf("%d events", events)
		}
	})
}

// A hundred loops hear the same, though each is slow in its own way.
func TestManyWatchers(t *testing.T) {
	ringtest.InBubble(t, 0, ringtest.SixIDs, func(t *testing.T, tr *ringtest.Ring, _ *memnet.Network) {
		var all []*watcher
		for i := range 100 {
			all = append(all, watch(t, tr.Nodes[0], func(status.MemberEvent) { time.Sleep(time.Duration(i) * time.Millisecond) }))
		}
		for range 20 {
			n := tr.Join(nil)
			if err := n.Ready(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
			tr.Remove(n)
			if err := n.Leave(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Join(nil)
		tr.WaitSettled()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i, w := range all {
			if !maps.Equal(w.all(), all[0].all()) || len(w.all()) != 7 {
				t.Errorf("loop %d has %v, want %v", i, w.all(), all[0].all())
			}
			w.stop()
			<-w.done
		}
	})
}
