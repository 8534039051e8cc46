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
	"github.com/x/ringdht/status"
)

var scale = flag.Int("scale", 0, "run the test of a large ring with this many nodes, such as 10000, and check the promises of docs/scale.md")
var scaleMessages = flag.Int("scale.messages", 10, "how many messages each of them sends in the run")

// A thousand nodes are set up. All messages that they send to each other are accounted for.
func TestThousandNodes(t *testing.T) {
	size, messages := 1000, 50
	if ringtest.RaceEnabled { // a later step of .ci/run has them all
		size, messages = 300, 5
	}
	if testing.Short() {
		size = 200
	}
	g := grow(t, size)
	g.exact(messages)
}

// TestLargeRing is the same with as many nodes as a flag says. Of 10,000 it demands that
// joining and setting up take 60 seconds, and the process 4 GiB.
//
//	go test -run LargeRing -v -timeout 20m ./internal/ringtest -scale 10000
func TestLargeRing(t *testing.T) {
	if *scale == 0 {
		t.Skip("-scale 10000 runs it")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // the peak counts, and garbage would be half of it
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

// grown is a ring so large that its cost matters.
type grown struct {
	*ringtest.Ring
	joined, set time.Duration // how long joining took, and then setting up
}

// grow makes a ring of many nodes over the in-memory network. 64 join at a time, as they would
// if each were a process. prepare is called with each before it joins.
func grow(t *testing.T, size int, prepare ...func(i int, n *ringtest.Node)) *grown {
	t.Helper()
	// All nodes dial at once in one process, on a machine with other work. With the usual
	// timeout they would give up and dial again for ever.
	patience := ringdht.WithHandshakeTimeout(5 * time.Minute)
	tr := ringtest.New(t, memnet.New(1), ringdht.WithLease(10*time.Minute), patience)
	t.Cleanup(func() { tr.Registry.Close() }) // first, so that members are not told of every end
	g := &grown{Ring: tr}
	base, before := heap(), ringtest.CPUTime()
	start := time.Now()
	tr.Nodes = make([]*ringtest.Node, size)
	var wg sync.WaitGroup
	turn := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range turn {
				n := ringtest.NewNode(nil, ringdht.WithTraffic(), patience, ringdht.WithTransport(tr.Net.Host(fmt.Sprint("n", i))))
				for _, f := range prepare {
					f(i, n)
				}
				if err := n.Join(tr.Ctx(), tr.Line()); err != nil {
					t.Error(err)
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
		t.Fatalf("audit: %v", a)
	}
	t.Logf("%d nodes: joined in %v (%v of CPU), set up in %v (%v): %v", size, g.joined.Round(time.Millisecond), (joined - before).Round(time.Millisecond),
		g.set.Round(time.Millisecond), (ringtest.CPUTime() - joined).Round(time.Millisecond), a)
	tr.WaitSettled()
	after := heap()
	t.Logf("%d nodes idle: %d KiB each, of which stacks %d KiB; peak of the process %d MiB", size,
		(after.used()-base.used())/uint64(size)>>10, (after.StackInuse-base.StackInuse)/uint64(size)>>10, residentPeak()>>20)
	return g
}

// exact makes every node send this many messages to random nodes, and demands an exact account.
// Most messages are the first to their sink.
func (g *grown) exact(messages int) {
	g.T.Helper()
	w := g.watch()
	s := g.Run(status.Traffic{Messages: messages})
	g.T.Logf("%d nodes, %d messages each, exact: %.2f hops, in %v; %v", len(g.Nodes), messages, s.MeanHops, s.Elapsed.Round(time.Millisecond),
		w.since(float64(s.Sum.Received), s.MeanHops*float64(s.Sum.Received)))
}

// hops measures the cost of a hop on open streams, by load: every node sends to four others.
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
					for _, sink := range to {
						if err := n.Send(ctx, sink.ID, []byte("a number")); err != nil {
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
	send(10) // opens the streams, and grows stacks and buffers of unused links
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

// watch is what a ring had counted at one time.
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

// since describes the cost of this many messages over this many hops: the total, and the cost
// of each frame on a link. Frames include the acknowledgements and questions of streams.
func (w watch) since(messages, hops float64) string {
	now := w.g.watch()
	cpu, frames := float64(now.cpu-w.cpu), float64(now.frames-w.frames)
	return fmt.Sprintf("%.0f messages/s; CPU %.1f µs a message, %.0f ns a hop of a message, %.0f ns a hop of a frame; %.2f frames a message and hop, %.1f frames a read, %.1f a write",
		messages/now.at.Sub(w.at).Seconds(), cpu/messages/1e3, cpu/hops, cpu/frames, frames/hops,
		frames/float64(now.reads-w.reads), frames/float64(now.writes-w.writes))
}

type memory struct{ runtime.MemStats }

// heap returns memory figures after a garbage collection.
func heap() (m memory) {
	runtime.GC()
	runtime.GC() // the second empties the pools
	runtime.ReadMemStats(&m.MemStats)
	return m
}

// used returns the bytes of objects and stacks.
func (m *memory) used() uint64 { return m.HeapAlloc + m.StackInuse }

// residentPeak returns the peak memory of the process in bytes. If the system does not tell, it
// is the memory that the runtime has asked for.
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
