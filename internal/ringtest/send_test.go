package ringtest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

func TestPayloadSizes(t *testing.T) {
	tr := ringtest.New(t, nil)
	got := make(chan []byte, 1)
	for range 4 {
		tr.Join(func(_ context.Context, m ringdht.Message) { got <- bytes.Clone(m.Body) })
	}
	tr.Setup(2)
	from, to := tr.Nodes[0], tr.Nodes[1]
	for _, size := range []int{0, 1, 4096, 64 << 10} {
		body := bytes.Repeat([]byte{0xa5}, size)
		if err := from.Send(tr.Ctx(), to.ID(), body); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if b := <-got; !bytes.Equal(b, body) {
			t.Errorf("%d bytes arrived as %d others", size, len(b))
		}
	}
	for _, send := range []func(context.Context, ringdht.ID, []byte) error{from.Send, from.Cast} {
		err := send(tr.Ctx(), to.ID(), make([]byte, 64<<10+1))
		if !errors.Is(err, ringdht.ErrTooLarge) || !strings.Contains(err.Error(), "65537") || !strings.Contains(err.Error(), "65536") {
			t.Errorf("one byte too many: %v, want ErrTooLarge with both figures", err)
		}
	}
}

func TestLargestPayload(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithMaxPayload(8<<20))
	if _, err := tr.TryJoin(nil); err == nil || !strings.Contains(err.Error(), "SendBuffer must be at least") {
		t.Fatalf("a node whose buffers cannot hold the ring's messages: %v", err)
	}
	sizes := make(chan int, 8)
	roomy := ringdht.WithLimits(ringdht.Limits{ReceiveBuffer: 64 << 20, LinkQueue: 32 << 20, SendBuffer: 32 << 20})
	for range 3 {
		tr.Join(func(_ context.Context, m ringdht.Message) { sizes <- len(m.Body) }, roomy)
	}
	tr.Setup(1)
	for range 4 {
		if err := tr.Nodes[0].Send(tr.Ctx(), tr.Nodes[1].ID(), make([]byte, 8<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Nodes[0].Flush(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if n := <-sizes; n != 8<<20 {
			t.Errorf("%d bytes arrived", n)
		}
	}
}

func TestNothingIsSentToWhoDoesNotExist(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 5 {
		tr.Join(func(context.Context, ringdht.Message) { t.Error("delivered to somebody else") })
	}
	n := tr.Nodes[0]
	for _, call := range []func() error{
		func() error { return n.Send(tr.Ctx(), 1, nil) },
		func() error { return n.Cast(tr.Ctx(), 1, nil) },
		func() error { _, err := n.Trace(tr.Ctx(), 1); return err },
	} {
		if err := call(); !errors.Is(err, ringdht.ErrNotReady) {
			t.Errorf("before the set-up: %v, want ErrNotReady", err)
		}
	}
	tr.Setup(2)
	at := tr.Positions()
	for id := ringdht.ID(0); id < 1<<16; id += 997 {
		if _, ok := at[id]; ok {
			continue
		}
		if err := n.Send(tr.Ctx(), id, nil); !errors.Is(err, ringdht.ErrNoSuchNode) {
			t.Fatalf("to %d: %v, want ErrNoSuchNode", id, err)
		}
		if _, err := n.Trace(tr.Ctx(), id); !errors.Is(err, ringdht.ErrNoSuchNode) {
			t.Fatalf("trace to %d: %v, want ErrNoSuchNode", id, err)
		}
	}
	if err := n.Flush(tr.Ctx()); err != nil {
		t.Errorf("nothing was accepted, and Flush says %v", err)
	}
}

func TestOrderPerSource(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	const messages = 2000
	var mu sync.Mutex
	next := make(map[ringdht.ID]uint32)
	for range 5 {
		tr.Join(func(_ context.Context, m ringdht.Message) {
			if m.Source == 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if got := binary.BigEndian.Uint32(m.Body); got != next[m.Source] {
				t.Errorf("from %d: message %d, want %d", m.Source, got, next[m.Source])
			}
			next[m.Source]++
		})
	}
	tr.Setup(2)
	sink := tr.Nodes[0].ID()
	var wg sync.WaitGroup
	for _, n := range tr.Nodes {
		wg.Go(func() {
			for i := range uint32(messages) {
				if err := n.Send(tr.Ctx(), sink, binary.BigEndian.AppendUint32(nil, i)); err != nil {
					t.Error(err)
				}
			}
			if err := n.Flush(tr.Ctx()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, n := range tr.Nodes {
		if next[n.ID()] != messages {
			t.Errorf("%d of %d messages from %d", next[n.ID()], messages, n.ID())
		}
	}
}

// A sink that does not take its messages blocks those who send to it, and nobody
// else; and what piles up has a bound.
func TestSlowSinkBlocksItsOwnSourcesOnly(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithMaxPayload(4<<10))
	release := make(chan struct{})
	var taken atomic.Int64
	limits := ringdht.WithLimits(ringdht.Limits{SendBuffer: 256 << 10, ReceiveBuffer: 256 << 10})
	slow := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release); taken.Add(1) }, limits)
	for range 5 {
		tr.Join(nil, limits, ringdht.WithTraffic())
	}
	tr.Setup(2)

	// Everybody sends to the slow one until it blocks.
	const size = 1000
	var accepted atomic.Int64
	var senders sync.WaitGroup
	stuck, stop := context.WithCancel(tr.Ctx())
	for _, n := range tr.Nodes[1:] {
		senders.Go(func() {
			for n.Send(stuck, slow.ID(), make([]byte, size)) == nil {
				accepted.Add(1)
			}
		})
	}
	for _, n := range tr.Nodes[1:] {
		for n.Status().Counters.SendBuffer < 50<<10 {
			time.Sleep(time.Millisecond) // polling
		}
	}
	// Meanwhile the others, who also relay through the slow one, finish a run.
	tr.Run(ringdht.Traffic{Messages: 2000})
	stop()
	senders.Wait()

	var held int64
	for _, n := range tr.Nodes {
		c := n.Status().Counters
		held += c.SendBuffer + c.ReceiveBuffer + c.Queued
		if c.SendBuffer > 256<<10+2*size || c.ReceiveBuffer > 256<<10+64<<10 {
			t.Errorf("node %d holds %d and %d bytes, its limits are 256 KiB", n.ID(), c.SendBuffer, c.ReceiveBuffer)
		}
	}
	t.Logf("%d messages of %d bytes accepted for a sink that takes none; all nodes together hold %d bytes", accepted.Load(), size, held)
	close(release)
	for _, n := range tr.Nodes {
		if err := n.Flush(tr.Ctx()); err != nil {
			t.Error(err)
		}
	}
	if taken.Load() != accepted.Load() {
		t.Errorf("%d accepted, %d delivered", accepted.Load(), taken.Load())
	}
}

// Every handler answers every message with one to each node, for some rounds, with
// windows far smaller than what is under way: handlers that waited for each
// other's windows would wait for ever.
func TestHandlersThatSendDoNotDeadlock(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithMaxPayload(1<<10))
	var nodes [6]atomic.Pointer[ringdht.Node]
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
		}, ringdht.WithLimits(ringdht.Limits{SendBuffer: 8 << 10, ReceiveBuffer: 512 << 10, Handlers: 4}))
		nodes[i].Store(n)
	}
	tr.Setup(2)
	// 6 nodes send 60 messages to 6 nodes, each of which becomes 6 and then 36.
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
	// What handlers send is accepted before their own message counts as
	// delivered, so three rounds of flushing see all of it out.
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

