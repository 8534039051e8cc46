package ringtest

import (
	"context"
	"testing"
	"time"

	"github.com/x/ringdht"
)

// WaitUntil waits until done returns true. It polls, for what no event announces.
func WaitUntil(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not after a minute: ", what)
		}
	}
}

// WaitSettled waits until the registry has put every member where it should be.
func (tr *Ring) WaitSettled() {
	tr.T.Helper()
	if err := tr.Registry.WaitSettled(tr.Ctx()); err != nil {
		tr.T.Fatal(err)
	}
}

// WaitGone waits until no member has this ID.
func (tr *Ring) WaitGone(id ringdht.ID) {
	tr.T.Helper()
	r := RegistryOf(tr.Registry)
	err := r.Await(tr.Ctx(), func() bool {
		_, there := r.Authority().Holder(uint64(id))
		return !there
	})
	if err != nil {
		tr.T.Fatal(err)
	}
}

// Block waits until release is closed or ctx ends. Handlers that wait for the test call it.
func Block(ctx context.Context, release <-chan struct{}) {
	select {
	case <-release:
	case <-ctx.Done():
	}
}

// CancelAtDone is a context whose Done calls Cancel first. So Cancel runs after the called
// function has begun, and before it waits for the context.
type CancelAtDone struct {
	context.Context
	Cancel func()
}

// Done calls Cancel and returns the channel of the context.
func (c CancelAtDone) Done() <-chan struct{} {
	c.Cancel()
	return c.Context.Done()
}
