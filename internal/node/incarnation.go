package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"net"
	"runtime"
	"slices"
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

// maxLeftover bounds the sinks for which it is kept what earlier lives left undelivered.
const maxLeftover = 4096

// merge adds what a life left undelivered to what those before it did, of which only
// the numbers are kept, one for each sink, and one for all beyond maxLeftover: a node that is
// declared dead again and again and never calls Flush must not gather bodies.
func merge(before, left []plane.Undelivered) []plane.Undelivered {
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

// attend is the goroutine that tells the registry that the node lives, and looks after
// links and what is idle.
func (inc *incarnation) attend() {
	ticker := time.NewTicker(inc.lease() / 3)
	defer ticker.Stop()
	// A link that carries traffic and does not answer is noticed within a lease.
	links := time.NewTicker(inc.period())
	defer links.Stop()
	last, ran := time.Now(), inc.n.cfg.Now()
	thirds := 0 // of a lease, since the latest beat
	for {
		select {
		case <-inc.ctx.Done():
			return
		case <-inc.renew:
			inc.endOutlived()
		case <-links.C:
			runtime.Gosched() // to be as late as those that a timer does not wake
			inc.ticks()
			inc.plane.CheckLinks(inc.lease() * 2 / 3)
		case now := <-ticker.C:
			if !inc.plane.Running() {
				inc.ask(handshake.Elapsed(ran, inc.n.cfg.Now()))
				continue
			}
			ran = inc.n.cfg.Now()
			if thirds++; thirds >= int(inc.pace.Load()) {
				thirds = 0
				inc.sayAlive()
			}
			inc.wake() // it may have been long since the registry was heard
			idle := now.Sub(last) >= idleStream
			if idle {
				last = now
			}
			inc.plane.Sweep(idle)
		}
	}
}

// ask asks the registry whether the node is a member: this process was stopped for so
// long that it may have been declared dead. Nothing is sent or handled until that is
// known. Of a process that gets the processor late, over and over, the connection is
// there, and a heartbeat that is answered over it says the same as another registration,
// for less. After a longer stop the node connects again.
func (inc *incarnation) ask(pause time.Duration) {
	if inc.pulse.wakes(inc.n.cfg.Now()) {
		inc.n.cfg.Log.Warn("the node was paused, asking the registry whether it is still a member", "node", inc.n.Peer(), "for", pause)
	}
	if pause < 2*inc.lease() {
		inc.sayAlive()
	} else {
		inc.n.HangUp()
	}
	if inc.n.isReleased() { // nobody is left to ask, and nobody takes its place
		inc.plane.LowerFence()
	}
}

// check decides who may connect.
func (n *Node) check(h wire.Hello) wire.Answer {
	switch h.Role {
	case wire.RoleProbe:
		return wire.Answer{Token: n.token}
	case wire.RoleLink:
	default:
		return wire.Answer{Status: wire.WrongRole, Reason: "this is a node, not a registry: join at the registry's address"}
	}
	// A peer may have learned of this life before the node itself has. The answer must
	// still make its deadline.
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout/2)
	defer cancel()
	mine := func(inc *incarnation) bool {
		return inc != nil && h.To == inc.self.ID && h.ToIncarnation == inc.self.Incarnation
	}
	if h.To != 0 || h.ToIncarnation != 0 {
		n.Await(ctx, func() bool {
			inc := n.inc.Load()
			return inc != nil && h.ToIncarnation <= inc.self.Incarnation
		})
	}
	inc := n.inc.Load()
	switch {
	case n.ctx.Err() != nil:
		return wire.Answer{Status: wire.WrongIdentity, Reason: "this node is closing"}
	case inc == nil:
		return wire.Answer{Status: wire.WrongIdentity, Reason: "this node is not registered"}
	case !mine(inc):
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf(
			"this is another incarnation of node %d: your routing table is out of date", inc.self.ID)}
	case h.From == inc.self.ID || bits.Len64(h.From) > int(inc.self.Bits):
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf("node %d cannot be at the other end of a link to node %d", h.From, inc.self.ID)}
	case n.isOver(h.From, h.FromIncarnation):
		return wire.Answer{Status: wire.WrongIdentity, Reason: fmt.Sprintf("that incarnation of node %d is over: it was declared dead", h.From)}
	}
	return wire.Answer{}
}

// serve is a connection's goroutine until it is known who is there: the registry's probe,
// or a peer.
func (n *Node) serve(conn net.Conn, introduced func()) {
	stop := context.AfterFunc(n.ctx, func() { conn.Close() })
	h, err := n.cfg.Welcome(conn, n.check)
	stop()
	introduced()
	if err != nil || h.Role == wire.RoleProbe {
		if err != nil && n.ctx.Err() == nil {
			n.cfg.RefusedConn(conn, err)
		}
		conn.Close()
		return
	}
	inc := n.inc.Load()
	if inc.self.Incarnation != h.ToIncarnation { // it ended in between
		conn.Close()
		return
	}
	// Waiting for frames takes a goroutine of its own: the stack that the handshake has
	// grown would stay as large, 2 KiB more for each idle link.
	n.wg.Go(func() { n.listen(inc, conn, ring.Ref{ID: h.From, Incarnation: h.FromIncarnation}) })
}

// Listen is the goroutine of a link from a peer.
func (n *Node) listen(inc *incarnation, conn net.Conn, from ring.Ref) {
	inc.plane.Receive(conn, from.ID, from.Incarnation,
		func() bool { return n.isOver(from.ID, from.Incarnation) },
		func(err error) { n.linkEnded(conn, from.ID, err) })
}

func (n *Node) linkEnded(conn net.Conn, from uint64, err error) {
	level := slog.LevelDebug
	if handshake.IsProtocolError(err) {
		level = slog.LevelWarn
	}
	n.cfg.Log.Log(n.ctx, level, "incoming link ended", slog.Group("peer", "id", from, "from", conn.RemoteAddr()), "err", err)
}
