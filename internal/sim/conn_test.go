package sim

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
)

// conn is a control connection. Each end holds it until it lets go of it.
type conn struct {
	w               *world
	p               *process // the node's
	r               *registry
	up, down        *pipe
	nodeEnd, regEnd bool // that end has let go
	ref             ring.Ref
	bound           bool            // to ref
	heard           membership.Word // the latest at the registry
	seen            Time            // and at the node
	asked           []Time
	looking         bool  // the registry dials the node before it answers, and then takes
	unheard         []any // what came meanwhile
}

func (w *world) connect(p *process, r *registry) *conn {
	c := &conn{w: w, p: p, r: r, heard: r.auth.Word(w.now), seen: w.now}
	c.up = w.pipe(p, p, r.p, w.controlDelay)
	c.down = w.pipe(p, r.p, p, w.controlDelay)
	w.conns = append(w.conns, c)
	return c
}

// say sends something to the registry.
func (c *conn) say(msg any) {
	if c.nodeEnd {
		return
	}
	c.up.push(parcel{do: func() {
		if !c.regEnd {
			c.heard = c.r.auth.Word(c.w.now)
			c.r.hear(c, msg)
		}
	}})
}

// tellNode sends something to the node.
func (c *conn) tellNode(msg any) {
	if c.regEnd {
		return
	}
	c.down.push(parcel{do: func() {
		if !c.nodeEnd {
			c.seen = c.w.now
			c.p.hear(c, msg)
		}
	}})
}

// letGo ends the connection at the node's end: what comes from the registry is lost.
func (c *conn) letGo() {
	if c.nodeEnd {
		return
	}
	c.nodeEnd = true
	c.down.over = true
	c.up.push(parcel{do: c.endAtRegistry})
}

func (c *conn) endAtRegistry() {
	if !c.regEnd {
		c.regEnd = true
		c.down.push(parcel{do: c.endAtNode})
		c.r.lost(c)
	}
}

// hangUp ends it at the registry's end.
func (c *conn) hangUp() {
	if c.regEnd {
		return
	}
	c.regEnd = true
	c.up.over = true
	c.down.push(parcel{do: c.endAtNode})
}

func (c *conn) endAtNode() {
	if !c.nodeEnd {
		c.nodeEnd = true
		c.up.push(parcel{do: c.endAtRegistry})
		c.p.lost(c)
	}
}

// blip breaks the connection, for both. What was under way is lost.
func (c *conn) blip() {
	c.up.cutOff(0)
	c.down.cutOff(0)
	c.up.push(parcel{do: c.endAtRegistry})
	c.down.push(parcel{do: c.endAtNode})
}

// beat is the node's every third of a lease.
func (c *conn) beat() {
	if c.nodeEnd {
		return
	}
	// A process that was stopped finds its deadline passed while what its peer sent
	// lies unread, so it looks once more.
	unread := len(c.down.queue) > 0 && c.down.queue[0].at <= c.w.now && c.w.reach(c.p, c.r.p)
	if c.w.now-c.seen > c.w.lease && !unread {
		c.letGo()
		c.p.lost(c)
		return
	}
	c.ask()
	c.p.after(c.w.lease/3, c.beat)
}

func (c *conn) ask() {
	c.asked = append(c.asked, c.w.now)
	c.say(control.Beat{})
}

// watch is the registry's look whether the node is silent.
func (c *conn) watch() {
	if c.regEnd {
		return
	}
	unread := len(c.up.queue) > 0 && c.up.queue[0].at <= c.w.now && c.w.reach(c.p, c.r.p)
	left := c.r.auth.Spare(c.w.now, c.ref, c.heard)
	if left == 0 && !unread {
		c.r.silent(c)
		return
	}
	c.r.p.after(max(left, c.w.lease/100), c.watch)
}
