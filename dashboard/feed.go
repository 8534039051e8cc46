package dashboard

import (
	"fmt"
	"slices"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// feed turns snapshots into updates for pages. It remembers what was sent, so an update holds
// changes only. It is pure: no lock, no clock, no I/O.
type feed struct {
	interval time.Duration
	options  pageOptions

	last     *status.Snapshot
	index    map[ringdht.ID]int // of each member in last.Members
	tracks   []*track           // in the order of last.Members
	members  []byte             // the part members, encoded
	parts    [parts][]byte      // the other parts, encoded
	seq      uint64             // of the latest event
	events   [][]byte           // the latest status.MaxEvents, encoded
	baseline flow               // counted by members before their first report here, see flowOf
	flow     flow               // as last sent
	size     int                // of the latest update, a guess for the next
	whole    []byte             // the result of all, if nothing has changed since
}

// track follows one incarnation of a node.
type track struct {
	incarnation uint64
	state       status.State
	rates       rates
	row         []byte // as last sent
	old         []byte // a buffer for the next row
}

// leftFor is how long nodes that have left stay on the page. Dead ones stay as long as the
// registry remembers them.
const leftFor = time.Minute

// pageOptions are options of the handler that the page is told.
type pageOptions struct {
	control bool
	join    string // see WithJoin
}

func newFeed(interval time.Duration, options pageOptions) *feed {
	return &feed{interval: interval, options: options}
}

// update takes the next snapshot and returns the parts that have changed.
func (f *feed) update(s *status.Snapshot) []byte {
	f.whole = nil
	b := append(open(make([]byte, 0, f.size+f.size/4), "t"), encode(millis(s.Time))...)
	if f.last == nil || !sameMembers(f.last.Members, s.Members) {
		f.setMembers(s)
		b = append(open(b, "members"), f.members...)
	}
	b = f.rows(b, s)
	f.flow = f.flowOf(s)
	keys, arcs := keysOf(s)
	bodies := [parts][]byte{
		partRing: encode(f.ring(s)), partGone: encodeGone(s), partDegraded: encodeDegraded(s.Degraded),
		partSidelined: encodeSidelined(s.Sidelined), partSecurity: encode(securityOf(s.Security)),
		partKeys: encode(keys), partArcs: encode(arcs),
		partTotal: encode(s.Total), partHops: encode(orEmpty(s.Hops)), partRunning: encode(s.Running), partRuns: encode(results(s.Runs)),
		partLatency: encode([]any{orEmpty(s.Latency.Counts), s.Latency.Sum}), partFlow: encode(f.flow),
	}
	for i, body := range bodies {
		if f.parts[i] == nil || string(f.parts[i]) != string(body) {
			f.parts[i] = body
			b = append(open(b, partNames[i]), body...)
		}
	}
	if added := f.addEvents(s); len(added) > 0 {
		b = list(open(b, "events"), added)
	}
	f.last, f.size = s, len(b)
	return append(b, '}')
}

// all returns all parts, for a page that has just connected.
func (f *feed) all() []byte {
	if f.whole != nil {
		return f.whole
	}
	b := append(open(nil, "t"), encode(millis(f.last.Time))...)
	b = append(open(b, "members"), f.members...)
	b = append(open(b, "rows"), '[')
	for i, t := range f.tracks {
		b = append(append(number(append(comma(b), '['), int64(i)), t.row...), ']')
	}
	b = append(b, ']')
	for i, body := range f.parts {
		b = append(open(b, partNames[i]), body...)
	}
	b = list(open(b, "events"), f.events)
	b = append(open(b, "history"), encode(past(f.last, f.flow))...)
	f.whole = append(b, '}')
	return f.whole
}

// list appends elements as an array.
func list(b []byte, elements [][]byte) []byte {
	b = append(b, '[')
	for _, e := range elements {
		b = append(comma(b), e...)
	}
	return append(b, ']')
}

// sameMembers reports whether the part members is the same for both.
func sameMembers(a, b []status.Member) bool {
	return slices.EqualFunc(a, b, func(a, b status.Member) bool {
		return a.ID == b.ID && a.Incarnation == b.Incarnation && a.Addr == b.Addr && a.Joined.Equal(b.Joined) && slices.Equal(a.Entries, b.Entries)
	})
}

// setMembers starts over with the members of a snapshot. Members that stay keep their tracks.
func (f *feed) setMembers(s *status.Snapshot) {
	known := make(map[ringdht.ID]*track, len(f.tracks))
	if f.last != nil {
		for i, m := range f.last.Members {
			known[m.ID] = f.tracks[i]
		}
	}
	f.index = make(map[ringdht.ID]int, len(s.Members))
	f.tracks = make([]*track, len(s.Members))
	for i, m := range s.Members {
		f.index[m.ID] = i
		t := known[m.ID]
		if t == nil || t.incarnation != m.Incarnation {
			t = &track{incarnation: m.Incarnation}
		}
		t.row = nil // its index and its entries may have changed
		f.tracks[i] = t
	}
	f.members = append(f.members[:0], '[')
	for i := range s.Members {
		f.members = appendMember(f.members, &s.Members[i], f.index)
	}
	f.members = append(f.members, ']')
}

// rows appends the part rows, unless no row has changed.
func (f *feed) rows(b []byte, s *status.Snapshot) []byte {
	before := len(b)
	b = append(open(b, "rows"), '[')
	empty := len(b)
	for i := range s.Members {
		m, t := &s.Members[i], f.tracks[i]
		if t.row != nil && t.state == m.State && t.rates.heard.Equal(m.Heard) {
			continue
		}
		t.state = m.State
		if t.rates.heard.IsZero() && f.last != nil {
			f.baseline.add(flowOf(&m.Counters), 1)
		}
		t.rates.update(m)
		row := appendRow(t.old[:0], m, &t.rates, f.index)
		if t.row != nil && string(row) == string(t.row) {
			t.old = row
			continue
		}
		t.row, t.old = row, t.row
		b = append(append(number(append(comma(b), '['), int64(i)), row...), ']')
	}
	if len(b) == empty {
		return b[:before]
	}
	return append(b, ']')
}

// flowOf returns the totals without what members had counted before their first report here.
// Members that come back to a new registry bring along all that they have ever counted. In a
// rate that would look like a burst of traffic.
func (f *feed) flowOf(s *status.Snapshot) flow {
	now := flowOf(&s.Total)
	now.add(f.baseline, -1)
	return now
}

// addEvents remembers the events that are new in a snapshot, and returns them.
func (f *feed) addEvents(s *status.Snapshot) (added [][]byte) {
	for i := range s.Events {
		if e := &s.Events[i]; e.Seq > f.seq {
			f.seq = e.Seq
			added = append(added, appendEvent(nil, e))
		}
	}
	f.events = append(f.events, added...)
	f.events = slices.Delete(f.events, 0, max(0, len(f.events)-status.MaxEvents))
	return added
}

func (f *feed) ring(s *status.Snapshot) ringPart {
	missing := []string{}
	for _, line := range s.Missing {
		if len(missing) == maxMissing || line == "" { // the registry has a text for the first few only
			missing = append(missing, fmt.Sprintf("and %d more", len(s.Missing)-len(missing)))
			break
		}
		missing = append(missing, line)
	}
	other := ""
	if len(s.OtherRings) > 0 {
		other = s.OtherRings[0].Identity
	}
	return ringPart{
		Name: s.Ring, Bits: s.Bits, Lease: s.Lease.Milliseconds(), Interval: f.interval.Milliseconds(), Epoch: s.Epoch,
		Live: s.Live, Plan: s.Plan, Entries: s.Entries, Offsets: orEmpty(s.Offsets), Missing: missing,
		Control: f.options.control, Join: f.options.join, Others: len(s.OtherRings), Other: other,
	}
}

// orEmpty returns an empty list for nil, so that JSON has [] and not null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// results returns the runs with verdicts cut short: a verdict may name all nodes of a large
// ring.
func results(runs []status.Run) []status.Run {
	runs = slices.Clone(orEmpty(runs))
	for i := range runs {
		runs[i].Verdict = cut(runs[i].Verdict)
	}
	return runs
}

// encodeGone encodes the part gone.
func encodeGone(s *status.Snapshot) []byte {
	b := []byte{'['}
	for i := range s.Gone {
		g := &s.Gone[i]
		if g.State == status.StateLeft && s.Time.Sub(g.When) > leftFor {
			continue
		}
		b = ident(append(comma(b), '['), uint64(g.ID))
		b = text(b, g.Addr)
		b = ident(b, g.Incarnation)
		b = text(b, string(g.State))
		b = number(b, millis(g.When))
		b = text(b, cut(g.Why))
		for _, n := range [...]int64{millis(g.Heard), g.Counters.Sent, g.Counters.Delivered, g.Counters.Relayed} {
			b = number(b, n)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

func encodeDegraded(pairs []status.Degraded) []byte {
	b := []byte{'['}
	for _, p := range pairs {
		b = ident(append(comma(b), '['), uint64(p.From.ID))
		b = ident(b, uint64(p.To.ID))
		b = append(text(b, cut(p.Why)), ']')
	}
	return append(b, ']')
}
