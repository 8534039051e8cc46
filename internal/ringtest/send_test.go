package ringtest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// Sends to an ID that no node has fail with ErrNoSuchNode, and before the set-up with
// ErrNotReady.
func TestNothingIsSentToWhoDoesNotExist(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	for range 5 {
		tr.Join(func(context.Context, ringdht.Message) { t.Error("delivered to another node") })
	}
	n := tr.Nodes[0]
	over, cancel := context.WithCancel(tr.Ctx())
	cancel() // sends would wait for the set-up
	for _, call := range []func() error{
		func() error { return n.Send(over, 1, nil) },
		func() error { return n.Cast(over, 1, nil) },
		func() error { _, err := n.SendBatch(over, 1, [][]byte{nil}); return err },
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
		t.Errorf("nothing was accepted, but Flush returned %v", err)
	}
}

// A batch is accepted in order up to the first message that cannot be, and with an error for that one.
func TestSendBatch(t *testing.T) {
	var got [][]byte
	tr := ringtest.New(t, memnet.New(1))
	sink := tr.Join(func(_ context.Context, m ringdht.Message) { got = append(got, bytes.Clone(m.Body)) })
	n := tr.Join(nil)
	tr.Setup(1)
	var all [][]byte
	for i := range 1000 {
		all = append(all, fmt.Appendf(nil, "%*d", i, i))
	}
	all[700] = make([]byte, n.MaxPayload()+1)
	accepted, err := n.SendBatch(tr.Ctx(), sink.ID(), all)
	if accepted != 700 || !errors.Is(err, ringdht.ErrTooLarge) {
		t.Errorf("%d, %v; want 700, too large", accepted, err)
	}
	if accepted, err := n.SendBatch(tr.Ctx(), sink.ID(), all[701:]); accepted != 299 || err != nil {
		t.Errorf("%d, %v; want 299", accepted, err)
	}
	if accepted, err := n.SendBatch(tr.Ctx(), sink.ID(), nil); accepted != 0 || err != nil {
		t.Errorf("%d, %v; want 0 of 0", accepted, err)
	}
	if err := n.Flush(tr.Ctx()); err != nil {
		t.Fatal(err)
	}
	if want := slices.Concat(all[:700], all[701:]); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d messages of %d arrived, or others", len(got), len(want))
	}
	n.Close()
	if accepted, err := n.SendBatch(tr.Ctx(), sink.ID(), all); accepted != 0 || !errors.Is(err, ringdht.ErrClosed) {
		t.Errorf("%d, %v; want 0, closed", accepted, err)
	}
}

// A sink handles the messages of each source in order, while all sources send at once.
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

// Casts arrive, marked as casts, and are counted.
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
