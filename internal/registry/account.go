package registry

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// balanced reports whether all nodes together have received exactly what they sent, by number and by
// sum, with no unknown outcome.
func (u *run) balanced() bool {
	var sent, received, sumSent, sumReceived, unknown int64
	for _, m := range u.nodes {
		c := u.sums[m.Ref()]
		sent, received, unknown = sent+c.Sent, received+c.Received, unknown+c.Unknown
		sumSent, sumReceived = sumSent+c.SumSent, sumReceived+c.SumReceived
	}
	return sent == received && sumSent == sumReceived && unknown == 0
}

// asked is how many messages the senders were asked to send in all.
func (u *run) asked() int64 { return u.task.Messages * int64(len(u.senders)) }

// sentAll reports whether each sender that was not lost has sent all that it was asked to send. A
// run may be stopped too late to make a difference.
func (u *run) sentAll() bool {
	for _, m := range u.senders {
		if _, lost := u.lost[m.Ref()]; !lost && !u.unfinished(m.Ref()) && u.sums[m.Ref()].Sent < u.task.Messages {
			return false
		}
	}
	return true
}

// summarize makes the account of the run from the nodes' reports. route returns the route of a way by
// the tables of the run, or nil. It needs mu.
func (u *run) summarize(route func(way) []uint64) *status.Summary {
	s := &status.Summary{Number: u.number, Asked: u.asked(), Elapsed: u.elapsed, Lost: []string{}, Doubtful: []status.ID{}, Wrong: []string{}}
	rows := make(map[ring.Ref]*status.NodeSummary, len(u.nodes))
	all := u.all()
	s.Stopped = u.stopped && !u.sentAll()
	slices.SortStableFunc(all, func(a, b ring.Member) int { return cmp.Compare(a.ID, b.ID) })
	s.Nodes = make([]status.NodeSummary, len(all))
	var received int64
	for i, m := range all {
		row := &s.Nodes[i]
		*row = status.NodeSummary{ID: status.ID(m.ID), Addr: m.Addr, Late: slices.Contains(u.late, m)}
		_, row.Stuck = u.stuck[m.Ref()]
		if row.Late {
			c, reported := u.sums[m.Ref()]
			row.Lost, row.Relayed = !reported, c.Relayed
			s.Wasted += c.Wasted
			continue
		}
		rows[m.Ref()] = row
		if why, lost := u.lost[m.Ref()]; lost {
			row.Lost = true
			s.Lost = append(s.Lost, fmt.Sprintf("node %d (%s) %s", m.ID, m.Addr, why))
			continue
		}
		c := u.sums[m.Ref()]
		row.Sent, row.Received, row.Relayed, row.Unknown = c.Sent, c.Received, c.Relayed, c.Unknown
		row.SumSent, row.SumReceived, row.SumUnknown = c.SumSent, c.SumReceived, c.SumUnknown
		s.Hops, received = s.Hops+c.Hops, received+c.Received
		s.Wasted += c.Wasted
		s.MaxHops = max(s.MaxHops, control.Int(c.MaxHops))
		if row.Stuck {
			s.Lost = append(s.Lost, fmt.Sprintf("node %d (%s) %s", m.ID, m.Addr, u.stuck[m.Ref()]))
		}
		if err, failed := u.errors[m.Ref()]; failed { // a lost node's error only says that it is lost
			s.Wrong = append(s.Wrong, err)
		}
		if want := u.task.Messages; m.Traffic && len(u.lost)+len(u.stuck) == 0 && (c.Sent > want || c.Sent < want && !s.Stopped) {
			s.Wrong = append(s.Wrong, fmt.Sprintf("node %d sent %d of %d messages", m.ID, c.Sent, want))
		}
	}
	if received > 0 {
		s.MeanHops = float64(s.Hops) / float64(received)
	}
	b := u.books()
	if len(u.pairs) > 0 {
		u.settlePairs(b, rows)
	}
	s.Lost = append(s.Lost, b.waitedFor()...)
	u.judge(s, b, route)
	for _, n := range s.Nodes { // saturating: what nodes say is not trusted
		s.Sum.Sent = control.SaturatingAdd(s.Sum.Sent, n.Sent)
		s.Sum.Received = control.SaturatingAdd(s.Sum.Received, n.Received)
		s.Sum.Relayed = control.SaturatingAdd(s.Sum.Relayed, n.Relayed)
		s.Sum.Unknown = control.SaturatingAdd(s.Sum.Unknown, n.Unknown)
		s.Sum.SumSent += n.SumSent
		s.Sum.SumReceived += n.SumReceived
		s.Sum.SumUnknown += n.SumUnknown
	}
	if s.Sum.Sent != s.Sum.Received+s.Sum.Unknown && len(s.Wrong) == 0 {
		s.Wrong = append(s.Wrong, fmt.Sprintf("%d sent, %d received and %d of unknown outcome do not add up",
			s.Sum.Sent, s.Sum.Received, s.Sum.Unknown))
	}
	return s
}
