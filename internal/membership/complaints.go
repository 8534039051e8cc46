package membership

import (
	"maps"

	"github.com/x/ringdht/internal/ring"
)

// Complaints decides what a node tells its registry of the peers that it cannot reach.
//
// A registry forgets a pair when it tells the node a table without that peer, and the peer
// may be back in the next table. So a complaint holds for one epoch: while the peer stays
// out of reach it is made again with each new table that has the peer in it, before that
// table is confirmed. It is taken back once, when the peer has been reached.
//
// The zero value is ready for use. It is not safe for concurrent use.
type Complaints struct {
	made      map[ring.Ref]uint64 // those not taken back, by the epoch in which they were made last
	forgotten bool                // some were forgotten
}

// MaxComplaints bounds the complaints that a node remembers. Beyond it those of earlier
// epochs are forgotten, then all: they are made again with the next table.
const MaxComplaints = 256

// Reset forgets all complaints: the registry is another one, or has forgotten them.
func (c *Complaints) Reset() { *c = Complaints{} }

// Unreachable says whether the registry must be told that a peer of the table of an epoch
// cannot be reached. It takes it for told.
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

// Stands says whether the registry was told that a peer cannot be reached, and not that it
// can again.
func (c *Complaints) Stands(peer ring.Ref) bool {
	_, made := c.made[peer]
	return made
}

// Reached says whether the registry must be told that a peer can be reached, to which a
// link has just come up. It takes it for told. A node that has forgotten complaints says so
// of every peer: a word too many does no harm.
func (c *Complaints) Reached(peer ring.Ref) bool {
	made := c.Stands(peer)
	delete(c.made, peer)
	return made || c.forgotten
}
