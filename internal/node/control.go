package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// A node without a registry tries to reconnect after minBackoff, and then ever less often. It
// tries at least once in half a lease: a registry that takes the place of another waits two
// leases (see WithGrace), so every node must try within one.
const minBackoff = 50 * time.Millisecond

func (inc *incarnation) maxBackoff() time.Duration { return min(inc.lease()/2, 5*time.Second) }

// controlLoop is the goroutine that reads from the registry, and reconnects to it.
func (n *Node) controlLoop() {
	retry := backoff.Backoff{Min: minBackoff}
	for { // also if the node is closed already: a connection has an end, see Disconnected
		inc, ctl := n.inc.Load(), n.ctl.Load()
		since := time.Now()
		err := n.readControl(inc, ctl)
		if time.Since(since) < inc.lease() { // the next connection may end for the same reason
			retry.Max = inc.maxBackoff()
			retry.Next()
		} else {
			retry.Reset()
		}
		ctl.Accuse(err)
		ctl.Close()
		ctl.Free()
		if errors.Is(err, errExpelled) {
			n.expelled.Store(true) // known before Disconnected tells that something has happened
		}
		n.mu.Lock()
		close(n.disconnected)
		leaving, released := n.leaving, n.released
		n.mu.Unlock()
		inc.wake()
		if errors.Is(err, errExpelled) {
			n.expel(inc, err)
			return
		}
		evicted := errors.Is(err, errs.ErrEvicted)
		if inc.rejoining.Load() {
			n.end(inc, laterIncarnationError{})
			evicted = true
		}
		if evicted && leaving { // it has left
			n.end(inc, errs.ErrEvicted)
			return
		}
		if n.ctx.Err() != nil || released {
			return
		}
		if !inc.rejoining.Load() {
			n.cfg.Log.Warn("lost the connection to the registry, messages still flow", "node", n.Peer(), "err", handshake.Quoted(err))
		}
		if !n.reconnect(inc, retry, evicted) {
			return
		}
		n.cfg.Log.Info("connected to the registry again", "node", n.Peer(), "incarnation", n.Incarnation())
	}
}

// reconnect tries to connect until it succeeds, and returns false if the node closes first, or is
// expelled.
// A node that waits for its last deliveries is still a member, and reconnects like any other.
// But if it was declared dead meanwhile, it does not begin another incarnation just to leave.
//
// retry is a copy: a long outage does not count for the next one.
func (n *Node) reconnect(inc *incarnation, retry backoff.Backoff, evicted bool) bool {
	anyID := false
	over := error(errs.ErrEvicted)
	for {
		if evicted {
			n.end(inc, over)
			if n.isLeaving() {
				return false
			}
			evicted = false
			retry.Reset()
		}
		// All nodes have lost the registry at the same moment, and must not come back at the
		// same moment.
		if handshake.Sleep(n.ctx, retry.Jitter(retry.Delay())) != nil {
			return false
		}
		err := n.connect(n.ctx, anyID)
		switch {
		case err == nil:
			return true
		case n.ctx.Err() != nil:
			return false
		case errors.Is(err, errExpelled):
			n.expel(inc, err)
			return false
		case errors.Is(err, errs.ErrEvicted):
			evicted = true
			continue
		case errors.Is(err, errs.ErrOtherRing) && n.forsaking.OtherRing(time.Since(n.began)+1, inc.lease()):
			evicted, over = true, forsakenError{}
			n.cfg.Log.Warn(over.Error(), "node", n.Peer(), "incarnation", n.Incarnation(), "err", err)
			continue
		case errors.Is(err, errIDTaken), errors.Is(err, errRefused) && inc.ctx.Err() != nil: // the ring may have smaller IDs
			anyID = true
		}
		// A registry that is unreachable cannot have declared this node dead meanwhile, as
		// far as any node here can know. So the node goes on.
		inc.plane.LowerFence()
		n.connectFailed(err)
		n.cfg.Log.Debug("the registry does not answer", "node", n.Peer(), "err", err, "again in", retry.Delay())
		retry.Max = inc.maxBackoff()
		retry.Next()
	}
}

