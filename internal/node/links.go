package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// A node opens so many links at once, besides those to peers that are slow to answer.
const (
	maxDials = 16
	maxSlow  = 64
)

// A link that breaks is dialled again at once. If that fails, or the link does not
// last, it is dialled again after minRedial, then ever more slowly.
const (
	minRedial = 50 * time.Millisecond
	maxRedial = 5 * time.Second
)

// maxUnwanted is for how long a node remembers that it could not reach a peer to which it
// need not have a link any more, and tries to.
const maxUnwanted = 30 * time.Second

// linker keeps the links that a life should have. All of it is owned by the relink
// goroutine; dials report over done.
type linker struct {
	*incarnation
	peers      map[ring.Ref]*peerState
	complaints membership.Complaints
	done       chan dialResult
	dials      *dial.Limiter

	epoch          uint64   // whose table is being linked
	oldEntries     []uint64 // the table before, to be routed by until the new one is linked
	linked         bool     // it is
	reportedErrors string   // as told to the registry with it
	confirmed      bool     // the registry was told
	warned         bool     // that this node's address leads others to themselves
}

// peerState is a peer to which there should be a link.
type peerState struct {
	control.Peer
	dialling      context.CancelFunc // a dial is under way or waits for its time
	failed        bool               // a dial has failed since the present table came
	err           error              // of the latest dial
	redial        backoff.Backoff    // before the next dial
	opened        time.Time          // when the link was opened
	unwantedSince time.Time          // since when there need be no link; zero: it should be there
}

func newPeerState(p control.Peer) *peerState {
	return &peerState{Peer: p, redial: backoff.Backoff{Min: minRedial, Max: maxRedial}}
}

// movedTo is the peer at another address. A link that is up stays; a dial that is not done is
// for nothing. What the registry was told, or was not, stays true until the first dial to the
// new address says something else.
func (p *peerState) movedTo(to control.Peer) *peerState {
	if p.dialling != nil {
		p.dialling()
	}
	moved := newPeerState(to)
	moved.err, moved.opened = p.err, p.opened
	return moved
}

// linkLoop is the goroutine that links to whom the node should be linked to.
func (inc *incarnation) linkLoop() {
	k := &linker{incarnation: inc, peers: make(map[ring.Ref]*peerState), done: make(chan dialResult), dials: dial.NewLimiter(maxDials, maxSlow)}
	for {
		select {
		case <-inc.ctx.Done():
			return
		case <-inc.wakeup:
		case <-inc.plane.Broken:
		case d := <-k.done:
			k.dialDone(d)
		}
		k.reconcile(inc.local.Load())
	}
}

func (p *peerState) ref() ring.Ref { return ring.Ref{ID: p.ID, Incarnation: p.Incarnation} }

// reportUnreachable tells the registry that a peer cannot be reached, unless it was told so since
// the present table came.
func (k *linker) reportUnreachable(p *peerState, epoch uint64) {
	if k.complaints.Unreachable(p.ref(), epoch) {
		k.sendTrouble(p, p.err.Error())
	}
}

func (k *linker) sendTrouble(p *peerState, why string) {
	k.n.Tell(control.TypeTrouble, control.Trouble{ID: p.ID, Incarnation: p.Incarnation, Error: why})
}

// reconcile makes links, and what is routed by, what the node was told.
func (k *linker) reconcile(local *membership.NodeView) {
	if k.resend.Swap(false) {
		k.complaints.Reset() // it has forgotten
		for _, p := range k.peers {
			if p.err != nil {
				k.reportUnreachable(p, local.Epoch)
			}
		}
	}
	if local.Epoch == 0 {
		return
	}
	if local.Epoch != k.epoch {
		k.epoch, k.linked, k.confirmed = local.Epoch, false, false
		k.warnOfLoopback(local)
		for _, p := range k.peers {
			p.failed = false
		}
	}
	up := func(p control.Peer) bool { return k.plane.HasLink(p.ID, p.Incarnation) }
	// Who was not dialled yet may well be there: only when a dial has failed is another
	// successor needed.
	table, keep := local.Links(func(w control.Peer) bool {
		p := k.peers[ring.Ref{ID: w.ID, Incarnation: w.Incarnation}]
		return up(w) || p == nil || p.err == nil
	})
	wanted := append(slices.Clone(table), keep...)
	k.setWanted(wanted)
	ready := true
	var failed []string
	for _, w := range wanted {
		p := k.peers[ring.Ref{ID: w.ID, Incarnation: w.Incarnation}]
		if up(w) {
			// another peering for this life may have opened the link
			if k.complaints.Stands(p.ref()) && k.complaints.Reached(p.ref()) {
				k.sendTrouble(p, "")
			}
			continue
		}
		if p.err == nil && k.plane.Unanswered(p.ID, p.Incarnation) {
			// It would be long before dialling it fails as well.
			p.err, p.failed = errNoAnswer, true
		}
		if p.err != nil {
			k.reportUnreachable(p, local.Epoch) // before the table is confirmed
			failed = append(failed, fmt.Sprintf("node %d cannot link to its entry %d: %v", k.self.ID, p.ID, p.err))
		}
		ready = ready && p.failed
		if p.dialling == nil {
			k.dial(p)
		}
	}
	if ready {
		k.linked = true
	}
	routes := plane.Routes{Epoch: local.Epoch, Entries: peerIDs(table), Keep: peerIDs(keep), Successor: local.Successor(), Authoritative: k.authoritative()}
	if len(local.Detours) > 0 {
		routes.Detours = make(map[uint64]uint64, len(local.Detours))
		for _, d := range local.Detours {
			routes.Detours[d.To] = d.ID
		}
	}
	if k.linked {
		k.oldEntries = routes.Entries
	} else {
		// Until the new links are up the old ones lead on as well: a mix of tables
		// routes, since each entry is a step forward.
		routes.Entries = k.mergeClockwise(routes.Entries, k.oldEntries)
	}
	k.plane.SetRoutes(routes)
	if k.linked {
		k.confirm(local, failed)
	}
}

