package ringdht_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// A node that leaves ends the streams of all services of a source: what has come is handled, and the
// source gets back the rest, by service. No stream waits for another one, or to be confirmed.
func TestLeaveWithServices(t *testing.T) {
	const before, after = 5, 3
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		names := []string{"", "a", "b"}
		source, sink := newNode(t, tr, "source"), newNode(t, tr, "sink")
		begun, release := make(chan struct{}, 3), make(chan struct{})
		var handled [3]atomic.Int32
		var told []status.Undelivered
		services := map[string]*ringdht.Service{}
		for _, name := range slices.Backward(names) {
			services[name] = source.Service(name)
		}
		services["a"].OnUndelivered(func(u status.Undelivered) { told = append(told, u) })
		for i, name := range names {
			sink.Service(name).Handle(func(ctx context.Context, _ ringdht.Message) {
				select {
				case begun <- struct{}{}:
				default:
				}
				select {
				case <-release:
					handled[i].Add(1)
				case <-ctx.Done(): // the test has failed
				}
			})
		}
		winds := make(chan struct{})
		sink.Service("c").OnLeave(func(context.Context) error { close(winds); return nil })
		for _, n := range []*ringdht.Node{source, sink} {
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Setup(0)
		send := func(n int, what string) {
			t.Helper()
			for range n {
				for _, name := range names {
					if err := services[name].Send(t.Context(), sink.ID(), []byte(what)); err != nil {
						t.Fatal(err)
					}
				}
			}
			synctest.Wait()
		}
		send(before, "before")
		for range names { // each stream is open
			<-begun
		}
		synctest.Wait()
		left := make(chan error, 1)
		go func() { left <- sink.Leave(t.Context()) }()
		<-winds
		synctest.Wait()
		send(after, "after")
		start := time.Now()
		close(release)
		if err := <-left; err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d >= ringtest.Lease {
			t.Errorf("it took %v", d)
		}
		for i := range handled {
			if n := handled[i].Load(); n != before {
				t.Errorf("service %q has handled %d", names[i], n)
			}
		}
		err := source.Flush(t.Context())
		is(t, "Flush", err, ringdht.ErrLeft)
		if e, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range e.Unwrap() {
				if u, ok := one.(*status.UndeliveredError); ok {
					told = append(told, u.Streams...)
				}
			}
		}
		var got []string
		for _, u := range told {
			got = append(got, fmt.Sprintf("%s: %d of %d, %q", u.Service, u.NotHandled, u.Messages, u.Bodies))
		}
		slices.Sort(got)
		got = slices.Compact(got) // the callback and a Flush that waits may both be told
		var want []string
		for _, name := range names {
			want = append(want, name+`: 3 of 3, ["after" "after" "after"]`)
		}
		if !slices.Equal(got, want) {
			t.Errorf("left: %q", got)
		}
	})
}

