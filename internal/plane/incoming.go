package plane

import (
	"errors"
	"time"

	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/ring"
)

// The connections that peers have dialled have three bounds, with and without security:
//
//   - maxPerPeer of one incarnation of a peer. One more ends the oldest that has carried no
//     frame, or else the oldest.
//   - maxIncoming in all. One more ends the oldest that has carried no frame: first one of a
//     stranger, and of a member only for the sake of another member. If there is none, the new
//     one is refused.
//   - strangers have a time, see [Plane.CheckIncoming]. A stranger is an incarnation that the
//     list of members does not have. It may be a newcomer of which this node has not heard yet.
//
// A member's link carries nothing while the ring is idle, so silence alone ends no link.
const (
	maxPerPeer = 2 // the link in use, and one that its peer has given up and this node has not

	// maxIncoming is twice what all members need that a node can be told of, and then as
	// much again: a table has at most 1,024 entries, and about as many nodes have one node in
	// theirs.
	maxIncoming = 4 * ring.MaxTable
)

// Reasons for the end of a connection at these bounds. See also [link.ErrStalled].
var (
	ErrStranger = errors.New("it comes from an incarnation that is no member")
	ErrCrowded  = errors.New("too many connections")

	errTwice   = crowdedError("a node needs one connection, and this one has dialled others since")
	errCrowded = crowdedError("this node has as many incoming connections as it may")
)

// crowdedError is an [ErrCrowded].
type crowdedError string

func (e crowdedError) Error() string        { return ErrCrowded.Error() + ": " + string(e) }
func (e crowdedError) Is(target error) bool { return target == ErrCrowded }

// strangerLeases is for how many leases a stranger's connection may stay. A newcomer is announced
// once those before it know it, which may have to wait for the death of a member that hangs.
const strangerLeases = 4

// IsBound reports whether a connection ended at one of these bounds.
func IsBound(err error) bool {
	return errors.Is(err, ErrStranger) || errors.Is(err, ErrCrowded) || errors.Is(err, link.ErrStalled)
}

// incoming is the connections that peers have dialled. Plane.mu guards it.
type incoming struct {
	most      int // maxIncoming; tests set less
	n         int
	byPeer    map[ring.Ref]*conn // on which the peer may send: the newest, see accepted.older
	strangers silent             // those of strangers
	members   silent             // those of members
}

// silent is the connections that have carried no frame, in the order in which they came.
type silent struct {
	oldest, newest *conn
	n              int
}

// accepted is what conn has for a connection that the peer has dialled. Plane.mu guards it.
type accepted struct {
	counted    bool // in incoming.n
	stranger   bool
	since      time.Duration // it counts as a stranger's, by Plane.now
	queue      *silent       // where it is; nil once it has carried a frame
	prev, next *conn         // in queue
	older      *conn         // of the same peer
	shed       error         // the bound that has ended it
}

// push puts a connection behind the others, and takes it out of the queue where it was.
func (q *silent) push(c *conn) {
	c.dequeue()
	c.queue, c.prev = q, q.newest
	if q.newest != nil {
		q.newest.next = c
	} else {
		q.oldest = c
	}
	q.newest = c
	q.n++
}

func (c *conn) dequeue() {
	q := c.queue
	if q == nil {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.oldest = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.newest = c.prev
	}
	q.n--
	c.queue, c.prev, c.next = nil, nil, nil
}

// isStranger reports whether a peer is none of the members that this node knows.
func (p *Plane) isStranger(id, inc uint64) bool { return p.IsMember != nil && !p.IsMember(id, inc) }

