package registry

import (
	"fmt"
	"math"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/status"
)

// books makes the members' accounts with each other comparable.
func (u *run) books() *books {
	b := &books{reported: make(map[uint64]bool), unfinished: make(map[uint64]bool), entries: make(map[way]*entry)}
	at := func(w way) *entry {
		if b.entries[w] == nil {
			b.entries[w] = new(entry)
		}
		return b.entries[w]
	}
	for ref, p := range u.pairs {
		if _, lost := u.lost[ref]; lost {
			continue
		}
		b.reported[ref.ID] = true
		if u.unfinished(ref) {
			b.unfinished[ref.ID] = true
		}
		for _, c := range p.Sent {
			at(way{ref.ID, c.ID}).sent = c
		}
		for _, c := range p.Received {
			at(way{c.ID, ref.ID}).received = c
		}
	}
	return b
}

// settlePairs completes the rows by what each two nodes say of each other. A lost node's row gets what
// the others know of its messages. A message of unknown outcome becomes a known one if it was
// received. What a node that has not finished sent and its sink has not received has no known outcome.
func (u *run) settlePairs(b *books, rows map[ring.Ref]*status.NodeSummary) {
	row := make(map[uint64]*status.NodeSummary, len(rows))
	for ref, r := range rows {
		row[ref.ID] = r
	}
	for w, e := range b.entries {
		from, to := row[w.from], row[w.to]
		switch {
		case from == nil || to == nil: // of no node of this run: judge tells
		case !b.reported[w.to] && b.unfinished[w.from]:
			from.Unknown += e.sent.N - e.sent.Unknown
			from.SumUnknown += e.sent.Sum - e.sent.SumUnknown
		case to.Lost:
			to.Received += e.sent.N - e.sent.Unknown
			to.SumReceived += e.sent.Sum - e.sent.SumUnknown
		case from.Lost:
			from.Sent += e.received.N
			from.SumSent += e.received.Sum
		case b.reported[w.from] && b.reported[w.to] && b.agree(w):
			from.Unknown -= e.sent.Unknown - (e.sent.N - e.received.N)
			from.SumUnknown -= e.sent.SumUnknown - (e.sent.Sum - e.received.Sum)
		}
	}
}

// maxDiscrepancies is how many pairs an account names.
const maxDiscrepancies = 10

// judge adds what cannot be true to an account: first the nodes whose figures cannot be, and then the
// pairs of other nodes that contradict each other.
func (u *run) judge(s *status.Summary, b *books, route func(way) []uint64) {
	doubtful := make(map[uint64]bool)
	say := func(ids []uint64, format string, args ...any) {
		for _, id := range ids {
			doubtful[id] = true
		}
		s.Wrong = append(s.Wrong, fmt.Sprintf(format, args...))
	}
	for _, m := range u.nodes {
		if why := u.impossible(m); why != "" {
			say([]uint64{m.ID}, "node %d %s", m.ID, why)
		}
	}
	wrong := b.disagreements()
	for _, d := range b.findDiverted() {
		ids := []uint64{d.by}
		if len(d.sources) == 1 {
			ids = append(ids, d.sources...)
		}
		say(ids, "node %d reports as its own what %s sent to %s: %d messages, with the same sums of values", d.by, idList(d.sources), idList(d.sinks), d.messages)
	}
	for _, c := range b.findContradicted() {
		passed := ""
		into := slices.DeleteFunc(slices.Clone(wrong), func(w way) bool { return w.to != c.ID })
		if relays := commonRelays(into, route); len(relays) > 0 {
			passed = fmt.Sprintf("; what they sent to it has passed %s", idList(relays))
		}
		say([]uint64{c.ID}, "node %d's account disagrees with those of %d others, and these agree among each other%s", c.ID, c.With, passed)
	}
	known := make(map[uint64]bool, len(u.nodes))
	for _, m := range u.nodes {
		known[m.ID] = true
	}
	for w := range b.entries {
		if !known[w.from] || !known[w.to] {
			wrong = append(wrong, w)
		}
	}
	u.listPairs(s, b, wrong, doubtful, route)
	for _, m := range u.nodes {
		if doubtful[m.ID] {
			s.Doubtful = append(s.Doubtful, status.ID(m.ID))
		}
	}
	slices.Sort(s.Doubtful)
}

