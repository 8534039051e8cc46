package sim

import (
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/secure"
)

// conn is a control connection. Each end closes it for itself.
type conn struct {
	w                     *world
	p                     *process // the node's
	r                     *registry
	up, down              *pipe
	nodeClosed, regClosed bool // that end has closed
	ref                   ring.Ref
	bound                 bool                 // the session of ref
	lastHeard             membership.LastHeard // when the registry last received a message
	lastSeen              Time                 // when the node last received a message
	asked                 []Time               // when the node sent the messages that are not answered
	dialling              bool                 // the registry dials the node before it answers
	queued                []any                // messages that came meanwhile
	key                   secure.Key           // that the node has proven
	admitted              secure.Admission     // the latest that it was given
	follows               int                  // how many services are in the node's request
	welcome               bool                 // the node was told that it is a member
	old                   *node                // the incarnation of a node that joins again, though that is not over
}

func (w *world) connect(p *process, r *registry) *conn {
	c := &conn{w: w, p: p, r: r, lastHeard: r.auth.HeardNow(w.now), lastSeen: w.now}
	c.up = w.pipe(p, p, r.p, w.controlDelay)
	c.down = w.pipe(p, r.p, p, w.controlDelay)
	w.conns = append(w.conns, c)
	return c
}

// sendToRegistry sends a message to the registry.
func (c *conn) sendToRegistry(msg any) {
	if c.nodeClosed {
		return
	}
	c.up.push(parcel{do: func() {
		if !c.regClosed {
			c.lastHeard = c.r.auth.HeardNow(c.w.now)
			c.r.receive(c, msg)
		}
	}})
}

// sendToNode sends a message to the node.
func (c *conn) sendToNode(msg any) {
	if c.regClosed {
		return
	}
	c.down.push(parcel{do: func() {
		if !c.nodeClosed {
			c.lastSeen = c.w.now
			c.p.receive(c, msg)
		}
	}})
}

// closeAtNode closes the connection at the node. Messages from the registry are lost.
func (c *conn) closeAtNode() {
	if c.nodeClosed {
		return
	}
	c.nodeClosed = true
	c.down.over = true
	c.up.push(parcel{do: c.reachRegistry})
}

func (c *conn) reachRegistry() {
	if !c.regClosed {
		c.regClosed = true
		c.down.push(parcel{do: c.reachNode})
		c.r.disconnected(c)
	}
}

// closeAtRegistry closes the connection at the registry.
func (c *conn) closeAtRegistry() {
	if c.regClosed {
		return
	}
	c.regClosed = true
	c.up.over = true
	c.down.push(parcel{do: c.reachNode})
}

func (c *conn) reachNode() {
	if !c.nodeClosed {
		c.nodeClosed = true
		c.up.push(parcel{do: c.reachRegistry})
		c.p.disconnected(c)
	}
}

// blip breaks the connection at both ends. Messages under way are lost.
func (c *conn) blip() {
	c.up.cutOff(0)
	c.down.cutOff(0)
	c.up.push(parcel{do: c.reachRegistry})
	c.down.push(parcel{do: c.reachNode})
}

// beat is the node's timer: it sends a heartbeat every third of a lease.
func (c *conn) beat() {
	if c.nodeClosed {
		return
	}
	// A process that was stopped finds its deadline passed while messages lie unread, so it
	// reads once more.
	unread := len(c.down.queue) > 0 && c.down.queue[0].at <= c.w.now && c.w.reach(c.p, c.r.p)
	if c.w.now-c.lastSeen > c.w.lease && !unread {
		c.closeAtNode()
		c.p.disconnected(c)
		return
	}
	c.ask()
	c.p.after(c.w.lease/3, c.beat)
}

func (c *conn) ask() {
	c.asked = append(c.asked, c.w.now)
	c.sendToRegistry(control.Beat{})
}

// watch is the registry's timer: it checks whether the node is silent.
func (c *conn) watch() {
	if c.regClosed {
		return
	}
	unread := len(c.up.queue) > 0 && c.up.queue[0].at <= c.w.now && c.w.reach(c.p, c.r.p)
	left := c.r.auth.TimeLeft(c.w.now, c.ref, c.lastHeard)
	if left == 0 && !unread {
		c.r.silent(c)
		return
	}
	c.r.p.after(max(left, c.w.lease/100), c.watch)
}
