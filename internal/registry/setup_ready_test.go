package registry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
	"github.com/x/ringdht/status"
)

// often is how many times a test repeats what must not depend on chance.
const often = 1000

var errOver = errors.New("over before the call")

// over returns a context that has ended.
func over() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errOver)
	return ctx
}

// If the condition becomes true as the context ends, the wait succeeds.
func TestBothAtOnce(t *testing.T) {
	r := ringtest.RegistryOf(ringtest.New(t, memnet.New(1)).Registry)
	for i := range often {
		so := false
		happens := func() { r.ChangeWith(func() { so = true }) }
		if err := r.Await(ringtest.CancelAtDone{Context: over(), Cancel: happens}, func() bool { return so }); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
}

// A set-up waits for another one. If its context has ended when its turn comes, it changes
// nothing.
func TestSetupChangesNothingWhenItsTurnComesTooLate(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	r := tr.Registry
	for range 4 {
		tr.Join(nil)
	}
	tr.Setup(2)
	epoch := r.Epoch()
	for i := range often {
		ringtest.RegistryOf(r).TakeSetupSlot()
		ctx, cancel := context.WithCancelCause(context.Background())
		_, err := r.Setup(ringtest.CancelAtDone{Context: ctx, Cancel: func() {
			if ringtest.RegistryOf(r).GiveSetupSlot() { // its turn
				cancel(errOver)
			}
		}}, 1)
		if !errors.Is(err, errOver) || !errors.Is(err, ringdht.ErrNotReady) || r.Epoch() != epoch {
			t.Fatalf("try %d: %v, epoch %d and then %d", i, err, epoch, r.Epoch())
		}
	}
	if ringtest.RegistryOf(r).GiveSetupSlot() {
		t.Error("the slot was not given back")
	}
}

// A run does not begin if its context has ended when the ring becomes ready.
func TestRunDoesNotBeginTooLate(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	r := tr.Registry
	for range 3 {
		tr.Join(nil, ringdht.WithTraffic())
	}
	tr.Setup(0)
	for i := range often {
		ctx, cancel := context.WithCancelCause(context.Background())
		err := ringtest.RegistryOf(r).StartRunAfresh(ringtest.CancelAtDone{Context: ctx, Cancel: func() { cancel(errOver) }}, status.Traffic{Messages: 1, Payload: 4})
		if !errors.Is(err, errOver) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if s := r.Snapshot(); len(s.Runs) != 0 || s.Happened[status.EventRun] != 0 {
		t.Errorf("%d runs have begun, want none", s.Happened[status.EventRun])
	}
}
