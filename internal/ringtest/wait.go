package ringtest

import (
	"context"
	"testing"
	"time"

	"github.com/x/ringdht"
)

// Until waits for what a node shows of itself.
func Until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(2 * time.Millisecond) { // polling for an event that nobody tells of
		if time.Now().After(deadline) {
			t.Fatal("still not so: ", what)
		}
	}
}

// Settled waits until the registry has everybody where they should be.
func (tr *Ring) Settled() {
	tr.T.Helper()
	if err := tr.Registry.WaitSettled(tr.Ctx()); err != nil {
		tr.T.Fatal(err)
	}
}

// Gone waits until the registry has forgotten a node.
func (tr *Ring) Gone(id ringdht.ID) {
	tr.T.Helper()
	err := In(tr.Registry).Await(tr.Ctx(), func() bool {
		_, there := In(tr.Registry).Authority().Holder(uint64(id))
		return !there
	})
	if err != nil {
		tr.T.Fatal(err)
	}
}

// Hold is what a handler does that waits until a test lets it go on.
func Hold(ctx context.Context, release <-chan struct{}) {
	select {
	case <-release:
	case <-ctx.Done():
	}
}

// EndsBefore is a context that ends before it is first looked at.
type EndsBefore struct {
	context.Context
	End func()
}

func (c EndsBefore) Done() <-chan struct{} {
	c.End()
	return c.Context.Done()
}
