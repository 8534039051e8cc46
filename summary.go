package ringdht

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
)

// Summary is the account of a traffic run.
type Summary struct {
	Nodes    []NodeSummary `json:"nodes"` // by ascending ID
	Sum      NodeSummary   `json:"sum"`   // of all nodes, without ID and address
	Elapsed  time.Duration `json:"elapsed_ns"`
	MeanHops float64       `json:"mean_hops"` // of the messages received by the nodes that lived
	MaxHops  int           `json:"max_hops"`
	// Hops is the links that the messages received by the nodes that lived have crossed,
	// added up. Wasted is how often messages were relayed in vain: copies that a full
	// queue dropped on their way and that were sent again, and copies of what had been
	// received. It is 0 unless the ring is overloaded or its tables change.
	//
	// A message that crossed h links was relayed h-1 times, so
	//
	//	Sum.Relayed = Hops - Sum.Received + Wasted
	//
	// exactly, in each run during which no node died or left (no row is Lost), no
	// connection between nodes broke, and the tables stayed. Where a row is Lost, the
	// relays of that node are missing. What is under way when a connection breaks is
	// relayed again and not Wasted. Other tables may have a message overtake the one
	// before it, which is sent again for nothing, and what of that is still under way
	// when the run ends is in neither figure.
	Hops   int64 `json:"hops"`
	Wasted int64 `json:"wasted"`
	// Lost says which nodes died or left during the run, and why; usually empty.
	Lost []string `json:"lost"`
	// Wrong says what is off and between whom; empty when the account balances.
	Wrong []string `json:"wrong"`
}

// NodeSummary is one node's part in it, in messages and sums of their values. What is
// said of a node that was lost is what the others know: what they received from it,
// and what it acknowledged to them.
type NodeSummary struct {
	ID          ID     `json:"id"`
	Addr        string `json:"addr"`
	Lost        bool   `json:"lost"` // it died or left during the run
	Late        bool   `json:"late"` // it came during the run, which made it relay only
	Sent        int64  `json:"sent"`
	Received    int64  `json:"received"`
	Relayed     int64  `json:"relayed"`
	Unknown     int64  `json:"unknown"` // of the sent, those of unknown outcome: their streams ended
	SumSent     int64  `json:"sum_sent"`
	SumReceived int64  `json:"sum_received"`
	SumUnknown  int64  `json:"sum_unknown"`
}

// Exact says that every message sent was received, and with the values sent.
func (s *Summary) Exact() bool { return s.Balanced() && len(s.Lost) == 0 && s.Sum.Unknown == 0 }

// Balanced says that between each two nodes as many messages were sent as were
// received or are of unknown outcome. An exact account is balanced too.
func (s *Summary) Balanced() bool { return len(s.Wrong) == 0 }

// Verdict is "exact"; "balanced" when nodes were lost and nothing else, and who they
// are; or "WRONG" and what is.
func (s *Summary) Verdict() string {
	switch {
	case s.Exact():
		return "exact"
	case s.Balanced():
		return fmt.Sprintf("balanced: %d messages of unknown outcome; lost: %s", s.Sum.Unknown, strings.Join(s.Lost, "; "))
	}
	return "WRONG: " + strings.Join(append(s.Wrong[:len(s.Wrong):len(s.Wrong)], s.Lost...), "; ")
}

// Rate is the messages delivered per second.
func (s *Summary) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Sum.Received) / s.Elapsed.Seconds()
}

// agree says that what was sent and what was received add up to the same.
func (u *run) agree() bool {
	var sent, received, sumSent, sumReceived, unknown int64
	for _, m := range u.nodes {
		c := u.sums[m.Ref()]
		sent, received, unknown = sent+c.Sent, received+c.Received, unknown+c.Unknown
		sumSent, sumReceived = sumSent+c.SumSent, sumReceived+c.SumReceived
	}
	return sent == received && sumSent == sumReceived && unknown == 0
}

