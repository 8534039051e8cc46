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
	"github.com/x/ringdht/status"
)

// The ports of a node: which of its parts a message is for.
const (
	portHandler = 0
	portTraffic = 0x80 // and the low bits of the run's number
)

// incarnation is a node from its admission until it leaves or is declared dead.
type incarnation struct {
	n       *Node
	self    control.Registered
	plane   *plane.Plane
	traffic *traffic

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup // relink, its dials, and attend
	once sync.Once      // it ends

	local   atomic.Pointer[membership.NodeView] // what it was told
	told    chan struct{}                       // of one slot: local has changed, or again
	again   atomic.Bool                         // the registry must hear again what cannot be reached
	since   atomic.Uint64                       // the epoch when the registry was found last
	pulse   pulse
	late    lateness
	news    news
	pace    atomic.Int32 // of heartbeats, in thirds of a lease
	table   atomic.Pointer[table]
	failure atomic.Pointer[error] // of the latest links
	ready   chan struct{}         // closed when everybody's tables lead here

	// see node_renew.go
	stuck  bool          // the registry gives lives that are smaller than one it was told of
	later  maximum       // the life that a sink remembers of this ID
	renew  chan struct{} // of one slot: a sink has said so
	ending atomic.Bool   // for that reason
}

// table is a routing table in use.
type table struct {
	epoch uint64
	peers []status.Peer // clockwise
}

// begin starts a life with what the registry has said. met is the greatest life that the
// registry was told of.
func (n *Node) begin(self control.Registered, met uint64) error {
	inc := &incarnation{
		n: n, self: self, told: make(chan struct{}, 1), ready: make(chan struct{}),
		renew: make(chan struct{}, 1), stuck: self.Incarnation <= met,
	}
	if self.Bits < 1 || self.Bits > 64 || bits.Len64(self.ID) > int(self.Bits) || self.MaxPayload < 4 || self.MaxPayload > handshake.MaxPayload ||
		self.HopLimit < 1 || self.HopLimit > 1<<16-1 || self.Lease < 1 || self.Lease > handshake.MaxLease.Milliseconds() {
		return fmt.Errorf("the registry's terms make no sense: %+v", self)
	}
	if err := fit(n.cfg.Limits, int(self.MaxPayload)); err != nil {
		return err
	}
	inc.table.Store(new(table))
	inc.local.Store(&membership.NodeView{Self: ring.Ref{ID: self.ID, Incarnation: self.Incarnation}, Bits: int(self.Bits)})
	inc.traffic = newTraffic(inc)
	inc.pace.Store(1)
	inc.ctx, inc.stop = context.WithCancelCause(n.ctx)
	inc.plane = plane.New(plane.Config{
		Self: self.ID, Incarnation: self.Incarnation, Bits: int(self.Bits), MaxPayload: int(self.MaxPayload), HopLimit: int(self.HopLimit),
		Limits: planeLimits(n.cfg.Limits), MaxSuspension: inc.lease(), Log: n.cfg.Log, Owner: n.owner, Wall: n.cfg.Wall,
		Deliver: inc.deliver, OnLostTraffic: inc.traffic.lose, OnUndelivered: n.cfg.Undelivered, HasEnded: n.hasEnded,
		Outlived: inc.refusedFor, OnIncarnation: n.meet,
	})
	n.meet(self.Incarnation)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		inc.stop(errs.ErrClosed)
		inc.plane.Close(errs.ErrClosed)
		return errs.ErrClosed
	}
	n.inc.Store(inc)
	n.change()
	inc.wg.Go(inc.relink)
	inc.wg.Go(inc.attend)
	return nil
}

func (inc *incarnation) isReady() bool {
	select {
	case <-inc.ready:
		return true
	default:
		return false
	}
}

// wake wakes the relink goroutine.
func (inc *incarnation) wake() {
	select {
	case inc.told <- struct{}{}:
	default:
	}
}

func (inc *incarnation) lease() time.Duration {
	return time.Duration(inc.self.Lease) * time.Millisecond
}

// patience is how long the node and its registry may be silent before one takes the other
// for dead.
func (inc *incarnation) patience() time.Duration { return inc.lease() * time.Duration(inc.pace.Load()) }

// end ends a life: whatever waits fails with err, and what was accepted and is not
// known to be delivered is remembered. It waits for everything of it to end.
func (n *Node) end(inc *incarnation, err error) {
	inc.once.Do(func() {
		inc.stop(err)
		inc.traffic.stop()
		left := inc.plane.Close(err)
		inc.wg.Wait()
		n.mu.Lock()
		n.leftover = merge(n.leftover, left)
		n.change()
		n.mu.Unlock()
	})
}

// deliver is called by the plane, one message at a time per source.
func (inc *incarnation) deliver(ctx context.Context, d *plane.Delivery) {
	switch {
	case d.Port >= portTraffic:
		inc.traffic.received(d)
	case inc.n.cfg.Handler != nil:
		inc.n.cfg.Handler(ctx, d)
	}
}
