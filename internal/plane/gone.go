package plane

import (
	"maps"
	"slices"

	"github.com/x/ringdht/internal/stream"
)

// Gone says that a life of a node is over, and every earlier one with it: links to it
// and from it end, streams to it end with [stream.ErrGone], and what is left of it is
// forgotten. What was received from it in full order is still handled.
func (p *Plane) Gone(id, life uint64) {
	if id == p.Self {
		return
	}
	p.mu.RLock()
	lines := slices.DeleteFunc(slices.Collect(maps.Keys(p.lines)), func(l *line) bool {
		return l.id != id || l.life > life
	})
	p.mu.RUnlock()
	for _, l := range lines {
		p.hangUp(l, stream.ErrGone)
	}
	if o := p.outboundTo(id); o != nil {
		o.gone(life)
	}
	if in := p.lockInbound(id); in != nil {
		p.inboundGone(in, life)
		in.mu.Unlock()
	}
}

// Renewed says that a node with this ID has begun a life: every earlier one is over. It
// costs next to nothing where there is no stream to the ID or from it.
func (p *Plane) Renewed(id, life uint64) {
	if life == 0 {
		return
	}
	if p.outboundTo(id) != nil {
		p.Gone(id, life-1)
	}
	if in := p.lockInbound(id); in != nil {
		if in.r.PeerLife() == life {
			p.stays(in)
		} else {
			p.inboundGone(in, life-1)
		}
		in.mu.Unlock()
	}
}

func (o *outbound) gone(life uint64) {
	o.lock()
	defer o.mu.Unlock()
	if o.s.State() == stream.Ended {
		return
	}
	if o.s.Evicted(life); o.s.State() == stream.Ended {
		o.ended()
	}
}

// inboundGone needs in.mu.
func (p *Plane) inboundGone(in *inbound, life uint64) {
	if in.r.PeerLife() > life {
		return
	}
	before := in.r.Bytes()
	in.r.Abandon()
	p.inbox.Add(int64(in.r.Bytes() - before))
	p.inboundOver(in)
}
