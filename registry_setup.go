package ringdht

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// successors is how many of the nodes that follow it a node is told of.
const successors = 4

// overlay is one epoch: who is in it, with which tables, and whose links are up.
// Its first part is static; the rest is under Registry.mu.
type overlay struct {
	epoch   uint64
	members []ring.Member
	tables  []*Table // by position
	audit   Audit

	waiting map[uint64]ring.Member // links not reported yet
	failed  []string               // links that could not be opened
	lost    []string               // members that are gone
	ready   bool                   // everybody was told that all links are up
}

func (o *overlay) linked(m ring.Member, failure string) {
	if _, ok := o.waiting[m.ID]; !ok {
		return
	}
	delete(o.waiting, m.ID)
	if failure != "" {
		o.failed = append(o.failed, failure)
	}
}

func (o *overlay) lose(m ring.Member, why string) {
	for _, was := range o.members {
		if was.ID == m.ID && was.Life == m.Life {
			delete(o.waiting, m.ID)
			o.lost = append(o.lost, fmt.Sprintf("node %d (%s) %s", m.ID, m.Addr, why))
		}
	}
}

// missing says what keeps the overlay from being used, or nothing.
func (o *overlay) missing() string {
	switch {
	case o == nil:
		return "it has not been set up: run Setup (setup-overlay)"
	case len(o.lost) > 0:
		return fmt.Sprintf("since its set-up it lost %s: set it up again", some(o.lost))
	case len(o.failed) > 0:
		return fmt.Sprintf("links could not be opened: %s: mend that and set it up again", some(o.failed))
	case len(o.waiting) > 0:
		var who []string
		for _, m := range o.waiting {
			who = append(who, fmt.Sprintf("node %d (%s)", m.ID, m.Addr))
		}
		return fmt.Sprintf("%d of %d nodes have not reported their links up: %s", len(who), len(o.members), some(who))
	case !o.ready:
		return "its set-up is not finished"
	}
	return ""
}

// some lists a few of many.
func some(all []string) string {
	const few = 3
	if len(all) <= few {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:few], "; "), len(all)-few)
}

