package notify

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// state is what an owner of a Change looks like: a value, the mutex that guards it, and the
// Change that announces its new values.
type state struct {
	mu      sync.Mutex
	n       int
	changed Change
}

func (s *state) set(n int) {
	s.mu.Lock()
	s.n = n
	s.changed.Broadcast()
	s.mu.Unlock()
}

func (s *state) await(ctx, owner context.Context, n int) error {
	return s.changed.Await(ctx, owner, &s.mu, func() bool { return s.n >= n })
}

func TestAwaitReturnsAtOnceWhenDone(t *testing.T) {
	s := state{n: 1}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.await(ended, ended, 1); err != nil {
		t.Errorf("done before the wait, although both contexts have ended: %v", err)
	}
	if s.changed.Awaited() {
		t.Error("a channel was made for nothing")
	}
}

func TestBroadcastWakesAllWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s state
		woken := 0
		for range 3 {
			go func() {
				if err := s.await(t.Context(), context.Background(), 2); err != nil {
					t.Error(err)
				}
				s.mu.Lock()
				woken++
				s.mu.Unlock()
			}()
		}
		check := func(want int, what string) {
			t.Helper()
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			if woken != want {
				t.Errorf("%s: %d of 3 have returned, want %d", what, woken, want)
			}
		}
		check(0, "no change")
		if !s.changed.Awaited() {
			t.Error("three wait, and nothing is awaited")
		}
		s.set(1)
		check(0, "a change that is not the one")
		s.set(2)
		check(3, "the change")
		if s.changed.Awaited() {
			t.Error("awaited, and nothing waits")
		}
	})
}

func TestAwaitEndsWithAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("why")
		for _, which := range []string{"ctx", "owner"} {
			var s state
			ctx, cancel := context.WithCancelCause(t.Context())
			owner := context.Background()
			if which == "owner" {
				ctx, owner = owner, ctx
			}
			got := make(chan error, 1)
			go func() { got <- s.await(ctx, owner, 1) }()
			synctest.Wait()
			cancel(why)
			if err := <-got; err != why {
				t.Errorf("%s ended: %v", which, err)
			}
		}
	})
}

// TestWaitLooksAtWhatHasHappenedFirst: a channel that is closed wins over both contexts.
func TestWaitLooksAtWhatHasHappenedFirst(t *testing.T) {
	happened, never := make(chan struct{}), make(chan struct{})
	close(happened)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		for _, err := range []error{
			Wait(ended, t.Context(), happened, never), Wait(ended, t.Context(), never, happened),
			Wait(t.Context(), ended, happened, nil), Wait(ended, ended, never, happened),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if Wait(ended, t.Context(), never, nil) == nil || Wait(t.Context(), ended, nil, never) == nil {
			t.Fatal("nothing has happened")
		}
	}
}

// TestNoChangeIsMissed: waiters without the mutex, many writers.
func TestNoChangeIsMissed(t *testing.T) {
	const writers, each = 4, 500
	var s state
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range writers {
		wg.Go(func() {
			for range each {
				s.mu.Lock()
				s.n++
				s.mu.Unlock()
				s.changed.Broadcast() // after the change, without the mutex
			}
		})
		wg.Go(func() {
			for {
				changed := s.changed.Next()
				s.mu.Lock()
				n := s.n
				s.mu.Unlock()
				if n == writers*each {
					return
				}
				if err := Wait(ctx, context.Background(), changed, nil); err != nil {
					t.Errorf("at %d of %d: %v", n, writers*each, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestBroadcastWithoutWaitersIsFree(t *testing.T) {
	var c Change
	if n := testing.AllocsPerRun(100, c.Broadcast); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
