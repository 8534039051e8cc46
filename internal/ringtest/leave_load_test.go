package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

var leaves = flag.Int("leaves", 12, "how many nodes leave under load, over each transport")

// loadedSource is a node that stays and sends to one that will leave.
type loadedSource struct {
	n       *ringtest.Node
	sent    uint64 // to the present leaver: messages 0 to sent-1 were accepted
	replies chan uint64
}

// leaver counts what its handler gets from each source. The messages of a source must come in
// order.
type leaver struct {
	n       atomic.Pointer[ringtest.Node]
	mu      sync.Mutex
	next    map[ringdht.ID]uint64
	again   int // out of order, or twice
	replied map[ringdht.ID][]uint64
	failed  []error
	enough  chan struct{} // closed when it is time to leave
	after   uint64
	slow    bool
}

func (l *leaver) handle(ctx context.Context, m ringdht.Message) {
	i := binary.BigEndian.Uint64(m.Body)
	var err error
	reply := i%5 == 0
	if l.slow && i%16 == 0 {
		time.Sleep(100 * time.Microsecond) // so that much is under way when it leaves
	}
	if reply {
		err = l.n.Load().Send(ctx, m.Source, m.Body)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i != l.next[m.Source] {
		l.again++
	}
	l.next[m.Source] = i + 1
	switch {
	case err != nil:
		l.failed = append(l.failed, err)
	case reply:
		l.replied[m.Source] = append(l.replied[m.Source], i)
	}
	if l.after--; l.after == 0 {
		close(l.enough)
	}
}

// Nodes leave while others send them 5,000 messages a second and more. Every message is
// handled once, or comes back as not handled. None is of unknown outcome. What handlers have
// sent meanwhile arrives.
func TestLeavesUnderLoad(t *testing.T) {
	for name, mem := range map[string]*memnet.Network{"memory": memnet.New(1), "tcp": nil} {
		t.Run(name, func(t *testing.T) { leavesUnderLoad(t, mem) })
	}
}

func leavesUnderLoad(t *testing.T, mem *memnet.Network) {
	const sources = 3
	tr := ringtest.New(t, mem)
	var all [sources]*loadedSource
	for i := range all {
		s := &loadedSource{replies: make(chan uint64, 1<<16)}
		s.n = tr.Join(func(_ context.Context, m ringdht.Message) { s.replies <- binary.BigEndian.Uint64(m.Body) })
		all[i] = s
	}
	tr.Join(nil)
	tr.Setup(0)
	stay := len(tr.Nodes)

	var accepted, handled, back, unknown uint64
	var load, leaving time.Duration
	for i := range *leaves {
		l := &leaver{next: make(map[ringdht.ID]uint64), replied: make(map[ringdht.ID][]uint64), enough: make(chan struct{}), after: 300 + uint64(i%7)*50, slow: i%2 == 1}
		n := tr.Join(l.handle)
		l.n.Store(n)
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wg sync.WaitGroup
		for _, s := range all {
			wg.Go(func() { s.load(t, tr.Ctx(), n.ID(), l.slow) })
		}
		<-l.enough
		begun := time.Now()
		if err := n.Leave(tr.Ctx()); err != nil {
			t.Errorf("leave %d: %v", i, err)
		}
		leaving += time.Since(begun)
		wg.Wait()
		load += time.Since(start)
		tr.Nodes = tr.Nodes[:stay]

		for _, s := range all {
			got, returned, lost := s.check(t, tr.Ctx(), i, n.ID(), l)
			accepted, handled, back, unknown = accepted+s.sent, handled+got, back+returned, unknown+lost
		}
		if l.again > 0 || len(l.failed) > 0 {
			t.Errorf("leave %d: %d out of order; %v", i, l.again, l.failed)
		}
	}
	t.Logf("%d leaves under %.0f messages a second: %d accepted, %d handled, %d came back, %d of unknown outcome; a leave took %v",
		*leaves, float64(accepted)/load.Seconds(), accepted, handled, back, unknown, leaving/time.Duration(*leaves))
	if unknown > 0 {
		t.Errorf("%d messages of unknown outcome", unknown)
	}
}

// load sends to a node until that has left: bursts of 6 messages, one every 2 ms, or as fast
// as it accepts.
func (s *loadedSource) load(t *testing.T, ctx context.Context, to ringdht.ID, fast bool) {
	s.sent = 0
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		if !fast {
			<-ticker.C
		}
		for range 6 {
			err := s.n.Send(ctx, to, binary.BigEndian.AppendUint64(nil, s.sent))
			if errors.Is(err, ringdht.ErrLeft) || errors.Is(err, ringdht.ErrNoSuchNode) {
				return
			} else if err != nil {
				t.Error(err)
				return
			}
			s.sent++
		}
	}
}

