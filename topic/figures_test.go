package topic

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

var ringSize = flag.Int("nodes", 10, "the nodes of the ring of TestOverTCP")

// A ring over TCP, or of more than 400 nodes over memory, all in one process: what a broadcast costs and how long it takes; and with the three
// busiest children of the publisher dying under way, each of the others gets each message once.
func TestOverTCP(t *testing.T) {
	n := *ringSize
	var net *memnet.Network
	if n > 400 { // each link takes two files
		net = memnet.New(1)
	}
	r := &service{ringtest.New(t, net), t, net, []Option{WithBuffer(1 << 14)}}
	all := make([]*peer, n)
	for i := range all {
		all[i] = r.join(r.make(ringdht.ID(60 * (i + 1))))
	}
	r.Setup(0)

	start := time.Now()
	records := make([]*record, n)
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { records[i] = p.subscribe() })
	}
	wg.Wait()
	t.Logf("%d nodes: all stand after %v", n, time.Since(start).Round(time.Millisecond))

	await := func(life, latest uint64, but ...int) {
		t.Helper()
		for i, rec := range records {
			if !slices.Contains(but, i) {
				rec.await(life, latest)
			}
		}
	}
	sent := func() (messages uint64) {
		for _, p := range all {
			messages += p.topic.Counters().Sent
		}
		return messages
	}

	p := all[0]
	life, before := p.Incarnation(), sent()
	var times []time.Duration
	const lone = 50
	for i := range uint64(lone) {
		start := time.Now()
		p.publish(1)
		await(life, i+1)
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	t.Logf("a lone message: %.1f messages; the last subscriber has it after %v, at most %v",
		float64(sent()-before)/lone, times[lone/2].Round(time.Microsecond), times[lone-1].Round(time.Microsecond))

	many := max(200, 20000/n)
	start, cpu := time.Now(), ringtest.CPUTime()
	p.publish(many)
	await(life, uint64(lone+many))
	took, used := time.Since(start), ringtest.CPUTime()-cpu
	deliveries := float64(many) * float64(n-1)
	t.Logf("%d messages: %.0f a second, %.0f deliveries a second, %v of processor time a delivery",
		many, float64(many)/took.Seconds(), deliveries/took.Seconds(), time.Duration(float64(used)/deliveries).Round(10*time.Nanosecond))

	dead := make([]int, 0, 3)
	for offset := 1 << 20; offset > 0 && len(dead) < 3; offset /= 2 {
		if offset < n {
			dead = append(dead, offset)
		}
	}
	count := uint64(lone + many)
	early := count + 20
	deaths := make(chan bool)
	start = time.Now()
	go func() {
		defer close(deaths)
		for _, i := range dead {
			records[i].await(life, early)
			all[i].Close()
			r.Remove(all[i].Node)
		}
	}()
	p.publish(200)
	count += 200
	<-deaths
	await(life, count, dead...)
	took = time.Since(start)
	var c Counters
	for i, q := range all {
		if !slices.Contains(dead, i) {
			records[i].check(life, 1)
			k := q.topic.Counters()
			c.Repaired, c.TakenOver, c.Dropped = c.Repaired+k.Repaired, c.TakenOver+k.TakenOver, c.Dropped+k.Dropped
		}
	}
	t.Logf("three children die in 200 messages: all of the living have each once, after %v; %d messages sent again, %d questions taken over",
		took.Round(time.Millisecond), c.Repaired, c.TakenOver)
}

// What a publish costs a node that is alone, and one with others, over memory.
func BenchmarkPublish(b *testing.B) {
	for _, nodes := range []int{1, 10} {
		b.Run(fmt.Sprint(nodes, " nodes"), func(b *testing.B) {
			r := &service{ringtest.New(b, nil), b, nil, []Option{WithBuffer(1)}}
			all := r.start(nodes)
			if _, err := all[0].topic.Subscribe(r.Ctx(), "s"); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := all[0].topic.Publish(context.Background(), "s", note{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
