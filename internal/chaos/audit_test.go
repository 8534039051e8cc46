//go:build linux

package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// identity is an ID that a process had in the ring, and its incarnation.
type identity struct{ id, inc uint64 }

// account is the book of a process, and what the test knows of the process.
type account struct {
	name    string
	process uint64
	killed  bool // it was not told what became of its messages
	held    []identity
	records []record
}

// verdict is the outcome of comparing all books with each other.
type verdict struct {
	accepted   uint64 // by Send, of all processes
	received   uint64 // by handlers, living and dead
	unknown    uint64 // reported as undelivered
	arrived    uint64 // unknown and received nevertheless
	withDead   uint64 // accepted and not received, from sources that were killed
	lost       uint64
	duplicates uint64
	disorder   uint64
	late       uint64 // unknown and received after later messages
	complains  []string
}

func (v *verdict) complain(format string, args ...any) {
	v.complains = append(v.complains, fmt.Sprintf(format, args...))
}

func (v *verdict) exact() bool { return len(v.complains) == 0 }

func (v *verdict) String() string {
	s := fmt.Sprintf("%d accepted, %d received, %d undelivered as reported (%d of them received), %d lost with their sources; %d lost, %d received twice, %d out of order",
		v.accepted, v.received, v.unknown, v.arrived, v.withDead, v.lost, v.duplicates, v.disorder)
	if v.late > 0 {
		s += fmt.Sprintf(" (and %d undelivered ones received late)", v.late)
	}
	return s
}

// few lists the first complaints.
func (v *verdict) few() string {
	const most = 20
	if len(v.complains) > most {
		return strings.Join(v.complains[:most], "\n") + fmt.Sprintf("\nand %d more", len(v.complains)-most)
	}
	return strings.Join(v.complains, "\n")
}

// direction is all messages from one process to one ID, in whichever process had the ID.
type direction struct{ process, sink uint64 }

// traffic is what the books have about a direction.
type traffic struct {
	accepted uint64
	unknown  spans
	received spans
	rows     map[receiver][]record
	late     []uint64
}

// receiver is a row in the book of one process.
type receiver struct {
	name string
	row
}

// audit compares the books of all processes of a ring.
func audit(accounts []account) *verdict {
	v := new(verdict)
	by := make(map[uint64]account)
	for _, a := range accounts {
		by[a.process] = a
	}
	flows := make(map[direction]*traffic)
	for _, a := range accounts {
		for _, r := range a.records {
			v.enter(flows, by, a, r)
		}
	}
	keys := make([]direction, 0, len(flows))
	for d := range flows {
		keys = append(keys, d)
	}
	slices.SortFunc(keys, func(a, b direction) int {
		return cmp.Or(cmp.Compare(by[a.process].name, by[b.process].name), cmp.Compare(a.sink, b.sink))
	})
	for _, d := range keys {
		v.compare(by[d.process], d.sink, flows[d])
	}
	return v
}

// enter sorts one record of a book to its direction.
func (v *verdict) enter(flows map[direction]*traffic, by map[uint64]account, a account, r record) {
	switch r.kind {
	case kindFull:
		v.complain("%s: its book is full, so nothing is proven", a.name)
		return
	case kindCorrupt:
		v.complain("%s: a corrupt message from %d", a.name, r.source)
		return
	}
	source, ok := by[r.process]
	if !ok {
		v.complain("%s: a message of process %d, which does not exist", a.name, r.process)
		return
	}
	d := direction{r.process, r.sink}
	f := flows[d]
	if f == nil {
		f = &traffic{rows: make(map[receiver][]record)}
		flows[d] = f
	}
	switch r.kind {
	case kindSent:
		f.accepted = r.last
		return
	case kindUnknown:
		f.unknown = append(f.unknown, r.span)
		return
	case kindDuplicate:
		v.duplicates++
		v.complain("%s: number %d from %s came again", a.name, r.first, source.name)
		return
	case kindLate:
		f.late = append(f.late, r.first)
	}
	if !slices.ContainsFunc(a.held, func(i identity) bool { return i.id == r.sink }) {
		v.complain("%s got messages %v from %s that were for %d: it is %v", a.name, spans{r.span}, source.name, r.sink, a.held)
	}
	if !slices.ContainsFunc(source.held, func(i identity) bool { return i.id == r.source && (r.inc == 0 || i.inc == r.inc) }) {
		v.complain("%s got messages %v from %s as from node %d, incarnation %d: it is %v", a.name, spans{r.span}, source.name, r.source, r.inc, source.held)
	}
	f.received = append(f.received, r.span)
	at := receiver{a.name, r.row}
	f.rows[at] = append(f.rows[at], r)
}

// compare checks one direction.
func (v *verdict) compare(source account, sink uint64, f *traffic) {
	complain := func(format string, args ...any) {
		v.complain("from %s to %d: %s", source.name, sink, fmt.Sprintf(format, args...))
	}
	received, twice := union(f.received)
	if n := twice.count(); n > 0 {
		v.duplicates += n
		complain("received twice: %v", twice)
	}
	unknown, twice := union(f.unknown)
	if len(twice) > 0 {
		complain("reported as undelivered twice: %v", twice)
	}
	var accepted spans
	if f.accepted > 0 {
		accepted = spans{{1, f.accepted}}
	}
	v.accepted += f.accepted
	v.received += received.count()
	v.unknown += unknown.count()
	v.arrived += unknown.count() - minus(unknown, received).count()

	possible := accepted
	if source.killed { // perhaps between the return of Send and its note
		possible = spans{{1, f.accepted + 1}}
	}
	if extra := minus(received, possible); len(extra) > 0 {
		complain("received and never accepted: %v", extra)
	}
	if extra := minus(unknown, possible); len(extra) > 0 {
		complain("reported as undelivered and never accepted: %v", extra)
	}
	open := minus(minus(accepted, received), unknown)
	if source.killed {
		v.withDead += open.count()
	} else if len(open) > 0 {
		v.lost += open.count()
		complain("lost: %v of %d accepted", open, f.accepted)
		for at, got := range f.rows {
			v.complain("    %s got %s", at.name, pieces(got))
		}
	}
	for at, got := range f.rows {
		list := make(spans, len(got))
		for i, r := range got {
			list[i] = r.span
		}
		have, _ := union(list)
		gaps := minus(minus(spans{{have[0].first, have[len(have)-1].last}}, received), unknown) // another process may have had the ID meanwhile
		if source.killed && len(gaps) > 0 {
			v.lost += gaps.count()
			complain("%s lacks %v, and got later ones: %s", at.name, gaps, pieces(got))
		}
	}
	for _, n := range f.late {
		if unknown.contains(n) {
			v.late++
			continue
		}
		v.disorder++
		complain("number %d came after later ones", n)
	}
}

// pieces is a row of a book as readable text.
func pieces(got []record) string {
	var b strings.Builder
	for i, r := range got {
		if i == 20 {
			fmt.Fprintf(&b, " and %d more", len(got)-i)
			break
		}
		fmt.Fprintf(&b, " %d-%d from %s on", r.first, r.last, r.at.Format("15:04:05.000"))
	}
	return strings.TrimSpace(b.String())
}
