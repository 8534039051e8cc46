package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

func (m *messenger) send(ctx context.Context, c *console.Call) error {
	to, err := c.Node(0)
	if err != nil {
		return err
	}
	err = m.whenReady(ctx, c, fmt.Sprintf("sending: waiting for node %d", to), func(ctx context.Context) error {
		return m.texts.Send(ctx, to, []byte(c.Args[1]))
	})
	if err != nil {
		return err
	}
	c.Tell(sent{to, len(c.Args[1])}, fmt.Sprintf("Sent to %d.", to))
	return nil
}

func (m *messenger) trace(ctx context.Context, c *console.Call) error {
	to, err := c.Node(0)
	if err != nil {
		return err
	}
	var hops []status.Hop
	err = m.whenReady(ctx, c, "tracing: waiting for answers", func(ctx context.Context) (err error) {
		hops, err = m.node.Trace(ctx, to)
		return err
	})
	from := m.node.ID()
	switch text := report.Trace(from, to, hops, c.Screen.Columns()); {
	case err == nil:
		c.Show(report.TraceDocument{From: from, To: to, Hops: append([]status.Hop{}, hops...)}, text)
	case len(hops) > 0: // the part of the route that answered
		c.Screen.Say("%s", text)
	}
	return err
}

// whenReady calls do, with some patience. If the overlay is not set up it waits for that first, so
// that the first command of a script can be send.
func (m *messenger) whenReady(ctx context.Context, c *console.Call, doing string, do func(context.Context) error) error {
	if m.node.Table().Epoch() == 0 {
		wait, cancel := context.WithTimeoutCause(ctx, m.wait, slow(m.wait))
		defer cancel()
		if err := m.ready(wait, c); err != nil && m.node.Table().Epoch() == 0 {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, slow(patience))
	defer cancel()
	return c.Screen.While(func() error { return do(ctx) }, func() string { return doing })
}

// errNotSetUp is what commands say that need the overlay.
var errNotSetUp = errors.New("the overlay is not set up yet: type setup-overlay at the registry")

// ready waits until this node can send to all others.
func (m *messenger) ready(ctx context.Context, c *console.Call) error {
	err := c.Screen.While(func() error { return m.node.Ready(ctx) }, m.waiting)
	switch {
	case err == nil:
		return nil
	case m.node.Table().Epoch() == 0 && errors.Is(err, ringdht.ErrNotReady):
		return errNotSetUp
	}
	return err
}

// waiting says what a command waits for.
func (m *messenger) waiting() string {
	switch {
	case m.lost():
		return "waiting for the registry at " + m.registry
	case m.node.Table().Epoch() == 0:
		return "waiting until the overlay is set up, by setup-overlay at the registry"
	}
	return "waiting until all tables lead to this node"
}

// awaited is the document of wait.
type awaited struct {
	Nodes int `json:"nodes"` // that this node knows, with itself
}

// await is the command wait.
func (m *messenger) await(ctx context.Context, c *console.Call) error {
	n := 0
	if len(c.Args) > 0 {
		var err error
		if n, err = console.Number("n", c.Args[0], 1); err != nil {
			return err
		}
	}
	if err := m.ready(ctx, c); err != nil {
		return err
	}
	err := c.Screen.While(func() error { return m.awaitNodes(ctx, n) }, func() string {
		return fmt.Sprintf("waiting: this node knows %d of %s", m.count(), console.Count(n, "node"))
	})
	if err != nil {
		return err
	}
	known := m.count()
	c.Tell(awaited{known}, fmt.Sprintf("The overlay is set up. This node knows %s, with itself.", console.Count(known, "node")))
	return nil
}

// count returns how many nodes this node knows, with itself.
func (m *messenger) count() int { return m.node.Status().Members }

// awaitNodes waits until this node knows n nodes. It looks now and then: news of members come to
// it in batches, and a script does not notice a moment.
func (m *messenger) awaitNodes(ctx context.Context, n int) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for m.count() < n {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
