package report

import (
	"fmt"
	"strings"

	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// KeysDocument is a service with keys, with its arcs.
type KeysDocument struct {
	status.KeyService
	All []status.KeyArc `json:"all_arcs"` // owner and receiver are places in owners; receiver is -1 if the arc does not move
}

// OwnerDocument is the owner of a key, as the registry has decided.
type OwnerDocument struct {
	Service string             `json:"service"`
	Key     string             `json:"key"`
	Point   uint64             `json:"point"`
	Owner   status.MemberInfo  `json:"owner"`
	Term    uint64             `json:"term"`
	To      *status.MemberInfo `json:"to"` // the owner to which its arc moves, or null
}

// String says it in a sentence.
func (d OwnerDocument) String() string {
	text := fmt.Sprintf("%s is held by node %v at %s, under term %d. Its point is %d.", d.Key, d.Owner, d.Owner.Addr, d.Term, d.Point)
	if d.To != nil {
		text += fmt.Sprintf(" Its arc moves to node %v at %s.", *d.To, d.To.Addr)
	}
	return text
}

// Keys lists services with keys.
func Keys(all []status.KeyService, width int) string {
	t := table.New(table.Left("service"), table.Right("owners"), table.Right("sources").Rank(7), table.Right("arcs").Rank(5), table.Right("keys").Rank(2),
		table.Right("handled").Rank(1), table.Right("refused").Rank(6), table.Right("unknown").Rank(0), table.Right("moves\nnow").Rank(0), table.Right("moves\nended").Rank(3),
		table.Right("half\nwithin").Rank(9), table.Right("99 %\nwithin").Rank(8), table.Right("longest\ntook").Rank(4))
	for i := range all {
		s := &all[i]
		half, most, longest := "-", "-", "-"
		if s.Moved > 0 {
			within := func(q float64) string { return table.Short(min(s.MoveTimes.Quantile(q), s.LongestMove)) }
			half, most, longest = within(0.5), within(0.99), table.Short(s.LongestMove)
		}
		t.Row(s.Service, len(s.Owners), s.Sources, s.ArcCount, s.Total.Keys, s.Total.Handled, s.Total.Refusals, s.Total.Unknown, s.Moving, s.Moved, half, most, longest)
	}
	return fit(t, width, "keys and a service shows one of them.") + troubleOfKeys(all, width)
}

// troubleOfKeys says what holds keys up.
func troubleOfKeys(all []status.KeyService, width int) string {
	var b strings.Builder
	for i := range all {
		switch s := &all[i]; {
		case s.Recovering:
			fmt.Fprintf(&b, "%s: the registry waits until all members of the earlier one have said what they hold. Until then no arc moves.\n", s.Service)
		case s.Free > 0:
			fmt.Fprintf(&b, "%s: %s of the ring of keys has no owner. Messages there wait.\n", s.Service, percent(s.Free))
		}
	}
	return table.Wrap(table.PlainLines(b.String()), width)
}

// KeyOwners lists the owners of a service with keys of a snapshot, and the moves under way.
func KeyOwners(s *status.Snapshot, k *status.KeyService, width int) string {
	names := NamesIn(s)
	figures := make(map[uint64]status.KeyCounters)
	for i := range s.Members {
		for _, of := range s.Members[i].Keys {
			if of.Service == k.Service {
				figures[s.Members[i].Incarnation] = of.KeyCounters
			}
		}
	}
	t := table.New(table.Right("owner"), table.Left("name").Rank(2), table.Left("address").Rank(3), table.Right("share"), table.Right("arcs").Rank(1),
		table.Right("keys"), table.Right("handled"), table.Right("refused").Rank(4), table.Right("given").Rank(5), table.Right("taken").Rank(6))
	for i := range k.Owners {
		o := &k.Owners[i]
		f := figures[o.Incarnation]
		t.Row(names.ID(o.ID), o.Name, names.Addr(o.Peer), percent(o.Share), o.Arcs, f.Keys, f.Handled, f.Refusals, table.Bytes(f.GivenBytes), table.Bytes(f.TakenBytes))
	}
	text := fit(t, width, "")
	if len(k.Owners) == 0 {
		text = "No node owns keys of this service.\n"
	}
	if len(k.Moves) == 0 {
		return text + troubleOfKeys([]status.KeyService{*k}, width)
	}
	t = table.New(table.Right("from"), table.Right("to"), table.Right("share"), table.Right("for"))
	for _, m := range k.Moves {
		t.Row(names.ID(m.From.ID), names.ID(m.To.ID), percent(m.Share), table.Span(s.Time.Sub(m.Since)))
	}
	text += "\nMoves under way:\n" + fit(t, width, "")
	if more := k.Moving - len(k.Moves); more > 0 {
		text += fmt.Sprintf("and %d more\n", more)
	}
	return text + troubleOfKeys([]status.KeyService{*k}, width)
}

// percent formats a part of the ring.
func percent(part float64) string {
	switch p := 100 * part; {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return "<0.1 %"
	case p < 9.95:
		return fmt.Sprintf("%.1f %%", p)
	default:
		return fmt.Sprintf("%.0f %%", p)
	}
}
