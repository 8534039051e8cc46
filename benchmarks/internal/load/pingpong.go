package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/x/ringdht/benchmarks/internal/bench"
)

// PingPong sends one message along a chain and back, again and again. Both ends answer from
// deliver, on the goroutine with which the system calls it. For the references that is their
// read loop.
type PingPong struct {
	Warm time.Duration
	Time time.Duration
}

// Metrics implements [Load].
func (PingPong) Metrics() []Metric {
	return []Metric{{"p50", Duration, true}, {"p99", Duration, true}, {"p99.9", Duration, false}}
}

// Run implements [Load].
func (p PingPong) Run(ctx context.Context, s bench.System, t bench.Topology) (_ []float64, err error) {
	g := &game{last: t.Nodes - 1, payload: make([]byte, max(t.Payload, 8)), rounds: newHistogram(), over: make(chan error, 2)}
	net, err := s.Start(ctx, t, g.deliver)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	g.ends[0], g.ends[1] = net.Sender(0), net.Sender(g.last)
	clean()
	g.warm = time.Now().Add(p.Warm)
	g.end = g.warm.Add(p.Time)
	g.serve()
	select {
	case err = <-g.over:
	case <-time.After(p.Warm + p.Time + 10*time.Second):
		err = fmt.Errorf("the ball is lost")
	}
	if err != nil {
		return nil, err
	}
	return []float64{quantile(g.rounds, 50), quantile(g.rounds, 99), quantile(g.rounds, 99.9)}, nil
}

// game is a ping-pong. There is one ball, so no lock is needed. The ball may come back before
// the call that hit it has returned, and a sender is for one goroutine at a time. Then the
// goroutine of that call hits it again.
type game struct {
	turns atomic.Int32 // balls that the first end has to hit

	last      int
	ends      [2]bench.Sender
	payload   []byte
	ball      uint64    // the number of the ball in flight
	sent      time.Time // when it was sent
	warm, end time.Time
	rounds    *hdrhistogram.Histogram
	over      chan error
}

func (g *game) deliver(sink int, payload []byte) {
	if sink == g.last {
		g.hit(g.ends[1], 0, payload)
		return
	}
	now := time.Now()
	if n := binary.LittleEndian.Uint64(payload); n != g.ball {
		g.over <- fmt.Errorf("ball %d comes back, %d was sent", n, g.ball)
		return
	}
	if g.sent.After(g.warm) {
		g.rounds.RecordValue(min(int64(now.Sub(g.sent)), longest))
	}
	if now.After(g.end) {
		g.over <- nil
		return
	}
	g.serve()
}

func (g *game) serve() {
	if g.turns.Add(1) > 1 {
		return
	}
	for again := true; again; again = g.turns.Add(-1) > 0 {
		g.ball++
		binary.LittleEndian.PutUint64(g.payload, g.ball)
		g.sent = time.Now()
		g.hit(g.ends[0], g.last, g.payload)
	}
}

func (g *game) hit(from bench.Sender, sink int, payload []byte) {
	err := from.Send(sink, payload)
	if err == nil {
		err = from.Push()
	}
	if err != nil {
		g.over <- err
	}
}
