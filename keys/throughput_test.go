package keys

import (
	"context"
	"flag"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/rpc"
)

var throughputRounds = flag.Int("throughput", 1, "the rounds of TestThroughput, such as 15")

// How many messages a second a node sends to keys of another one, beside plain messages to that node; and
// how many calls a second 256 goroutines make, beside those of package rpc; over TCP, in turns. The medians
// of the ratios count.
//
//	go test -run Throughput -v ./keys -throughput 15
func TestThroughput(t *testing.T) {
	const messages, size = 50_000, 64
	r := ringtest.New(t, nil)
	var got atomic.Int64
	body := make([]byte, size)
	const echo = rpc.Method[[]byte, []byte]("echo")
	join := func(owns bool) (*ringdht.Node, *ringdht.Service, *rpc.Endpoint, *Keys) {
		n := ringdht.NewNode(r.Options([]ringdht.NodeOption{ringdht.WithRetry()})...)
		plain := n.Service("plain")
		plain.Handle(func(context.Context, ringdht.Message) { got.Add(1) })
		calls := rpc.New(n, "calls")
		echo.Handle(calls, func(context.Context, []byte) ([]byte, error) { got.Add(1); return nil, nil })
		var owner func() Owner
		if owns {
			owner = func() Owner { return &counting{got: &got} }
		}
		k := Open(n, "k", owner)
		if err := n.Join(r.Ctx(), r.Line()); err != nil {
			t.Fatal(err)
		}
		r.Nodes = append(r.Nodes, &ringtest.Node{Node: n})
		return n, plain, calls, k
	}
	owner, _, _, _ := join(true)
	_, plain, calls, k := join(false)
	r.Setup(0)
	names := keysOf(1000)
	ctx := context.Background()
	measure := func(f func(*testing.T)) float64 {
		t.Helper()
		before, began := got.Load(), time.Now()
		f(t)
		if n := got.Load() - before; n != messages {
			t.Fatalf("handled %d of %d messages", n, messages)
		}
		return messages / time.Since(began).Seconds()
	}
	oneByOne := func(send func(i int) error, flush func() error) func(*testing.T) {
		return func(t *testing.T) {
			for i := range messages {
				if err := send(i); err != nil {
					t.Fatal(err)
				}
			}
			if err := flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	together := func(call func(i int) error) func(*testing.T) {
		return func(t *testing.T) {
			var all sync.WaitGroup
			var next atomic.Int64
			for range 256 {
				all.Go(func() {
					for i := next.Add(1); i <= messages; i = next.Add(1) {
						if err := call(int(i)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
		}
	}
	var rates [4][]float64
	var sends, asks []float64
	for i := range *throughputRounds + 1 { // the first one warms up
		now := [4]float64{
			measure(oneByOne(func(int) error { return plain.Send(ctx, owner.ID(), body) }, func() error { return plain.Flush(ctx, owner.ID()) })),
			measure(oneByOne(func(i int) error { return k.Send(ctx, names[i%len(names)], body) }, func() error { return k.Flush(ctx) })),
			measure(together(func(int) error { _, err := echo.Call(ctx, calls, owner.ID(), body); return err })),
			measure(together(func(i int) error { _, err := k.Call(ctx, names[i%len(names)], body); return err })),
		}
		if i > 0 {
			for j := range now {
				rates[j] = append(rates[j], now[j])
			}
			sends, asks = append(sends, now[1]/now[0]), append(asks, now[3]/now[2])
		}
	}
	median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
	t.Logf("messages of %d bytes a second: %.0f to a node, %.0f to keys: %.3f (medians of %d rounds)", size, median(rates[0]), median(rates[1]), median(sends), len(sends))
	t.Logf("calls a second: %.0f of a node, %.0f of keys: %.2f", median(rates[2]), median(rates[3]), median(asks))
}

// counting is an Owner without states.
type counting struct{ got *atomic.Int64 }

func (o *counting) Handle(context.Context, Message) ([]byte, error) { o.got.Add(1); return nil, nil }
func (o *counting) Give(context.Context, Arc, io.Writer) error      { return nil }
func (o *counting) Take(context.Context, Arc, io.Reader) error      { return nil }
func (o *counting) Resume(Arc)                                      {}
func (o *counting) Drop(context.Context, Arc, bool)                 {}
