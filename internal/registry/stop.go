package registry

import (
	"context"
	"fmt"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// StopTraffic stops the run under way, if there is one, and waits for its account.
func (r *Registry) StopTraffic(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ringdht: registry: stopping the traffic run: %w", context.Cause(ctx))
	}
	r.mu.Lock()
	u, closed := r.runs.current, r.closed
	r.mu.Unlock()
	switch {
	case closed:
		return r.closedError("stopping the traffic run")
	case u == nil:
		return nil
	}
	r.endRun(u)
	over := false
	err := r.Await(ctx, func() bool {
		over = u.summary != nil
		return over || r.runs.current != u
	})
	switch {
	case err != nil:
		return fmt.Errorf("ringdht: registry: waiting until traffic run %d has stopped: %w", u.number, err)
	case !over: // the registry was closed meanwhile
		return r.closedError("stopping the traffic run")
	}
	return nil
}

// endRun sees to it that a run ends soon: senders that have not finished send no more. If all have,
// it ends by itself, and was not stopped.
func (r *Registry) endRun(u *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs.current != u {
		return
	}
	u.ending = true
	if u.phase == sending && len(u.awaitingFinish) > 0 {
		u.stopped = true
		r.begin(u, stopping)
		u.stoppedAt = u.heard
		var unfinished []ring.Member
		for _, m := range u.senders {
			if _, ok := u.awaitingFinish[m.Ref()]; ok {
				unfinished = append(unfinished, m)
			}
		}
		r.queueFor(unfinished, control.TypeTask, u.stopTask())
	}
	r.change()
}

// stopTasks returns the task that stops the run for each session whose node has not finished. It
// needs mu.
func (r *Registry) stopTasks() map[*session]control.Task {
	tasks := make(map[*session]control.Task)
	if u := r.runs.current; u != nil {
		for ref := range u.awaitingFinish {
			if s := r.sessions[ref]; s != nil {
				tasks[s] = u.stopTask()
			}
		}
	}
	return tasks
}

// runEnds reports whether there is a run that was told to end, and is not over yet. It needs mu.
func (r *Registry) runEnds() bool { return r.runs.current != nil && r.runs.current.ending }
