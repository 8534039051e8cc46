package plane

import "github.com/x/ringdht/internal/stream"

// Evict evicts an incarnation of a node, and every earlier one: links to it and from it end,
// streams to it end with [stream.ErrGone], and the rest of it is forgotten. Messages from it that
// have arrived in order are still handled.
func (p *Plane) Evict(id, inc uint64) {
	if id == p.Self {
		return
	}
	p.Set.Evict(id, inc, stream.ErrGone)
	for _, o := range p.outgoingStreams(id) {
		o.evict(inc)
	}
	for _, in := range p.incomingStreams(id) {
		in.mu.Lock()
		p.evictInbound(in, inc)
		in.mu.Unlock()
	}
}

// Renewed tells that a node with this ID has begun an incarnation, so every earlier one has
// ended. It costs next to nothing if there is no stream to the ID or from it.
func (p *Plane) Renewed(id, inc uint64) {
	if inc == 0 {
		return
	}
	if p.sendsTo(id) {
		p.Evict(id, inc-1)
	}
	for _, in := range p.incomingStreams(id) {
		in.mu.Lock()
		if in.r.PeerIncarnation() == inc && !in.forgotten {
			p.stays(in)
		} else {
			p.evictInbound(in, inc-1)
		}
		in.mu.Unlock()
	}
}

func (o *outbound) evict(inc uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.s.State() == stream.Ended {
		return
	}
	if o.s.Evicted(inc); o.s.State() == stream.Ended {
		o.ended()
		return
	}
	o.askAgain()
}

// askAgain makes a stream that has asked in vain ask when a tick looks at it next: the answer may be
// another now. It needs mu.
func (o *outbound) askAgain() { o.s.PathChanged(o.p.now()) }

// evictInbound needs in.mu.
func (p *Plane) evictInbound(in *inbound, inc uint64) {
	if in.forgotten || in.r.PeerIncarnation() > inc {
		return
	}
	before := in.r.Bytes()
	in.r.Abandon()
	p.charge(in.service, in.r.Bytes()-before)
	p.finishInbound(in)
}
