package node

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// portTraffic and those above are the ports of traffic runs, with the low bits of the run's number.
// Ports below it are the source's numbers of its services.
const portTraffic = wire.FirstRunPort

// incarnation is a node from its admission until it leaves or is declared dead.
type incarnation struct {
	// static after begin
	n       *Node
	self    control.Registered
	info    *ring.Info // what the node says of itself
	plane   *plane.Plane
	traffic *traffic
	ready   chan struct{} // closed when all tables lead here

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup // linkLoop, its dials, and heartbeatLoop
	once sync.Once      // for its end

	local        atomic.Pointer[membership.NodeView] // what the registry has told it; only controlLoop stores
	wakeup       chan struct{}                       // of one slot: linkLoop has something to look at
	resend       atomic.Bool                         // the registry must hear again which peers are unreachable
	connectEpoch atomic.Uint64                       // the epoch of local when the node registered last
	contact      contact
	lateness     lateness
	silence      silence
	reported     lastReported
	pace         atomic.Int32          // thirds of a lease between heartbeats, and leases in the timeout
	table        atomic.Pointer[table] // the latest confirmed one
	linkError    atomic.Pointer[error] // of the confirmed table; nil before there is one

	// see rejoin.go
	rejoinUseless bool          // the registry gives incarnations that are not greater than one it was told of
	remembered    atomicMax     // the incarnation that a sink remembers of this ID
	laterSeen     chan struct{} // of one slot: remembered was raised
	rejoining     atomic.Bool   // this incarnation ends for that reason
}

// table is a routing table in use.
type table struct {
	epoch uint64
	peers []status.Peer // clockwise
}

// begin starts an incarnation on the registry's terms. maxSeen is the greatest incarnation
// that the registry was told of, and ctl the connection to it.
func (n *Node) begin(self control.Registered, maxSeen uint64, ctl *control.Conn) error {
	if self.Bits < 1 || self.Bits > 64 || bits.Len64(self.ID) > int(self.Bits) || self.MaxPayload < 4 || self.MaxPayload > handshake.MaxPayload ||
		self.HopLimit < 1 || self.HopLimit > 1<<16-1 || self.Incarnation == 0 || self.Lease < 1 || self.Lease > handshake.MaxLease.Milliseconds() {
		return fmt.Errorf("%w: the registry's terms make no sense: %+v", wire.ErrTerms, self)
	}
	if err := checkLimits(n.cfg.Limits, int(self.MaxPayload)); err != nil {
		return err
	}
	inc := n.newIncarnation(self)
	inc.rejoinUseless = self.Incarnation <= maxSeen
	n.noteTold(self.Incarnation)
	n.notesConnected(self.Incarnation, ctl, self.Notes)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		inc.stop(errs.ErrClosed)
		inc.plane.Close(errs.ErrClosed)
		n.wg.Go(func() { n.notesEnded(self.Incarnation) }) // without mu
		return errs.ErrClosed
	}
	n.inc.Store(inc)
	n.changed.Broadcast()
	n.members.Broadcast()
	inc.wg.Go(inc.linkLoop)
	inc.wg.Go(inc.heartbeatLoop)
	return nil
}

// newIncarnation makes an incarnation without goroutines of its own.
func (n *Node) newIncarnation(self control.Registered) *incarnation {
	inc := &incarnation{
		n: n, self: self, info: n.info, wakeup: make(chan struct{}, 1), ready: make(chan struct{}), laterSeen: make(chan struct{}, 1),
	}
	inc.table.Store(new(table))
	inc.local.Store(&membership.NodeView{Self: ring.Ref{ID: self.ID, Incarnation: self.Incarnation}, Bits: int(self.Bits), Follows: n.registered})
	inc.traffic = newTraffic(inc)
	inc.pace.Store(1)
	inc.ctx, inc.stop = context.WithCancelCause(n.ctx)
	inc.plane = plane.New(plane.Config{
		Self: self.ID, Incarnation: self.Incarnation, Bits: int(self.Bits), MaxPayload: int(self.MaxPayload), HopLimit: int(self.HopLimit),
		Limits: planeLimits(n.cfg.Limits), MaxSuspension: inc.lease(), Log: n.cfg.Log, Owner: n.owner, Wall: n.cfg.Wall,
		Services: n.cfg.planeServices(), Deliver: inc.deliver, OnLostTraffic: inc.traffic.onUndelivered, HasEnded: n.hasEnded,
		IsMember: inc.isMember, MayExist: inc.mayExist,
		Outlived: inc.onLaterIncarnation, OnIncarnation: n.noteIncarnation,
		StuckAfter: membership.StuckAfter(inc.lease()), StuckAgain: membership.StuckAgain(inc.lease()), OnStuck: inc.reportStuck,
	})
	return inc
}

func (inc *incarnation) isReady() bool {
	select {
	case <-inc.ready:
		return true
	default:
		return false
	}
}

// wake wakes linkLoop.
func (inc *incarnation) wake() {
	select {
	case inc.wakeup <- struct{}{}:
	default:
	}
}

func (inc *incarnation) lease() time.Duration {
	return time.Duration(inc.self.Lease) * time.Millisecond
}

// timeout is how long the node and its registry may be silent before one takes the other
// for dead.
func (inc *incarnation) timeout() time.Duration { return inc.lease() * time.Duration(inc.pace.Load()) }

// end ends an incarnation, and returns when all its goroutines have ended. Calls that wait
// fail with err. What was accepted and is not known to be delivered goes to leftover.
func (n *Node) end(inc *incarnation, err error) {
	inc.once.Do(func() {
		inc.stop(err)
		n.members.Broadcast()
		inc.traffic.abortRun()
		undelivered := inc.plane.Close(err)
		inc.wg.Wait()
		n.notesEnded(inc.self.Incarnation)
		n.mu.Lock()
		n.leftover = mergeLeftover(n.leftover, undelivered)
		n.changed.Broadcast()
		n.mu.Unlock()
	})
}

// deliver receives messages from the plane, one at a time per source.
func (inc *incarnation) deliver(ctx context.Context, d *plane.Delivery) {
	if d.Port >= portTraffic {
		inc.traffic.receive(d)
		return
	}
	if all := inc.n.cfg.Services; d.Service < len(all) && all[d.Service].Handler != nil {
		all[d.Service].Handler(ctx, d)
	}
}
