package plane

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// tap counts what is written to connections, and passes it on after a delay.
type tap struct {
	mu   sync.Mutex
	asks map[time.Time]int // questions of the connections' own nodes, by the time at which they left
	with int               // questions that left with a message behind them
	acks int               // acknowledgements
	lose func(f wire.Frame) bool
}

const (
	hop    = 50 * time.Microsecond
	atOnce = 500 * time.Microsecond
)

type tapped struct {
	net.Conn
	*tap
}

func (t *tap) pipe(tb testing.TB) (near, far net.Conn) {
	near, far = memnet.Pipe()
	return tapped{near, t}, tapped{far, t} // a connection may be used both ways
}

func (c tapped) Write(b []byte) (int, error) {
	var kept []byte
	c.mu.Lock()
	for rest := b; len(rest) > 0; {
		var f wire.Frame
		f, rest = wire.Next(rest)
		if f.Type() == wire.Sync && f.Hops() == 0 {
			c.asks[time.Now().Truncate(atOnce)]++
			if next := wire.Frame(rest); len(next) > 0 && next.Type() == wire.Data && next.Dst() == f.Dst() {
				c.with++
			}
		}
		if f.Type() == wire.Ack && f.Hops() == 0 {
			c.acks++
		}
		if c.lose == nil || !c.lose(f) {
			kept = append(kept, f...)
		}
	}
	c.mu.Unlock()
	time.Sleep(hop)
	if _, err := c.Conn.Write(kept); err != nil {
		return 0, err
	}
	return len(b), nil
}

// asked returns how many questions left at once at most, how many there were, and the time
// between the first and the last. It forgets them.
func (t *tap) asked() (most, all int, span time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var from, to time.Time
	for at, n := range t.asks {
		if all == 0 || at.Before(from) {
			from = at
		}
		if at.After(to) {
			to = at
		}
		most, all = max(most, n), all+n
	}
	clear(t.asks)
	return most, all, to.Sub(from)
}

// Nodes that begin at the same time, and send nothing more, ask each at a time of its own. If
// more follows, the question goes with it.
func TestQuestionsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 10
		tap := &tap{asks: make(map[time.Time]int)}
		m := newMesh(t, nodes, 4, testLimits(), tap.pipe, nil)
		defer m.close()
		send := func(turn int) {
			for i, p := range m.planes {
				sink := m.planes[(i+1+turn%(nodes-1))%nodes]
				if err := p.Send(t.Context(), sink.Self, 0, []byte("message")); err != nil {
					t.Fatal(err)
				}
			}
		}
		for turn := range nodes - 1 { // streams open
			send(turn)
		}
		time.Sleep(stream.MinRTO + 2*stream.TickInterval)
		if _, all, span := tap.asked(); all != nodes*(nodes-1) || span < stream.TickInterval/5 {
			t.Errorf("%d questions within %v", all, span)
		}
		tap.mu.Lock()
		tap.with, tap.acks = 0, 0
		tap.mu.Unlock()
		for turn := range int(time.Second / atOnce) {
			time.Sleep(atOnce)
			send(turn)
		}
		most, all, _ := tap.asked()
		if most > 2*nodes { // some wait for a link
			t.Errorf("%d questions left at once, with %d messages", most, nodes)
		}
		if streams := nodes * (nodes - 1); all < 5*streams || all > 15*streams {
			t.Errorf("%d questions of %d streams in a second", all, streams)
		}
		tap.mu.Lock()
		if tap.acks > all+all/10 {
			t.Errorf("%d answers to %d questions", tap.acks, all)
		}
		if tap.with < all*9/10 {
			t.Errorf("%d of %d questions left with a message", tap.with, all)
		}
		tap.mu.Unlock()
		time.Sleep(stream.MinRTO + 2*stream.TickInterval)
		for _, p := range m.planes {
			if left := p.Counters().SendBuffer; left > 0 {
				t.Errorf("%d does not know what became of %d bytes", p.Self, left)
			}
		}
	})
}

