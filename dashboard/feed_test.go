package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// told is the state of a page, built from updates: a model of the page's own store.
type told struct {
	T       int64
	Members [][]any
	Rows    map[int][]any
	Events  [][]any
	Parts   map[string]any
}

func (p *told) take(t *testing.T, update []byte) {
	t.Helper()
	var u map[string]any
	if err := json.Unmarshal(update, &u); err != nil {
		t.Fatalf("%v: %s", err, update)
	}
	p.T = int64(u["t"].(float64))
	if all, ok := u["members"].([]any); ok {
		p.Members, p.Rows = nil, make(map[int][]any)
		for _, m := range all {
			p.Members = append(p.Members, m.([]any))
		}
	}
	rows, _ := u["rows"].([]any)
	for _, r := range rows {
		p.Rows[int(r.([]any)[0].(float64))] = r.([]any)[1:]
	}
	events, _ := u["events"].([]any)
	for _, e := range events {
		p.Events = append(p.Events, e.([]any))
	}
	p.Events = p.Events[max(0, len(p.Events)-status.MaxEvents):]
	for _, name := range partNames {
		if v, ok := u[name]; ok {
			p.Parts[name] = v
		}
	}
}

// world makes snapshots of a ring that changes at random.
type world struct {
	rng          *rand.Rand
	s            status.Snapshot
	incarnations uint64
	serial       uint64
}

func (w *world) event(kind status.EventKind, m status.Member) {
	w.serial++
	w.s.Events = append(slices.Clone(w.s.Events), status.Event{Seq: w.serial, Time: w.s.Time, Kind: kind, Node: m.Peer, Incarnation: m.Incarnation, Why: `"why" <&>`})
	w.s.Events = w.s.Events[max(0, len(w.s.Events)-status.MaxEvents):]
}

func (w *world) step() *status.Snapshot {
	w.s.Time = w.s.Time.Add(500 * time.Millisecond)
	w.s.Members = slices.Clone(w.s.Members)
	switch n := len(w.s.Members); {
	case w.rng.IntN(3) == 0 && n < 20: // a node joins
		id := ringdht.ID(w.rng.Uint64N(40) << 58)
		at, taken := slices.BinarySearchFunc(w.s.Members, id, func(m status.Member, id ringdht.ID) int {
			if m.ID < id {
				return -1
			}
			return int(min(1, m.ID-id))
		})
		if taken {
			break
		}
		w.incarnations++
		m := status.Member{State: status.StateRegistered, Joined: w.s.Time}
		m.ID, m.Addr, m.Incarnation = id, fmt.Sprintf("host%d:%d", id, w.incarnations), 1<<63+w.incarnations
		w.s.Members = slices.Insert(w.s.Members, at, m)
		w.event(status.EventJoined, m)
		w.s.Gone = slices.DeleteFunc(slices.Clone(w.s.Gone), func(g status.Gone) bool { return g.ID == id })
		w.tables()
	case w.rng.IntN(4) == 0 && n > 0: // a node goes
		i := w.rng.IntN(n)
		kind := []status.EventKind{status.EventLeft, status.EventDead}[w.rng.IntN(2)]
		w.event(kind, w.s.Members[i])
		gone := status.Gone{Member: w.s.Members[i], When: w.s.Time, Why: `"why" <&>`}
		gone.State = status.State(kind)
		w.s.Gone = append(slices.Clone(w.s.Gone), gone)
		w.s.Members = slices.Delete(w.s.Members, i, i+1)
		if w.rng.IntN(2) == 0 { // else the tables lag, and name a node that is gone
			w.tables()
		}
	}
	for i := range w.s.Members {
		m := &w.s.Members[i]
		if w.rng.IntN(3) > 0 {
			continue
		}
		m.State = states[w.rng.IntN(len(states))]
		m.Heard = w.s.Time
		m.Counters.Sent += w.rng.Int64N(2)
		m.Counters.Relayed += w.rng.Int64N(2)
		m.Links = nil
		for _, id := range m.Entries {
			m.Links = append(m.Links, status.Link{To: id, Up: w.rng.IntN(4) > 0, Bytes: w.rng.Int64N(1000)})
		}
		w.s.Total.Sent++
	}
	s := w.s
	return &s
}

