package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/x/ringdht/internal/control"
)

// books are the accounts that members have given of a run: what each has sent to each other, and
// received from it. All of this is pure.
type books struct {
	reported   map[uint64]bool // members that have given their account
	unfinished map[uint64]bool // of these, those that made no progress: what they sent may be under way
	entries    map[way]*entry
}

// way is the messages from one member to another.
type way struct{ from, to uint64 }

// entry is what the two ends say of a way. An end that has not reported says nothing.
type entry struct{ sent, received control.Pair }

// agree reports whether what the two ends of a way say may both be true: each message was received,
// or has no known outcome.
func (b *books) agree(w way) bool {
	e := b.entries[w]
	if e == nil || !b.reported[w.from] || !b.reported[w.to] {
		return true
	}
	unknown := e.sent.Unknown
	if b.unfinished[w.from] {
		unknown = e.sent.N
	}
	if min(e.sent.N, e.received.N, unknown) < 0 || unknown > e.sent.N {
		return false
	}
	return e.received.N <= e.sent.N && e.received.N >= e.sent.N-unknown && (unknown != 0 || e.sent.Sum == e.received.Sum)
}

// disagreements lists the ways whose ends contradict each other, by their IDs.
func (b *books) disagreements() []way {
	return slices.SortedFunc(func(yield func(way) bool) {
		for w := range b.entries {
			if !b.agree(w) && !yield(w) {
				return
			}
		}
	}, func(x, y way) int { return cmp.Or(cmp.Compare(x.from, y.from), cmp.Compare(x.to, y.to)) })
}

// contradicted is a member whose account contradicts those of With others. Of these each agrees with
// all others, but for members that are contradicted likewise. They are more than half of the members
// that are not contradicted likewise.
type contradicted struct {
	ID   uint64
	With int
}

// findContradicted finds the members that contradict most others. Members that tell the truth agree
// with each other. So one of them is found only if more than half of the rest have agreed on what to
// say against it. A member that contradicts only some is not found: it, or the other, may be wrong.
func (b *books) findContradicted() (found []contradicted) {
	others := make(map[uint64]map[uint64]bool) // the members that each contradicts
	for _, w := range b.disagreements() {
		for _, ends := range [2]way{w, {w.to, w.from}} {
			if others[ends.from] == nil {
				others[ends.from] = make(map[uint64]bool)
			}
			others[ends.from][ends.to] = true
		}
	}
	rest := make(map[uint64]map[uint64]bool, len(others)) // without those that are found
	for id, list := range others {
		rest[id] = maps.Clone(list)
	}
	left := len(b.reported)
	for {
		most, found1 := uint64(0), false
		for id, list := range rest {
			if n := len(list); n > 1 && 2*n > left-1 && (!found1 || n > len(rest[most]) || n == len(rest[most]) && id < most) {
				most, found1 = id, true
			}
		}
		if !found1 {
			break
		}
		for id := range rest[most] {
			delete(rest[id], most)
		}
		delete(rest, most)
		left--
		found = append(found, contradicted{ID: most})
	}
	for i := range found {
		for id := range others[found[i].ID] {
			if list, is := rest[id]; is && len(list) == 0 {
				found[i].With++
			}
		}
	}
	found = slices.DeleteFunc(found, func(c contradicted) bool { return c.With < 2 || 2*c.With <= left })
	slices.SortFunc(found, func(x, y contradicted) int { return cmp.Compare(x.ID, y.ID) })
	return found
}

// diverted is a member that reports as received, from some sources, exactly what these have sent to
// other sinks, and what those sinks have not received.
type diverted struct {
	by       uint64
	sources  []uint64
	sinks    []uint64
	messages int64
}

// findDiverted finds them. For each source the number and the sum of values must be the same, so
// it is no accident: the member has taken the messages, or the source tells another sink than it sent
// to. With two sources or more it is the member, unless these lie together.
func (b *books) findDiverted() (found []diverted) {
	type account struct {
		n, sum int64
		ends   []uint64
	}
	missing, extra := make(map[uint64]*account), make(map[uint64]*account)
	add := func(to map[uint64]*account, source, sink uint64, n, sum int64) {
		if to[source] == nil {
			to[source] = new(account)
		}
		a := to[source]
		a.n, a.sum, a.ends = a.n+n, a.sum+sum, append(a.ends, sink)
	}
	for _, w := range b.disagreements() {
		e := b.entries[w]
		n, sum := e.sent.N-e.received.N, e.sent.Sum-e.received.Sum
		switch {
		case n > 0 && e.sent.Unknown == 0:
			add(missing, w.from, w.to, n, sum)
		case n < 0:
			add(extra, w.from, w.to, -n, -sum)
		}
	}
	by := make(map[uint64]*diverted)
	for _, source := range slices.Sorted(maps.Keys(missing)) {
		m, x := missing[source], extra[source]
		if x == nil || len(x.ends) != 1 || x.n != m.n || x.sum != m.sum {
			continue
		}
		d := by[x.ends[0]]
		if d == nil {
			d = &diverted{by: x.ends[0]}
			by[d.by] = d
		}
		d.sources, d.sinks, d.messages = append(d.sources, source), append(d.sinks, m.ends...), d.messages+m.n
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		d := by[id]
		slices.Sort(d.sinks)
		d.sinks = slices.Compact(d.sinks)
		found = append(found, *d)
	}
	return found
}

// commonRelays returns the members that relay on all of the routes of some ways, by a function that
// returns a route from its source to its sink, or nil.
func commonRelays(ways []way, route func(way) []uint64) (common []uint64) {
	for i, w := range ways {
		r := route(w)
		if len(r) < 3 {
			return nil
		}
		relays := r[1 : len(r)-1]
		if i == 0 {
			common = slices.Clone(relays)
			continue
		}
		common = slices.DeleteFunc(common, func(id uint64) bool { return !slices.Contains(relays, id) })
	}
	slices.Sort(common)
	return common
}

// waitedFor names the sinks that have not received all that unfinished members sent to them: these may
// be what the members waited for.
func (b *books) waitedFor() (texts []string) {
	missing, sources := make(map[uint64]int64), make(map[uint64]int)
	for w, e := range b.entries {
		if n := e.sent.N - e.received.N; b.unfinished[w.from] && n > 0 {
			missing[w.to] += n
			sources[w.to]++
		}
	}
	sinks := slices.SortedFunc(maps.Keys(missing), func(x, y uint64) int {
		return cmp.Or(cmp.Compare(sources[y], sources[x]), cmp.Compare(missing[y], missing[x]), cmp.Compare(x, y))
	})
	const few = 3
	for _, id := range sinks[:min(len(sinks), few)] {
		of := "node that has not finished"
		if sources[id] > 1 {
			of = "nodes that have not finished"
		}
		texts = append(texts, fmt.Sprintf("node %d may be what they wait for: %d messages of %d %s are not known to have arrived there", id, missing[id], sources[id], of))
	}
	return texts
}

// idList names some nodes, the first few in full.
func idList(ids []uint64) string {
	const few = 5
	names := make([]string, 0, few+1)
	for i, id := range ids {
		if i == few {
			names = append(names, fmt.Sprintf("%d more", len(ids)-few))
			break
		}
		names = append(names, fmt.Sprint(id))
	}
	if len(names) < 2 {
		return "node " + strings.Join(names, "")
	}
	return "nodes " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
