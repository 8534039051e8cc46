package node

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
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

// A node whose registry is gone knocks again after minBackoff, then ever less often. A
// registry that takes the place of another waits for two leases (see [WithGrace]), so
// every node must knock within one.
const minBackoff = 50 * time.Millisecond

func (inc *incarnation) maxBackoff() time.Duration { return min(inc.lease()/2, 5*time.Second) }

// controlLoop is the goroutine that listens to the registry, and looks for it when it is
// gone.
func (n *Node) controlLoop() {
	retry := backoff.Backoff{Min: minBackoff}
	for n.ctx.Err() == nil {
		inc, ctl := n.inc.Load(), n.ctl.Load()
		since := time.Now()
		err := n.readControl(inc, ctl)
		if time.Since(since) < inc.lease() { // whatever ended it may end the next one at once
			retry.Max = inc.maxBackoff()
			retry.Next()
		} else {
			retry.Reset()
		}
		ctl.Close()
		ctl.Free()
		n.mu.Lock()
		close(n.disconnected)
		leaving, released := n.leaving, n.released
		n.mu.Unlock()
		inc.wake()
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
			n.cfg.Log.Warn("lost the connection to the registry, messages still flow", "node", n.Peer(), "err", err)
		}
		if !n.reconnect(inc, retry, evicted) {
			return
		}
		n.cfg.Log.Info("connected to the registry again", "node", n.Peer(), "incarnation", n.Incarnation())
	}
}

// reconnect knocks at the registry's door until it opens, and says whether it did before
// the node closed. A node that waits for its last deliveries is still a member and
// comes back like any other; but it does not begin another life to leave it.
func (n *Node) reconnect(inc *incarnation, retry backoff.Backoff, evicted bool) bool {
	anyID := false
	for {
		if evicted {
			n.end(inc, errs.ErrEvicted)
			if n.isLeaving() {
				return false
			}
			evicted = false
			retry.Reset()
		}
		// Everybody has lost the registry at the same moment, and must not come back at
		// the same moment.
		if handshake.Pause(n.ctx, retry.Jitter(retry.Delay())) != nil {
			return false
		}
		err := n.connect(n.ctx, anyID)
		switch {
		case err == nil:
			return true
		case n.ctx.Err() != nil:
			return false
		case errors.Is(err, errs.ErrEvicted):
			evicted = true
			continue
		case errors.Is(err, errs.ErrIDTaken):
			anyID = true
		}
		// A registry that cannot be reached cannot have declared anybody dead since, as
		// far as anybody here can know: the node goes on.
		inc.plane.LowerFence()
		n.connectFailed(err)
		n.cfg.Log.Debug("the registry does not answer", "node", n.Peer(), "err", err, "again in", retry.Delay())
		retry.Max = inc.maxBackoff()
		retry.Next()
	}
}

// HangUp ends the connection to the registry, for another to be made.
func (n *Node) HangUp() {
	if ctl := n.ctl.Load(); ctl != nil {
		ctl.Close()
	}
}

// readControl listens until the connection ends, or until something comes that cannot be
// acted on.
func (n *Node) readControl(inc *incarnation, ctl *control.Conn) error {
	for {
		heard, missed := time.Now(), inc.missedTime()
		t, body, err := ctl.Recv()
		for errors.Is(err, os.ErrDeadlineExceeded) { // unless it is this process that was late
			left := inc.silenceLeft(heard, missed)
			if left == 0 {
				break
			}
			ctl.SetLease(left)
			t, body, err = ctl.Recv()
		}
		if err == nil {
			err = n.handleControl(inc, ctl, t, body)
		}
		if err != nil {
			return err
		}
		inc.rejoinIfDue()
	}
}

// handleControl acts on one message; what takes time goes to a goroutine of its own.
func (n *Node) handleControl(inc *incarnation, ctl *control.Conn, t wire.Type, body []byte) error {
	switch t {
	case control.TypeBeatAnswer:
		var b control.BeatAnswer
		if err := ctl.Decode(body, &b); err != nil {
			return err
		}
		inc.pace.Store(int32(min(max(1, b.Every), membership.MaxPace)))
		ctl.SetLease(inc.timeout())
		if inc.contact.answered() {
			inc.plane.LowerFence()
		}
	case control.TypePing:
		return inc.sendHeartbeatOver(ctl)
	case control.TypeManifest, control.TypeUpdate, control.TypeAnnounce:
		return inc.handleUpdate(ctl, t, body)
	case control.TypeReady:
		if !inc.isReady() {
			close(inc.ready)
			inc.wake()
		}
	case control.TypeTask:
		var task control.Task
		if err := ctl.Decode(body, &task); err != nil {
			return n.rejectTask(ctl, body, err)
		}
		local := inc.local.Load() // who is announced from here on is not part of the run
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
	case control.TypeDeregistered:
		n.answerDeregister(nil)
	case control.TypeRefused:
		err := n.refusal(ctl, body)
		if errors.Is(err, errs.ErrEvicted) {
			return err
		}
		n.answerDeregister(err)
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

// handleUpdate takes what the registry says of the ring.
func (inc *incarnation) handleUpdate(ctl *control.Conn, t wire.Type, body []byte) error {
	was := inc.local.Load()
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
		if was.Epoch == inc.connectEpoch.Load() { // the first word since the registry was found
			inc.n.forgetGone()
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
		now = was.Announce(a, handshake.DrawID)
		inc.markLeft(a.Left)
		inc.markDead(a.Gone)
		for i, number := range a.Incarnations[:min(len(a.Incarnations), len(a.Added))] {
			inc.n.noteIncarnation(number)
			inc.plane.Renewed(a.Added[i], number)
		}
	}
	inc.n.noteIncarnations(now)
	inc.local.Store(now)
	if len(now.Others) != len(was.Others) || len(now.Others) > 0 && &now.Others[0] != &was.Others[0] { // it is another list
		inc.plane.SetMembers(now.Others)
	}
	inc.wake()
	return nil
}

func (n *Node) answerDeregister(err error) {
	select {
	case n.deregistered <- err:
	default: // nobody asked
	}
}

// rejectTask answers a task that cannot be read, as long as its number can: the run ends
// with the reason, and the node stays. To hang up would be of no use, since the registry
// asks again.
func (n *Node) rejectTask(ctl *control.Conn, body []byte, err error) error {
	var which control.Collect
	if ctl.Decode(body, &which) != nil {
		return err
	}
	return ctl.Send(control.TypeFinished, control.Finished{Run: which.Run, Error: fmt.Sprintf("node %d cannot read its task: %v", n.ID(), err)})
}
