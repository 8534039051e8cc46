package registry

import (
	"maps"
	"strings"

	"github.com/x/ringdht/status"
)

// runs are the traffic runs of a registry: the one under way, and the results of the latest.
// Guarded by Registry.mu.
type runs struct {
	current  *run // nil if no run is under way
	number   uint64
	ended    []status.Run // the latest status.MaxRuns
	last     *status.Summary
	verdicts map[string]int64
}

// next is the number of a run that begins.
func (r *runs) nextNumber() uint64 {
	r.number++
	return r.number
}

// known takes in that there has been a run with this number.
func (r *runs) skipTo(number uint64) { r.number = max(r.number, number) }

// reported returns the run under way if it has this number, else nil.
func (r *runs) byNumber(number uint64) *run {
	if r.current == nil || r.current.number != number {
		return nil
	}
	return r.current
}

// keep adds the result of a run that has ended.
func (r *runs) keep(u *run, s *status.Summary) {
	if len(r.ended) == status.MaxRuns {
		r.ended = r.ended[1:]
	}
	r.ended = append(r.ended, status.Run{
		Number: u.number, Started: u.start, Messages: int(u.task.Messages), Payload: int(u.task.Payload),
		Sent: s.Sum.Sent, Received: s.Sum.Received, Elapsed: s.Elapsed, Rate: s.Rate(),
		MeanHops: s.MeanHops, MaxHops: s.MaxHops, Exact: s.Exact(), Verdict: s.Verdict(),
	})
	r.last = s
	if r.verdicts == nil {
		r.verdicts = make(map[string]int64)
	}
	verdict, _, _ := strings.Cut(s.Verdict(), ":")
	r.verdicts[verdict]++
}

// counts is the number of runs that have ended with each verdict.
func (r *runs) counts() map[string]int64 {
	if r.verdicts == nil {
		return map[string]int64{}
	}
	return maps.Clone(r.verdicts)
}
