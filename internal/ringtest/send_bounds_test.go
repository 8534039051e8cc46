package ringtest_test

import (
	"bytes"
	"context"
	"errors"
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

// Payloads of all sizes up to the limit arrive. A longer one is refused with ErrTooLarge, which
// names both sizes.
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

// The largest payload of a ring can be 8 MiB, if the buffers of its nodes can hold it. A node
// with smaller ones cannot join.
func TestLargestPayload(t *testing.T) {
	net := memnet.New(1)
	tr := ringtest.New(t, net, ringdht.WithMaxPayload(8<<20))
	if _, err := tr.TryJoin(nil); err == nil || !strings.Contains(err.Error(), "SendBuffer must be at least") {
		t.Fatalf("a node whose buffers cannot hold the ring's messages: %v", err)
	}
	sizes := make(chan int, 8)
	roomy := ringdht.WithLimits(status.Limits{ReceiveBuffer: 64 << 20, LinkQueue: 32 << 20, SendBuffer: 32 << 20})
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

// A sink that takes no messages blocks its own sources and no other node. What piles up has a
// bound.
func TestSlowSinkBlocksItsOwnSourcesOnly(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1), ringdht.WithMaxPayload(4<<10))
	release := make(chan struct{})
	var taken atomic.Int64
	limits := ringdht.WithLimits(status.Limits{SendBuffer: 256 << 10, ReceiveBuffer: 256 << 10})
	slow := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release); taken.Add(1) }, limits)
	for range 5 {
		tr.Join(nil, limits, ringdht.WithTraffic())
	}
	tr.Setup(2)

	// All others send to the slow sink until Send blocks.
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
			time.Sleep(time.Millisecond) // polling: no event announces it
		}
	}
	// Meanwhile the others, which also relay through the slow sink, finish a run.
	tr.Run(status.Traffic{Messages: 2000})
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
	t.Logf("%d messages of %d bytes accepted to a sink that takes none; together the nodes hold %d bytes", accepted.Load(), size, held)
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

// A Send that waits returns when its context ends, with the cause.
func TestSendObeysItsContext(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	release := make(chan struct{})
	sink := tr.Join(func(ctx context.Context, _ ringdht.Message) { ringtest.Block(ctx, release) })
	from := tr.Join(nil)
	tr.Setup(0)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(tr.Ctx())
	go func() {
		// The sink takes nothing, so messages pile up, and then Send waits.
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
