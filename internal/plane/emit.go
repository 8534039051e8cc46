package plane

import (
	"errors"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/peers"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// emit sends frames that this node makes outside its outgoing streams, all to dst. Its only error
// is [stream.ErrNoSuchNode], which a relay would have sent back. Frames that find their queue
// full, or no link, are counted and lost.
func (p *Plane) emit(dst uint64, frames []byte) error {
	n := int64(wire.Count(frames))
	for n > 0 {
		w, err := p.towards(dst)
		if w.Link == nil {
			p.countUnplaced(n, err)
			return err
		}
		markDetour(frames, w.Detour)
		if _, err = w.Link.Append(frames); p.countPlaced(w, n, err) {
			return nil
		}
	}
	return nil
}

// towards returns the way to dst. Its link is nil if no link leads there now, or, with an error,
// if dst does not exist.
func (p *Plane) towards(dst uint64) (w peers.Way, err error) {
	if p.fence.Up() {
		return peers.Way{}, nil
	}
	if dst == p.Self {
		return peers.Way{Link: p.loopback()}, nil
	}
	s := p.Routes()
	action, i := s.Next(dst)
	if i = s.WayOf(action, i, dst); i >= 0 {
		return s.Ways[i], nil
	}
	if action == ring.NoSuchNode {
		err = stream.ErrNoSuchNode
	}
	return peers.Way{}, err
}

// countUnplaced counts n frames for which there is no way; err is that of [Plane.towards].
func (p *Plane) countUnplaced(n int64, err error) {
	if err != nil {
		p.counters.noRoute.Add(n)
	} else {
		p.counters.linkDown.Add(n)
	}
}

// countPlaced counts what became of n frames that were given to a link, and reports whether that
// is final. It is not if the link has ended: then the link is taken out of use, and the caller
// looks for another way.
func (p *Plane) countPlaced(w peers.Way, n int64, err error) bool {
	switch {
	case err == nil:
		if w.Detour {
			p.counters.detoured.Add(n)
		}
		return true
	case errors.Is(err, link.ErrFull):
		p.counters.queueFull.Add(n)
		return true
	case w.Link.Peer().ID == p.Self: // the plane closes
		p.counters.linkDown.Add(n)
		return true
	}
	p.Unlink(w.Link) // no later snapshot has it, so the caller's loop ends
	return false
}

// countUnroutable counts a frame that this decision drops.
func (p *Plane) countUnroutable(f wire.Frame, a ring.Action) {
	n := int64(f.Messages())
	switch c := &p.counters; a {
	case ring.Overshoot:
		c.overshoot.Add(n)
	case ring.HopLimit:
		c.hopLimit.Add(n)
	case ring.NoSuchNode:
		c.noRoute.Add(n)
	default:
		c.linkDown.Add(n)
	}
}

// markDetour sets or clears the detour flag of each frame.
func markDetour(frames []byte, on bool) {
	for len(frames) > 0 {
		var f wire.Frame
		f, frames = wire.Next(frames)
		f.SetDetour(on)
	}
}

// reroute sends a frame by another way than l, which has ended, and reports whether it found one.
// A marked frame whose sink is the other end of l is on the second half of its detour and may
// only go there directly. A frame that was marked for the waypoint at l's other end starts anew.
func (p *Plane) reroute(l *peers.Link, f wire.Frame) bool {
	toSink := f.Detour() && f.Dst() == l.Peer().ID
	for {
		s := p.Routes()
		action, i := ring.Direct, 0
		if !toSink {
			action, i = s.Next(f.Dst())
		}
		if i = s.WayOf(action, i, f.Dst()); i < 0 {
			p.countUnroutable(f, action)
			p.countWaste(f, int(f.Hops()))
			return false
		}
		w := s.Ways[i]
		f.SetDetour(w.Detour || w.ToSink)
		_, err := w.Link.Append(f)
		switch {
		case err == nil:
			if w.Detour {
				p.counters.detoured.Add(int64(f.Messages()))
			}
			return true
		case errors.Is(err, link.ErrFull):
			p.countQueueFull(f)
			return false
		}
		p.Unlink(w.Link)
	}
}

// requeue sends by other ways what waited for a link that has ended. No write was begun for it,
// so nothing is sent twice.
func (p *Plane) requeue(l *peers.Link, q *fifo.Queue) {
	requeued := 0
	for q.Size() > 0 {
		chunk := q.Front()
		size := len(chunk)
		for len(chunk) > 0 {
			var f wire.Frame
			f, chunk = wire.Next(chunk)
			switch {
			case f.Type() == wire.Ping:
			case p.fence.Up():
				p.counters.linkDown.Add(int64(f.Messages()))
				p.countWaste(f, int(f.Hops()))
			case p.reroute(l, f):
				requeued += f.Messages()
			}
		}
		q.Discard(size)
	}
	p.counters.requeued.Add(int64(requeued))
}

// countQueueFull counts frames that found the queue of their link full.
func (p *Plane) countQueueFull(frames []byte) {
	p.counters.queueFull.Add(int64(wire.Count(frames)))
	p.countWasteAll(frames)
}
