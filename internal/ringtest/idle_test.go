package ringtest_test

import (
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// The targets for an idle node with 14 links, as many as in a ring of 10,000, in bytes.
// What the kernel keeps for a TCP connection does not count.
const (
	idleOverMemory = 210 << 10
	idleOverTCP    = 400 << 10
	idleLinks      = 14
)

// The cost of an idle node includes what its peers, the registry and the in-memory network keep
// for it. It is measured in rings of 8 and of 64, which differ by three links and 56 members on
// the list. The test extrapolates from them to the links of a large ring. (The test of a large
// ring measures such a ring itself.) Over memory it measures in a bubble, when no goroutine has
// anything to do.
func TestIdleNodeIsSmall(t *testing.T) {
	ringtest.OpenOnly(t, "TLS takes memory of its own for each link")
	if ringtest.RaceEnabled {
		t.Skip("the race detector's memory counts as well")
	}
	measure := func(t *testing.T, net func() *memnet.Network, settle func(), most uint64) {
		idleCost(t, net(), 8, 8, settle) // the process keeps some of what it takes first
		// What other tests have left, and stacks that shrink late, can only add. So the least of three counts.
		least := math.Inf(1)
		for range 3 {
			small, large := idleCost(t, net(), 8, 512, settle), idleCost(t, net(), 64, 512, settle)
			link := (large - small) / 3
			node := large + (idleLinks-6)*link + 17*1024 // for a list of 1,024 members
			t.Logf("a node with 3 links %.0f KiB, with 6 links %.0f KiB: %.1f KiB a link, %.0f KiB with %d links", small/1024, large/1024, link/1024, node/1024, idleLinks)
			if least = min(least, node); least <= float64(most) {
				return
			}
		}
		t.Errorf("an idle node with %d links takes %.0f KiB, more than %d", idleLinks, least/1024, most>>10)
	}
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			settle := func() {
				time.Sleep(10 * time.Second)
				synctest.Wait()
				for range 4 { // each collection halves the stacks that are too large
					runtime.GC()
				}
			}
			measure(t, func() *memnet.Network { return memnet.New(1) }, settle, idleOverMemory)
		})
	})
	t.Run("tcp", func(t *testing.T) {
		measure(t, func() *memnet.Network { return nil }, func() {}, idleOverTCP)
	})
}

// idleCost returns the memory of a node in rings of that size, in bytes. It takes the mean of that
// many nodes. settle returns when all goroutines wait.
func idleCost(t *testing.T, net *memnet.Network, size, of int, settle func()) float64 {
	t.Helper()
	settle()
	before := heap()
	nodes := 0
	for nodes < of {
		tr := ringtest.New(t, net)
		for range size {
			tr.Join(nil)
		}
		tr.Setup(0)
		tr.WaitSettled()
		nodes += size
		defer tr.Close()
	}
	settle()
	after := heap()
	return float64(after.used()-before.used()) / float64(nodes)
}
