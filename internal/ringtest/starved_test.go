package ringtest_test

import (
	"flag"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

var starvedHogs = flag.Int("starved.hogs", 60, "how many goroutines take the processor away")

var starved = flag.Int("starved", 0, "how many nodes to starve of the processor, for a while")

// A process that always gets the processor late declares none of its own nodes dead. 60
// goroutines compute on two processors, so each waits a third of a lease for its turn.
//
//	go test -run StarvedProcess ./internal/ringtest -starved 200
func TestStarvedProcess(t *testing.T) {
	if *starved == 0 {
		t.Skip("-starved says how many nodes")
	}
	log := ringtest.NewLog()
	tr := ringtest.New(t, nil, ringdht.WithLease(time.Second), ringdht.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	tr.Shared = nil
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range *starved {
		wg.Go(func() {
			n, err := ringtest.Join(tr.Ctx(), tr.Line(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			tr.Nodes = append(tr.Nodes, n)
			mu.Unlock()
		})
	}
	wg.Wait()
	tr.Setup(0)
	incs := make(map[*ringtest.Node]uint64)
	for _, n := range tr.Nodes {
		incs[n] = n.Incarnation()
	}
	stop := make(chan struct{})
	hogs := *starvedHogs
	for range hogs {
		wg.Go(func() {
			x := 1
			for {
				select {
				case <-stop:
					return
				default:
					for range 1 << 20 {
						x = x*7 + 1
					}
				}
			}
		})
	}
	time.Sleep(10 * time.Second) // the time under test
	close(stop)
	wg.Wait()
	tr.WaitSettled()
	dead := 0
	for _, n := range tr.Nodes {
		if n.Incarnation() != incs[n] {
			dead++
		}
	}
	why := make(map[string]int)
	for line := range strings.Lines(log.Text()) {
		if found := strings.Contains(line, "msg=dead"); found {
			_, w, _ := strings.Cut(line, "why=")
			why[strings.TrimSpace(w)]++
		}
	}
	if dead > 0 {
		t.Errorf("%d of %d nodes have another incarnation: %v", dead, len(incs), why)
	}
}
