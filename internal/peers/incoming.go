package peers

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
//   - strangers have a time, see [Set.CheckIncoming]. A stranger is an incarnation that the
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

// incoming is the connections that peers have dialled. Set.mu guards it.
type incoming struct {
	most      int // maxIncoming; tests set less
	n         int
	byPeer    map[ring.Ref]*Conn // on which the peer may send: the newest, see accepted.older
	strangers silent             // those of strangers
	members   silent             // those of members
}

// silent is the connections that have carried no frame, in the order in which they came.
type silent struct {
	oldest, newest *Conn
	n              int
}

// accepted is what a Conn has of a connection that the peer has dialled. Set.mu guards it.
type accepted struct {
	counted    bool // in incoming.n
	stranger   bool
	since      time.Duration // it counts as a stranger's, by Set.now
	queue      *silent       // where it is; nil once it has carried a frame
	prev, next *Conn         // in queue
	older      *Conn         // of the same peer
	shed       error         // the bound that has ended it
}

// push puts a connection behind the others, and takes it out of the queue where it was.
func (q *silent) push(c *Conn) {
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

func (c *Conn) dequeue() {
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

// IsStranger reports whether a peer is none of the members that this node knows.
func (s *Set) IsStranger(id, inc uint64) bool {
	return s.cfg.IsMember != nil && !s.cfg.IsMember(id, inc)
}

// admit takes a connection that the peer has dialled into the account. It returns the connection
// that must end for it, which may be itself, or nil. For another than itself the caller must call
// endConn, without mu. It needs mu.
func (s *Set) admit(c *Conn) (end *Conn) {
	i, why := &s.incoming, errCrowded
	if end = i.excess(c.peer); end != nil {
		why = errTwice
	} else if i.n >= i.most {
		end = i.strangers.oldest
		if end == nil && !c.stranger {
			end = i.members.oldest
		}
		if end == nil {
			s.noteShed(c, errCrowded)
			return c
		}
	}
	if end != nil {
		s.discharge(end)
		s.noteShed(end, why)
	}
	if i.byPeer == nil {
		i.byPeer = make(map[ring.Ref]*Conn)
	}
	i.n++
	c.counted, c.older = true, i.byPeer[c.peer]
	i.byPeer[c.peer] = c
	i.queueOf(c).push(c)
	return end
}

// excess returns the connection that must end for another one of this peer, or nil.
func (i *incoming) excess(peer ring.Ref) (end *Conn) {
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

func (i *incoming) queueOf(c *Conn) *silent {
	if c.stranger {
		return &i.strangers
	}
	return &i.members
}

// discharge takes a connection out of the account. It needs mu.
func (s *Set) discharge(c *Conn) {
	c.dequeue()
	s.notePeerEnded(c)
	if c.counted {
		c.counted = false
		s.incoming.n--
	}
}

// notePeerEnded takes a connection out of those that its peer uses. This node may still send on it.
// It needs mu.
func (s *Set) notePeerEnded(c *Conn) {
	newest := s.incoming.byPeer[c.peer]
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
		s.incoming.byPeer[c.peer] = c.older
	default:
		delete(s.incoming.byPeer, c.peer)
	}
	c.older = nil
}

// Heard notes that a connection has carried a frame.
func (c *Conn) Heard() {
	c.s.mu.Lock()
	c.dequeue()
	c.s.mu.Unlock()
}

// CheckIncoming ends connections that should not go on. One has waited too long for the rest of a
// frame, see [link.Reader.Stalled]; limit is a lease. Another is a stranger's, and was for
// strangerLeases. Only time in which complete is true counts: this node knows all members, and
// the registry would have told it of new ones. Call it a few times in each limit, from one
// goroutine. So no message has to move a deadline.
func (s *Set) CheckIncoming(limit time.Duration, complete bool) {
	now := s.now()
	type reading struct {
		c        *Conn
		r        *link.Reader
		stranger bool
	}
	var all []reading
	s.mu.RLock()
	for c := range s.conns {
		if c.in != nil && c.peer.ID != s.cfg.Self {
			all = append(all, reading{c, c.in, c.stranger})
		}
	}
	s.mu.RUnlock()
	for _, x := range all {
		err := x.r.Stalled(now, limit)
		if err == nil && x.stranger {
			err = s.checkStranger(x.c, now, limit, complete)
		}
		if err == nil {
			continue
		}
		s.mu.Lock()
		_, up := s.conns[x.c]
		if up = up && x.c.shed == nil; up {
			s.discharge(x.c)
			s.noteShed(x.c, err)
		}
		s.mu.Unlock()
		if up {
			s.endConn(x.c, err)
		}
	}
}

// noteShed needs mu.
func (s *Set) noteShed(c *Conn, why error) {
	c.shed = why
	s.shed.Add(1)
}

// checkStranger returns why a stranger's connection should end.
func (s *Set) checkStranger(c *Conn, now, limit time.Duration, complete bool) error {
	stranger := s.IsStranger(c.peer.ID, c.peer.Incarnation)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !stranger || !complete:
		c.stranger, c.since = stranger, now
		if c.queue != nil && !stranger {
			s.incoming.members.push(c)
		}
	case now-c.since >= strangerLeases*limit:
		return ErrStranger
	}
	return nil
}
