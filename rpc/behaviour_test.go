package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
)

// A handler that panics, or ends its goroutine, is answered for.
func TestPanic(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	bubble(t, func(t *testing.T, w *world) {
		w.codec = ringdht.JSON()
		how := Method[string, any]("how")
		e := w.join(1, nil)
		w.join(2, func(e *Endpoint) {
			how.Handle(e, func(_ context.Context, s string) (any, error) {
				switch s {
				case "panic":
					panic("told so")
				case "goexit":
					runtime.Goexit()
				case "encoder":
					return self{}, nil
				}
				return nil, nil
			})
		}, WithConcurrency(1)) // so a slot that is lost is found
		for s, text := range map[string]string{"panic": "told so", "goexit": "panicked", "encoder": "self"} {
			_, err := how.Call(t.Context(), e, 2, s)
			if !errors.Is(err, ErrPanic) || errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v", s, err)
			}
		}
		if _, err := how.Call(t.Context(), e, 2, "fine"); err != nil {
			t.Error(err)
		}
	})
}

// self is a value whose encoding panics.
type self struct{ X int }

func (self) MarshalText() ([]byte, error) { panic("encoding self") }

// Values that are too long, or of another type, are errors that say on which side.
func TestValues(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.most = 2000
		long := Method[int, string]("long")
		e := w.join(1, nil)
		w.join(2, func(e *Endpoint) {
			echo.Handle(e, func(_ context.Context, s string) (string, error) { return s, nil })
			long.Handle(e, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
			Method[string, func()]("func").Handle(e, func(context.Context, string) (func(), error) { return func() {}, nil })
		})
		_, err := echo.Call(t.Context(), e, 2, strings.Repeat("x", 3000))
		if !errors.Is(err, ringdht.ErrTooLarge) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("a long request: %v", err)
		}
		var answer *Error
		_, err = long.Call(t.Context(), e, 2, 3000)
		if errors.Is(err, ringdht.ErrTooLarge) || !errors.As(err, &answer) || !answer.Remote || answer.Code != codeAnswer {
			t.Errorf("a long answer: %v", err)
		}
		_, err = Method[string, int]("func").Call(t.Context(), e, 2, "x")
		if !errors.As(err, &answer) || answer.Code != codeAnswer {
			t.Errorf("an answer that cannot be sent: %v", err)
		}
		_, err = Method[string, int]("long").Call(t.Context(), e, 2, "no number")
		if !errors.As(err, &answer) || answer.Code != codeMalformed {
			t.Errorf("a request of another type: %v", err)
		}
		_, err = Method[int, int]("long").Call(t.Context(), e, 2, 5)
		if !errors.As(err, &answer) || answer.Code != codeAnswer {
			t.Errorf("an answer of another type: %v", err)
		}
		if _, err = Method[func(), int]("long").Call(t.Context(), e, 2, nil); err == nil || !errors.Is(err, ErrNotHandled) {
			t.Errorf("a request that cannot be sent: %v", err)
		}
		for _, m := range []Meta{{strings.Repeat("k", 256): ""}, {"k": strings.Repeat("v", metaBytes)}} {
			ctx := t.Context()
			for k, v := range m {
				ctx = WithMeta(ctx, k, v)
			}
			if _, err := long.Call(ctx, e, 2, 5); !errors.Is(err, ringdht.ErrTooLarge) {
				t.Errorf("long metadata: %v", err)
			}
		}
		if e.calls.len() > 0 {
			t.Errorf("%d calls are left", e.calls.len())
		}
	})
}

// Metadata goes along, and no further by itself. Middleware sees both ends, outermost first.
func TestMiddlewareAndMeta(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var log []string
		note := func(name string) Middleware {
			return func(next Func) Func {
				return func(ctx context.Context, op *Op) (any, error) {
					log = append(log, fmt.Sprint(name, " ", op.Service, " ", op.Method, " ", op.Peer, " ", op.Serving, " ", op.Meta.Get("k"), " ", op.Value))
					if !op.Serving {
						op.Meta.Set("from", name)
						op.Value = op.Value.(string) + name
					}
					answer, err := next(ctx, op)
					if answer != nil {
						answer = answer.(string) + name
					}
					return answer, err
				}
			}
		}
		methods := func(e *Endpoint) {
			echo.Handle(e, func(ctx context.Context, s string) (string, error) {
				op := FromContext(ctx)
				keys := op.Meta.Keys()
				slices.Sort(keys)
				if s == "go on ab" {
					return echo.Call(ctx, e, op.Peer, "back")
				}
				return fmt.Sprint(s, " ", keys, op.Meta.Get("from"), op.Peer), nil
			})
		}
		e := w.join(1, methods, WithMiddleware(note("a"), note("b")))
		w.join(2, methods, WithMiddleware(note("c")))
		got, err := echo.Call(WithMeta(WithMeta(t.Context(), "k", "v"), "l", ""), e, 2, "x ")
		if want := "x ab [from k l]b1cba"; got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		want := []string{"a s echo 2 false v x ", "b s echo 2 false v x a", "c s echo 1 true v x ab"}
		if !slices.Equal(log, want) {
			t.Errorf("%q", log)
		}
		got, err = echo.Call(WithMeta(t.Context(), "k", "v"), e, 2, "go on ")
		if want := "backc [from]c2baccba"; got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if FromContext(t.Context()) != nil {
			t.Error("there is an Op in a context without one")
		}
	})
}

