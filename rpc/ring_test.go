package rpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// ends are the endpoints of a real ring.
type ends struct {
	*ringtest.Ring
	t testing.TB
}

// join adds a node with an endpoint. It handles requests if methods adds some.
func (r ends) join(id ringdht.ID, methods func(*Endpoint), opts []Option, node ...ringdht.NodeOption) (*Endpoint, *ringtest.Node) {
	r.t.Helper()
	n := ringdht.NewNode(r.Options(append(node, ringdht.WithID(id)))...)
	e := New(n, "s", opts...)
	if methods != nil {
		methods(e)
	}
	if err := n.Join(r.Ctx(), r.Line()); err != nil {
		r.t.Fatal(err)
	}
	added := &ringtest.Node{Node: n}
	r.Nodes = append(r.Nodes, added)
	return e, added
}

// setup hands out tables, and waits until all nodes are ready.
func (r ends) setup(k int) {
	r.t.Helper()
	r.Setup(k)
	r.ready()
}

func (r ends) ready() {
	r.t.Helper()
	for _, n := range r.Nodes {
		if err := n.Ready(r.Ctx()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// onRings runs a test on a ring over TCP, and on one in memory in virtual time.
func onRings(t *testing.T, test func(t *testing.T, r ends)) {
	t.Run("TCP", func(t *testing.T) { test(t, ends{ringtest.New(t, nil), t}) })
	t.Run("memory", func(t *testing.T) { inMemory(t, func(t *testing.T, r ends, _ *memnet.Network) { test(t, r) }) })
}

func inMemory(t *testing.T, test func(t *testing.T, r ends, net *memnet.Network)) {
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New(1)
		r := ends{ringtest.New(t, net, ringdht.WithLease(ringtest.Lease)), t}
		test(t, r, net)
		r.Close()
	})
}

// Calls over one hop and over several, back and forth.
func TestCallsOverARing(t *testing.T) {
	onRings(t, func(t *testing.T, r ends) {
		var all []*Endpoint
		g := newGate()
		for id := range ringdht.ID(6) {
			e, _ := r.join(10*id, g.methods, nil)
			all = append(all, e)
		}
		r.setup(1)
		for _, e := range all {
			for id := range ringdht.ID(6) {
				if got, err := echo.Call(r.Ctx(), e, 10*id, "hello"); got != "hello" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			}
		}
		if _, err := echo.Call(r.Ctx(), all[0], 5, "x"); !errors.Is(err, ringdht.ErrNoSuchNode) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("a node that is not there: %v", err)
		}
	})
}

// background makes a call of the method block, and waits until its handler runs.
func (r ends) background(e *Endpoint, to ringdht.ID, g *gate) (result chan error) {
	result = make(chan error, 1)
	go func() {
		_, err := block.Call(r.Ctx(), e, to, "x")
		result <- err
	}()
	<-g.begun
	return result
}

// Calls end when their callee does, however that happens: the outcome is unknown, or the request was
// not handled.
func TestEndsOfCallees(t *testing.T) {
	onRings(t, func(t *testing.T, r ends) {
		g := newGate()
		e, _ := r.join(10, nil, nil)
		_, dies := r.join(20, g.methods, nil)
		_, leaves := r.join(30, g.methods, nil)
		r.join(40, g.methods, nil)
		r.setup(2)

		result := r.background(e, 20, g)
		dies.Close()
		r.Remove(dies)
		if err := <-result; !errors.Is(err, ErrUnknown) {
			t.Errorf("a callee that died: %v", err)
		}
		<-g.ended

		result = r.background(e, 30, g)
		left := make(chan error, 1)
		go func() { left <- leaves.Leave(r.Ctx()) }()
		for { // until it refuses
			if _, err := echo.Call(r.Ctx(), e, 30, "x"); errors.Is(err, ErrLeaving) && !errors.Is(err, ErrUnknown) {
				break
			} else if err != nil {
				t.Fatalf("a callee that leaves: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
		close(g.open)
		if err := <-result; err != nil {
			t.Errorf("a request that was being handled: %v", err)
		}
		if err := <-left; err != nil {
			t.Errorf("leaving: %v", err)
		}
		r.Remove(leaves)
		_, err := echo.Call(r.Ctx(), e, 30, "x")
		if !errors.Is(err, ringdht.ErrNoSuchNode) && !errors.Is(err, ErrLeaving) || !errors.Is(err, ErrNotHandled) {
			t.Errorf("a callee that has left: %v", err)
		}
		if _, err := echo.Call(r.Ctx(), e, 40, "x"); err != nil {
			t.Errorf("another callee: %v", err)
		}
	})
}

// A callee that is replaced under its ID while a call waits does not answer it. The call ends, and
// the next one is answered.
func TestReplacedUnderTheSameID(t *testing.T) {
	onRings(t, func(t *testing.T, r ends) {
		g := newGate()
		e, _ := r.join(10, nil, nil)
		_, old := r.join(20, g.methods, nil)
		r.join(30, g.methods, nil)
		r.setup(2)
		result := r.background(e, 20, g)
		old.Close()
		r.Remove(old)
		r.WaitGone(20)
		r.join(20, g.methods, nil)
		r.ready()
		if err := <-result; !errors.Is(err, ErrUnknown) {
			t.Errorf("the call of the old one: %v", err)
		}
		if _, err := echo.Call(r.Ctx(), e, 20, "x"); err != nil {
			t.Errorf("a call of the new one: %v", err)
		}
	})
}

// A node that is cut off is declared dead, and comes back as a new incarnation. Its calls end on both
// sides, and so do the contexts of its handlers.
func TestCutOff(t *testing.T) {
	inMemory(t, func(t *testing.T, r ends, net *memnet.Network) {
		g := newGate()
		e, _ := r.join(10, g.methods, nil)
		cut, n := r.join(20, g.methods, nil)
		r.join(30, g.methods, nil)
		r.setup(2)
		life := n.Incarnation()
		there, back := r.background(e, 20, g), r.background(cut, 10, g)
		host := "n1"
		net.Partition([]string{host}, []string{"n0", "n2", "registry"})
		for _, c := range []chan error{there, back} {
			if err := <-c; !errors.Is(err, ErrUnknown) {
				t.Errorf("error %v", err)
			}
		}
		for range 2 {
			<-g.ended
		}
		net.Heal()
		for n.Incarnation() == life || n.ReadyNow() != nil {
			time.Sleep(time.Millisecond)
		}
		for _, call := range []func() (string, error){
			func() (string, error) { return echo.Call(r.Ctx(), e, n.ID(), "x") },
			func() (string, error) { return echo.Call(r.Ctx(), cut, 10, "x") },
		} {
			if _, err := call(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		}
	})
}

// A caller that closes ends the contexts of its handlers.
func TestEndOfCaller(t *testing.T) {
	onRings(t, func(t *testing.T, r ends) {
		g := newGate()
		e, caller := r.join(10, nil, nil)
		r.join(20, g.methods, nil)
		r.join(30, nil, nil)
		r.setup(2)
		result := r.background(e, 20, g)
		caller.Close()
		r.Remove(caller)
		if err := <-g.ended; !errors.Is(err, ringdht.ErrGone) && err != context.Canceled {
			t.Errorf("the context ended with %v", err)
		}
		if err := <-result; !errors.Is(err, ErrUnknown) || !errors.Is(err, ringdht.ErrClosed) {
			t.Errorf("the caller's error is %v", err)
		}
	})
}
