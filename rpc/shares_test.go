package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
)

// What peers get that ask for all, one after the other, and keep it.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		all  int
		want []int
	}{
		{1, []int{1, 0}},
		{7, []int{7, 0}},
		{8, []int{6, 2, 0}},
		{64, []int{48, 12, 3, 1, 0}},
		{256, []int{192, 48, 12, 3, 1, 0}},
	} {
		var s shares
		s.init(c.all)
		var got []int
		for range c.want {
			n := 0
			for s.try(ringdht.ID(len(got))) {
				n++
			}
			got = append(got, n)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("of %d places: %v, want %v", c.all, got, c.want)
		}
		for peer, n := range got {
			for range n {
				s.put(ringdht.ID(peer))
			}
		}
		if s.free != c.all || len(s.held) > 0 {
			t.Errorf("%d of %d places are free at the end, %d peers hold some", s.free, c.all, len(s.held))
		}
	}
}

// Those that wait get places in the order in which they came, but for a peer that holds its share. One
// that gives up loses no place.
func TestSharesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shares
		s.init(8)
		for range 6 {
			s.take(t.Context(), 1)
		}
		for range 2 {
			s.take(t.Context(), 2)
		}
		got := make(chan ringdht.ID, 10)
		wait := func(ctx context.Context, peer ringdht.ID) {
			go func() {
				if s.take(ctx, peer) {
					got <- peer
				}
			}()
			synctest.Wait()
		}
		brief, cancel := context.WithCancel(t.Context())
		wait(t.Context(), 1)
		wait(brief, 5)
		wait(t.Context(), 3)
		wait(t.Context(), 4)
		cancel()
		synctest.Wait()
		s.put(2)
		s.put(1)
		synctest.Wait()
		if a, b := <-got, <-got; a+b != 7 || len(got) > 0 {
			t.Errorf("%d and %d got the two free places", a, b)
		}
		s.put(1)
		s.put(1)
		if peer := <-got; peer != 1 || s.free != 1 || len(s.waiting) > 0 {
			t.Errorf("%d got a place, %d are free, %d wait", peer, s.free, len(s.waiting))
		}
		if waited, refused := s.counts(); waited != 4 || refused > 0 {
			t.Errorf("%d have waited, %d were refused", waited, refused)
		}
	})
}

// A peer that gets a place while it gives up does not keep it.
func TestShareIsGivenTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shares
		s.init(1)
		s.try(1)
		ctx, cancel := context.WithCancel(t.Context())
		taken := make(chan bool, 1)
		go func() { taken <- s.take(ctx, 2) }()
		synctest.Wait()
		s.mu.Lock()
		cancel() // it is about to find out
		s.back(1)
		s.mu.Unlock()
		if <-taken || s.free != 1 || len(s.held) > 0 || len(s.waiting) > 0 {
			t.Errorf("%d places are free, %d wait", s.free, len(s.waiting))
		}
	})
}

// hostile makes as many calls as the callee takes, which end with ctx.
func hostile(t *testing.T, w *world, id ringdht.ID, ctx context.Context) {
	e := w.join(id, nil)
	for range 300 {
		go block.Call(ctx, e, 2, "x")
	}
	synctest.Wait()
}

// A source makes calls that never end, as many as it may. The call of another one is handled. The same
// holds for the requests of handlers.
func TestHostileSource(t *testing.T) {
	for _, nested := range []bool{false, true} {
		t.Run(fmt.Sprint("handlers=", nested), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if nested {
					ctx = context.WithValue(ctx, opKey{}, new(Op))
				}
				g := newGate()
				g.begun, g.ended = make(chan string, 1000), make(chan error, 1000)
				callee := w.join(2, g.methods)
				callee.nested.init(256)
				for id := ringdht.ID(10); id < 13; id++ {
					hostile(t, w, id, ctx)
				}
				if n := callee.serves.len(); n != 192+48+12 {
					t.Errorf("%d calls are handled", n)
				}
				e := w.join(1, nil)
				soon, end := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				defer end()
				for range 100 {
					if _, err := echo.Call(soon, e, 2, "x"); err != nil {
						t.Fatal(err)
					}
				}
				c := callee.Counters()
				if !nested && c.Waited != 3 || nested && c.Refused == 0 {
					t.Errorf("counted: %+v", c)
				}
			})
		})
	}
}

// Peers do not read their answers. So messages to them wait, and those to another one do not.
func TestSlowPeers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.window = 100
		callee := w.join(2, newGate().methods)
		w.join(1, nil)
		for id := ringdht.ID(10); id < 13; id++ {
			w.join(id, nil)
			w.hold(2, id, answers, true)
			for n := range uint64(1000) {
				callee.receive(t.Context(), answers, ringdht.Message{Source: id, Body: appendList(nil, kindAsk, n)})
			}
			synctest.Wait()
		}
		told := false
		callee.courier(1, func() { told = callee.tell(1, kindUnknown, []uint64{1}) == nil })
		synctest.Wait()
		if !told {
			t.Error("the other peer is not told")
		}
		if c := callee.Counters(); c.LeftOut == 0 || c.Malformed > 0 {
			t.Errorf("counted: %+v", c)
		}
	})
}

// Answers that cannot be encoded, or sent, are counted.
func TestUnencodedAnswersAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.most = 2000
		e := w.join(1, nil)
		callee := w.join(2, func(e *Endpoint) {
			Method[int, any]("any").Handle(e, func(_ context.Context, n int) (any, error) {
				if n == 0 {
					return func() {}, nil
				}
				return make([]byte, n), nil
			})
		})
		for _, n := range []int{0, 10, 3000} {
			_, err := Method[int, any]("any").Call(t.Context(), e, 2, n)
			if errors.Is(err, ErrNotHandled) || errors.Is(err, ErrUnknown) || (err == nil) != (n == 10) {
				t.Errorf("%d: %v", n, err)
			}
		}
		if c := callee.Counters(); c != (Counters{Unencoded: 2}) {
			t.Errorf("counted: %+v", c)
		}
	})
}