func TestMiddlewareKeepsTypes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		spoil := func(next Func) Func {
			return func(ctx context.Context, op *Op) (any, error) { _, err := next(ctx, op); return 5, err }
		}
		e := w.join(1, nil, WithMiddleware(spoil))
		w.join(2, g.methods)
		if _, err := echo.Call(t.Context(), e, 2, "x"); err == nil || !strings.Contains(err.Error(), "must stay a string") {
			t.Errorf("error %v", err)
		}
	})
}

func TestHandleTwicePanics(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.join(1, func(e *Endpoint) {
			echo.Handle(e, nil)
			defer func() {
				if recover() == nil {
					t.Error("a method was handled twice")
				}
			}()
			echo.Handle(e, nil)
		})
	})
}

// Goroutines of handlers wait for further requests, up to a bound. No request waits for one that is busy.
func TestGoroutinesAreReused(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		callee := w.join(2, g.methods)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 10 {
			if _, err := echo.Call(ctx, e, 2, "x"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := callee.idle.Load(); n != 1 {
			t.Errorf("%d goroutines wait after calls one at a time", n)
		}
		results := make(chan error, 2*maxIdle)
		for range 2 * maxIdle {
			go func() { _, err := block.Call(ctx, e, 2, "x"); results <- err }()
		}
		synctest.Wait()
		if n := len(g.begun); n != 2*maxIdle || callee.idle.Load() != 0 {
			t.Errorf("%d requests have begun, %d goroutines wait", n, callee.idle.Load())
		}
		close(g.open)
		for range 2 * maxIdle {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n := callee.idle.Load(); n != maxIdle {
			t.Errorf("%d goroutines wait", n)
		}
	})
}

// A handler that never looks at its context costs no timer, and one that asks late gets what it would
// have had.
func TestContextIsMadeLate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.join(1, nil)
		got := make(chan error, 2)
		kept := make(chan context.Context, 1)
		w.join(2, func(e *Endpoint) {
			Method[int, int]("late").Handle(e, func(ctx context.Context, n int) (int, error) {
				time.Sleep(time.Duration(n))
				if n == 0 {
					kept <- ctx
					return 0, nil
				}
				if ctx.(*serving).inner != nil {
					t.Error("the context has been made")
				}
				got <- context.Cause(ctx)
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				<-child.Done()
				got <- context.Cause(child)
				return 0, nil
			})
		})
		late := Method[int, int]("late")
		for _, cancelled := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			want := context.DeadlineExceeded
			if cancelled {
				want = context.Canceled
				time.AfterFunc(time.Second/2, cancel)
			}
			if _, err := late.Call(ctx, e, 2, int(2*time.Second)); !errors.Is(err, want) {
				t.Errorf("error %v", err)
			}
			for range 2 {
				if err := <-got; err != want {
					t.Errorf("the context ended with %v, want %v", err, want)
				}
			}
		}
		if _, err := late.Call(t.Context(), e, 2, 0); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if ctx := <-kept; ctx.Err() != context.Canceled || FromContext(ctx) == nil {
			t.Errorf("after the handler the context has ended with %v", ctx.Err())
		}
	})
}

// The calls that wait are bounded, and so are the cancelled ones that are remembered.
func TestBounds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, g.methods)
		for range maxCalls {
			if _, err := e.calls.begin(2, requests, 1); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := echo.Call(t.Context(), e, 1, "x"); !errors.Is(err, ringdht.ErrBacklog) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("error %v", err)
		}
		for i := range uint64(3 * maxEarly) {
			e.serves.cancel(key{5, i}, true)
		}
		if n := len(e.serves.cancelled); n != maxEarly || len(e.serves.early) != maxEarly {
			t.Errorf("%d cancelled calls are remembered", n)
		}
		for id := ringdht.ID(10); e.nested.free > 0; id++ {
			for e.nested.try(id) {
			}
		}
		if refused, ok := e.serves.begin(&serving{e: e, lane: answers, key: key{6, 1}}); ok || refused != errNested {
			t.Errorf("%v, %v", refused, ok)
		}
	})
}
