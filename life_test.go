package ringdht_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// inRing runs a test in virtual time, with the registry of a ring in memory.
func inRing(t *testing.T, test func(t *testing.T, tr *ringtest.Ring)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, ringtest.New(t, memnet.New(1), ringdht.WithLease(ringtest.Lease)))
	})
}

// newNode returns a node on a host that has not joined, which the end of the test closes.
func newNode(t *testing.T, tr *ringtest.Ring, host string, opts ...ringdht.NodeOption) *ringdht.Node {
	n := ringdht.NewNode(append(opts, ringdht.WithTransport(tr.Net.Host(host)))...)
	t.Cleanup(func() { n.Close() })
	return n
}

func is(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: %v, want %v", what, err, w)
		}
	}
}

// over is a context that has ended.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// Before Join all methods work, and those that fail say what is missing. With invalid options, too.
func TestBeforeJoin(t *testing.T) {
	for _, n := range []*ringdht.Node{ringdht.NewNode(), ringdht.NewNode(ringdht.WithTraffic()), ringdht.NewNode(ringdht.WithLogger(nil), ringdht.WithLimits(status.Limits{Handlers: -1}))} {
		s := n.Service("x")
		table := n.Table()
		if n.ID() != 0 || n.Incarnation() != 0 || n.Peer() != (ringdht.Peer{}) || n.MaxPayload() != 0 || n.Ring() != "ring" || table.Len() != 0 || table.Epoch() != 0 || len(n.Members()) != 0 {
			t.Errorf("%v, incarnation %d, payload %d, ring %q, table %+v, members %v", n.Peer(), n.Incarnation(), n.MaxPayload(), n.Ring(), table, n.Members())
		}
		if st := n.Status(); st.Incarnation != 0 || st.Counters.Sent != 0 || len(st.Links) != 0 || st.Secure {
			t.Errorf("%+v", st)
		}
		for e := range n.Watch(over()) {
			t.Error(e)
		}
		select {
		case <-n.Disconnected():
		default:
			t.Error("connected")
		}
		_, batch := s.SendBatch(over(), 1, [][]byte{nil})
		_, trace := n.Trace(t.Context(), 1)
		for what, err := range map[string]error{
			"Send": s.Send(over(), 1, nil), "SendBatch": batch, "SendValue": s.SendValue(over(), 1, 7), "Cast": s.Cast(over(), 1, nil), "Ready": n.Ready(over()),
			"ReadyNow": n.ReadyNow(), "Trace": trace, "Flush": n.Flush(t.Context()),
		} {
			if is(t, what, err, ringdht.ErrNotReady); err == nil || !strings.Contains(err.Error(), "it has not joined a ring yet: call Join, or wait for it") {
				t.Errorf("%s: %v", what, err)
			}
		}
		is(t, "WaitConnected", n.WaitConnected(over()), ringdht.ErrRegistryLost, context.Canceled)
		for range 2 {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
		is(t, "Send", s.Send(t.Context(), 1, nil), ringdht.ErrClosed)
		is(t, "Ready", n.Ready(t.Context()), ringdht.ErrClosed)
		is(t, "WaitConnected", n.WaitConnected(t.Context()), ringdht.ErrClosed)
		for e := range n.Watch(t.Context()) {
			t.Error(e)
		}
	}
}

// Calls that wait wait for Join as well, and a Join that has failed does not end them.
func TestWaitsForJoin(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		sink := tr.Join(func(context.Context, ringdht.Message) {}, ringdht.WithID(10))
		tr.Join(nil, ringdht.WithID(20))
		n := newNode(t, tr, "late", ringdht.WithID(30))
		s := n.Service("")
		var mu sync.Mutex
		var calls sync.WaitGroup
		returned := map[string]error{}
		for what, call := range map[string]func(context.Context) error{
			"Ready":         n.Ready,
			"WaitConnected": n.WaitConnected,
			"Send":          func(ctx context.Context) error { return s.Send(ctx, 10, nil) },
			"SendValue":     func(ctx context.Context) error { return s.SendValue(ctx, 10, "x") },
			"Cast":          func(ctx context.Context) error { return s.Cast(ctx, 10, nil) },
			"SendBatch":     func(ctx context.Context) error { _, err := s.SendBatch(ctx, 10, [][]byte{nil, nil}); return err },
			"Watch": func(ctx context.Context) error {
				for e := range n.Watch(ctx) {
					if e.Change != status.MemberPresent || !e.Self || e.ID != 30 {
						return fmt.Errorf("the first event: %v", e)
					}
					return nil
				}
				return errors.New("it has ended")
			},
		} {
			calls.Go(func() {
				err := call(t.Context())
				mu.Lock()
				defer mu.Unlock()
				returned[what] = err
			})
		}
		want := func(want int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(returned) != want {
				t.Errorf("%d have returned, want %d: %v", len(returned), want, returned)
			}
			for what, err := range returned {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		want(0)
		is(t, "Join", n.Join(t.Context(), "nowhere:1"), ringdht.ErrRegistryLost)
		want(0)
		if err := n.Join(t.Context(), tr.Line()); err != nil {
			t.Fatal(err)
		}
		want(2) // Watch, WaitConnected
		tr.Setup(0)
		calls.Wait()
		want(7)
		if err := n.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()                                       // casts are not waited for
		if got := sink.Status().Counters.Delivered; got < 4 { // the cast may be lost
			t.Errorf("%d messages were delivered, want 4 and perhaps the cast", got)
		}
	})
}

// What waits for a table returns when its context ends, or when the node will get no table.
func TestWaitForATableEnds(t *testing.T) {
	errDone := errors.New("done")
	for _, c := range []struct {
		name   string
		end    func(n *ringdht.Node, cancel context.CancelCauseFunc)
		want   []error
		joined bool
	}{
		{"context before Join", func(_ *ringdht.Node, cancel context.CancelCauseFunc) { cancel(errDone) }, []error{ringdht.ErrNotReady, errDone}, false},
		{"context", func(_ *ringdht.Node, cancel context.CancelCauseFunc) { cancel(errDone) }, []error{ringdht.ErrNotReady, errDone}, true},
		{"Close before Join", func(n *ringdht.Node, _ context.CancelCauseFunc) { n.Close() }, []error{ringdht.ErrClosed}, false},
		{"Close", func(n *ringdht.Node, _ context.CancelCauseFunc) { n.Close() }, []error{ringdht.ErrClosed}, true},
		{"Leave", func(n *ringdht.Node, _ context.CancelCauseFunc) { go n.Leave(context.Background()) }, []error{ringdht.ErrNotMember}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRing(t, func(t *testing.T, tr *ringtest.Ring) {
				n := newNode(t, tr, "n")
				s := n.Service("x")
				if c.joined {
					if err := n.Join(t.Context(), tr.Line()); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				errs := make(chan error, 4)
				go func() { errs <- s.Send(ctx, 1, nil) }()
				go func() { errs <- s.SendValue(ctx, 1, 1) }()
				go func() { errs <- s.Cast(ctx, 1, nil) }()
				go func() { _, err := s.SendBatch(ctx, 1, [][]byte{nil}); errs <- err }()
				synctest.Wait()
				if len(errs) > 0 {
					t.Fatal(<-errs)
				}
				if c.name == "Leave" {
					tr.Net.Hold("n", "registry") // it takes a while
				}
				c.end(n, cancel)
				synctest.Wait()
				if len(errs) != 4 {
					t.Fatalf("%d calls have returned", len(errs))
				}
				for range 4 {
					is(t, c.name, <-errs, c.want...)
				}
			})
		})
	}
}

// A Join that failed may be tried again, from the same options. A node joins once.
func TestJoinAgain(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		n := newNode(t, tr, "n", ringdht.WithID(5))
		is(t, "no registry", n.Join(t.Context(), "nowhere:1"), ringdht.ErrRegistryLost)
		if err := n.Join(t.Context(), "rdht1:nonsense"); err == nil {
			t.Error("it has joined by nonsense")
		}
		is(t, "no time", n.Join(over(), tr.Line()), context.Canceled)
		first := newNode(t, tr, "first", ringdht.WithID(5))
		if err := first.Join(t.Context(), tr.Line()); err != nil {
			t.Fatal(err)
		}
		is(t, "the ID is taken", n.Join(t.Context(), tr.Line()), ringdht.ErrTaken)
		if err := n.ReadyNow(); !strings.Contains(err.Error(), "call Join") {
			t.Error(err)
		}
		first.Close()
		synctest.Wait()
		if err := n.Join(t.Context(), tr.Line()); err != nil || n.ID() != 5 {
			t.Fatal(n.ID(), err)
		}
		if err := n.Join(t.Context(), tr.Line()); err == nil || !strings.Contains(err.Error(), "joined already") {
			t.Error(err)
		}
		if err := n.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		is(t, "after Leave", n.Join(t.Context(), tr.Line()), ringdht.ErrClosed)
		bad := newNode(t, tr, "bad", ringdht.WithListen("nonsense"))
		for range 2 {
			if err := bad.Join(t.Context(), tr.Line()); err == nil || !strings.Contains(err.Error(), "WithListen") {
				t.Error(err)
			}
		}
		is(t, "Leave before Join", bad.Leave(t.Context()), ringdht.ErrNotMember)
		unused := newNode(t, tr, "unused")
		is(t, "Leave before Join", unused.Leave(t.Context()), ringdht.ErrNotMember)
		is(t, "Join after it", unused.Join(t.Context(), tr.Line()), ringdht.ErrClosed)
	})
}

