package rpc

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
)

var (
	ledgers = flag.Int("ledgers", 30, "worlds of TestLedger")
	from    = flag.Uint64("from", 1, "seed of the first")
)

// account is what became of all calls of a test.
type account struct {
	mu      sync.Mutex
	handled map[string]int
	ended   map[string]error
	twice   []string
}

func (a *account) handle(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handled[id]++
}

func (a *account) end(id string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.ended[id]; ok {
		a.twice = append(a.twice, id)
	}
	a.ended[id] = err
}

// check compares what callers were told with what handlers have had. mayUnknown reports whether
// something has happened that leaves an outcome open.
func (a *account) check(t *testing.T, begun int, mayUnknown func(id string, err error) bool) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ended) != begun || len(a.twice) > 0 {
		t.Errorf("%d calls, %d have ended, %q twice", begun, len(a.ended), a.twice)
	}
	for id, err := range a.ended {
		n := a.handled[id]
		var remote *Error
		answered := err == nil || errors.As(err, &remote) && remote.Remote && errors.Is(err, errOdd)
		switch {
		case n > 1:
			t.Errorf("call %s was handled %d times: %v", id, n, err)
		case answered && n != 1:
			t.Errorf("call %s was answered without a handler: %v", id, err)
		case answered:
		case errors.Is(err, ErrUnknown):
			if !mayUnknown(id, err) {
				t.Errorf("the outcome of call %s is unknown without a reason: %v", id, err)
			}
		case !errors.Is(err, ErrNotHandled):
			t.Errorf("call %s has no clear end: %v", id, err)
		case n != 0:
			t.Errorf("call %s was handled, though its error says that it was not: %v", id, err)
		}
	}
}

var errOdd = NewError("odd", "an odd number")

// Members die, leave, are evicted and come back under the same IDs while calls are made, and streams
// end for no reason. Each call ends once, and what it says is true.
func TestLedger(t *testing.T) {
	for seed := *from; seed < *from+uint64(*ledgers); seed++ {
		for _, gentle := range []bool{true, false} {
			t.Run(fmt.Sprint(seed, " gentle=", gentle), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) { runLedger(t, w, seed, gentle) })
			})
		}
	}
}

// runLedger runs one world. In a gentle one nodes only leave, and come back.
func runLedger(t *testing.T, w *world, seed uint64, gentle bool) {
	r := rand.New(rand.NewPCG(seed, 0))
	w.silent, w.window = r.IntN(2) == 0, 50+r.IntN(500)
	a := &account{handled: make(map[string]int), ended: make(map[string]error)}
	work := Method[string, string]("work")
	const members = 5
	var mu sync.Mutex
	seen := make(map[ringdht.ID]*Endpoint)
	join := func(id ringdht.ID) {
		e := w.join(id, func(e *Endpoint) {
			work.Handle(e, func(ctx context.Context, s string) (string, error) {
				a.handle(s)
				if s[len(s)-1] == '7' {
					select {
					case <-time.After(3 * time.Second):
					case <-ctx.Done():
					}
				}
				if s[len(s)-1]%2 == 1 {
					return "", fmt.Errorf("%s: %w", s, errOdd)
				}
				return s, nil
			})
		}, WithConcurrency(3))
		mu.Lock()
		seen[id] = e
		mu.Unlock()
	}
	for id := range ringdht.ID(members) {
		join(id)
	}
	var wg sync.WaitGroup
	begun := 0
	for step := range 400 {
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
		id, to := ringdht.ID(r.IntN(members)), ringdht.ID(r.IntN(members))
		mu.Lock()
		e := seen[id]
		mu.Unlock()
		switch p := r.IntN(100); {
		case p < 2 && w.has(id):
			wg.Go(func() { w.leaveIfThere(id); join(id) })
		case p < 4 && !gentle && w.has(id):
			w.die(id)
			join(id)
		case p < 6 && !gentle && w.has(id):
			w.evict(id)
		case p < 9 && !gentle && w.has(id):
			w.cut(id, to, lane(r.IntN(2)))
		case p < 12:
			w.hold(id, to, lane(r.IntN(2)), r.IntN(2) == 0)
		case p < 14:
			w.holdNone()
		default:
			begun++
			s := fmt.Sprint(step)
			wg.Go(func() { _, err := work.Call(t.Context(), e, to, s); a.end(s, err) })
		}
	}
	w.holdNone()
	wg.Wait()
	a.check(t, begun, func(string, error) bool { return !gentle })
}

func (w *world) has(id ringdht.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[id]
	if m == nil || m.leaving {
		return false
	}
	return true
}

// leaveIfThere lets a member leave, unless it is about to.
func (w *world) leaveIfThere(id ringdht.ID) {
	w.mu.Lock()
	m := w.nodes[id]
	m.leaving = true
	w.mu.Unlock()
	w.leave(id)
}

func (w *world) holdNone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.held)
	w.cond.Broadcast()
}
