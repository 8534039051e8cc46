package dashboard

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

var (
	cost       = flag.Int("cost", 0, "measure what pages cost a ring of so many nodes, such as 1000, side by side with none open")
	costRounds = flag.Int("cost.rounds", 5, "in so many rounds of each")
	costSend   = flag.Int("cost.messages", 5000, "in which each node sends so many messages to each of four others")
)

// large returns a snapshot of a ring with so many nodes and ten entries each, in which every
// node has reported since the snapshot with the serial before.
func large(nodes, serial int) *status.Snapshot {
	at := time.Unix(1e9, 0).Add(time.Duration(serial) * time.Second)
	s := &status.Snapshot{
		Time: at, Bits: 16, Epoch: 1, Live: true, Entries: 10, Offsets: []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		Missing: []string{}, Members: make([]status.Member, nodes), Hops: []int64{0, 1000, 5000, 9000},
		Latency: status.Histogram{Counts: []int64{0, 1, 2, 3}},
	}
	id := func(i int) ringdht.ID { return ringdht.ID(i % nodes * 65536 / nodes) }
	for i := range s.Members {
		m := &s.Members[i]
		m.ID, m.Addr, m.Incarnation = id(i), fmt.Sprintf("10.0.%d.%d:12345", i/256, i%256), uint64(1795363415340920499)+uint64(i)
		m.State, m.Heard, m.Joined = status.StateActive, at, time.Unix(1e9, 0)
		m.Counters.Sent, m.Counters.Delivered, m.Counters.Relayed = int64(serial*12345+i), int64(serial*12345), int64(serial*54321)
		for n, o := range s.Offsets {
			m.Entries = append(m.Entries, id(i+o))
			m.Links = append(m.Links, status.Link{To: id(i + o), Up: true, Bytes: int64(serial*serial) * int64(100_000+100*n+i)})
		}
	}
	return s
}

// The size of updates is bounded: less than 150 bytes a node even when every node has
// changed, and next to nothing when none has.
func TestUpdateSize(t *testing.T) {
	const nodes = 1000
	f := newFeed(500*time.Millisecond, pageOptions{})
	f.update(large(nodes, 1))
	if n := len(f.all()); n > 250*nodes {
		t.Errorf("everything is %d bytes", n)
	}
	if n := len(f.update(large(nodes, 2))); n > 150*nodes {
		t.Errorf("an update is %d bytes", n)
	}
	quiet := large(nodes, 2)
	quiet.Time = quiet.Time.Add(time.Second)
	if n := len(f.update(quiet)); n > 100 {
		t.Errorf("an update of a quiet ring is %d bytes", n)
	}
}

// The allocations of an update do not grow with the number of nodes.
func TestUpdateAllocations(t *testing.T) {
	const nodes = 1000
	var snapshots []*status.Snapshot
	for i := range 20 {
		snapshots = append(snapshots, large(nodes, i+1))
	}
	f := newFeed(500*time.Millisecond, pageOptions{})
	for _, s := range snapshots[:4] { // the rows have their buffers after these
		f.update(s)
	}
	i := 4
	if n := testing.AllocsPerRun(10, func() { f.update(snapshots[i]); i++ }); n > 200 {
		t.Errorf("an update of %d rows takes %v allocations", nodes, n)
	}
}

