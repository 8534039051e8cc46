package plane

import (
	"errors"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// emit sends frames of this node's own that belong to no stream of it, all with the
// same dst. The only error is [stream.ErrNoSuchNode], which a relay would have sent
// back; frames that find their queue full or no link that is up are counted and lost.
func (p *Plane) emit(dst uint64, frames []byte) error {
	n := int64(wire.Count(frames))
	for n > 0 {
		w, err := p.towards(dst)
		if w.link == nil {
			p.countUnplaced(n, err)
			return err
		}
		markDetour(frames, w.detour)
		if _, err = w.link.Append(frames); p.settlePlaced(w, n, err) {
			return nil
		}
	}
	return nil
}

// towards is the way to dst; without a link it is down, or, with an error, leads
// nowhere.
func (p *Plane) towards(dst uint64) (w way, err error) {
	if p.fence.up.Load() {
		return way{}, nil
	}
	if dst == p.Self {
		return way{link: p.loopback()}, nil
	}
	s := p.routes.Load()
	action, i := s.Next(dst)
	if i = s.wayOf(action, i, dst); i >= 0 {
		return s.ways[i], nil
	}
	if action == ring.NoSuchNode {
		err = stream.ErrNoSuchNode
	}
	return way{}, err
}

// nowhere counts n frames for which there is no way; err is that of [Plane.towards].
func (p *Plane) countUnplaced(n int64, err error) {
	if err != nil {
		p.counters.noRoute.Add(n)
	} else {
		p.counters.linkDown.Add(n)
	}
}

// placed counts what became of n frames that were given to a link, and says whether
// that was the end of it. A link that has ended is taken out of use; the next look at
// the routes finds another.
func (p *Plane) settlePlaced(w way, n int64, err error) bool {
	switch {
	case err == nil:
		if w.detour {
			p.counters.detoured.Add(n)
		}
		return true
	case errors.Is(err, link.ErrFull):
		p.counters.queueFull.Add(n)
		return true
	case w.link.id == p.Self: // the plane closes
		p.counters.linkDown.Add(n)
		return true
	}
	p.unlink(w.link) // from now on no snapshot has it, so this comes to an end
	return false
}

// countUnroutable counts a frame that goes no further after this decision.
func (p *Plane) countUnroutable(a ring.Action) {
	switch c := &p.counters; a {
	case ring.Overshoot:
		c.overshoot.Add(1)
	case ring.HopLimit:
		c.hopLimit.Add(1)
	case ring.NoSuchNode:
		c.noRoute.Add(1)
	default:
		c.linkDown.Add(1)
	}
}

// mark sets or clears the sign of a detour on each frame.
func markDetour(frames []byte, on bool) {
	for len(frames) > 0 {
		var f wire.Frame
		f, frames = wire.Next(frames)
		f.SetDetour(on)
	}
}

// reroute sends a frame on by another way than the link l, which has ended, and says
// whether it found one. A frame that was marked and for l's own end is on the second
// half of its detour, and may go there directly only; one that was marked for a
// waypoint to come starts anew.
func (p *Plane) reroute(l *outLink, f wire.Frame) bool {
	direct := f.Detour() && f.Dst() == l.id
	for {
		s := p.routes.Load()
		action, i := ring.Direct, 0
		if !direct {
			action, i = s.Next(f.Dst())
		}
		if i = s.wayOf(action, i, f.Dst()); i < 0 {
			p.countUnroutable(action)
			p.countWaste(f, int(f.Hops()))
			return false
		}
		w := s.ways[i]
		f.SetDetour(w.detour || w.direct)
		_, err := w.link.Append(f)
		switch {
		case err == nil:
			if w.detour {
				p.counters.detoured.Add(1)
			}
			return true
		case errors.Is(err, link.ErrFull):
			p.countQueueFull(f)
			return false
		}
		p.unlink(w.link)
	}
}

// requeue sends on by other ways what waited for a link that has ended. No write was
// begun for it, so nothing is sent twice.
func (p *Plane) requeue(l *outLink, q *fifo.Queue) {
	n := int64(0)
	for q.Size() > 0 {
		chunk := q.Front()
		size := len(chunk)
		for len(chunk) > 0 {
			var f wire.Frame
			f, chunk = wire.Next(chunk)
			switch {
			case f.Type() == wire.Ping:
			case p.fence.up.Load():
				p.counters.linkDown.Add(1)
				p.countWaste(f, int(f.Hops()))
			case p.reroute(l, f):
				n++
			}
		}
		q.Discard(size)
	}
	p.counters.requeued.Add(n)
}

// dropped counts frames that found the queue of their link at its bound.
func (p *Plane) countQueueFull(frames []byte) {
	p.counters.queueFull.Add(int64(wire.Count(frames)))
	p.countWasteAll(frames)
}
