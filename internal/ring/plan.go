package ring

import (
	"cmp"
	"slices"
)

// Successors is how many of the next nodes clockwise a member is told of.
const Successors = 4

// View is what a member was told: its table and its successors.
type View struct {
	Entries    []Ref // clockwise; entry i should be offset i positions ahead
	Successors []Ref // clockwise, min(Successors, n-1) of them in a ring of n nodes
}

// Change is what one member must be told to have its present view.
type Change struct {
	At         int    // index of the member in the members given to Update
	Size       int    // entries that the table has now
	Slots      []Slot // the entries that changed or are new, ascending
	Successors []Ref  // all successors if any changed, else nil; empty and not nil if none are left
}

// Slot is one entry of a table.
type Slot struct {
	At  int
	Ref Ref
}

// Plans keeps the view of every member, so that after a join or a death each member is told
// only what changed. It is not safe for concurrent use.
//
// A join makes about as many entries wrong as the ring has nodes: in each node with the
// newcomer within offset i ahead, entry i is now one position too far. Hardly any of that
// is worth a message. So entries may drift, the long ones more than the short ones
// ([LaggingHops] says what that costs). Entries shorter than 8 positions and successors,
// on which arrival depends, never drift.
type Plans struct {
	views   views
	offsets Offsets // of the views
	lag     int     // entries that are not at their offset

	// Used during an Update only, and kept for the next, as large as the ring ever was.
	before views
	nowAt  []int32 // by position before: the position now, or notMember
	slack  []int32 // of each entry; 0 in an exact one
}

// views holds what the members were told, by position. Entries are positions too, which
// takes a quarter of the memory of a Ref, and lets an Update that goes round the ring read
// the new positions of entries side by side. Rejected: handles that stay with a member.
// They need no rewriting, but lie scattered after some churn: 23 ms against 10. Successors
// are not kept, since they are always the next positions.
type views struct {
	k       int     // entries of each
	refs    []Ref   // the members
	told    []bool  // the view of the member is known
	entries []int32 // k of each member; meaningless where the view is unknown
}

// notMember is the position of a node that is not a member any more.
const notMember = -1

// NewPlans returns the plans of the empty ring.
func NewPlans() *Plans { return &Plans{} }

// LaggingHops is the most hops that a route can have in a ring of n nodes with tables of k
// entries, at most as many as [Entries] allows. Entry i is 2^i positions ahead, within its
// slack of 2^i/8 (see [Offsets.slack]). For the largest tables the result is at most
// ceil(log2 n), with lag or without. [Offsets.LaggingHops] is the same for any offsets,
// without a formula.
//
// Proof. Let S be 2^(k-1), the longest stride. With k up to 3 no entry lags: 0 to 2S-2
// positions take at most k-1 hops, and each further S one more. With larger k, entry i is
// between 7/8 and 9/8 of 2^i ahead. For h from 3 to k, a distance d below 7/8 of 2^h takes
// at most h-1 hops:
//
//   - h = 3: d is 0 to 6, covered by the exact entries 4, 2 and 1 ahead.
//   - From h to h+1: if entry h does not overshoot, the route takes it, which leaves less
//     than 7/8 of 2^h, so h-1 hops more. If it does overshoot, d is below 9/8 of 2^h.
//     Either d is below 7/8 of 2^h already, or the route takes entry h-1, which leaves
//     less than 9/8 - 7/16 = 11/16 of 2^h.
//
// So a distance below 7/4 of S takes at most k-1 hops, and each further 7/8 of S one more.
// The bound is tight: the test places entries where they do most harm, and gets this very
// number.
func LaggingHops(n, k int) int {
	if n < 2 || k < 1 {
		return 0
	}
	stride := 1 << (k - 1)
	if k <= 3 {
		return n/stride + k - 2
	}
	return 8*(n-1)/(7*stride) + k - 2
}

// Update brings the views up to date, and returns what changed, ascending by position.
// members are all members, ascending by ID; offsets must be below their number. A member
// is the same while its ID and incarnation are the same. A member whose view is not known
// gets it from scratch; views of members that are gone are dropped.
//
// If exact, every entry is put at its offset. Otherwise an entry stays that names a member
// within its slack.
//
// It goes over every entry: some 1.7 million in a ring of 100,000, which takes
// milliseconds. Rejected: an index of the entries by the member they name, to visit only
// those that matter. It would cost as much as the views.
func (p *Plans) Update(members []Member, offsets Offsets, exact bool) []Change {
	p.before, p.views = p.views, p.before
	p.views.reset(len(members), len(offsets))
	p.offsets, p.slack = offsets, p.slack[:0]
	for i := range offsets {
		slack := 0
		if !exact {
			slack = offsets.slack(i)
		}
		p.slack = append(p.slack, int32(slack))
	}
	p.locate(members)
	for i, m := range members {
		p.views.refs[i] = m.Ref()
	}
	p.lag = 0
	var changes []Change
	var slots []Slot
	was := 0
	for self := range members {
		for was < len(p.nowAt) && p.nowAt[was] == notMember {
			was++
		}
		var kept []int32
		known := false
		if was < len(p.nowAt) && int(p.nowAt[was]) == self {
			if known = p.before.told[was]; known {
				kept = p.before.of(was)
			}
			was++
		}
		slots = p.fill(slots[:0], self, kept)
		p.views.told[self] = true
		moved := !known || !p.sameSuccessors(was-1, self)
		if !moved && p.views.k == p.before.k && len(slots) == 0 {
			continue
		}
		c := Change{At: self, Size: p.views.k, Slots: slices.Clone(slots)}
		if moved {
			c.Successors = p.views.successors(self)
		}
		changes = append(changes, c)
	}
	return changes
}

