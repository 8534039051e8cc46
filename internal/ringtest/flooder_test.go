package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// flooder sends to other nodes as fast as they accept. It counts what it handles by source.
// The messages of a source must come in order.
type flooder struct {
	n      *ringtest.Node
	id     ringdht.ID                                   // its first
	closed error                                        // returned by Close, if that was called
	pace   time.Duration                                // the pause after 10 messages; 0 for none
	during func(ctx context.Context, m ringdht.Message) // also called by the handler

	mu   sync.Mutex
	next map[ringdht.ID]uint64
	bad  int // messages out of order
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

// flood sends to a sink until that has gone, or the node itself.
func (f *flooder) flood(ctx context.Context, to ringdht.ID) error {
	for i := uint64(0); ; i++ {
		if f.pace > 0 && i%10 == 9 {
			time.Sleep(f.pace)
		}
		err := f.n.Send(ctx, to, binary.BigEndian.AppendUint64(nil, i))
		switch {
		case errors.Is(err, ringdht.ErrGone), errors.Is(err, ringdht.ErrNoSuchNode), errors.Is(err, ringdht.ErrEvicted), errors.Is(err, ringdht.ErrNotMember), errors.Is(err, ringdht.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		f.mu.Lock()
		f.sent[to] = i + 1
		f.mu.Unlock()
	}
}

// floodAll makes all nodes flood each other. It returns when each has sent 100 messages to
// each. wait waits until all have stopped sending.
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

// checkExact compares what a node was told of its messages to a sink with what the sink
// handled. Together they are what was sent, and no message has an unknown outcome.
func checkExact(t *testing.T, f, to *flooder, toID ringdht.ID, err error) {
	t.Helper()
	if o := outcomesOf(f, to, toID, err); o.handled+o.back != o.sent || o.unknown > 0 || o.bad > 0 {
		t.Errorf("from %d to %d: %v: %v", f.id, toID, o, err)
	}
}

// checkNoneSilent is checkExact where messages may have unknown outcomes: those that the
// node was not told of were handled, and those that came back were not.
func checkNoneSilent(t *testing.T, f, to *flooder, toID ringdht.ID, err error) {
	t.Helper()
	if o := outcomesOf(f, to, toID, err); o.handled+o.back > o.sent || o.handled+o.back+o.unknown < o.sent || o.bad > 0 {
		t.Errorf("from %d to %d: %v: %v", f.id, toID, o, err)
	}
}

// outcomes counts messages from one node to another.
type outcomes struct {
	sent, handled, back, unknown uint64
	bad                          int // handled twice or out of order
}

func (o outcomes) String() string {
	return fmt.Sprintf("of %d messages %d were handled, %d came back, %d have an unknown outcome, %d came twice or out of order", o.sent, o.handled, o.back, o.unknown, o.bad)
}

// outcomesOf takes what came back, and what is unknown, from an error of Leave or Flush.
func outcomesOf(f, to *flooder, toID ringdht.ID, err error) (o outcomes) {
	var lost *status.UndeliveredError
	if errors.As(err, &lost) {
		for _, u := range lost.Streams {
			if u.Sink == toID {
				o.back += u.NotHandled
				o.unknown += u.Messages - u.NotHandled
			}
		}
	}
	f.mu.Lock()
	o.sent = f.sent[toID]
	f.mu.Unlock()
	to.mu.Lock()
	o.handled, o.bad = to.next[f.id], to.bad
	to.mu.Unlock()
	return o
}

// only returns nil for an error that says no more than that messages were not delivered.
func only(err error) error {
	var lost *status.UndeliveredError
	if errors.As(err, &lost) && err.Error() == lost.Error() {
		return nil
	}
	return err
}

// overBoth runs a test over the in-memory network and over TCP.
func overBoth(t *testing.T, f func(t *testing.T, mem *memnet.Network)) {
	for name, mem := range map[string]*memnet.Network{"memory": memnet.New(1), "tcp": nil} {
		t.Run(name, func(t *testing.T) { f(t, mem) })
	}
}