// tables gives each node the next two nodes as entries.
func (w *world) tables() {
	w.s.Epoch++
	n := len(w.s.Members)
	for i := range w.s.Members {
		w.s.Members[i].Entries = nil
		for d := 1; d < min(3, n); d++ {
			w.s.Members[i].Entries = append(w.s.Members[i].Entries, w.s.Members[(i+d)%n].ID)
		}
	}
}

// A page that got all parts once and then the changes has the same state as one that gets all
// parts now, and that state is the snapshot's.
func TestFeed(t *testing.T) {
	for seed := range uint64(5) {
		w := &world{rng: rand.New(rand.NewPCG(seed, 1)), s: status.Snapshot{Time: time.Unix(1e9, 0), Bits: 64}}
		f := newFeed(500*time.Millisecond, pageOptions{})
		f.update(w.step())
		follower := &told{Parts: map[string]any{}}
		follower.take(t, f.all())
		for range 150 {
			s := w.step()
			follower.take(t, f.update(s))
			fresh := &told{Parts: map[string]any{}}
			fresh.take(t, f.all())
			if !reflect.DeepEqual(follower, fresh) {
				t.Fatalf("seed %d: the follower knows\n%v\nand who comes now\n%v", seed, follower, fresh)
			}
			check(t, s, follower)
		}
	}
}

func check(t *testing.T, s *status.Snapshot, p *told) {
	t.Helper()
	if p.T != s.Time.UnixMilli() || len(p.Members) != len(s.Members) || len(p.Rows) != len(s.Members) {
		t.Fatalf("%d members and %d rows of %d at %d", len(p.Members), len(p.Rows), len(s.Members), p.T)
	}
	for i, m := range s.Members {
		if p.Members[i][0] != m.ID.String() || p.Members[i][2] != strconv.FormatUint(m.Incarnation, 10) {
			t.Fatalf("member %d is %v, not %v", i, p.Members[i], m)
		}
		entries := p.Members[i][4].([]any)
		row, links := p.Rows[i], p.Rows[i][7].([]any)
		at := 0
		for _, id := range m.Entries {
			if !slices.ContainsFunc(s.Members, func(m status.Member) bool { return m.ID == id }) {
				continue
			}
			if e := int(entries[at].(float64)); s.Members[e].ID != id {
				t.Fatalf("entry %d of member %d is %d", at, i, e)
			}
			up := slices.ContainsFunc(m.Links, func(l status.Link) bool { return l.To == id && l.Up })
			if up != (links[at].(float64) >= 0) {
				t.Fatalf("link %d of member %d: %v, %v", at, i, links, m.Links)
			}
			at++
		}
		if at != len(entries) || at != len(links) {
			t.Fatalf("member %d: %d entries, %v %v", i, at, entries, links)
		}
		if int64(row[1].(float64)) != m.Counters.Sent || int64(row[3].(float64)) != m.Counters.Relayed || states[int(row[0].(float64))] != m.State {
			t.Fatalf("row %d is %v of %+v", i, row, m)
		}
	}
	var gone []status.Gone
	for _, g := range s.Gone {
		if g.State == status.StateDead || s.Time.Sub(g.When) <= leftFor {
			gone = append(gone, g)
		}
	}
	shown := p.Parts["gone"].([]any)
	if len(shown) != len(gone) {
		t.Fatalf("%d gone are shown, want %d", len(shown), len(gone))
	}
	for i, g := range gone {
		got := fmt.Sprint(shown[i])
		if want := fmt.Sprint([]any{g.ID, g.Addr, g.Incarnation, g.State, float64(g.When.UnixMilli()), g.Why, float64(millis(g.Heard)), float64(g.Counters.Sent), float64(g.Counters.Delivered), float64(g.Counters.Relayed)}); got != want {
			t.Fatalf("gone: %s, want %s", got, want)
		}
	}
}

