package registry

import (
	"slices"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// run is a traffic run under way. It is under Registry.mu.
type run struct {
	number  uint64
	task    control.Task
	phase   phase
	done    chan error      // what conduct returned
	summary *status.Summary // set before that, unless it is an error
	nodes   []ring.Member   // all that relay, and
	late    []ring.Member   // those that came when it had begun
	senders []ring.Member
	start   time.Time
	elapsed time.Duration

	awaitingFinish  map[ring.Ref]struct{}        // not finished
	reminded        map[ring.Ref]int             // how often each was asked the same again
	errors          map[ring.Ref]string          // of nodes that could not finish
	lost            map[ring.Ref]string          // nodes that are gone, and why
	awaitingSummary map[ring.Ref]struct{}        // summaries
	sums            map[ring.Ref]control.Summary //
	awaitingPairs   map[ring.Ref]struct{}        // pairs
	pairs           map[ring.Ref]control.Pairs   //
}

// phase is what the nodes were last asked for.
type phase uint8

const (
	sending phase = iota
	collecting
	explaining
	summarizing
)

// next begins a phase.
func (u *run) begin(p phase) {
	u.phase = p
	clear(u.reminded)
}

// all are the members that relayed for the run, as far as is known.
func (u *run) all() []ring.Member {
	return slices.Concat(u.nodes, u.late)
}

// refs makes a set of lives.
func refs(members []ring.Member) map[ring.Ref]struct{} {
	set := make(map[ring.Ref]struct{}, len(members))
	for _, m := range members {
		set[m.Ref()] = struct{}{}
	}
	return set
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
	u := r.runs.byNumber(number)
	if u == nil {
		return nil // the run is over
	}
	ref := s.member.Ref()
	switch t {
	case control.TypeFinished:
		if _, ok := u.awaitingFinish[ref]; ok && finish.Error != "" {
			u.errors[ref] = handshake.Brief(finish.Error)
		}
		delete(u.awaitingFinish, ref)
	case control.TypeSummary:
		u.sums[ref] = summary
		delete(u.awaitingSummary, ref)
	case control.TypePairs:
		u.pairs[ref] = pairs
		delete(u.awaitingPairs, ref)
	}
	r.change()
	return nil
}
