package registry_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// rewriteSummary and rewritePairs have a member report something else.
func rewriteSummary(change func(*control.Summary)) func(wire.Type, []byte) []byte {
	return func(is wire.Type, body []byte) []byte {
		if is == control.TypeSummary {
			return ringtest.Rewrite(body, change)
		}
		return body
	}
}

func rewritePairs(change func(*control.Pairs)) func(wire.Type, []byte) []byte {
	return func(is wire.Type, body []byte) []byte {
		if is == control.TypePairs {
			return ringtest.Rewrite(body, change)
		}
		return body
	}
}

// both changes the summary so that it fits the pairs that it changes.
func both(change func(*control.Pairs)) func(wire.Type, []byte) []byte {
	pairs := rewritePairs(change)
	return func(is wire.Type, body []byte) []byte {
		if is == control.TypeSummary {
			return ringtest.Rewrite(body, func(s *control.Summary) {
				p := control.Pairs{Received: []control.Pair{{ID: 10}, {ID: 20}, {ID: 40}, {ID: 50}}, Sent: []control.Pair{{ID: 10}, {ID: 20}, {ID: 40}, {ID: 50}}}
				change(&p)
				for _, r := range p.Received {
					s.Received, s.SumReceived = s.Received+r.N, s.SumReceived+r.Sum
				}
				for _, r := range p.Sent {
					s.Sent, s.SumSent = s.Sent+r.N, s.SumSent+r.Sum
				}
			})
		}
		return pairs(is, body)
	}
}

// A member reports figures of a run that cannot be true. The verdict names it, and no other.
func TestFalseSummaryIsNamed(t *testing.T) {
	every := func(list []control.Pair, f func(*control.Pair)) {
		for i := range list {
			f(&list[i])
		}
	}
	for name, c := range map[string]struct {
		lie func(wire.Type, []byte) []byte
		why string
	}{
		"10^12 received": {rewriteSummary(func(s *control.Summary) { s.Received = 1e12 }), "node 30 reports 1000000000000 messages received, and all nodes together were asked to send 1000"},
		"negative":       {rewriteSummary(func(s *control.Summary) { s.Received = -1 }), "node 30 reports -1 of something that it counts"},
		"wraps":          {rewriteSummary(func(s *control.Summary) { s.Received, s.Sent = 1<<62, 1<<62 }), "node 30 reports 4611686018427387904 messages received"},
		"one more":       {rewriteSummary(func(s *control.Summary) { s.Received++ }), "node 30 contradicts itself: it reports 200 messages sent"},
		"another sum":    {rewriteSummary(func(s *control.Summary) { s.SumReceived++ }), "node 30 contradicts itself"},
		"huge sum":       {rewriteSummary(func(s *control.Summary) { s.SumReceived = 1 << 60 }), "node 30 reports a sum of values that so few messages cannot have"},
		"unknown":        {rewriteSummary(func(s *control.Summary) { s.Unknown = 300 }), "node 30 reports 300 messages of unknown outcome, and 200 sent"},
		"balanced": {rewriteSummary(func(s *control.Summary) {
			s.Received, s.Sent = s.Received-1, s.Sent-1
			s.SumReceived, s.SumSent = s.SumReceived-7, s.SumSent-7
		}), "node 30 contradicts itself"},
		"received from all": {both(func(p *control.Pairs) {
			every(p.Received, func(q *control.Pair) { q.N, q.Sum = q.N+5, q.Sum+5 })
		}), "node 30's account disagrees with those of 4 others, and these agree among each other"},
		"values sent to all": {both(func(p *control.Pairs) { every(p.Sent, func(q *control.Pair) { q.Sum++ }) }), "node 30's account disagrees with those of 4 others"},
		"no pairs":           {rewritePairs(func(p *control.Pairs) { p.Sent, p.Received = nil, nil }), "node 30 contradicts itself"},
		"other nodes": {rewritePairs(func(p *control.Pairs) {
			every(p.Sent, func(q *control.Pair) { q.ID += 1000 })
		}), "node 30's account disagrees with those of 4 others"},
	} {
		t.Run(name, func(t *testing.T) {
			inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, _ *ringtest.Node, lie *ringtest.Tamper) {
				lie.Set(c.lie)
				s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 200})
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(s.Verdict(), "WRONG: ") || !strings.Contains(s.Verdict(), c.why) || !slices.Equal(s.Doubtful, []status.ID{30}) {
					t.Errorf("doubtful %v: %s", s.Doubtful, s.Verdict())
				}
				for _, other := range []string{"node 10", "node 20", "node 40", "node 50"} {
					if strings.Contains(s.Verdict(), other+" reports") || strings.Contains(s.Verdict(), other+"'s") || strings.Contains(s.Verdict(), other+" contra") {
						t.Error(s.Verdict())
					}
				}
				if n := tr.Registry.Snapshot().Verdicts[status.VerdictWrong]; n != 1 {
					t.Errorf("%d runs are WRONG", n)
				}
			})
		})
	}
}

