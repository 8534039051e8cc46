package keys

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

var (
	ledgerOwners   = flag.Int("owners", 10, "the owners of the ring of TestLedger, such as 1000")
	ledgerMessages = flag.Int("messages", 20_000, "the messages that its sources send in all, such as 1000000")
	ledgerEvery    = flag.Duration("every", 200*time.Millisecond, "an owner joins, and one leaves, each time, such as 1s; in TestLedgerOfCrashes one dies as well")
	ledgerKeys     = flag.Int("keys", 500, "the keys of its sources")
	ledgerFill     = flag.Int("fill", 100, "bytes in a state, besides its counters")
	ledgerTCP      = flag.Bool("tcp", false, "the ring is over TCP, so that no owner is cut off")
	ledgerTrouble  = flag.Duration("trouble", time.Second, "how long TestLedgerOfCrashes waits after an owner was cut off, or after the registry was restarted")
	ledgerLease    = flag.Duration("lease", 3*time.Second, "the lease of the ring of TestLedgerOfCrashes")
)

const ledgerSources = 4

// While owners join and leave, and sources send, all messages are handled exactly once and in order, by
// one owner at a time, and each state has counted them:
//
//	go test -run 'Ledger$' -v ./keys -owners 1000 -messages 1000000 -every 1s
func TestLedger(t *testing.T) {
	c := newCrowd(t, !*ledgerTCP, *ledgerKeys, ledgerSources)
	c.run(false)
}

// While owners die as well, are cut off until they are declared dead, and the registry is restarted, the
// sources are told of all messages that may not have been handled:
//
//	go test -run LedgerOfCrashes -v ./keys -owners 100 -messages 1000000 -every 1s -trouble 5s
func TestLedgerOfCrashes(t *testing.T) {
	c := newCrowd(t, !*ledgerTCP, *ledgerKeys, ledgerSources, ringdht.WithLease(*ledgerLease))
	c.run(true)
}

// run sends all messages while owners come and go, and settles the ledger.
func (c *crowd) run(crashes bool) {
	c.fill = *ledgerFill
	c.populate(*ledgerOwners)
	for i := range ledgerSources {
		c.joinSource(i, crashes)
	}
	var left atomic.Int64
	left.Store(int64(*ledgerMessages))
	sending, stop := context.WithCancel(context.Background())
	began := time.Now()
	var churn, sources sync.WaitGroup
	churn.Go(func() { c.comeAndGo(sending, crashes) })
	if crashes {
		churn.Go(func() { c.trouble(sending) })
	}
	for _, s := range c.sources {
		sources.Go(func() { s.run(&left, 16) })
	}
	c.await(&sources)
	took := time.Since(began)
	stop()
	c.await(&churn)
	c.settle(took, crashes)
}

// patience is how long a call and a leave may take.
const patience = 2 * time.Minute

// await waits, and ends the test with a description if a call, or a leave, takes too long.
func (c *crowd) await(all *sync.WaitGroup) {
	c.t.Helper()
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case what := <-c.stuck:
		c.describe()
		c.over.Store(true)
		c.closeAll()
		<-done
		c.t.Fatalf("%s has taken more than %v", what, patience)
	}
}

// within calls f, and ends the test if it takes too long.
func (c *crowd) within(what string, f func()) {
	late := time.AfterFunc(patience, func() {
		select {
		case c.stuck <- what:
		default:
		}
	})
	f()
	late.Stop()
}

// describe says what a ring waits for.
func (c *crowd) describe() {
	s := c.Registry.Snapshot()
	c.t.Logf("the registry, %d members: missing %q; degraded %v", len(s.Members), s.Missing, s.Degraded)
	for _, k := range ringtest.RegistryOf(c.Registry).Keys() {
		c.t.Logf("the registry: %+v", k)
	}
	for _, s := range c.sources {
		s.space.hub.mu.Lock()
		l := s.space.hub.life
		c.t.Logf("source %d: %d unanswered, %d wait; %+v", s.index, l.source.Unanswered(), s.space.hub.waiting.Len(), l.totals())
		s.space.hub.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range append(slices.Clone(c.owners), c.ending...) {
		k.space.hub.mu.Lock()
		if l := k.space.hub.life; l != nil {
			c.t.Logf("owner %d, life %x: %d run, %d operations, left %v, closing %v, leaving %v", k.node.ID(), l.self, len(l.running), len(l.operations.all), l.left, l.closing, k.space.hub.leaving)
			for _, p := range l.peers {
				if p.channel.Unacknowledged() > 0 || !p.listed {
					c.t.Logf("   peer %x at %d: %d unacknowledged, pending %v, sending %v, named %v, listed %v, left %v", p.life, p.id, p.channel.Unacknowledged(), p.channel.Pending(), p.sending, p.named, p.listed, p.left)
				}
			}
		}
		k.space.hub.mu.Unlock()
	}
}

// wrong fails the test, unless that has ended.
func (c *crowd) wrong(format string, args ...any) {
	if !c.over.Load() {
		c.t.Errorf(format, args...)
	}
}

// comeAndGo lets an owner join and one leave, each time; with crashes one more joins, and one dies.
func (c *crowd) comeAndGo(ctx context.Context, crashes bool) {
	var all sync.WaitGroup
	defer all.Wait()
	turns := make(chan struct{}, 3) // at most so many at a time, on a machine that is busy
	do := func(f func()) {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			f()
		})
	}
	tick := time.NewTicker(*ledgerEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		do(func() { c.join(true); c.joins.Add(1) })
		if k := c.draw(*ledgerOwners); k != nil {
			do(func() { c.leave(k) })
		}
		if !crashes {
			continue
		}
		do(func() { c.join(true); c.joins.Add(1) })
		if k := c.draw(*ledgerOwners); k != nil {
			do(func() { c.die(k) })
		}
	}
}

