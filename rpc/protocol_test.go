package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
)

const (
	echo  = Method[string, string]("echo")
	block = Method[string, string]("block") // until its context ends
)

// gate lets handlers of the method block go on.
type gate struct {
	begun chan string
	open  chan struct{}
	ended chan error // why the contexts of handlers ended
}

func newGate() *gate {
	return &gate{begun: make(chan string, 100), open: make(chan struct{}), ended: make(chan error, 100)}
}

func (g *gate) methods(e *Endpoint) {
	echo.Handle(e, func(_ context.Context, s string) (string, error) { return s, nil })
	block.Handle(e, func(ctx context.Context, s string) (string, error) {
		g.begun <- s
		select {
		case <-ctx.Done():
			g.ended <- context.Cause(ctx)
			return "", ctx.Err()
		case <-g.open:
			return s + " done", nil
		}
	})
}

// bubble runs a test in a world of its own.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		test(t, w)
		w.close()
	})
}

// begin makes a call in the background, and waits until its handler runs.
func begin(t *testing.T, e *Endpoint, g *gate) (result chan error) {
	t.Helper()
	result = make(chan error, 1)
	go func() {
		_, err := block.Call(t.Context(), e, 2, "x")
		result <- err
	}()
	<-g.begun
	return result
}

// A call ends when its callee dies: at once where members are told, and within the interval of
// questions where they are not. The deadline has no part in it.
func TestCalleeDies(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("silent=", silent), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.silent = silent
				g := newGate()
				e := w.join(1, nil)
				w.join(2, g.methods)
				result := begin(t, e, g)
				start := time.Now()
				w.die(2)
				err := <-result
				if !errors.Is(err, ErrUnknown) || !errors.Is(err, ringdht.ErrNoSuchNode) {
					t.Errorf("error %v", err)
				}
				limit := time.Duration(0)
				if silent {
					limit = 2 * interval
				}
				if d := time.Since(start); d > limit {
					t.Errorf("told after %v, at most %v", d, limit)
				}
			})
		})
	}
}

// A callee that was replaced while the stream to it was idle does not know the call. It says so.
func TestCalleeIsReplaced(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("silent=", silent), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.silent = silent
				g := newGate()
				e := w.join(1, nil)
				w.join(2, g.methods)
				result := begin(t, e, g)
				w.die(2)
				w.join(2, g.methods)
				start := time.Now()
				if _, err := echo.Call(t.Context(), e, 2, "to the new one"); err != nil {
					t.Errorf("a call of the new incarnation: %v", err)
				}
				if err := <-result; !errors.Is(err, ErrUnknown) {
					t.Errorf("error %v", err)
				}
				if d := time.Since(start); d > 2*interval {
					t.Errorf("told after %v", d)
				}
			})
		})
	}
}

// Calls that take long are asked for, and go on.
func TestLongCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		result := begin(t, e, g)
		time.Sleep(100 * interval)
		close(g.open)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// A caller that dies ends the context of its handlers, also where members are not told.
func TestCallerDies(t *testing.T) {
	for _, silent := range []bool{false, true} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprint("silent=", silent, " again=", again), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					w.silent = silent
					g := newGate()
					e := w.join(1, nil)
					w.join(2, g.methods)
					result := begin(t, e, g)
					start := time.Now()
					w.die(1)
					if again { // under the same ID, a process that knows nothing
						w.join(1, nil)
					}
					<-g.ended
					if d := time.Since(start); d > 3*interval || !silent && d > 0 {
						t.Errorf("told after %v", d)
					}
					if err := <-result; !errors.Is(err, ErrUnknown) {
						t.Errorf("the caller's own error is %v", err)
					}
				})
			})
		}
	}
}

// A node that is declared dead while it lives ends its calls, and the contexts of its handlers, when it
// hears of it: no other node needs to answer.
func TestOwnIncarnationEnds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.silent = true
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		first, second := begin(t, e, g), begin(t, e, g)
		for _, l := range []lane{requests, answers} {
			w.hold(1, 2, l, true)
			w.hold(2, 1, l, true)
		}
		start := time.Now()
		w.evict(2)
		for range 2 {
			if err := <-g.ended; err != ringdht.ErrEvicted {
				t.Errorf("a handler's context ended with %v", err)
			}
		}
		w.evict(1)
		for _, c := range []chan error{first, second} {
			if err := <-c; !errors.Is(err, ErrUnknown) || !errors.Is(err, ringdht.ErrEvicted) {
				t.Errorf("error %v", err)
			}
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("told after %v", d)
		}
	})
}

