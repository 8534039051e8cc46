package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/keys"
)

// client adds to counters, and compares what they count with its additions.
type client struct {
	counters *keys.Space[int64]
	known    []known // by counter; its caller owns it

	mu              sync.Mutex
	took            []time.Duration // by call, since it was due
	unknown, failed int             // calls
}

// known is what is known of a counter.
type known struct {
	want    int64 // what it counts if each addition that was answered is in it, and no other
	value   int64 // its last answer
	unknown int64 // additions that may be in it
	twice   bool  // it has counted more than was added
}

// note compares an answer with the one before. A counter goes on where it was, but for additions without
// an answer; or from an earlier value, mostly 0, since its owner died.
func (k *known) note(value, by int64) {
	k.twice = k.twice || value > k.value+k.unknown+by
	k.value, k.want = value, k.want+by
}

// load is a client's life. Others must not add to its counters meanwhile.
func load(ctx context.Context, n *ringdht.Node, counters *keys.Space[int64], addr string) error {
	if err := n.Join(ctx, addr); err != nil {
		return err
	}
	c := &client{counters: counters, known: make([]known, *number)}
	err := c.run(ctx)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return errors.Join(err, n.Leave(end))
}

// run adds until ctx ends, or the time is over. Then all counters must be exact.
func (c *client) run(ctx context.Context) error {
	for i := range c.known {
		value, err := c.add(ctx, i, 0)
		if err != nil {
			return err
		}
		c.known[i] = known{value: value, want: value}
	}
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	begun := time.Now()
	var all sync.WaitGroup
	all.Go(func() { c.watch(ctx, begun) })
	callers := min(64, len(c.known))
	for i := range callers {
		all.Go(func() { c.call(ctx, begun, i, callers) })
	}
	all.Wait()
	c.report("In all", c.took)
	return c.compare(context.WithoutCancel(ctx))
}

// add adds to a counter. It waits while the counter has no owner.
func (c *client) add(ctx context.Context, i int, by int64) (int64, error) {
	return Add.Call(ctx, c.counters, fmt.Sprint("counter-", i), by)
}

// call is a caller. It adds to counters of its own, one after the other.
func (c *client) call(ctx context.Context, begun time.Time, first, callers int) {
	for i, n := first, first; ; i, n = i+callers, n+callers {
		due := begun.Add(time.Second * time.Duration(n) / time.Duration(*rate))
		if wait := time.Until(due); wait > 0 { // else it is late, since its last call took long
			select {
			case <-time.After(wait):
				due = time.Now()
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
		if i >= len(c.known) {
			i = first
		}
		value, err := c.add(context.WithoutCancel(ctx), i, 1)
		c.mu.Lock()
		c.took = append(c.took, time.Since(due))
		switch {
		case err == nil:
			c.known[i].note(value, 1)
		case errors.Is(err, keys.ErrUnknown):
			c.unknown++
			c.known[i].unknown++
		default:
			if c.failed++; c.failed == 1 {
				log.Printf("The first call that failed: %v", err)
			}
		}
		c.mu.Unlock()
	}
}

// compare demands that the counters are exact.
func (c *client) compare(ctx context.Context) error {
	lost, unknown, twice := 0, 0, 0
	for i := range c.known {
		value, err := c.add(ctx, i, 0)
		if err != nil {
			return err
		}
		k := &c.known[i]
		switch k.note(value, 0); {
		case k.twice:
			twice++
		case value < k.want:
			lost++
		case k.unknown > 0:
			unknown++
		default:
			continue
		}
		if lost+unknown+twice <= 3 {
			log.Printf("Counter %d is %d, not %d. %d of its additions have no known outcome.", i, value, k.want, k.unknown)
		}
	}
	if all := len(c.known); lost+unknown+twice > 0 {
		return fmt.Errorf("%d of %d counters have lost additions, %d others had some of unknown outcome, %d count one twice", lost, all, unknown, twice)
	}
	log.Printf("All %d counters are exact.", len(c.known))
	return nil
}

// watch reports on each second until ctx ends.
func (c *client) watch(ctx context.Context, begun time.Time) {
	tick := time.Tick(time.Second)
	for from := 0; ; {
		select {
		case now := <-tick:
			c.mu.Lock()
			took := slices.Clone(c.took[from:])
			from = len(c.took)
			c.mu.Unlock()
			c.report(fmt.Sprintf("%3.0f s", now.Sub(begun).Seconds()), took)
		case <-ctx.Done():
			return
		}
	}
}

// report says what has become of calls. It sorts took.
func (c *client) report(when string, took []time.Duration) {
	slices.Sort(took)
	at := func(percent int) time.Duration {
		if len(took) == 0 {
			return 0
		}
		return took[(len(took)-1)*percent/100].Round(10 * time.Microsecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	log.Printf("%s: %d additions, p50 %v, p99 %v, longest %v; until now %d of unknown outcome, %d failed",
		when, len(took), at(50), at(99), at(100), c.unknown, c.failed)
}
