package ringdht

import (
	"context"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

// Traffic describes a traffic run.
type Traffic struct {
	// Messages is how many each node sends, each to a member drawn uniformly from
	// all others that take part.
	Messages int
	// Payload is the length of a message in bytes, of which the first four are a
	// random int32. At least 4; 0 means 4.
	Payload int
	// Progress, if not nil, is called about once a second during the run, from the
	// goroutine that called Run, with the messages sent so far and in all.
	Progress func(sent, total int64)
}

// run is a traffic run under way. It is under Registry.mu.
type run struct {
	number  uint64
	done    chan error    // what conduct returned
	nodes   []ring.Member // of the overlay: all relay
	senders []ring.Member
	start   time.Time
	elapsed time.Duration

	sending map[uint64]struct{}        // not finished
	errors  []string                   // of nodes that could not finish
	lost    []string                   // nodes that are gone
	wanting map[uint64]struct{}        // summaries
	sums    map[uint64]control.Summary //
	pairing map[uint64]struct{}        // pairs
	pairs   map[uint64]control.Pairs   //
}

func (u *run) lose(m ring.Member, why string) {
	for _, was := range u.nodes {
		if was.ID == m.ID && was.Life == m.Life {
			u.lost = append(u.lost, fmt.Sprintf("node %d (%s) %s", m.ID, m.Addr, why))
		}
	}
	delete(u.sending, m.ID)
	delete(u.wanting, m.ID)
	delete(u.pairing, m.ID)
}

func idSet(members []ring.Member) map[uint64]struct{} {
	set := make(map[uint64]struct{}, len(members))
	for _, m := range members {
		set[m.ID] = struct{}{}
	}
	return set
}

// Run makes every node that takes part ([WithTraffic]) send messages to the
// others, waits until all of them have been delivered, and returns the account.
// The nodes' counters for runs start from zero again after it.
//
// When a member leaves or dies meanwhile, the run is broken off, and its account
// says who was lost and what is missing between whom.
//
// When ctx ends first, the run goes on without an account, and another one can be
// started when it is over; until then the error matches [ErrBusy]. It matches
// [ErrNotReady] when the overlay is not ready, and says what is missing.
func (r *Registry) Run(ctx context.Context, t Traffic) (*Summary, error) {
	if t.Payload == 0 {
		t.Payload = 4
	}
	if t.Messages < 1 || t.Payload < 4 || t.Payload > r.cfg.maxPayload {
		return nil, fmt.Errorf("ringdht: registry: a run of %d messages of %d bytes: at least 1 message, of 4 to %d bytes",
			t.Messages, t.Payload, r.cfg.maxPayload)
	}
	u, err := r.startRun(t)
	if err != nil {
		return nil, fmt.Errorf("ringdht: registry: starting a traffic run: %w", err)
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-u.done:
			if err != nil {
				return nil, fmt.Errorf("ringdht: registry: traffic run %d: %w", u.number, err)
			}
			return r.summarize(u), nil
		case <-ctx.Done():
			return nil, fmt.Errorf("ringdht: registry: traffic run %d goes on unwatched: %w", u.number, context.Cause(ctx))
		case <-ticker.C:
			if t.Progress != nil {
				t.Progress(r.sentSoFar(u), int64(t.Messages)*int64(len(u.senders)))
			}
		}
	}
}

func (r *Registry) startRun(t Traffic) (*run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch missing := r.overlay.missing(); {
	case r.closed:
		return nil, ErrClosed
	case r.run != nil:
		return nil, fmt.Errorf("%w: wait for run %d to end", ErrBusy, r.run.number)
	case missing != "":
		return nil, fmt.Errorf("%w: %s", ErrNotReady, missing)
	}
	senders := participants(r.overlay.members)
	if len(senders) < 2 {
		return nil, fmt.Errorf("%w: a run needs two nodes that take part (WithTraffic), there are %d", ErrNotReady, len(senders))
	}
	r.runs++
	u := &run{
		number: r.runs, done: make(chan error, 1), nodes: r.overlay.members, senders: senders, start: time.Now(),
		sending: idSet(senders), wanting: idSet(r.overlay.members), pairing: idSet(senders),
		sums: make(map[uint64]control.Summary), pairs: make(map[uint64]control.Pairs),
	}
	r.run = u
	r.wg.Go(func() { u.done <- r.conduct(u) })
	for _, m := range u.nodes {
		r.sessions[m.ID].beat = control.Beat{}
	}
	r.broadcast(senders, control.TypeTask, control.Task{Run: u.number, Messages: t.Messages, Payload: t.Payload})
	r.cfg.log.Info("traffic run started", "run", u.number, "nodes", len(senders), "messages", t.Messages, "payload", t.Payload)
	return u, nil
}

// conduct sees a run through: everybody finishes, which means that everything
// they sent was delivered; then everybody reports; then, if the sums are off,
// everybody explains. If a member is lost the run is broken off: whoever sends to
// it, or by way of it, would wait for ever.
func (r *Registry) conduct(u *run) error {
	defer func() {
		r.mu.Lock()
		r.run = nil
		r.change()
		r.mu.Unlock()
	}()
	if err := r.await(r.ctx, func() bool { return len(u.sending) == 0 || len(u.lost) > 0 }); err != nil {
		return err
	}
	u.elapsed = time.Since(u.start)
	r.mu.Lock()
	r.broadcast(u.nodes, control.TypeCollect, control.Collect{Run: u.number})
	r.mu.Unlock()
	if err := r.await(r.ctx, func() bool { return len(u.wanting) == 0 }); err != nil {
		return err
	}
	if r.summarize(u).balanced() {
		return nil
	}
	r.mu.Lock()
	r.broadcast(u.senders, control.TypeExplain, control.Explain{Run: u.number})
	r.mu.Unlock()
	return r.await(r.ctx, func() bool { return len(u.pairing) == 0 })
}

func (r *Registry) sentSoFar(u *run) (sent int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range u.senders {
		if s := r.sessions[m.ID]; s != nil {
			sent += s.beat.Sent
		}
	}
	return sent
}

// reportRun takes a node's part in a run.
func (r *Registry) reportRun(s *session, t wire.Type, body []byte) error {
	var (
		number  uint64
		finish  control.Finished
		summary control.Summary
		pairs   control.Pairs
		err     error
	)
	switch t {
	case control.TypeFinished:
		err = s.conn.Decode(body, &finish)
		number = finish.Run
	case control.TypeSummary:
		err = s.conn.Decode(body, &summary)
		number = summary.Run
	case control.TypePairs:
		err = s.conn.Decode(body, &pairs)
		number = pairs.Run
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.run
	if u == nil || u.number != number {
		return nil // of a run that is over
	}
	id := s.member.ID
	switch t {
	case control.TypeFinished:
		if _, ok := u.sending[id]; ok && finish.Error != "" {
			u.errors = append(u.errors, finish.Error)
		}
		delete(u.sending, id)
	case control.TypeSummary:
		u.sums[id] = summary
		delete(u.wanting, id)
	case control.TypePairs:
		u.pairs[id] = pairs
		delete(u.pairing, id)
	}
	r.change()
	return nil
}
