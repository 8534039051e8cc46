package memnet

import (
	"container/list"
	"syscall"
)

// A dial is a Dial that is under way. Whoever changes what it waits for (the faults, a listener, its backlog) tries it
// again on its behalf, so a freed place goes to the dial that has waited longest, and wakes nobody else. (One channel
// closed to wake all who wait was rejected: ten thousand nodes that dial one registry would all wake for each Accept.)
type dial struct {
	// static
	from *Host
	to   string
	port int
	done chan struct{} // closed once conn or err is set

	// guarded by from.net.mu until done is closed
	conn *conn
	err  error
	in   *list.List // where it waits, nil if it does not
	at   *list.Element
}

// try connects d, refuses it, or puts it where it has to wait. The caller holds n.mu.
func (n *Network) try(d *dial) {
	var l *listener
	to := n.hosts[d.to]
	if to != nil {
		l = to.listeners[d.port]
	}
	switch {
	case n.rules.isCut(d.from.name, d.to):
		d.finish(nil, syscall.ECONNREFUSED)
	case n.rules.isHeld(d.from.name, d.to), n.rules.isHeld(d.to, d.from.name):
		d.enqueue(&n.held) // even if nobody listens: the refusal would not get through either
	case l == nil:
		d.finish(nil, syscall.ECONNREFUSED)
	case len(l.backlog) >= maxBacklog:
		d.enqueue(&l.waiting)
	default:
		port, err := d.from.freePort()
		if err != nil {
			d.finish(nil, err)
			return
		}
		d.from.dialing[port] = struct{}{}
		k := n.connect(d.from, port, to, d.port)
		l.backlog = append(l.backlog, &k.accepted)
		l.arrived.Signal()
		d.finish(&k.dialer, nil)
	}
}

// tryAll tries all dials of a queue, in their order. The caller holds n.mu.
func (n *Network) tryAll(queue *list.List) {
	for e := queue.Front(); e != nil; {
		d := e.Value.(*dial)
		e = e.Next() // before try, which may take d out
		n.try(d)
	}
}

// enqueue queues d, or leaves it in its place if it is in that queue.
func (d *dial) enqueue(queue *list.List) {
	if d.in == queue {
		return
	}
	d.dequeue()
	d.in, d.at = queue, queue.PushBack(d)
}

// finish decides d, once: a later call changes nothing.
func (d *dial) finish(c *conn, err error) {
	d.dequeue()
	if d.conn == nil && d.err == nil {
		d.conn, d.err = c, err
		close(d.done)
	}
}

func (d *dial) dequeue() {
	if d.in != nil {
		d.in.Remove(d.at)
		d.in, d.at = nil, nil
	}
}
