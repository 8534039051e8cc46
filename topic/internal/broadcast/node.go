package broadcast

import "slices"

// What a node keeps at most.
const (
	maxLog       = 1024    // messages that are not confirmed: [Node.Room] says no
	maxLogBytes  = 1 << 20 // their bodies
	maxAhead     = 2048    // messages of a source in front of a gap: dropped, and asked for later
	maxHeldBytes = 8 << 20 // the bodies of all those
	maxEarly     = 1 << 16 // questions that wait for later lists: not taken up
	maxShares    = 1 << 18 // parts of questions that children answer for: no question is taken up
	maxWaiting   = 1024    // questions about a source, or to settle: not taken up
	maxDeparted  = 256     // sources that have left: the oldest is forgotten
)

// Output takes what a node does. Its methods must not call the node.
type Output interface {
	// Send sends a frame to the member that has this ID: in order, and exactly once while both live.
	// The body is valid until Send returns. See [Node.Undelivered].
	Send(to uint64, f Frame)
	// Deliver delivers message number of a member. It is the first one from there, or missed others
	// before it are gone. The body is valid until Deliver returns.
	Deliver(from Member, number, missed uint64, body []byte)
	// Confirmed says that all members have the node's own messages up to number.
	Confirmed(number uint64)
	// Stands says that all members know this node. It may publish, and misses nothing from now on.
	Stands()
	// Settled answers [Node.Settle]. eldest is the member whose first list is the oldest one, of those
	// that have answered; the node itself if no member has an older one.
	Settled(eldest Member)
}

// Counters counts what is not the usual way of a message.
type Counters struct {
	Dropped   uint64 // messages in front of a gap, at a bound
	Repaired  uint64 // messages sent again to one member
	TakenOver uint64 // shares of members that have ended
	Refused   uint64 // questions at a bound: their origins wait until this member ends
}

// Node is one member's state. It is not safe for concurrent use.
type Node struct {
	Counters
	out      Output
	self     Member
	joined   uint64 // the epoch of its first list
	epoch    uint64 // of the list
	view     view
	standing bool

	latestJoin uint64 // an epoch since which no other member has joined

	own       published
	sources   map[uint64]*source // by incarnation
	departed  []Member           // sources that are on no list any more
	heldBytes int

	shares  map[uint64]share // by tag
	lastTag uint64
	early   []early
}

// early is a question about a list that this node does not have yet.
type early struct {
	from uint64
	f    Frame
}

// New returns the state of a member, with the first list that has it. The list has an epoch, and all
// members that joined before. It asks all of them whether they know this node. Tags begin at a
// random number, so that no answer is taken for one to another incarnation.
func New(self Member, epoch uint64, members []Member, tag uint64, out Output) *Node {
	n := &Node{out: out, self: self, joined: epoch, epoch: epoch, latestJoin: epoch, lastTag: tag, sources: map[uint64]*source{}, shares: map[uint64]share{}}
	n.own.lo, n.own.next = 1, 1
	for _, m := range members {
		n.view = n.view.with(m)
	}
	n.view = n.view.with(self)
	d := &duty{kind: Agree, origin: self, epoch: epoch}
	n.spreadAll(d, d.frame())
	return n
}

// Standing reports whether all members know this node.
func (n *Node) Standing() bool { return n.standing }

// Waits reports whether there are questions that wait for a later list.
func (n *Node) Waits() bool { return len(n.early) > 0 }

// Unconfirmed is the number of own messages that a member may lack.
func (n *Node) Unconfirmed() int { return len(n.own.log) }

// Settle asks all members whether what they have published by now has arrived. Output.Settled is the
// answer: all members have it. Then any of them has the latest message of each subject that was
// published before this node stood.
func (n *Node) Settle() {
	d := &duty{kind: Settle, origin: n.self, epoch: n.latestJoin, eldest: elder{n.self, n.joined}}
	n.spreadAll(d, d.frame())
}