// summarize makes the account of a run out of what the nodes reported; it needs mu.
func (r *Registry) summarize(u *run) *Summary {
	s := &Summary{Elapsed: u.elapsed, Lost: []string{}, Wrong: []string{}}
	rows := make(map[ring.Ref]*NodeSummary, len(u.nodes))
	all := u.all()
	slices.SortStableFunc(all, func(a, b ring.Member) int { return cmp.Compare(a.ID, b.ID) })
	s.Nodes = make([]NodeSummary, len(all))
	var received int64
	for i, m := range all {
		row := &s.Nodes[i]
		*row = NodeSummary{ID: ID(m.ID), Addr: m.Addr, Late: slices.Contains(u.late, m)}
		if row.Late {
			c, told := u.sums[m.Ref()]
			row.Lost, row.Relayed = !told, c.Relayed
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
		if err, failed := u.errors[m.Ref()]; failed { // that of a node that was lost says that it was
			s.Wrong = append(s.Wrong, err)
		}
		if want := int64(u.task.Messages); m.Traffic && c.Sent != want && len(u.lost) == 0 {
			s.Wrong = append(s.Wrong, fmt.Sprintf("node %d sent %d of %d messages", m.ID, c.Sent, want))
		}
	}
	if received > 0 {
		s.MeanHops = float64(s.Hops) / float64(received)
	}
	if len(u.lost) > 0 || !u.agree() {
		s.Wrong = append(s.Wrong, u.settle(rows)...)
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

// maxDiscrepancies is how many pairs a verdict names.
const maxDiscrepancies = 10

// settle goes through the run pair by pair. What a lost node sent and received is
// added to its row as far as others know it, and of messages of unknown outcome those
// that were received after all are known ones. It returns what cannot be right.
func (u *run) settle(rows map[ring.Ref]*NodeSummary) (wrong []string) {
	type pair struct{ from, to ring.Ref }
	type count struct{ sent, received control.Pair }
	incarnations := make(map[uint64]ring.Ref, len(u.nodes))
	for _, m := range u.nodes {
		incarnations[m.ID] = m.Ref()
	}
	counts := make(map[pair]*count)
	at := func(p pair) *count {
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
			at(pair{ref, incarnations[c.ID]}).sent = c
		}
		for _, c := range p.Received {
			at(pair{incarnations[c.ID], ref}).received = c
		}
	}
	var off []pair
	for p, c := range counts {
		_, fromLost := u.lost[p.from]
		_, toLost := u.lost[p.to]
		from, to := rows[p.from], rows[p.to]
		switch {
		case from == nil || to == nil:
			off = append(off, p)
		case toLost:
			to.Received += c.sent.N - c.sent.Unknown
			to.SumReceived += c.sent.Sum - c.sent.SumUnknown
		case fromLost:
			from.Sent += c.received.N
			from.SumSent += c.received.Sum
		case c.received.N > c.sent.N || c.received.N < c.sent.N-c.sent.Unknown || c.sent.Unknown == 0 && c.sent.Sum != c.received.Sum:
			off = append(off, p)
		default:
			from.Unknown -= c.sent.Unknown - (c.sent.N - c.received.N)
			from.SumUnknown -= c.sent.SumUnknown - (c.sent.Sum - c.received.Sum)
		}
	}
	slices.SortFunc(off, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.from.ID, b.from.ID), cmp.Compare(a.to.ID, b.to.ID))
	})
	for i, p := range off {
		if i == maxDiscrepancies {
			wrong = append(wrong, fmt.Sprintf("and %d more pairs", len(off)-i))
			break
		}
		c := counts[p]
		wrong = append(wrong, fmt.Sprintf("from %d to %d: %d sent, %d received, %d of unknown outcome, sums %d and %d",
			p.from.ID, p.to.ID, c.sent.N, c.received.N, c.sent.Unknown, c.sent.Sum, c.received.Sum))
	}
	return wrong
}
