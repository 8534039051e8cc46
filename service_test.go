package ringdht_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// panics returns what f panics with, "" if it does not.
func panics(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

// Mistakes of a program with its services show at once, and say what is wrong.
func TestServiceMistakes(t *testing.T) {
	handler := func(context.Context, ringdht.Message) {}
	onLeave := func(context.Context) error { return nil }
	n := ringdht.NewNode()
	defer n.Close()
	a, unnamed := n.Service("a"), n.Service("")
	if a.Name() != "a" || unnamed.Name() != "" {
		t.Errorf("%q, %q", a.Name(), unnamed.Name())
	}
	a.Handle(handler)
	a.OnUndelivered(func(status.Undelivered) {})
	a.OnLeave(onLeave)
	a.OnLeave(onLeave)
	wrong := func(want string, f func()) {
		t.Helper()
		if got := panics(f); !strings.HasPrefix(got, "ringdht: ") || !strings.Contains(got, want) {
			t.Errorf("panics with %q, want %q", got, want)
		}
	}
	wrong("has this service already", func() { n.Service("a") })
	wrong("has this service already", func() { n.Service("") })
	wrong("at most 64 bytes", func() { n.Service(strings.Repeat("x", 65)) })
	wrong("UTF-8", func() { n.Service("\xff") })
	wrong("space", func() { n.Service(" a") })
	wrong("space", func() { n.Service("a ") })
	wrong("control characters", func() { n.Service("a\nb") })
	wrong("was called before", func() { a.Handle(handler) })
	wrong("was called before", func() { a.OnUndelivered(func(status.Undelivered) {}) })
	wrong("is nil", func() { unnamed.Handle(nil) })
	wrong("is nil", func() { unnamed.OnUndelivered(nil) })
	wrong("is nil", func() { unnamed.OnLeave(nil) })
	n.Service(strings.Repeat("ä", 32))
	for i := range 125 {
		n.Service(fmt.Sprint("s", i))
	}
	wrong("127 named services", func() { n.Service("more") })

	if err := n.Join(t.Context(), "localhost:1"); err == nil {
		t.Error("it has joined nothing")
	}
	wrong("began to join", func() { n.Service("late") })
	wrong("began to join", func() { unnamed.Handle(handler) })
	wrong("began to join", func() { unnamed.OnUndelivered(func(status.Undelivered) {}) })
	wrong("began to join", func() { unnamed.OnLeave(onLeave) })
}

// Each service gets its own messages, in order, and no others.
func TestServicesAreApart(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		names := []string{"", "a", "b"} // registered in another order at the sink
		var mu sync.Mutex
		got := map[string][]string{}
		services := map[string]*ringdht.Service{}
		sink, source := newNode(t, tr, "sink"), newNode(t, tr, "source")
		for _, name := range slices.Backward(names) {
			services[name] = source.Service(name)
		}
		for _, name := range names {
			sink.Service(name).Handle(func(_ context.Context, m ringdht.Message) {
				mu.Lock()
				defer mu.Unlock()
				got[name] = append(got[name], string(m.Body))
			})
		}
		for _, n := range []*ringdht.Node{sink, source} {
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Setup(0)
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprint(i))
			for _, name := range names {
				if err := services[name].Send(t.Context(), sink.ID(), []byte(want[i])); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := source.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, name := range names {
			if !slices.Equal(got[name], want) {
				t.Errorf("service %q got %q", name, got[name])
			}
		}
	})
}