// A member that contradicts one other is not named alone: both are.
func TestPairThatDisagreesIsNamed(t *testing.T) {
	inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, _ *ringtest.Node, lie *ringtest.Tamper) {
		lie.Set(both(func(p *control.Pairs) {
			i := slices.IndexFunc(p.Received, func(q control.Pair) bool { return q.ID == 50 })
			p.Received[i].N++
		}))
		s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 200})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Wrong) != 1 || !strings.HasPrefix(s.Wrong[0], "from 50 to 30: ") || len(s.Doubtful) > 0 {
			t.Errorf("doubtful %v: %q", s.Doubtful, s.Wrong)
		}
	})
}

// A member has acknowledged for a sink, and reports as received what it took. The sums agree, and
// the sink's own account shows it. The figures are those of such a run: of what two sources sent to
// it the sink reports three messages less, and the member three more.
func TestSwallowedMessagesAreSeen(t *testing.T) {
	inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, _ *ringtest.Node, thief *ringtest.Tamper) {
		_, victim := tr.JoinLiar(ringdht.WithID(35), ringdht.WithTraffic())
		tr.Setup(2)
		move := func(n, sum int64) func(wire.Type, []byte) []byte {
			return func(is wire.Type, body []byte) []byte {
				switch is {
				case control.TypeSummary:
					return ringtest.Rewrite(body, func(s *control.Summary) { s.Received, s.SumReceived = s.Received+2*n, s.SumReceived+2*sum })
				case control.TypePairs:
					return ringtest.Rewrite(body, func(p *control.Pairs) {
						for i, q := range p.Received {
							if q.ID == 40 || q.ID == 50 {
								p.Received[i].N, p.Received[i].Sum = q.N+n, q.Sum+sum
							}
						}
					})
				}
				return body
			}
		}
		victim.Set(move(-3, -1111))
		thief.Set(move(3, 1111))
		s, err := tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 200})
		if err != nil {
			t.Fatal(err)
		}
		want := "node 30 reports as its own what nodes 40 and 50 sent to node 35: 6 messages, with the same sums of values"
		if s.Sum.Sent != s.Sum.Received || s.Sum.SumSent != s.Sum.SumReceived || s.Wrong[0] != want || !slices.Contains(s.Doubtful, 30) {
			t.Errorf("%+v, doubtful %v\n%s", s.Sum, s.Doubtful, s.Verdict())
		}
		victim.Set(move(-3, -1111)) // and does not report them: the sums differ, and the relays are named
		thief.Set(nil)
		if s, err = tr.Registry.RunTraffic(long(t), status.Traffic{Messages: 200}); err != nil {
			t.Fatal(err)
		}
		if len(s.Wrong) != 2 || !strings.HasPrefix(s.Wrong[0], "from 40 to 35: ") || !strings.Contains(s.Wrong[0], ", by way of node") || len(s.Doubtful) > 0 {
			t.Errorf("%q, doubtful %v", s.Wrong, s.Doubtful)
		}
		victim.Set(nil)
	})
}

// What a member reports of a run is kept in bounds.
func TestReportsOfRunsAreBounded(t *testing.T) {
	inLiarsBubble(t, func(t *testing.T, tr *ringtest.Ring, _ *ringtest.Node, lie *ringtest.Tamper) {
		many := make([]control.Pair, 15_000)
		for i := range many {
			many[i] = control.Pair{ID: uint64(i), N: 1}
		}
		lie.Set(rewritePairs(func(p *control.Pairs) { p.Sent, p.Received = many, many }))
		ctx, cancel := context.WithCancel(long(t))
		defer cancel()
		s, err := tr.Registry.RunTraffic(ctx, status.Traffic{Messages: 200})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(s.Doubtful, 30) || len(s.Wrong) > 12 || len(s.Verdict()) > 3000 {
			t.Errorf("doubtful %v, %d lines, %d bytes: %.3000s", s.Doubtful, len(s.Wrong), len(s.Verdict()), s.Verdict())
		}
	})
}
