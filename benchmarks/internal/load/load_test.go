package load

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/x/ringdht/benchmarks/internal/bench"
)

// direct is a system that delivers from Send.
type direct struct {
	send func(n int64, deliver func()) error // the n-th message of a sender
}

func (direct) Name() string                   { return "direct" }
func (direct) Supports(t bench.Topology) bool { return true }

func (d direct) Start(_ context.Context, _ bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	return directNet{d, deliver}, nil
}

type directNet struct {
	direct
	deliver func(int, []byte)
}

func (n directNet) Sender(int) bench.Sender { return &directSender{directNet: n} }
func (directNet) Close() error              { return nil }

type directSender struct {
	directNet
	n int64
}

func (s *directSender) Push() error { return nil }

func (s *directSender) Send(sink int, payload []byte) error {
	s.n++
	return s.send(s.n, func() { s.deliver(sink, payload) })
}

func always(_ int64, deliver func()) error { deliver(); return nil }

var ring = bench.Topology{Shape: bench.Ring, Nodes: 5, Payload: 8}

func TestClosed(t *testing.T) {
	c := Closed{Warm: time.Millisecond, Time: 20 * time.Millisecond}
	v, err := c.Run(t.Context(), direct{always}, ring)
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != len(c.Metrics()) || v[0] <= 0 || v[2] != 0 {
		t.Errorf("%v", v)
	}
}

// Messages that arrive twice, or cut short, do not pass for those that were sent.
func TestClosedCountsWhatIsWhole(t *testing.T) {
	c := Closed{Warm: time.Millisecond, Time: 20 * time.Millisecond}
	twice := func(n int64, deliver func()) error {
		deliver()
		if n%2 == 0 {
			deliver()
		}
		return nil
	}
	if v, err := c.Run(t.Context(), direct{twice}, ring); err == nil {
		t.Errorf("messages that arrive twice: %v", v)
	}
	v, err := c.Run(t.Context(), short{direct{always}}, ring)
	if err != nil {
		t.Fatal(err)
	}
	if v[2] != 1 {
		t.Errorf("messages that are cut short: %v of them lost, want all", v[2])
	}
}

// short is a system that cuts messages short.
type short struct{ direct }

func (s short) Start(ctx context.Context, t bench.Topology, deliver func(int, []byte)) (bench.Net, error) {
	return s.direct.Start(ctx, t, func(sink int, payload []byte) { deliver(sink, payload[1:]) })
}

// The wait for lost messages is bounded, and is not part of the measured time.
func TestClosedWithLosses(t *testing.T) {
	half := func(n int64, deliver func()) error {
		if n%2 == 0 {
			deliver()
		}
		return nil
	}
	sinks := make([]counter, ring.Nodes)
	net, _ := direct{half}.Start(t.Context(), ring, func(sink int, _ []byte) { sinks[sink].n.Add(1) })
	start := time.Now()
	r, err := burst([]bench.Sender{net.Sender(0)}, ring, 20*time.Millisecond, sinks)
	if err != nil {
		t.Fatal(err)
	}
	if r.Delivered != r.Sent/2 {
		t.Errorf("%d of %d delivered, want half", r.Delivered, r.Sent)
	}
	if took := time.Since(start); r.Elapsed > took-settled {
		t.Errorf("it took %v, of which %v count, though nothing came for %v", took, r.Elapsed, settled)
	}
}

func TestErrorsEndALoad(t *testing.T) {
	broken := errors.New("broken")
	s := direct{func(n int64, deliver func()) error {
		if n > 3 {
			return broken
		}
		deliver()
		return nil
	}}
	chain := bench.Topology{Shape: bench.Chain, Nodes: 2, Payload: 8}
	for _, l := range []Load{
		Closed{Warm: time.Millisecond, Time: time.Millisecond},
		Open{Rate: 100_000, Warm: 10 * time.Millisecond, Time: time.Millisecond},
		PingPong{Time: time.Minute},
	} {
		if _, err := l.Run(t.Context(), s, chain); !errors.Is(err, broken) {
			t.Errorf("%T: %v", l, err)
		}
	}
}

