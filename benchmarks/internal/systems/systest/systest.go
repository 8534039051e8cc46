// Package systest tests what the loads rely on: every message arrives, whole, once and in
// order; Send waits and does not lose; and Close leaves nothing behind.
package systest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// Run tests a system with the chains and rings that it supports.
func Run(t *testing.T, s bench.System) {
	supported := 0
	for _, shape := range []bench.Topology{
		{Shape: bench.Chain, Nodes: 2}, {Shape: bench.Chain, Nodes: 3}, {Shape: bench.Chain, Nodes: 5},
		{Shape: bench.Ring, Nodes: 3}, {Shape: bench.Ring, Nodes: 10}, {Shape: bench.Ring, Nodes: 10, Entries: 2},
	} {
		if !s.Supports(shape) {
			continue
		}
		supported++
		for _, shape.Payload = range []int{8, 256, 4096} {
			t.Run(name(shape), func(t *testing.T) { exact(t, s, shape, nil) })
		}
		if shape.Entries == 0 {
			shape.Payload = 4096
			t.Run(name(shape)+" with sinks that wait", func(t *testing.T) { backpressure(t, s, shape) })
			t.Run(name(shape)+" closed meanwhile", func(t *testing.T) { closing(t, s, shape) })
		}
	}
	if supported == 0 {
		t.Error("it supports nothing")
	}
}

func name(t bench.Topology) string {
	shape := "chain"
	if t.Shape == bench.Ring {
		shape = "ring"
	}
	return fmt.Sprintf("%s of %d, %d entries, %d bytes", shape, t.Nodes, t.Entries, t.Payload)
}

// sources returns the sources of a topology: both ends of a chain, which send at the same
// time as in a ping-pong, or all nodes of a ring.
func sources(t bench.Topology) []int {
	if t.Shape == bench.Chain {
		return []int{0, t.Nodes - 1}
	}
	all := make([]int, t.Nodes)
	for i := range all {
		all[i] = i
	}
	return all
}

func sink(t bench.Topology, source int) int {
	if t.Shape == bench.Chain {
		return t.Nodes - 1 - source
	}
	return (source + 1 + rand.IntN(t.Nodes-1)) % t.Nodes
}

// ledger knows which message must arrive next, by source and sink.
type ledger struct {
	nodes   int
	next    []uint32
	arrived atomic.Int64
	mu      sync.Mutex
	wrong   error
}

// A payload is source and sink, 16 bits each, a number of 32 bits, and as many bytes derived
// from it.
func fill(b []byte, source, sink int, seq uint32) {
	binary.BigEndian.PutUint16(b, uint16(source))
	binary.BigEndian.PutUint16(b[2:], uint16(sink))
	binary.BigEndian.PutUint32(b[4:], seq)
	for i := 8; i < len(b); i++ {
		b[i] = byte(int(seq) + source + i)
	}
}

func (l *ledger) check(sink int, b []byte, size int) error {
	if len(b) != size {
		return fmt.Errorf("%d bytes arrive at %d, not %d", len(b), sink, size)
	}
	source, to, seq := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint32(b[4:])
	if to != sink || source >= l.nodes || source == sink {
		return fmt.Errorf("a message from %d to %d arrives at %d", source, to, sink)
	}
	// By -race this also tests that one goroutine at a time delivers for a pair.
	next := &l.next[source*l.nodes+sink]
	if seq != *next {
		return fmt.Errorf("from %d to %d: message %d arrives, %d is next", source, sink, seq, *next)
	}
	*next++
	for i := 8; i < len(b); i++ {
		if b[i] != byte(int(seq)+source+i) {
			return fmt.Errorf("from %d to %d: byte %d of message %d is wrong", source, sink, i, seq)
		}
	}
	return nil
}

