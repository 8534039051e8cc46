package load

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// tick is the grid on which messages fall due. A timer for each would cost more than
// sending them, and a time of its own for each would add the same half tick to
// everybody's delay.
const tick = 100 * time.Microsecond

// paced is a source of an open loop.
type paced struct {
	bench.Sender
	topology bench.Topology
	source   int
	sinks    dice
	rate     float64   // messages a second
	every    int64     // which ones are sampled
	base     time.Time // what stamps count from
}

// due is how many messages have fallen due some time after the start.
func (p *paced) due(since time.Duration) int64 { return int64(p.rate * since.Seconds()) }

// pace lets all sources send what falls due within a time, and waits until it has
// arrived.
func pace(senders []*paced, d time.Duration, arrived func() int64) (r Throughput, err error) {
	var (
		wg     sync.WaitGroup
		errs   = make([]error, len(senders))
		sent   = make([]int64, len(senders))
		before = arrived()
		cpu    = ProcessorTime()
		c      = &clock{start: time.Now(), wake: make([]chan struct{}, len(senders))}
	)
	for i, s := range senders {
		c.wake[i] = make(chan struct{}, 1)
		wg.Go(func() { sent[i], errs[i] = s.run(c, c.wake[i]) })
	}
	c.run(d, senders)
	wg.Wait()
	for _, n := range sent {
		r.Sent += n
	}
	if err := errors.Join(errs...); err != nil {
		return r, err
	}
	var last time.Time
	r.Delivered, last = arrive(func() int64 { return arrived() - before }, r.Sent)
	r.Elapsed, r.CPU = max(last.Sub(c.start), d), ProcessorTime()-cpu
	return r, nil
}

// clock is what the sources go by.
type clock struct {
	start time.Time
	now   atomic.Int64 // the last tick, counted from the start
	over  atomic.Bool
	wake  []chan struct{} // for each source; closed at the end
}

// run wakes the sources at the ticks at which something falls due for them. One
// goroutine does it for all; a source that is busy finds out by itself.
func (c *clock) run(d time.Duration, senders []*paced) {
	sleep, done := newSleeper()
	defer done()
	woken := make([]int64, len(senders))
	for {
		since := time.Since(c.start)
		now := since.Truncate(tick)
		if now >= d {
			break
		}
		c.now.Store(int64(now))
		for i, s := range senders {
			if n := s.due(now); n > woken[i] {
				woken[i] = n
				select {
				case c.wake[i] <- struct{}{}:
				default: // it has not got round to the last one
				}
			}
		}
		sleep(now + tick - since)
	}
	c.over.Store(true)
	for _, w := range c.wake {
		close(w)
	}
}

// run sends what is due until the time is up.
func (p *paced) run(c *clock, wake <-chan struct{}) (n int64, err error) {
	payload := make([]byte, max(p.topology.Payload, stampSize))
	offset := c.start.Sub(p.base)
	at := tick // the next one to send for
	for range wake {
		for ; at <= time.Duration(c.now.Load()); at += tick {
			for due := p.due(at); n < due; n++ {
				if c.over.Load() {
					return n, p.Push()
				}
				clear(payload[:stampSize])
				if n%p.every == 0 {
					stamp(payload, offset+at, time.Since(p.base))
				}
				if err := p.Send(p.sinks.target(p.topology, p.source), payload); err != nil {
					return n, err
				}
			}
		}
		if err := p.Push(); err != nil {
			return n, err
		}
	}
	return n, nil
}