// ready waits until nodes are ready, and have heard of each other.
func ready(t *testing.T, nodes ...*ringdht.Node) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// A node that leaves winds up when each other member has confirmed a list without it, and is a member
// until then and after: it takes messages, answers and relays. The others hear once that it has left.
func TestOffTheListsBeforeWindingUp(t *testing.T) {
	inRing(t, func(t *testing.T, tr *ringtest.Ring) {
		leaver, first, second := newNode(t, tr, "leaver", ringdht.WithID(30), ringdht.WithName("it")), newNode(t, tr, "first", ringdht.WithID(10)), newNode(t, tr, "second", ringdht.WithID(20))
		winds, goOn := make(chan struct{}), make(chan struct{})
		var got atomic.Int32
		services := map[*ringdht.Node]*ringdht.Service{}
		for _, n := range []*ringdht.Node{leaver, first, second} {
			s := n.Service("s")
			s.Handle(func(context.Context, ringdht.Message) { got.Add(1) })
			if services[n] = s; n == leaver {
				s.OnLeave(func(ctx context.Context) error {
					close(winds)
					<-goOn
					return s.Send(ctx, 10, []byte("an answer"))
				})
			}
			if err := n.Join(t.Context(), tr.Line()); err != nil {
				t.Fatal(err)
			}
		}
		tr.Setup(0)
		ready(t, leaver, first, second)
		var ends []string
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for e := range services[first].Watch(ctx) {
				if e.Change.Over() {
					ends = append(ends, fmt.Sprint(e.ID, e.Change))
				}
			}
		}()
		lists := func(n *ringdht.Node) bool {
			members, _ := services[n].Members()
			_, err := n.Lookup(t.Context(), "it")
			has := func(m status.MemberInfo) bool { return m.ID == 30 }
			on := []bool{slices.ContainsFunc(members, has), n != leaver && slices.ContainsFunc(n.Members(), has), n != leaver && err == nil}
			if n != leaver && (on[0] != on[1] || on[1] != on[2]) {
				t.Errorf("node %d lists it in some places: %v", n.ID(), on)
			}
			return on[0]
		}
		tr.Net.Hold("registry", "second")
		left := make(chan error, 1)
		go func() { left <- leaver.Leave(t.Context()) }()
		time.Sleep(ringtest.Lease / 2)
		if !lists(second) || lists(first) || lists(leaver) {
			t.Error("before it winds up: a member that was told lists it, or one that was not does not")
		}
		select {
		case <-winds:
			t.Fatal("it winds up, and a member lists it")
		default:
		}
		tr.Net.Release("registry", "second")
		<-winds
		if lists(first) || lists(second) || lists(leaver) {
			t.Error("it winds up, and a member lists it")
		}
		for _, n := range []*ringdht.Node{first, second} { // it is there still
			if err := services[n].Send(t.Context(), 30, []byte("late")); err != nil {
				t.Error(err)
			}
			if err := n.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
		newcomer := newNode(t, tr, "newcomer", ringdht.WithID(40))
		services[newcomer] = newcomer.Service("s")
		if err := newcomer.Join(t.Context(), tr.Line()); err != nil {
			t.Fatal(err)
		}
		if err := newcomer.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if lists(newcomer) {
			t.Error("a newcomer lists it")
		}
		if err := services[newcomer].Send(t.Context(), 30, []byte("by its ID")); err != nil {
			t.Error(err)
		}
		if err := newcomer.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		close(goOn)
		if err := <-left; err != nil {
			t.Error(err)
		}
		if n := got.Load(); n != 4 {
			t.Errorf("%d messages were handled, want 4", n)
		}
		synctest.Wait()
		cancel()
		<-watched
		if !slices.Equal(ends, []string{"30left"}) {
			t.Errorf("ends that were told: %v", ends)
		}
	})
}

