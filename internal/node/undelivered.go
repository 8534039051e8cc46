package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/status"
)

// maxLeftover bounds the sinks for which leftover has an entry.
const maxLeftover = 4096

// mergeLeftover adds what an incarnation left undelivered to what those before it left. Of
// those it keeps only the numbers: for each service one entry for each sink, and one for all sinks
// beyond maxLeftover. So a node that is declared dead again and again, and never calls Flush, does
// not gather bodies.
func mergeLeftover(before, latest []plane.Undelivered) []plane.Undelivered {
	var all []plane.Undelivered
	type place struct {
		sink    uint64
		service int
		many    bool
	}
	at := make(map[place]int)
	for _, u := range before {
		u.Bodies = nil
		i, ok := at[place{u.Sink, u.Service, u.Many}]
		if !ok && !u.Many && len(at) >= maxLeftover {
			u.Many, u.Sink = true, 0
			i, ok = at[place{0, u.Service, true}]
		}
		if ok {
			all[i].Messages += u.Messages
			all[i].NotHandled += u.NotHandled
			all[i].Err = u.Err
			continue
		}
		at[place{u.Sink, u.Service, u.Many}] = len(all)
		all = append(all, u)
	}
	return append(all, latest...)
}

// takeLeftover takes the entries of these sinks, or of all if none are given, out of leftover.
// The entry of many sinks goes with any.
func (n *Node) takeLeftover(sinks []uint64) (taken []plane.Undelivered) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leftover = slices.DeleteFunc(n.leftover, func(u plane.Undelivered) bool {
		take := len(sinks) == 0 || u.Many || slices.Contains(sinks, u.Sink)
		if take {
			taken = append(taken, u)
		}
		return take
	})
	return taken
}

// Flush waits for deliveries to these sinks, or to all, and returns what is undelivered. That
// includes what earlier incarnations left and was not told yet.
func (n *Node) Flush(ctx context.Context, sinks []status.ID) ([]plane.Undelivered, error) {
	ids := make([]uint64, len(sinks))
	for i, id := range sinks {
		ids[i] = uint64(id)
	}
	inc := n.inc.Load()
	failed, err := inc.plane.Flush(ctx, ids...)
	failed = append(n.takeLeftover(ids), failed...)
	if err = inc.awaitError(err); err != nil {
		err = fmt.Errorf("ringdht: node %d: %w", n.ID(), err)
	}
	return failed, err
}

// AwaitService waits as Flush does for what a service has sent to a sink, and takes nothing away from
// Flush.
func (n *Node) AwaitService(ctx context.Context, port uint8, sink status.ID) error {
	if err := n.inc.Load().plane.AwaitService(ctx, uint64(sink), port); err != nil {
		return fmt.Errorf("ringdht: %s: waiting for deliveries: %w", n.label(), n.ended(err))
	}
	return nil
}

// awaitDeliveries waits as Flush does, and leaves what was not delivered for Close to return.
func (inc *incarnation) awaitDeliveries(ctx context.Context) error {
	return inc.awaitError(inc.plane.Await(ctx))
}

// awaitError is the error of a wait for deliveries. If the incarnation has ended meanwhile the
// wait has failed, even without an error: end may not have stored its leftover yet.
func (inc *incarnation) awaitError(err error) error {
	if err == nil && inc.ctx.Err() != nil {
		err = context.Cause(inc.ctx)
	}
	if err != nil {
		err = fmt.Errorf("waiting for deliveries: %w", inc.n.ended(err))
	}
	return err
}
