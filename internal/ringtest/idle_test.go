package ringtest_test

import (
	"testing"

	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// The targets for an idle node with 14 links, as many as in a ring of 10,000, in bytes.
// What the kernel keeps for a TCP connection does not count.
const (
	idleOverMemory = 200 << 10
	idleOverTCP    = 400 << 10
	idleLinks      = 14
)

// The cost of an idle node includes what its peers, the registry and the in-memory network keep
// for it. It is measured in rings of 8 and of 64, which differ by three links and 56 members on
// the list. The test extrapolates from them to the links of a large ring. (The test of a large
// ring measures such a ring itself.)
func TestIdleNodeIsSmall(t *testing.T) {
	ringtest.OpenOnly(t, "TLS takes memory of its own for each link")
	if ringtest.RaceEnabled {
		t.Skip("the race detector's memory counts as well")
	}
	for _, c := range []struct {
		over string
		net  *memnet.Network
		most uint64
	}{{"memory", memnet.New(1), idleOverMemory}, {"tcp", nil, idleOverTCP}} {
		t.Run(c.over, func(t *testing.T) {
			small, large := idleCost(t, c.net, 8), idleCost(t, c.net, 64)
			link := (large - small) / 3
			node := large + (idleLinks-6)*link + 8*1024 // for the full list of members
			t.Logf("a node with 3 links %.0f KiB, with 6 links %.0f KiB: %.1f KiB a link, %.0f KiB with %d links", small/1024, large/1024, link/1024, node/1024, idleLinks)
			if uint64(node) > c.most {
				t.Errorf("an idle node with %d links takes %.0f KiB, more than %d", idleLinks, node/1024, c.most>>10)
			}
		})
	}
}

// idleCost returns the memory of a node in rings of that size, in bytes. It takes the mean of
// several rings.
func idleCost(t *testing.T, net *memnet.Network, size int) float64 {
	t.Helper()
	before := heap()
	nodes := 0
	for nodes < 512 {
		tr := ringtest.New(t, net)
		for range size {
			tr.Join(nil)
		}
		tr.Setup(0)
		tr.WaitSettled()
		nodes += size
		defer tr.Close()
	}
	after := heap()
	return float64(after.used()-before.used()) / float64(nodes)
}
