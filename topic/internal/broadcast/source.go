package broadcast

import (
	"cmp"
	"slices"
)

// source is what a node knows of another member's messages. There is one for each member that has
// sent something.
type source struct {
	Member
	got     uint64 // all up to here are delivered, or gone
	begun   bool   // something was delivered
	missed  uint64 // gone since the latest delivery
	held    []ahead
	waiting []*duty // questions that got does not answer yet
	left    bool    // it is on no list any more, and ends its affairs
	ended   bool    // it has left in good order
}

// ahead is a message in front of a gap.
type ahead struct {
	number uint64
	body   []byte
}

// advance takes the source's word that it has nothing more below lo.
func (n *Node) advance(s *source, lo uint64) {
	for len(s.held) > 0 && s.held[0].number < lo {
		s.missed += s.held[0].number - s.got - 1
		n.deliverHeld(s)
	}
	if s.got+1 < lo {
		s.missed += lo - 1 - s.got
		s.got = lo - 1
	}
	n.drain(s)
}

// take takes a message, and reports whether it is new to this node.
func (n *Node) take(s *source, number uint64, body []byte) bool {
	at, known := slices.BinarySearchFunc(s.held, number, func(a ahead, number uint64) int { return cmp.Compare(a.number, number) })
	switch {
	case number <= s.got || known:
		return false
	case number == s.got+1:
		n.deliver(s, number, body)
		n.drain(s)
	case len(s.held) < maxAhead && n.heldBytes+len(body) <= maxHeldBytes:
		n.heldBytes += len(body)
		s.held = slices.Insert(s.held, at, ahead{number, slices.Clone(body)})
	default:
		n.Dropped++ // a later question finds the gap
	}
	return true
}

func (n *Node) drain(s *source) {
	for len(s.held) > 0 && s.held[0].number == s.got+1 {
		n.deliverHeld(s)
	}
}

func (n *Node) deliverHeld(s *source) {
	a := s.held[0]
	s.held = slices.Delete(s.held, 0, 1)
	n.heldBytes -= len(a.body)
	n.deliver(s, a.number, a.body)
}

func (n *Node) deliver(s *source, number uint64, body []byte) {
	missed := s.missed
	if !s.begun {
		missed = 0 // they came before the first one
	}
	s.got, s.begun, s.missed = number, true, 0
	n.out.Deliver(s.Member, number, missed, body)
}

// ask asks the source for what is missing up to a number.
func (n *Node) ask(s *source, last uint64) {
	from := s.got + 1
	need := func(to uint64) {
		if from <= to {
			n.out.Send(s.ID, Frame{Kind: Need, Origin: s.Member, Number: from, Last: to, Epoch: n.joined})
		}
	}
	for _, a := range s.held {
		if a.number > last {
			break
		}
		need(a.number - 1)
		from = a.number + 1
	}
	need(last)
}

// sourceOf returns the source of a member, or nil if it is none: then it has ended.
func (n *Node) sourceOf(m Member) *source {
	if s := n.sources[m.Incarnation]; s != nil {
		return s
	}
	if !n.view.has(m) || m == n.self {
		return nil
	}
	s := &source{Member: m}
	n.sources[m.Incarnation] = s
	return s
}

// forgetEnded forgets a member that has ended, once no list has it.
func (n *Node) forgetEnded(m Member) {
	if s := n.sources[m.Incarnation]; s != nil && s.left && s.ended {
		n.forget(m)
	}
}

// forget ends a source: nothing more of it is delivered, and no question waits for it.
func (n *Node) forget(m Member) {
	s := n.sources[m.Incarnation]
	if s == nil {
		return
	}
	delete(n.sources, m.Incarnation)
	n.departed = slices.DeleteFunc(n.departed, func(d Member) bool { return d == m })
	for _, a := range s.held {
		n.heldBytes -= len(a.body)
	}
	for _, d := range s.waiting {
		d.waits = false
		n.settle(d)
	}
}
