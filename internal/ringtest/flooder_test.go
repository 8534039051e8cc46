package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// flooder sends to others as fast as they take it, and counts what it handles by source,
// which must come in order.
type flooder struct {
	n      *ringdht.Node
	id     ringdht.ID                                   // at first
	closed error                                        // what Close has returned, if something has called it
	pace   time.Duration                                // between bursts of 10, 0: as fast as it goes
	during func(ctx context.Context, m ringdht.Message) // also called by the handler

	mu   sync.Mutex
	next map[ringdht.ID]uint64
	bad  int
	sent map[ringdht.ID]uint64
}

func (f *flooder) handle(ctx context.Context, m ringdht.Message) {
	if len(m.Body) != 8 {
		return
	}
	i := binary.BigEndian.Uint64(m.Body)
	f.mu.Lock()
	if i != f.next[m.Source] {
		f.bad++
	}
	f.next[m.Source] = i + 1
	f.mu.Unlock()
	if f.during != nil {
		f.during(ctx, m)
	}
}

func newFlooder(tr *ringtest.Ring, during func(ctx context.Context, m ringdht.Message), opts ...ringdht.NodeOption) *flooder {
	f := &flooder{during: during, next: make(map[ringdht.ID]uint64), sent: make(map[ringdht.ID]uint64)}
	f.n = tr.Join(f.handle, opts...)
	f.id = f.n.ID()
	return f
}

// flood sends to a sink until that is gone, or the node.
func (f *flooder) flood(ctx context.Context, to ringdht.ID) error {
	for i := uint64(0); ; i++ {
		if f.pace > 0 && i%10 == 9 {
			time.Sleep(f.pace)
		}
		err := f.n.Send(ctx, to, binary.BigEndian.AppendUint64(nil, i))
		switch {
		case errors.Is(err, ringdht.ErrGone), errors.Is(err, ringdht.ErrNoSuchNode), errors.Is(err, ringdht.ErrReset), errors.Is(err, ringdht.ErrEvicted), errors.Is(err, ringdht.ErrNotMember), errors.Is(err, ringdht.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		f.mu.Lock()
		f.sent[to] = i + 1
		f.mu.Unlock()
	}
}

// floodAll has all of them flood each other, and returns when each has sent some. wait
// waits until nobody sends any more.
func floodAll(t *testing.T, ctx context.Context, all ...*flooder) (wait func()) {
	var wg sync.WaitGroup
	for _, f := range all {
		for _, to := range all {
			if f != to {
				id := to.n.ID()
				wg.Go(func() {
					if err := f.flood(ctx, id); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	for _, f := range all {
		for _, to := range all {
			id := to.n.ID()
			for f != to {
				f.mu.Lock()
				n := f.sent[id]
				f.mu.Unlock()
				if n >= 100 {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	return wg.Wait
}

// settleUp holds what a node was told of its messages to a sink against what that handled:
// all of both is what was sent, and nothing has an unknown outcome.
func settleUp(t *testing.T, f, to *flooder, toID ringdht.ID, err error) {
	t.Helper()
	back, unknown := uint64(0), uint64(0)
	var lost *ringdht.UndeliveredError
	if errors.As(err, &lost) {
		for _, u := range lost.Streams {
			if u.Sink == toID {
				back += u.NotHandled
				unknown += u.Messages - u.NotHandled
			}
		}
	}
	f.mu.Lock()
	sent := f.sent[toID]
	f.mu.Unlock()
	to.mu.Lock()
	got, bad := to.next[f.id], to.bad
	to.mu.Unlock()
	if got+back != sent || unknown > 0 || bad > 0 {
		t.Errorf("from %d to %d: of %d messages %d were handled, %d came back, %d have no known outcome, %d came twice or out of order: %v",
			f.id, toID, sent, got, back, unknown, bad, err)
	}
}

// nothingSilent is settleUp where messages may have no known outcome: what a node was not
// told of was handled, and what it was told as not handled was not.
func nothingSilent(t *testing.T, f, to *flooder, toID ringdht.ID, err error) {
	t.Helper()
	back, unknown := uint64(0), uint64(0)
	var lost *ringdht.UndeliveredError
	if errors.As(err, &lost) {
		for _, u := range lost.Streams {
			if u.Sink == toID {
				back += u.NotHandled
				unknown += u.Messages - u.NotHandled
			}
		}
	}
	f.mu.Lock()
	sent := f.sent[toID]
	f.mu.Unlock()
	to.mu.Lock()
	got, bad := to.next[f.id], to.bad
	to.mu.Unlock()
	if got+back > sent || got+back+unknown < sent || bad > 0 {
		t.Errorf("from %d to %d: of %d messages %d were handled, %d came back, %d have no known outcome, %d came twice or out of order: %v",
			f.id, toID, sent, got, back, unknown, bad, err)
	}
}

// only returns what else an error says than messages that were not delivered.
func only(err error) error {
	var lost *ringdht.UndeliveredError
	if errors.As(err, &lost) && err.Error() == lost.Error() {
		return nil
	}
	return err
}

func overBoth(t *testing.T, f func(t *testing.T, mem *memnet.Network)) {
	for name, mem := range map[string]*memnet.Network{"memory": memnet.New(1), "tcp": nil} {
		t.Run(name, func(t *testing.T) { f(t, mem) })
	}
}
