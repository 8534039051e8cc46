package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/meter"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// Ring is a view of a ring, by snapshots of its registry.
type Ring struct {
	take  func() *status.Snapshot
	meter *meter.Meter

	now                *status.Snapshot
	delivered, relayed history
	before, last       uint64 // the latest event at the refresh before, and at this one
}

// NewRing returns a view of a ring. The meter may have seen earlier snapshots.
func NewRing(take func() *status.Snapshot, m *meter.Meter) *Ring { return &Ring{take: take, meter: m} }

// Refresh takes the next snapshot.
func (r *Ring) Refresh() {
	r.now = r.take()
	r.meter.Take(r.now)
	if total, ok := r.meter.Total(); ok {
		r.delivered.add(total.Delivered)
		r.relayed.add(total.Relayed)
	}
	first := r.last == 0
	if n := len(r.now.Events); n > 0 {
		r.before, r.last = r.last, r.now.Events[n-1].Seq
	}
	if first { // events before the first refresh are not new
		r.before = r.last
	}
}

// states counts the members by state: "9 active, 1 suspect".
func states(s *status.Snapshot) string {
	var parts []string
	for _, state := range []status.State{status.StateActive, status.StateLinking, status.StateRegistered, status.StateSuspect, status.StateStuck, status.StateLeaving} {
		n := 0
		for i := range s.Members {
			if s.Members[i].State == state {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		return "no nodes"
	}
	return strings.Join(parts, ", ")
}

// rates returns the current rates of the ring as text.
func (r *Ring) rates() (delivered, relayed string) {
	total, ok := r.meter.Total()
	if !ok {
		return "-", "-"
	}
	return table.Rate(total.Delivered), table.Rate(total.Relayed)
}

// Lines returns the view.
func (r *Ring) Lines(size console.Size) []string {
	s, width := r.now, size.Columns
	names := report.NamesIn(s)
	head := []string{joined(width, fmt.Sprintf("%s: %s", s.Ring, states(s)), epoch(s), s.Time.Format(time.TimeOnly), tables(s), at(names))}

	delivered, relayed := r.rates()
	flow := []string{
		fmt.Sprintf("delivered %7s %s", delivered, spark(r.delivered, width-18)),
		fmt.Sprintf("relayed   %7s %s", relayed, spark(r.relayed, width-18)),
	}
	flow = append(flow, run(s, width)...)
	flow = append(flow, trouble(s, width)...)

	rest := size.Rows - len(head) - len(flow) - 1
	// Nodes get the rows that events leave them, except in small rings.
	events := min(len(s.Events), max(0, rest-10)/2, max(rest-len(s.Members)-6, 5))
	if rest < 14 {
		events = 0
	}
	room := rest
	if events > 0 {
		room = rest - events - 4 // less its heading and the empty lines
	}
	members := r.members(width, room, names)
	return clip(stacked(size.Rows, "Enter ends this view.", head, flow, members, log(s, events, names)), width)
}

func epoch(s *status.Snapshot) string {
	if !s.Live {
		return "not set up"
	}
	return fmt.Sprintf("epoch %d", s.Epoch)
}

// tables says which routing tables are in use.
func tables(s *status.Snapshot) string {
	if !s.Live {
		return ""
	}
	return fmt.Sprintf("%d entries each, %s", s.Entries, s.Plan)
}

func at(names console.Names) string {
	if names.Host() == "" {
		return ""
	}
	return "at " + names.Host()
}

// run returns the progress of the current traffic run, or the result of the last one.
func run(s *status.Snapshot, width int) []string {
	if u := s.Running; u != nil {
		text := fmt.Sprintf("run %-5d %7s ", u.Number, report.Share(u.Received, u.Total))
		sent := fmt.Sprintf(" %d sent, %d received of %d", u.Sent, u.Received, u.Total)
		bar := min(40, width-length(text))
		if width < length(text)+20+length(sent) {
			return []string{text + progress(u.Received, u.Total, bar)}
		}
		return []string{text + progress(u.Received, u.Total, min(40, width-length(text)-length(sent))) + sent}
	}
	if n := len(s.Runs); n > 0 {
		u := s.Runs[n-1]
		return []string{joined(width, fmt.Sprintf("run %-5d %7s %s", u.Number, table.Rate(u.Rate), u.Verdict),
			fmt.Sprintf("%d messages in %s", u.Received, table.Span(u.Elapsed)), fmt.Sprintf("%.3f hops", u.MeanHops))}
	}
	return nil
}

// trouble returns what was dropped, and what the ring waits for.
func trouble(s *status.Snapshot, width int) []string {
	parts := []string{fmt.Sprintf("dropped   %7d", report.Dropped(&s.Total))}
	for _, r := range report.Trouble(&s.Total) {
		parts = append(parts, fmt.Sprintf("%s: %d", r.What, r.Frames))
	}
	if n := s.Total.Retransmitted; n > 0 {
		parts = append(parts, fmt.Sprintf("retransmitted: %d", n))
	}
	list := []string{joined(width, parts...)}
	if n := len(s.Degraded); n > 0 {
		d := s.Degraded[0]
		list = append(list, fmt.Sprintf("detours   %7d · for example %d to %d: %s", n, d.From.ID, d.To.ID, d.Why))
	}
	if n := len(s.LeftOut); n > 0 {
		list = append(list, fmt.Sprintf("stuck     %7d · for example %v", n, s.LeftOut[0]))
	}
	if n := len(s.Sidelined); n > 0 {
		x := s.Sidelined[0]
		list = append(list, fmt.Sprintf("led around %6d · for example %d: %s", n, x.Node.ID, x.Why))
	}
	if n := len(s.Missing); n > 0 {
		list = append(list, "waiting: "+strings.Join(s.Missing, "; "))
	}
	return list
}

// members lists as many members as there is room for: those in trouble first, then the
// busiest relays.
func (r *Ring) members(width, rows int, names console.Names) []string {
	s := r.now
	if len(s.Members) == 0 || rows < 2 {
		return nil
	}
	type busy struct {
		*status.Member
		meter.Rates
		known bool
	}
	all := make([]busy, len(s.Members))
	for i := range s.Members {
		all[i].Member = &s.Members[i]
		all[i].Rates, all[i].known = r.meter.Of(&s.Members[i])
	}
	well := func(b *busy) int {
		if b.State == status.StateActive || !s.Live {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b busy) int {
		return cmp.Or(cmp.Compare(well(&a), well(&b)), cmp.Compare(b.Rates.Relayed, a.Rates.Relayed),
			cmp.Compare(b.Counters.Relayed, a.Counters.Relayed), cmp.Compare(a.ID, b.ID))
	})
	shown := rows - 1
	more := ""
	if len(all) > shown {
		shown = max(1, shown-1)
		more = fmt.Sprintf("and %d more", len(all)-shown)
		all = all[:shown]
	}
	t := table.New(table.Right("node"), table.Left("address").Rank(5), table.Left("state").Rank(2), table.Right("relays").Rank(1),
		table.Right("delivers").Rank(3), table.Right("sends").Rank(7), table.Right("writes").Rank(9), table.Right("queued").Rank(4),
		table.Right("window").Rank(8), table.Right("dropped").Rank(6), table.Right("heard").Rank(10))
	for i := range all {
		b := &all[i]
		rate := func(text string) string {
			if !b.known {
				return "-"
			}
			return text
		}
		t.Row(names.ID(b.ID), names.Addr(b.Peer), b.State, rate(table.Rate(b.Rates.Relayed)),
			rate(table.Rate(b.Rates.Delivered)), rate(table.Rate(b.Rates.Sent)), rate(table.Bytes(int64(b.Rates.BytesOut))+"/s"), table.Bytes(b.Counters.Queued),
			report.Share(b.Streams.InFlight, b.Streams.Window), report.Dropped(&b.Counters), report.Heard(s, b.Member))
	}
	return fitted(t, width, more)
}

// log returns the latest events.
func log(s *status.Snapshot, rows int, names console.Names) []string {
	if rows == 0 {
		return nil
	}
	t := table.New(table.Left("latest"), table.Left("event"), table.Left("node"), table.Left("why"))
	for _, e := range s.Events[len(s.Events)-rows:] {
		what, node, why := report.Event(e, report.Named(names))
		t.Row(e.Time.Format(time.TimeOnly), what, node, why)
	}
	return lines(t.String())
}

// Line returns the ring in one line.
func (r *Ring) Line() string {
	s := r.now
	delivered, relayed := r.rates()
	line := fmt.Sprintf("%s  delivered %7s  relayed %7s  dropped %d  %s", s.Time.Format(time.TimeOnly), delivered, relayed, report.Dropped(&s.Total), states(s))
	if u := s.Running; u != nil {
		line += fmt.Sprintf("  run %d: %s", u.Number, report.Share(u.Received, u.Total))
	}
	return line
}

// ringDocument is a short document of a ring.
type ringDocument struct {
	Time     time.Time            `json:"time"`
	Epoch    uint64               `json:"epoch"`
	Live     bool                 `json:"live"`
	Members  map[status.State]int `json:"members"` // by state
	Rates    *meter.Rates         `json:"rates"`   // null while unknown
	Total    status.Counters      `json:"total"`
	Degraded int                  `json:"degraded"`
	Running  *status.Running      `json:"running"`
	Events   []status.Event       `json:"events"` // since the line before
}

// Document returns the ring in short, with the events since the refresh before.
func (r *Ring) Document() any {
	s := r.now
	d := ringDocument{Time: s.Time, Epoch: s.Epoch, Live: s.Live, Members: map[status.State]int{}, Total: s.Total,
		Degraded: len(s.Degraded), Running: s.Running, Events: []status.Event{}}
	for i := range s.Members {
		d.Members[s.Members[i].State]++
	}
	if total, ok := r.meter.Total(); ok {
		d.Rates = &total
	}
	for _, e := range s.Events {
		if e.Seq > r.before {
			d.Events = append(d.Events, e)
		}
	}
	return d
}