// forsakenError is an [errs.ErrEvicted] for another reason: registries have another ring.
type forsakenError struct{}

func (forsakenError) Error() string {
	return fmt.Sprintf("registries have had another ring for %d leases: this node has given up its own, and joins as a new node", membership.ForsakeLeases)
}
func (forsakenError) Is(target error) bool {
	return target == errs.ErrEvicted || target == errs.ErrOtherRing
}

// HangUp closes the connection to the registry, and controlLoop makes another.
func (n *Node) HangUp() {
	if ctl := n.ctl.Load(); ctl != nil {
		ctl.Close()
	}
}

// Tell sends a message to the registry, if there is a connection. It reports no error:
// controlLoop, which reads from the same connection, gets it too.
func (n *Node) Tell(t wire.Type, v any) {
	if ctl := n.ctl.Load(); ctl != nil {
		ctl.Send(t, v)
	}
}

// readControl reads until the connection ends, or until a message makes no sense.
func (n *Node) readControl(inc *incarnation, ctl *control.Conn) error {
	for {
		inc.silence.begin(ctl, time.Now(), inc.missedTime())
		t, body, err := ctl.Recv()
		inc.silence.end()
		if err == nil {
			err = n.handleControl(inc, ctl, t, body)
		}
		if err != nil {
			return err
		}
		inc.rejoinIfDue()
	}
}

// handleControl handles one message. What takes time goes to a goroutine of its own.
func (n *Node) handleControl(inc *incarnation, ctl *control.Conn, t wire.Type, body []byte) error {
	switch t {
	case control.TypeBeatAnswer:
		var b control.BeatAnswer
		if err := ctl.Decode(body, &b); err != nil {
			return err
		}
		inc.pace.Store(int32(min(max(1, b.Every), membership.MaxPace)))
		old := !inc.contactIsRecent()
		if inc.contact.answered() {
			inc.plane.LowerFence()
		}
		if old {
			inc.wake() // it may be authoritative again
		}
	case control.TypePing:
		return inc.sendHeartbeatOver(ctl)
	case control.TypeHandlers:
		return inc.handleHandlers(ctl, body)
	case control.TypeManifest, control.TypeUpdate, control.TypeAnnounce:
		return inc.handleUpdate(ctl, t, body)
	case control.TypeNote:
		return inc.handleNote(ctl, body)
	case control.TypeReady:
		inc.handleReady()
	case control.TypeFound:
		return n.handleFound(ctl, body)
	case control.TypeTask:
		var task control.Task
		if err := ctl.Decode(body, &task); err != nil {
			return n.rejectTask(ctl, body, err)
		}
		local := inc.local.Load() // nodes announced from here on are not part of the run
		n.wg.Go(func() { inc.traffic.run(task, local) })
	case control.TypeCollect:
		var c control.Collect
		if err := ctl.Decode(body, &c); err != nil {
			return err
		}
		return ctl.Send(control.TypeSummary, inc.traffic.collect(c.Run))
	case control.TypeExplain:
		var e control.Explain
		if err := ctl.Decode(body, &e); err != nil {
			return err
		}
		return ctl.Send(control.TypePairs, inc.traffic.explain(e.Run))
	case control.TypeTrace:
		var ask control.Trace
		if err := ctl.Decode(body, &ask); err != nil {
			return err
		}
		select {
		case n.traceSlots <- struct{}{}:
			n.wg.Go(func() { n.answerTrace(ctl, ask); <-n.traceSlots })
		default:
			return ctl.Send(control.TypeTraced, control.Traced{Ask: ask.Ask, Error: fmt.Sprintf("node %d is tracing %d routes already", n.ID(), maxTraces)})
		}
	case control.TypeUnlisted:
		select {
		case n.unlisted <- struct{}{}:
		default: // nothing waits for it
		}
	case control.TypeDeregistered:
		n.answerDeregister(nil)
	case control.TypeRefused:
		err := refusal(ctl, body)
		if errors.Is(err, errs.ErrEvicted) || errors.Is(err, errExpelled) {
			return err
		}
		n.answerDeregister(err)
	case control.TypeAdmission, control.TypeTrust:
		return inc.handleCredentials(ctl, t, body)
	case control.TypeBye:
		return byeError(ctl, body)
	case control.TypeViolation:
		return ctl.Accused(body)
	default:
		if !t.Extension() {
			return control.Unexpected(t)
		}
		n.cfg.WarnOften("unknown type", "ignored a message of a later type from the registry", "type", t)
	}
	return nil
}

