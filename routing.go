package ringdht

import (
	"fmt"
	"iter"
	"math/bits"

	"github.com/x/ringdht/internal/ring"
)

// Space is the number of bits of an ID, from 1 to 64: IDs run from 0 to 2^bits-1, and the ring
// closes behind the last. It is the number that the registry was given, see [WithBits].
type Space int

// Distance is the clockwise distance from one ID to another: (to - from) mod 2^bits. It is 0 only
// from an ID to itself.
func (s Space) Distance(from, to ID) uint64 { return ring.Distance(ring.Mask(int(s)), from, to) }

// Contains says whether an ID lies in the space.
func (s Space) Contains(id ID) bool { return bits.Len64(uint64(id)) <= int(s) }

// ClosestPreceding returns the index of the entry to which self passes a message for dst: the entry
// with the greatest clockwise distance from self that does not exceed the distance to dst. That is
// the last entry in the interval (self, dst]. The interval is closed at dst, so an entry that is
// dst itself is the answer.
//
// It returns -1 if no entry lies in the interval: if there are no entries, if every entry
// overshoots dst, and if dst is self, for then the interval is empty. Entries must be in clockwise
// order from self.
//
// It is Chord's closest_preceding_finger. It takes O(log entries), and is pure: no lock, no clock,
// no allocation.
func ClosestPreceding(s Space, self, dst ID, entries []ID) int {
	return ring.ClosestPreceding(ring.Mask(int(s)), self, dst, entries)
}

// Table is a routing table: the peers to which one node links, in clockwise order from it.
// [Node.Table] and [Registry.Tables] return tables. A Table is immutable, and safe for concurrent
// use.
type Table struct {
	space Space
	self  ID
	epoch uint64
	ids   []ID // clockwise
	peers []Peer
}

// mustTable makes a table of entries that their origin has checked: in clockwise order, no entry
// twice, none of them self, all of them in the space.
func mustTable(space Space, self ID, epoch uint64, peers []Peer) *Table {
	t := &Table{space: space, self: self, epoch: epoch, ids: make([]ID, len(peers)), peers: peers}
	last := uint64(0)
	for i, p := range peers {
		d := space.Distance(self, p.ID)
		if !space.Contains(p.ID) || d <= last {
			panic(fmt.Sprintf("ringdht: entry %d of the table of node %d is out of order: %v", i, self, p))
		}
		last, t.ids[i] = d, p.ID
	}
	return t
}

// Self is the node to which the table belongs.
func (t *Table) Self() ID { return t.self }

// Epoch is the version of the ring's membership and tables to which the table belongs.
func (t *Table) Epoch() uint64 { return t.epoch }

// Len is the number of entries.
func (t *Table) Len() int { return len(t.peers) }

// Entries yields the entries in clockwise order.
func (t *Table) Entries() iter.Seq[Peer] {
	return func(yield func(Peer) bool) {
		for _, p := range t.peers {
			if !yield(p) {
				return
			}
		}
	}
}

// Next returns the entry to which the node passes a message for dst. It is false if there is none:
// dst is the node itself, or no node has that ID.
func (t *Table) Next(dst ID) (Peer, bool) {
	i := ClosestPreceding(t.space, t.self, dst, t.ids)
	if i < 0 {
		return Peer{}, false
	}
	return t.peers[i], true
}

// Plan is a rule for the offsets of routing table entries: how many positions clockwise each entry
// is.
type Plan uint8

const (
	// Classic is 1, 2, 4, 8 and so on, as in Chord. With ceil(log2 N) entries no route among N
	// nodes has more hops than that, and further entries are of no use.
	Classic Plan = iota
	// FewestHops is the offsets with the lowest mean route that a search finds, akin to those of
	// F-Chord. Routes are shorter for the same number of entries: 4.4 hops instead of 4.9 among
	// 1,000 nodes with 10 entries. The gain is larger with fewer entries than ceil(log2 N), and
	// with more, up to a full mesh. The price: the longest route may be longer than with Classic,
	// and all nodes get other tables each time the ring has grown or shrunk by an eighth.
	FewestHops
)

// String is "classic" or "fewest hops".
func (p Plan) String() string { return ring.PlanName(p == FewestHops) }

// lastPlan returns the last of the plans, and Classic if there are none.
func lastPlan(plans []Plan) (p Plan, err error) {
	if len(plans) > 0 {
		p = plans[len(plans)-1]
	}
	if p > FewestHops {
		err = fmt.Errorf("there is no plan %d", p)
	}
	return p, err
}