// locate finds the present positions of the members before. Both orders ascend, so it walks
// them side by side.
func (p *Plans) locate(members []Member) {
	p.nowAt = p.nowAt[:0]
	i := 0
	for _, r := range p.before.refs {
		for i < len(members) && members[i].ID < r.ID {
			i++
		}
		at := int32(notMember)
		if i < len(members) && r == (Ref{members[i].ID, members[i].Incarnation}) {
			at = int32(i)
		}
		p.nowAt = append(p.nowAt, at)
	}
}

// fill sets the entries of a member. It keeps those that can stay, and appends the others
// to slots.
func (p *Plans) fill(slots []Slot, self int, kept []int32) []Slot {
	n := len(p.views.refs)
	entries := p.views.of(self)
	for i, offset := range p.offsets {
		if i < len(kept) {
			if at := p.nowAt[kept[i]]; at != notMember {
				limit := int(p.slack[i])
				if drift := ahead(n, self, int(at)) - offset; -limit <= drift && drift <= limit {
					if drift != 0 {
						p.lag++
					}
					entries[i] = at
					continue
				}
			}
		}
		at := wrap(n, self+offset)
		entries[i] = int32(at)
		slots = append(slots, Slot{i, p.views.refs[at]})
	}
	return slots
}

// sameSuccessors says whether a member has the same successors at its position now as at
// its position before.
func (p *Plans) sameSuccessors(was, self int) bool {
	n, old := len(p.views.refs), len(p.nowAt)
	count := min(Successors, n-1)
	if count != min(Successors, old-1) {
		return false
	}
	for i := 1; i <= count; i++ {
		if int(p.nowAt[wrap(old, was+i)]) != wrap(n, self+i) {
			return false
		}
	}
	return true
}

// View returns a copy of what a member was told by the last Update. There is none for an ID
// without a member, or after Forget.
func (p *Plans) View(id uint64) (View, bool) {
	i, ok := p.views.find(id)
	if !ok {
		return View{}, false
	}
	v := View{Entries: make([]Ref, p.views.k), Successors: p.views.successors(i)}
	for e, at := range p.views.of(i) {
		v.Entries[e] = p.views.refs[at]
	}
	return v, true
}

// Forget makes the view of a member unknown, since a message to it may be lost. The next
// Update sends all of the view.
func (p *Plans) Forget(id uint64) {
	i, ok := p.views.find(id)
	if !ok {
		return
	}
	for e, at := range p.views.of(i) {
		if ahead(len(p.views.refs), i, int(at)) != p.offsets[e] {
			p.lag--
		}
	}
	p.views.told[i] = false
}

// Lag counts the entries of all views that are not at their offset. It is 0 after an exact
// Update.
func (p *Plans) Lag() int { return p.lag }

// reset makes room for n views with k entries, to be filled.
func (v *views) reset(n, k int) {
	v.k = k
	v.refs = slices.Grow(v.refs[:0], n)[:n]
	v.told = slices.Grow(v.told[:0], n)[:n]
	v.entries = slices.Grow(v.entries[:0], n*k)[:n*k]
}

// of is the entries of the member at a position.
func (v *views) of(i int) []int32 { return v.entries[i*v.k:][:v.k] }

// find returns the position of the member with an ID, if its view is known.
func (v *views) find(id uint64) (int, bool) {
	i, ok := slices.BinarySearchFunc(v.refs, id, func(r Ref, id uint64) int { return cmp.Compare(r.ID, id) })
	return i, ok && v.told[i]
}

// successors lists the members at the next positions.
func (v *views) successors(i int) []Ref {
	refs := make([]Ref, min(Successors, len(v.refs)-1))
	for s := range refs {
		refs[s] = v.refs[wrap(len(v.refs), i+s+1)]
	}
	return refs
}

// wrap maps a position from 0 to 2n-1 into the ring.
func wrap(n, i int) int {
	if i >= n {
		i -= n
	}
	return i
}

// ahead is the distance in positions, clockwise, from one position to another.
func ahead(n, from, to int) int {
	if to < from {
		to += n
	}
	return to - from
}
