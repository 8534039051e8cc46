package ringtest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

var (
	shutdowns     = flag.Int("shutdowns", 25, "how many rings of four nodes are shut down, over each transport")
	shutdownsSeed = flag.Uint64("shutdowns.seed", 0, "of the first ring; 0 draws one")
)

// The ways in which a node ends.
const (
	byLeave = iota
	byClose
	byKill // its process ends, and its report is lost
	ways
)

// shutNode is one of four nodes. It sends to the others all the time, and counts.
type shutNode struct {
	n   atomic.Pointer[ringtest.Node]
	way int
	err error // of Leave or Close
	end time.Time

	mu   sync.Mutex
	sent map[ringdht.ID]uint64 // accepted, by sink
	next map[ringdht.ID]uint64 // handled, by source
	bad  int                   // handled twice, or out of order
}

func (s *shutNode) handle(ctx context.Context, m ringdht.Message) {
	i := binary.BigEndian.Uint64(m.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i != s.next[m.Source] {
		s.bad++
	}
	s.next[m.Source] = i + 1
}

// send sends to a sink until the sink has gone, or the node itself.
func (s *shutNode) send(ctx context.Context, to ringdht.ID) error {
	n := s.n.Load()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for i := uint64(0); ; <-ticker.C {
		for range 10 {
			err := n.Send(ctx, to, binary.BigEndian.AppendUint64(nil, i))
			switch {
			case errors.Is(err, ringdht.ErrGone), errors.Is(err, ringdht.ErrNoSuchNode), errors.Is(err, ringdht.ErrNotMember), errors.Is(err, ringdht.ErrClosed):
				return nil
			case err != nil:
				return err
			}
			i++
			s.mu.Lock()
			s.sent[to] = i
			s.mu.Unlock()
		}
	}
}

// Four nodes that send to each other end in any order, each by Leave, by Close, or with its
// process. Each message was handled once, or its source knows that it was not, or that its
// outcome is unknown. Unknown outcomes occur only where a node did not end by Leave. If nothing
// was lost, no error is returned.
func TestShutdowns(t *testing.T) {
	for name, tcp := range map[string]bool{"memory": false, "tcp": true} {
		t.Run(name, func(t *testing.T) {
			seed := *shutdownsSeed
			if seed == 0 {
				seed = rand.Uint64N(1 << 32)
			}
			var sum shutSum
			for range *shutdowns {
				sum.shutDown(t, tcp, seed)
				if t.Failed() {
					t.Fatalf("-shutdowns.seed %d -shutdowns 1", seed)
				}
				seed++
			}
			t.Logf("%d rings: %+v", *shutdowns, sum)
		})
	}
}

type shutSum struct{ accepted, handled, back, unknown, clean, told uint64 }

func (sum *shutSum) shutDown(t *testing.T, tcp bool, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var mem *memnet.Network
	if !tcp {
		mem = memnet.New(seed)
	}
	tr := ringtest.New(t, mem)
	defer tr.Close()
	var all [4]*shutNode
	for i := range all {
		s := &shutNode{sent: make(map[ringdht.ID]uint64), next: make(map[ringdht.ID]uint64), way: rng.IntN(ways)}
		if seed%3 == 0 {
			s.way = byLeave // all of them, in a third of the rings
		}
		s.n.Store(tr.Join(s.handle))
		all[i] = s
	}
	tr.Setup(0)
	var senders sync.WaitGroup
	for _, s := range all {
		for _, to := range all {
			if id := to.n.Load().ID(); s != to {
				senders.Go(func() {
					if err := s.send(tr.Ctx(), id); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	time.Sleep(time.Duration(5+rng.IntN(10)) * time.Millisecond) // let them send
	together := rng.IntN(2) == 0
	var ends sync.WaitGroup
	for _, i := range rng.Perm(len(all)) {
		s := all[i]
		end := func() {
			if s.way == byLeave {
				s.err = s.n.Load().Leave(tr.Ctx())
			} else {
				s.err = s.n.Load().Close()
			}
			s.end = time.Now()
		}
		if together {
			ends.Go(end)
			time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
		} else {
			end()
		}
	}
	ends.Wait()
	senders.Wait()
	for _, s := range all {
		sum.judge(t, s, all[:])
	}
}

// judge compares the report of a node with what the others handled.
func (sum *shutSum) judge(t *testing.T, s *shutNode, all []*shutNode) {
	id := s.n.Load().ID()
	if s.bad > 0 {
		t.Errorf("node %d: %d messages twice or out of order", id, s.bad)
	}
	told := make(map[ringdht.ID][]status.Undelivered)
	var lost *status.UndeliveredError
	switch {
	case s.err == nil:
		sum.clean++
	case errors.As(s.err, &lost) && s.err.Error() == lost.Error(): // the error says nothing else
		sum.told++
		for _, u := range lost.Streams {
			told[u.Sink] = append(told[u.Sink], u)
		}
	default:
		t.Errorf("node %d: way %d: %v", id, s.way, s.err)
	}
	for _, to := range all {
		sink := to.n.Load().ID()
		sent, got := s.sent[sink], to.next[id]
		sum.accepted, sum.handled = sum.accepted+sent, sum.handled+got
		if s.way == byKill {
			continue
		}
		// Messages that were not reported were handled. A dead sink ends every further stream too.
		handled := func(i uint64) bool { return i < got }
		listed := make(map[uint64]bool)
		for _, u := range told[sink] {
			unknown := u.Messages - u.NotHandled
			sum.back, sum.unknown = sum.back+u.NotHandled, sum.unknown+unknown
			if uint64(len(u.Bodies)) != u.Messages {
				t.Errorf("from %d to %d: %d messages are reported, with %d bodies", id, sink, u.Messages, len(u.Bodies))
			}
			if unknown > 0 && s.way == byLeave && to.way == byLeave {
				t.Errorf("from %d to %d: %d of unknown outcome, though both have left in good order: %v", id, sink, unknown, u.Err)
			}
			for i, b := range u.Bodies {
				n := binary.BigEndian.Uint64(b)
				if listed[n] || n >= sent {
					t.Errorf("from %d to %d: message %d of %d is reported twice, or was never sent", id, sink, n, sent)
				}
				listed[n] = true
				if uint64(i) >= unknown && handled(n) {
					t.Errorf("from %d (way %d) to %d (way %d): message %d was handled, but is reported as not: %v", id, s.way, sink, to.way, n, u.Err)
				}
			}
		}
		for n := range sent {
			if !listed[n] && !handled(n) {
				t.Errorf("from %d (way %d) to %d (way %d): message %d of %d was not handled, and its source was not told", id, s.way, sink, to.way, n, sent)
				break
			}
		}
	}
}
