package ringdht

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/wire"
)

// idleStream is how long a stream may send nothing before both ends forget it.
const idleStream = time.Minute

// traceTimeout and maxTraces bound the traces that the registry asks for.
const (
	traceTimeout = 10 * time.Second
	maxTraces    = 16
)

// A node whose registry is gone knocks again after minKnock, then ever less often. A
// registry that takes the place of another waits for two leases (see [WithGrace]), so
// every node must knock within one.
const minKnock = 50 * time.Millisecond

func (l *life) maxKnock() time.Duration { return min(l.lease()/2, 5*time.Second) }

// connect registers with the registry: as a newcomer, or, where there is a life, to go
// on with it. anyID says not to ask for the ID that the node had in the life before.
func (n *Node) connect(ctx context.Context, anyID bool) error {
	conn, _, err := n.cfg.dial(ctx, n.registry, wire.Hello{Role: wire.RoleMember})
	if connRefused(err) {
		return fmt.Errorf("%w: is the registry running there?", err)
	}
	if err != nil {
		return err
	}
	ctl := control.NewConn(conn, n.cfg.codec, wire.MaxLength+wire.PrefixSize)
	asked := n.cfg.now()
	err = n.register(ctx, ctl, anyID)
	if err != nil {
		ctl.Close()
		ctl.Free()
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ctl.Store(ctl)
	n.lost, n.outage = make(chan struct{}), outage{}
	n.change()
	l := n.life.Load()
	l.again.Store(true)
	l.since.Store(l.local.Load().Epoch)
	l.pulse.begin(asked)
	l.wake()
	if n.closed {
		ctl.Close()
	}
	return nil
}

func (n *Node) register(ctx context.Context, ctl *control.Conn, anyID bool) error {
	l := n.life.Load()
	// It may have changed: the machine is in another network, or the registry is reached
	// another way.
	addr, err := n.advertised(ctl.LocalAddr())
	if err != nil {
		return err
	}
	if l == nil { // the first time
		// The registry dials back before it admits, so accepting starts first.
		n.wg.Go(func() { n.cfg.accept(n.ctx, n.listener, n.wg.Go, n.serve) })
	}
	req := control.Register{Addr: addr, Other: n.cfg.advertise != "", Traffic: n.cfg.traffic, Token: n.token, Seen: n.met.Load()}
	on := l != nil && l.ctx.Err() == nil // a life goes on
	if l != nil {
		local := l.local.Load()
		req.Epoch, req.Size, req.Plan, req.Run = local.Epoch, local.Size, local.Plan, l.traffic.latest()
		req.Want, req.ID = !anyID, l.self.ID // its old one, if it is free
		if on {
			req.Life, req.Ready, req.Over = l.self.Life, l.isReady(), local.Over
			req.Every = int64(l.pace.Load())
		}
	}
	if n.cfg.id != nil && l == nil {
		req.Want, req.ID = true, uint64(*n.cfg.id)
	}
	stop := context.AfterFunc(ctx, ctl.Close) // not a deadline: Recv sets its own
	defer stop()
	ctl.SetLease(3 * n.cfg.handshake) // its answer waits for its own dialling back, and perhaps for members of the ring that was
	ctl.Send(control.TypeRegister, req)
	t, body, err := ctl.Recv()
	var answer control.Registered
	switch {
	case err != nil:
	case t == control.TypeRefused:
		err = n.refusal(ctl, body)
	case t != control.TypeRegistered:
		err = fmt.Errorf("the registry answered with an unexpected message of type %d", t)
	default:
		err = ctl.Decode(body, &answer)
	}
	if !stop() && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case err != nil:
		return err
	case on && (answer.ID != l.self.ID || answer.Life != l.self.Life):
		return fmt.Errorf("the registry takes node %d for node %d", l.self.ID, answer.ID)
	case on && (answer.Bits != l.self.Bits || answer.MaxPayload != l.self.MaxPayload):
		return fmt.Errorf("%w: the ring has IDs of %d bits and messages of %d bytes now, not of %d and %d", ErrEvicted,
			answer.Bits, answer.MaxPayload, l.self.Bits, l.self.MaxPayload)
	case on:
		if was := n.moveTo(addr); was != addr {
			n.cfg.log.Info("the node's address has changed", "node", n.Peer(), "was", was)
		}
		l.plane.Resume()
	default:
		n.moveTo(addr)
		if err := n.begin(answer, req.Seen); err != nil {
			return err
		}
	}
	ctl.SetLease(n.life.Load().patience())
	return nil
}

// moveTo takes note of the address under which the registry knows the node.
func (n *Node) moveTo(addr string) (was string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	was, n.addr = n.addr, addr
	return was
}

