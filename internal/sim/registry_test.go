package sim

import (
	"errors"
	"slices"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// registry is a registry process: it drives an authority.
type registry struct {
	w        *world
	p        *process
	auth     *membership.Authority
	sessions map[ring.Ref]*conn
	due      Time // when the next Advance is planned, 0 for none
	began    Time
	rebuilt  Time // when its recovery ended
	gen      int
	wall     uint64
	reports  reports
	saving   bool       // a write of its state is under way
	sec      *authority // nil in an open ring
}

// register is a node's request to join, or to go on with its incarnation.
type register struct {
	membership.Request
	resume bool

	// Only in a secure ring.
	shown    presented
	bySecret bool // it proves the secret of a join line
	secret   uint64
}

type registered struct {
	ref       ring.Ref
	admission admission // in a secure ring
}

func (w *world) startRegistry() {
	w.generation++
	p := &process{w: w, addr: "registry"}
	c := membership.Config{Bits: w.bits, Lease: w.lease, Grace: w.lease, Draw: w.auth.Uint64N, DrawIdentity: w.drawIdentity}
	if w.rings != nil {
		w.rings.configure(w, &c)
	}
	if w.names != nil {
		c.MaxWhole = w.names.whole
	}
	sec := w.newAuthority()
	if sec != nil {
		c.SignGone = sec.signGone
	}
	w.registry = &registry{
		w: w, p: p, began: w.now, gen: w.generation, sessions: make(map[ring.Ref]*conn), reports: newReports(), wall: w.newWall(),
		auth: membership.New(c), sec: sec,
	}
	w.registry.auth.Start(w.now)
	w.logf("registry %d starts", w.generation)
	if w.rings != nil {
		w.registry.step()
	}
}

// receive handles a message from a node.
func (r *registry) receive(c *conn, msg any) {
	now := r.w.now
	if c.dialling {
		c.queued = append(c.queued, msg)
		return
	}
	switch m := msg.(type) {
	case register:
		r.admit(c, m)
		return
	case control.Beat:
		c.sendToNode(control.BeatAnswer{})
		if r.w.liars != nil {
			r.auth.Heartbeat(c.ref, 1)
		}
		r.renewIfDue(c)
		return // nothing changes
	case control.Linked:
		r.w.logf("%v linked with epoch %d %s", c.ref, m.Epoch, m.Error)
		r.auth.Linked(c.ref, m.Epoch)
	case control.Trouble:
		r.w.logf("%v reports of %d/%d: %q", c.ref, m.ID, m.Incarnation, m.Error)
		r.auth.Trouble(now, c.ref, m.Ref(), m.Error)
		r.reports.note(c.ref, m.Ref(), m.Error)
	case control.Stuck:
		r.w.logf("%v reports %+v", c.ref, m)
		r.auth.Stuck(now, c.ref, m)
	case control.Follow:
		r.w.logf("%v follows %v", c.ref, m.Services)
		if err := r.auth.Follow(c.ref, m.Services); err != nil {
			r.w.judge.fail("the registry refuses what %v asks for: %v", c.ref, err)
		}
	case control.Listed:
		r.auth.Listed(c.ref, m.ListEpoch)
	case control.Leaving:
		r.w.logf("%v is about to leave", c.ref)
		r.w.judge.unlists(r, c.ref)
		r.auth.Unlist(c.ref)
	case control.Deregister:
		r.w.logf("%v leaves", c.ref)
		r.w.judge.leaves(c.ref)
		r.auth.Leave(now, c.ref)
	}
	r.step()
}

// admit answers a registration. A newcomer is dialled first.
func (r *registry) admit(c *conn, m register) {
	if r.sec != nil {
		if code := r.authorize(c, &m); code != 0 {
			r.refuseCredentials(c, m, code)
			return
		}
	}
	if m.resume {
		r.resume(c, m)
		return
	}
	r.w.probe(r.p, r.w.processAt(m.Addr), m.Token, func(a membership.Answer) {
		switch {
		case c.regClosed:
		case a != membership.Answered:
			c.sendToNode(control.Refused{Code: control.CodeUnreachable})
			c.closeAtRegistry()
		case r.sec != nil && r.sec.revoked(c.key): // meanwhile
			r.refuseCredentials(c, m, control.CodeExpelled)
		default:
			found, err := r.auth.Admit(r.w.now, r.wall+uint64(r.w.now), m.Request)
			r.answer(c, found, err, m)
		}
	})
}

func (r *registry) answer(c *conn, m ring.Member, err error, asked register) {
	if err != nil {
		r.w.logf("registry refuses %s (%+v): %v", c.p.addr, asked, err)
		code := control.CodeWait
		switch {
		case errors.Is(err, membership.ErrOtherRing):
			code = control.CodeOtherRing
		case errors.Is(err, membership.ErrEvicted):
			code = control.CodeEvicted
			r.w.judge.refusedLife(r, ring.Ref{ID: asked.ID, Incarnation: asked.Incarnation})
		case errors.Is(err, membership.ErrNameTaken):
			code = control.CodeNameTaken
			r.w.judge.checkRefusedName(r, asked)
		case errors.Is(err, membership.ErrIDTaken):
			code = control.CodeIDTaken
		}
		c.sendToNode(control.Refused{Code: code})
		c.closeAtRegistry()
		r.step()
		return
	}
	if old := r.sessions[m.Ref()]; old != nil && old != c {
		old.bound = false
		old.closeAtRegistry()
	}
	c.ref, c.bound = m.Ref(), true
	r.sessions[c.ref] = c
	r.reports.reset(c.ref)
	r.w.judge.admitted(r, m, c.p)
	if r.sec == nil {
		c.sendToNode(registered{ref: c.ref})
	} else {
		c.sendToNode(registered{c.ref, r.admission(c)})
		c.sendToNode(trust{r.sec.trust, r.w.clock()})
	}
	r.p.after(r.w.lease, c.watch)
	r.step()
	r.w.judge.checkUniqueID(m.Ref())
}

// disconnected handles the end of a connection.
func (r *registry) disconnected(c *conn) {
	if c.bound && r.sessions[c.ref] == c {
		delete(r.sessions, c.ref)
		r.w.logf("registry lost %v", c.ref)
		r.auth.Disconnected(r.w.now, c.ref, "connection ended")
		r.step()
	}
}

func (r *registry) silent(c *conn) {
	if c.bound && r.sessions[c.ref] == c {
		r.auth.Silent(r.w.now, c.ref)
		r.step()
	}
	c.closeAtRegistry()
}

// woke tells the authority that the process did not run for a gap.
func (r *registry) woke(gap Time) {
	r.auth.DidNotRun(gap, false)
	r.began += gap
	r.p.after(0, r.step)
}

// step performs the effects of the authority, and plans its next Advance.
func (r *registry) step() {
	r.upkeep()
	r.effects()
	next := r.auth.Advance(r.w.now)
	r.effects()
	r.w.judge.checkViews(r)
	r.w.judge.checkReports(r)
	r.w.judge.checkRings(r)
	r.w.judge.checkMembers(r)
	r.w.judge.checkNames(r)
	r.save()
	if next == 0 {
		return
	}
	if next <= r.w.now {
		r.w.judge.fail("at %v the authority wants to be called again at %v", r.w.now, next)
		return
	}
	if r.due > r.w.now && r.due <= next {
		return
	}
	r.due = next
	r.p.after(next-r.w.now, func() {
		if r.w.now >= r.due {
			r.due = 0
			r.step()
		}
	})
}

func (r *registry) effects() {
	for _, e := range r.auth.Take() {
		c := r.sessions[e.Ref]
		r.w.judge.effect(r, e)
		switch e.Kind {
		case membership.Send:
			r.w.logf("to %v: %T %+v", e.Ref, e.Body, e.Body)
			r.reports.told(r.w.bits, e.Ref, e.Body)
			if e.Type == control.TypeUnlisted {
				r.w.judge.checkUnlisted(r, e.Ref, "is told that it is unlisted")
			}
			if c != nil {
				c.sendToNode(e.Body)
			}
		case membership.Probe:
			p := r.w.processAt(e.Addr)
			r.w.probe(r.p, p, e.Token, func(a membership.Answer) {
				r.w.logf("probe of %v: %d", e.Ref, a)
				if a == membership.Absent && p.state != dead && slices.Contains(r.auth.Tokens(), p.token) {
					a = membership.Nothing // another member has the address now
				}
				r.auth.Probed(r.w.now, e.Ref, e.Addr, a)
				r.step()
			})
		case membership.Dead, membership.Left:
			r.w.logf("registry: %v is gone (%d): %s", e.Ref, e.Kind, e.Why)
			if c != nil {
				if e.Kind == membership.Dead {
					c.sendToNode(control.Refused{Code: r.evicted(c)})
				}
				c.closeAtRegistry()
				delete(r.sessions, e.Ref)
			}
		default:
			r.w.logf("registry: event %d of %v %v %s", e.Kind, e.Ref, e.Other, e.Why)
		}
	}
}

// probe dials a process and finds out whether the incarnation with a token is there.
func (w *world) probe(from, to *process, token uint64, then func(membership.Answer)) {
	d := w.dialDelay()
	from.after(d, func() {
		switch {
		case to == nil || !w.reach(from, to) || to.state == stopped:
			from.after(w.dialTimeout(), func() { then(membership.Nothing) })
		case to.state == dead || to.token != token:
			then(membership.Absent)
		default:
			then(membership.Answered)
		}
	})
}

// evicted is what a member is told that is over.
func (r *registry) evicted(c *conn) control.Code {
	if r.sec != nil && r.sec.revoked(c.key) {
		return control.CodeExpelled
	}
	return control.CodeEvicted
}

// refuseCredentials refuses a registration in a secure ring.
func (r *registry) refuseCredentials(c *conn, m register, code control.Code) {
	r.w.logf("registry refuses the credentials of %s: %d", c.p.addr, code)
	r.w.judge.credentialsRefused(c.p, r, m, code)
	r.w.count.refusals++
	c.sendToNode(control.Refused{Code: code})
	c.closeAtRegistry()
}
