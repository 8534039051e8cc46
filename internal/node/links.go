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
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// maxUnwanted is for how long a node goes on dialling an unreachable peer to which it need not
// have a link any more.
const maxUnwanted = 30 * time.Second

// linker keeps the links that an incarnation should have. linkLoop owns all of it; dials
// report over done.
type linker struct {
	*incarnation
	peers      map[ring.Ref]*peerState
	complaints membership.Complaints
	done       chan dialResult
	dials      *dial.Limiter

	epoch          uint64   // of the table whose links are being opened
	oldEntries     []uint64 // the table before, in use as well until linked
	oldStubs       []uint64 // likewise
	linked         bool     // every link of the table is up, or a dial of it has failed
	confirmed      bool     // the registry was told so
	reportedErrors string   // as told to the registry with it
	warned         bool     // that this node's address is a loopback address
}

// peerState is a peer to which there should be a link.
type peerState struct {
	ring.Peer
	dialling      context.CancelFunc // not nil while a dial is under way or waits for its time
	failed        bool               // a dial has failed since the present table came
	err           error              // of the latest dial
	redial        backoff.Backoff    // before the next dial
	opened        time.Time          // when the link was opened
	unwantedSince time.Time          // zero while there should be a link
}

func newPeerState(p ring.Peer) *peerState {
	return &peerState{Peer: p, redial: backoff.Backoff{Min: minRedial, Max: maxRedial}}
}

// movedTo is the state of the peer at another address. A link that is up stays, and a dial
// under way is cancelled. err stays, and with it what the registry was told, until the first
// dial to the new address has another outcome.
func (p *peerState) movedTo(to ring.Peer) *peerState {
	if p.dialling != nil {
		p.dialling()
	}
	moved := newPeerState(to)
	moved.err, moved.opened = p.err, p.opened
	return moved
}

// linkLoop is the goroutine that opens links to the peers that this node should have links to.
func (inc *incarnation) linkLoop() {
	l := &linker{incarnation: inc, peers: make(map[ring.Ref]*peerState), done: make(chan dialResult), dials: dial.NewLimiter(maxDials, maxSlow)}
	for {
		select {
		case <-inc.ctx.Done():
			return
		case <-inc.wakeup:
		case <-inc.plane.Broken:
		case d := <-l.done:
			l.dialDone(d)
		}
		l.reconcile(inc.local.Load())
	}
}

// reportUnreachable tells the registry that a peer cannot be reached, unless it was told so
// since the present table came.
func (l *linker) reportUnreachable(p *peerState, epoch uint64) {
	if l.complaints.Unreachable(p.Ref(), epoch) {
		l.sendTrouble(p, p.err.Error())
	}
}

func (l *linker) sendTrouble(p *peerState, why string) {
	l.n.Tell(control.TypeTrouble, control.Trouble{ID: p.ID, Incarnation: p.Incarnation, Error: handshake.Quote(why)})
}

// reconcile makes links and routes agree with what the registry has told.
func (l *linker) reconcile(local *membership.NodeView) {
	if l.resend.Swap(false) { // the registry has forgotten, or is another
		l.complaints.Reset()
		for _, p := range l.peers {
			if p.err != nil {
				l.reportUnreachable(p, local.Epoch)
			}
		}
	}
	if local.Epoch == 0 {
		return
	}
	if local.Epoch != l.epoch {
		l.epoch, l.linked, l.confirmed = local.Epoch, false, false
		l.warnOfLoopback(local)
		for _, p := range l.peers {
			p.failed = false
		}
	}
	up := func(p ring.Peer) bool { return l.plane.HasLink(p.ID, p.Incarnation) }
	// A peer that was not dialled yet counts as reachable: another successor is needed only
	// after a dial has failed.
	table, keep := local.Links(func(w ring.Peer) bool {
		p := l.peers[w.Ref()]
		return up(w) || p == nil || p.err == nil
	})
	wanted := append(slices.Clone(table), keep...)
	l.setWanted(wanted)
	ready := true
	var failed []string
	for _, w := range wanted {
		p := l.peers[w.Ref()]
		if up(w) {
			// not always by a dial for this state, which may have replaced an earlier one
			if l.complaints.Stands(p.Ref()) && l.complaints.Reached(p.Ref()) {
				l.sendTrouble(p, "")
			}
			continue
		}
		if p.err == nil && l.plane.Unanswered(p.ID, p.Incarnation) {
			// A dial would fail as well, but much later.
			p.err, p.failed = errNoAnswer, true
		}
		if p.err != nil {
			l.reportUnreachable(p, local.Epoch) // before the table is confirmed
			failed = append(failed, fmt.Sprintf("node %d cannot link to its entry %d: %v", l.self.ID, p.ID, p.err))
		}
		ready = ready && p.failed
		if p.dialling == nil {
			l.dial(p)
		}
	}
	if ready {
		l.linked = true
	}
	l.setRoutes(local, table, keep)
	if l.linked {
		l.confirm(local, failed)
	}
}

