package ringtest_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

var scale = flag.Int("scale", 0, "run the test of a large ring with so many nodes, such as 10000, and demand what docs/scale.md promises of it")
var scaleMessages = flag.Int("scale.messages", 10, "what each of them sends in the run that is accounted for")

// A thousand nodes are set up, and every message that they send each other is accounted for.
func TestThousandNodes(t *testing.T) {
	size, messages := 1000, 50
	if ringtest.RaceEnabled {
		messages = 5
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
//	go test -run LargeRing -v -timeout 20m ./internal/ringtest -scale 10000
func TestLargeRing(t *testing.T) {
	if *scale == 0 {
		t.Skip("-scale 10000 runs it")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // the peak counts, and twice what is in use would be most of it
	g := grow(t, *scale)
	g.exact(*scaleMessages)
	g.hops()
	took, peak := g.joined+g.set, residentPeak()
	t.Logf("%d nodes: the process took %d MiB at most", *scale, peak>>20)
	if took > time.Minute {
		t.Errorf("joining and setting up took %v", took)
	}
	if peak > 4<<30 {
		t.Errorf("the process took %d MiB", peak>>20)
	}
}

// grown is a ring that is so large that what it costs matters.
type grown struct {
	*ringtest.Ring
	joined, set time.Duration // what joining took, and then setting up
}

// grow makes a ring of many nodes over the in-memory network. They join many at a time,
// as they would if each were a process.
func grow(t *testing.T, size int) *grown {
	t.Helper()
	// All of them dial at once, and have one process to do it, on a machine with other
	// work: patience, or they would give up and dial again for ever.
	patience := ringdht.WithHandshakeTimeout(5 * time.Minute)
	tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(10*time.Minute), patience)
	t.Cleanup(func() { tr.Registry.Close() }) // first: nobody need hear of every single end
	g := &grown{Ring: tr}
	base, before := heap(), ringtest.CPUTime()
	start := time.Now()
	tr.Nodes = make([]*ringdht.Node, size)
	var wg sync.WaitGroup
	turn := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range turn {
				n, err := ringdht.Join(tr.Ctx(), tr.Addr, nil, ringdht.WithTraffic(), patience, ringdht.WithTransport(tr.Net.Host(fmt.Sprint("n", i))))
				if err != nil {
					t.Error(err)
					continue
				}
				tr.Nodes[i] = n
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
	joined := ringtest.CPUTime()
	start = time.Now()
	a := tr.Setup(0)
	g.set = time.Since(start)
	if !a.OK() || a.Nodes != size {
		t.Fatalf("%v", a)
	}
	t.Logf("%d nodes: joined in %v (%v of CPU), set up in %v (%v): %v", size, g.joined.Round(time.Millisecond), (joined - before).Round(time.Millisecond),
		g.set.Round(time.Millisecond), (ringtest.CPUTime() - joined).Round(time.Millisecond), a)
	tr.WaitSettled()
	after := heap()
	t.Logf("%d nodes idle: %d KiB each, of which stacks %d KiB; peak of the process %d MiB", size,
		(after.used()-base.used())/uint64(size)>>10, (after.StackInuse-base.StackInuse)/uint64(size)>>10, residentPeak()>>20)
	return g
}

// exact makes every node send so many messages, each to somebody drawn at random, and
// demands an exact account. Most of them are the first to their sink.
func (g *grown) exact(messages int) {
	g.T.Helper()
	w := g.watch()
	s := g.Run(ringdht.Traffic{Messages: messages})
	g.T.Logf("%d nodes, %d messages each, exact: %.2f hops, in %v; %v", len(g.Nodes), messages, s.MeanHops, s.Elapsed.Round(time.Millisecond),
		w.since(float64(s.Sum.Received), s.MeanHops*float64(s.Sum.Received)))
}

// hops measures what a hop costs when streams are open, by how much there is to carry:
// every node sends so many messages to a few others.
func (g *grown) hops() {
	g.T.Helper()
	const sinks = 4
	ctx := g.Ctx()
	send := func(each int) {
		var wg sync.WaitGroup
		for _, n := range g.Nodes {
			wg.Go(func() {
				to := n.Members()
				to = to[:min(sinks, len(to))]
				for range each {
					for _, id := range to {
						if err := n.Send(ctx, id, []byte("a number")); err != nil {
							g.T.Error(err)
							return
						}
					}
				}
				if err := n.Flush(ctx); err != nil {
					g.T.Error(err)
				}
			})
		}
		wg.Wait()
	}
	send(10) // opens the streams, and grows the stacks and buffers of links that have carried nothing yet
	for _, each := range []int{40, 400, 4000, 40_000} {
		if messages := float64(each * len(g.Nodes)); messages <= 4e6 {
			relayed, w := g.relayed(), g.watch()
			send(each / sinks)
			g.T.Logf("%d nodes, open streams, %d messages each: %v", len(g.Nodes), each, w.since(messages, messages+float64(g.relayed()-relayed)))
		}
	}
}

func (g *grown) relayed() (sum int64) {
	for _, n := range g.Nodes {
		sum += n.Status().Counters.Relayed
	}
	return sum
}

// watch begins to count what a ring does.
type watch struct {
	g                     *grown
	at                    time.Time
	cpu                   time.Duration
	frames, reads, writes int64
}

func (g *grown) watch() watch {
	w := watch{g: g, at: time.Now(), cpu: ringtest.CPUTime()}
	for _, n := range g.Nodes {
		c := n.Status().Counters
		w.frames += c.FramesIn
		w.reads += c.Reads
		w.writes += c.Writes
	}
	return w
}

// since says what so many messages, over so many links in all, have cost: in all, and
// for each link that any frame has crossed, answers and questions of the streams included.
func (w watch) since(messages, hops float64) string {
	now := w.g.watch()
	cpu, frames := float64(now.cpu-w.cpu), float64(now.frames-w.frames)
	return fmt.Sprintf("%.0f messages/s; CPU %.1f µs a message, %.0f ns a hop of a message, %.0f ns a hop of a frame; %.2f frames a message and hop, %.1f frames a read, %.1f a write",
		messages/now.at.Sub(w.at).Seconds(), cpu/messages/1e3, cpu/hops, cpu/frames, frames/hops,
		frames/float64(now.reads-w.reads), frames/float64(now.writes-w.writes))
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