// check accounts for the messages to a node that has left: those that it handled, those that
// came back, and those of unknown outcome. Its answers must have arrived.
func (s *loadedSource) check(t *testing.T, ctx context.Context, leave int, id ringdht.ID, l *leaver) (got, returned, unknown uint64) {
	t.Helper()
	got = l.next[s.n.ID()]
	if err := s.n.Flush(ctx, id); err != nil {
		var lost *status.UndeliveredError
		if !errors.As(err, &lost) {
			t.Fatal(err)
		}
		for _, u := range lost.Streams {
			unknown += u.Messages - u.NotHandled
			for _, b := range u.Bodies[len(u.Bodies)-int(u.NotHandled):] {
				if at := binary.BigEndian.Uint64(b); at != got+returned {
					t.Fatalf("leave %d: message %d came back, not %d: %v", leave, at, got+returned, err)
				}
				returned++
			}
		}
	}
	if got+returned != s.sent {
		t.Errorf("leave %d: of %d messages %d were handled and %d came back", leave, s.sent, got, returned)
	}
	for _, want := range l.replied[s.n.ID()] {
		select {
		case r := <-s.replies:
			if r != want {
				t.Fatalf("leave %d: the answer to %d came, not that to %d", leave, r, want)
			}
		default:
			t.Fatalf("leave %d: the answer to %d did not arrive before Leave returned", leave, want)
		}
	}
	return got, returned, unknown
}

// It is the same when more happens than one leave: a relay leaves too, a node closes, or
// tables change.
func TestLeaveAmongOtherEvents(t *testing.T) {
	events := map[string]func(tr *ringtest.Ring, other, relay *ringtest.Node) error{
		"nothing":        func(*ringtest.Ring, *ringtest.Node, *ringtest.Node) error { return nil },
		"a relay leaves": func(tr *ringtest.Ring, _, relay *ringtest.Node) error { return relay.Leave(tr.Ctx()) },
		"a node closes":  func(_ *ringtest.Ring, other, _ *ringtest.Node) error { other.Close(); return nil },
		"a set-up": func(tr *ringtest.Ring, _, _ *ringtest.Node) error {
			_, err := tr.Registry.Setup(tr.Ctx(), 2)
			return err
		},
	}
	for _, mem := range []*memnet.Network{nil, memnet.New(1)} {
		for name, event := range events {
			leaveAmong(t, mem, name, event)
		}
	}
}

func leaveAmong(t *testing.T, mem *memnet.Network, name string, event func(tr *ringtest.Ring, other, relay *ringtest.Node) error) {
	tr := ringtest.New(t, mem)
	defer tr.Close()
	var handled, sent, back, unknown atomic.Int64
	sink := tr.Join(func(context.Context, ringdht.Message) { handled.Add(1) })
	relay, other := tr.Join(nil), tr.Join(nil)
	sources := []*ringtest.Node{tr.Join(nil), tr.Join(nil), tr.Join(nil)}
	tr.Setup(1)
	tr.WaitSettled()
	begun := make(chan struct{})
	var once sync.Once
	var sending, others sync.WaitGroup
	for _, s := range sources {
		sending.Go(func() {
			for s.Send(tr.Ctx(), sink.ID(), []byte{1}) == nil {
				if sent.Add(1) > 2000 {
					once.Do(func() { close(begun) })
				}
			}
		})
	}
	<-begun
	others.Go(func() {
		if err := event(tr, other, relay); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	if err := sink.Leave(tr.Ctx()); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	sending.Wait()
	others.Wait()
	for _, s := range sources {
		var lost *status.UndeliveredError
		if errors.As(s.Flush(tr.Ctx()), &lost) {
			for _, u := range lost.Streams {
				back.Add(int64(u.NotHandled))
				unknown.Add(int64(u.Messages - u.NotHandled))
			}
		}
	}
	if unknown.Load() > 0 || sent.Load() != handled.Load()+back.Load() {
		t.Errorf("%s: of %d messages %d were handled, %d came back, and %d are of unknown outcome", name, sent.Load(), handled.Load(), back.Load(), unknown.Load())
	}
}
