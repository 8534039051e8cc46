package plane

// A bygone stream is an incoming one whose source has left the ring. If the leave was orderly,
// what the source sent was acknowledged before, so the stream has no more use. It takes no share
// of the receive buffer, it gives its place to the first stream that needs one, and it is
// forgotten after two sweeps without a frame. It is not forgotten at once, since the registry's
// word may be faster than the last frames of a source that could not wait for its
// acknowledgements.
//
// A stream whose source is merely silent is forgotten after some six minutes, see maxSilence.

// Left tells that an incarnation of a node has left in good order, and that every earlier one has
// ended: the streams from it are bygone. Links and streams to it end by themselves. Streams to this
// ID that could not open yet ask again at once.
func (p *Plane) Left(id, inc uint64) {
	for _, o := range p.outgoingStreams(id) {
		o.mu.Lock()
		o.askAgain()
		o.mu.Unlock()
	}
	for _, in := range p.incomingStreams(id) {
		p.goes(in, inc)
	}
}

// goes makes a stream bygone, if it is of this incarnation of its source or an earlier one.
func (p *Plane) goes(in *inbound, inc uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.forgotten || in.r.PeerIncarnation() > inc || in.sourceLeft {
		return
	}
	in.sourceLeft, in.idleSweeps = true, 0
	p.mu.Lock()
	p.bygone[in] = struct{}{}
	p.mu.Unlock()
	p.updateShare(in)
	if p.incomingCut.Load() {
		p.changes.Broadcast()
	}
}

// Missed tells that an incarnation of a node has ended, and every earlier one, but not whether it
// left or died.
func (p *Plane) Missed(id, inc uint64) {
	if p.sendsTo(id) {
		p.Evict(id, inc)
	} else {
		p.Left(id, inc)
	}
}

// sendsTo reports whether there is a stream to a node.
func (p *Plane) sendsTo(id uint64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.outbounds.byNode[id] != nil
}

// stays makes a bygone stream an ordinary one again: a later incarnation has opened it, or its
// source is a member after all. It needs in.mu.
func (p *Plane) stays(in *inbound) {
	if !in.sourceLeft {
		return
	}
	in.sourceLeft = false
	p.mu.Lock()
	delete(p.bygone, in)
	p.mu.Unlock()
	p.updateShare(in)
}

// maxLooks bounds how many bygone streams are tried before a new one is refused: handlers may
// still have messages of some.
const maxLooks = 16

// someBygone returns up to maxLooks bygone streams, not always the same ones. It needs mu.
func (p *Plane) someBygone() (some []*inbound) {
	for in := range p.bygone {
		if some = append(some, in); len(some) == maxLooks {
			break
		}
	}
	return some
}

// makeRoom forgets one of these streams, if possible.
func (p *Plane) makeRoom(bygone []*inbound) bool {
	for _, in := range bygone {
		in.mu.Lock()
		ok := in.forgotten || in.sourceLeft && in.idle()
		if ok && !in.forgotten {
			p.forgetInbound(in)
		}
		in.mu.Unlock()
		if ok {
			return true
		}
	}
	return false
}
