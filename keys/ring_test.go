package keys

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
)

// Counters of many keys are exact while owners join and leave under concurrent callers. Each source's
// messages to a key are handled once, and in order.
func TestExactWhileOwnersComeAndGo(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		client := r.join(r.make(5, false))
		var sources []*source
		var calls sync.WaitGroup
		half := make(chan struct{})
		begin := sync.OnceFunc(func() { close(half) })
		done := make(chan struct{})
		for _, key := range keysOf(20) {
			for _, p := range []*member{client, all[0], all[1]} {
				s := p.source(key)
				sources = append(sources, s)
				calls.Go(func() {
					s.call(30)
					begin()
					for open := true; open; {
						s.call(5)
						s.send(5)
						select {
						case <-done:
							open = false
						case <-time.After(10 * time.Millisecond):
						}
					}
					s.call(10)
				})
			}
		}
		<-half
		fourth := r.join(r.make(45, true))
		r.join(r.make(55, true))
		r.leave(all[2])
		r.leave(fourth)
		r.join(r.make(35, true))
		close(done)
		calls.Wait()
		for _, p := range []*member{client, all[0], all[1]} {
			p.flush()
		}
		sent := make(map[string]uint64)
		for _, s := range sources {
			s.checkExact()
			sent[s.key] += s.n
		}
		for key, n := range sent {
			last := client.source(key)
			last.name = "last"
			if got := last.call(1); got != n+1 {
				t.Errorf("%s counts %d, want %d", key, got, n+1)
			}
		}
		t.Logf("%+v", client.space.Counters())
		t.Logf("%+v", all[0].space.Counters())
	})
}

// Two nodes, one of which owns keys.
func TestCall(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(1)
		client := r.join(r.make(5, false))
		s := client.source("a")
		if n := s.call(3); n != 3 {
			t.Errorf("counted %d", n)
		}
		if id, err := client.space.Owner(r.Ctx(), "a"); err != nil || id != 10 {
			t.Errorf("the owner is %d, %v", id, err)
		}
		own := all[0].source("a")
		if n := own.call(2); n != 5 {
			t.Errorf("counted %d", n)
		}
		var here []string
		for key := range all[0].space.Here() {
			here = append(here, key)
		}
		if len(here) != 1 || here[0] != "a" {
			t.Errorf("here: %q", here)
		}
	})
}

// Owners die under callers. Messages have their outcomes: what was answered was handled once, and what was
// not answered is of unknown outcome. Each source's messages to a key stay in order.
func TestOwnersDie(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.handle = func(_ *member, ctx context.Context, _ string, _ *tally, _ step) error {
			select { // so that some are under way
			case <-time.After(7 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		}
		all := r.start(4)
		client := r.join(r.make(5, false))
		var calls sync.WaitGroup
		type outcome struct {
			s        *source
			n        uint64
			answered bool
		}
		var mu sync.Mutex
		var outcomes []outcome
		var sources []*source
		unknown := 0
		stop, running := make(chan struct{}), make(chan struct{})
		begin := sync.OnceFunc(func() { close(running) })
		for _, key := range keysOf(30) {
			for _, p := range []*member{client, all[0]} {
				s := p.source(key)
				sources = append(sources, s)
				calls.Go(func() {
					for open := true; open; {
						s.n++
						_, err := add.Call(r.Ctx(), p.space, key, step{s.name, s.n})
						if err != nil && !errors.Is(err, ErrUnknown) {
							t.Errorf("%s %d: %v", s.name, s.n, err)
						}
						mu.Lock()
						outcomes = append(outcomes, outcome{s, s.n, err == nil})
						if err != nil {
							unknown++
						}
						mu.Unlock()
						begin()
						select {
						case <-stop:
							open = false
						case <-time.After(5 * time.Millisecond):
						}
					}
				})
			}
		}
		<-running
		time.Sleep(100 * time.Millisecond)
		r.die(all[1])
		time.Sleep(100 * time.Millisecond)
		r.die(all[2])
		r.join(r.make(25, true))
		time.Sleep(time.Second)
		close(stop)
		calls.Wait()
		for _, s := range sources {
			s.checkOrder()
		}
		for _, o := range outcomes {
			if times := countOf(r.ledger.of(o.s.key, o.s.name), o.n); times > 1 || o.answered && times != 1 {
				t.Errorf("%s %d: answered is %v, and it was handled %d times", o.s.name, o.n, o.answered, times)
			}
		}
		if unknown == 0 {
			t.Error("no message was of unknown outcome: this test does not test it")
		}
		for _, s := range sources {
			s.call(1)
		}
	})
}

