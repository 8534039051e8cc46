package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A handler that sends does not wait for a table: what it waits for may wait for the handler. Other
// calls wait, also in a life that has no table yet, and the next table wakes them.
func TestHandlersDoNotWaitForATable(t *testing.T) {
	ringtest.InBubble(t, 2, ringtest.SixIDs[:2], func(t *testing.T, tr *ringtest.Ring, net *memnet.Network) {
		proceed, sent := make(chan struct{}), make(chan error, 1)
		var n *ringtest.Node
		n = tr.Join(func(ctx context.Context, m ringdht.Message) {
			<-proceed
			sent <- n.Send(ctx, m.Source, nil)
		}, ringdht.WithID(70))
		if err := n.Ready(tr.Ctx()); err != nil {
			t.Fatal(err)
		}
		if err := tr.Nodes[0].Send(tr.Ctx(), 70, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the handler runs
		first := ringtest.NodeOf(n).Present()
		if err := first.BeginAgain(); err != nil {
			t.Fatal(err)
		}
		waits := make(chan error, 1)
		go func() { waits <- n.Send(tr.Ctx(), 10, nil) }()
		close(proceed)
		if err := <-sent; !errors.Is(err, ringdht.ErrNotReady) {
			t.Error(err)
		}
		synctest.Wait()
		if len(waits) > 0 {
			t.Error(<-waits)
		}
		first.Evict()
		ringtest.NodeOf(n).HangUp() // the registry tells the life of before a table, which is this one's
		if err := <-waits; err != nil {
			t.Error(err)
		}
	})
}
