package ringdht

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/wire"
)

// maxDials is how many links a node opens at once.
const maxDials = 16

// A link that breaks is dialled again after minRedial, then ever more slowly.
const (
	minRedial = 50 * time.Millisecond
	maxRedial = 5 * time.Second
)

// redial is a round of dialling the links that are missing.
type redial struct {
	cancel context.CancelFunc
	done   chan error // gets its outcome
}

// relink is the goroutine that carries out manifests and mends broken links. Mending
// goes on in rounds beside it, so that a peer which does not answer holds up neither
// a new manifest nor the link to another.
func (n *Node) relink() {
	again := time.NewTimer(0)
	<-again.C
	defer again.Stop()
	var (
		round redial    // under way, if it has a channel
		broke time.Time // when a link broke last
		pause = minRedial
	)
	stop := func() {
		if round.done != nil {
			round.cancel()
			<-round.done
			round = redial{}
		}
	}
	defer stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case m := <-n.manifests:
			stop()
			n.carryOut(m)
		case <-n.plane.Broken:
			// A peer that lets itself be dialled and then hangs up must not be dialled
			// all the time.
			if now := time.Now(); now.Sub(broke) > 2*maxRedial {
				broke, pause = now, minRedial
			} else {
				broke, pause = now, min(2*pause, maxRedial)
			}
			stop()
			again.Reset(pause)
		case <-again.C:
			m := n.linked.Load()
			if m == nil || round.done != nil {
				continue
			}
			ctx, cancel := context.WithCancel(n.ctx)
			done := make(chan error, 1)
			round = redial{cancel, done}
			n.wg.Go(func() {
				done <- n.dialEntries(ctx, m, func() { n.plane.Use(n.routes(m)) })
			})
		case err := <-round.done:
			round.cancel()
			round = redial{}
			if err != nil {
				n.cfg.log.Debug("link still broken", "node", n.Peer(), "err", err, "again in", pause)
				pause = min(2*pause, maxRedial)
				again.Reset(pause)
			}
		}
	}
}

// carryOut does what a manifest says, and reports.
func (n *Node) carryOut(m control.Manifest) {
	err := n.link(m)
	n.failure.Store(&err)
	linked := control.Linked{Epoch: m.Epoch}
	if err != nil {
		linked.Error = err.Error()
		if n.ctx.Err() == nil {
			n.cfg.log.Warn("links not up", "node", n.Peer(), "epoch", m.Epoch, "err", err)
		}
	}
	n.ctl.Send(control.TypeLinked, linked)
}

// link opens the links that a manifest asks for and are not there, and puts its
// table to use when all are up. The old table stays in use until then, so nothing
// stops flowing. A mix of tables of two epochs among the nodes routes as well, as
// far as members of both are concerned: each names the node's successor among them.
func (n *Node) link(m control.Manifest) error {
	peers := make([]Peer, len(m.Entries))
	for i, e := range m.Entries {
		peers[i] = Peer{ID(e.ID), e.Addr}
	}
	table, err := newTable(n.space, n.ID(), m.Epoch, peers)
	if err != nil {
		return err
	}
	if m.Epoch <= n.plane.Epoch() {
		return fmt.Errorf("epoch %d is not newer than epoch %d", m.Epoch, n.plane.Epoch())
	}
	if err := n.dialEntries(n.ctx, &m, func() {}); err != nil {
		return err
	}
	n.linked.Store(&m)
	n.table.Store(table)
	n.plane.Use(n.routes(&m))
	for _, e := range m.Entries {
		if !n.plane.HasLink(e.ID, e.Life) {
			return fmt.Errorf("node %d lost its new link to %d before it was used", n.self.ID, e.ID)
		}
	}
	n.cfg.log.Info("links up", "node", n.Peer(), "epoch", m.Epoch, "entries", len(m.Entries))
	return nil
}

// dialEntries opens the links that are missing, as many as it can, and returns the
// first error. It calls opened after each, from any goroutine.
func (n *Node) dialEntries(ctx context.Context, m *control.Manifest, opened func()) error {
	var g errgroup.Group
	g.SetLimit(maxDials)
	for _, e := range m.Entries {
		if n.plane.HasLink(e.ID, e.Life) {
			continue
		}
		g.Go(func() error {
			conn, _, err := n.cfg.dial(ctx, e.Addr, wire.Hello{
				Role: wire.RoleLink, From: n.self.ID, FromLife: n.self.Life, To: e.ID, ToLife: e.Life,
			})
			if err != nil {
				return fmt.Errorf("node %d cannot link to its entry %d: %w", n.self.ID, e.ID, err)
			}
			n.plane.AddLink(e.ID, e.Life, conn)
			opened()
			return nil
		})
	}
	return g.Wait()
}

// routes is what a manifest says to the plane. The first entry is the successor.
func (n *Node) routes(m *control.Manifest) plane.Routes {
	r := plane.Routes{Epoch: m.Epoch, Successor: n.self.ID}
	for i, e := range m.Entries {
		if i == 0 {
			r.Successor = e.ID
		}
		r.Entries = append(r.Entries, e.ID)
	}
	return r
}
