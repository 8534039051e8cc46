package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/status"
)

// maxLeftover bounds the sinks for which it is kept what earlier lives left undelivered.
const maxLeftover = 4096

// mergeLeftover adds what a life left undelivered to what those before it did, of which only
// the numbers are kept, one for each sink, and one for all beyond maxLeftover: a node that is
// declared dead again and again and never calls Flush must not gather bodies.
func mergeLeftover(before, left []plane.Undelivered) []plane.Undelivered {
	var all []plane.Undelivered
	at := make(map[uint64]int)
	many := -1
	for _, u := range before {
		u.Bodies = nil
		i, ok := at[u.Sink]
		if u.Many || !ok && len(at) == maxLeftover {
			u.Many, u.Sink = true, 0
			i, ok = many, many >= 0
		}
		switch {
		case ok:
			all[i].Messages += u.Messages
			all[i].NotHandled += u.NotHandled
			all[i].Err = u.Err
			continue
		case u.Many:
			many = len(all)
		default:
			at[u.Sink] = len(all)
		}
		all = append(all, u)
	}
	return append(all, left...)
}

// takeLeftover takes what earlier lives left undelivered and that was not told yet, to these
// sinks or to all if none are given.
func (n *Node) takeLeftover(sinks []uint64) (taken []plane.Undelivered) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leftover = slices.DeleteFunc(n.leftover, func(u plane.Undelivered) bool {
		mine := len(sinks) == 0 || u.Many || slices.Contains(sinks, u.Sink)
		if mine {
			taken = append(taken, u)
		}
		return mine
	})
	return taken
}

// Flush waits until every message accepted before the call for these sinks, or for
// all when none are given, has been delivered, which is when its sink's handler
// has returned. The error is an [UndeliveredError] (errors.As) when streams to them
// ended first, since the last Flush that said so. With a callback ([WithUndelivered]) it
// lists those which ended during the call, and those that the callback had not been told
// when the call began. It matches ctx's error when ctx ended first; it may be both. If
// nothing is outstanding a ctx that has ended is no error.
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

// awaitDeliveries is [Node.Flush] that leaves what was not delivered for Close to tell.
func (inc *incarnation) awaitDeliveries(ctx context.Context) error {
	return inc.awaitError(inc.plane.Await(ctx))
}

// awaitError is the error of waiting for the deliveries of a life.
func (inc *incarnation) awaitError(err error) error {
	if err == nil && inc.ctx.Err() != nil { // what this life has left may still be on its way here
		err = context.Cause(inc.ctx)
	}
	if err != nil {
		err = fmt.Errorf("waiting for deliveries: %w", err)
	}
	return err
}
