package ringtest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/rpc"
	"github.com/x/ringdht/status"
)

// In a ring whose lists of members are samples, the members of a service are known in full to each node
// that asks, at the same epoch to all of them, before and after members come and go. Nodes that do not ask
// are told nothing. A request goes to any of them.
//
//	go test -run LargeRingWithServices -v -timeout 20m ./internal/ringtest -scale 10000
func TestLargeRingWithServices(t *testing.T) {
	size := control.MaxOthers + 26
	switch {
	case *scale > 0:
		size = *scale
	case testing.Short() || ringtest.RaceEnabled:
		t.Skip("it takes more than 1,024 nodes")
	}
	const double = rpc.Method[int, int]("double")
	works := make([]*ringdht.Service, size+1)
	calls := make([]*rpc.Endpoint, size+1)
	g := grow(t, size, func(i int, n *ringtest.Node) {
		works[i], calls[i] = n.Node.Service("work"), rpc.New(n.Node, "calls")
		if i%4 > 0 { // the others only use it
			works[i].Handle(func(context.Context, ringdht.Message) {})
		}
		double.Handle(calls[i], func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	})
	handles := func(i int) bool { return i < size && i%4 > 0 }
	alive := make([]bool, size+1)
	for i := range size {
		alive[i] = true
	}
	// complete waits until all nodes know all members, at one epoch, later than was.
	complete := func(was uint64) (epoch uint64) {
		t.Helper()
		start, cpu := time.Now(), ringtest.CPUTime()
		var want []ringdht.ID
		for i, n := range g.Nodes {
			if alive[i] && handles(i) {
				want = append(want, n.ID())
			}
		}
		slices.Sort(want)
		for i, n := range g.Nodes {
			if !alive[i] {
				continue
			}
			ringtest.WaitUntil(t, fmt.Sprintf("node %d, number %d: to know %d", n.ID(), i, len(want)), func() bool {
				members, at := works[i].Members()
				if at <= was || len(members) != len(want) {
					return false
				}
				ids := make([]ringdht.ID, len(members))
				for k, m := range members {
					ids[k] = m.ID
				}
				if slices.Sort(ids); !slices.Equal(ids, want) {
					return false
				}
				if epoch = max(epoch, at); at != epoch {
					t.Fatalf("node %d knows all at epoch %d, others at epoch %d", n.ID(), at, epoch)
				}
				return true
			})
		}
		t.Logf("all nodes know the %d members after %v (%v of CPU), at epoch %d", len(want), time.Since(start).Round(time.Millisecond), (ringtest.CPUTime() - cpu).Round(time.Millisecond), epoch)
		return epoch
	}
	for i, s := range works[:size] { // all ask at once
		if some, epoch := s.Members(); epoch != 0 {
			t.Fatalf("node %d was told of %d at epoch %d, and has not asked", g.Nodes[i].ID(), len(some), epoch)
		}
	}
	first := complete(0)
	t.Logf("heap and stacks: %d KiB a node", heapOf(size))

	ctx := g.Ctx()
	watched := make(map[ringdht.ID]status.MemberChange)
	changed := make(chan struct{}, 10)
	var mu sync.Mutex
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for e := range works[0].Watch(watching) {
			mu.Lock()
			watched[e.ID] = e.Change
			mu.Unlock()
			if e.Change != status.MemberPresent {
				changed <- struct{}{}
			}
		}
	})
	ringtest.WaitUntil(t, "the watcher to know all", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(watched) == size-(size+3)/4
	})
	for i := 0; i < size; i += size / 7 {
		if got, err := double.Call(ctx, calls[i], g.Nodes[(i+size/2)%size].ID(), i); err != nil || got != 2*i {
			t.Errorf("node %d: %d, %v", g.Nodes[i].ID(), got, err)
		}
	}
	// One leaves, and another joins.
	if err := g.Nodes[1].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	alive[1] = false
	<-changed
	gone := complete(first)
	late := ringtest.NewNode(nil, ringdht.WithTransport(g.Net.Host("late")), ringdht.WithHandshakeTimeout(5*time.Minute))
	works[size] = late.Node.Service("work")
	if err := late.Join(ctx, g.Line()); err != nil {
		t.Fatal(err)
	}
	g.Nodes, alive[size] = append(g.Nodes, late), true
	works[size].Members() // before it is announced: the first list has them all
	if err := late.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	complete(gone)
	stop()
	wg.Wait()
	if watched[g.Nodes[1].ID()] != status.MemberLeft {
		t.Errorf("the one that left was seen as %v", watched[g.Nodes[1].ID()])
	}
}

// heapOf is the memory of each of so many nodes, in KiB.
func heapOf(size int) uint64 {
	m := heap()
	return m.used() / uint64(size) >> 10
}
