package ringdht

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A thousand nodes that join at once, a running ring or a new one, are admitted with a
// few plans and not a thousand, and every one of them can be reached.
func TestCrowdJoins(t *testing.T) {
	size := 1000
	if testing.Short() || raceEnabled {
		size = 150
	}
	net := NewMemoryNetwork(1)
	tr := newTestRing(t, net)
	for range 8 {
		tr.join(nil)
	}
	tr.setup(0)
	epoch := tr.registry.Epoch()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range size {
		wg.Go(func() {
			n, err := Join(tr.ctx(), tr.addr, nil, WithTransport(net.Host(fmt.Sprint("crowd", i))))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			tr.nodes = append(tr.nodes, n)
			mu.Unlock()
			if err := n.Ready(tr.ctx()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ready := time.Since(start)
	tr.settled()
	runtime.GC()
	runtime.ReadMemStats(&after)
	epochs := tr.registry.Epoch() - epoch
	a := tr.registry.Audit()
	t.Logf("%d nodes joined at once: all ready after %v, settled after %v, %d epochs, %d KiB a node; %v", size, ready.Round(time.Millisecond),
		time.Since(start).Round(time.Millisecond), epochs, (after.HeapAlloc-before.HeapAlloc)/uint64(size)>>10, a)
	if epochs > uint64(size)/4 {
		t.Errorf("%d epochs for %d nodes", epochs, size)
	}
	if !a.OK() || a.Nodes != size+8 {
		t.Errorf("%v", a)
	}
	from := tr.nodes[0]
	for _, to := range tr.nodes {
		if err := from.Send(tr.ctx(), to.ID(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Flush(tr.ctx()); err != nil {
		t.Error(err)
	}
}
