package office

import (
	"fmt"
	"time"
)

// judge checks the invariants while a world runs. It knows what no process knows.
type judge struct {
	w      *world
	err    error
	lives  map[uint64]uint64        // by ID, the greatest given
	doomed map[uint64]bool          // lives that may end, for a fault of their nodes
	tables map[tenure]time.Duration // when the first table of a term was taken
	terms  map[Term]int
	wiped  bool // the store has lost the identity: a later copy may have another one
}

// tenure is a term in one ring. A store that lost all begins another ring, if no member came back.
type tenure struct {
	ring string
	term Term
}

func (j *judge) fail(format string, args ...any) {
	if j.err == nil {
		j.err = fmt.Errorf("at %v: %s", j.w.now, fmt.Sprintf(format, args...))
		j.w.log("%v", j.err)
	}
}

// decides: 1. What decides is in office by the store's account.
func (j *judge) decides(r *registry, what string) {
	s := j.w.store
	s.expire()
	j.w.totals.Decisions++
	if s.Office.Lease != r.o.lease || r.o.lease == 0 {
		j.fail("1: %v decides %s, and the store has %+v", r, what, s.Office)
	}
}

// drawn: a term is stored above the one before.
func (j *judge) drawn(r Record) {
	if r.Term <= r.Before && r.Before != 0 && j.terms[r.Term] == 0 && r.Term < r.Before {
		j.fail("2: term %d after %d", r.Term, r.Before)
	}
	j.terms[r.Term]++
}

// table: 2. Epochs at a node grow. A term is not taken more than a lease after a higher one.
func (j *judge) table(n *node, epoch uint64) {
	j.w.totals.Tables++
	if epoch <= n.Epoch {
		j.fail("2: %v takes epoch %x after %x", n, epoch, n.Epoch)
	}
	t := tenure{n.identity, TermOf(epoch)}
	for higher, since := range j.tables {
		if higher.ring == t.ring && higher.term > t.term && j.w.now-since > j.w.lease {
			j.fail("2: %v takes a table of term %d, %v after one of term %d was taken", n, t.term, j.w.now-since, higher.term)
		}
	}
	if _, taken := j.tables[t]; !taken {
		j.tables[t] = j.w.now
	}
}

// admits: 3. No ID is given out while a life in reach holds it. Lives of an ID grow.
func (j *judge) admits(r *registry, m *member) {
	j.w.totals.Admitted++
	for _, n := range j.w.nodes {
		if n.member != 0 && n.id == m.id && !n.down && !n.foreign && !j.excused(n) && !j.doomed[n.member] {
			j.fail("3: %v gives ID %d out, which life %x of %v has", r, m.id, n.member, n)
		}
	}
	if m.life <= j.lives[m.id] {
		j.fail("3: life %x of ID %d after life %x", m.life, m.id, j.lives[m.id])
	}
	j.lives[m.id] = m.life
}

// excused says that a fault of the node, or of its ways, explains what happens to it.
func (j *judge) excused(n *node) bool { return n.down || j.w.now < n.excused }

// dead: 4, when a life is declared over.
func (j *judge) dead(m *member) {
	for _, n := range j.w.nodes {
		if n.member == m.life && n.id == m.id {
			if !j.excused(n) {
				j.fail("4: life %x of %v is declared dead", m.life, n)
			}
			j.doomed[m.life] = true
		}
	}
}

// graceOver notes the lives that a grace leaves behind, of nodes that could not come.
func (j *judge) graceOver(r *registry) {
	for _, n := range j.w.nodes {
		if m := r.books.members[n.id]; n.member != 0 && j.excused(n) && (m == nil || m.life != n.member) {
			j.doomed[n.member] = true
		}
	}
}

// over: 4, when a node hears of it.
func (j *judge) over(n *node) {
	j.w.totals.Over++
	if !j.doomed[n.member] && !j.excused(n) {
		j.fail("4: %v loses its life %x", n, n.member)
	}
}

// merges: identities never merge.
func (j *judge) merges(n *node, ring string) {
	if n.identity != "" && n.identity != ring {
		j.fail("4: %v of ring %s is taken into ring %s", n, n.identity, ring)
	}
}

// forsakes: a node gives its ring up only if there is another.
func (j *judge) forsakes(n *node) {
	if !n.foreign && !j.wiped {
		j.fail("4: %v forsakes its ring", n)
	}
	n.foreign = false
}

// rest: 5. There is one holder, all nodes are with it, under one epoch.
func (j *judge) rest() {
	var holder *registry
	for _, r := range j.w.regs {
		if r.o.MayDecide(r.clocks()) {
			if holder != nil {
				j.fail("5: %v and %v hold the office", holder, r)
			}
			holder = r
		}
	}
	if holder == nil {
		j.fail("5: no registry holds the office")
		return
	}
	for _, n := range j.w.nodes {
		switch {
		case !n.joined || n.conn.r != holder:
			j.fail("5: %v is not with %v", n, holder)
		case n.Epoch != holder.d.Epoch:
			j.fail("5: %v has epoch %x, %v has %x", n, n.Epoch, holder, holder.d.Epoch)
		}
	}
}