// handleReady notes that all tables lead to the node, and that it is on the lists of the others: in a
// large ring the sample that announced it may not have it.
func (inc *incarnation) handleReady() {
	if local := *inc.local.Load(); !local.Listed && !local.Leaves {
		local.Listed = true
		inc.local.Store(&local)
		inc.n.members.Broadcast()
	}
	if !inc.isReady() {
		close(inc.ready)
		inc.wake()
	}
}

// handleHandlers notes which members handle a service: that counts with the list that follows.
func (inc *incarnation) handleHandlers(ctl *control.Conn, body []byte) error {
	var h control.Handlers
	if err := ctl.Decode(body, &h); err != nil {
		return err
	}
	next, err := inc.local.Load().Handlers(h)
	if err == nil {
		inc.local.Store(next)
	}
	return err
}

// handleUpdate handles what the registry says of the ring: a Manifest, Update or Announce.
func (inc *incarnation) handleUpdate(ctl *control.Conn, t wire.Type, body []byte) error {
	was := inc.local.Load()
	now := was
	confirm := false // the list
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
		inc.n.recoveries = inc.n.recoveries.Told(inc.n.registryNumber, m.Recovery)
		if was.Epoch == inc.connectEpoch.Load() { // the first since the node registered
			inc.n.forgetGone()
		}
		for m := range now.Leaving.All() {
			inc.n.markLeaving([]ring.Ref{m.Ref})
		}
		for _, id := range now.EndedSince(was) {
			inc.plane.Missed(id, was.Newest)
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
		inc.markDead(u.Gone)
	case control.TypeAnnounce:
		var a control.Announce
		if err := ctl.Decode(body, &a); err != nil {
			return err
		}
		if err := was.CheckAnnounce(&a); err != nil {
			return err
		}
		now = was.Announce(a, handshake.DrawID)
		inc.markLeft(a.Left)
		inc.markDead(a.Gone)
		inc.n.markLeaving(a.Leaving)
		confirm = len(a.Leaving) > 0
		for i, number := range a.Incarnations[:min(len(a.Incarnations), len(a.Added))] {
			inc.n.noteTold(number)
			inc.plane.Renewed(a.Added[i], number)
		}
	}
	inc.n.noteIncarnations(now)
	inc.local.Store(now)
	inc.n.members.Broadcast()
	if now.Others != was.Others || now.KnowsAll() != was.KnowsAll() {
		inc.plane.SetList(now.Others, now.KnowsAll())
	}
	if t != control.TypeAnnounce { // which changes no table, and comes with each change of the ring
		inc.wake()
	}
	if confirm && now.ListEpoch > 0 {
		return ctl.Send(control.TypeListed, control.Listed{ListEpoch: now.ListEpoch})
	}
	return nil
}

// answerDeregister passes on the answer to Deregister. It drops one that nothing waits for.
func (n *Node) answerDeregister(err error) {
	select {
	case n.deregistered <- err:
	default:
	}
}

// rejectTask answers a task that cannot be read, as long as its number can: the run ends with
// the reason, and the node stays. Rejected: hanging up, since the registry would ask again.
func (n *Node) rejectTask(ctl *control.Conn, body []byte, err error) error {
	var which control.Collect
	if ctl.Decode(body, &which) != nil {
		return err
	}
	return ctl.Send(control.TypeFinished, control.Finished{Run: which.Run, Error: handshake.Quote(fmt.Sprintf("node %d cannot read its task: %v", n.ID(), err))})
}