// A message for a service that its sink does not have, or does not handle, fails with the name.
func TestNoService(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		source, sink := newNode(t, tr, "source"), newNode(t, tr, "sink")
		unknown, idle, unnamed := source.Service("unknown"), source.Service("idle"), source.Service("")
		var told []status.Undelivered
		unknown.OnUndelivered(func(u status.Undelivered) { told = append(told, u) })
		sink.Service("idle")
		for _, n := range []*ringdht.Node{source, sink} {
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Setup(0)
		for _, s := range []*ringdht.Service{unknown, idle, unnamed} {
			var err error
			for range 3 { // the first may be accepted before the sink has answered
				err = errors.Join(err, s.Send(t.Context(), sink.ID(), []byte("x")), source.Flush(t.Context()))
			}
			if is(t, s.Name(), err, ringdht.ErrNoService); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("service %q", s.Name())) {
				t.Errorf("%q: %v", s.Name(), err)
			}
		}
		for _, u := range told {
			if u.Service != "unknown" || u.Sink != sink.ID() || u.NotHandled != u.Messages || !errors.Is(u.Err, ringdht.ErrNoService) {
				t.Errorf("%+v", u)
			}
		}
	})
}

// What a dead sink leaves is told by service: to the callback of the one that has one, and by Flush for
// the other. Services with a callback do not take what others sent.
func TestUndeliveredByService(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		source, sink := newNode(t, tr, "source"), newNode(t, tr, "sink")
		a, b, c := source.Service("a"), source.Service("b"), source.Service("c")
		got, handled := map[string]string{}, make(chan struct{}, 3)
		note := func(name string) func(status.Undelivered) {
			return func(u status.Undelivered) { got[name] += fmt.Sprintf("%s to %d: %q", u.Service, u.Sink, u.Bodies) }
		}
		a.OnUndelivered(note("a"))
		b.OnUndelivered(note("b"))
		for _, name := range []string{"c", "b", "a"} {
			sink.Service(name).Handle(func(ctx context.Context, _ ringdht.Message) {
				handled <- struct{}{}
				<-ctx.Done()
			})
		}
		for _, n := range []*ringdht.Node{source, sink} {
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Setup(0)
		for _, s := range []*ringdht.Service{a, b, c} {
			if err := s.Send(t.Context(), sink.ID(), []byte("for "+s.Name())); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			<-handled
		}
		id := sink.ID()
		sink.Close()
		e, ok := errors.AsType[*status.UndeliveredError](source.Flush(t.Context()))
		if !ok || !errors.Is(e, ringdht.ErrGone) || len(got) != 2 {
			t.Fatalf("%v, callbacks %q", e, got)
		}
		for _, name := range []string{"a", "b"} {
			if want := fmt.Sprintf("%s to %d: [\"for %s\"]", name, id, name); got[name] != want {
				t.Errorf("the callback of %s was told %s", name, got[name])
			}
		}
		listed := false
		for _, u := range e.Streams {
			listed = listed || u.Service == "c" && string(u.Bodies[0]) == "for c" && u.Sink == id
		}
		if !listed || !strings.Contains(e.Error(), fmt.Sprintf("1 of unknown outcome to node %d by service c (", id)) {
			t.Errorf("%v", e)
		}
		if err := source.Flush(t.Context()); err != nil {
			t.Error("told again:", err)
		}
	})
}

// Leave winds services up, the last one first, while they can still send. It returns their errors.
func TestOnLeave(t *testing.T) {
	errA, errB := errors.New("a fails"), errors.New("b fails")
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		var got []string
		sink, n := newNode(t, tr, "sink"), newNode(t, tr, "n")
		farewells := 0
		n.Service("")
		sink.Service("").Handle(func(context.Context, ringdht.Message) { farewells++ })
		sink.Service("a").Handle(func(context.Context, ringdht.Message) { farewells++ })
		a, b := n.Service("a"), n.Service("b")
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "Leave's")
		a.OnLeave(func(context.Context) error { got = append(got, "a1"); return errA })
		b.OnLeave(func(context.Context) error { got = append(got, "b"); return errB })
		a.OnLeave(func(ctx context.Context) error {
			got = append(got, fmt.Sprint("a2 with ", ctx.Value(key{})))
			if err := n.ReadyNow(); !errors.Is(err, ringdht.ErrNotMember) {
				t.Error(err)
			}
			return a.Send(ctx, sink.ID(), []byte("farewell"))
		})
		for _, n := range []*ringdht.Node{sink, n} {
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Setup(0)
		err := n.Leave(ctx)
		is(t, "Leave", err, errA, errB)
		if want := []string{"a2 with Leave's", "b", "a1"}; !slices.Equal(got, want) || farewells != 1 {
			t.Errorf("called %q, and %d farewells", got, farewells)
		}
		if err == nil || strings.Contains(err.Error(), "not known") || len(tr.Registry.Members()) != 1 {
			t.Errorf("%v, %v", err, tr.Registry.Members())
		}
		n.Leave(ctx)
		if len(got) != 3 {
			t.Errorf("called again: %q", got)
		}
	})
}