// With many streams that wait, a tick looks at some of them. So they ask less often, and still with a
// message. Each has its turn, so the last messages are asked about in time.
func TestManyStreamsAskSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes, streams = 40, 40 * 39
		turn := (nodes - 1) * stream.TickInterval / time.Duration(looks(nodes-1)) // between two looks at a stream
		tap := &tap{asks: make(map[time.Time]int)}
		m := newMesh(t, nodes, 5, testLimits(), tap.pipe, nil)
		defer m.close()
		send := func(times int) {
			for round := range times {
				for i, p := range m.planes {
					if err := p.Send(t.Context(), m.planes[(i+1+round%(nodes-1))%nodes].Self, 0, []byte("message")); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Millisecond)
			}
		}
		send(500) // streams open, and get into step
		tap.asked()
		tap.mu.Lock()
		tap.with, tap.acks = 0, 0
		tap.mu.Unlock()
		send(1000)
		_, all, _ := tap.asked()
		if most := int(time.Second/turn) + 1; all < streams*most/2 || all > streams*most {
			t.Errorf("%d questions of %d streams in a second, in which each has %d turns", all, streams, most-1)
		}
		tap.mu.Lock()
		if tap.with < all*9/10 || tap.acks > all+all/10 {
			t.Errorf("%d of %d questions left with a message, and had %d answers", tap.with, all, tap.acks)
		}
		tap.mu.Unlock()
		time.Sleep(stream.MinRTO + 3*turn)
		for _, p := range m.planes {
			if left := p.Counters().SendBuffer; left > 0 {
				t.Errorf("%d does not know what became of %d bytes", p.Self, left)
			}
		}
	})
}

// Fewer than ten streams have their turn at each tick, and any number within maxTurn ticks.
func TestEachStreamHasItsTurn(t *testing.T) {
	for n := range 3000 {
		ticks := 0
		for left := n; left > 0; ticks++ {
			left -= looks(n)
		}
		if n < 10 && ticks > 1 || ticks > maxTurn || n > 0 && looks(n) < min(n, sharesTick) {
			t.Fatalf("%d streams: %d ticks of %d looks", n, ticks, looks(n))
		}
	}
}

// A lost message is sent again within a timeout and a tick, or the next messages show that it is
// missing.
func TestLossIsFoundInTime(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 40 * time.Millisecond, time.Hour} {
		t.Run(every.String(), func(t *testing.T) {
			longest := min(every, stream.MinRTO+stream.TickInterval) + time.Millisecond
			for n := range 20 {
				if took := lossFound(t, every, time.Duration(n)*7*time.Millisecond); took > longest {
					t.Errorf("after %v, when it began %d ms later", took, 7*n)
				}
			}
		})
	}
}

// lossFound measures how long it takes until a message is handled that was lost after a pause,
// when others follow at intervals.
func lossFound(t *testing.T, every, pause time.Duration) (took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		var handled sync.Map
		tap := &tap{asks: make(map[time.Time]int)}
		m := newMesh(t, 2, 1, testLimits(), tap.pipe, func(int) Deliver {
			return func(_ context.Context, d *Delivery) { handled.Store(string(d.Body), time.Now()) }
		})
		defer m.close()
		send := func(what string) {
			if err := m.planes[0].Send(t.Context(), m.planes[1].Self, 0, []byte(what)); err != nil {
				t.Fatal(err)
			}
		}
		for start := time.Now(); time.Since(start) < 300*time.Millisecond+pause; {
			send("before")
			time.Sleep(min(every, 7*time.Millisecond))
		}
		synctest.Wait()
		once := false
		tap.mu.Lock()
		tap.lose = func(f wire.Frame) bool {
			lost := !once && f.Type() == wire.Data && string(f.Body()) == "lost"
			once = once || lost
			return lost
		}
		tap.mu.Unlock()
		start := time.Now()
		send("lost")
		for time.Since(start) < 250*time.Millisecond {
			time.Sleep(min(every, 250*time.Millisecond))
			if every < 250*time.Millisecond {
				send("after")
			}
		}
		synctest.Wait()
		at, ok := handled.Load("lost")
		if !ok || !once {
			t.Fatalf("lost: %v, found: %v", once, ok)
		}
		took = at.(time.Time).Sub(start)
	})
	return took
}