func TestHandlerBacklogHasABound(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release, result := make(chan struct{}), make(chan error, 1)
	stuck := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	var sender *ringdht.Node
	sender = tr.Join(func(ctx context.Context, m ringdht.Message) {
		for {
			if err := sender.Send(ctx, stuck.ID(), make([]byte, 1000)); err != nil {
				result <- err
				return
			}
		}
	}, ringdht.WithLimits(ringdht.Limits{HandlerBacklog: 100 << 10}))
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

// A handler that has been quick for long, so that it is called by who reads, may wait all
// the same: what its node relays goes on, and so does the rest.
func TestQuickHandlersMayWait(t *testing.T) {
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
	tr.Setup(1) // each relays for the one before it
	nodes := slices.SortedFunc(slices.Values(tr.Nodes), func(a, b *ringdht.Node) int { return cmp.Compare(a.ID(), b.ID()) })
	ahead := func(i, n int) ringdht.ID { return nodes[(i+n)%3].ID() }
	flush := func(from *ringdht.Node, to ringdht.ID) {
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
	ctx, cancel := context.WithTimeout(tr.Ctx(), 15*time.Second) // before links are taken for dead
	defer cancel()
	done := make(chan error)
	for i, n := range nodes { // through the next one, whose handler waits
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

func TestSendObeysItsContext(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	sink := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	from := tr.Join(nil)
	tr.Setup(0)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(tr.Ctx())
	go func() {
		// Nothing is taken, so what is accepted gathers, and then Send waits.
		for from.Status().Counters.SendBuffer < 50<<10 {
			time.Sleep(time.Millisecond)
		}
		cancel(cause)
	}()
	var err error
	for err == nil {
		err = from.Send(ctx, sink.ID(), make([]byte, 1000))
	}
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's cause", err)
	}
	short, cancel2 := context.WithCancel(tr.Ctx())
	cancel2()
	if err := from.Flush(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush: got %v", err)
	}
	close(release)
	if err := from.Flush(tr.Ctx()); err != nil {
		t.Error(err)
	}
}

func TestCast(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	got := make(chan ringdht.Message, 10)
	for range 5 {
		tr.Join(func(_ context.Context, m ringdht.Message) { m.Body = bytes.Clone(m.Body); got <- m })
	}
	tr.Setup(1)
	from, to := tr.Nodes[0], tr.Nodes[3]
	for i := range byte(10) {
		if err := from.Cast(tr.Ctx(), to.ID(), []byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		m := <-got
		if !m.Cast || m.Source != from.ID() || m.Hops == 0 || len(m.Body) != 1 {
			t.Errorf("got %+v", m)
		}
	}
	if c := from.Status().Counters; c.Casts != 10 || c.Sent != 10 {
		t.Errorf("counters: %+v", c)
	}
}

func TestTrace(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	for range 11 {
		tr.Join(nil)
	}
	tr.Setup(3)
	members := tr.Registry.Members()
	at := tr.Positions()
	tables := make(map[ringdht.ID]*ringdht.Table)
	for p, table := range tr.Registry.Tables() {
		tables[p.ID] = table
	}
	check := func(from, to ringdht.ID, hops []status.Hop) {
		t.Helper()
		var want, got []ringdht.ID
		for id := from; id != to; {
			p, ok := tables[id].Next(to)
			if !ok {
				t.Fatal("the tables do not lead there")
			}
			id = p.ID
			want = append(want, id)
		}
		for _, h := range hops {
			got = append(got, h.ID)
			if h.Elapsed <= 0 {
				t.Errorf("hop %d took %v", h.ID, h.Elapsed)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("from %d to %d: %v, the tables say %v", from, to, got, want)
		}
	}
	for _, n := range tr.Nodes {
		to := members[(at[n.ID()]+7)%11].ID
		hops, err := n.Trace(tr.Ctx(), to)
		if err != nil {
			t.Fatal(err)
		}
		check(n.ID(), to, hops)
		if hops, err = tr.Registry.Trace(tr.Ctx(), n.ID(), to); err != nil {
			t.Fatal(err)
		}
		check(n.ID(), to, hops)
	}
	if hops, err := tr.Nodes[0].Trace(tr.Ctx(), tr.Nodes[0].ID()); err != nil || len(hops) != 0 {
		t.Errorf("to itself: %v %v", hops, err)
	}
	if _, err := tr.Registry.Trace(tr.Ctx(), 1<<20, 1); !errors.Is(err, ringdht.ErrNoSuchNode) {
		t.Errorf("from nobody: %v", err)
	}
}
