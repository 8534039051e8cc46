package ringtest_test

import (
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/status"
)

// resent returns how many messages each node has sent again.
func (l *lives) resent() map[*ringtest.Node]int64 {
	all := make(map[*ringtest.Node]int64)
	for _, n := range l.Nodes {
		all[n] = n.Status().Counters.Retransmitted
	}
	return all
}

// check compares an account with what the comment of [status.Summary] promises. broken is the
// number of links that had broken before the run. copies says that tables changed during it and
// messages were sent again.
func (l *lives) check(s *status.Summary, broken int64, copies bool) {
	l.runs++
	var sum status.NodeSummary
	lost := false
	for _, n := range s.Nodes {
		sum.Sent += n.Sent
		sum.Received += n.Received
		sum.Relayed += n.Relayed
		sum.Unknown += n.Unknown
		sum.SumSent += n.SumSent
		sum.SumReceived += n.SumReceived
		sum.SumUnknown += n.SumUnknown
		lost = lost || n.Lost
		if n.Late {
			l.late += n.Relayed
		}
	}
	l.messages, l.relayed, l.wasted = l.messages+sum.Sent, l.relayed+sum.Relayed, l.wasted+s.Wasted
	switch {
	case !s.Balanced():
		l.fatal("%s\n%+v", s.Verdict(), s)
	case sum != s.Sum:
		l.fatal("the rows make %+v, the sum says %+v", sum, s.Sum)
	case sum.Sent != sum.Received+sum.Unknown || sum.SumSent != sum.SumReceived+sum.SumUnknown:
		l.fatal("%s, but the sums differ: %+v", s.Verdict(), sum)
	}
	switch want := s.Hops - sum.Received + s.Wasted; {
	case lost:
		l.lost++
	case l.broken.Load() != broken:
		l.torn++
	case sum.Relayed != want && copies:
		l.underWay++
	case sum.Relayed != want:
		l.fatal("%s, %d relayed, want %d: %d hops, %d received, %d wasted\n%+v", s.Verdict(), sum.Relayed, want, s.Hops, sum.Received, s.Wasted, s)
	}
}