// trouble cuts owners off, and restarts the registry, in turns.
func (c *crowd) trouble(ctx context.Context) {
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(*ledgerTrouble):
		}
		if i%2 == 0 && c.Net != nil {
			if k := c.draw(1); k != nil {
				c.cut(k)
			}
			continue
		}
		c.Registry.Close()
		c.RestartRegistry(ringdht.WithLease(*ledgerLease), ringdht.WithGrace(*ledgerLease))
		c.restarts.Add(1)
		if err := c.Registry.WaitSettled(c.Ctx()); err != nil {
			c.wrong("the registry: %v", err)
		}
	}
}

// enough reports whether all that a ledger is about has happened.
func (c *crowd) enough(crashes bool) bool {
	return c.over.Load() || c.t.Failed() || c.joins.Load() > 0 && c.leaves.Load() > 0 &&
		(!crashes || c.deaths.Load() > 0 && c.restarts.Load() > 0 && (c.Net == nil || c.cuts.Load() > 0))
}

// quantiles describes durations.
func quantiles(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, p99.9 %v, max %v, of %d", at(.5), at(.99), at(.999), at(1), len(all))
}

// settle checks what became of all messages, and says what has happened.
func (c *crowd) settle(took time.Duration, crashes bool) {
	t := c.t
	for _, key := range c.keys {
		got, err := read.Call(c.Ctx(), c.sources[0].space, key, struct{}{}, Again())
		if err != nil {
			t.Fatal(err)
		}
		c.judge.final(key, got)
	}
	total := 0
	at := make(map[string]int)
	for i, key := range c.keys {
		at[key] = i
		for _, s := range c.sources {
			total += int(s.sent[i])
		}
	}
	sum := c.judge.settle(func(key string, source int) uint64 { return c.sources[source].sent[at[key]] })
	all, calls := c.ended, []time.Duration(nil)
	for _, k := range c.owners {
		all.add(k.space.Counters())
	}
	for _, s := range c.sources {
		all.add(s.space.Counters())
		calls = append(calls, s.calls...)
	}
	t.Logf("%d owners: %d messages in %v, %.0f a second; %d joins, %d leaves, %d deaths, %d cut off, %d registries",
		*ledgerOwners, total, took.Round(100*time.Millisecond), float64(total)/took.Seconds(), c.joins.Load(), c.leaves.Load(), c.deaths.Load(), c.cuts.Load(), c.restarts.Load())
	t.Logf("handled %d; neither handled nor told %d; handled twice %d; told %d, of which %d were handled; %d states began anew",
		sum.handled, sum.lost, sum.twice, sum.unknown, sum.unknownHandled, sum.anew)
	t.Logf("calls: %s; joins until ready: %s", quantiles(calls), quantiles(c.ready))
	t.Logf("states given %d, taken %d; messages refused %d, repeated %d; bytes repeated by channels %d; failed moves %d, overruled %d, malformed %d",
		all.Given, all.Taken, all.Refusals, all.Repeats, all.Repeated, all.FailedMoves, all.Overruled, all.Malformed)
	for _, f := range c.judge.faults {
		t.Error(f)
	}
	if n := c.judge.count; n > len(c.judge.faults) {
		t.Errorf("and %d more", n-len(c.judge.faults))
	}
	if !crashes && (sum.lost > 0 || sum.twice > 0 || sum.unknown > 0 || sum.handled != total) {
		t.Errorf("not all of %d messages were handled once", total)
	}
}