func countOf(all []uint64, n uint64) (times int) {
	for _, v := range all {
		if v == n {
			times++
		}
	}
	return times
}

// Messages sent with Again are all handled, though owners die: those that were under way perhaps twice, and
// none before an earlier one was handled.
func TestAgain(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(4)
		client := r.join(r.make(5, false))
		var sources []*source
		r.handle = func(_ *member, ctx context.Context, _ string, _ *tally, _ step) error {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		}
		for _, key := range keysOf(30) {
			s := client.source(key)
			s.call(1)
			s.send(20, Again())
			sources = append(sources, s)
		}
		time.Sleep(5 * time.Millisecond)
		r.die(all[1])
		r.die(all[2])
		client.flush()
		twice := 0
		for _, s := range sources {
			next := uint64(1) // each that is handled first comes in order
			for _, n := range r.ledger.of(s.key, s.name) {
				if n == next {
					next++
				} else if n > next {
					t.Errorf("%s: %d came before %d", s.name, n, next)
				} else {
					twice++
				}
			}
			if next != s.n+1 {
				t.Errorf("%s: %d of %d were handled", s.name, next-1, s.n)
			}
		}
		if c := client.space.Counters(); c.Repeats == 0 || c.Unknown != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// The registry restarts while arcs move. No state and no message is lost, and moves go on.
func TestRegistryRestarts(t *testing.T) {
	for _, graceful := range []bool{true, false} {
		inMemory(t, func(t *testing.T, r *service) {
			r.start(3)
			client := r.join(r.make(5, false))
			release := make(chan struct{})
			r.set = func(s *Space[tally]) {
				s.OnSave(func(ctx context.Context, _ string, _ *tally) error {
					select {
					case <-release:
					case <-time.After(time.Hour):
					}
					return nil
				})
			}
			slow := r.join(r.make(35, true)) // what it has it gives slowly
			var sources []*source
			for _, key := range keysOf(40) {
				s := client.source(key)
				s.call(2)
				sources = append(sources, s)
			}
			left := make(chan error, 1)
			if graceful {
				go func() { left <- slow.Leave(r.Ctx()) }()
			} else {
				r.join(r.make(36, true))
				left <- nil
			}
			time.Sleep(50 * time.Millisecond)
			for _, s := range sources {
				s.send(2)
			}
			r.Registry.Close()
			for _, n := range r.Nodes {
				<-n.Disconnected()
			}
			r.RestartRegistry(ringdht.WithLease(ringtest.Lease), ringdht.WithGrace(ringtest.Lease))
			if err := r.Registry.WaitMembers(r.Ctx(), len(r.Nodes)); err != nil {
				t.Fatal(err)
			}
			close(release)
			newcomer := r.join(r.make(45, true))
			if err := <-left; err != nil {
				t.Error(err)
			}
			if graceful {
				r.Remove(slow.Node)
			}
			for _, s := range sources {
				if n := s.call(2); n != 6 {
					t.Errorf("%s counts %d", s.key, n)
				}
				s.checkExact()
			}
			client.flush()
			ringtest.WaitUntil(t, "the newcomer owns arcs", func() bool { return newcomer.space.Counters().Taken > 0 })
		})
	}
}

// An owner that is cut off is declared dead. What it held others begin anew, and its messages have no
// known outcome. It comes back as a new life, which holds nothing of the old one's.
func TestFalselyDeclaredDead(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(3)
		client := r.join(r.make(5, false))
		var sources []*source
		for _, key := range keysOf(40) {
			s := client.source(key)
			s.call(3)
			sources = append(sources, s)
		}
		cut := all[1]
		before := slices.Collect(cut.space.Here())
		old := cut.Incarnation()
		r.net.Partition([]string{cut.host}, []string{"n0", "n2", "n3", "registry"})
		var own, late sync.WaitGroup
		for _, key := range before { // by the cut one to itself: nothing tells it yet
			own.Go(func() {
				if _, err := add.Call(r.Ctx(), cut.space, key, step{"cut", 1}); err != nil && !errors.Is(err, ErrUnknown) {
					t.Error(err)
				}
			})
		}
		for _, s := range sources {
			if !slices.Contains(before, s.key) { // which nothing answers before its life ends
				late.Go(func() {
					if _, err := add.Call(r.Ctx(), cut.space, s.key, step{"cut", 1}); !errors.Is(err, ErrUnknown) || !errors.Is(err, ringdht.ErrEvicted) {
						t.Error(err)
					}
				})
			}
			own.Go(func() {
				s.n++
				_, err := add.Call(r.Ctx(), client.space, s.key, step{s.name, s.n})
				if slices.Contains(before, s.key) != errors.Is(err, ErrUnknown) {
					t.Errorf("%s, of the node that is cut off %v: %v", s.key, slices.Contains(before, s.key), err)
				}
			})
		}
		own.Wait()
		for cut.Incarnation() == old {
			r.net.Heal()
			time.Sleep(time.Millisecond)
		}
		late.Wait()
		if err := cut.Ready(r.Ctx()); err != nil {
			t.Fatal(err)
		}
		for _, s := range sources {
			want := uint64(5)
			if slices.Contains(before, s.key) {
				want = 1
			}
			if got := s.call(1); got != want {
				t.Errorf("%s counts %d, want %d", s.key, got, want)
			}
			s.checkOrder()
		}
		if len(before) == 0 {
			t.Error("it held nothing")
		}
	})
}

