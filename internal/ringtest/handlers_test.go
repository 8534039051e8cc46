package ringtest_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// Handlers answer every message with one to each node, for some rounds. The windows are far
// smaller than the messages under way. Handlers that waited for the windows of each other would
// wait for ever.
func TestHandlersThatSendDoNotDeadlock(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithMaxPayload(1<<10))
	var nodes [6]atomic.Pointer[ringtest.Node]
	var handled atomic.Int64
	for i := range nodes {
		n := tr.Join(func(ctx context.Context, m ringdht.Message) {
			handled.Add(1)
			self := nodes[i].Load()
			if m.Body[0] == 0 {
				return
			}
			m.Body[0]--
			for j := range nodes {
				if err := self.Send(ctx, nodes[j].Load().ID(), m.Body); err != nil {
					t.Error(err)
				}
			}
		}, ringdht.WithLimits(status.Limits{SendBuffer: 8 << 10, ReceiveBuffer: 512 << 10, Handlers: 4}))
		nodes[i].Store(n)
	}
	tr.Setup(2)
	// Six nodes send 60 messages to each of six. Each message becomes 6, and then 36.
	want := int64(6 * 60 * 6 * (1 + 6 + 36))
	var wg sync.WaitGroup
	for _, n := range tr.Nodes {
		wg.Go(func() {
			for range 60 {
				for _, to := range tr.Nodes {
					body := make([]byte, 300)
					body[0] = 2
					if err := n.Send(tr.Ctx(), to.ID(), body); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	// A message counts as delivered after its handler has sent its answers. So three rounds
	// of Flush wait for all of them.
	for range 3 {
		for _, n := range tr.Nodes {
			if err := n.Flush(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if handled.Load() != want {
		t.Errorf("%d messages handled, want %d", handled.Load(), want)
	}
	for _, n := range tr.Nodes {
		if c := n.Status().Counters; c.HandlerBacklog != 0 || c.SendBuffer != 0 {
			t.Errorf("node %d still holds %d and %d bytes", n.ID(), c.HandlerBacklog, c.SendBuffer)
		}
	}
}

// What a handler sends beyond HandlerBacklog is refused with ErrBacklog.
func TestHandlerBacklogHasABound(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release, result := make(chan struct{}), make(chan error, 1)
	stuck := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	var sender *ringtest.Node
	sender = tr.Join(func(ctx context.Context, m ringdht.Message) {
		for {
			if err := sender.Send(ctx, stuck.ID(), make([]byte, 1000)); err != nil {
				result <- err
				return
			}
		}
	}, ringdht.WithLimits(status.Limits{HandlerBacklog: 100 << 10}))
	tr.Setup(0)
	if err := sender.Send(tr.Ctx(), sender.ID(), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ringdht.ErrBacklog) || !strings.Contains(err.Error(), "HandlerBacklog") {
		t.Errorf("got %v, want ErrBacklog", err)
	}
	if c := sender.Status().Counters; c.HandlerBacklog > 100<<10 {
		t.Errorf("the backlog is %d bytes, its limit 100 KiB", c.HandlerBacklog)
	}
	close(release)
	if err := sender.Flush(tr.Ctx()); err != nil {
		t.Error(err)
	}
}

// A handler that panics loses that message only. The panic is counted and logged.
func TestHandlerPanicCostsOneMessage(t *testing.T) {
	log := ringtest.NewLog()
	tr := ringtest.New(t, memnet.New(1), log.Option())
	got := make(chan byte, 3)
	sink := tr.Join(func(_ context.Context, m ringdht.Message) {
		if m.Body[0] == 1 {
			panic("planted")
		}
		got <- m.Body[0]
	})
	from := tr.Join(nil)
	tr.Setup(0)
	for i := range byte(3) {
		if err := from.Send(tr.Ctx(), sink.ID(), []byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Flush(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	if a, b := <-got, <-got; a != 0 || b != 2 || sink.Status().Counters.Panics != 1 {
		t.Errorf("handled %d and %d, %d panics", a, b, sink.Status().Counters.Panics)
	}
	log.WaitFor(t, "handler panicked", "planted", from.ID().String())
}

// A handler that was quick for long is called by the reader of its connection. It may wait all
// the same: its node goes on relaying, and so does the rest.
func TestQuickHandlersMayWait(t *testing.T) { synctest.Test(t, quickHandlersMayWait) }

func quickHandlersMayWait(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	waiting := make(chan struct{}, 3)
	for range 3 {
		tr.Join(func(ctx context.Context, m ringdht.Message) {
			if len(m.Body) > 0 {
				waiting <- struct{}{}
				ringtest.Block(ctx, release)
			}
		})
	}
	tr.Setup(1) // each node relays for its predecessor
	nodes := slices.SortedFunc(slices.Values(tr.Nodes), func(a, b *ringtest.Node) int { return cmp.Compare(a.ID(), b.ID()) })
	ahead := func(i, n int) ringdht.ID { return nodes[(i+n)%3].ID() }
	flush := func(from *ringtest.Node, to ringdht.ID) {
		if err := errors.Join(from.Send(tr.Ctx(), to, nil), from.Flush(tr.Ctx(), to)); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		for i, n := range nodes {
			flush(n, ahead(i, 1))
		}
	}
	for i, n := range nodes {
		if err := n.Send(tr.Ctx(), ahead(i, 1), []byte("wait")); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		<-waiting
	}
	ctx, cancel := context.WithTimeout(tr.Ctx(), 15*time.Second) // before links count as dead
	defer cancel()
	done := make(chan error)
	for i, n := range nodes { // through the next node, whose handler waits
		go func() {
			done <- errors.Join(n.Send(ctx, ahead(i, 2), nil), n.Flush(ctx, ahead(i, 2)))
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	close(release)
	for _, n := range nodes {
		if err := n.Flush(tr.Ctx()); err != nil {
			t.Error(err)
		}
	}
}