// Close ends a Join at once.
func TestCloseEndsJoin(t *testing.T) {
	for _, opts := range [][]ringdht.NodeOption{nil, {ringdht.WithRetry()}} {
		for _, held := range []bool{false, true} {
			if !held && opts == nil {
				continue // it fails at once
			}
			inRing(t, func(t *testing.T, tr *ringtest.Ring) {
				at := "nowhere:1"
				if held {
					at = tr.Line()
					tr.Net.Hold("registry", "n")
				}
				n := newNode(t, tr, "n", opts...)
				joined := make(chan error)
				go func() { joined <- n.Join(t.Context(), at) }()
				synctest.Wait()
				if err := n.Join(t.Context(), at); err == nil || !strings.Contains(err.Error(), "about to join") {
					t.Error(err)
				}
				start := time.Now()
				go n.Close()
				is(t, "Join", <-joined, ringdht.ErrClosed)
				if d := time.Since(start); d > 0 {
					t.Errorf("it took %v", d)
				}
				is(t, "Join again", n.Join(t.Context(), at), ringdht.ErrClosed)
			})
		}
	}
}

// A handler may use the node from the first message on, also while Join is on its way back.
func TestHandlersUseTheNode(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		answers := make(chan ringdht.ID, 20)
		first := newNode(t, tr, "first")
		asks := first.Service("ask")
		first.Service("answer").Handle(func(_ context.Context, m ringdht.Message) {
			if string(m.Body) != m.Source.String() {
				t.Errorf("%q from %d", m.Body, m.Source)
			}
			answers <- m.Source
		})
		if err := first.Join(t.Context(), tr.Line()); err != nil {
			t.Fatal(err)
		}
		tr.Setup(0)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { // asks each newcomer at once
			for e := range first.Watch(ctx) {
				if !e.Self && !e.Change.Over() {
					go func() {
						if err := asks.Send(ctx, e.ID, nil); err != nil {
							t.Error(err)
						}
					}()
				}
			}
		}()
		for i := range cap(answers) {
			n := newNode(t, tr, fmt.Sprint("n", i))
			asked := n.Service("ask")
			reply := n.Service("answer")
			asked.Handle(func(ctx context.Context, m ringdht.Message) {
				n.Status()
				n.Members()
				if err := errors.Join(n.Close(), n.Leave(ctx)); !errors.Is(err, ringdht.ErrInHandler) {
					t.Error(err)
				}
				if err := reply.Send(ctx, m.Source, []byte(n.ID().String())); err != nil {
					t.Error(err)
				}
			})
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-answers:
				if got != n.ID() {
					t.Errorf("%d has answered, not %d", got, n.ID())
				}
			case <-time.After(time.Minute):
				t.Fatalf("no answer:\n%+v\n%+v", n.Status().Counters, first.Status().Counters)
			}
		}
	})
}
