package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// Setup gives the membership a new layout and waits until all members use it, but for those that are
// left out, which the audit names. Set-ups run one after the other. If a pair has no link and no detour it fails, and the layout stays.
func (r *Registry) Setup(ctx context.Context, k int, fewest bool) (status.Audit, error) {
	if k < 0 {
		return status.Audit{}, fmt.Errorf("ringdht: registry: a table cannot have %d entries", k)
	}
	if ctx.Err() != nil {
		return status.Audit{}, fmt.Errorf("ringdht: registry: setting up: nothing was changed: %w", context.Cause(ctx))
	}
	select {
	case r.setup <- struct{}{}:
		defer func() { <-r.setup }()
	case <-ctx.Done():
	case <-r.ctx.Done():
		return status.Audit{}, r.closedError("setting up")
	}
	if ctx.Err() != nil { // even if the slot came free at the same moment
		return status.Audit{}, fmt.Errorf("ringdht: registry: %w: another set-up was under way, and nothing was changed (%w)", errs.ErrNotReady, context.Cause(ctx))
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return status.Audit{}, r.closedError("setting up")
	}
	if r.members.Len() == 0 {
		why := error(errs.ErrNotReady)
		if r.members.Recovering() {
			why = fmt.Errorf("%w: %w: %s, and new nodes wait", why, errs.ErrRebuilding, handshake.JoinFew(r.members.Unsettled()))
		}
		r.mu.Unlock()
		return status.Audit{}, fmt.Errorf("ringdht: registry: setting up: no nodes are registered: %w", why)
	}
	r.members.Setup(r.now(), ring.Layout{Fewest: fewest, K: k})
	r.wake()
	r.mu.Unlock()

	var missing, stuck []string
	var leftOut []status.LeftOut
	err := r.Await(ctx, func() bool {
		missing, stuck, leftOut = r.members.Unsettled(), nil, r.leftOut()
		for _, p := range r.members.WithoutDetour() {
			stuck = append(stuck, fmt.Sprintf("node %d cannot link to its entry %d: %s", p.From.ID, p.To.ID, p.Why))
		}
		return len(missing) == 0
	})
	audit := r.Audit()
	audit.LeftOut = leftOut
	switch {
	case err != nil && len(stuck) > 0:
		return audit, fmt.Errorf("ringdht: registry: %w: %s; %s (%w)", errs.ErrNotReady, handshake.JoinFew(stuck), handshake.JoinFew(missing), err)
	case err != nil:
		return audit, fmt.Errorf("ringdht: registry: %w: %s (%w)", errs.ErrNotReady, handshake.JoinFew(missing), err)
	case len(stuck) > 0:
		return audit, fmt.Errorf("ringdht: registry: %w: %s: repair that connection, or call Setup again when the node has left", errs.ErrNotReady, handshake.JoinFew(stuck))
	}
	r.mu.Lock()
	r.recordEvent(status.Event{Kind: status.EventSetup, Why: audit.String()})
	r.wake()
	r.mu.Unlock()
	return audit, nil
}

// Audit copies the tables under mu, and walks their routes without it.
func (r *Registry) Audit() status.Audit {
	tables := r.Tables()
	r.mu.Lock()
	offsets := slices.Clone(r.members.Layout().Offsets)
	r.mu.Unlock()
	ids := make([]uint64, len(tables))
	entries := make([][]uint64, len(tables))
	var epoch uint64
	lastHops := make([][]uint64, len(tables))
	for i, t := range tables {
		ids[i], epoch, lastHops[i] = uint64(t.Self.ID), t.Epoch, t.Stubs
		for _, p := range t.Peers {
			entries[i] = append(entries[i], uint64(p.ID))
		}
	}
	a := ring.AuditStubs(ring.Mask(r.cfg.Bits), ids, entries, lastHops)
	return status.Audit{
		Epoch: epoch, Nodes: a.Nodes, Entries: a.Entries, Offsets: offsets,
		Pairs: a.Pairs, Sampled: a.Sinks < a.Nodes, Unreachable: a.Unreachable, BadFrom: status.ID(a.BadFrom), BadTo: status.ID(a.BadTo),
		MeanHops: a.MeanHops, MaxHops: a.MaxHops, MaxFrom: status.ID(a.MaxFrom), MaxTo: status.ID(a.MaxTo),
		MinRelayed: a.MinRelayed, MeanRelayed: a.MeanRelayed, MaxRelayed: a.MaxRelayed, MaxRelay: status.ID(a.MaxRelay),
	}
}
