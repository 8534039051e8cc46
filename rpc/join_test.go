package rpc

import (
	"testing"

	"github.com/x/ringdht"
)

// A call that begins before its node has joined waits for that, and gets its answer.
func TestCallBeforeJoin(t *testing.T) {
	onRings(t, func(t *testing.T, r ends) {
		g := newGate()
		r.join(10, g.methods, nil)
		r.setup(1)
		n := ringdht.NewNode(r.Options([]ringdht.NodeOption{ringdht.WithID(20)})...)
		e := New(n, "s")
		defer n.Close()
		type result struct {
			got string
			err error
		}
		done := make(chan result, 1)
		go func() {
			got, err := echo.Call(r.Ctx(), e, 10, "hello")
			done <- result{got, err}
		}()
		for e.calls.len() == 0 { // it has begun
			select {
			case got := <-done:
				t.Fatal(got)
			default:
			}
		}
		if err := n.Join(r.Ctx(), r.Line()); err != nil {
			t.Fatal(err)
		}
		if got := <-done; got.got != "hello" || got.err != nil {
			t.Errorf("the call returned %q, %v", got.got, got.err)
		}
	})
}
