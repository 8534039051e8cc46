package ringdht

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Summary is the account of a traffic run.
type Summary struct {
	Nodes    []NodeSummary `json:"nodes"` // by ascending ID
	Sum      NodeSummary   `json:"sum"`   // of all nodes, without ID and address
	Elapsed  time.Duration `json:"elapsed_ns"`
	MeanHops float64       `json:"mean_hops"` // of the messages received
	MaxHops  int           `json:"max_hops"`
	// Wrong says what is off and between whom; empty when every message sent was
	// received and the sums of their values agree.
	Wrong []string `json:"wrong"`
}

// NodeSummary is one node's part in it, in messages and sums of their values.
type NodeSummary struct {
	ID          ID     `json:"id"`
	Addr        string `json:"addr"`
	Sent        int64  `json:"sent"`
	Received    int64  `json:"received"`
	Relayed     int64  `json:"relayed"`
	SumSent     int64  `json:"sum_sent"`
	SumReceived int64  `json:"sum_received"`
}

// Exact says that every message sent was received, and with the values sent.
func (s *Summary) Exact() bool { return len(s.Wrong) == 0 }

// Verdict is "exact", or "WRONG" and what is.
func (s *Summary) Verdict() string {
	if s.Exact() {
		return "exact"
	}
	return "WRONG: " + strings.Join(s.Wrong, "; ")
}

// Rate is the messages delivered per second.
func (s *Summary) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Sum.Received) / s.Elapsed.Seconds()
}

func (s *Summary) balanced() bool {
	return s.Sum.Sent == s.Sum.Received && s.Sum.SumSent == s.Sum.SumReceived
}

// summarize makes the account of a run out of what the nodes reported.
func (r *Registry) summarize(u *run) *Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Summary{Elapsed: u.elapsed, Wrong: []string{}}
	var hops int64
	for _, m := range u.nodes {
		c, ok := u.sums[m.ID]
		if !ok {
			continue
		}
		n := NodeSummary{
			ID: ID(m.ID), Addr: m.Addr, Sent: c.Sent, Received: c.Received, Relayed: c.Relayed,
			SumSent: c.SumSent, SumReceived: c.SumReceived,
		}
		s.Nodes = append(s.Nodes, n)
		s.Sum.Sent += n.Sent
		s.Sum.Received += n.Received
		s.Sum.Relayed += n.Relayed
		s.Sum.SumSent += n.SumSent
		s.Sum.SumReceived += n.SumReceived
		hops += c.Hops
		s.MaxHops = max(s.MaxHops, c.MaxHops)
	}
	if s.Sum.Received > 0 {
		s.MeanHops = float64(hops) / float64(s.Sum.Received)
	}
	s.Wrong = append(s.Wrong, u.lost...)
	if len(u.lost) == 0 { // else the others were stopped, and say so
		s.Wrong = append(s.Wrong, u.errors...)
	}
	if !s.balanced() {
		s.Wrong = append(s.Wrong, fmt.Sprintf("%d sent and %d received, sums %d and %d",
			s.Sum.Sent, s.Sum.Received, s.Sum.SumSent, s.Sum.SumReceived))
		s.Wrong = append(s.Wrong, u.discrepancies()...)
	}
	return s
}

// maxDiscrepancies is how many pairs a verdict names.
const maxDiscrepancies = 10

// discrepancies compares, pair by pair, what was sent with what was received.
func (u *run) discrepancies() []string {
	type pair struct{ from, to uint64 }
	type count struct{ sent, received, sumSent, sumReceived int64 }
	counts := make(map[pair]*count)
	at := func(p pair) *count {
		if counts[p] == nil {
			counts[p] = new(count)
		}
		return counts[p]
	}
	for id, p := range u.pairs {
		for _, c := range p.Sent {
			x := at(pair{id, c.ID})
			x.sent, x.sumSent = c.N, c.Sum
		}
		for _, c := range p.Received {
			x := at(pair{c.ID, id})
			x.received, x.sumReceived = c.N, c.Sum
		}
	}
	var wrong []pair
	for p, c := range counts {
		if c.sent != c.received || c.sumSent != c.sumReceived {
			wrong = append(wrong, p)
		}
	}
	slices.SortFunc(wrong, func(a, b pair) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var list []string
	for i, p := range wrong {
		if i == maxDiscrepancies {
			list = append(list, fmt.Sprintf("and %d more pairs", len(wrong)-i))
			break
		}
		c := counts[p]
		list = append(list, fmt.Sprintf("from %d to %d: %d sent, %d received, sums %d and %d",
			p.from, p.to, c.sent, c.received, c.sumSent, c.sumReceived))
	}
	return list
}