// setRoutes gives the plane the routes of a table.
func (l *linker) setRoutes(local *membership.NodeView, table, keep []ring.Peer) {
	routes := peers.Routes{Epoch: local.Epoch, Entries: peerIDs(table), Keep: peerIDs(keep), Successor: local.Successor(), Authoritative: l.authoritative()}
	routes.Stubs = peerIDs(local.Stubs)
	if len(local.Detours) > 0 {
		routes.Detours = make(map[uint64]uint64, len(local.Detours))
		for _, d := range local.Detours {
			routes.Detours[d.To] = d.ID
		}
	}
	if l.linked {
		l.oldEntries, l.oldStubs = routes.Entries, routes.Stubs
	} else {
		// Until the new links are up, the old ones are used as well. A mix of tables routes
		// correctly, since each entry is a step forward.
		routes.Entries = l.mergeClockwise(routes.Entries, l.oldEntries)
		for _, s := range l.oldStubs {
			if !slices.Contains(routes.Stubs, s) && !slices.Contains(routes.Entries, s) {
				routes.Stubs, routes.Keep = append(routes.Stubs, s), append(routes.Keep, s)
			}
		}
	}
	first := l.plane.Epoch() == 0
	l.plane.SetRoutes(routes)
	if first { // awaitTable may wait for it
		l.n.mu.Lock()
		l.n.changed.Broadcast()
		l.n.mu.Unlock()
	}
}

// authoritative reports whether what this node knows of its successor is the truth. Three
// things must hold: all tables lead here, the registry has not lost contact with it, and the
// node uses what it was told since it registered last.
//
// A node that was declared dead, or is about to leave, is not told of newcomers behind it,
// while frames still come its way. It must not say of the newcomers that they do not exist.
// linkLoop calls this at least every third of a lease, so half of a timeout is early enough.
func (inc *incarnation) authoritative() bool {
	select {
	case <-inc.n.Disconnected():
		return false
	default:
		return inc.isReady() && !inc.n.isDeregistering() && inc.table.Load().epoch > inc.connectEpoch.Load() && inc.contactIsRecent()
	}
}

// contactIsRecent reports whether the registry has surely not declared the node dead yet.
func (inc *incarnation) contactIsRecent() bool {
	return inc.contact.age(inc.n.cfg.Now()) < inc.timeout()/2
}

// setWanted adds peers that there should be links to, and drops those that there need be none
// to any more. An unreachable one stays for maxUnwanted: if it were dropped, and its trouble
// with it, the registry would put it into this node's table again at once, over and over.
func (l *linker) setWanted(wanted []ring.Peer) {
	keep := make(map[ring.Ref]struct{}, len(wanted))
	for _, w := range wanted {
		ref := w.Ref()
		if _, twice := keep[ref]; twice {
			continue
		}
		keep[ref] = struct{}{}
		switch p := l.peers[ref]; {
		case p == nil:
			l.peers[ref] = newPeerState(w)
		case p.Addr != w.Addr:
			l.peers[ref] = p.movedTo(w)
		}
	}
	for ref, p := range l.peers {
		if _, ok := keep[ref]; ok {
			p.unwantedSince = time.Time{}
			continue
		}
		if p.unwantedSince.IsZero() {
			p.unwantedSince = time.Now()
		}
		if p.err != nil && time.Since(p.unwantedSince) < maxUnwanted && !l.n.isDead(p.ID, p.Incarnation) {
			if p.dialling == nil {
				l.dial(p)
			}
			continue
		}
		if p.dialling != nil {
			p.dialling()
		}
		delete(l.peers, ref)
	}
}

func peerIDs(peers []ring.Peer) []uint64 {
	ids := make([]uint64, len(peers))
	for i, p := range peers {
		ids[i] = p.ID
	}
	return ids
}

// mergeClockwise merges two lists of entries, in clockwise order.
func (l *linker) mergeClockwise(a, b []uint64) []uint64 {
	all := append(slices.Clone(a), b...)
	mask := ring.Mask(int(l.self.Bits))
	slices.SortFunc(all, func(x, y uint64) int {
		return cmp.Compare(ring.Distance(mask, l.self.ID, x), ring.Distance(mask, l.self.ID, y))
	})
	return slices.Compact(all)
}

// confirm tells the registry that its latest table is in use: once, and again when the links
// that could not be opened have changed.
func (l *linker) confirm(local *membership.NodeView, failed []string) {
	slices.Sort(failed)
	errs := handshake.Quote(handshake.JoinFew(failed))
	if l.confirmed && errs == l.reportedErrors {
		return
	}
	l.confirmed, l.reportedErrors = true, errs
	peers := make([]status.Peer, len(local.Entries))
	for i, e := range local.Entries {
		peers[i] = status.Peer{ID: status.ID(e.ID), Addr: e.Addr}
	}
	l.table.Store(&table{local.Epoch, peers})
	var linkError error
	if errs != "" {
		linkError = errors.New(errs)
	}
	l.linkError.Store(&linkError)
	l.n.Tell(control.TypeLinked, control.Linked{Epoch: local.Epoch, Error: errs})
	l.n.cfg.Log.Info("links up", "node", l.n.Peer(), "epoch", local.Epoch, "entries", len(peers), "missing", errs)
}

// warnOfLoopback warns once if a peer is on another machine, and so cannot dial this node.
func (l *linker) warnOfLoopback(local *membership.NodeView) {
	if l.warned || !dial.IsLoopback(l.n.address()) {
		return
	}
	for _, p := range local.Entries {
		if !dial.IsLoopback(p.Addr) {
			l.warned = true
			l.n.cfg.Log.Warn("this node advertises a loopback address, which members on other machines cannot dial: join by another address of the registry's than localhost, or use WithAdvertise",
				"node", l.n.Peer(), "peer", status.Peer{ID: status.ID(p.ID), Addr: p.Addr})
			return
		}
	}
}
