package sim

import (
	"fmt"
	"testing"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// movingFrom is the first seed of the worlds in which hosts change their addresses.
const movingFrom = 4_000_000_000

// TestSimulationOfMoves runs worlds in which hosts change their addresses.
func TestSimulationOfMoves(t *testing.T) { simulate(t, *simFrom-1+movingFrom, 800) }

var moves = []struct {
	name string
	do   func(w *world)
}{
	{"a host gets another address", func(w *world) {
		if p := w.victim(); p != nil {
			was := p.addr
			w.address(p, w.newAddr())
			if w.chance(w.plan, 0.3) { // it has both
				w.byAddr[was] = p
			}
			w.uproot(p)
		}
	}},
	{"two hosts swap their addresses", func(w *world) {
		p, q := w.victim(), w.victim()
		if p == nil || p == q {
			return
		}
		to, from := q.addr, p.addr
		w.address(p, to)
		w.address(q, from)
		w.byAddr[to] = p // q has left it
		w.uproot(p)
		w.uproot(q)
	}},
	{"an address changes hands", func(w *world) {
		p := w.victim()
		if p == nil || len(w.alive()) >= most {
			return
		}
		was := p.addr
		w.address(p, w.newAddr())
		w.uproot(p)
		// While the member is a suspect, a process that answers at its address is taken for
		// its replacement. So it takes a while until another machine gets the address.
		w.later(w.lease/2+w.jitter2(w.lease), func() {
			if w.byAddr[was] == nil {
				w.address(w.spawn(nil), was)
			}
		})
	}},
	{"a host moves on", func(w *world) {
		if p := w.victim(); p != nil {
			for range 3 {
				w.address(p, w.newAddr())
				w.uproot(p)
				w.until(w.now + w.jitter2(w.lease/8))
			}
		}
	}},
	{"a host moves, and the registry is gone", func(w *world) {
		for _, x := range faults {
			if x.name == "the registry crashes" {
				x.do(w)
			}
		}
		for range 1 + w.plan.IntN(3) {
			if p := w.victim(); p != nil {
				w.address(p, w.newAddr())
				w.uproot(p)
			}
		}
	}},
}

func (w *world) newAddr() string {
	w.moved++
	return fmt.Sprintf("moved%d", w.moved)
}

// address gives a process another address. Its earlier address does not answer any more.
func (w *world) address(p *process, addr string) {
	w.logf("%s is %s from now on", p.addr, addr)
	if w.byAddr[p.addr] == p {
		delete(w.byAddr, p.addr)
	}
	p.addr = addr
	w.byAddr[addr] = p
}

// uproot ends a process's connections, as a change of network does. It always ends the one
// to the registry, and sometimes the links.
func (w *world) uproot(p *process) {
	if c := p.join.conn; c != nil {
		c.blip()
	}
	if n := p.node; n != nil && w.chance(w.plan, 0.6) {
		for _, l := range append(append([]*link(nil), n.links...), n.ins...) {
			l.end()
		}
	}
}

// resume answers a member that comes back. A member that has moved is dialled first.
func (r *registry) resume(c *conn, m register) {
	found, err := r.auth.Resume(r.w.now, m.Request)
	if err != membership.ErrElsewhere {
		r.answer(c, found, err, m)
		return
	}
	c.dialling = true
	r.w.probe(r.p, r.w.processAt(m.Addr), m.Token, func(a membership.Answer) {
		c.dialling = false
		defer func() {
			for _, msg := range c.queued { // none if it was refused
				if c.bound {
					r.receive(c, msg)
				}
			}
			c.queued = nil
		}()
		switch {
		case c.regClosed:
		case a != membership.Answered:
			c.sendToNode(control.Refused{Code: control.CodeUnreachable})
			c.closeAtRegistry()
		default:
			m.Verified = true
			found, err := r.auth.Resume(r.w.now, m.Request)
			r.answer(c, found, err, m)
		}
	})
}

// wrongAddress names a peer whose address is not the one that a node was told.
func (j *judge) wrongAddress(told []ring.Peer) string {
	for _, p := range told {
		if x := j.incarnations[p.Ref()]; x != nil && j.w.byAddr[p.Addr] != x.p {
			return sprintf("%v is not at %s, but at %s", p.Ref(), p.Addr, x.p.addr)
		}
	}
	return ""
}

// addressTaken says whether a member that has only moved was declared dead for a good
// reason. A process that is no member has its old address, as if it had replaced it; or the
// member cannot prove its new address, because the registry cannot dial it.
func (j *judge) addressTaken(x *incarnation, addr string, r *registry) bool {
	there := j.w.byAddr[addr]
	if x.p.addr != addr && !j.w.reach(r.p, x.p) {
		return true
	}
	if there == nil || there == x.p {
		return false
	}
	if there.state == dead || there.node == nil {
		return true
	}
	y := j.incarnations[there.node.ref]
	return !y.member || y.isOver() || y.gen != r.gen
}