// BenchmarkUpdate measures an update in which all of 1,000 nodes have changed.
func BenchmarkUpdate(b *testing.B) {
	snapshots := make([]*status.Snapshot, 64)
	for i := range snapshots {
		snapshots[i] = large(1000, i+1)
	}
	f := newFeed(500*time.Millisecond, pageOptions{})
	i, bytes := 0, 0
	for b.Loop() {
		bytes += len(frame(f.update(snapshots[i%len(snapshots)])))
		i++
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes/update")
}

// TestWhatPagesCost measures what open pages cost a ring: the same messages with no page, one
// and ten, in turn, and the CPU time of an update while messages flow. The clients of the
// pages are in this process, so their cost is counted too.
//
//	go test -run WhatPagesCost -v -timeout 10m ./dashboard -cost 1000
func TestWhatPagesCost(t *testing.T) {
	if *cost == 0 {
		t.Skip("-cost 1000 runs it")
	}
	tr := grow(t, *cost)
	h, front, snapshots := counted(tr.registry)
	server := httptest.NewServer(front)
	defer server.Close()
	open := []int{0, 1, 10}
	rates := map[int][]float64{}
	work := map[int][]float64{} // CPU time per message, in µs
	for round := range *costRounds + 1 {
		for i := range open {
			pages := open[(i+round)%len(open)]
			shut := watch(t, server.URL, pages)
			before, start := cpuTime(), time.Now()
			messages := float64(tr.send(*costSend))
			if round > 0 { // the first round opens streams
				rates[pages] = append(rates[pages], messages/time.Since(start).Seconds())
				work[pages] = append(work[pages], float64((cpuTime()-before).Microseconds())/messages)
			}
			shut()
		}
	}
	for _, pages := range open {
		r, w := rates[pages], work[pages]
		slices.Sort(r)
		slices.Sort(w)
		t.Logf("%d nodes, %2d pages: %.0f messages/s (%.0f to %.0f), %.2f µs of CPU a message (%.2f to %.2f)",
			*cost, pages, r[len(r)/2], r[0], r[len(r)-1], w[len(w)/2], w[0], w[len(w)-1])
	}
	h.broadcaster.mu.Lock()
	t.Logf("%d updates, %d snapshots, took %v each on the clock", h.broadcaster.ticks, *snapshots, (h.broadcaster.busy / time.Duration(max(1, h.broadcaster.ticks))).Round(time.Microsecond))
	h.broadcaster.mu.Unlock()

	// The CPU time of one thread leaves out the work of other goroutines, so it is the figure
	// that can be promised.
	over := make(chan struct{})
	go func() {
		defer close(over)
		tr.send(3 * *costSend)
	}()
	var updates int
	var spent time.Duration
	var bytes int
	f := newFeed(h.interval, pageOptions{})
	f.update(tr.registry.Snapshot())
	onThread(func() {
		ticker := time.NewTicker(h.interval)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
			}
			before := threadTime()
			bytes += len(frame(f.update(tr.registry.Snapshot())))
			spent += threadTime() - before
			updates++
		}
	})
	if updates == 0 {
		t.Fatal("it was over too soon")
	}
	each := spent / time.Duration(updates)
	share := float64(each) / float64(h.interval)
	t.Logf("%d updates while messages flow: %v of CPU and %d bytes each, %.2f %% of one core", updates, each.Round(time.Microsecond), bytes/updates, 100*share)
	if share > 0.02 {
		t.Errorf("that is more than 2 %%")
	}
}

// send lets every node send so many messages to each of four others, waits until all have
// been handled, and returns their number.
func (tr *testRing) send(each int) int {
	const sinks = 4
	ctx := tr.ctx()
	var wg sync.WaitGroup
	for _, n := range tr.nodes {
		wg.Go(func() {
			to := n.Members()
			for range each {
				for _, sink := range to[:min(sinks, len(to))] {
					if err := n.Send(ctx, sink.ID, []byte("a number")); err != nil {
						tr.t.Error(err)
						return
					}
				}
			}
			if err := n.Flush(ctx); err != nil {
				tr.t.Error(err)
			}
		})
	}
	wg.Wait()
	return sinks * each * len(tr.nodes)
}

// grow returns a large ring.
func grow(t *testing.T, size int) *testRing {
	t.Helper()
	patience := ringdht.WithHandshakeTimeout(5 * time.Minute)
	// Rows change with heartbeats, three a lease. A thousand busy nodes on two cores cannot
	// keep a shorter lease.
	tr := newTestRing(t, 0, ringdht.WithLease(15*time.Second), patience)
	var wg sync.WaitGroup
	var mu sync.Mutex
	turn := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range turn {
				n, err := ringtest.Join(tr.ctx(), tr.addr, nil, ringdht.WithTraffic(), patience, ringdht.WithTransport(tr.net.Host(fmt.Sprint("n", i))))
				if err != nil {
					t.Error(err)
					continue
				}
				mu.Lock()
				tr.nodes = append(tr.nodes, n)
				mu.Unlock()
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
	tr.setup(0)
	return tr
}

// watch opens pages that read all their updates, until shut is called.
func watch(t *testing.T, url string, pages int) (shut func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range pages {
		r, err := http.NewRequestWithContext(ctx, "GET", url+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReaderSize(resp.Body, 64<<10)
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer resp.Body.Close()
			io.Copy(io.Discard, in)
		})
	}
	return func() { cancel(); wg.Wait(); http.DefaultClient.CloseIdleConnections() }
}
