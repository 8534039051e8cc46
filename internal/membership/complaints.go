package membership

import (
	"maps"

	"github.com/x/ringdht/internal/ring"
)

// Complaints decides when a node reports to its registry that it cannot reach a peer.
//
// A report holds for one epoch, since a registry forgets a pair when it tells the node a
// table without that peer, and the next table may have the peer again. While the peer stays
// unreachable, the node reports it again for each new table with the peer, before it
// confirms that table. It takes the report back once, when it has reached the peer.
//
// The zero value is ready for use. It is not safe for concurrent use.
type Complaints struct {
	made      map[ring.Ref]uint64 // the reports that stand, and the epoch of the latest of each
	forgotten bool                // made has lost some
}

// MaxComplaints bounds the reports that a node remembers. Beyond it the node forgets those
// of earlier epochs, and then all: it makes them again for the next table.
const MaxComplaints = 256

// Reset forgets all reports, since the registry is another one or has forgotten them.
func (c *Complaints) Reset() { *c = Complaints{} }

// Unreachable says whether to report that a peer in the table of an epoch cannot be
// reached, and counts it as reported.
func (c *Complaints) Unreachable(peer ring.Ref, epoch uint64) bool {
	if at, made := c.made[peer]; made && at == epoch {
		return false
	}
	if c.made == nil {
		c.made = make(map[ring.Ref]uint64)
	}
	if len(c.made) >= MaxComplaints {
		c.forgotten = true
		maps.DeleteFunc(c.made, func(_ ring.Ref, at uint64) bool { return at != epoch })
		if len(c.made) >= MaxComplaints {
			clear(c.made)
		}
	}
	c.made[peer] = epoch
	return true
}

// Stands says whether a report about a peer was made and not taken back.
func (c *Complaints) Stands(peer ring.Ref) bool {
	_, made := c.made[peer]
	return made
}

// Reached says whether to take back the report about a peer to which a link has just come
// up, and counts it as taken back. A node that has forgotten reports does so for every
// peer: one message too many does no harm.
func (c *Complaints) Reached(peer ring.Ref) bool {
	made := c.Stands(peer)
	delete(c.made, peer)
	return made || c.forgotten
}
