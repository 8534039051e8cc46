package keys

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/unwrap"
	"github.com/x/ringdht/memnet"
)

// tally is the state of a key in the tests: how many steps it has got, and the latest of each source.
type tally struct {
	Count uint64
	Last  map[string]uint64
	Fill  []byte
}

// step is a message of the tests: the N-th of a source to a key, from 1 on.
type step struct {
	From string
	N    uint64
}

const add = Method[tally, step, uint64]("add")

// ledger is what all owners of a ring have handled, by key, in order. It knows no ends of lives.
type ledger struct {
	mu      sync.Mutex
	handled map[string][]step
}

func (l *ledger) note(key string, s step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handled[key] = append(l.handled[key], s)
}

// of returns the numbers of a source's steps, in the order in which they were handled.
func (l *ledger) of(key, from string) (all []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.handled[key] {
		if s.From == from {
			all = append(all, s.N)
		}
	}
	return all
}

// service is a ring whose nodes have a Space.
type service struct {
	*ringtest.Ring
	t      testing.TB
	net    *memnet.Network
	opts   []Option
	ledger ledger
	handle func(p *member, ctx context.Context, key string, state *tally, s step) error // besides; may be nil
	set    func(s *Space[tally])                                                        // may be nil
}

// member is a node with a Space.
type member struct {
	*ringtest.Node
	r     *service
	host  string
	space *Space[tally]
}

// inMemory runs a test in a bubble, on a ring in memory.
func inMemory(t *testing.T, test func(t *testing.T, r *service), opts ...Option) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		r := &service{Ring: ringtest.New(t, net, ringdht.WithLease(ringtest.Lease)), t: t, net: net, opts: opts}
		r.ledger.handled = make(map[string][]step)
		test(t, r)
		r.Close()
		synctest.Wait()
	})
}

// make makes a node that has not joined. An owner handles add.
func (r *service) make(id ringdht.ID, owns bool, opts ...ringdht.NodeOption) *member {
	r.t.Helper()
	host := fmt.Sprint("n", len(r.Nodes))
	n := ringdht.NewNode(r.Options(append(opts, ringdht.WithID(id)))...)
	p := &member{Node: &ringtest.Node{Node: n}, r: r, host: host, space: New[tally](n, "counters", r.opts...)}
	if r.set != nil {
		r.set(p.space)
	}
	if owns {
		add.Handle(p.space, func(ctx context.Context, key string, state *tally, s step) (uint64, error) {
			r.ledger.note(key, s)
			if state.Last == nil {
				state.Last = make(map[string]uint64)
			}
			state.Last[s.From] = s.N
			state.Count++
			if r.handle != nil {
				if err := r.handle(p, ctx, key, state, s); err != nil {
					return 0, err
				}
			}
			return state.Count, nil
		})
	}
	r.Nodes = append(r.Nodes, p.Node)
	return p
}

// join lets a node join.
func (r *service) join(p *member) *member {
	r.t.Helper()
	if err := p.Join(r.Ctx(), r.Line()); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// start starts a ring of owners, with the IDs 10, 20 and so on.
func (r *service) start(owners int) (all []*member) {
	r.t.Helper()
	for i := range owners {
		all = append(all, r.join(r.make(ringdht.ID(10*(i+1)), true)))
	}
	r.Setup(0)
	return all
}

// awaitOwners waits until the registry has the reports of this many owners. One that leaves before another has
// reported is the last one.
func (r *service) awaitOwners(n int) {
	r.t.Helper()
	ringtest.WaitUntil(r.t, "the owners have reported", func() bool {
		for _, s := range unwrap.Registry(r.Registry).Keys() {
			if s.Owners == n {
				return true
			}
		}
		return false
	})
}

// leave lets a node leave.
func (r *service) leave(p *member) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.Ctx(), time.Minute)
	defer cancel()
	if err := p.Leave(ctx); err != nil {
		r.t.Error("leaving: ", err)
	}
	r.Remove(p.Node)
}

// die ends a node without a word.
func (r *service) die(p *member) {
	p.Close()
	r.Remove(p.Node)
}

// source sends steps to a key, one after the other.
type source struct {
	p    *member
	key  string
	name string

	n uint64 // sent
}

func (p *member) source(key string) *source {
	return &source{p: p, key: key, name: fmt.Sprintf("%d>%s", p.ID(), key)}
}

// call calls a number of times.
func (s *source) call(times int) (last uint64) {
	s.p.r.t.Helper()
	for range times {
		s.n++
		count, err := add.Call(s.p.r.Ctx(), s.p.space, s.key, step{s.name, s.n})
		if err != nil {
			s.p.r.t.Errorf("%s %d: %v", s.name, s.n, err)
			return 0
		}
		last = count
	}
	return last
}

// send sends a number of steps, and does not wait for their outcomes.
func (s *source) send(times int, opts ...SendOption) {
	s.p.r.t.Helper()
	for range times {
		s.n++
		if err := add.Send(s.p.r.Ctx(), s.p.space, s.key, step{s.name, s.n}, opts...); err != nil {
			s.p.r.t.Errorf("%s %d: %v", s.name, s.n, err)
			return
		}
	}
}

// flush waits for the outcomes.
func (p *member) flush() {
	p.r.t.Helper()
	if err := p.space.Flush(p.r.Ctx()); err != nil {
		p.r.t.Errorf("node %d: %v", p.ID(), err)
	}
}

// checkExact fails the test unless all steps of a source were handled once, and in order.
func (s *source) checkExact() {
	s.p.r.t.Helper()
	got := s.p.r.ledger.of(s.key, s.name)
	var want []uint64
	for n := range s.n {
		want = append(want, n+1)
	}
	if !slices.Equal(got, want) {
		s.p.r.t.Errorf("%s: handled %d of %d: %v", s.name, len(got), len(want), firstWrong(got))
	}
}

// checkOrder fails the test unless steps were handled in order, each once at most.
func (s *source) checkOrder() {
	s.p.r.t.Helper()
	if got := s.p.r.ledger.of(s.key, s.name); !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		s.p.r.t.Errorf("%s: handled out of order, or twice: %v", s.name, firstWrong(got))
	}
}

// firstWrong cuts out what comes around the first gap.
func firstWrong(got []uint64) []uint64 {
	for i, n := range got {
		if n != uint64(i+1) {
			return got[max(0, i-3):min(len(got), i+3)]
		}
	}
	return got[max(0, len(got)-3):]
}

// keysOf are some keys.
func keysOf(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("key-", i))
	}
	return all
}

func newNode(n *ringdht.Node) *ringtest.Node { return &ringtest.Node{Node: n} }