// Leave winds up also if its time is over. Close does not.
func TestOnLeaveWithoutTime(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		called := 0
		for i, end := range []func(*ringdht.Node){func(n *ringdht.Node) { n.Leave(over()) }, func(n *ringdht.Node) { n.Close() }} {
			n := newNode(t, tr, fmt.Sprint("n", i))
			n.Service("x").OnLeave(func(ctx context.Context) error {
				called++
				return context.Cause(ctx)
			})
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
			if end(n); called != 1 {
				t.Errorf("called %d times", called)
			}
		}
	})
}

// Serve joins, and leaves in good order when its context ends.
func TestServe(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		ctx, cancel := context.WithCancel(t.Context())
		n := newNode(t, tr, "n")
		left := false
		n.Service("x").OnLeave(func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if left = true; !ok || time.Until(deadline) != 7*time.Second || ctx.Err() != nil {
				t.Errorf("%v, %v", deadline, ctx.Err())
			}
			return nil
		})
		served := make(chan error, 1)
		go func() { served <- n.Serve(ctx, 7*time.Second, tr.Line()) }()
		if err := tr.Registry.WaitMembers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if len(served) > 0 {
			t.Fatal(<-served)
		}
		cancel()
		if err := <-served; err != nil || !left || len(tr.Registry.Members()) > 0 {
			t.Errorf("%v, wound up: %v, members %v", err, left, tr.Registry.Members())
		}
		is(t, "Ready", n.Ready(t.Context()), ringdht.ErrClosed)
	})
}

// Serve returns why a node does not join, or why it is over before its context.
func TestServeFails(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		n := newNode(t, tr, "n")
		is(t, "over", n.Serve(over(), time.Second, tr.Line()), context.Canceled)
		is(t, "no registry", n.Serve(t.Context(), time.Second, "nowhere:1"), ringdht.ErrRegistryLost)
		served := make(chan error)
		go func() { served <- n.Serve(t.Context(), time.Second, tr.Line()) }() // it may be tried again
		if err := n.WaitConnected(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.Close()
		is(t, "closed", <-served, ringdht.ErrClosed)
		waiting, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		patient := newNode(t, tr, "patient", ringdht.WithRetry())
		is(t, "while it joins", patient.Serve(waiting, time.Second, "nowhere:1"), context.DeadlineExceeded, ringdht.ErrRegistryLost)
	})
	synctest.Test(t, func(t *testing.T) {
		tr := ringtest.NewSecure(t, memnet.New(1), ringdht.WithLease(ringtest.Lease))
		n := newNode(t, tr, "n")
		s := n.Service("x")
		served, waited := make(chan error), make(chan error)
		go func() { served <- n.Serve(t.Context(), time.Second, tr.Line()) }()
		go func() { waited <- s.Send(t.Context(), 1, nil) }()
		if err := n.WaitConnected(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tr.Registry.Expel(t.Context(), n.ID()); err != nil {
			t.Fatal(err)
		}
		err := <-served
		if is(t, "expelled", err, ringdht.ErrNotMember); err == nil || !strings.Contains(err.Error(), "expelled") {
			t.Error(err)
		}
		if err := <-waited; !errors.Is(err, ringdht.ErrNotMember) && !errors.Is(err, ringdht.ErrClosed) { // Serve closes it
			t.Error(err)
		}
		is(t, "it is closed", n.Flush(t.Context()), ringdht.ErrNotMember)
	})
}
