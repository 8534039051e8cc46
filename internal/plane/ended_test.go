package plane

import (
	"context"
	"errors"
	"testing"
)

// With a context that has ended no message is accepted, even if there is room, and no frame is
// sent.
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