// admit takes a connection that the peer has dialled into the account. It returns the connection
// that must end for it, which may be itself, or nil. For another than itself the caller must call
// endConn, without mu. It needs mu.
func (p *Plane) admit(c *conn) (end *conn) {
	i, why := &p.incoming, errCrowded
	if end = i.excess(c.ref()); end != nil {
		why = errTwice
	} else if i.n >= i.most {
		end = i.strangers.oldest
		if end == nil && !c.stranger {
			end = i.members.oldest
		}
		if end == nil {
			p.noteShed(c, errCrowded)
			return c
		}
	}
	if end != nil {
		p.discharge(end)
		p.noteShed(end, why)
	}
	if i.byPeer == nil {
		i.byPeer = make(map[ring.Ref]*conn)
	}
	i.n++
	c.counted, c.older = true, i.byPeer[c.ref()]
	i.byPeer[c.ref()] = c
	i.queueOf(c).push(c)
	return end
}

// excess returns the connection that must end for another one of this peer, or nil.
func (i *incoming) excess(peer ring.Ref) (end *conn) {
	n := 0
	for c := i.byPeer[peer]; c != nil; c = c.older {
		if n++; end == nil || c.queue != nil || end.queue == nil {
			end = c // the oldest that has carried no frame, or else the oldest
		}
	}
	if n < maxPerPeer {
		return nil
	}
	return end
}

func (i *incoming) queueOf(c *conn) *silent {
	if c.stranger {
		return &i.strangers
	}
	return &i.members
}

// discharge takes a connection out of the account. It needs mu.
func (p *Plane) discharge(c *conn) {
	c.dequeue()
	p.notePeerEnded(c)
	if c.counted {
		c.counted = false
		p.incoming.n--
	}
}

// notePeerEnded takes a connection out of those that its peer uses. This node may still send on it.
// It needs mu.
func (p *Plane) notePeerEnded(c *conn) {
	newest := p.incoming.byPeer[c.ref()]
	switch {
	case newest == nil:
		return
	case newest != c:
		for x := newest; x != nil; x = x.older {
			if x.older == c {
				x.older = c.older
			}
		}
	case c.older != nil:
		p.incoming.byPeer[c.ref()] = c.older
	default:
		delete(p.incoming.byPeer, c.ref())
	}
	c.older = nil
}

// noteHeard notes that a connection has carried a frame.
func (p *Plane) noteHeard(c *conn) {
	p.mu.Lock()
	c.dequeue()
	p.mu.Unlock()
}

func (c *conn) ref() ring.Ref { return ring.Ref{ID: c.id, Incarnation: c.inc} }

// CheckIncoming ends connections that should not go on. One has waited too long for the rest of a
// frame, see [link.Reader.Stalled]; limit is a lease. Another is a stranger's, and was for
// strangerLeases. Only time in which complete is true counts: this node knows all members, and
// the registry would have told it of new ones. Call it a few times in each limit, from one
// goroutine. So no message has to move a deadline.
func (p *Plane) CheckIncoming(limit time.Duration, complete bool) {
	now := p.now()
	type reading struct {
		c        *conn
		r        *link.Reader
		stranger bool
	}
	var all []reading
	p.mu.RLock()
	for c := range p.conns {
		if c.in != nil && c.id != p.Self {
			all = append(all, reading{c, c.in.r, c.stranger})
		}
	}
	p.mu.RUnlock()
	for _, x := range all {
		err := x.r.Stalled(now, limit)
		if err == nil && x.stranger {
			err = p.checkStranger(x.c, now, limit, complete)
		}
		if err == nil {
			continue
		}
		p.mu.Lock()
		_, up := p.conns[x.c]
		if up = up && x.c.shed == nil; up {
			p.discharge(x.c)
			p.noteShed(x.c, err)
		}
		p.mu.Unlock()
		if up {
			p.endConn(x.c, err)
		}
	}
}

// noteShed needs mu.
func (p *Plane) noteShed(c *conn, why error) {
	c.shed = why
	p.counters.linksShed.Add(1)
}

// checkStranger returns why a stranger's connection should end.
func (p *Plane) checkStranger(c *conn, now, limit time.Duration, complete bool) error {
	stranger := p.isStranger(c.id, c.inc)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !stranger || !complete:
		c.stranger, c.since = stranger, now
		if c.queue != nil && !stranger {
			p.incoming.members.push(c)
		}
	case now-c.since >= strangerLeases*limit:
		return ErrStranger
	}
	return nil
}
