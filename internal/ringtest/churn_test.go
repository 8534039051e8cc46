package ringtest_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

var (
	churnNodes   = flag.Int("churn", 30, "how many nodes TestChurn has, such as 1000")
	churnSession = flag.Duration("churn.session", time.Second, "the median session of its nodes, such as 84s")
	churnFor     = flag.Duration("churn.for", 2*time.Second, "how long it measures, such as 120s")
	churnLease   = flag.Duration("churn.lease", 30*time.Second, "the lease of its ring")
	churnEvery   = flag.Duration("churn.every", 200*time.Millisecond, "the mean time between two messages of a node, such as 5s")
	churnSlow    = flag.Duration("churn.slow", 50*time.Millisecond, "how long an event takes a slow loop of Watch, such as 1s")
	churnWatches = flag.Bool("churn.watch", false, "each node has a loop of Watch, which counts events")
	churnProfile = flag.String("churn.profile", "", "write a CPU profile of the time measured to this file")
)

// TestChurn measures a ring whose nodes come and go, all of them and the registry in this process.
// Sessions are exponential: each node ends after a random time in the ring, half of them by a leave
// and half by a crash. Another node joins at that moment. The test reports how long joins take until
// they are ready. Each message that was accepted must be handled once and in order, or be reported.
//
//	go test -run Churn -v ./internal/ringtest -churn 1000 -churn.session 84s -churn.for 120s -churn.lease 3s -churn.every 5s
func TestChurn(t *testing.T) {
	c := &churn{Ring: ringtest.New(t, memnet.New(1), ringdht.WithLease(*churnLease)), ledger: newChurnLedger()}
	t.Cleanup(func() { c.Registry.Close() }) // first, so that members are not told of every end
	before := heap()
	c.populate(*churnNodes)
	c.WaitSettled()
	after := heap()
	t.Logf("%d nodes idle: %d KiB each, of which stacks %d KiB", *churnNodes, (after.used()-before.used())/uint64(*churnNodes)>>10,
		(after.StackInuse-before.StackInuse)/uint64(*churnNodes)>>10)

	dead := c.declaredDead()
	if *churnProfile != "" {
		f, err := os.Create(*churnProfile)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		pprof.StartCPUProfile(f)
	}
	watched := c.watch()
	var made, now runtime.MemStats
	runtime.ReadMemStats(&made)
	events := c.events.Load()
	cpu, began := ringtest.CPUTime(), time.Now()
	ctx, stop := context.WithTimeout(context.Background(), *churnFor)
	defer stop()
	var wg sync.WaitGroup
	for _, n := range c.initial {
		wg.Go(func() { c.live(ctx, n) })
	}
	<-ctx.Done()
	took, cpu := time.Since(began), ringtest.CPUTime()-cpu
	pprof.StopCPUProfile()
	runtime.ReadMemStats(&now)
	events = c.events.Load() - events
	late := c.pending()
	wg.Wait()
	t.Logf("%d nodes, median session %v, over %v: %.1f joins, %.1f leaves and %.1f crashes a second; %.2f cores of CPU; peak of the process %d MiB", *churnNodes,
		*churnSession, took.Round(time.Second), c.rate(len(c.ready), took), c.rate(len(c.leaves), took), c.rate(c.crashes, took), cpu.Seconds()/took.Seconds(), residentPeak()>>20)
	t.Logf("%.0f MB allocated a second; %.0f events a second at the loops of all nodes", float64(now.TotalAlloc-made.TotalAlloc)/1e6/took.Seconds(), float64(events)/took.Seconds())
	t.Logf("join to admitted: %v", quantiles(c.admitted))
	t.Logf("join to ready: %v; %d not ready at the end", quantiles(c.ready), late)
	t.Logf("leave: %v", quantiles(c.leaves))
	t.Logf("the registry declared %d members dead, %d had crashed", c.declaredDead()-dead, c.crashes)
	watched.check()
	c.settleAccounts(t)
}

// churn is a ring whose nodes come and go.
type churn struct {
	*ringtest.Ring
	ledger  *churnLedger
	initial []*churnNode
	events  atomic.Int64 // at the loops of all nodes

	mu                      sync.Mutex
	serial                  uint32
	waiting                 int // nodes that are not ready yet
	crashes                 int
	admitted, ready, leaves []time.Duration
	left                    []*churnNode // those that are in the ring at the end
}

type churnNode struct {
	*ringtest.Node
	serial uint32
}

