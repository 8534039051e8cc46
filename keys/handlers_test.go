package keys

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/rpc"
)

// Handlers call other keys, in both directions, while arcs move. Nothing waits in a circle, with one place
// for handlers too.
func TestHandlersCallOtherKeys(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.handle = func(p *member, ctx context.Context, key string, _ *tally, s step) error {
			if other, ok := strings.CutPrefix(key, "front-"); ok {
				_, err := add.Call(ctx, p.space, "back-"+other, step{key, s.N})
				return err
			}
			return nil
		}
		all := r.start(2)
		client := r.join(r.make(5, false))
		var sources []*source
		var calls sync.WaitGroup
		done, running := make(chan struct{}), make(chan struct{})
		begin := sync.OnceFunc(func() { close(running) })
		for _, key := range keysOf(20) {
			s := client.source("front-" + key)
			sources = append(sources, s)
			calls.Go(func() {
				for open := true; open; {
					s.call(3)
					begin()
					select {
					case <-done:
						open = false
					case <-time.After(20 * time.Millisecond):
					}
				}
			})
		}
		<-running
		r.join(r.make(30, true))
		r.join(r.make(40, true))
		r.leave(all[0])
		close(done)
		calls.Wait()
		for _, s := range sources {
			s.checkExact()
			back := source{p: client, key: "back-" + strings.TrimPrefix(s.key, "front-"), name: s.key, n: s.n}
			back.checkExact()
		}
	}, WithConcurrency(1))
}

// OnLoad makes a state once, before the first message, which waits for it. If it fails the message gets the
// error, and the next one tries again.
func TestOnLoad(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		var loads atomic.Int32
		failing := rpc.NewError("disk", "the disk is full")
		r.set = func(s *Space[tally]) {
			s.OnLoad(func(_ context.Context, key string) (tally, error) {
				time.Sleep(time.Second)
				if loads.Add(1) == 1 {
					return tally{}, failing
				}
				return tally{Count: 100}, nil
			})
		}
		all := r.start(1)
		client := r.join(r.make(5, false))
		if _, err := add.Call(r.Ctx(), client.space, "a", step{"x", 1}); !errors.Is(err, failing) {
			t.Error(err)
		}
		s := client.source("a")
		s.send(5)
		if n := s.call(1); n != 106 {
			t.Errorf("counted %d", n)
		}
		r.join(r.make(20, true))
		r.awaitOwners(2)
		r.leave(all[0])
		if n := s.call(1); n != 107 || loads.Load() != 2 {
			t.Errorf("counted %d, loaded %d times", n, loads.Load())
		}
		s.checkExact()
	})
}

// The last owner that leaves saves its states, and the next one loads them. Messages wait meanwhile.
func TestLastOwnerLeaves(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		var mu sync.Mutex
		disk := make(map[string]tally)
		r.set = func(s *Space[tally]) {
			s.OnSave(func(ctx context.Context, key string, state *tally) error {
				time.Sleep(10 * time.Millisecond)
				if Term(ctx) == 0 {
					t.Error("OnSave has no term")
				}
				mu.Lock()
				defer mu.Unlock()
				disk[key] = *state
				return nil
			})
			s.OnLoad(func(_ context.Context, key string) (tally, error) {
				mu.Lock()
				defer mu.Unlock()
				return disk[key], nil
			})
		}
		last := r.join(r.make(10, true))
		client := r.join(r.make(5, false))
		r.Setup(0)
		var sources []*source
		for _, key := range keysOf(10) {
			s := client.source(key)
			s.call(3)
			sources = append(sources, s)
		}
		r.leave(last)
		if len(disk) != 10 {
			t.Errorf("saved %d states", len(disk))
		}
		for _, s := range sources {
			s.send(2)
		}
		ctx, cancel := context.WithTimeout(r.Ctx(), time.Second)
		defer cancel()
		if _, err := add.Call(ctx, client.space, "key-0", step{"x", 1}); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		r.join(r.make(20, true))
		for _, s := range sources {
			want := uint64(6)
			if s.key == "key-0" {
				want++
			}
			if n := s.call(1); n != want {
				t.Errorf("%s counts %d", s.key, n)
			}
			s.checkExact()
		}
	})
}