// Setup gives every member a routing table with k entries by position, waits until
// all of them have their links up, and returns the audit of the tables. k is cut
// to what the ring allows, ceil(log2 of the members); 0 means as many as that, with
// which no route takes more hops than that.
//
// It may be called again at any time, with another k or after members have come
// or gone, also while messages flow: nothing is lost. Nodes that join after a
// set-up are part of the ring from the next one on.
//
// The error matches [ErrNotReady] and says which links are missing when ctx ends
// first or a node cannot reach one of its entries.
func (r *Registry) Setup(ctx context.Context, k int) (Audit, error) {
	if k < 0 {
		return Audit{}, fmt.Errorf("ringdht: registry: a table cannot have %d entries", k)
	}
	select {
	case r.setup <- struct{}{}:
		defer func() { <-r.setup }()
	case <-ctx.Done():
		return Audit{}, fmt.Errorf("ringdht: registry: %w: another set-up is under way (%w)", ErrNotReady, context.Cause(ctx))
	case <-r.ctx.Done():
		return Audit{}, r.closedError("setting up")
	}

	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return Audit{}, r.closedError("setting up")
	}
	members := r.members.All()
	if len(members) == 0 {
		r.mu.Unlock()
		return Audit{}, fmt.Errorf("ringdht: registry: setting up: no nodes are registered: %w", ErrNotReady)
	}
	sessions := make([]*session, len(members))
	for i, m := range members {
		sessions[i] = r.sessions[m.ID]
	}
	r.epoch++
	epoch := r.epoch
	r.mu.Unlock()

	// Planning and encoding take seconds in a large ring, during which heartbeats
	// must be answered.
	o := r.plan(epoch, members, k)
	r.mu.Lock()
	r.overlay = o
	for i, m := range members {
		if r.sessions[m.ID] != sessions[i] {
			o.lose(m, "left during the set-up")
		}
	}
	r.change()
	r.mu.Unlock()
	for i, s := range sessions {
		s.conn.Send(control.TypeManifest, o.manifest(i)) // if it fails the session ends, and says so
	}

	err := r.await(ctx, func() bool { return len(o.waiting) == 0 || len(o.failed) > 0 || len(o.lost) > 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && len(o.waiting) == 0 && len(o.failed) == 0 && len(o.lost) == 0 {
		o.ready = true
		r.broadcast(members, control.TypeReady, control.Ready{Epoch: o.epoch})
		r.change()
		r.cfg.log.Info("overlay ready", "epoch", o.epoch, "members", len(members), "entries", o.audit.Entries)
		return o.audit, nil
	}
	why := fmt.Errorf("ringdht: registry: %w: %s", ErrNotReady, o.missing())
	if err != nil {
		why = fmt.Errorf("%w (%w)", why, err)
	}
	return o.audit, why
}

// plan computes the tables of an epoch and audits them.
func (r *Registry) plan(epoch uint64, members []ring.Member, k int) *overlay {
	n := len(members)
	k = ring.Entries(n, k)
	o := &overlay{epoch: epoch, members: members, waiting: make(map[uint64]ring.Member, n)}
	ids := make([]uint64, n)
	entries := make([][]uint64, n)
	var positions []int
	for i, m := range members {
		ids[i] = m.ID
		o.waiting[m.ID] = m
		positions = ring.AppendPositions(positions[:0], n, i, k)
		table := make([]Peer, k)
		entries[i] = make([]uint64, k)
		for e, p := range positions {
			table[e] = Peer{ID(members[p].ID), members[p].Addr}
			entries[i][e] = members[p].ID
		}
		t, err := newTable(Space(r.cfg.bits), ID(m.ID), epoch, table)
		if err != nil {
			panic(err) // positions ascend, so entries are in clockwise order
		}
		o.tables = append(o.tables, t)
	}
	a := ring.Audit(ring.Mask(r.cfg.bits), ids, entries)
	o.audit = Audit{
		Epoch: epoch, Nodes: a.Nodes, Entries: a.Entries,
		Pairs: a.Pairs, Sampled: a.Sinks < a.Nodes, Unreachable: a.Unreachable, BadFrom: ID(a.BadFrom), BadTo: ID(a.BadTo),
		MeanHops: a.MeanHops, MaxHops: a.MaxHops, MaxFrom: ID(a.MaxFrom), MaxTo: ID(a.MaxTo),
		MinRelayed: a.MinRelayed, MeanRelayed: a.MeanRelayed, MaxRelayed: a.MaxRelayed, MaxRelay: ID(a.MaxRelay),
	}
	return o
}

// manifest is what the node at a position is told.
func (o *overlay) manifest(self int) control.Manifest {
	n := len(o.members)
	m := control.Manifest{Epoch: o.epoch, Members: n}
	peer := func(i int) control.Peer {
		return control.Peer{ID: o.members[i].ID, Life: o.members[i].Life, Addr: o.members[i].Addr}
	}
	var positions []int
	for _, p := range ring.AppendPositions(positions, n, self, o.tables[self].Len()) {
		m.Entries = append(m.Entries, peer(p))
	}
	for i := 1; i <= successors && i < n; i++ {
		m.Successors = append(m.Successors, peer((self+i)%n))
	}
	add := func(i int) {
		m.Others = append(m.Others, o.members[i].ID)
		if !o.members[i].Traffic {
			m.Idle = append(m.Idle, o.members[i].ID)
		}
	}
	if n-1 <= control.MaxOthers {
		for i := range n {
			if i != self {
				add(i)
			}
		}
		return m
	}
	// A partial shuffle of all positions but self.
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	at[self], at[n-1] = at[n-1], at[self]
	for i := range control.MaxOthers {
		j := i + rand.IntN(n-1-i)
		at[i], at[j] = at[j], at[i]
		add(at[i])
	}
	return m
}