// Change takes a change of the list. Those that left may still end their affairs; those that died
// are over.
func (n *Node) Change(epoch uint64, joined, left, died []Member) {
	for _, m := range died {
		n.view = n.view.without(m)
		n.takeOver(m)
		n.forget(m)
		n.dropAgree(m)
	}
	for _, m := range left {
		if s := n.sourceOf(m); s != nil && !s.left {
			s.left = true
			n.departed = append(n.departed, m)
		}
		n.view = n.view.without(m)
		n.takeOver(m)
		n.dropAgree(m)
	}
	for _, m := range left {
		n.forgetEnded(m)
	}
	for len(n.departed) > maxDeparted {
		n.forget(n.departed[0])
	}
	for _, m := range joined {
		if s := n.sources[m.Incarnation]; s != nil && s.left { // it had not ended
			s.left, s.ended = false, false
			n.departed = slices.DeleteFunc(n.departed, func(d Member) bool { return d == m })
		}
		n.view = n.view.with(m)
		n.latestJoin = max(n.latestJoin, epoch)
	}
	n.epoch = max(n.epoch, epoch)
	waiting := n.early
	n.early = nil
	for _, e := range waiting {
		n.Handle(e.from, e.f)
	}
}

// Handle takes a frame. Its body is valid until Handle returns.
func (n *Node) Handle(from uint64, f Frame) {
	if f.Epoch > n.epoch { // a message need not wait, a question must
		n.wait(from, f)
		if f.Kind != Data {
			return
		}
		f.Tag = 0
	}
	switch f.Kind {
	case Confirm:
		n.handleConfirm(f)
	case Need:
		n.repair(from, f)
	case Data, Sync, Agree, Settle:
		n.handleTree(from, f)
	}
}

// wait keeps a question for a later list.
func (n *Node) wait(from uint64, f Frame) {
	if f.Kind == Data {
		f.Kind, f.Body = Sync, nil
	}
	if len(n.early) == maxEarly {
		n.Refused++
		return
	}
	n.early = append(n.early, early{from, f})
}

// handleTree delivers a message, passes it on to the range, and takes up a question. What comes from
// a member that has ended is passed on, and not delivered.
func (n *Node) handleTree(from uint64, f Frame) {
	if f.Origin == n.self {
		return
	}
	if f.Kind == Agree && !n.view.has(f.Origin) {
		return // it leaves before it stands, see dropAgree
	}
	var s *source
	var got uint64
	fresh := true
	if f.Kind == Data || f.Kind == Sync {
		if s = n.sourceOf(f.Origin); s != nil {
			got = s.got
			n.advance(s, f.Lo)
		}
		if s != nil && f.Kind == Data {
			fresh = n.take(s, f.Number, f.Body)
		}
	}
	if f.Tag == 0 {
		if fresh {
			n.spread(nil, f, n.self.ID, f.Limit)
		}
	} else {
		n.takeUp(s, from, f)
	}
	if s != nil && s.got > got {
		n.answer(s)
	}
}

// takeUp takes up a question: it passes it on, and asks for what this node lacks.
func (n *Node) takeUp(s *source, from uint64, f Frame) {
	if len(n.shares) >= maxShares || len(n.own.settling) >= maxWaiting || s != nil && len(s.waiting) >= maxWaiting {
		n.Refused++
		return
	}
	d := &duty{kind: f.Kind, origin: f.Origin, upTo: f.Number, epoch: max(f.Epoch, n.joined), parent: from, tag: f.Tag}
	switch {
	case f.Kind == Settle:
		d.upTo, d.eldest = n.own.next-1, elder{n.self, n.joined}
		if d.waits = d.upTo >= n.own.lo; d.waits {
			n.own.settling = append(n.own.settling, d)
		}
	case f.Kind == Data:
		d.kind = Sync
		fallthrough
	case f.Kind == Sync:
		if d.waits = s != nil && s.got < f.Number; d.waits {
			s.waiting = append(s.waiting, d)
			n.ask(s, f.Number)
		}
	}
	n.spread(d, f, n.self.ID, f.Limit)
}

// answer answers the questions for which this node has the messages by now.
func (n *Node) answer(s *source) {
	waiting := s.waiting
	s.waiting = nil
	for _, d := range waiting {
		if d.waits = d.upTo > s.got; d.waits {
			s.waiting = append(s.waiting, d)
		} else {
			n.settle(d)
		}
	}
}

// Ended says that a member has ended in good order: it takes no frames any more. It may not be known
// yet that it has left. A question that comes late, since its stream had ended, would wait for it for ever.
func (n *Node) Ended(m Member) {
	if s := n.sources[m.Incarnation]; s != nil {
		s.ended = true
		n.forgetEnded(m)
	}
}

// Undelivered takes back a frame whose stream has ended though both ends live: it is sent again. A
// frame to a member that has ended needs nothing: the list says so too, now or later, and then its
// shares are taken over.
func (n *Node) Undelivered(to uint64, f Frame) { n.out.Send(to, f) }
