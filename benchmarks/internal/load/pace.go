package load

import (
	"errors"
	"math"
	"sync"
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
	payload  []byte
	sent     int64 // since the start
}

// due is how many messages have fallen due some time after the start.
func (p *paced) due(since time.Duration) int64 { return int64(p.rate * since.Seconds()) }

// pace lets all sources send what falls due within a time, and waits until it has
// arrived.
//
// One goroutine sends for all sources, or a few, so that none has more than laneRate
// to send. One for each source would be woken 10,000 times a second, which takes more
// than the sending does: half a processor for ten sources that have nothing to carry.
// In an overload a source may then wait for another one's message; its own are not
// less overdue for that.
func pace(sources []*paced, d time.Duration, arrived func() int64) (r Throughput, err error) {
	var (
		wg     sync.WaitGroup
		byLane = make([][]*paced, min(len(sources), lanes(sources)))
		errs   = make([]error, len(byLane))
		before = arrived()
		cpu    = ProcessorTime()
		start  = time.Now()
	)
	for i, s := range sources {
		s.sent = 0
		byLane[i%len(byLane)] = append(byLane[i%len(byLane)], s)
	}
	for i, lane := range byLane {
		wg.Go(func() { errs[i] = drive(lane, start, d) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return r, err
	}
	for _, s := range sources {
		r.Sent += s.sent
	}
	var last time.Time
	r.Delivered, last = arrive(func() int64 { return arrived() - before }, r.Sent)
	r.Elapsed, r.CPU = max(last.Sub(start), d), ProcessorTime()-cpu
	return r, nil
}

const laneRate = 2_000_000 // messages a second

func lanes(sources []*paced) int {
	return int(math.Ceil(float64(len(sources)) * sources[0].rate / laneRate))
}

// drive sends what falls due for some sources until the time is up.
func drive(sources []*paced, start time.Time, d time.Duration) error {
	grid, err := newTicker()
	if err != nil {
		return err
	}
	defer grid.stop()
	at := tick // the next one to send for
	for {
		since := time.Since(start)
		if since >= d {
			return nil
		}
		if at > since {
			if err := grid.wait(); err != nil {
				return err
			}
			continue
		}
		last := since.Truncate(tick) // of those that are over; more than one if we are late
		for ; at <= last && time.Since(start) < d; at += tick {
			for _, s := range sources {
				if err := s.send(at, start); err != nil {
					return err
				}
			}
		}
		for _, s := range sources {
			if err := s.Push(); err != nil {
				return err
			}
		}
	}
}

// send sends what falls due at a tick.
func (p *paced) send(at time.Duration, start time.Time) error {
	for due := p.due(at); p.sent < due; p.sent++ {
		clear(p.payload[:stampSize])
		if p.sent%p.every == 0 {
			stamp(p.payload, start.Add(at).Sub(p.base), time.Since(p.base))
		}
		if err := p.Send(p.sinks.target(p.topology, p.source), p.payload); err != nil {
			return err
		}
	}
	return nil
}