// A node does not wait for ever for the others: for half of its context's time at most, and for a registry
// that is away no longer than a lease. It learns nothing then, and leaves as well as it can. Another
// registry is told anew, also while the services wind up.
func TestWindingUpWithoutConfirmation(t *testing.T) {
	for _, c := range []struct {
		name        string
		before      func(t *testing.T, tr *ringtest.Ring)
		while       func(t *testing.T, tr *ringtest.Ring) // it winds up
		ctx         time.Duration
		after, till time.Duration // when it winds up
		listed      bool
		want        error
	}{
		{name: "a member does not confirm", before: func(_ *testing.T, tr *ringtest.Ring) { tr.Net.Hold("registry", "other") }, ctx: ringtest.Lease, after: ringtest.Lease / 2, till: ringtest.Lease/2 + time.Millisecond, listed: true, want: context.DeadlineExceeded},
		{name: "a member hangs", before: func(_ *testing.T, tr *ringtest.Ring) { tr.Net.Hold("registry", "other") }, ctx: time.Hour, after: ringtest.Lease / 2, till: ringtest.Lease + ringtest.Lease/8, listed: true},
		{name: "no registry", before: func(_ *testing.T, tr *ringtest.Ring) { tr.Registry.Close() }, ctx: time.Hour, after: ringtest.Lease, till: ringtest.Lease + time.Millisecond, listed: true, want: ringdht.ErrRegistryLost},
		{name: "another registry", before: func(t *testing.T, tr *ringtest.Ring) {
			tr.Registry.Close()
			time.AfterFunc(ringtest.Lease/4, func() { tr.RestartRegistry(ringdht.WithLease(ringtest.Lease)) })
		}, ctx: time.Hour, till: 4 * ringtest.Lease},
		{name: "another registry later", before: func(*testing.T, *ringtest.Ring) {}, while: func(t *testing.T, tr *ringtest.Ring) {
			tr.Registry.Close()
			tr.RestartRegistry(ringdht.WithLease(ringtest.Lease))
			time.Sleep(4 * ringtest.Lease)
		}, ctx: time.Hour, till: ringtest.Lease / 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRing(t, func(t *testing.T, tr *ringtest.Ring) {
				leaver, other := newNode(t, tr, "leaver", ringdht.WithID(30)), newNode(t, tr, "other", ringdht.WithID(10))
				var began time.Time
				var took time.Duration
				leaver.Service("s").OnLeave(func(context.Context) error {
					took = time.Since(began)
					if c.while != nil {
						c.while(t, tr)
					}
					if on := len(other.Members()) > 0; on != c.listed {
						t.Errorf("the other lists it: %v", on)
					}
					return nil
				})
				for _, n := range []*ringdht.Node{leaver, other} {
					if err := n.Join(t.Context(), tr.Line()); err != nil {
						t.Fatal(err)
					}
				}
				tr.Setup(0)
				ready(t, leaver, other)
				c.before(t, tr)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), c.ctx)
				defer cancel()
				began = time.Now()
				err := leaver.Leave(ctx)
				if took < c.after || took > c.till {
					t.Errorf("it winds up after %v, want %v to %v", took, c.after, c.till)
				}
				if c.want == nil && err != nil || c.want != nil {
					is(t, "Leave", err, c.want)
				}
				tr.Net.Heal()
			})
		})
	}
}

// Serve returns when the node is closed, also if another goroutine has called Leave: with ErrClosed if
// that has ended, and with ErrNotMember if the context of Serve ended first. It waits for the other for its
// grace at most.
func TestServeWhileAnotherLeaves(t *testing.T) {
	for _, c := range []struct {
		name         string
		takes, grace time.Duration // of the other Leave, and of Serve; 0: its context does not end
		after        time.Duration
		want         error
	}{
		{"the other ends first", time.Second, 0, time.Second, ringdht.ErrClosed},
		{"its context ends first", time.Second, time.Minute, time.Second, ringdht.ErrNotMember},
		{"the other takes long", time.Hour, time.Minute, time.Minute, ringdht.ErrNotMember},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRing(t, func(t *testing.T, tr *ringtest.Ring) {
				n := newNode(t, tr, "n")
				winds := make(chan struct{})
				n.Service("s").OnLeave(func(context.Context) error { close(winds); time.Sleep(c.takes); return nil })
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- n.Serve(ctx, c.grace, tr.Line()) }()
				if err := n.WaitConnected(t.Context()); err != nil {
					t.Fatal(err)
				}
				left := make(chan error, 1)
				go func() { left <- n.Leave(context.Background()) }()
				<-winds
				began := time.Now()
				if c.grace > 0 {
					cancel()
				}
				is(t, "Serve", <-served, c.want)
				if took := time.Since(began); took < c.after || took > c.after+ringtest.Lease {
					t.Errorf("it took %v", took)
				}
				is(t, "ReadyNow", n.ReadyNow(), ringdht.ErrClosed)
				<-left
				cancel()
			})
		})
	}
}