// listPairs adds the pairs that contradict each other, but for those of a node that is named already.
func (u *run) listPairs(s *status.Summary, b *books, wrong []way, doubtful map[uint64]bool, route func(way) []uint64) {
	wrong = slices.DeleteFunc(wrong, func(w way) bool { return doubtful[w.from] || doubtful[w.to] })
	for i, w := range wrong {
		if i == maxDiscrepancies {
			s.Wrong = append(s.Wrong, fmt.Sprintf("and %d more pairs", len(wrong)-i))
			break
		}
		e := b.entries[w]
		passed := ""
		if r := route(w); len(r) > 2 && e.sent.N > e.received.N {
			passed = ", by way of " + idList(r[1:len(r)-1])
		}
		s.Wrong = append(s.Wrong, fmt.Sprintf("from %d to %d: %d sent, %d received, %d of unknown outcome, sums %d and %d%s",
			w.from, w.to, e.sent.N, e.received.N, e.sent.Unknown, e.sent.Sum, e.received.Sum, passed))
	}
}

// impossible says what a member has reported that cannot be true, by itself, or "".
func (u *run) impossible(m ring.Member) string {
	ref := m.Ref()
	if _, lost := u.lost[ref]; lost {
		return ""
	}
	c := u.sums[ref]
	for _, n := range [...]int64{c.Sent, c.Received, c.Relayed, c.Wasted, c.Unknown, c.Hops, c.MaxHops} {
		if n < 0 {
			return fmt.Sprintf("reports %d of something that it counts", n)
		}
	}
	most := u.task.Messages * int64(len(u.senders)) // a sender may send again what a lost node did not take
	switch {
	case c.Received > most:
		return fmt.Sprintf("reports %d messages received, and all nodes together were asked to send %d", c.Received, most)
	case c.Unknown > c.Sent:
		return fmt.Sprintf("reports %d messages of unknown outcome, and %d sent", c.Unknown, c.Sent)
	case beyond(c.SumSent, c.Sent) || beyond(c.SumReceived, c.Received) || beyond(c.SumUnknown, c.Unknown):
		return "reports a sum of values that so few messages cannot have"
	}
	p, explained := u.pairs[ref]
	if !explained || len(u.lost)+len(u.stuck) > 0 { // messages of lost nodes may have come between the two reports
		return ""
	}
	var t control.Summary
	for _, q := range p.Sent {
		t.Sent, t.SumSent = t.Sent+q.N, t.SumSent+q.Sum
		t.Unknown, t.SumUnknown = t.Unknown+q.Unknown, t.SumUnknown+q.SumUnknown
	}
	for _, q := range p.Received {
		t.Received, t.SumReceived = t.Received+q.N, t.SumReceived+q.Sum
	}
	if len(p.Received) < maxPairs && (t.Received != c.Received || t.SumReceived != c.SumReceived) || t.Sent != c.Sent || t.SumSent != c.SumSent || t.Unknown != c.Unknown || t.SumUnknown != c.SumUnknown {
		return fmt.Sprintf("contradicts itself: it reports %d messages sent and %d received, and %d and %d by node", c.Sent, c.Received, t.Sent, t.Received)
	}
	return ""
}

// beyond reports whether a sum of values is more than so many messages can have.
func beyond(sum, messages int64) bool {
	return messages < math.MaxInt64>>32 && (sum > messages<<31 || sum < -(messages<<31))
}

// routeBy returns a function that follows the tables from a source to a sink. It returns nil if the
// tables have changed since an epoch: a message may have gone another way. It needs mu.
func (r *Registry) routeBy(epoch uint64) func(way) []uint64 {
	return func(w way) []uint64 {
		if r.members.Epoch() != epoch {
			return nil
		}
		route := []uint64{w.from}
		for at := w.from; at != w.to; {
			view, ok := r.members.View(at)
			ids := make([]uint64, len(view.Entries))
			for i, e := range view.Entries {
				ids[i] = e.ID
			}
			i := ring.ClosestPreceding(ring.Mask(r.cfg.Bits), at, w.to, ids)
			if !ok || i < 0 || len(route) > r.hopLimit() {
				return nil
			}
			at = ids[i]
			route = append(route, at)
		}
		return route
	}
}
