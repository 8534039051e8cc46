package load

import (
	"errors"
	"math"
	"sync"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// tick is the grid on which messages fall due. A timer for each message would cost more than
// sending, and separate times would add the same half tick to each delay.
const tick = 100 * time.Microsecond

// paced is a source of an open loop.
type paced struct {
	bench.Sender
	topology bench.Topology
	source   int
	sinks    dice
	rate     float64   // messages per second
	every    int64     // one of so many messages is sampled
	base     time.Time // stamps count from here
	payload  []byte
	sent     int64 // since the start
}

// due returns how many messages have fallen due at some time after the start.
func (p *paced) due(since time.Duration) int64 { return int64(p.rate * since.Seconds()) }

// pace lets all sources send the messages that fall due within a time, and waits until they
// have arrived.
//
// One goroutine sends for all sources, or a few, so that none has to send more than laneRate.
// One goroutine for each source would be woken 10,000 times a second, which costs more than
// sending: half a processor for ten idle sources. In an overload a source may then wait for
// another source's message; its own messages are equally overdue.
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

const laneRate = 2_000_000 // messages per second

func lanes(sources []*paced) int {
	return int(math.Ceil(float64(len(sources)) * sources[0].rate / laneRate))
}

// drive sends the due messages of some sources until the time is up.
func drive(sources []*paced, start time.Time, d time.Duration) error {
	grid, err := newTicker()
	if err != nil {
		return err
	}
	defer grid.stop()
	at := tick // the next tick to send for
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
		last := since.Truncate(tick) // of the ticks that are over; more than one after a delay
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

// send sends the messages that fall due at a tick.
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