// Delays count from when messages are due: a system that stalls for a while delays all
// messages that fall due meanwhile, and not only the message that it holds.
func TestOpenOmitsNothing(t *testing.T) {
	const still = 150 * time.Millisecond
	s := direct{func(n int64, deliver func()) error {
		if n == 20 { // of 200
			time.Sleep(still)
		}
		deliver()
		return nil
	}}
	chain := bench.Topology{Shape: bench.Chain, Nodes: 2, Payload: 8}
	v, err := Open{Rate: 1000, Time: 200 * time.Millisecond}.Run(t.Context(), s, chain)
	if err != nil {
		t.Fatal(err)
	}
	// Of the 180 messages after it, 150 waited, the first for 150 ms and the others ever
	// less.
	if p99 := time.Duration(v[2] * 1e9); p99 < still*8/10 {
		t.Errorf("p99 is %v", p99)
	}
	if p50 := time.Duration(v[1] * 1e9); p50 < still/5 {
		t.Errorf("p50 is %v", p50)
	}
	if rate := v[0]; rate > 1000 {
		t.Errorf("%v messages a second, 1000 were offered", rate)
	}
}

// A source that cannot keep up ends with the time. Messages that it did not send do not count
// as lost.
func TestOpenOverload(t *testing.T) {
	s := direct{func(_ int64, deliver func()) error {
		time.Sleep(time.Millisecond)
		deliver()
		return nil
	}}
	v, err := Open{Rate: 1_000_000, Time: 50 * time.Millisecond}.Run(t.Context(), s, ring)
	if err != nil {
		t.Fatal(err)
	}
	if v[0] > 5000 || v[6] != 0 {
		t.Errorf("%v messages a second, lost %v", v[0], v[6])
	}
}

func TestDue(t *testing.T) {
	for _, rate := range []float64{2000, 100_000, 333_333} {
		p := paced{rate: rate}
		var last int64
		for at := time.Duration(0); at <= time.Second; at += tick {
			n := p.due(at)
			if n < last || math.Abs(float64(n)-rate*at.Seconds()) > 1 {
				t.Fatalf("at %v a second: %d are due after %v", rate, n, at)
			}
			last = n
		}
	}
}

func TestStamp(t *testing.T) {
	base := time.Now().Add(-time.Second)
	g := gauge{sinceDue: newHistogram(), sinceSend: newHistogram()}
	payload := make([]byte, stampSize)
	g.take(payload, base) // not sampled
	stamp(payload, 400*time.Millisecond, 900*time.Millisecond)
	g.take(payload, base)
	if g.n.Load() != 2 || g.sinceDue.TotalCount() != 1 {
		t.Fatalf("%d taken, %d sampled", g.n.Load(), g.sinceDue.TotalCount())
	}
	due, sent := quantile(g.sinceDue, 50), quantile(g.sinceSend, 50)
	if due < 0.6 || due > 0.61+time.Since(base).Seconds()-1 || math.Abs(due-sent-0.5) > 0.002 {
		t.Errorf("%v since it was due, %v since it was sent", due, sent)
	}
}

func TestPingPong(t *testing.T) {
	// From Send, deliver would call itself without end.
	s := direct{func(_ int64, deliver func()) error { go deliver(); return nil }}
	p := PingPong{Warm: time.Millisecond, Time: 20 * time.Millisecond}
	v, err := p.Run(t.Context(), s, bench.Topology{Shape: bench.Chain, Nodes: 3, Payload: 8})
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != len(p.Metrics()) || v[0] <= 0 || v[1] < v[0] || v[2] < v[1] {
		t.Errorf("%v", v)
	}
}

func TestDice(t *testing.T) {
	const nodes, throws = 10, 100_000
	for self := range nodes {
		d := dice(self)
		var count [nodes]int
		for range throws {
			count[d.other(self, nodes)]++
		}
		for n, c := range count {
			if n == self && c != 0 || n != self && math.Abs(float64(c)-throws/(nodes-1)) > 600 { // six standard deviations
				t.Errorf("%d sends %d of %d messages to %d", self, c, throws, n)
			}
		}
	}
}
