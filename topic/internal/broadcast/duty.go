package broadcast

import (
	"cmp"
	"slices"
)

// duty is a question that a node answers for a range: for itself, and for its children, of which
// each answers for a share of the range. It is done when nothing waits and no share is open.
type duty struct {
	kind   Kind // Sync, Agree or Settle
	origin Member
	upTo   uint64
	epoch  uint64
	parent uint64 // the node that asked, with tag, unless origin is this node
	tag    uint64
	open   int   // shares
	waits  bool  // for this node itself
	eldest elder // Settle: of those that have answered
}

// elder is a member, with the epoch of its first list.
type elder struct {
	Member
	joined uint64
}

// share is the part of a duty that a child answers for.
type share struct {
	*duty
	child Member
	limit uint64 // the range is between child and this ID
}

// frame asks a range again, without the message.
func (d *duty) frame() Frame {
	return Frame{Kind: d.kind, Origin: d.origin, Number: d.upTo, Epoch: d.epoch}
}

// spreadAll sends a frame to all other members, and spread to those of a range. With a duty each
// child gets a share of it.
func (n *Node) spreadAll(d *duty, f Frame) {
	n.view.splitAll(n.self.ID, func(child Member, limit uint64) { n.pass(d, f, child, limit) })
	n.settle(d)
}

func (n *Node) spread(d *duty, f Frame, from, limit uint64) {
	n.view.split(from, limit, func(child Member, limit uint64) { n.pass(d, f, child, limit) })
	n.settle(d)
}

func (n *Node) pass(d *duty, f Frame, child Member, limit uint64) {
	if child == n.self { // no range that this node was given has it
		return
	}
	f.Limit, f.Tag = limit, 0
	if d != nil {
		n.lastTag++
		f.Tag, f.Epoch = n.lastTag, d.epoch
		n.shares[f.Tag] = share{d, child, limit}
		d.open++
	}
	n.out.Send(child.ID, f)
}

// settle answers the question if all is done.
func (n *Node) settle(d *duty) {
	switch {
	case d == nil || d.waits || d.open > 0:
	case d.origin != n.self:
		n.out.Send(d.parent, Frame{Kind: Confirm, Tag: d.tag, Origin: d.eldest.Member, Number: d.eldest.joined})
	case d.kind == Sync:
		n.confirmed(d)
	case d.kind == Agree:
		n.standing = true
		n.out.Stands()
	case d.kind == Settle:
		n.out.Settled(d.eldest.Member)
	}
}

// handleConfirm closes a share.
func (n *Node) handleConfirm(f Frame) {
	s, ok := n.shares[f.Tag]
	if !ok {
		return // others answer for the range by now; or an earlier incarnation of this ID had asked
	}
	delete(n.shares, f.Tag)
	s.open--
	if s.kind == Settle && f.Number < s.eldest.joined {
		s.eldest = elder{f.Origin, f.Number}
	}
	n.settle(s.duty)
}

// dropAgree drops the question of a newcomer that ends before it stands. Some members may not have
// heard of it at all, and answer nothing.
func (n *Node) dropAgree(newcomer Member) {
	for tag, s := range n.shares {
		if s.kind == Agree && s.origin == newcomer {
			delete(n.shares, tag)
		}
	}
}

// takeOver passes the open shares of a member that has ended on to those behind it.
func (n *Node) takeOver(child Member) {
	var tags []uint64
	for tag, s := range n.shares {
		if s.child == child {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, cmp.Compare)
	for _, tag := range tags {
		s := n.shares[tag]
		delete(n.shares, tag)
		s.open--
		n.TakenOver++
		n.spread(s.duty, s.frame(), child.ID, s.limit)
	}
}
