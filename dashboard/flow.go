package dashboard

import (
	"time"

	"github.com/x/ringdht/status"
)

// flow holds the totals from which a page computes rates: sent, delivered, relayed, dropped.
type flow [4]int64

func flowOf(c *status.Counters) flow {
	return flow{c.Sent, c.Delivered, c.Relayed, c.Dropped.Sum()}
}

// add adds a flow so many times.
func (f *flow) add(g flow, times int64) {
	for i := range f {
		f[i] += times * g[i]
	}
}

// past returns the flow and the number of members at the beginning of each step of a
// snapshot's history, as [t, flow..., members]. It goes back from the present flow.
//
// A page has the present figures as of the nodes' latest reports, which are a little old. The
// steps have what was the case. So their times are shifted by the mean age of a report. Then
// a rate over times before and after the page was opened is right, and steps that are
// not complete are left out.
func past(s *status.Snapshot, now flow) [][6]int64 {
	late := age(s)
	list := make([][6]int64, len(s.History))
	kept := 0
	for i := len(s.History) - 1; i >= 0; i-- {
		step := &s.History[i]
		now.add(flow{step.Sent, step.Delivered, step.Relayed, step.Dropped}, -1)
		t, members := step.Time.Add(late), s.History[max(0, i-1)].Members
		if t.Before(s.Time) {
			kept = max(kept, i+1)
			list[i] = [6]int64{millis(t), now[0], now[1], now[2], now[3], int64(members)}
		}
	}
	return list[:kept]
}

// age returns how old the latest reports are on average, without those of members that have
// no connection.
func age(s *status.Snapshot) time.Duration {
	sum, n := time.Duration(0), 0
	for i := range s.Members {
		if m := &s.Members[i]; !m.Heard.IsZero() && m.State != status.StateSuspect {
			sum += max(0, s.Time.Sub(m.Heard))
			n++
		}
	}
	return sum / time.Duration(max(1, n))
}