// A node that has left is shown for a minute, a dead one as long as the registry remembers it.
func TestGone(t *testing.T) {
	at := time.Unix(1e9, 0)
	s := status.Snapshot{Time: at, Gone: make([]status.Gone, 2)}
	for i, state := range []status.State{status.StateLeft, status.StateDead} {
		g := &s.Gone[i]
		g.ID, g.State, g.When, g.Heard, g.Counters.Sent = ringdht.ID(7+i), state, at, at.Add(-time.Second), 42
	}
	for after, want := range map[time.Duration]string{
		leftFor:               `[["7","","0","left",1000000000000,"",999999999000,42,0,0],["8","","0","dead",1000000000000,"",999999999000,42,0,0]]`,
		leftFor + time.Second: `[["8","","0","dead",1000000000000,"",999999999000,42,0,0]]`,
	} {
		later := s
		later.Time = at.Add(after)
		if got := string(encodeGone(&later)); got != want {
			t.Errorf("after %v: %s", after, got)
		}
	}
}

// A page that has just been opened gets the time before from the registry's history. Together
// with what it sees next, a steady stream of messages is a steady rate.
func TestPast(t *testing.T) {
	const perSecond, reports = 1000, 4 * time.Second // each of ten members reports every four seconds
	at := time.Unix(1e9, 0)
	s := &status.Snapshot{Time: at, Members: make([]status.Member, 10)}
	for i := range s.Members {
		s.Members[i].Heard = at.Add(-reports * time.Duration(i) / 10)
		unheard := at.Sub(s.Members[i].Heard).Seconds()
		s.Total.Delivered += int64((600 - unheard) * perSecond / 10) // for ten minutes
	}
	for n := range status.MaxHistory {
		step := status.Step{Time: at.Add(time.Duration(n-status.MaxHistory)*status.HistoryStep + time.Second), Members: 10}
		for _, m := range s.Members {
			counted := min(status.HistoryStep, max(0, m.Heard.Sub(step.Time)))
			step.Delivered += int64(counted.Seconds() * perSecond / 10)
		}
		s.History = append(s.History, step)
	}
	list := past(s, flowOf(&s.Total))
	if n := len(list); n < status.MaxHistory-2 || n > status.MaxHistory {
		t.Fatalf("%d of %d steps", n, status.MaxHistory)
	}
	list = append(list, [6]int64{millis(at), 0, s.Total.Delivered})
	last := list[len(list)-1]
	for _, p := range list[:len(list)-1] {
		window := float64(last[0]-p[0]) / 1000
		if rate := float64(last[2]-p[2]) / window; window >= 2*reports.Seconds() && (rate < 0.95*perSecond || rate > 1.05*perSecond) {
			t.Errorf("%.0f per second over %.0f s", rate, window)
		}
		if p[5] != 10 {
			t.Errorf("%d members", p[5])
		}
	}
	if got := past(&status.Snapshot{Time: at}, flow{}); len(got) != 0 {
		t.Errorf("of an empty history: %v", got)
	}
}

// A rate is the difference of two reports over the time between them. Without a new report it
// stays, and a report without traffic ends it.
func TestRates(t *testing.T) {
	at := time.Unix(1e9, 0)
	var m status.Member
	report := func(after time.Duration, relayed, first, second int64) {
		m.Heard = at.Add(after)
		m.Counters.Relayed = relayed
		m.Links = []status.Link{{To: 1, Up: true, Bytes: first}, {To: 2, Up: true, Bytes: second}}
	}
	var r rates
	want := func(relayed int64, links ...int64) {
		t.Helper()
		r.update(&m)
		if r.relayed != relayed || !slices.Equal(r.links, links) {
			t.Errorf("%d relayed, links %v; want %d, %v", r.relayed, r.links, relayed, links)
		}
	}
	report(0, 500, 1000, 2000)
	want(0, 0, 0) // the first report has no time to compare with
	report(2*time.Second, 700, 1100, 2000)
	want(100, 50, 0)
	want(100, 50, 0) // the same report again
	report(3*time.Second, 700, 1100, 2000)
	want(0, 0, 0)
	report(4*time.Second, 700, 30, 2010) // the first link was opened again
	want(0, 30, 10)
	report(5*time.Second, 700, 30, 2010)
	slices.Reverse(m.Links) // the table has changed
	m.Links[0].Bytes += 7
	want(0, 7, 0)
	report(5*time.Second+time.Millisecond, 710, 30, 2010)
	slices.Reverse(m.Links)
	m.Links[0].Bytes += 7
	want(50, 0, 0) // and not 10,000
}