// authoritative says that what this node knows of its successor is the truth: everybody knows
// of it, the registry has not lost sight of it, and it uses what it was told since the
// registry saw it again. A node that was declared dead, or is about to leave, is not told
// of newcomers behind it, while frames still come its way; it must not say of them that
// they do not exist. This is looked at every third of a lease, so half of one is early
// enough.
func (inc *incarnation) authoritative() bool {
	select {
	case <-inc.n.Disconnected():
		return false
	default:
		return inc.isReady() && !inc.n.isDeregistering() && inc.table.Load().epoch > inc.connectEpoch.Load() && inc.contact.age(inc.n.cfg.Now()) < inc.timeout()/2
	}
}

// setWanted forgets the peers that there need be no link to any more. One that cannot be
// reached is tried a little longer: were it dropped, and with it the trouble, then the
// registry would have this node lead others there again, at once and again and again.
func (k *linker) setWanted(wanted []control.Peer) {
	keep := make(map[ring.Ref]struct{}, len(wanted))
	for _, w := range wanted {
		ref := ring.Ref{ID: w.ID, Incarnation: w.Incarnation}
		if _, twice := keep[ref]; twice {
			continue
		}
		keep[ref] = struct{}{}
		switch p := k.peers[ref]; {
		case p == nil:
			k.peers[ref] = newPeerState(w)
		case p.Addr != w.Addr:
			k.peers[ref] = p.movedTo(w)
		}
	}
	for ref, p := range k.peers {
		if _, ok := keep[ref]; ok {
			p.unwantedSince = time.Time{}
			continue
		}
		if p.unwantedSince.IsZero() {
			p.unwantedSince = time.Now()
		}
		if p.err != nil && time.Since(p.unwantedSince) < maxUnwanted && !k.n.isDead(p.ID, p.Incarnation) {
			if p.dialling == nil {
				k.dial(p)
			}
			continue
		}
		if p.dialling != nil {
			p.dialling()
		}
		delete(k.peers, ref)
	}
}

func peerIDs(peers []control.Peer) []uint64 {
	ids := make([]uint64, len(peers))
	for i, p := range peers {
		ids[i] = p.ID
	}
	return ids
}

// mergeClockwise merges two lists of entries, in clockwise order.
func (k *linker) mergeClockwise(a, b []uint64) []uint64 {
	all := append(slices.Clone(a), b...)
	mask := ring.Mask(int(k.self.Bits))
	slices.SortFunc(all, func(x, y uint64) int {
		return cmp.Compare(ring.Distance(mask, k.self.ID, x), ring.Distance(mask, k.self.ID, y))
	})
	return slices.Compact(all)
}

// confirm tells the registry that its latest word is in use, once, and again when what
// could not be linked has changed.
func (k *linker) confirm(local *membership.NodeView, failed []string) {
	slices.Sort(failed)
	errs := handshake.Some(failed)
	if k.confirmed && errs == k.reportedErrors {
		return
	}
	k.confirmed, k.reportedErrors = true, errs
	peers := make([]status.Peer, len(local.Entries))
	for i, e := range local.Entries {
		peers[i] = status.Peer{ID: status.ID(e.ID), Addr: e.Addr}
	}
	k.table.Store(&table{local.Epoch, peers})
	var failure error
	if errs != "" {
		failure = errors.New(errs)
	}
	k.linkError.Store(&failure)
	k.n.Tell(control.TypeLinked, control.Linked{Epoch: local.Epoch, Error: errs})
	k.n.cfg.Log.Info("links up", "node", k.n.Peer(), "epoch", local.Epoch, "entries", len(peers), "missing", errs)
}

// warnOfLoopback warns once if a peer is on another machine, and cannot dial this node.
func (k *linker) warnOfLoopback(local *membership.NodeView) {
	if k.warned || !dial.IsLoopback(k.n.address()) {
		return
	}
	for _, p := range local.Entries {
		if !dial.IsLoopback(p.Addr) {
			k.warned = true
			k.n.cfg.Log.Warn("this node advertises a loopback address, which members on other machines cannot dial: join by another address of the registry's than localhost, or use WithAdvertise",
				"node", k.n.Peer(), "peer", status.Peer{ID: status.ID(p.ID), Addr: p.Addr})
			return
		}
	}
}
