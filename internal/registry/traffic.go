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

// Traffic describes a traffic run.
type Traffic struct {
	// Messages is how many each node sends, from 1 to 2^40, each to a member drawn
	// uniformly from all others that take part.
	Messages int
	// Payload is the length of a message in bytes, of which the first four are a
	// random int32. At least 4; 0 means 4.
	Payload int
	// Progress, if not nil, is called about once a second during the run, from the
	// goroutine that called RunTraffic, with the messages sent so far and in all.
	Progress func(sent, total int64)
}

// maxMessages is how many messages a node may be asked to send: days of work.
const maxMessages = 1 << 40

// RunTraffic makes every node that takes part ([WithTraffic]) send messages to the
// others, waits until all of them have been delivered, and returns the account.
// The nodes' counters for runs start from zero again after it.
//
// When a member dies or leaves meanwhile, the others go on without it, and the account
// names it and says how many messages have no known outcome: see [Summary.Verdict].
//
// With a ctx that has ended before the call nothing is started. When ctx ends first, the
// run goes on without an account, and another one can be started when it is over; until
// then the error matches [ErrBusy]. It matches [ErrNotReady] when the overlay is not ready,
// and says what is missing.
func (r *Registry) RunTraffic(ctx context.Context, t Traffic) (*status.Summary, error) {
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
			return nil, fmt.Errorf("ringdht: registry: traffic run %d goes on unwatched: %w", u.number, context.Cause(ctx))
		case <-ticker.C:
			if t.Progress != nil {
				t.Progress(r.sentSoFar(u), int64(t.Messages)*int64(len(u.senders)))
			}
		}
	}
}

// account is what [Registry.RunTraffic] returns of a run that conduct has ended with err.
func (u *run) result(err error) (*status.Summary, error) {
	if err != nil {
		return nil, fmt.Errorf("ringdht: registry: traffic run %d: %w", u.number, err)
	}
	return u.summary, nil
}

// errStillMissing is why a run has not begun within a lease.
var errStillMissing = errors.New("that has not changed within a lease: try again in a while")

func (r *Registry) startRun(ctx context.Context, t Traffic) (*run, error) {
	// Newcomers are a moment away from being ready; more than a lease is no moment.
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.Lease, errStillMissing)
	defer cancel()
	var u *run
	var missing []string
	var err error
	waitErr := r.Await(ctx, func() bool {
		missing = r.members.Unsettled()
		switch {
		case ctx.Err() != nil || r.closed: // there has been a change as well: nothing is started any more
			return false
		case r.runs.current != nil:
			err = fmt.Errorf("%w: wait for run %d to end", errs.ErrBusy, r.runs.current.number)
		case r.members.Live() && len(missing) > 0:
			return false
		case len(missing) > 0:
			err = fmt.Errorf("%w: %s", errs.ErrNotReady, handshake.Some(missing))
		default:
			u, err = r.newRun(t)
		}
		return true
	})
	if waitErr != nil && err == nil {
		err = waitErr
		if len(missing) > 0 {
			err = fmt.Errorf("%w: %s (%w)", errs.ErrNotReady, handshake.Some(missing), waitErr)
		}
	}
	return u, err
}

// newRun needs mu.
func (r *Registry) newRun(t Traffic) (*run, error) {
	if stuck := r.members.WithoutDetour(); len(stuck) > 0 {
		return nil, fmt.Errorf("%w: node %d cannot reach node %d: %s", errs.ErrNotReady, stuck[0].From.ID, stuck[0].To.ID, stuck[0].Why)
	}
	nodes := r.members.All()
	var senders []ring.Member
	for _, m := range nodes {
		if m.Traffic {
			senders = append(senders, m)
		}
	}
	if len(senders) < 2 {
		return nil, fmt.Errorf("%w: a run needs two nodes that take part (WithTraffic), there are %d", errs.ErrNotReady, len(senders))
	}
	number := r.runs.nextNumber()
	u := &run{
		number: number, task: control.Task{Run: number, Messages: int64(t.Messages), Payload: int64(t.Payload)},
		done: make(chan error, 1), nodes: nodes, senders: senders, start: time.Now(),
		awaitingFinish: refs(senders), awaitingSummary: refs(nodes), awaitingPairs: refs(senders), lost: make(map[ring.Ref]string), reminded: make(map[ring.Ref]int),
		errors: make(map[ring.Ref]string), sums: make(map[ring.Ref]control.Summary), pairs: make(map[ring.Ref]control.Pairs),
	}
	r.runs.current = u
	for _, m := range nodes {
		if s := r.sessions[m.Ref()]; s != nil {
			s.sent, s.received = 0, 0
		}
	}
	r.queueFor(u.senders, control.TypeTask, u.task)
	r.wg.Go(func() { u.done <- r.conduct(u) })
	r.recordEvent(status.Event{Kind: status.EventRun, Why: fmt.Sprintf("%s: %d nodes send %d messages of %d bytes each", runName(u.number), len(senders), t.Messages, t.Payload)})
	return u, nil
}

// ask queues a question for members behind whatever else they are to be told; it
// needs mu.
func (r *Registry) queueFor(members []ring.Member, t wire.Type, v any) {
	for _, m := range members {
		r.members.Tell(m.Ref(), t, v)
	}
	r.wake()
}

// conduct sees a run through and makes its account: everybody finishes, which means that
// everything they sent was delivered, or that its sink is gone; then everybody reports;
// then, if the sums are off or somebody is gone, everybody explains.
func (r *Registry) conduct(u *run) error {
	err := r.awaitPhases(u)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs.current = nil
	r.change()
	if err == nil {
		u.summary = u.summarize()
		r.runs.keep(u, u.summary)
		r.recordEvent(status.Event{Kind: status.EventRunEnded, Why: runName(u.number) + ": " + u.summary.Verdict()})
		r.wake()
	}
	return err
}

// seeThrough asks the nodes what there is to ask.
func (r *Registry) awaitPhases(u *run) error {
	if err := r.Await(r.ctx, func() bool { return len(u.awaitingFinish) == 0 }); err != nil {
		return err
	}
	r.mu.Lock()
	u.elapsed = time.Since(u.start)
	u.begin(collecting)
	r.queueFor(u.all(), control.TypeCollect, control.Collect{Run: u.number})
	r.mu.Unlock()
	if err := r.Await(r.ctx, func() bool { return len(u.awaitingSummary) == 0 }); err != nil {
		return err
	}
	r.mu.Lock()
	if len(u.lost) == 0 && u.balanced() {
		u.phase = summarizing // whoever is lost from now on was there to the end
		r.mu.Unlock()
		return nil
	}
	u.begin(explaining)
	r.queueFor(u.senders, control.TypeExplain, control.Explain{Run: u.number})
	r.mu.Unlock()
	return r.Await(r.ctx, func() bool { return len(u.awaitingPairs) == 0 })
}

func (r *Registry) sentSoFar(u *run) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent, _ := r.progress(u)
	return sent
}

// progress is how many messages of a run were sent and received, as far as heartbeats
// tell; it needs mu.
func (r *Registry) progress(u *run) (sent, received int64) {
	for _, m := range u.senders {
		if s := r.sessions[m.Ref()]; s != nil {
			sent, received = control.SaturatingAdd(sent, s.sent), control.SaturatingAdd(received, s.received)
		}
	}
	return sent, received
}

// runName is what a run is called.
func runName(number uint64) string { return fmt.Sprintf("run %d", number) }