// exact sends and counts. If there is a gate, every sink waits for it.
func exact(t *testing.T, s bench.System, top bench.Topology, g *gate) {
	before := runtime.NumGoroutine()
	from := sources(top)
	each := 4000 / len(from) * 256 / max(top.Payload, 256)
	if g != nil {
		each = g.most
	}
	l := &ledger{nodes: top.Nodes, next: make([]uint32, top.Nodes*top.Nodes)}
	var sent, total atomic.Int64
	total.Store(-1)
	done := make(chan struct{})
	finish := sync.OnceFunc(func() { close(done) })
	net, err := s.Start(t.Context(), top, func(sink int, payload []byte) {
		if g != nil {
			<-g.open
		}
		if err := l.check(sink, payload, top.Payload); err != nil {
			l.mu.Lock()
			if l.wrong == nil {
				l.wrong = err
			}
			l.mu.Unlock()
		}
		if l.arrived.Add(1) == total.Load() {
			finish()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var senders sync.WaitGroup
	for _, source := range from {
		sender := net.Sender(source)
		senders.Go(func() {
			seq := make([]uint32, top.Nodes)
			b := make([]byte, top.Payload)
			for i := 0; i < each && (g == nil || !g.enough.Load()); i++ {
				to := sink(top, source)
				fill(b, source, to, seq[to])
				seq[to]++
				if err := sender.Send(to, b); err != nil {
					t.Error(err)
					return
				}
				clear(b) // the system must not notice
				sent.Add(1)
			}
			if err := sender.Push(); err != nil {
				t.Error(err)
			}
		})
	}
	if g != nil {
		g.wait(t, &sent, int64(each*len(from)))
	}
	stuck := time.AfterFunc(30*time.Second, func() {
		t.Error("sources are stuck")
		net.Close() // ends their Send
	})
	senders.Wait()
	stuck.Stop()
	total.Store(sent.Load())
	if l.arrived.Load() == total.Load() {
		finish()
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Errorf("%d of %d messages arrive", l.arrived.Load(), total.Load())
	}
	if err := net.Close(); err != nil {
		t.Error("Close:", err)
	}
	if n := l.arrived.Load(); n > total.Load() {
		t.Errorf("%d messages arrive, %d were sent", n, total.Load())
	}
	l.mu.Lock()
	if l.wrong != nil {
		t.Error(l.wrong)
	}
	l.mu.Unlock()
	left(t, before)
}

// gate holds the sinks up.
type gate struct {
	open   chan struct{}
	enough atomic.Bool
	most   int // messages that each source would send
}

// backpressure holds all sinks up. The sources must stop long before they have sent
// everything, which is 400 MB, and no message may be lost by that.
func backpressure(t *testing.T, s bench.System, top bench.Topology) {
	exact(t, s, top, &gate{open: make(chan struct{}), most: 100_000 / len(sources(top))})
}

// wait opens the gate when the sources have stopped. If they are only slow, the test is
// weaker but not wrong.
func (g *gate) wait(t *testing.T, sent *atomic.Int64, all int64) {
	last, same := int64(-1), 0
	for same < 10 && last < all {
		time.Sleep(20 * time.Millisecond)
		if now := sent.Load(); now == last {
			same++
		} else {
			last, same = now, 0
		}
	}
	if last == all {
		t.Errorf("all %d messages are taken while no sink handles any", all)
	}
	g.enough.Store(true)
	close(g.open)
}

// closing tests that no handler runs after Close has returned.
func closing(t *testing.T, s bench.System, top bench.Topology) {
	before := runtime.NumGoroutine()
	begun, open := make(chan struct{}, 1), make(chan struct{})
	var running atomic.Bool
	net, err := s.Start(t.Context(), top, func(int, []byte) {
		running.Store(true)
		begun <- struct{}{}
		<-open
		running.Store(false)
	})
	if err != nil {
		t.Fatal(err)
	}
	sender := net.Sender(0)
	if err := sender.Send(top.Nodes-1, make([]byte, top.Payload)); err != nil {
		t.Fatal(err)
	}
	if err := sender.Push(); err != nil {
		t.Fatal(err)
	}
	<-begun
	// A Close that does not wait is found if it takes less than this.
	time.AfterFunc(100*time.Millisecond, func() { close(open) })
	if err := net.Close(); err != nil {
		t.Error("Close:", err)
	}
	if running.Load() {
		t.Error("Close returned while a message was being handled")
	}
	left(t, before)
}

// left finds goroutines that do not end. It gives them time: some libraries do not wait for
// theirs in Close, and a goroutine that has signalled its end may still be returning. Ours
// are covered by closing.
func left(t *testing.T, before int) {
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<22)
			t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Benchmark is a closed loop over a topology.
func Benchmark(b *testing.B, s bench.System, top bench.Topology) {
	from := sources(top)
	if top.Shape == bench.Chain {
		from = from[:1]
	}
	var arrived atomic.Int64
	total := int64(b.N/len(from)+1) * int64(len(from))
	done := make(chan struct{})
	net, err := s.Start(b.Context(), top, func(int, []byte) {
		if arrived.Add(1) == total {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for _, source := range from {
		sender := net.Sender(source)
		go func() {
			payload := make([]byte, top.Payload)
			for range total / int64(len(from)) {
				if err := sender.Send(sink(top, source), payload); err != nil {
					b.Error(err)
					return
				}
			}
			if err := sender.Push(); err != nil {
				b.Error(err)
			}
		}()
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "msg/s")
	if err := net.Close(); err != nil {
		b.Error("Close:", err)
	}
}

// Benchmarks are loads that show whether a system has the expected order of speed.
func Benchmarks(b *testing.B, s bench.System) {
	for _, top := range []bench.Topology{
		{Shape: bench.Chain, Nodes: 3, Payload: 8}, {Shape: bench.Chain, Nodes: 3, Payload: 256},
		{Shape: bench.Ring, Nodes: 10, Payload: 8}, {Shape: bench.Ring, Nodes: 10, Payload: 256},
	} {
		if s.Supports(top) {
			b.Run(name(top), func(b *testing.B) { Benchmark(b, s, top) })
		}
	}
}
