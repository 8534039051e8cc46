package ringtest_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// write names a write on the network in the way in which the seed does.
type write struct {
	from, to string
	conn     uint64
	back     bool
	nth      uint64
}

// ringOverLossyNetwork runs a ring of fixed IDs in virtual time. It returns the fate of each
// write.
func ringOverLossyNetwork(t *testing.T, seed uint64) map[write]memnet.Fate {
	fates := make(map[write]memnet.Fate)
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(seed)
		var mu sync.Mutex
		net.Watch(func(f memnet.Fate) {
			mu.Lock()
			defer mu.Unlock()
			fates[write{f.From, f.To, f.Conn, f.Back, f.Write}] = f
		})
		net.Delay("", "", time.Millisecond, 4*time.Millisecond)
		for i := range ringtest.SixIDs {
			for j := range ringtest.SixIDs {
				net.Drop(fmt.Sprint("n", i), fmt.Sprint("n", j), 0.05)
			}
		}
		tr := ringtest.New(t, net)
		for _, id := range ringtest.SixIDs {
			tr.Join(nil, ringdht.WithID(id), ringdht.WithTraffic())
		}
		tr.Setup(2)
		tr.Run(status.Traffic{Messages: 50})
		tr.Close()
	})
	return fates
}

// The seed decides the fate of the nth write of the kth connection between two hosts. That
// repeats with a whole ring, as documented. The content and the number of writes depend on the
// order of goroutines, and need not repeat.
func TestSeedRepeatsInARing(t *testing.T) {
	one, again, other := ringOverLossyNetwork(t, 1), ringOverLossyNetwork(t, 1), ringOverLossyNetwork(t, 2)
	same, lost, sizes := 0, 0, 0
	for w, f := range one {
		g, ok := again[w]
		if !ok {
			continue
		}
		same++
		if f.Lost {
			lost++
		}
		if f.Size == g.Size {
			sizes++
		}
		if f.Lost != g.Lost || f.Late != g.Late {
			t.Errorf("%+v: lost %v, late %v, and then %v, %v", w, f.Lost, f.Late, g.Lost, g.Late)
		}
	}
	if same < 200 || lost == 0 {
		t.Errorf("%d and %d writes, of which %d are in both runs and %d lost: too few to tell", len(one), len(again), same, lost)
	}
	t.Logf("%d and %d writes, %d in both runs, %d of them of equal length", len(one), len(again), same, sizes)
	differ, both := 0, 0
	for w, f := range one {
		if g, ok := other[w]; ok {
			both++
			if f.Late != g.Late {
				differ++
			}
		}
	}
	if both == 0 || differ < both*99/100 {
		t.Errorf("with another seed %d of %d writes had another fate", differ, both)
	}
}
