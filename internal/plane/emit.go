package plane

import (
	"errors"

	"github.com/x/ringdht/internal/fifo"
	"github.com/x/ringdht/internal/link"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// emit sends frames of this node's own, all with the same dst. The only error is
// [stream.ErrNoSuchNode], which a relay would have sent back; frames that find
// their queue full or no link that is up are counted and left to their stream. The
// link is returned so that a source can wait for room on it.
func (p *Plane) emit(dst uint64, frames []byte) (l *outLink, queued int, err error) {
	if len(frames) == 0 {
		return nil, 0, nil
	}
	if p.gate.shut.Load() {
		p.counters.linkDown.Add(int64(wire.Count(frames)))
		return nil, 0, nil
	}
	if dst == p.Self {
		if l = p.loopback(); l != nil {
			if queued, err = l.Append(frames); err == nil {
				return l, queued, nil
			}
			p.dropped(err, frames)
		}
		return nil, 0, nil
	}
	for {
		s := p.routes.Load()
		i := p.next(s, dst)
		switch i {
		case nobody:
			p.counters.noRoute.Add(int64(wire.Count(frames)))
			return nil, 0, stream.ErrNoSuchNode
		case down:
			p.counters.linkDown.Add(int64(wire.Count(frames)))
			return nil, 0, nil
		}
		w := s.ways[i]
		if w.detour {
			mark(frames, true)
		}
		queued, err = w.link.Append(frames)
		if w.detour {
			mark(frames, false) // they belong to a stream, which may send them again by another way
		}
		switch {
		case err == nil:
			if w.detour {
				p.counters.detoured.Add(int64(wire.Count(frames)))
			}
			return w.link, queued, nil
		case errors.Is(err, link.ErrFull):
			p.dropped(err, frames)
			return nil, 0, nil
		}
		p.unlink(w.link) // from now on no snapshot has it, so this comes to an end
	}
}

// mark sets or clears the sign of a detour on each frame.
func mark(frames []byte, on bool) {
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
	finish := f.Detour() && f.Dst() == l.id
	for {
		s := p.routes.Load()
		i := s.finish(f.Dst())
		if !finish {
			i = p.next(s, f.Dst())
		}
		switch i {
		case nobody:
			p.counters.noRoute.Add(1)
			return false
		case down:
			p.counters.linkDown.Add(1)
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
			p.dropped(err, f)
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
			case p.gate.shut.Load():
				p.counters.linkDown.Add(1)
			case p.reroute(l, f):
				n++
			}
		}
		q.Discard(size)
	}
	p.counters.requeued.Add(n)
}

func (p *Plane) dropped(why error, frames []byte) {
	n := int64(wire.Count(frames))
	if errors.Is(why, link.ErrFull) {
		p.counters.queueFull.Add(n)
	} else {
		p.counters.linkDown.Add(n)
	}
}