// A handler that hangs holds up the move of its key until its context ends.
func TestPatience(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.handle = func(_ *member, ctx context.Context, _ string, _ *tally, s step) error {
			if s.From == "hang" {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}
		all := r.start(1)
		client := r.join(r.make(5, false))
		hung := make(chan error, 1)
		go func() {
			_, err := add.Call(r.Ctx(), client.space, "a", step{"hang", 1})
			hung <- err
		}()
		s := client.source("b")
		s.call(1)
		r.join(r.make(20, true))
		r.awaitOwners(2)
		synctest.Wait()
		began := time.Now()
		r.leave(all[0])
		if d := time.Since(began); d < 3*time.Second || d > 5*time.Second {
			t.Errorf("the leave took %v", d)
		}
		if err := <-hung; err == nil || !strings.Contains(err.Error(), "WithPatience") {
			t.Error(err)
		}
		s.call(1)
		s.checkExact()
	}, WithPatience(4*time.Second))
}

// A panic of a handler is its answer, and the key goes on.
func TestPanic(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.handle = func(_ *member, ctx context.Context, key string, _ *tally, s step) error {
			if op := rpc.FromContext(ctx); op.Key != key || op.Peer != 5 || Term(ctx) == 0 || op.Method != "add" {
				t.Errorf("%+v, term %d", op, Term(ctx))
			}
			if s.N == 1 {
				panic("on purpose")
			}
			return nil
		}
		r.start(1)
		client := r.join(r.make(5, false))
		if _, err := add.Call(r.Ctx(), client.space, "a", step{"x", 1}); !errors.Is(err, rpc.ErrPanic) {
			t.Error(err)
		}
		if n, err := add.Call(r.Ctx(), client.space, "a", step{"x", 2}); n != 2 || err != nil {
			t.Error(n, err)
		}
		const other = Method[tally, step, uint64]("other")
		if _, err := other.Call(r.Ctx(), client.space, "a", step{}); !errors.Is(err, rpc.ErrNoMethod) || !errors.Is(err, ErrNotHandled) {
			t.Error(err)
		}
		if _, err := add.Call(r.Ctx(), client.space, strings.Repeat("k", 5000), step{}); !errors.Is(err, ringdht.ErrTooLarge) || !errors.Is(err, ErrNotHandled) {
			t.Error(err)
		}
		if _, err := add.Call(r.Ctx(), client.space, "a", step{From: strings.Repeat("k", client.MaxPayload())}); !errors.Is(err, ringdht.ErrTooLarge) || !errors.Is(err, ErrNotHandled) {
			t.Error(err)
		}
		if c := client.space.Counters(); c.Malformed != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Two spaces at a node have different states and different owners.
func TestTwoSpaces(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		const put = Method[string, string, string]("put")
		var others []*Space[string]
		for i := range 3 {
			p := r.make(ringdht.ID(10*(i+1)), i == 0)
			other := New[string](p.Node.Node, "other")
			if i > 0 {
				put.Handle(other, func(_ context.Context, _ string, state *string, s string) (string, error) {
					*state += s
					return *state, nil
				})
			}
			others = append(others, other)
			r.join(p)
		}
		r.Setup(0)
		client := r.join(r.make(5, false))
		s := client.source("a")
		s.call(2)
		for _, o := range others {
			if _, err := put.Call(r.Ctx(), o, "a", "x"); err != nil {
				t.Error(err)
			}
		}
		if got, err := put.Call(r.Ctx(), others[0], "a", "y"); got != "xxxy" || err != nil {
			t.Error(got, err)
		}
		if id, err := others[0].Owner(r.Ctx(), "a"); err != nil || id == 10 {
			t.Error(id, err)
		}
		s.checkExact()
	})
}
