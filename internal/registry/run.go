package registry

import (
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// run is a traffic run under way. Guarded by Registry.mu.
type run struct {
	number  uint64
	task    control.Task
	phase   phase
	done    chan error      // of one slot: the error of conduct
	summary *status.Summary // set before done, if there was no error
	nodes   []ring.Member   // all members at the start; all relay
	late    []ring.Member   // nodes that joined while the senders were sending; they relay as well
	senders []ring.Member   // the nodes that take part
	start   time.Time
	elapsed time.Duration
	stopped bool // the senders were told to stop before all had finished
	ending  bool // its caller has gone, or it was stopped: the next run waits for its end

	heard     membership.LastHeard // when something has happened last, see goesOn
	stoppedAt membership.LastHeard // when it was stopped
	figures   map[ring.Ref]figures // the greatest that each sender has reported in heartbeats
	stuck     map[ring.Ref]string  // members that made no progress, and why; some have reported later
	gaveUp    bool                 // the wait for some of them has ended because nothing happened
	epoch     uint64               // of the tables at the start

	awaitingFinish  map[ring.Ref]struct{}        // senders that have not finished
	reminded        map[ring.Ref]int             // how often each was asked again in this phase
	errors          map[ring.Ref]string          // of nodes that could not answer
	lost            map[ring.Ref]string          // nodes that have died or left, and why
	awaitingSummary map[ring.Ref]struct{}        // nodes whose summary is missing
	sums            map[ring.Ref]control.Summary // the summaries
	awaitingPairs   map[ring.Ref]struct{}        // senders whose pairs are missing
	pairs           map[ring.Ref]control.Pairs   // the pairs
}

// phase is what a run does now.
type phase uint8

// The phases of a run, in order.
const (
	sending     phase = iota // the senders send, and answer when they have finished
	stopping                 // likewise, but the senders were told to send no more
	collecting               // all nodes report their sums
	explaining               // the senders report what they sent to each node, and received from it
	checking                 // likewise, but the sums agree: a loss changes nothing any more
	summarizing              // all is reported: likewise
)

// begin starts a phase. It needs mu.
func (r *Registry) begin(u *run, p phase) {
	u.phase = p
	clear(u.reminded)
	r.goesOn(u)
}

// flows reports whether messages of the run are under way.
func (u *run) flows() bool { return u.phase <= stopping }

// asks reports whether members are asked for an answer of this type now.
func (u *run) asks(t wire.Type) bool {
	switch t {
	case control.TypeFinished:
		return u.flows()
	case control.TypeSummary:
		return u.phase == collecting
	case control.TypePairs:
		return u.phase == explaining || u.phase == checking
	}
	return false
}

// stopTask is the task that stops the run at a node.
func (u *run) stopTask() control.Task {
	return control.Task{Run: u.number, Messages: 0, Payload: u.task.Payload}
}

// all returns the members that relayed for the run, as far as is known.
func (u *run) all() []ring.Member {
	return slices.Concat(u.nodes, u.late)
}

// reportRun takes a node's answer to a question of a run. An answer for another run is ignored.
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
	u := r.runs.byNumber(number)
	if u == nil {
		return nil // the run is over
	}
	ref := s.member.Ref()
	asked := map[wire.Type]map[ring.Ref]struct{}{
		control.TypeFinished: u.awaitingFinish, control.TypeSummary: u.awaitingSummary, control.TypePairs: u.awaitingPairs,
	}[t]
	if _, awaited := asked[ref]; !awaited || !u.asks(t) {
		return nil // it was not asked for that, has answered, or was left out
	}
	switch t {
	case control.TypeFinished:
		if finish.Error != "" {
			u.errors[ref] = handshake.Quote(finish.Error)
		}
	case control.TypeSummary:
		u.sums[ref] = summary
	case control.TypePairs:
		u.pairs[ref] = control.Pairs{Run: pairs.Run, Sent: u.bounded(pairs.Sent), Received: u.bounded(pairs.Received)}
	}
	delete(asked, ref)
	r.goesOn(u)
	r.change()
	return nil
}
