package registry

import (
	"maps"
	"strings"

	"github.com/x/ringdht/status"
)

// runs is a registry's current traffic run and the results of earlier ones. Guarded by Registry.mu.
type runs struct {
	current  *run             // nil if there is none
	number   uint64           // of the latest run
	ended    []status.Run     // the latest status.MaxRuns
	last     *status.Summary  // of the latest run that has ended
	verdicts map[string]int64 // how many runs ended with each
}

// nextNumber returns the number of a new run.
func (r *runs) nextNumber() uint64 {
	r.number++
	return r.number
}

// skipTo notes that there has been a run with this number.
func (r *runs) skipTo(number uint64) { r.number = max(r.number, number) }

// byNumber returns the current run if it has this number, else nil.
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
		MeanHops: s.MeanHops, MaxHops: s.MaxHops, Stopped: s.Stopped, Exact: s.Exact(), Verdict: s.Verdict(),
	})
	r.last = s
	if r.verdicts == nil {
		r.verdicts = make(map[string]int64)
	}
	verdict, _, _ := strings.Cut(s.Verdict(), ":")
	r.verdicts[verdict]++
}

// counts returns how many runs ended with each verdict.
func (r *runs) counts() map[string]int64 {
	if r.verdicts == nil {
		return map[string]int64{}
	}
	return maps.Clone(r.verdicts)
}