func (n *Node) refusal(ctl *control.Conn, body []byte) error {
	var r control.Refused
	if err := ctl.Decode(body, &r); err != nil {
		return err
	}
	for _, c := range refusals {
		if c.code == r.Code {
			return fmt.Errorf("%w: %s", c.err, r.Reason)
		}
	}
	return errors.New(r.Reason)
}

var refusals = []struct {
	code control.Code
	err  error
}{
	{control.CodeFull, ErrRingFull},
	{control.CodeAddrTaken, ErrAddressTaken},
	{control.CodeIDTaken, ErrIDTaken},
	{control.CodeHost, ErrHostMismatch},
	{control.CodeUnreachable, ErrUnreachable},
	{control.CodeNotMember, ErrNotMember},
	{control.CodeNotYours, ErrNotMember},
	{control.CodeEvicted, ErrEvicted},
	{control.CodeWait, ErrRebuilding},
}

// attend is the goroutine that listens to the registry, and looks for it when it is
// gone.
func (n *Node) attend() {
	var wait time.Duration // before it looks for another connection
	for n.ctx.Err() == nil {
		l, ctl := n.life.Load(), n.ctl.Load()
		since := time.Now()
		err := n.converse(l, ctl)
		if time.Since(since) < l.lease() { // whatever ended it may end the next one at once
			wait = min(max(2*wait, minKnock), l.maxKnock())
		} else {
			wait = 0
		}
		ctl.Close()
		ctl.Free()
		n.mu.Lock()
		close(n.lost)
		leaving, released := n.leaving, n.released
		n.mu.Unlock()
		l.wake()
		evicted := errors.Is(err, ErrEvicted)
		if l.ending.Load() {
			n.end(l, outlivedError{})
			evicted = true
		}
		if evicted && leaving { // it has left
			n.end(l, ErrEvicted)
			return
		}
		if n.ctx.Err() != nil || released {
			return
		}
		if !l.ending.Load() {
			n.cfg.log.Warn("the registry is gone, messages still flow", "node", n.Peer(), "err", err)
		}
		if !n.search(l, wait, evicted) {
			return
		}
		n.cfg.log.Info("connected to the registry again", "node", n.Peer(), "life", n.Life())
	}
}

// search knocks at the registry's door until it opens, and says whether it did before
// the node closed. A node that waits for its last deliveries is still a member and
// comes back like any other; but it does not begin another life to leave it.
func (n *Node) search(l *life, wait time.Duration, evicted bool) bool {
	anyID := false
	for {
		if evicted {
			n.end(l, ErrEvicted)
			if n.isLeaving() {
				return false
			}
			evicted, wait = false, 0
		}
		// Everybody has lost the registry at the same moment, and must not come back at
		// the same moment.
		if pause(n.ctx, wait/2+rand.N(wait/2+minKnock/2)) != nil {
			return false
		}
		err := n.connect(n.ctx, anyID)
		switch {
		case err == nil:
			return true
		case n.ctx.Err() != nil:
			return false
		case errors.Is(err, ErrEvicted):
			evicted = true
			continue
		case errors.Is(err, ErrIDTaken):
			anyID = true
		}
		// A registry that cannot be reached cannot have declared anybody dead since, as
		// far as anybody here can know: the node goes on.
		l.plane.Resume()
		n.unreached(err)
		n.cfg.log.Debug("the registry does not answer", "node", n.Peer(), "err", err, "again in", wait)
		wait = min(max(2*wait, minKnock), l.maxKnock())
	}
}

// hangUp ends the connection to the registry, for another to be made.
func (n *Node) hangUp() {
	if ctl := n.ctl.Load(); ctl != nil {
		ctl.Close()
	}
}

// converse listens until the connection ends, or until something comes that cannot be
// acted on.
func (n *Node) converse(l *life, ctl *control.Conn) error {
	for {
		heard, missed := time.Now(), l.missed()
		t, body, err := ctl.Recv()
		for errors.Is(err, os.ErrDeadlineExceeded) { // unless it is this process that was late
			left := l.patient(heard, missed)
			if left == 0 {
				break
			}
			ctl.SetLease(left)
			t, body, err = ctl.Recv()
		}
		if err == nil {
			err = n.hear(l, ctl, t, body)
		}
		if err != nil {
			return err
		}
		l.endOutlived()
	}
}

