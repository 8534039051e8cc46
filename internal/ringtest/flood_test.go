package ringtest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// All nodes flood one relay, whose link onwards is stuck. The relay stays within its bounds,
// and counts what it drops. When the link moves again, all messages on streams arrive, once and
// in order.
func TestFloodedRelayStaysWithinItsBounds(t *testing.T) {
	const (
		size, messages = 8, 2000
		body           = 1000
		queue          = 256 << 10 // all streams together send twice as much before they wait
	)
	net := memnet.New(1)
	tr := ringtest.New(t, net)
	limits := ringdht.WithLimits(status.Limits{LinkQueue: queue})
	var mu sync.Mutex
	next := make(map[ringdht.ID]uint64)
	for range size {
		tr.Join(func(_ context.Context, m ringdht.Message) {
			if m.Cast {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if n := binary.BigEndian.Uint64(m.Body); n != next[m.Source] {
				t.Errorf("message %d of %d came when %d was due", n, m.Source, next[m.Source])
			}
			next[m.Source]++
		}, limits)
	}
	tr.Setup(1) // each node has a link to its successor only
	host, at := make([]string, size), tr.Positions()
	ring := make([]*ringtest.Node, size)
	for i, n := range tr.Nodes {
		host[at[n.ID()]], ring[at[n.ID()]] = fmt.Sprint("n", i), n
	}
	relay, sink := ring[0], ring[1]
	sources := ring[2:]
	message := func(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 0, body), uint64(n))[:body] }
	for _, n := range sources { // streams are open from here on
		if err := n.Send(tr.Ctx(), sink.ID(), message(0)); err != nil {
			t.Fatal(err)
		}
		if err := n.Flush(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
	}

	net.Hold(host[0], host[1])
	ctx := tr.Ctx()
	casting, stop := context.WithCancel(ctx)
	var sending, casts sync.WaitGroup
	for _, n := range sources {
		sending.Go(func() {
			for i := 1; i < messages; i++ {
				if err := n.Send(ctx, sink.ID(), message(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		casts.Go(func() {
			for casting.Err() == nil {
				n.Cast(casting, sink.ID(), message(0))
			}
		})
	}
	// The relay may hold its queues and what its connections are reading. It sends nothing
	// itself, so its other buffers are empty.
	most := int64(queue)
	var held, dropped atomic.Int64
	sample := func() {
		c := relay.Status().Counters
		now := c.Queued + c.SendBuffer + c.ReceiveBuffer + c.HandlerBacklog
		held.Store(max(held.Load(), now))
		dropped.Store(c.Dropped.QueueFull)
	}
	for deadline := time.Now().Add(time.Minute); dropped.Load() < 10_000; sample() {
		if time.Now().After(deadline) {
			t.Fatalf("the relay has dropped %d frames", dropped.Load())
		}
		time.Sleep(100 * time.Microsecond)
	}
	if held.Load() > most {
		t.Errorf("the relay held %d bytes, more than %d", held.Load(), most)
	}
	if held.Load() < most/2 {
		t.Errorf("the relay held %d bytes, so it was not flooded", held.Load())
	}
	stop()
	casts.Wait()
	net.Release(host[0], host[1])
	sending.Wait()
	for _, n := range sources {
		if err := n.Flush(ctx); err != nil {
			t.Error(err)
		}
		if d := n.Status().Counters; d.SendBuffer != 0 {
			t.Errorf("%d bytes are left in the send buffer", d.SendBuffer)
		}
	}
	for _, n := range sources {
		if next[n.ID()] != messages {
			t.Errorf("%d of %d messages of node %d arrived", next[n.ID()], messages, n.ID())
		}
	}
	t.Logf("the relay held %d KiB at most and dropped %d frames; %d messages were sent again", held.Load()>>10, dropped.Load(), func() (sum int64) {
		for _, n := range sources {
			sum += n.Status().Counters.Retransmitted
		}
		return sum
	}())
}
