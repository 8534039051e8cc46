package memnet

import (
	"container/list"
	"syscall"
)

// A dial is a Dial under way. A change of what it waits for (faults, a listener, its backlog)
// tries it again from the changing goroutine. So a free place goes to the dial that has waited
// longest, and wakes no other. Rejected: one channel that wakes all waiting dials. Ten thousand
// nodes that dial one registry would all wake for each Accept.
type dial struct {
	// static
	from *Host
	to   string
	port int
	done chan struct{} // closed once conn or err is set

	// guarded by from.net.mu until done is closed
	conn *conn
	err  error
	in   *list.List // the queue in which it waits, or nil
	at   *list.Element
}

// try connects d, refuses it, or queues it. It requires n.mu.
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
		d.enqueue(&n.held) // even without a listener: the refusal would not get through
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

// tryAll tries all dials of a queue, in order. It requires n.mu.
func (n *Network) tryAll(queue *list.List) {
	for e := queue.Front(); e != nil; {
		d := e.Value.(*dial)
		e = e.Next() // before try, which may remove d
		n.try(d)
	}
}

// enqueue appends d to queue, unless it is in it already.
func (d *dial) enqueue(queue *list.List) {
	if d.in == queue {
		return
	}
	d.dequeue()
	d.in, d.at = queue, queue.PushBack(d)
}

// finish ends d. Only the first call has an effect.
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