// hear acts on one message; what takes time goes to a goroutine of its own.
func (n *Node) hear(l *life, ctl *control.Conn, t wire.Type, body []byte) error {
	switch t {
	case control.TypeBeatAnswer:
		var b control.BeatAnswer
		if err := ctl.Decode(body, &b); err != nil {
			return err
		}
		l.pace.Store(int32(min(max(1, b.Every), membership.MaxPace)))
		ctl.SetLease(l.patience())
		if l.pulse.answered() {
			l.plane.Resume()
		}
	case control.TypePing:
		return l.beat(ctl)
	case control.TypeManifest, control.TypeUpdate, control.TypeAnnounce:
		return l.hear(ctl, t, body)
	case control.TypeReady:
		if !l.isReady() {
			close(l.ready)
			l.wake()
		}
	case control.TypeTask:
		var task control.Task
		if err := ctl.Decode(body, &task); err != nil {
			return n.refuseTask(ctl, body, err)
		}
		local := l.local.Load() // who is announced from here on is not part of the run
		n.wg.Go(func() { l.traffic.run(task, local) })
	case control.TypeCollect:
		var c control.Collect
		if err := ctl.Decode(body, &c); err != nil {
			return err
		}
		return ctl.Send(control.TypeSummary, l.traffic.collect(c.Run))
	case control.TypeExplain:
		var e control.Explain
		if err := ctl.Decode(body, &e); err != nil {
			return err
		}
		return ctl.Send(control.TypePairs, l.traffic.explain(e.Run))
	case control.TypeTrace:
		var ask control.Trace
		if err := ctl.Decode(body, &ask); err != nil {
			return err
		}
		select {
		case n.tracing <- struct{}{}:
			n.wg.Go(func() { n.answerTrace(ctl, ask); <-n.tracing })
		default:
			return ctl.Send(control.TypeTraced, control.Traced{Ask: ask.Ask, Error: fmt.Sprintf("node %d is tracing %d routes already", n.ID(), maxTraces)})
		}
	case control.TypeDeregistered:
		n.answerLeave(nil)
	case control.TypeRefused:
		err := n.refusal(ctl, body)
		if errors.Is(err, ErrEvicted) {
			return err
		}
		n.answerLeave(err)
	case control.TypeBye:
		var bye control.Bye
		if err := ctl.Decode(body, &bye); err != nil {
			return err
		}
		return fmt.Errorf("%s", bye.Reason)
	default:
		return fmt.Errorf("a message of unknown type %d", t)
	}
	return nil
}

// hear takes what the registry says of the ring.
func (l *life) hear(ctl *control.Conn, t wire.Type, body []byte) error {
	was := l.local.Load()
	now := was
	switch t {
	case control.TypeManifest:
		var m control.Manifest
		err := ctl.Decode(body, &m)
		if err == nil {
			now, err = was.Manifest(m)
		}
		if err != nil {
			return err
		}
		if was.Epoch == l.since.Load() { // the first word since the registry was found
			l.n.forgive()
		}
		for _, id := range now.Missed(was) {
			l.plane.Missed(id, was.Newest)
		}
	case control.TypeUpdate:
		var u control.Update
		err := ctl.Decode(body, &u)
		if err == nil {
			now, err = was.Update(u)
		}
		if err != nil {
			return err
		}
		l.gone(u.Gone)
	case control.TypeAnnounce:
		var a control.Announce
		if err := ctl.Decode(body, &a); err != nil {
			return err
		}
		now = was.Announce(a, drawID)
		l.left(a.Left)
		l.gone(a.Gone)
		for i, life := range a.Lives[:min(len(a.Lives), len(a.Added))] {
			l.n.meet(life)
			l.plane.Renewed(a.Added[i], life)
		}
	}
	l.n.meetAll(now)
	l.local.Store(now)
	if len(now.Others) != len(was.Others) || len(now.Others) > 0 && &now.Others[0] != &was.Others[0] { // it is another list
		l.plane.Know(now.Others)
	}
	l.wake()
	return nil
}

func (n *Node) answerLeave(err error) {
	select {
	case n.left <- err:
	default: // nobody asked
	}
}

// answerTrace answers over the connection that the question came from: to another
// registry the number of the question may mean another one.
func (n *Node) answerTrace(ctl *control.Conn, ask control.Trace) {
	ctx, cancel := context.WithTimeout(n.ctx, traceTimeout)
	defer cancel()
	hops, err := n.Trace(ctx, ID(ask.To))
	told := control.Traced{Ask: ask.Ask}
	for _, h := range hops {
		told.Hops = append(told.Hops, control.Hop{ID: uint64(h.ID), Elapsed: int64(h.Elapsed)})
	}
	if err != nil {
		told.Error = err.Error()
		told.NoSuchNode = errors.Is(err, ErrNoSuchNode)
	}
	ctl.Send(control.TypeTraced, told)
}

// pause waits, unless ctx ends first, and then says why.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
