package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// maxMessages is how many messages a node may be asked to send: days of work.
const maxMessages = 1 << 40

// RunTraffic starts a run and waits for its account. If ctx ends first it stops the run and does not
// wait: a goroutine of the run winds it up.
func (r *Registry) RunTraffic(ctx context.Context, t status.Traffic) (*status.Summary, error) {
	if t.Payload == 0 {
		t.Payload = 4
	}
	if t.Messages < 1 || int64(t.Messages) > maxMessages || t.Payload < 4 || t.Payload > r.cfg.MaxPayload {
		return nil, fmt.Errorf("ringdht: registry: a run of %d messages of %d bytes: a node sends 1 to %d messages, of 4 to %d bytes",
			t.Messages, t.Payload, int64(maxMessages), r.cfg.MaxPayload)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ringdht: registry: starting a traffic run: %w", context.Cause(ctx))
	}
	u, err := r.startRun(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("ringdht: registry: starting a traffic run: %w", err)
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-u.done:
			return u.result(err)
		case <-ctx.Done():
			select {
			case err := <-u.done: // both at once
				return u.result(err)
			default:
			}
			r.endRun(u)
			return nil, fmt.Errorf("ringdht: registry: traffic run %d was stopped, its account follows in the snapshots: %w", u.number, context.Cause(ctx))
		case <-ticker.C:
			if t.Progress != nil {
				t.Progress(r.sentSoFar(u), u.asked())
			}
		}
	}
}

// result is what [Registry.RunTraffic] returns for a run that conduct has ended with err.
func (u *run) result(err error) (*status.Summary, error) {
	if err != nil {
		return nil, fmt.Errorf("ringdht: registry: traffic run %d: %w", u.number, err)
	}
	return u.summary, nil
}

// errStillMissing is the cause if a run could not begin within a lease.
var errStillMissing = errors.New("that has not changed within a lease: try again in a while")

// startRun starts a run once one that ends is over, and the ring is ready.
func (r *Registry) startRun(ctx context.Context, t status.Traffic) (*run, error) {
	for {
		if err := r.Await(ctx, func() bool { return !r.runEnds() }); err != nil {
			return nil, fmt.Errorf("waiting until the stopped run before it is over: %w", err)
		}
		u, err := r.startWhenReady(ctx, t)
		if u != nil || err != nil {
			return u, err
		}
	}
}

// startWhenReady starts a run once the ring is ready. It returns neither a run nor an error if a run
// that ends is in the way.
func (r *Registry) startWhenReady(ctx context.Context, t status.Traffic) (*run, error) {
	// New nodes are ready in a moment. If the ring is not ready within a lease, something is wrong.
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Lease, errStillMissing)
	defer cancel()
	var u *run
	var missing []string
	var err error
	waitErr := r.Await(ctx, func() bool {
		missing = r.members.Unsettled()
		switch {
		case ctx.Err() != nil || r.closed: // woken by a change as well, but nothing is started any more
			return false
		case r.runEnds():
			return true
		case r.runs.current != nil:
			err = fmt.Errorf("%w: wait for run %d to end", errs.ErrBusy, r.runs.current.number)
		case r.members.Live() && len(missing) > 0:
			return false
		case len(missing) > 0:
			err = fmt.Errorf("%w: %s", errs.ErrNotReady, handshake.JoinFew(missing))
		default:
			u, err = r.newRun(t)
		}
		return true
	})
	if waitErr != nil && err == nil {
		err = waitErr
		if len(missing) > 0 {
			err = fmt.Errorf("%w: %s (%w)", errs.ErrNotReady, handshake.JoinFew(missing), waitErr)
		}
	}
	return u, err
}