// Members that come back to a new registry bring along all that they have counted. The totals
// include it; the rates show no burst.
func TestTakeOverIsNoBurst(t *testing.T) {
	at := time.Unix(1e9, 0)
	s := status.Snapshot{Time: at, Members: make([]status.Member, 2)}
	s.Members[1].ID = 1
	report := func(i int, delivered int64) {
		m := &s.Members[i]
		m.Heard, m.Counters.Delivered = s.Time, delivered
		s.Total.Delivered = s.Members[0].Counters.Delivered + s.Members[1].Counters.Delivered
	}
	f := newFeed(time.Second, pageOptions{})
	var delivered, grown []int64
	step := func() {
		snapshot := s
		snapshot.Members = slices.Clone(s.Members)
		f.update(&snapshot)
		delivered = append(delivered, f.flow[1])
		s.Time = s.Time.Add(time.Second)
	}
	report(0, 7_000_000) // before the first update
	step()
	report(0, 7_000_100)
	report(1, 5_000_000) // it has come back
	step()
	report(0, 7_000_100)
	report(1, 5_000_030)
	step()
	for i := range delivered[1:] {
		grown = append(grown, delivered[i+1]-delivered[i])
	}
	if !slices.Equal(grown, []int64{100, 30}) || s.Total.Delivered != 12_000_130 {
		t.Errorf("the ring has delivered %d more", grown)
	}
}

// A verdict that names a thousand nodes is cut short for the pages.
func TestLongTexts(t *testing.T) {
	long := string(make([]rune, 1000))
	if got := cut(long + "ü"); len(got) > maxText+len(" …") {
		t.Errorf("%d bytes", len(got))
	}
	if got := cut("é" + string(slices.Repeat([]byte("ü"), maxText))); !json.Valid(encode(got)) || got[len(got)-len(" …"):] != " …" {
		t.Errorf("%q", got)
	}
	f := newFeed(time.Second, pageOptions{})
	f.update(&status.Snapshot{Missing: []string{"a", "b", "c", "", "", ""}})
	if got := f.ring(&status.Snapshot{Missing: []string{"a", "b", "c", "", "", ""}}).Missing; !slices.Equal(got, []string{"a", "b", "c", "and 3 more"}) {
		t.Errorf("missing: %q", got)
	}
}

// Before the set-up, before the first report and in an empty ring, lists are [] and not null,
// which would be an exception in the page.
func TestNothingYet(t *testing.T) {
	tr := newTestRing(t, 0)
	for range 2 {
		f := newFeed(time.Second, pageOptions{})
		var u map[string]json.RawMessage
		f.update(tr.registry.Snapshot())
		if err := json.Unmarshal(f.all(), &u); err != nil {
			t.Fatal(err)
		}
		for _, name := range append(partNames[:], "t", "members", "rows", "events", "history") {
			if u[name] == nil || bytes.Contains(u[name], []byte("null")) != (name == "running" || name == "security") {
				t.Errorf("%s is %s", name, u[name])
			}
		}
		tr.join()
	}
}

// Members of other rings are counted, and one of these rings is named.
func TestOtherRingsAreTold(t *testing.T) {
	f := newFeed(time.Second, pageOptions{})
	if r := f.ring(&status.Snapshot{}); r.Others != 0 || r.Other != "" {
		t.Errorf("without any: %+v", r)
	}
	s := &status.Snapshot{OtherRings: []status.OtherRing{{Identity: "0123"}, {Identity: "4567"}}}
	if r := f.ring(s); r.Others != 2 || r.Other != "0123" {
		t.Errorf("with two: %d, %q", r.Others, r.Other)
	}
}
