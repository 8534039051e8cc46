package keys

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

// sourceNode is a node that sends to keys, and owns none.
type sourceNode struct {
	c     *crowd
	index int
	node  *ringdht.Node
	space *Space[tallied]
	again bool // some messages are sent with Again

	sent []uint64 // by key; one goroutine at a time for each

	told  atomic.Uint64 // unknown outcomes that it has heard of
	mu    sync.Mutex
	calls []time.Duration
}

// joinSource lets a source join.
func (c *crowd) joinSource(index int, again bool) {
	c.t.Helper()
	opts, _ := c.options()
	s := &sourceNode{c: c, index: index, node: ringdht.NewNode(opts...), again: again, sent: make([]uint64, len(c.keys))}
	codec := s.node.Codec()
	s.space = New[tallied](s.node, "counters", WithUnknown(func(u Unknown) {
		var m numbered
		if err := codec.Decode(u.Body, &m); err != nil {
			c.wrong("what source %d is told makes no sense: %v", index, err)
		}
		c.judge.told(u.Key, index, m.N)
		s.told.Add(1)
	}))
	c.sources = append(c.sources, s)
	if err := s.node.Join(c.Ctx(), c.Line()); err != nil {
		c.t.Fatal(err)
	}
	if err := s.node.Ready(c.Ctx()); err != nil {
		c.t.Fatal(err)
	}
}

// run sends messages while there are any left, and until enough has happened, from some goroutines that have the keys among them.
func (s *sourceNode) run(left *atomic.Int64, goroutines int) {
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for {
				key := g + goroutines*rand.IntN((len(s.sent)-g+goroutines-1)/goroutines)
				burst := int64(1 + rand.IntN(40))
				if left.Add(-burst) < 0 && s.c.enough(s.again) {
					return
				}
				for range burst - 1 {
					s.send(key)
				}
				s.call(key)
			}
		})
	}
	all.Wait()
	err := s.space.Flush(s.c.Ctx())
	if err != nil && !errors.Is(err, ErrUnknown) {
		s.c.wrong("source %d: %v", s.index, err)
	}
	ringtest.WaitUntil(s.c.t, "the last unknown outcome is told", func() bool { return s.c.over.Load() || s.told.Load() == s.space.Counters().Unknown })
}

// next makes the next message to a key.
func (s *sourceNode) next(key int) (m numbered, opts []SendOption) {
	s.sent[key]++
	m = numbered{Source: s.index, N: s.sent[key], Again: s.again && rand.IntN(2) == 0}
	if m.Again {
		opts = append(opts, Again())
	}
	return m, opts
}

func (s *sourceNode) send(key int) {
	m, opts := s.next(key)
	if err := count.Send(context.Background(), s.space, s.c.keys[key], m, opts...); err != nil {
		s.c.wrong("source %d: %v", s.index, err)
	}
}

func (s *sourceNode) call(key int) {
	m, opts := s.next(key)
	began := time.Now()
	var err error
	s.c.within(fmt.Sprintf("a call of source %d to %s, point %x", s.index, s.c.keys[key], Point(s.c.keys[key])), func() {
		_, err = count.Call(context.Background(), s.space, s.c.keys[key], m, opts...)
	})
	took := time.Since(began)
	switch {
	case err == nil:
		s.c.judge.acked(s.c.keys[key], s.index, m.N)
		s.mu.Lock()
		s.calls = append(s.calls, took)
		s.mu.Unlock()
	case errors.Is(err, ErrUnknown):
		s.c.judge.told(s.c.keys[key], s.index, m.N)
		s.told.Add(1)
	default:
		s.c.wrong("source %d: %v", s.index, err)
	}
}
