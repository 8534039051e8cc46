package rpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
)

// A node that leaves refuses requests and answers those that it has begun. Requests that it has not
// begun come back. No outcome is unknown.
func TestCalleeLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods, WithConcurrency(1))
		running := begin(t, e, g)
		waiting := make(chan error, 1)
		go func() { _, err := block.Call(t.Context(), e, 2, "waits"); waiting <- err }()
		synctest.Wait()
		left := make(chan error, 1)
		go func() { left <- w.leave(2) }()
		synctest.Wait()
		late := make(chan error, 1)
		go func() { _, err := block.Call(t.Context(), e, 2, "late"); late <- err }()
		synctest.Wait()
		close(g.open)
		if err := <-running; err != nil {
			t.Errorf("a request that it had begun: %v", err)
		}
		for _, c := range []chan error{waiting, late} {
			if err := <-c; !errors.Is(err, ErrLeaving) || !errors.Is(err, ErrNotHandled) {
				t.Errorf("a request that it had not begun: %v", err)
			}
		}
		if err := <-left; err != nil {
			t.Error(err)
		}
		if _, err := echo.Call(t.Context(), e, 2, "x"); !errors.Is(err, ringdht.ErrNoSuchNode) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("a request after that: %v", err)
		}
	})
}

// A node that leaves waits for its own calls, and begins no others.
func TestCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		result := begin(t, e, g)
		left := make(chan error, 1)
		go func() { left <- w.leave(1) }()
		synctest.Wait()
		if _, err := echo.Call(t.Context(), e, 2, "x"); !errors.Is(err, ringdht.ErrNotMember) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("a call of a node that leaves: %v", err)
		}
		close(g.open)
		if err := <-result; err != nil {
			t.Error(err)
		}
		if err := <-left; err != nil {
			t.Error(err)
		}
	})
}

// A request that a node has begun when it leaves may need calls back to it. They are handled.
func TestCallsBackToANodeThatLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		there, back := Method[string, string]("there"), Method[string, string]("back")
		begun, goOn := make(chan bool), make(chan bool)
		methods := func(e *Endpoint) {
			echo.Handle(e, func(_ context.Context, s string) (string, error) { return s, nil })
			there.Handle(e, func(ctx context.Context, s string) (string, error) {
				close(begun)
				<-goOn
				return back.Call(ctx, e, FromContext(ctx).Peer, s)
			})
			back.Handle(e, func(ctx context.Context, s string) (string, error) {
				return echo.Call(ctx, e, FromContext(ctx).Peer, s)
			})
		}
		e := w.join(1, methods)
		w.join(2, methods)
		result := make(chan error, 1)
		go func() { _, err := there.Call(t.Context(), e, 2, "x"); result <- err }()
		<-begun
		left := make(chan error, 1)
		go func() { left <- w.leave(2) }()
		synctest.Wait()
		close(goOn)
		if err := <-result; err != nil {
			t.Error(err)
		}
		if err := <-left; err != nil {
			t.Error(err)
		}
	})
}

// An answer counts only if the callee sends it.
func TestAnswerOfAnotherNode(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		result := begin(t, e, g)
		e.calls.mu.Lock()
		number := e.calls.next
		e.calls.mu.Unlock()
		e.answered(3, appendFailure(nil, number, "", "forged"))
		close(g.open)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// What a stream has left is told before a verdict on its calls, also if the callback is late.
func TestVerdictWaitsForTheCallback(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := newGate()
		e := w.join(1, nil)
		w.join(2, g.methods)
		w.hold(1, 2, requests, true)
		result := make(chan error, 1)
		go func() { _, err := block.Call(t.Context(), e, 2, "x"); result <- err }()
		synctest.Wait()
		w.muted(true)
		if err := w.leave(2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(interval / 2)
		w.muted(false)
		if err := <-result; !errors.Is(err, ErrLeaving) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("error %v", err)
		}
	})
}
