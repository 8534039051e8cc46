package registry

import (
	"fmt"
	"time"

	"github.com/x/ringdht/internal/backoff"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/statefile"
	"github.com/x/ringdht/status"
)

// keptState is the directory of a registry, and what it held at the start.
type keptState struct {
	dir    *statefile.Dir
	record membership.Record
}

// maxKept bounds the numbers that a file may bring: the registry counts on from them.
const maxKept = 1 << 63

// openState opens the directory that the configuration names. It returns nil if it names none.
func (c *Config) openState() (*keptState, error) {
	if c.StateDir == nil {
		return nil, nil
	}
	dir, s, err := statefile.Open(*c.StateDir, c.stateOf(membership.NewRecord()))
	if err != nil {
		return nil, fmt.Errorf("WithState: %w", err)
	}
	if err := dir.Unwritten(); err != nil {
		c.Log.Warn("the state of the ring was read, and cannot be written at the moment", "err", err)
	}
	if dir.Copied() {
		c.Log.Warn("this state is a copy: it was written in another directory. End the registry that used that one, if it runs: two registries of one ring split it, and each admits nodes that the other does not know", "state", *c.StateDir)
	}
	return &keptState{dir, membership.Record{Identity: ring.Identity(s.Identity), Empty: s.Empty, Epoch: min(s.Epoch, maxKept), Incarnation: min(s.Incarnation, maxKept)}}, nil
}

func (c *Config) stateOf(r membership.Record) statefile.State {
	return statefile.State{
		Ring: c.RingName, Identity: string(r.Identity), Bits: c.Bits, MaxPayload: c.MaxPayload,
		Secure: c.Secure != nil, Empty: r.Empty, Incarnation: r.Incarnation, Epoch: r.Epoch,
	}
}

// saveIfDue wakes the save loop if there is something to write. It needs mu.
func (r *Registry) saveIfDue() {
	if !r.members.SaveDue(r.now()) {
		return
	}
	select {
	case r.saves <- struct{}{}:
	default:
	}
}

// saveLoop writes the state, without mu. At the end of the registry it writes once more what it
// has not written yet.
func (r *Registry) saveLoop() {
	for {
		select {
		case <-r.saves:
		case <-r.ctx.Done():
			r.save()
			return
		}
		retry := backoff.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
		for !r.save() {
			if handshake.Sleep(r.ctx, retry.Next()) != nil {
				break
			}
		}
	}
}

// save writes the state until it is as it should be, and reports whether it succeeded.
func (r *Registry) save() bool {
	for {
		r.mu.Lock()
		record, due := r.members.BeginSave(r.now())
		r.mu.Unlock()
		if !due {
			return true
		}
		err := r.state.dir.Write(r.cfg.stateOf(record))
		r.mu.Lock()
		failedBefore := r.members.SaveError() != nil
		r.members.EndSave(record, err)
		switch {
		case err != nil && !failedBefore:
			r.recordQuietly(status.Event{Kind: status.EventState, Why: fmt.Sprintf("the state of the ring is not kept, and an empty ring admits no node until it is: %v", err)})
		case err == nil && failedBefore:
			r.recordEvent(status.Event{Kind: status.EventState, Why: "the state of the ring is kept again"})
		}
		r.change()
		r.wake()
		r.mu.Unlock()
		if err != nil {
			r.cfg.WarnOften("", "the state of the ring cannot be kept, trying again", "err", err)
			return false
		}
	}
}
