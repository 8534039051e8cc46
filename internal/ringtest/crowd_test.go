package ringtest_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A thousand nodes that join at once, a running ring or a new one, cost a few plans and not a
// thousand. Each of them can be reached.
func TestCrowdJoins(t *testing.T) {
	size := 1000
	if testing.Short() || ringtest.RaceEnabled {
		size = 150
	}
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 8 {
		tr.Join(nil)
	}
	tr.Setup(0)
	epoch := tr.Registry.Epoch()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range size {
		wg.Go(func() {
			n, err := ringtest.Join(tr.Ctx(), tr.Line(), nil, ringdht.WithTransport(net.Host(fmt.Sprint("crowd", i))))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			tr.Nodes = append(tr.Nodes, n)
			mu.Unlock()
			if err := n.Ready(tr.Ctx()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ready := time.Since(start)
	tr.WaitSettled()
	runtime.GC()
	runtime.ReadMemStats(&after)
	epochs := tr.Registry.Epoch() - epoch
	a := tr.Registry.Audit()
	t.Logf("%d nodes joined at once: all ready after %v, settled after %v, %d epochs, %d KiB a node; %v", size, ready.Round(time.Millisecond),
		time.Since(start).Round(time.Millisecond), epochs, (after.HeapAlloc-before.HeapAlloc)/uint64(size)>>10, a)
	if epochs > uint64(size)/4 {
		t.Errorf("%d epochs for %d nodes", epochs, size)
	}
	if !a.OK() || a.Nodes != size+8 {
		t.Errorf("audit: %v", a)
	}
	from := tr.Nodes[0]
	for _, to := range tr.Nodes {
		if err := from.Send(tr.Ctx(), to.ID(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Flush(tr.Ctx()); err != nil {
		t.Error(err)
	}
}
