package plane

import (
	"context"
	"errors"
	"testing"
)

// What has happened comes before a context that has ended, and before the end of the
// plane.
func TestWaitLooksAtWhatHasHappenedFirst(t *testing.T) {
	happened, never := make(chan struct{}), make(chan struct{})
	close(happened)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		for _, err := range []error{
			wait(ended, t.Context(), happened, never), wait(ended, t.Context(), never, happened),
			wait(t.Context(), ended, happened, nil), wait(ended, ended, never, happened),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if wait(ended, t.Context(), never, nil) == nil || wait(t.Context(), ended, nil, never) == nil {
			t.Fatal("nothing has happened")
		}
	}
}

// With a context that has ended no message is accepted, though there is room; and
// nothing is asked on the way.
func TestNothingIsSentWithAnEndedContext(t *testing.T) {
	withRig(t, func(t *testing.T, r *rig) {
		routed(r)
		r.open(40, 5)
		ended, cancel := context.WithCancelCause(t.Context())
		why := errors.New("test")
		cancel(why)
		before := r.p.Counters()
		for range 1000 {
			_, trace := r.p.Trace(ended, 40)
			for _, err := range []error{r.p.Send(ended, 40, 0, nil), r.p.Send(ended, 50, 0, nil), r.p.Cast(ended, 40, 0, nil), trace} {
				if err != why {
					t.Fatal(err)
				}
			}
		}
		if c := r.p.Counters(); c != before {
			t.Errorf("%+v, and then %+v", before, c)
		}
		if out, _ := r.p.StreamCount(); out != 1 {
			t.Error("a stream was opened")
		}
	})
}
