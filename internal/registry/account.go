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
		if _, lost := u.lost[m.Ref()]; !lost && u.sums[m.Ref()].Sent < u.task.Messages {
			return false
		}
	}
	return true
}

// summarize makes the account of the run from the nodes' reports. It needs mu.
func (u *run) summarize() *status.Summary {
	s := &status.Summary{Number: u.number, Asked: u.asked(), Elapsed: u.elapsed, Lost: []string{}, Wrong: []string{}}
	rows := make(map[ring.Ref]*status.NodeSummary, len(u.nodes))
	all := u.all()
	s.Stopped = u.stopped && !u.sentAll()
	slices.SortStableFunc(all, func(a, b ring.Member) int { return cmp.Compare(a.ID, b.ID) })
	s.Nodes = make([]status.NodeSummary, len(all))
	var received int64
	for i, m := range all {
		row := &s.Nodes[i]
		*row = status.NodeSummary{ID: status.ID(m.ID), Addr: m.Addr, Late: slices.Contains(u.late, m)}
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
		if err, failed := u.errors[m.Ref()]; failed { // a lost node's error only says that it is lost
			s.Wrong = append(s.Wrong, err)
		}
		if want := u.task.Messages; m.Traffic && len(u.lost) == 0 && (c.Sent > want || c.Sent < want && !s.Stopped) {
			s.Wrong = append(s.Wrong, fmt.Sprintf("node %d sent %d of %d messages", m.ID, c.Sent, want))
		}
	}
	if received > 0 {
		s.MeanHops = float64(s.Hops) / float64(received)
	}
	if len(u.lost) > 0 || !u.balanced() {
		s.Wrong = append(s.Wrong, u.comparePairs(rows)...)
	}
	for _, n := range s.Nodes {
		s.Sum.Sent += n.Sent
		s.Sum.Received += n.Received
		s.Sum.Relayed += n.Relayed
		s.Sum.Unknown += n.Unknown
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

// maxDiscrepancies is how many pairs an account names.
const maxDiscrepancies = 10

// comparePairs compares what each pair of nodes sent and received, and returns what cannot be
// right. A lost node's row gets what the others know of its messages. A message of unknown outcome
// becomes a known one if it was received.
func (u *run) comparePairs(rows map[ring.Ref]*status.NodeSummary) (wrong []string) {
	type pair struct{ from, to ring.Ref }
	type count struct{ sent, received control.Pair }
	incarnations := make(map[uint64]ring.Ref, len(u.nodes))
	for _, m := range u.nodes {
		incarnations[m.ID] = m.Ref()
	}
	counts := make(map[pair]*count)
	countOf := func(p pair) *count {
		if counts[p] == nil {
			counts[p] = new(count)
		}
		return counts[p]
	}
	for ref, p := range u.pairs {
		if _, lost := u.lost[ref]; lost {
			continue
		}
		for _, c := range p.Sent {
			countOf(pair{ref, incarnations[c.ID]}).sent = c
		}
		for _, c := range p.Received {
			countOf(pair{incarnations[c.ID], ref}).received = c
		}
	}
	var unequal []pair
	for p, c := range counts {
		_, fromLost := u.lost[p.from]
		_, toLost := u.lost[p.to]
		from, to := rows[p.from], rows[p.to]
		switch {
		case from == nil || to == nil:
			unequal = append(unequal, p)
		case toLost:
			to.Received += c.sent.N - c.sent.Unknown
			to.SumReceived += c.sent.Sum - c.sent.SumUnknown
		case fromLost:
			from.Sent += c.received.N
			from.SumSent += c.received.Sum
		case c.received.N > c.sent.N || c.received.N < c.sent.N-c.sent.Unknown || c.sent.Unknown == 0 && c.sent.Sum != c.received.Sum:
			unequal = append(unequal, p)
		default:
			from.Unknown -= c.sent.Unknown - (c.sent.N - c.received.N)
			from.SumUnknown -= c.sent.SumUnknown - (c.sent.Sum - c.received.Sum)
		}
	}
	slices.SortFunc(unequal, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.from.ID, b.from.ID), cmp.Compare(a.to.ID, b.to.ID))
	})
	for i, p := range unequal {
		if i == maxDiscrepancies {
			wrong = append(wrong, fmt.Sprintf("and %d more pairs", len(unequal)-i))
			break
		}
		c := counts[p]
		wrong = append(wrong, fmt.Sprintf("from %d to %d: %d sent, %d received, %d of unknown outcome, sums %d and %d",
			p.from.ID, p.to.ID, c.sent.N, c.received.N, c.sent.Unknown, c.sent.Sum, c.received.Sum))
	}
	return wrong
}