// newRun starts a run with all members. It needs mu.
func (r *Registry) newRun(t status.Traffic) (*run, error) {
	if stuck := r.members.WithoutDetour(); len(stuck) > 0 {
		return nil, fmt.Errorf("%w: node %d cannot reach node %d: %s", errs.ErrNotReady, stuck[0].From.ID, stuck[0].To.ID, stuck[0].Why)
	}
	u := &run{
		task: control.Task{Messages: int64(t.Messages), Payload: int64(t.Payload)},
		done: make(chan error, 1), start: time.Now(), epoch: r.members.Epoch(), figures: make(map[ring.Ref]figures), stuck: make(map[ring.Ref]string),
		awaitingFinish: make(map[ring.Ref]struct{}), awaitingSummary: make(map[ring.Ref]struct{}), awaitingPairs: make(map[ring.Ref]struct{}),
		lost: make(map[ring.Ref]string), reminded: make(map[ring.Ref]int),
		errors: make(map[ring.Ref]string), sums: make(map[ring.Ref]control.Summary), pairs: make(map[ring.Ref]control.Pairs),
	}
	r.enlist(u)
	if len(u.senders) < 2 {
		return nil, fmt.Errorf("%w: a run needs two nodes that take part (WithTraffic), and this ring has %d: start more", errs.ErrNotReady, len(u.senders))
	}
	u.number = r.runs.nextNumber()
	u.task.Run = u.number
	r.begin(u, sending)
	r.runs.current = u
	for _, m := range u.nodes {
		if s := r.sessions[m.Ref()]; s != nil {
			s.sent, s.received = 0, 0
		}
	}
	r.queueFor(u.senders, control.TypeTask, u.task)
	r.wg.Go(func() { u.done <- r.conduct(u) })
	r.recordEvent(status.Event{Kind: status.EventRun, Why: fmt.Sprintf("%s: %d nodes send %d messages of %d bytes each", runName(u.number), len(u.senders), t.Messages, t.Payload)})
	return u, nil
}

// queueFor queues a question for members, behind all that the membership has for them. It needs mu.
func (r *Registry) queueFor(members []ring.Member, t wire.Type, v any) {
	for _, m := range members {
		r.members.Tell(m.Ref(), t, v)
	}
	r.wake()
}

// conduct is the goroutine of a run. It sees the run through its phases and makes its account.
func (r *Registry) conduct(u *run) error {
	err := r.awaitPhases(u)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs.current = nil
	r.change()
	if err == nil {
		u.summary = u.summarize(r.routeBy(u.epoch))
		r.runs.keep(u, u.summary)
		r.recordEvent(status.Event{Kind: status.EventRunEnded, Why: runName(u.number) + ": " + u.summary.Verdict()})
		r.wake()
	}
	return err
}

// awaitPhases takes the run from phase to phase. First all senders finish: everything they sent is
// delivered, or its sink is gone. Then all nodes report their sums. If the sums do not balance, or
// a node is lost, or there are few, all senders report their pairs. Members that make no progress
// are left out.
func (r *Registry) awaitPhases(u *run) error {
	if err := r.Await(r.ctx, func() bool { return r.phaseOver(u, u.awaitingFinish) }); err != nil {
		return err
	}
	r.mu.Lock()
	u.elapsed = time.Since(u.start)
	if u.gaveUp {
		u.elapsed -= r.members.Idle(r.now(), u.heard) // the wait for members that made no progress
	}
	r.begin(u, collecting)
	r.queueFor(u.all(), control.TypeCollect, control.Collect{Run: u.number})
	r.mu.Unlock()
	if err := r.Await(r.ctx, func() bool { return r.phaseOver(u, u.awaitingSummary) }); err != nil {
		return err
	}
	r.mu.Lock()
	switch agrees := len(u.lost)+len(u.stuck) == 0 && u.balanced(); {
	case !u.explains():
		r.begin(u, summarizing) // a node lost from now on took part to the end
		r.mu.Unlock()
		return nil
	case agrees:
		r.begin(u, checking)
	default:
		r.begin(u, explaining)
	}
	r.queueFor(u.senders, control.TypeExplain, control.Explain{Run: u.number})
	r.mu.Unlock()
	return r.Await(r.ctx, func() bool { return r.phaseOver(u, u.awaitingPairs) })
}

// sentSoFar is progress for a caller without mu.
func (r *Registry) sentSoFar(u *run) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent, _ := r.progress(u)
	return sent
}

// progress returns the messages of a run sent and received, by the latest heartbeats. It needs mu.
func (r *Registry) progress(u *run) (sent, received int64) {
	for _, m := range u.senders {
		if s := r.sessions[m.Ref()]; s != nil {
			sent, received = control.SaturatingAdd(sent, s.sent), control.SaturatingAdd(received, s.received)
		}
	}
	return sent, received
}

// runName is a run's name in events.
func runName(number uint64) string { return fmt.Sprintf("run %d", number) }
