package ringdht

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var scale = flag.Int("scale", 0, "run the test of a large ring with so many nodes, such as 10000, and demand what docs/scale.md promises of it")
var scaleMessages = flag.Int("scale.messages", 25, "what each of them sends")

// A thousand nodes are set up, and every message that they send each other is accounted for.
func TestThousandNodes(t *testing.T) {
	size, messages := 1000, 100
	if raceEnabled {
		messages = 20
	}
	if testing.Short() {
		size = 200
	}
	g := grow(t, size)
	g.exact(messages)
}

// The same with as many nodes as a flag says. Of 10,000 it demands a set-up, joining
// included, within 60 seconds, and that the whole process takes less than 4 GiB.
//
//	go test -run LargeRing -v -timeout 20m -scale 10000 .
func TestLargeRing(t *testing.T) {
	if *scale == 0 {
		t.Skip("-scale 10000 runs it")
	}
	g := grow(t, *scale)
	if *scaleMessages > 0 {
		g.exact(*scaleMessages)
	}
	took, peak := g.joined+g.set, residentPeak()
	if took > time.Minute {
		t.Errorf("joining and setting up took %v", took)
	}
	if peak > 4<<30 {
		t.Errorf("the process took %d MiB", peak>>20)
	}
}

// grown is a ring that is so large that what it costs matters.
type grown struct {
	*testRing
	joined, set time.Duration // what joining took, and then setting up
}

// grow makes a ring of many nodes over the in-memory network. They join many at a time,
// as they would if each were a process.
func grow(t *testing.T, size int) *grown {
	t.Helper()
	tr := newTestRing(t, NewMemoryNetwork(1), WithLease(time.Minute))
	t.Cleanup(func() { tr.registry.Close() }) // first: nobody need hear of every single end
	g := &grown{testRing: tr}
	base, before := heap(), cpuTime()
	start := time.Now()
	tr.nodes = make([]*Node, size)
	var wg sync.WaitGroup
	turn := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range turn {
				n, err := Join(tr.ctx(), tr.addr, nil, WithTraffic(), WithTransport(tr.net.Host(fmt.Sprint("n", i))))
				if err != nil {
					t.Error(err)
					continue
				}
				tr.nodes[i] = n
			}
		})
	}
	for i := range size {
		turn <- i
	}
	close(turn)
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	g.joined = time.Since(start)
	joined := cpuTime()
	start = time.Now()
	a := tr.setup(0)
	g.set = time.Since(start)
	if !a.OK() || a.Nodes != size {
		t.Fatalf("%v", a)
	}
	t.Logf("%d nodes: joined in %v (%v of CPU), set up in %v (%v): %v", size, g.joined.Round(time.Millisecond), (joined - before).Round(time.Millisecond),
		g.set.Round(time.Millisecond), (cpuTime() - joined).Round(time.Millisecond), a)
	tr.settled()
	after := heap()
	t.Logf("%d nodes idle: %d KiB each, of which stacks %d KiB; peak of the process %d MiB", size,
		(after.used()-base.used())/uint64(size)>>10, (after.StackInuse-base.StackInuse)/uint64(size)>>10, residentPeak()>>20)
	return g
}

// exact makes every node send so many messages, demands an exact account, and says what
// a hop cost.
func (g *grown) exact(messages int) {
	g.t.Helper()
	before := cpuTime()
	s := g.run(Traffic{Messages: messages})
	cpu := cpuTime() - before
	hops := s.MeanHops * float64(s.Sum.Received)
	g.t.Logf("%d nodes: %d messages, %.2f hops, in %v: %.0f messages/s, %.0f hops/s; %.0f ns of CPU a hop; peak of the process %d MiB", len(g.nodes),
		s.Sum.Received, s.MeanHops, s.Elapsed.Round(time.Millisecond), s.Rate(), hops/s.Elapsed.Seconds(), float64(cpu)/hops, residentPeak()>>20)
}

type memory struct{ runtime.MemStats }

// heap says what is in use, after what is not was collected.
func heap() (m memory) {
	runtime.GC()
	runtime.GC() // pools give up what they hold at the second
	runtime.ReadMemStats(&m.MemStats)
	return m
}

// used is the memory of objects and stacks.
func (m *memory) used() uint64 { return m.HeapAlloc + m.StackInuse }

// residentPeak is the most memory that the process ever had, in bytes; where the system
// does not say, what the runtime has asked for.
func residentPeak() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
			var kib uint64
			if _, err := fmt.Sscan(after, &kib); err == nil {
				return kib << 10
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys
}
