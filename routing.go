package ringdht

import (
	"fmt"
	"iter"
	"math/bits"

	"github.com/x/ringdht/internal/ring"
)

// Space is the number of bits of an ID, from 1 to 64: IDs run from 0 to 2^bits-1
// and the ring closes behind the last.
type Space int

// Distance is the clockwise distance from one ID to another: (to - from) mod
// 2^bits. It is 0 only from an ID to itself.
func (s Space) Distance(from, to ID) uint64 { return ring.Distance(ring.Mask(int(s)), from, to) }

// Contains says whether an ID lies in the space.
func (s Space) Contains(id ID) bool { return bits.Len64(uint64(id)) <= int(s) }

// ClosestPreceding returns the index of the entry that a message for dst goes to
// from self: the one with the greatest clockwise distance from self that does
// not exceed the distance to dst, that is, the last in the interval (self, dst].
// The closed end makes an entry that is dst itself the answer.
//
// It returns -1 when no entry lies in the interval: when entries is empty, when
// every entry overshoots dst, and when dst is self, for then the interval is
// empty. Entries must be in clockwise order from self.
//
// It is the routing rule of Chord (Stoica et al., "Chord: A Scalable Peer-to-peer
// Lookup Service for Internet Applications", SIGCOMM 2001, closest_preceding_finger),
// takes O(log entries), and is pure: no lock, no clock, no allocation.
func ClosestPreceding(s Space, self, dst ID, entries []ID) int {
	return ring.ClosestPreceding(ring.Mask(int(s)), self, dst, entries)
}

// Table is a routing table: the peers that one node may send to, in clockwise
// order from it. It is immutable, and so safe for concurrent use.
type Table struct {
	space Space
	self  ID
	epoch uint64
	ids   []ID // clockwise
	peers []Peer
}

// newTable checks what came from elsewhere: entries in clockwise order, none
// twice, none of them self, all of them in the space.
func newTable(space Space, self ID, epoch uint64, peers []Peer) (*Table, error) {
	t := &Table{space: space, self: self, epoch: epoch, peers: peers}
	last := uint64(0)
	for i, p := range peers {
		d := space.Distance(self, p.ID)
		if !space.Contains(p.ID) || d <= last {
			return nil, fmt.Errorf("entry %d of the table of node %d is out of order: %v", i, self, p)
		}
		last = d
		t.ids = append(t.ids, p.ID)
	}
	return t, nil
}

// Self is the node whose table it is.
func (t *Table) Self() ID { return t.self }

// Epoch is the version of the ring's membership and tables that it belongs to.
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

// Next returns the entry that a message for dst goes to. It is false when there
// is none: dst is the node itself, or no node has that ID.
func (t *Table) Next(dst ID) (Peer, bool) {
	i := ClosestPreceding(t.space, t.self, dst, t.ids)
	if i < 0 {
		return Peer{}, false
	}
	return t.peers[i], true
}

// Plan is a rule for how far ahead the entries of the routing tables are, in positions
// clockwise.
type Plan uint8

const (
	// Classic is 1, 2, 4, 8 and so on, as in Stoica, Morris, Karger, Kaashoek and
	// Balakrishnan, "Chord: A Scalable Peer-to-peer Lookup Service for Internet
	// Applications", SIGCOMM 2001: with ceil(log2 N) entries no route among N nodes is
	// longer than that, and more of them are of no use.
	Classic Plan = iota
	// FewestHops is the offsets with the lowest mean that a search finds, akin to those
	// of Cordasco, Gargano, Hammar, Negro and Scarano, "F-Chord: Improved Uniform
	// Routing on Chord", SIROCCO 2004. Routes are shorter with as many entries, 4.4 hops
	// instead of 4.9 among 1,000 nodes with 10, and the more so with fewer entries than
	// ceil(log2 N), or with more, up to a full mesh. In return everybody gets another
	// table each time that the ring has grown or shrunk by an eighth.
	FewestHops
)

// String is "classic" or "fewest hops".
func (p Plan) String() string { return ring.PlanName(p == FewestHops) }