// The node has another incarnation, and its endpoint has not heard of it yet. Requests that came to the
// one before are not answered, and those that wait for a place are not begun.
func TestRequestsOfAPastLife(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods, WithConcurrency(1))
		first := begin(t, e, g)
		second := make(chan error, 1)
		go func() { _, err := block.Call(t.Context(), e, 2, "waits"); second <- err }()
		synctest.Wait()
		w.mu.Lock()
		w.lives++
		w.nodes[2].life = w.lives
		w.mu.Unlock()
		close(g.open)
		for _, c := range []chan error{first, second} {
			if err := <-c; !errors.Is(err, ErrUnknown) { // when it asks for the call
				t.Errorf("error %v", err)
			}
		}
		if len(g.begun) > 0 {
			t.Errorf("%q was begun", <-g.begun)
		}
		if _, err := echo.Call(t.Context(), e, 2, "x"); err != nil {
			t.Errorf("a call of the new incarnation: %v", err)
		}
	})
}

// A cancelled call ends its handler's context, with context.Canceled. The caller's error says that
// the request may have been handled.
func TestCancel(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		ctx, cancel := context.WithCancelCause(t.Context())
		result := make(chan error, 1)
		go func() { _, err := block.Call(ctx, e, 2, "x"); result <- err }()
		<-g.begun
		why := errors.New("changed my mind")
		cancel(why)
		if err := <-result; !errors.Is(err, context.Canceled) || !errors.Is(err, why) || !errors.Is(err, ErrUnknown) {
			t.Errorf("error %v", err)
		}
		if err := <-g.ended; err != context.Canceled {
			t.Errorf("the handler's context ended with %v", err)
		}
	})
}

// A call that is cancelled while its request waits behind others is not handled.
func TestCancelOvertakesRequest(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods, WithConcurrency(1))
		first := begin(t, e, g)
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan error, 1)
		go func() { _, err := block.Call(ctx, e, 2, "in vain"); second <- err }()
		synctest.Wait()
		cancel()
		<-second
		synctest.Wait()
		close(g.open)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if _, err := echo.Call(t.Context(), e, 2, "x"); err != nil {
			t.Error(err)
		}
		select {
		case s := <-g.begun:
			t.Errorf("%q was handled", s)
		default:
		}
	})
}

// The time that the caller has goes along.
func TestDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		w.hold(1, 2, answers, true) // the cancel does not come
		start := time.Now()
		_, err := block.Call(ctx, e, 2, "x")
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("the call took %v", d)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		<-g.ended
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("the handler's context ended after %v", d)
		}
	})
}

// An answer that a stream has left undelivered, though both nodes live, is sent again. A question
// for the call in the meantime gets no wrong answer.
func TestAnswerIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		result := begin(t, e, g)
		w.hold(2, 1, answers, true)
		close(g.open)
		time.Sleep(2 * interval) // it was asked for, and the answer to that waits behind it
		w.cut(2, 1, answers)
		w.hold(2, 1, answers, false)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// A callee does not deny a call whose answer was left undelivered, and of which it is about to be told.
func TestAnswerIsNotDenied(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		result := begin(t, e, g)
		w.hold(2, 1, answers, true)
		close(g.open)
		synctest.Wait()
		w.muted(true)
		w.cut(2, 1, answers)
		w.hold(2, 1, answers, false)
		time.Sleep(3 * interval) // it is asked for
		w.muted(false)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// A call is not asked for while its request waits for the window: the question would overtake it.
func TestRequestIsNotOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.window = 100
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		w.hold(1, 2, requests, true)
		results := make(chan error, 2)
		for range 2 {
			go func() { _, err := block.Call(t.Context(), e, 2, strings.Repeat("x", 50)); results <- err }()
			synctest.Wait()
		}
		e.asks.now(2)
		synctest.Wait()
		w.hold(1, 2, requests, false)
		time.Sleep(3 * interval)
		close(g.open)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

// A request that a stream has left undelivered, though both nodes live, is asked for.
func TestRequestIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		w.hold(1, 2, requests, true)
		result := make(chan error, 1)
		go func() { _, err := block.Call(t.Context(), e, 2, "x"); result <- err }()
		synctest.Wait()
		w.cut(1, 2, requests)
		w.hold(1, 2, requests, false)
		if err := <-result; !errors.Is(err, ErrUnknown) {
			t.Errorf("error %v", err)
		}
	})
}

// A mere client has no service; a server knows its methods.
func TestNoMethod(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		_, err := Method[int, int]("other").Call(t.Context(), e, 2, 1)
		var remote *Error
		if !errors.Is(err, ErrNoMethod) || !errors.Is(err, ErrNotHandled) || !errors.As(err, &remote) || !remote.Remote || remote.From != 2 {
			t.Errorf("error %v", err)
		}
		if _, err := echo.Call(t.Context(), e, 1, "x"); !errors.Is(err, ringdht.ErrNoService) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("error %v", err)
		}
		if _, err := echo.Call(context.WithValue(t.Context(), opKey{}, new(Op)), e, 1, "x"); !errors.Is(err, ringdht.ErrNoService) {
			t.Errorf("a handler's call: %v", err)
		}
		if _, err := echo.Call(t.Context(), e, 3, "x"); !errors.Is(err, ringdht.ErrNoSuchNode) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("error %v", err)
		}
	})
}
