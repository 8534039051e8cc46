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