// populate starts the first nodes, 64 at a time, and hands out their tables.
func (c *churn) populate(size int) {
	c.T.Helper()
	var wg sync.WaitGroup
	turn := make(chan int)
	c.initial = make([]*churnNode, size)
	for range 64 {
		wg.Go(func() {
			for i := range turn {
				n, err := c.join(c.Ctx())
				if err != nil {
					c.T.Error(err)
				}
				c.initial[i] = n
			}
		})
	}
	for i := range size {
		turn <- i
	}
	close(turn)
	wg.Wait()
	if c.T.Failed() {
		c.T.FailNow()
	}
	c.Setup(0)
}

// join starts a node with the next serial number.
func (c *churn) join(ctx context.Context) (*churnNode, error) {
	c.mu.Lock()
	serial := c.serial
	c.serial++
	c.mu.Unlock()
	handler := func(_ context.Context, m ringdht.Message) { c.ledger.handled(serial, m.Body) }
	report := func(u status.Undelivered) { c.ledger.undelivered(u) }
	n := ringtest.NewNode(handler, ringdht.WithRetry(), ringtest.WithUndelivered(report), ringdht.WithTransport(c.Net.Host(fmt.Sprint("n", serial))))
	serve(n)
	if err := n.Join(ctx, c.Line()); err != nil {
		return nil, err
	}
	if *churnWatches {
		c.follow(n)
	}
	return &churnNode{n, serial}, nil
}

// live lets a node, and those that take its place one after the other, come and go until ctx ends.
func (c *churn) live(ctx context.Context, n *churnNode) {
	mean := float64(*churnSession) / math.Ln2
	for {
		session, end := context.WithTimeout(ctx, time.Duration(rand.ExpFloat64()*mean))
		c.talk(session, n)
		end()
		if ctx.Err() != nil {
			c.mu.Lock()
			c.left = append(c.left, n)
			c.mu.Unlock()
			return
		}
		ended := make(chan struct{})
		leaver := n // n is another one below
		go func() { c.end(leaver); close(ended) }()
		n = c.replace()
		<-ended
		if n == nil {
			return
		}
	}
}

// replace starts a node and waits until it is ready. It goes on when the measurement is over, so that
// long joins count.
func (c *churn) replace() *churnNode {
	c.mu.Lock()
	c.waiting++
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	n, err := c.join(ctx)
	admitted := time.Since(began)
	if err == nil {
		err = n.Ready(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	c.admitted, c.ready = append(c.admitted, admitted), append(c.ready, time.Since(began))
	if err != nil {
		c.T.Errorf("a node that joins: %v", err)
		return nil
	}
	return n
}

// end ends a node: it leaves, or it ends without a word, as in a crash.
func (c *churn) end(n *churnNode) {
	if rand.IntN(2) == 0 {
		c.ledger.closed(n.serial, n.Close())
		c.mu.Lock()
		defer c.mu.Unlock()
		c.crashes++
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	c.ledger.closed(n.serial, n.Leave(ctx))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaves = append(c.leaves, time.Since(began))
}

// talk sends messages to members drawn at random until ctx ends.
func (c *churn) talk(ctx context.Context, n *churnNode) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Duration(rand.ExpFloat64() * float64(*churnEvery)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if all := n.Members(); len(all) > 0 {
			c.ledger.send(ctx, n, all[rand.IntN(len(all))].ID)
		}
	}
}

func (c *churn) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

func (c *churn) rate(n int, over time.Duration) float64 { return float64(n) / over.Seconds() }

// declaredDead is how many members the registry has declared dead.
func (c *churn) declaredDead() int64 { return c.Registry.Snapshot().Happened[status.EventDead] }

// settleAccounts ends the nodes that are left and checks what became of all messages.
func (c *churn) settleAccounts(t *testing.T) {
	var wg sync.WaitGroup
	for _, n := range c.left {
		wg.Go(func() {
			err := n.Flush(c.Ctx())
			c.ledger.closed(n.serial, err)
		})
	}
	wg.Wait()
	for _, n := range c.left {
		wg.Go(func() { c.ledger.closed(n.serial, n.Close()) })
	}
	wg.Wait()
	c.ledger.check(t)
}

// quantiles describes durations.
func quantiles(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(q float64) time.Duration {
		return all[min(len(all)-1, int(q*float64(len(all))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p90 %v, p99 %v, max %v, of %d", at(.5), at(.9), at(.99), all[len(all)-1].Round(100*time.Microsecond), len(all))
}