// States are larger than a message, and an arc's is larger than what a stream holds.
func TestLargeStates(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		r.handle = func(_ *member, _ context.Context, key string, state *tally, s step) error {
			if s.N == 1 {
				state.Fill = bytes.Repeat([]byte(key), 1<<20/len(key))
			}
			if want := bytes.Repeat([]byte(key), 1<<20/len(key)); !bytes.Equal(state.Fill, want) {
				t.Errorf("%s has %d bytes", key, len(state.Fill))
			}
			return nil
		}
		all := r.start(1)
		client := r.join(r.make(5, false))
		var sources []*source
		for _, key := range keysOf(12) {
			s := client.source(key)
			s.call(1)
			sources = append(sources, s)
		}
		r.join(r.make(20, true))
		r.awaitOwners(2)
		r.leave(all[0])
		for _, s := range sources {
			if got := s.call(1); got != 2 {
				t.Errorf("%s counts %d", s.key, got)
			}
			s.checkExact()
		}
	})
}

// A newcomer takes over what an owner that leaves just then has given, at once: neither its first messages
// nor the name of that owner cost a pause.
func TestNewcomerTakesAtOnce(t *testing.T) {
	inMemory(t, func(t *testing.T, r *service) {
		all := r.start(5)
		client := r.join(r.make(5, false))
		for i := range 3 {
			for _, key := range keysOf(100) {
				client.source(key).call(1)
			}
			r.join(r.make(ringdht.ID(15+10*i), true))
			begun := time.Now()
			r.leave(all[i])
			if took := time.Since(begun); took > 90*time.Millisecond {
				t.Errorf("the owner has left after %v", took)
			}
		}
	})
}
