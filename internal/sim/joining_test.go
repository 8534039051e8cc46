package sim

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// joining is a process's side of its connection to the registry.
type joining struct {
	conn    *conn
	trying  bool
	want    ring.Ref // its earlier incarnation, whose ID it asks for; none if Incarnation is 0
	patient int      // attempts left to get that ID

	forsaking membership.Forsaking
}

// attempt makes sure that the process is connected to the registry, or about to be.
func (p *process) attempt(after Time) {
	j := p.join
	if j.trying || j.conn != nil || p.done {
		return
	}
	j.trying = true
	p.after(after, func() {
		p.after(p.w.dialDelay(), func() {
			r := p.w.registry
			switch {
			case r == nil || r.p.state == dead:
				p.retryJoin()
			case r.p.state == stopped || !p.w.reach(p, r.p):
				p.after(p.w.dialTimeout(), p.retryJoin)
			default:
				if !p.finds(r) {
					p.retryJoin()
					return
				}
				p.connected(p.w.connect(p, r))
			}
		})
	})
}

func (p *process) retryJoin() {
	p.join.trying = false
	p.attempt(p.w.lease/16 + p.w.jitter(p.w.lease/8))
}

func (p *process) connected(c *conn) {
	p.join.trying = false
	p.join.conn = c
	r := register{Request: membership.Request{Addr: p.addr, Traffic: true, Seen: p.maxInc, Info: p.info, Follows: p.follows(), Confirms: !p.old}}
	c.follows = len(p.uses)
	if n := p.node; n != nil {
		r.resume, r.ID, r.Incarnation, r.Token, r.Ready = true, n.ref.ID, n.ref.Incarnation, p.token, n.ready
		r.Identity, r.Info, r.ListEpoch = n.local.Identity, n.info, n.local.ListEpoch
		r.Leaving = n.departing && !n.leaving && !p.old
		r.Epoch, r.Size, r.Plan, r.Over = n.local.Epoch, int(n.local.Size), n.local.Plan, n.local.Over
	} else {
		p.token = p.w.net.Uint64()
		r.Token = p.token
		if j := p.join; j.want.Incarnation != 0 {
			r.Want, r.ID = true, j.want.ID
		}
	}
	p.prepare(c, &r)
	c.asked = append(c.asked, p.w.now)
	c.sendToRegistry(r)
	p.after(p.w.lease/3, c.beat)
}

// disconnected handles the end of the connection to the registry.
func (p *process) disconnected(c *conn) {
	if p.join.conn != c {
		return
	}
	p.join.conn = nil
	p.w.logf("%s lost the registry", p.addr)
	if p.node != nil && p.node.released {
		p.node.depart()
		return
	}
	p.attempt(p.w.jitter(p.w.lease / 2))
}

// receive handles a message from the registry.
func (p *process) receive(c *conn, msg any) {
	n := p.node
	switch m := msg.(type) {
	case registered:
		if p.cred != nil && p.changedMeanwhile(c, m.admission) {
			return
		}
		if n != nil && n == c.old {
			p.joinsAgain()
			n = nil
		}
		if n == nil {
			n = p.begin(m.ref)
		} else if n.ref != m.ref {
			p.w.judge.fail("%v went on as %v", n.ref, m.ref)
		}
		if p.cred != nil {
			p.credentialsTold(m.admission)
		}
		p.join.forsaking.OwnRing()
		n.confirmed(c)
		n.reportAgain(c)
		p.followLater(c)
	case admission, trust:
		p.credentialsTold(m)
	case control.Refused:
		p.refused(c, m.Code)
	case control.BeatAnswer:
		if n != nil {
			n.confirmed(c)
		} else {
			c.asked = c.asked[1:]
		}
	default:
		if n == nil {
			p.w.judge.fail("%s was told %T before it was registered", p.addr, msg)
			return
		}
		n.handleControl(c, msg)
	}
}

// confirmed takes note that the registry answered the oldest message.
func (n *node) confirmed(c *conn) {
	if len(c.asked) > 0 {
		n.confirmedAt = c.asked[0]
		c.asked = c.asked[1:]
	}
}

func (p *process) refused(c *conn, code control.Code) {
	c.closeAtNode()
	p.join.conn = nil
	p.w.logf("%s was refused: %d", p.addr, code)
	if p.rogue {
		p.attempt(p.w.lease/16 + p.w.jitter(p.w.lease/8))
		return
	}
	switch code {
	case control.CodeCredentials, control.CodeExpelled:
		p.credentialsRefused(code)
	case control.CodeEvicted:
		if n := p.node; n != nil {
			p.join.want, p.join.patient = n.ref, 3
			n.end("evicted")
			if n.leaving { // it wanted to leave anyway
				p.quit()
				return
			}
		}
	case control.CodeNameTaken:
		p.nameRefused()
	case control.CodeOtherRing:
		p.otherRing()
	case control.CodeIDTaken:
		if c.old != nil {
			p.cred.anyID = true
		}
		p.join.want = ring.Ref{}
	case control.CodeWait, control.CodeUnreachable:
		if p.join.patient--; p.join.patient <= 0 {
			p.join.want = ring.Ref{}
		}
	}
	p.attempt(p.w.lease/16 + p.w.jitter(p.w.lease/8))
}
